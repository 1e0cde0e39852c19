"""May somebody else than root change what a path leads to? On a file system in hand."""

from __future__ import annotations

import stat
from types import SimpleNamespace

import pytest

from routed.model.trust import find_writable

ME = 1000
FOLDER, FILE, LINK = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK
TREE = {
    "/": (FOLDER | 0o755, 0),
    "/lib": (LINK | 0o777, 0, "usr/lib"),
    "/usr": (FOLDER | 0o755, 0),
    "/usr/lib": (FOLDER | 0o755, 0),
    "/usr/lib/check": (FILE | 0o755, 0),
    "/usr/lib/mine": (FILE | 0o755, ME),
    "/usr/lib/group": (FILE | 0o775, 0),
    "/usr/lib/away": (LINK | 0o777, 0, "/home/me/check"),
    "/usr/lib/loop": (LINK | 0o777, 0, "loop"),
    "/home": (FOLDER | 0o755, 0),
    "/home/me": (FOLDER | 0o755, ME),
    "/home/me/check": (FILE | 0o755, 0),
    "/run": (FOLDER | 0o755, 0),
    "/run/lock": (FOLDER | 0o1777, 0),
    "/run/lock/check": (FILE | 0o755, 0),
    "/run/lock/link": (LINK | 0o777, ME, "/usr/lib/check"),
    "/srv": (FOLDER | 0o777, 0),
    "/srv/check": (FILE | 0o755, 0),
}


def find(path: str, owners: frozenset[int] = frozenset({0})) -> str:
    def lstat(name: str) -> SimpleNamespace:
        if name not in TREE:
            raise FileNotFoundError(name)
        return SimpleNamespace(st_mode=TREE[name][0], st_uid=TREE[name][1])

    return find_writable(path, lstat, lambda name: str(TREE[name][2]), owners)


@pytest.mark.parametrize(
    ("path", "writable"),
    [
        ("/usr/lib/check", ""),
        ("/lib/check", ""),
        ("//usr/./lib/../lib//check", ""),
        ("/", ""),
        ("/run/lock/check", ""),  # sticky
        ("/run/lock/../../lib/check", ""),
        ("/usr/lib/mine", "/usr/lib/mine"),
        ("/usr/lib/group", "/usr/lib/group"),
        ("/lib/away", "/home/me"),
        ("/run/lock/link", "/run/lock/link"),
        ("/srv/check", "/srv"),
        ("/srv/../usr/lib/check", "/srv"),
    ],
)
def test_every_folder_and_link_on_the_way_counts(path: str, writable: str) -> None:
    assert find(path) == writable


def test_another_owner_may_be_trusted() -> None:
    assert find("/usr/lib/away", frozenset({0, ME})) == ""


def test_what_is_not_there_and_what_has_no_end_are_errors_of_the_system() -> None:
    with pytest.raises(FileNotFoundError):
        find("/usr/lib/other")
    with pytest.raises(OSError, match="symbolic"):
        find("/usr/lib/loop")
