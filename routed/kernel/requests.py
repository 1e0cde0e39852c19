"""Questions to the kernel and their answers: one socket, on which every answer is matched to its question.

A question is open from ``ask`` to ``conclude``. Whatever happens in between (an error, an answer that cannot be read, a
reader that was abandoned), the answers that are left on the socket belong to nobody. So the next question goes out on a
new socket. Nothing has to be drained, and no error has to be told from another.

Here must never live: what a question says, or what its answer means.
Sources: netlink(7); socket(7); netlink_insert in net/netlink/af_netlink.c.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EADDRINUSE, ETIMEDOUT
from os import strerror
from socket import SO_RCVBUF, SOL_SOCKET, socket
from struct import Struct
from time import monotonic
from types import TracebackType
from typing import Final, Protocol, Self
from zlib import crc32

from routed.kernel import sockets

# Seconds. A kernel that grows a table takes up to one for an answer, and one that has to load the module of a new link
# as long as that takes on a slow host. The watchdog of the unit waits for 30.
DEADLINE: Final = 20.0

_DERIVED: Final = 1 << 31  # the numbers from here on are derived from the question, those below are counted
_LEAST: Final = 20  # bytes of an answer: struct nlmsghdr, and a result at least
_read_number: Final = Struct("=8xI").unpack_from  # nlmsg_seq


class QuestionSocket(Protocol):
    """What of a ``RequestSocket`` they need who ask and read what comes; a test may stand in for it."""

    def take_numbers(self, count: int) -> int:
        """Sequence numbers for so many messages: the first of them."""

    def ask(self, packed: bytes | bytearray) -> None:
        """Send a question."""

    def receive(self, size: int, first: int, count: int = 1) -> bytes:
        """The next datagram that answers it."""

    def conclude(self) -> None:
        """The last answer was received."""

    def close(self) -> None:
        """Close the socket."""


class RequestSocket:
    """Asks one question at a time, and takes no answer but its own. Raises OSError throughout.

    ``port`` is the port id of the socket, and of each that takes its place. Should somebody else have it by then, it
    becomes another one and ``on_new_port`` is called. ``deadline`` is in seconds. ``bus`` is one of ``sockets``.
    """

    def __init__(
        self,
        buffer: int = sockets.REQUEST_BUFFER,
        deadline: float = DEADLINE,
        on_new_port: Callable[[], None] = lambda: None,
        bus: int = sockets.ROUTE,
    ) -> None:
        self.deadline = deadline
        self._buffer = buffer
        self._on_new_port = on_new_port
        self._next_number = 1
        self._is_answered = True  # is no question open?
        self._bus = bus
        self._socket: socket = sockets.open_request_socket(buffer, deadline, bus=bus)
        self.port = _read_port(self._socket)
        self.receive_buffer = self._socket.getsockopt(SOL_SOCKET, SO_RCVBUF)  # bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket. May be called twice."""
        self._socket.close()

    def take_numbers(self, count: int) -> int:
        """Sequence numbers for so many messages: the first of them. None comes twice for a very long time."""
        if self._next_number + count > _DERIVED:
            self._next_number = 1
        first = self._next_number
        self._next_number += count
        return first

    def ask(self, packed: bytes | bytearray) -> None:
        """Send a question, in place of the one that is open, if any."""
        if not self._is_answered:
            self._renew()
        self._is_answered = False
        try:
            self._socket.send(packed)
        except BlockingIOError:
            raise self._too_late() from None

    def receive(self, size: int, first: int, count: int = 1) -> bytes:
        """The next datagram, of at most so many bytes, that answers one of the messages ``first``, ``first`` + 1 ….

        It is known by its first message. Raises OSError, with ETIMEDOUT where none comes before the deadline.
        """
        until = 0.0
        while True:
            try:
                datagram = self._socket.recv(size)
            except BlockingIOError:
                raise self._too_late() from None
            if len(datagram) >= _LEAST and 0 <= _read_number(datagram)[0] - first < count:
                return datagram
            until = until or monotonic() + self.deadline  # what others send must not put it off for ever
            if monotonic() >= until:
                raise self._too_late()

    def conclude(self) -> None:
        """The last answer was received: nothing of this question is left on the socket."""
        self._is_answered = True

    def _renew(self) -> None:
        """Replace the socket. The new one is known by the same port id, by which our changes are told from others'."""
        self._socket.close()  # first: it holds the port id
        try:
            self._socket = sockets.open_request_socket(self._buffer, self.deadline, self.port, self._bus)
        except OSError as error:
            if error.errno != EADDRINUSE:
                raise
            self._socket = sockets.open_request_socket(self._buffer, self.deadline, bus=self._bus)
        port = _read_port(self._socket)
        if port != self.port:
            self.port = port
            self._on_new_port()

    def _too_late(self) -> OSError:
        return OSError(ETIMEDOUT, f"{strerror(ETIMEDOUT)}: the kernel gave no answer within {self.deadline:g} s")


def number_of(type_: int, body: bytes) -> int:
    """The sequence number of a question that is asked again and again: the same for the same question.

    So equal tables give equal answers, to the byte. It is never one of those that ``take_numbers`` gives.
    """
    return crc32(body, crc32(type_.to_bytes(2, "big"))) | _DERIVED


def _read_port(opened: socket) -> int:
    return int(opened.getsockname()[0])
