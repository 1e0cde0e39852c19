"""The helper beside these tests is found by its path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
