"""Run a goal of the Makefile in a bare Debian or Ubuntu, as somebody does who has only just installed it.

    python -m tests.roots RELEASE GOAL...
    python -m tests.roots --again trixie test    # in the root that the last run left

The root is made by mmdebstrap in build/roots/RELEASE, with make and python3 and nothing else, and the files of the
work tree in /srv/routed. It shares the host's kernel and, until ``make`` leaves it, the host's network. Needs root.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.vm import image

PROJECT: Final = Path(__file__).parents[2]
GIVEN: Final = ("apt", "make", "python3")  # the README asks for no more
INSIDE: Final = "srv/routed"  # not /root, which nobody else may enter
UBUNTU: Final = ("http://archive.ubuntu.com/ubuntu", "/usr/share/keyrings/ubuntu-archive-keyring.gpg")
UBUNTUS: Final = ("noble",)
ROLLING: Final = ("sid", "testing")  # they have no updates beside them

# What a machine has at /, seen from the root alone: a chroot may have no user namespaces, a pivoted root may.
ENTER: Final = """
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/run"
cd "$1"
pivot_root . mnt
umount --lazy mnt
shift
exec env -i "$@"
"""


def main() -> int:
    """The exit code of make."""
    parser = argparse.ArgumentParser(prog="tests.roots", description="run goals of the Makefile in a bare Debian")
    parser.add_argument("--again", action="store_true", help="keep what the last run left in the root")
    parser.add_argument("release", help="bookworm, trixie, sid, noble")
    parser.add_argument("goals", nargs="+", help="what make is asked for")
    asked = parser.parse_args()
    root = PROJECT / "build/roots" / asked.release
    if not (asked.again and root.exists()):
        make_root(asked.release, root)
    lay_tree(root)
    return run_inside(root, ["make", "--directory", f"/{INSIDE}", *asked.goals])


def make_root(release: str, root: Path) -> None:
    """A bare Debian in ``root``, whatever was there. Raises ImageError."""
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    sources, options = (root.with_suffix(suffix) for suffix in (".list", ".options"))
    sources.write_text("".join(find_sources(release)), encoding="utf-8")
    options.write_text(image.read_apt_options(), encoding="utf-8")
    image.run(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory"),
        *(f"--aptopt={options}", f"--include={','.join(GIVEN)}", release, str(root), str(sources)),
    )


def find_sources(release: str) -> list[str]:
    """Where this host has its own packages from, but of that release: one `deb` line each. Raises ImageError."""
    if release in UBUNTUS:
        archive, keys = UBUNTU
        if not Path(keys).exists():
            raise image.ImageError(f"{keys} is not here: it is of Debian 13's package ubuntu-keyring")
        suites = (release, f"{release}-updates")
        return [f"deb [signed-by={keys}] {archive} {suite} main universe\n" for suite in suites]
    lines = [line.replace(image.RELEASE, release) for line in image.find_sources()]
    return [line for line in lines if line.split()[2] == release] if release in ROLLING else lines


def lay_tree(root: Path) -> None:
    """The files of the work tree, but for what git ignores."""
    tree = root / INSIDE
    tree.mkdir(parents=True, exist_ok=True)
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=PROJECT, check=True, capture_output=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, names)):
        if (PROJECT / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).unlink(missing_ok=True)
            shutil.copy2(PROJECT / name, tree / name, follow_symlinks=False)


def run_inside(root: Path, command: list[str]) -> int:
    """The exit code of what ran with ``root`` as its /."""
    settings = dict(settings_inside(root, os.environ))
    sys.stderr.write(f"{root.name}: {shlex.join(command)}\n")
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER, "sh", str(root)]
    given = [f"{name}={value}" for name, value in settings.items()]
    return subprocess.run([*enter, *given, *command], check=False).returncode


def settings_inside(root: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """How this host reaches packages; a file that a setting names is laid there too."""
    yield from {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}.items()
    for name, value in environ.items():
        if not (name.startswith("PIP_") or name.lower().endswith("_proxy")):
            continue
        here, value_inside = Path(value), value
        if here.is_absolute():
            if not here.is_file():
                continue
            value_inside = f"/root/{name}"  # not its place here: a package may write there
            shutil.copy(here, f"{root}{value_inside}")
        yield name, value_inside


if __name__ == "__main__":
    try:
        sys.exit(main())
    except image.ImageError as error:
        sys.exit(f"tests.roots: {error}")
