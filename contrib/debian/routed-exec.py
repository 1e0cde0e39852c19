#!/usr/bin/python3 -ISB
"""The helper of the package that runs the commands of checks: started by routed-exec.socket, and by nobody else."""

import sys

sys.path.insert(0, "/usr/lib/routed")

from routed.probes.helper import main

sys.exit(main(sys.argv[1:]))
