"""Files that hold secrets: a path of root alone, or a credential of the unit, systemd.exec(5).

What is wrong with one is told by its name, so that nothing of it comes into a status or a journal. The daemon has no
CAP_DAC_OVERRIDE: a file of another user reaches it as a credential, which systemd reads before it starts the daemon.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

from routed.model.trust import find_writable

CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"  # where systemd puts them
_ACL: Final = "system.posix_acl_access"


class SecretError(Exception):
    """The file is not as it has to be; the text is a clause, with what to do."""


def locate(word: str) -> str:
    """The path that is meant, which the daemon may read. Raises SecretError."""
    path, cure = _locate(word, "it has to be there")
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError as error:
        raise _explain(path, cure, error) from None
    return path


def read_secret(word: str, most: int) -> bytes:
    """What is in a path, or in a credential where ``word`` is no path: at most so many bytes. Raises SecretError."""
    path, cure = _locate(word, "it has to be there, of root alone (chmod 600)")
    try:
        content = _read(path, cure, most)
    except OSError as error:
        raise _explain(path, cure, error) from None
    if len(content) > most:
        raise SecretError(f"{path} is longer than {most} bytes")
    return content


def find_keeper(path: str) -> str:
    """What of a path and the folders above only another user may read, who is not root; else "", also where none is.

    Who has CAP_DAC_OVERRIDE may read it all the same, and finds by this what the daemon may not.
    """
    try:
        whole = os.path.realpath(path, strict=True)
        return next((one for one in _list_above(whole) if not _may_root(os.lstat(one))), "")
    except OSError:
        return ""


def _list_above(path: str) -> Iterator[str]:
    """The folders above a path, and the path itself."""
    parts = path.split("/")
    return ("/".join(parts[:count]) or "/" for count in range(1, len(parts) + 1))


def _may_root(about: os.stat_result) -> bool:
    """May root read it, or look into it, by its mode alone?"""
    shift = 6 if about.st_uid == 0 else 3 if about.st_gid == 0 else 0
    return bool(about.st_mode >> shift & (stat.S_IXOTH if stat.S_ISDIR(about.st_mode) else stat.S_IROTH))


def _explain(path: str, cure: str, error: OSError) -> SecretError:
    """Why it cannot be read, and what to do."""
    if error.errno == errno.EACCES:
        cure = f"it is not root's: name a credential, by LoadCredential=NAME:{path} in routed.service"
    return SecretError(f"{path}: {os.strerror(error.errno or 0)}: {cure}")


def _locate(word: str, wish: str) -> tuple[str, str]:
    """The path, and what to do where nothing good is there."""
    if word.startswith("/"):
        return word, wish
    cure = f"routed.service needs LoadCredential={word}:PATH, and a restart"
    folder = os.environ.get(CREDENTIALS)
    if folder is None:
        raise SecretError(f"there is no credential {word}: {cure}")
    return f"{folder}/{word}", cure


def _read(path: str, cure: str, most: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise SecretError(f"{path} is no ordinary file: {cure}")
        if writable := find_writable(path, os.lstat, os.readlink, {0, os.geteuid()}):
            raise SecretError(f"somebody else than root may write {writable}: {cure}")
        # With an ACL the bits of the group are its mask, and say nothing of the group: acl(5).
        is_of_ours = about.st_gid in {0, os.getegid()} and _ACL not in os.listxattr(descriptor)
        if about.st_mode & (0o004 if is_of_ours else 0o044):
            raise SecretError(f"others than root may read {path}: {cure}")
        return os.read(descriptor, most + 1)
    finally:
        os.close(descriptor)
