"""The listening end of the control socket: its file, and whoever connects; and what other listening ends share with it.

Two things befall it that are nobody's fault here: the process runs out of descriptors, and somebody removes its file.
It survives both. Here must never live: who may come in, and what is said to them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from routed.daemon.seldom import Seldom

_LOGGER = logging.getLogger(__name__)

BACKLOG: Final = 64  # clients that may wait to be accepted
AT_ONCE: Final = 16  # clients that are accepted before others have their turn of the loop
REST: Final = 1.0  # seconds until the next try when nobody can be accepted


class ControlError(Exception):
    """The socket cannot be made; its text is a sentence for a person."""


class Acceptor:
    """Lets in whoever connects to a socket, inside the asyncio loop. ``name`` is what messages call it."""

    def __init__(self, listening: socket.socket, on_client: Callable[[socket.socket], None], name: str) -> None:
        """Raises OSError."""
        self._socket = listening
        self._on_client = on_client
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._seldom = Seldom()
        self._timer: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Accept nobody any more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors or no memory: those who wait go on waiting in the backlog
                self._rest(error)
                return
            self._on_client(connection)

    def _rest(self, error: OSError) -> None:
        self._loop.remove_reader(self._socket)
        self._timer = self._loop.call_later(REST, self._loop.add_reader, self._socket, self._accept)
        if self._seldom.is_due(error.errno):
            _LOGGER.warning(
                "no client of %s can be let in (%s): they wait until it is over", self._name, error.strerror
            )


class Listener:
    """A Unix socket at a path. Made inside the asyncio loop; raises ControlError."""

    def __init__(self, path: Path, on_client: Callable[[socket.socket], None]) -> None:
        self._path = path
        self._on_client = on_client
        self._seldom = Seldom()
        bound = bind(path)
        self._identity = _identify(path)
        self._acceptor = self._accept_at(bound)

    def ensure(self) -> None:
        """Bind anew where the file at the path is not this socket any more, but not in place of one that is served."""
        if _identify(self._path) == self._identity:
            return
        try:
            self._renew()
        except ControlError as error:
            if self._seldom.is_due(str(error)):
                _LOGGER.warning("%s; until it can be made again, no command reaches this daemon", error)
        else:
            _LOGGER.warning("the control socket %s was gone; it was made again", self._path)

    def close(self) -> None:
        """Accept nobody any more, and remove the file."""
        self._acceptor.close()
        if _identify(self._path) == self._identity:
            with suppress(OSError):
                self._path.unlink()

    def _renew(self) -> None:
        if _is_served(self._path):
            raise ControlError(f"another process serves the control socket {self._path}")
        renewed = bind(self._path)
        self._acceptor.close()
        self._identity = _identify(self._path)
        self._acceptor = self._accept_at(renewed)

    def _accept_at(self, listening: socket.socket) -> Acceptor:
        return Acceptor(listening, self._on_client, "the control socket")


def bind(path: Path) -> socket.socket:
    """A socket at this path that anyone may connect to, in place of what stood there. Raises ControlError."""
    made = None
    try:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        made.bind(os.fspath(path))
        path.chmod(0o666)  # before listen(2): whoever connects is judged by who they are
    except OSError as error:
        if made:
            made.close()
        raise ControlError(f"cannot make the control socket {path}: {error.strerror or error}") from error
    return made


def _identify(path: Path) -> tuple[int, int] | None:
    """Which file this is: device and inode; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_served(path: Path) -> bool:
    """Does somebody listen there?"""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            visitor.setblocking(False)
            visitor.connect(os.fspath(path))
    except BlockingIOError:  # its backlog is full
        return True
    except OSError:
        return False
    return True
