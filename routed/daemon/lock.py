"""One daemon a network namespace and protocol number: the lock. Nobody but root can take it, or keep root from it.

It has two halves:

* A socket with an abstract name (unix(7)). Such names belong to the network namespace, just as the routes do, so this
  half spans mount namespaces. Any user may bind one, so there are many: whoever wants the lock takes the first name
  that is free, and then asks all the others who listens there. Only a holder who is root counts.
* A file in the runtime folder, held with flock(2). No user but root can open it, so this half holds even where
  strangers took every name.

The kernel gives both back however the holder ends.

Two never hold it at once. Each listens before it asks. Of two, one began to listen first, and the other asks after
that, so the other finds it. At worst each finds the other, and both refuse.

Here must never live: what is owned under the lock, or what a refusal means for the caller.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import random
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

_LOGGER = logging.getLogger(__name__)

NAMES: Final = 256  # of sockets
BACKLOG: Final = 4096  # questions that may wait for us; the kernel cuts it to net.core.somaxconn
ANSWERED: Final = 64  # questions in one turn of the loop
REST: Final = 0.01  # seconds between two such turns, whoever asks and however often
PATIENCE: Final = 2.0  # seconds for a holder whose backlog is full, perhaps by a flood, to make room for one question
PAUSE: Final = 0.1  # seconds between two tries to get a lock that is held

_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred, unix(7): pid, uid, gid
_NAMESPACE: Final = Path("/proc/thread-self/ns/net")


class Holder(NamedTuple):
    """The process that has the lock. Its pid is 0 where it lives in a pid namespace that we cannot see."""

    pid: int
    uid: int


class AlreadyRunningError(Exception):
    """Another routed has the lock. ``holder`` is None where it cannot be known."""

    def __init__(self, protocol: int, holder: Holder | None) -> None:
        self.protocol = protocol
        self.holder = holder
        super().__init__(_describe(protocol, holder))


class Lock:
    """A lock that is held until it is closed or the process ends."""

    def __init__(self, file: int, listener: socket.socket | None) -> None:
        self._file = file
        self._listener = listener
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def answer_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the questions that come, so that nobody can fill the backlog and hide us behind it."""
        if self._listener and self._loop is None:
            self._loop = loop
            loop.add_reader(self._listener, self._answer)

    def close(self) -> None:
        """Give the lock back."""
        if self._timer:
            self._timer.cancel()
        if self._listener:
            if self._loop:
                self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> None:
        """A question is answered by connect(2) itself; here it is only cleared away."""
        assert self._listener
        assert self._loop
        with suppress(OSError):  # no more of them, or no descriptor for one
            for _ in range(ANSWERED):
                self._listener.accept()[0].close()
        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(REST, self._loop.add_reader, self._listener, self._answer)


def acquire(protocol: int, folder: Path) -> Lock:
    """Take the lock for a protocol number, in the network namespace of this thread. ``folder`` is the runtime folder.

    Raises AlreadyRunningError with a sentence for a person, and OSError where the folder cannot be used.
    """
    names = [f"\0routed/{protocol}"] + [f"\0routed/{protocol}/{number}" for number in range(1, NAMES)]
    with ExitStack() as held:
        file = _open_file(protocol, folder)
        held.callback(os.close, file)
        if not _lock_file(file):
            raise AlreadyRunningError(protocol, find_holder(names) or _read_holder(file))
        mine, listener = _listen(names)
        if listener:
            held.callback(listener.close)
        else:
            _LOGGER.warning("other users hold all names of the lock: only %s keeps a second routed away", folder)
        holder = find_holder(name for name in names if name != mine)
        if holder:
            raise AlreadyRunningError(protocol, holder)
        held.pop_all()
        return Lock(file, listener)


def wait_for(protocol: int, folder: Path, seconds: float) -> Lock:
    """Take the lock, and wait so long for its holder to go. Raises as ``acquire`` does."""
    end = time.monotonic() + seconds
    while True:
        try:
            return acquire(protocol, folder)
        except AlreadyRunningError:
            if time.monotonic() >= end:
                raise
        time.sleep(PAUSE * random.uniform(0.5, 1.5))  # noqa: S311  # two that refused each other must part


def find_holder(names: Iterable[str]) -> Holder | None:
    """The first root process that listens under one of these names.

    A holder whose backlog is full is asked again for a moment. If it stays full it is nobody's who takes questions, so
    it is no routed.
    """
    unknown = list(names)
    end = time.monotonic() + PATIENCE
    while unknown:
        silent = []
        for name in unknown:
            try:
                holder = _ask(name)
            except BlockingIOError:
                silent.append(name)
                continue
            if holder and holder.uid in {0, os.geteuid()}:
                return holder
        unknown = silent
        if time.monotonic() >= end:
            return None
        if unknown:
            time.sleep(random.uniform(0.001, 0.003))  # noqa: S311  # no rhythm that others could keep
    return None


def _ask(name: str) -> Holder | None:
    """Who listens under a name: SO_PEERCRED tells who called listen(2). Raises BlockingIOError without room."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as question:
        try:
            question.connect(name)
        except BlockingIOError:
            raise
        except OSError:  # nobody has it, or does not listen, or has it for another type of socket
            return None
        pid, uid, _gid = _CREDENTIALS.unpack(
            question.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        return Holder(pid, uid)


def _listen(names: Iterable[str]) -> tuple[str, socket.socket | None]:
    """Listen under the first name that is free. Without a socket where none is."""
    for name in names:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listener.bind(name)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return name, listener
    return "", None


def _open_file(protocol: int, folder: Path) -> int:
    """The file of this protocol number and network namespace, whose inode is its name (namespaces(7))."""
    with suppress(FileExistsError):
        folder.mkdir(parents=True)
        folder.chmod(0o755)  # whatever the umask: the control socket in it is for everybody
    path = folder / f"lock-{_NAMESPACE.stat().st_ino}-{protocol}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _lock_file(file: int) -> bool:
    """Is the file ours now? Then our pid stands in it, for the message of whoever comes too late."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    with suppress(OSError):  # no room for it: the lock holds all the same
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
    return True


def _read_holder(file: int) -> Holder | None:
    with suppress(ValueError):  # not written yet
        return Holder(int(os.pread(file, 32, 0)), os.fstat(file).st_uid)
    return None


def _describe(protocol: int, holder: Holder | None) -> str:
    who = "" if holder is None else f" (pid {holder.pid})" if holder.pid else " (in another pid namespace)"
    return f"another routed{who} keeps the objects of protocol {protocol} in this network namespace"
