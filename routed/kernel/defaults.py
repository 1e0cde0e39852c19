"""The routes to destination zero: the default routes, and what comes before them under the same destination.

No filter of the kernel knows a destination, so a dump has to be looked through. Of IPv4 only its beginning: table main
is a trie that is walked in the order of destinations (fib_table_dump in net/ipv4/fib_trie.c), so a host with a million
routes answers as fast as one with ten. Of IPv6 the default route comes last (fib6_walk in net/ipv6/ip6_fib.c), so there
it is the whole, looked through without decoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, socket
from struct import Struct
from typing import Final

from routed.kernel import dump
from routed.kernel.codec import messages
from routed.kernel.codec.attributes import DUMP, DUMP_INTERRUPTED, ERROR, HEADER_SIZE, REQUEST, attribute_u32, message
from routed.kernel.codec.route import decode_route
from routed.model.names import TABLE_MAIN
from routed.model.net import IPV4, IPV6
from routed.model.objects import Standing

_HEAD: Final = Struct("=BBBBBBBBI")  # struct rtmsg
_GET_ROUTE: Final = 26
_TABLE: Final = 15
_NETLINK_ROUTE: Final = 0
_SOL_NETLINK: Final = 270
_STRICT: Final = 12  # NETLINK_GET_STRICT_CHK: without it the table would not be asked for
_DATAGRAM: Final = 1 << 16  # bytes
_ATTEMPTS: Final = 30
_DST_LEN_AT: Final = 1
_DST_AT: Final = HEADER_SIZE + _HEAD.size + 8 + 4  # of a route with a destination: behind RTA_TABLE and a header


def read_default_routes(requests: socket) -> tuple[Standing, ...]:
    """The routes to destination zero, of any length, in the kernel's order: IPv4 of table main, IPv6 of all tables.

    Raises OSError.
    """
    return (*_read_ipv4(), *_read_ipv6(requests))


def _read_ipv4() -> list[Standing]:
    """On a socket of its own, which is closed in the middle of the dump."""
    body = _HEAD.pack(IPV4, 0, 0, 0, 0, 0, 0, 0, 0) + attribute_u32(_TABLE, TABLE_MAIN)
    for _ in range(_ATTEMPTS):
        with socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, _NETLINK_ROUTE) as asked:
            asked.setsockopt(_SOL_NETLINK, _STRICT, 1)
            asked.send(message(_GET_ROUTE, REQUEST | DUMP, 1, body))
            datagram = asked.recv(_DATAGRAM)
        told = messages(datagram)
        if not any(flags & DUMP_INTERRUPTED for _, flags, _, _ in told):
            return list(_decode_zeros(datagram, 4))
    raise dump.DumpInterrupted


def _read_ipv6(requests: socket) -> Iterator[Standing]:
    body = _HEAD.pack(IPV6, 0, 0, 0, 0, 0, 0, 0, 0)
    for datagram in dump.read_raw(requests, _GET_ROUTE, body):
        yield from _decode_zeros(datagram, 16)


def _decode_zeros(datagram: bytes, width: int) -> Iterator[Standing]:
    zero = bytes(width)
    for type_, _, start, end in messages(datagram):
        if type_ <= ERROR + 1:  # NLMSG_ERROR, or NLMSG_DONE
            continue
        length = datagram[start + HEADER_SIZE + _DST_LEN_AT]
        if length and datagram[start + _DST_AT : start + _DST_AT + width] != zero:
            continue
        route = decode_route(datagram, start, end)
        if route is not None and isinstance(route.member, bytes) and route.member[:-1] == zero:
            yield route
