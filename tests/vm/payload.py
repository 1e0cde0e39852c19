"""What a machine finds on its second disk: the package, this checkout, and what runs its tests. A tar is a disk too."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Final

from tests.vm.image import Image

PROJECT: Final = Path(__file__).parents[2]
CHECKOUT: Final = ("examples", "pyproject.toml", "routed", "tests")
UNPACK: Final = "tar -xf /dev/vdb -C /opt"


def pack(payload: Path, package: Path, image: Image) -> Path:
    """Write the tar, and return where it is. Inside it becomes /opt/routed.deb, /opt/checkout and /opt/tools.

    With the bytecode that is here: where it is that of another Python, the machine makes its own, slowly.
    """
    with tarfile.open(payload, "w") as tar:
        tar.add(package, "routed.deb")
        tar.add(image.tools, "tools")
        for part in CHECKOUT:
            tar.add(PROJECT / part, f"checkout/{part}")
    return payload
