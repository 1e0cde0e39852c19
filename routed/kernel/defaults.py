"""The routes to destination zero: the default routes, and what comes before them under the same destination.

No filter of the kernel knows a destination, so a dump has to be looked through. Of IPv4 only its beginning: table main
is a trie that is walked in the order of destinations (fib_table_dump in net/ipv4/fib_trie.c), so a host with a million
routes answers as fast as one with ten. Of IPv6 the default route comes last (fib6_walk in net/ipv6/ip6_fib.c), so there
it is the whole, looked through without decoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from routed.kernel import dump
from routed.kernel.codec import messages
from routed.kernel.codec.route import DST_AT, DST_LEN_AT, decode_route, dump_routes
from routed.kernel.requests import RequestSocket
from routed.model.names import TABLE_MAIN
from routed.model.net import IPV4, IPV6
from routed.model.objects import Kind, Scope, Standing

_GET_ROUTE: Final = 26


def read_default_routes(requests: RequestSocket) -> tuple[Standing, ...]:
    """The routes to destination zero, of any length, in the kernel's order: IPv4 of table main, IPv6 of all tables.

    Raises OSError.
    """
    return (*_read_ipv4(requests.deadline), *_read_ipv6(requests))


def _read_ipv4(deadline: float) -> Iterator[Standing]:
    """On a socket of its own, which is closed in the middle of the dump."""
    body = dump_routes(Scope(Kind.ROUTE, IPV4, TABLE_MAIN))
    with RequestSocket(deadline=deadline) as requests:
        return _decode_zeros(dump.read_beginning(requests, _GET_ROUTE, body), 4)


def _read_ipv6(requests: RequestSocket) -> Iterator[Standing]:
    body = dump_routes(Scope(Kind.ROUTE, IPV6))
    for datagram in dump.read_raw(requests, _GET_ROUTE, body):
        yield from _decode_zeros(datagram, 16)


def _decode_zeros(datagram: bytes, width: int) -> Iterator[Standing]:
    zero = bytes(width)
    for _, _, start, end in messages(datagram):
        length = datagram[start + DST_LEN_AT]
        if length and datagram[start + DST_AT : start + DST_AT + width] != zero:
            continue
        route = decode_route(datagram, start, end)
        if route is not None and isinstance(route.member, bytes) and route.member[:-1] == zero:
            yield route
