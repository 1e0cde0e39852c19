"""The routes of a benchmark, as text and as ready-made netlink requests.

Independent of the code under test: not a line of routed is used here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

IPV4, IPV6 = int(socket.AF_INET), int(socket.AF_INET6)
VIA: Final = {IPV4: "10.0.0.2", IPV6: "fd00::2"}
DEV: Final = "v0"

HEADER: Final = Struct("=IHHII")  # struct nlmsghdr
_ROUTE: Final = Struct("=BBBBBBBBI")  # struct rtmsg
_ATTRIBUTE: Final = Struct("=HH")  # struct rtattr
_UNSIGNED: Final = Struct("=I")

NEW_ROUTE, DELETE_ROUTE, GET_ROUTE = 24, 25, 26
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
CREATE, EXCLUSIVE = 0x400, 0x200
_TABLE_MAIN: Final = 254
_UNICAST, _BLACKHOLE = 1, 6
_DST, _OIF, _GATEWAY, _NEXT_HOP_OBJECT = 1, 4, 5, 30


class Routes(NamedTuple):
    """So many routes in table main, a window over an endless row of prefixes."""

    count: int  # type: ignore[assignment]  # a tuple can count as well, and nobody asks it
    sort: str = "gateway"  # or "blackhole"
    family: int = IPV4
    first: int = 0

    @property
    def numbers(self) -> range:
        """Which of the row."""
        return range(self.first, self.first + self.count)

    def __str__(self) -> str:
        version = "IPv6 " if self.family == IPV6 else ""
        return f"{self.count:,} {version}{self.sort}".replace(",", " ")


def length_of(family: int) -> int:
    """The prefix length of all routes of a family."""
    return 24 if family == IPV4 else 64


def pack(family: int, number: int) -> bytes:
    """A prefix of the row, packed, in ascending order: 11.0.0.0/24 …, 2001:db8::/64 …."""
    if family == IPV4:
        return (0x0B000000 + (number << 8)).to_bytes(4, "big")
    return ((0x20010DB8 << 32) + number).to_bytes(8, "big") + bytes(8)


def write_prefixes(routes: Routes) -> Iterator[str]:
    """The prefixes as `ip` writes them."""
    to_text, family = socket.inet_ntop, routes.family
    length = length_of(family)
    for number in routes.numbers:
        yield f"{to_text(family, pack(family, number))}/{length}"


def make_requests(routes: Routes, protocol: int, oif: int, *, is_removal: bool = False) -> bytes:
    """A request for each route, all of one length, the destination first among the attributes."""
    size = 4 if routes.family == IPV4 else 16
    is_blackhole = routes.sort == "blackhole"
    tail = b""
    if not is_blackhole:
        gateway = socket.inet_pton(routes.family, VIA[routes.family])
        tail = _ATTRIBUTE.pack(4 + size, _GATEWAY) + gateway + _ATTRIBUTE.pack(8, _OIF) + _UNSIGNED.pack(oif)
    length = HEADER.size + _ROUTE.size + _ATTRIBUTE.size + size + len(tail)
    type_, flags = (DELETE_ROUTE, REQUEST) if is_removal else (NEW_ROUTE, REQUEST | CREATE | EXCLUSIVE)
    kind = _BLACKHOLE if is_blackhole else _UNICAST
    head = (
        HEADER.pack(length, type_, flags, 0, 0)
        + _ROUTE.pack(routes.family, length_of(routes.family), 0, 0, _TABLE_MAIN, protocol, 0, kind, 0)
        + _ATTRIBUTE.pack(4 + size, _DST)
    )
    return b"".join([head + pack(routes.family, number) + tail for number in routes.numbers])


def make_dump_request(family: int, protocol: int) -> bytes:
    """Ask for the routes of table main with this protocol; the kernel filters where strict checks are on."""
    body = _ROUTE.pack(family, 0, 0, 0, _TABLE_MAIN, protocol, 0, 0, 0)
    return HEADER.pack(HEADER.size + len(body), GET_ROUTE, REQUEST | DUMP, 1, 0) + body


def make_deletion(data: bytes, start: int, end: int) -> bytes:
    """The request that deletes a route, by what the kernel says of it in the message that lies there."""
    at = start + HEADER.size + _ROUTE.size
    attributes: dict[int, bytes] = {}
    while at + _ATTRIBUTE.size <= end:
        size, type_ = _ATTRIBUTE.unpack_from(data, at)
        aligned = max(4, (size + 3) & ~3)
        attributes[type_] = data[at : at + aligned]
        at += aligned
    if _NEXT_HOP_OBJECT in attributes:  # then the kernel will not hear of the hop that it is
        attributes.pop(_GATEWAY, None)
        attributes.pop(_OIF, None)
    body = data[start + HEADER.size :][: _ROUTE.size] + b"".join(attributes.values())
    return HEADER.pack(HEADER.size + len(body), DELETE_ROUTE, REQUEST | ACK, 1, 0) + body


def find_destination(data: bytes | memoryview, start: int, end: int) -> bytes:
    """RTA_DST of the route message that lies there; empty for a default route."""
    at = start + HEADER.size + _ROUTE.size
    while at + _ATTRIBUTE.size <= end:
        size, type_ = _ATTRIBUTE.unpack_from(data, at)
        if type_ == _DST:
            return bytes(data[at + 4 : at + size])
        at += max(4, (size + 3) & ~3)
    return b""
