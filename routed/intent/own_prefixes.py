"""Own prefixes: which sources of routes lie in a prefix that another route of the files makes this host's own.

Each address of the prefix of a route of type local is an address of this host, as far as IPv4 is concerned, whether or
not a link holds it. Here must never live what the host has beside the files: that is a fact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from routed.model.entries import Entry, RouteEntry
from routed.model.names import LOCAL, TABLE_LOCAL
from routed.model.net import ADDRESS_LENGTH, IPV4, network_of


def note_own_sources(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries, of which those know it whose ``src`` the kernel takes for the sake of another entry.

    It looks for it in the table of the route, and in table local (fib_valid_prefsrc in net/ipv4/fib_semantics.c). IPv6
    takes what a link holds alone (ip6_route_info_create in net/ipv6/route.c).
    """
    entries = tuple(entries)
    routes = [entry for entry in entries if isinstance(entry, RouteEntry)]
    own = {(route.table, prefix) for route in routes if route.type == LOCAL for prefix in route.prefixes.get(IPV4, ())}
    if not own:
        return entries
    noted = {
        id(one): replace(
            one,
            is_src_routed=_is_in(one, own),
            append=tuple(replace(way, is_src_routed=_is_in(way, own)) for way in one.append),
        )
        for one in routes
        if any(_is_in(way, own) for way in one.ways)
    }
    return tuple(noted.get(id(entry), entry) for entry in entries)


def _is_in(entry: RouteEntry, own: set[tuple[int, bytes]]) -> bool:
    if len(entry.src) != ADDRESS_LENGTH[IPV4]:
        return False
    networks = [network_of(entry.src, length) for length in range(33)]
    return any((table, network) in own for table in (entry.table, TABLE_LOCAL) for network in networks)
