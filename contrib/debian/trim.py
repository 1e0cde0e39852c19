#!/usr/bin/python3
"""Take out of a library directory what a running routed never needs: tests, caches, commands, and pip's own records.

What stays of a distribution's metadata is its name, version and licence, so that whoever looks for known holes in
bundled libraries (importlib.metadata, scanners of packages) sees what is here.
"""

import re
import shutil
import sys
from pathlib import Path

SUPERFLUOUS = ("bin", "**/__pycache__", "*/test", "*/tests")
KEPT = re.compile(r"(Metadata-Version|Name|Version|License|License-Expression): ")


def main(library: Path) -> None:
    """Trim the directory in place."""
    for pattern in SUPERFLUOUS:
        for directory in library.glob(pattern):
            shutil.rmtree(directory)
    for info in library.glob("*.dist-info"):
        headers = (info / "METADATA").read_text(encoding="utf-8").partition("\n\n")[0].splitlines(keepends=True)
        shutil.rmtree(info)
        info.mkdir()
        (info / "METADATA").write_text("".join(line for line in headers if KEPT.match(line)), encoding="utf-8")


main(Path(sys.argv[1]))
