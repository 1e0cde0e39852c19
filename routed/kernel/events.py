"""Notifications as events: a table of message types, and a loop that drains the socket.

Here must never live: what an event means, or a reply to it. A message that cannot be read is skipped and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ENOBUFS
from socket import socket
from typing import Final, NamedTuple

from routed.kernel.codec import Decoder, MalformedMessage
from routed.kernel.codec.address import decode_address
from routed.kernel.codec.attributes import EXCLUSIVE, HEADER, REPLACE
from routed.kernel.codec.link import decode_link
from routed.kernel.codec.route import PROTOCOL_AT, TABLE_AT
from routed.kernel.codec.rule import decode_rule
from routed.model.events import AddressEvent, Event, LinkEvent, ObjectEvent, Overrun
from routed.model.names import PROTOCOL_KERNEL, TABLE_LOCAL
from routed.model.objects import AddressMember, AddressValue, Kind, Standing

# One event, or several. Read into a buffer that is kept: one of this size, made anew for each, is mapped and unmapped.
_DATAGRAM: Final = 1 << 18  # bytes
_DRAIN: Final = 1024  # datagrams at a time, so that a storm cannot keep the caller from everything else
_REMOVAL: Final = 1  # RTM_NEW… is even, RTM_DEL… the odd number after it


class _Header(NamedTuple):
    """What the header of a notification says beside its length."""

    type: int
    flags: int
    port: int

    @property
    def is_removal(self) -> bool:
        return self.type & _REMOVAL != 0


_Reader = Callable[[bytes, int, int, _Header], list[Event]]  # (datagram, start, end, header) → events


class EventReader:
    """Drains one event socket. Shares the decoder, and so the memo of route shapes, with the dumps."""

    def __init__(self, events: socket, decoder: Decoder) -> None:
        self.overruns = 0
        self._receive = events.recv_into
        self._buffer = memoryview(bytearray(_DATAGRAM))
        self._decoder = decoder
        self._readers: dict[int, _Reader] = {
            new + removal: reader
            for new, reader in ((16, _read_link), (20, _read_address), (24, self._read_route), (32, _read_rule))
            for removal in (0, 1)
        }

    def read(self) -> list[Event]:
        """What is there now, at most 1024 datagrams. Never blocks. A lost event is an Overrun in its place."""
        events: list[Event] = []
        for _ in range(_DRAIN):
            try:
                size = self._receive(self._buffer)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise
                self.overruns += 1
                events.append(Overrun())
                continue
            self._read_datagram(self._buffer[:size].tobytes(), events)
        return events

    def _read_datagram(self, datagram: bytes, events: list[Event]) -> None:
        start, size = 0, len(datagram)
        while start + HEADER.size <= size:
            length, type_, flags, _, port = HEADER.unpack_from(datagram, start)
            end = start + length
            if length < HEADER.size or end > size:
                self._decoder.count_malformed()
                return
            reader = self._readers.get(type_, _ignore)
            try:
                events += reader(datagram, start, end, _Header(type_, flags, port))
            except MalformedMessage:
                self._decoder.count_malformed()
            start += (length + 3) & ~3

    def _read_route(self, data: bytes, start: int, end: int, header: _Header) -> list[Event]:
        if data[start + TABLE_AT : start + PROTOCOL_AT + 1] == _LOCAL_BY_KERNEL:
            return []
        route = self._decoder.routes.decode(data, start, end)
        return [] if route is None else [_object_event(Kind.ROUTE, route, header)]


_LOCAL_BY_KERNEL: Final = bytes((TABLE_LOCAL, PROTOCOL_KERNEL))


def _object_event(kind: Kind, standing: Standing, header: _Header) -> ObjectEvent:
    """The flags of a notification: fib_table_insert in net/ipv4/fib_trie.c, fib6_add_rt2node in net/ipv6/ip6_fib.c."""
    type_, flags, port = header
    if type_ & _REMOVAL:
        return ObjectEvent(kind, *standing, True, False, False, port)
    return ObjectEvent(kind, *standing, False, flags & REPLACE != 0, flags & EXCLUSIVE != 0, port)


def _read_rule(data: bytes, start: int, end: int, header: _Header) -> list[Event]:
    rule = decode_rule(data, start, end)
    return [] if rule is None else [_object_event(Kind.RULE, rule, header)]


def _read_address(data: bytes, start: int, end: int, header: _Header) -> list[Event]:
    decoded = decode_address(data, start, end)
    if decoded is None:
        return []
    standing, fact = decoded
    assert isinstance(standing.member, AddressMember)
    assert isinstance(standing.value, AddressValue)
    return [
        AddressEvent(standing.member, fact, header.is_removal, header.port, is_dynamic=standing.value.dynamic),
        _object_event(Kind.ADDRESS, standing, header),
    ]


def _read_link(data: bytes, start: int, end: int, header: _Header) -> list[Event]:
    decoded = decode_link(data, start, end)
    if decoded is None:
        return []
    standing, link = decoded
    return [LinkEvent(link, header.is_removal), _object_event(Kind.LINK, standing, header)]


def _ignore(_data: bytes, _start: int, _end: int, _header: _Header) -> list[Event]:
    return []
