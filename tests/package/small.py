"""A small Debian without a kernel, in which the package can be installed: made by mmdebstrap, and kept in the cache.

    python -m tests.package.small PACKAGE

Only here is the network needed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.vm import image

# Besides what the package depends on. The last ones are what it can work with, where they are.
PACKAGES: Final = (
    *("systemd", "iproute2", "procps", "man-db", "dbus"),
    *("python3-prometheus-client", "nftables", "ufw", "firewalld"),
)
DISABLED: Final = "firewalld"  # a test starts what it needs; ufw does nothing until it is told to


def prepare(package: Path) -> Path:
    """The directory of its files, which nobody may change. Raises ImageError."""
    packages = [*PACKAGES, *image.read_dependencies(package)]
    return image.keep("small", [Path(__file__)], packages, make_small) / "root"


def make_small(folder: Path, packages: list[str]) -> None:
    """Debian in ``folder/root``. Raises ImageError."""
    sources, options = folder / "sources", folder / "options"
    sources.write_text("".join(image.find_sources()))
    options.write_text(image.read_apt_options())
    image.run(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory"),
        *(f"--aptopt={options}", '--aptopt=Apt::Install-Recommends "false"', f"--include={','.join(packages)}"),
        f'--customize-hook=chroot "$1" systemctl --quiet disable {DISABLED}',
        *(image.RELEASE, str(folder / "root"), str(sources)),
    )


if __name__ == "__main__":
    try:
        prepare(Path(sys.argv[1]))
    except image.ImageError as error:
        sys.exit(f"tests.package.small: {error}")
