"""Disk: the bytes of one file, without ever waiting for them.

Here lives what keeps a reader from being held up or filled up: what is no file is never read, what is too large is not
read to its end, and what somebody is still writing is known as such. What the bytes mean is no concern of this module.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EAGAIN, EFBIG, EINVAL, EISDIR
from pathlib import Path
from stat import S_ISDIR, S_ISFIFO, S_ISREG
from typing import Final, TypeAlias

MOUNTS: Final = Path("/proc/self/mountinfo")
# They refuse a lease wherever the server has not delegated the file: nfs4_add_lease in fs/nfs/nfs4proc.c, cifs_setlease
# in fs/smb/client/cifsfs.c.
_OF_SERVERS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3"})

MEGABYTE: Final = 1 << 20
_MOST: Final = 16  # MB
_MOST_OF: Final = {"prefixes": 256}  # MB
_ADVICE: Final = dict.fromkeys(("main", "drop-in"), ": lists of prefixes belong into a prefixes_file")

Read: TypeAlias = Callable[[Path, str], bytes]  # (path, role) → content; raises OSError, and ValueError for a bad path


class BeingWrittenError(OSError):
    """Somebody has the file open for writing, so half of it may be missing."""

    def __init__(self, path: str) -> None:
        super().__init__(EAGAIN, "is being written; it is read once it is closed", path)


def read_for_command(path: Path, role: str) -> bytes:
    """The content as it is now. The main file may be a pipe, and is waited for then: ``routed check /dev/stdin``."""
    with _open(path, may_be_pipe=role == "main") as descriptor:
        return _read(descriptor, path, role)


def read_closed(path: Path, role: str) -> bytes:
    """The content of a file that nobody is writing. Raises BeingWrittenError.

    Nobody can begin to write it meanwhile: who tries waits for the end of the reading. The process must ignore SIGIO,
    by which the kernel tells of such a one. A file that cannot be asked so (another owner's, where CAP_LEASE is
    missing; a filesystem that knows no leases) is read as it is. Sources: fcntl(2), F_SETLEASE; check_conflicting_open
    in fs/locks.c.
    """
    with _open(path) as descriptor:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            if error.errno == EAGAIN and not is_of_server(os.fstat(descriptor).st_dev):
                raise BeingWrittenError(str(path)) from None
        return _read(descriptor, path, role)  # to close the file gives the lease back


def is_of_server(device: int, mounts: Path = MOUNTS) -> bool:
    """Is this the device number of a filesystem whose server knows who writes? Then a refused lease tells nothing."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.read_text(errors="replace").splitlines():  # proc_pid_mountinfo(5)
        mount, _, filesystem = line.partition(" - ")
        if mount.split()[2] == number:
            return filesystem.split()[0] in _OF_SERVERS
    return False


@contextmanager
def _open(path: Path, *, may_be_pipe: bool = False) -> Iterator[int]:
    """A descriptor of a regular file. To open waits for nobody, and a device is not even opened: that may do something.

    Raises OSError.
    """
    is_pipe = _check_kind(os.stat(path), path, may_be_pipe=may_be_pipe)  # noqa: PTH116  like os.open below
    # Of a pipe that is allowed both is waited for: somebody who writes, and the end of it.
    flags = os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC | (0 if is_pipe else os.O_NONBLOCK)
    descriptor = os.open(path, flags)
    try:
        _check_kind(os.fstat(descriptor), path, may_be_pipe=is_pipe)  # another thing may stand there now
        yield descriptor
    finally:
        os.close(descriptor)


def _check_kind(status: os.stat_result, path: Path, *, may_be_pipe: bool) -> bool:
    """Is it a pipe? Raises OSError for what is not to be read."""
    mode = status.st_mode
    if S_ISDIR(mode):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(path))
    if not S_ISREG(mode) and not (may_be_pipe and S_ISFIFO(mode)):
        raise OSError(EINVAL, "is not a regular file", str(path))
    return S_ISFIFO(mode)


def _read(descriptor: int, path: Path, role: str) -> bytes:
    """Everything, unless it is too large: what the kernel calls a regular file may have no end, as /proc/kmsg."""
    megabytes = _MOST_OF.get(role, _MOST)
    size, left = os.fstat(descriptor).st_size, megabytes * MEGABYTE
    parts: list[bytes] = []
    while size <= megabytes * MEGABYTE:
        part = os.read(descriptor, min(left, max(size, MEGABYTE)) + 1)
        if not part:
            return b"".join(parts)
        left -= len(part)
        if left < 0:
            break
        parts.append(part)
    raise OSError(EFBIG, f"is larger than {megabytes} MB{_ADVICE.get(role, '')}", str(path))
