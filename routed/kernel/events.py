"""Notifications as events: a table of message types, and a loop that drains the socket.

A storm of routes is thousands of notifications that differ in nothing but their prefix: those become one event.
Here must never live: what an event means, or a reply to it. A message that cannot be read is skipped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import ENOBUFS
from functools import partial
from itertools import chain, groupby
from socket import SOL_SOCKET, socket
from typing import Final, NamedTuple

from routed.kernel.codec import CODECS, Decoder, MalformedMessage
from routed.kernel.codec.address import decode_address
from routed.kernel.codec.attributes import EXCLUSIVE, HEADER, REPLACE
from routed.kernel.codec.link import decode_ipv6, decode_link
from routed.kernel.codec.route import PROTOCOL_AT, TABLE_AT, shape_of_notification, take_prefixes
from routed.kernel.codec.rule import decode_rule
from routed.model.events import AddressEvent, Event, LinkEvent, ObjectEvent, Overrun
from routed.model.names import PROTOCOL_KERNEL, TABLE_LOCAL
from routed.model.objects import AddressMember, AddressValue, Kind, Standing

# One event, or several. Read into a buffer that is kept: one of this size, made anew for each, is mapped and unmapped.
_DATAGRAM: Final = 1 << 18  # bytes
_SO_MEMINFO: Final = 55  # include/uapi/asm-generic/socket.h; its first number is SK_MEMINFO_RMEM_ALLOC
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
        self._is_more = partial(events.getsockopt, SOL_SOCKET, _SO_MEMINFO)  # bytes that wait, of which there are any
        self._buffer = memoryview(bytearray(_DATAGRAM))
        self._held: list[bytes] = []  # that were looked at, and ``read`` gives next
        self._is_alone = False  # … and nothing else
        self._decoder = decoder
        self._readers: dict[int, _Reader] = {
            new + removal: reader
            for new, reader in ((16, _read_link), (20, _read_address), (24, self._read_route), (32, _read_rule))
            for removal in (0, 1)
        }
        for kind, codec in CODECS.items():
            if codec.group:
                self._readers |= dict.fromkeys((codec.new, codec.delete), self._make_reader(kind))

    def peek(self) -> bytes | None:
        """The datagram that waits, if it is the only one. ``read`` gives it all the same."""
        if self._held or (first := self._take()) is None:
            return None
        self._held.append(first)
        return None if self._is_more() else first or None

    def hold_others(self) -> None:
        """The next ``read`` gives nothing but what was looked at."""
        self._is_alone = True

    def read(self) -> list[Event]:
        """What is there now, at most 1024 datagrams. Never blocks. A lost event is an Overrun in its place."""
        events: list[Event] = []
        for _, alike in groupby(self._drain(), shape_of_notification):
            events += self._read_alike(list(alike))
        return events

    def _drain(self) -> Iterator[bytes]:
        """The datagrams that wait. Where some were lost there is an empty one."""
        held, self._held = self._held, []
        is_alone, self._is_alone = self._is_alone, False
        yield from held
        for _ in range(0 if is_alone else _DRAIN):
            datagram = self._take()
            if datagram is None:
                return
            yield datagram

    def _take(self) -> bytes | None:
        """The next datagram; an empty one where some were lost, None where none waits."""
        try:
            size = self._receive(self._buffer)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != ENOBUFS:
                raise
            self.overruns += 1
            return b""
        return self._buffer[:size].tobytes()

    def _read_alike(self, datagrams: list[bytes]) -> list[Event]:
        """Some of one shape: of routes the first of them tells what the others say beside their prefix."""
        first = self._read_datagram(datagrams[0])
        if len(datagrams) == 1:
            return first
        prefixes = take_prefixes(datagrams)
        if prefixes and len(first) == 1 and isinstance(first[0], ObjectEvent):
            return [first[0]._replace(members=prefixes)]
        return list(chain(first, *map(self._read_datagram, datagrams[1:])))

    def _read_datagram(self, datagram: bytes) -> list[Event]:
        if not datagram:
            return [Overrun()]
        events: list[Event] = []
        start, size = 0, len(datagram)
        while start + HEADER.size <= size:
            length, type_, flags, _, port = HEADER.unpack_from(datagram, start)
            end = start + length
            if length < HEADER.size or end > size:
                self._decoder.count_malformed()
                break
            reader = self._readers.get(type_, _ignore)
            try:
                events += reader(datagram, start, end, _Header(type_, flags, port))
            except MalformedMessage:
                self._decoder.count_malformed()
            start += (length + 3) & ~3
        return events

    def _read_route(self, data: bytes, start: int, end: int, header: _Header) -> list[Event]:
        if data[start + TABLE_AT : start + PROTOCOL_AT + 1] == _LOCAL_BY_KERNEL and not header.is_removal:
            return []  # that one came says nothing; that one went may leave an address without it
        route = self._decoder.routes.decode(data, start, end)
        return [] if route is None else [_object_event(Kind.ROUTE, route, header)]

    def _make_reader(self, kind: Kind) -> _Reader:
        """For a kind that is no fact of the host."""
        read_end = CODECS[kind].read_end

        def read(data: bytes, start: int, end: int, header: _Header) -> list[Event]:
            gone = read_end(data, start, end) if read_end else None
            if gone is not None:
                return [_object_event(kind, gone, header._replace(type=header.type | _REMOVAL))]
            return [_object_event(kind, one, header) for one in self._decoder.decode(kind, data[start:end], 0)]

        return read


_LOCAL_BY_KERNEL: Final = bytes((TABLE_LOCAL, PROTOCOL_KERNEL))


def _object_event(kind: Kind, standing: Standing, header: _Header) -> ObjectEvent:
    """The flags of a notification: fib_table_insert in net/ipv4/fib_trie.c, fib6_add_rt2node in net/ipv6/ip6_fib.c."""
    type_, flags, port = header
    slot, member, value = standing
    if type_ & _REMOVAL:
        return ObjectEvent(kind, slot, (member,), value, True, False, False, port)
    return ObjectEvent(kind, slot, (member,), value, False, flags & REPLACE != 0, flags & EXCLUSIVE != 0, port)


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
        ipv6 = decode_ipv6(data, start, end, is_removal=header.is_removal)
        return [] if ipv6 is None else [ipv6]
    standing, link = decoded
    return [LinkEvent(link, header.is_removal), _object_event(Kind.LINK, standing, header)]


def _ignore(_data: bytes, _start: int, _end: int, _header: _Header) -> list[Event]:
    return []
