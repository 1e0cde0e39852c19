"""Files that hold secrets: a path of root alone, or a credential of the unit, systemd.exec(5).

What is wrong with one is told by its name, so that nothing of it comes into a status or a journal. The daemon has no
CAP_DAC_OVERRIDE: a file of another user reaches it as a credential, which systemd reads before it starts the daemon.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from routed.model.trust import find_writable

CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"  # where systemd puts them
_ACL: Final = "system.posix_acl_access"


class SecretError(Exception):
    """The file is not as it has to be; the text is a clause, with what to do."""


def locate(word: str) -> str:
    """The path that is meant. Raises SecretError."""
    return _locate(word)[0]


def read_secret(word: str, most: int) -> bytes:
    """What is in a path, or in a credential where ``word`` is no path: at most so many bytes. Raises SecretError."""
    path, cure = _locate(word)
    try:
        content = _read(path, cure, most)
    except OSError as error:
        raise SecretError(f"{path}: {os.strerror(error.errno or 0)}: {cure}") from None
    if len(content) > most:
        raise SecretError(f"{path} is longer than {most} bytes")
    return content


def _locate(word: str) -> tuple[str, str]:
    """The path, and what to do where nothing good is there."""
    if word.startswith("/"):
        return word, "it has to be there, of root alone (chmod 600)"
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
