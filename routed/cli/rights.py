"""Rights: which files root may read, and the daemon may not.

As its unit starts it the daemon is root without the capabilities to pass over permissions (CAP_DAC_OVERRIDE and
CAP_DAC_READ_SEARCH, see CapabilityBoundingSet= in routed.service). So a file of another user that root edits may be one
that a reload cannot read. The kernel itself is asked, by a thread without these capabilities: it knows of lists of
access (acl(5)) and of folders on the way. Here must never live what is in the files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import Final

from routed.intent.problems import Problem

# linux/capability.h
_VERSION_3: Final = 0x20080522
_PASS_OVER: Final = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def find_unreadable(paths: Iterable[str]) -> Iterator[Problem]:
    """A problem for each file that this process may read only because it may pass over permissions."""
    if os.geteuid() != 0:
        return
    refused: list[str] = []
    thread = Thread(target=_try, args=([*paths], refused))
    thread.start()
    thread.join()
    for path in refused:
        place = _find_barrier(path)
        status = place.stat()
        whose = f"belongs to {_name_owner(status.st_uid)} and has mode {stat.S_IMODE(status.st_mode):04o}"
        what = "it" if str(place) == path else str(place)
        message = f"the daemon cannot read this file: {what} {whose}, and routed.service has no CAP_DAC_OVERRIDE"
        hint = f"chown root {place}, or chmod o+{'x' if place.is_dir() else 'r'} {place}"
        yield Problem(path, 0, 0, message, hint=hint)


def _try(paths: list[str], refused: list[str]) -> None:
    """Note the files that cannot be opened without these rights, which belong to this thread alone."""
    if not _give_up():
        return
    for path in paths:
        try:
            if stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  a pipe is read once only
                os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except PermissionError:
            refused.append(path)
        except OSError:
            continue  # it has gone meanwhile, which is another matter


def _give_up() -> bool:
    """Take the capabilities from this thread (capset(2) is about one). False where it had none of them."""
    import ctypes  # only root waits for it

    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    words = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice 32 of each
    if libc.capget(header, words) or not words[0] & _PASS_OVER:
        return False
    words[0] &= ~_PASS_OVER
    return not libc.capset(header, words)


def _find_barrier(path: str) -> Path:
    """What stands in the way: the first folder that others may not enter, otherwise the file."""
    for folder in reversed(Path(path).absolute().parents):
        status = folder.stat()
        if status.st_uid != 0 and not status.st_mode & stat.S_IXOTH:
            return folder
    return Path(path)


def _name_owner(uid: int) -> str:
    from pwd import getpwuid  # few files need it

    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
