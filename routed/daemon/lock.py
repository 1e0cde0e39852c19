"""One daemon a network namespace and protocol number: the lock.

The lock is an abstract AF_UNIX socket (unix(7)): its names belong to the network namespace, just as the routes do, and
the kernel gives it back however its holder ends. Here must never live: a lock file.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Final, NamedTuple

_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred, unix(7): pid, uid, gid
_BACKLOG: Final = 64  # nobody accepts; each question about the holder takes one place for good


class Holder(NamedTuple):
    """The process that has the lock. Its pid is 0 where it lives in a pid namespace that we cannot see."""

    pid: int
    uid: int


class AlreadyRunningError(Exception):
    """Somebody else has the lock. ``holder`` is None where it cannot be known."""

    def __init__(self, protocol: int, holder: Holder | None) -> None:
        self.holder = holder
        super().__init__(_describe(protocol, holder))


def acquire(protocol: int) -> socket.socket:
    """Take the lock for a protocol number. It is held until the socket is closed or the process ends.

    Raises AlreadyRunningError with a sentence for a person. Any local user may bind an abstract name, so the sentence
    says when the holder is neither root nor us: then it is hardly a routed.
    """
    name = f"\0routed/{protocol}"
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(name)
        lock.listen(_BACKLOG)  # SO_PEERCRED of whoever connects then shows who listened
    except OSError:
        lock.close()
        raise AlreadyRunningError(protocol, _find_holder(name)) from None
    return lock


def _find_holder(name: str) -> Holder | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as question:
        try:
            question.connect(name)
            credentials = question.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
    pid, uid, _gid = _CREDENTIALS.unpack(credentials)
    return Holder(pid, uid)


def _describe(protocol: int, holder: Holder | None) -> str:
    if holder is None:
        return f"another process holds the lock of protocol {protocol} in this network namespace"
    who = f"pid {holder.pid}" if holder.pid else "in another pid namespace"
    if holder.uid not in {0, os.geteuid()}:
        return f"a process of uid {holder.uid} ({who}), hardly a routed, holds the lock of protocol {protocol}"
    return f"another routed ({who}) keeps the objects of protocol {protocol} in this network namespace"
