"""The genl family IPVS: its id, requests and dumps, each answer matched to its question.

The id is another one after each load of the module, and a request by an old one is ENOENT, as is one that names an
unknown scheduler: whichever it was shows when the id is asked for again. Asking by name loads the module.

Here must never live: what is in a message.
Sources: genl_rcv_msg in net/netlink/genetlink.c; include/uapi/linux/genetlink.h.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from errno import ENOENT, EPROTO
from struct import Struct
from typing import Final, NamedTuple

from routed.kernel import sockets
from routed.kernel.codec import messages
from routed.kernel.codec.attributes import (
    ACK,
    DONE,
    DUMP,
    ERROR,
    HEADER,
    HEADER_SIZE,
    REQUEST,
    attribute_text,
    message,
    number,
    walk,
)
from routed.kernel.dump import finish
from routed.kernel.ipvs.refusals import NO_IPVS, explain_anywhere
from routed.kernel.requests import DEADLINE, QuestionSocket, RequestSocket

_BUFFER: Final = 256 << 10  # bytes: the answers to one batch, or two pieces of a dump
_DATAGRAM: Final = 1 << 16  # bytes; the kernel fills at most 32 KiB of a dump at a time
_SLICE: Final = 8  # datagrams between two breaths of the caller
_CONTROL: Final = 16  # GENL_ID_CTRL
_GET_FAMILY: Final = Struct("=BBH").pack(3, 1, 0) + attribute_text(2, "IPVS")  # CTRL_CMD_GETFAMILY by its name
_FAMILY_ID: Final = 1  # CTRL_ATTR_FAMILY_ID
_HEAD_SIZE: Final = 4  # struct genlmsghdr
# Who asks, as libnl writes it: the pid in the low 22 bits, and above it a number that is another one for each socket
# (generate_local_port in lib/socket.c). By it those who look on, and we among them, know our requests. The kernel takes
# no notice of it.
PID_BITS: Final = 22
MARK: Final = os.getpid() | (1 + int.from_bytes(os.urandom(2), "big") % 1023) << PID_BITS
_result: Final = Struct("=i").unpack_from


class IpvsMessage(NamedTuple):
    """One message of an answer, where it stands in its datagram."""

    data: bytes
    start: int
    end: int


def open_socket() -> QuestionSocket:
    """A socket for requests of generic netlink. Raises OSError."""
    return RequestSocket(_BUFFER, DEADLINE, bus=sockets.GENERIC)


class Connection:
    """Asks IPVS, in the network namespace of the thread that asks first. Raises OSError throughout."""

    def __init__(
        self, connect: Callable[[], QuestionSocket] = open_socket, note_family: Callable[[int], None] = lambda _: None
    ) -> None:
        """``note_family`` is told of each id of the family that is found."""
        self._connect = connect
        self._note_family = note_family
        self._requests: QuestionSocket | None = None
        self._family = 0  # not known yet

    def close(self) -> None:
        """Close the socket. May be called twice; the next question opens another one."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None

    def prepare(self) -> None:
        """Have IPVS there, its module loaded if need be. Raises OSError: ENOENT where this kernel has none."""
        if not self._family:
            self._family = self._find_family()

    def request(self, bodies: Sequence[bytes]) -> list[int]:
        """Send all these messages at once; the errno of each, 0 for done."""
        self.prepare()
        errors = self._send(bodies)
        if ENOENT in errors and self._has_moved():
            again = [place for place, error in enumerate(errors) if error == ENOENT]
            for place, error in zip(again, self._send([bodies[place] for place in again]), strict=True):
                errors[place] = error
        return errors

    def get(self, body: bytes) -> IpvsMessage:
        """The answer to a question that has one message for an answer."""
        found = finish(self._ask(body, 0))
        if not found:
            raise OSError(EPROTO, "an answer without a message")
        return found[0]

    def dump(self, body: bytes) -> Generator[None, None, list[IpvsMessage]]:
        """All messages of a dump, in slices; nothing else may be asked meanwhile.

        Nothing says whether it is complete: see ``survey``.
        """
        return (yield from self._ask(body, DUMP))

    def _ask(self, body: bytes, flags: int) -> Generator[None, None, list[IpvsMessage]]:
        self.prepare()
        try:
            return (yield from self._collect(self._family, body, flags))
        except OSError as error:
            if error.errno != ENOENT or not self._has_moved():
                raise
            return (yield from self._collect(self._family, body, flags))

    def _has_moved(self) -> bool:
        """Has the family another id than we thought? Then the module was loaded anew."""
        before, self._family = self._family, 0
        self.prepare()
        return self._family != before

    def _find_family(self) -> int:
        try:
            [found] = finish(self._collect(_CONTROL, _GET_FAMILY, 0))
        except OSError as error:
            if error.errno == ENOENT:
                raise OSError(ENOENT, NO_IPVS) from None
            raise
        attributes = walk(found.data, found.start + HEADER_SIZE + _HEAD_SIZE, found.end)
        family = number(attributes.get(_FAMILY_ID, b""), 2)
        self._note_family(family)
        return family

    def _open(self) -> QuestionSocket:
        if self._requests is None:
            self._requests = self._connect()
        return self._requests

    def _send(self, bodies: Sequence[bytes]) -> list[int]:
        requests = self._open()
        first = requests.take_numbers(len(bodies))
        flags = REQUEST | ACK
        numbered = enumerate(bodies, first)
        requests.ask(b"".join(message(self._family, flags, sequence, body, MARK) for sequence, body in numbered))
        errors: dict[int, int] = {}
        while len(errors) < len(bodies):
            datagram = requests.receive(_DATAGRAM, first, len(bodies))
            for type_, _, start, _ in messages(datagram):
                if type_ == ERROR:
                    errors[HEADER.unpack_from(datagram, start)[3] - first] = -_result(datagram, start + HEADER_SIZE)[0]
        requests.conclude()
        return [errors[place] for place in range(len(bodies))]

    def _collect(self, type_: int, body: bytes, flags: int) -> Generator[None, None, list[IpvsMessage]]:
        requests = self._open()
        sequence = requests.take_numbers(1)
        requests.ask(message(type_, REQUEST | flags, sequence, body, MARK))
        found, error = _split(requests.receive(_DATAGRAM, sequence))
        received = 1
        while flags and error is None:
            if not received % _SLICE:
                yield
            objects, error = _split(requests.receive(_DATAGRAM, sequence))
            found += objects
            received += 1
        requests.conclude()
        if error:
            raise OSError(error, explain_anywhere(error))
        return found


def _split(datagram: bytes) -> tuple[list[IpvsMessage], int | None]:
    """The objects in a datagram, and the errno by which the answer ends there, if it does."""
    objects: list[IpvsMessage] = []
    for type_, _, start, end in messages(datagram):
        if type_ in (DONE, ERROR):
            return objects, -_result(datagram, start + HEADER_SIZE)[0] if end - start > HEADER_SIZE else 0
        objects.append(IpvsMessage(datagram, start, end))
    return objects, None
