"""Drop-ins: which files make up the configuration.

Here lives the order of files. What stands in them is read elsewhere.
"""

from __future__ import annotations

from os.path import realpath
from pathlib import Path
from typing import Final

DEFAULT_PATH: Final = Path("etc/routed.toml")  # below the root
VENDOR_DIRECTORIES: Final = (Path("run/routed.toml.d"), Path("usr/lib/routed.toml.d"))


def drop_in_directories(path: Path, root: Path = Path("/")) -> tuple[Path, ...]:
    """Where drop-ins of the main file ``path`` may stand, the strongest first; they need not exist.

    The directories under /run and /usr/lib belong to the default path alone.
    """
    own = path.with_name(f"{path.name}.d")
    is_default = path.absolute() == (root / DEFAULT_PATH).absolute()
    return (own, *(root / directory for directory in VENDOR_DIRECTORIES)) if is_default else (own,)


def find_drop_ins(path: Path, root: Path = Path("/")) -> tuple[Path, ...]:
    """The drop-ins of ``path`` that count, in the order of their names whatever directory they stand in.

    Of files with one name the strongest directory's counts; a link to /dev/null masks the name (as in systemd.unit(5)).
    Raises OSError for a directory that is there but cannot be read.
    """
    chosen: dict[str, Path] = {}
    for directory in drop_in_directories(path, root):
        try:
            files = [file for file in directory.iterdir() if file.suffix == ".toml" and not file.name.startswith(".")]
        except FileNotFoundError:
            continue
        for file in files:
            chosen.setdefault(file.name, file)
    return tuple(chosen[name] for name in sorted(chosen) if not _is_masked(chosen[name]))


def _is_masked(file: Path) -> bool:
    return realpath(file) == "/dev/null"  # Path.resolve raises for a link to itself
