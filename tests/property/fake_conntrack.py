"""Connection tracking in memory, as Linux 6.18 was seen to behave, spoken to in the bytes of netfilter's netlink.

It reads and writes messages by itself, so that a mistake of the codec does not cancel out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from errno import EINVAL, ENOENT
from struct import pack, unpack
from typing import Final, NamedTuple

from routed.kernel.codec.attributes import ACK, DONE, ERROR, HEADER, attribute, message, walk

V4: Final = 2
GET, DELETE, NEW = 0x101, 0x102, 0x100
NESTED: Final = 0x8000


class Tracked(NamedTuple):
    """One flow."""

    family: int
    protocol: int
    client: bytes
    client_port: int
    target: bytes
    target_port: int
    source: bytes  # of its answers
    source_port: int
    zone: int = 0
    number: int = 1

    def write_tuple(self, *, is_reply: bool) -> bytes:
        ends = (self.source, self.client) if is_reply else (self.client, self.target)
        ports = (self.source_port, self.client_port) if is_reply else (self.client_port, self.target_port)
        first = 1 if self.family == V4 else 3
        ip = b"".join(attribute(first + place, end) for place, end in enumerate(ends))
        proto = attribute(1, bytes((self.protocol,)))
        proto += b"".join(attribute(2 + place, pack("!H", port)) for place, port in enumerate(ports))
        return attribute(1 | NESTED, ip) + attribute(2 | NESTED, proto)

    def write(self) -> bytes:
        tuples = (attribute(1 + one | NESTED, self.write_tuple(is_reply=bool(one))) for one in (0, 1))
        zone = attribute(18, pack("!H", self.zone)) if self.zone else b""
        rest = attribute(8, bytes(4)) + zone + attribute(12, pack("!I", self.number)) + attribute(7, bytes(4))
        return pack("=BBH", self.family, 0, 0) + b"".join(tuples) + rest


@dataclass(slots=True)
class FakeConntrack:
    """The flows of one network namespace."""

    flows: list[Tracked] = field(default_factory=list)
    knows_filters: bool = True  # since Linux 5.8
    refuse: int = 0  # the errno of each question
    piece: int = 2  # flows in one datagram of a dump
    between: Callable[[], None] = lambda: None  # two datagrams of a dump
    doubles: bool = False  # does a dump show a flow again?
    dumps: int = 0
    sockets: int = 0  # that are open

    def connect(self) -> FakeSocket:
        self.sockets += 1
        return FakeSocket(self)

    def answer(self, type_: int, body: bytes) -> Iterator[list[tuple[int, bytes]]]:
        """The datagrams of an answer."""
        if self.refuse:
            yield [(ERROR, pack("=i", -self.refuse) + bytes(16))]
        elif type_ == GET:
            self.dumps += 1
            yield from self._dump(body[0], walk(body, 4, len(body)))
        else:
            yield [(ERROR, pack("=i", -self._delete(body[0], walk(body, 4, len(body)))) + bytes(16))]

    def _dump(self, family: int, asked: dict[int, bytes]) -> Iterator[list[tuple[int, bytes]]]:
        shown = [flow for flow in self.flows if flow.family == family and self._passes(flow, asked)]
        shown += shown[:1] if self.doubles else []
        for start in range(0, len(shown), self.piece):
            yield [(NEW, flow.write()) for flow in shown[start : start + self.piece]]
            self.between()
        yield [(DONE, pack("=i", 0))]

    def _passes(self, flow: Tracked, asked: dict[int, bytes]) -> bool:
        if not self.knows_filters or 25 not in asked:
            return True
        flags = walk(asked[25], 0, len(asked[25]))
        return all(
            _matches(asked[one], flow.write_tuple(is_reply=one == 2), unpack("=I", flags[one])[0], flow.family)
            for one in (1, 2)
        )

    def _delete(self, family: int, asked: dict[int, bytes]) -> int:
        assert 1 in asked, "that would be all flows of all protocols"
        zone = unpack("!H", asked[18])[0] if 18 in asked else 0
        for flow in self.flows:
            if (flow.family, flow.write_tuple(is_reply=False), flow.zone) == (family, asked[1], zone):
                if unpack("!I", asked[12])[0] != flow.number:
                    break
                self.flows.remove(flow)
                return 0
        return ENOENT


def _matches(asked: bytes, shown: bytes, flags: int, family: int) -> bool:
    """ctnetlink_filter_match_tuple: of IPv6 it takes equal addresses for different ones."""
    wanted, standing = (_spread(one) for one in (asked, shown))
    for bit, name in ((0, "src"), (1, "dst")):
        if flags >> bit & 1 and (wanted[name] == standing[name]) != (family == V4):
            return False
    return all(wanted[name] == standing[name] for bit, name in ((3, 1), (4, 2), (5, 3)) if flags >> bit & 1)


def _spread(nest: bytes) -> dict[str | int, bytes]:
    parts = walk(nest, 0, len(nest))
    ip, proto = (walk(parts.get(one, b""), 0, len(parts.get(one, b""))) for one in (1, 2))
    found: dict[str | int, bytes] = {"src": ip.get(1) or ip.get(3) or b"", "dst": ip.get(2) or ip.get(4) or b""}
    return found | dict(proto)


class FakeSocket:
    """Answers ``QuestionSocket``."""

    def __init__(self, kernel: FakeConntrack) -> None:
        self.kernel = kernel
        self.waiting: deque[tuple[int, Iterator[list[tuple[int, bytes]]]]] = deque()
        self.next_number = 1

    def take_numbers(self, count: int) -> int:
        first = self.next_number
        self.next_number += count
        return first

    def ask(self, packed: bytes | bytearray) -> None:
        data, start = bytes(packed), 0
        while start < len(data):
            length, type_, flags, sequence, _ = HEADER.unpack_from(data, start)
            assert type_ == GET or flags & ACK
            self.waiting.append((sequence, self.kernel.answer(type_, data[start + 16 : start + length])))
            start += (length + 3) & ~3

    def receive(self, size: int, first: int, count: int = 1) -> bytes:
        while self.waiting:
            sequence, datagrams = self.waiting[0]
            for one in datagrams:
                assert 0 <= sequence - first < count
                datagram = b"".join(message(type_, 2, sequence, body) for type_, body in one)
                assert len(datagram) <= size
                return datagram
            self.waiting.popleft()
        raise OSError(EINVAL, "nothing comes any more")

    def conclude(self) -> None:
        self.waiting.clear()

    def close(self) -> None:
        self.kernel.sockets -= 1
