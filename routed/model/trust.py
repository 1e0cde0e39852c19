"""Trust: may somebody else than root change what a path leads to?

Pure: how the file system is asked is an argument. The daemon, the reader of the files and the helper of commands each
ask as who they are.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

ROOT: Final[AbstractSet[int]] = frozenset({0})
MOST_LINKS: Final = 40  # MAXSYMLINKS in linux/namei.h
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH  # the mask of an ACL stands in the bits of the group: acl(5)


class FileMode(Protocol):
    """What lstat(2) tells."""

    @property
    def st_mode(self) -> int: ...  # noqa: D102

    @property
    def st_uid(self) -> int: ...  # noqa: D102


def find_writable(
    path: str,
    lstat: Callable[[str], FileMode],
    readlink: Callable[[str], str],
    owners: AbstractSet[int] = ROOT,
) -> str:
    """The first that others than ``owners`` may write of an absolute path, its links and the folders above; else "".

    A folder that is sticky, as /tmp, keeps what is in it for its owner. Raises what ``lstat`` and ``readlink`` raise.
    """
    left = [*_list_parts(path), ""]
    folder, links = "", 0
    while left:
        part = left.pop()
        if part == "..":
            folder = folder.rpartition("/")[0]
            continue
        inner = f"{folder}/{part}" if part else "/"
        about = lstat(inner)
        if stat.S_ISLNK(about.st_mode):
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, "too many symbolic links", path)
            if about.st_uid not in owners:
                return inner
            target = readlink(inner)
            folder = "" if target.startswith("/") else folder
            left += _list_parts(target)
            continue
        if _is_writable(about, owners):
            return inner
        folder = inner.rstrip("/")
    return ""


def _list_parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in {"", "."}]


def _is_writable(about: FileMode, owners: AbstractSet[int]) -> bool:
    if about.st_uid not in owners:
        return True
    is_sticky = stat.S_ISDIR(about.st_mode) and bool(about.st_mode & stat.S_ISVTX)
    return bool(about.st_mode & _OTHERS) and not is_sticky
