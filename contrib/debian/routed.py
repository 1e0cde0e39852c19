#!/usr/bin/python3 -ISB
"""The command `routed` of the package: the library directory comes first, and nothing of this host's comes after it."""

import sys

sys.path.insert(0, "/usr/lib/routed")

from routed.__main__ import main

main()
