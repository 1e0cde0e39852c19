"""Swallowed: gateways of a tunnel whose outer packets would go into that tunnel again, where they are lost.

The kernel drops a packet that would leave by the link that made it (ip_tunnel_xmit in net/ipv4/ip_tunnel.c). Here
belongs what the files alone tell: a narrower route of the host may lead to the gateway all the same, so it is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from routed.intent.crosscheck import Clash
from routed.model import net
from routed.model.entries import Entry, RouteEntry, TunnelEntry
from routed.model.names import TABLE_MAIN
from routed.model.prefixes import PrefixSet


def find_swallowed(entries: Sequence[Entry]) -> Iterator[Clash]:
    """One notice for each route that leads over a tunnel to a gateway which the files lead into that tunnel as well."""
    tunnels = {entry.link for entry in entries if isinstance(entry, TunnelEntry)}
    routes = [entry for entry in entries if isinstance(entry, RouteEntry) and entry.table == TABLE_MAIN]
    find_best = _index(routes)
    for route in routes:
        for hop in route.every_hop:
            found = find_best(hop.via) if hop.via and hop.dev in tunnels else None
            if found is not None and {leg.dev for leg in found[1].every_hop} == {hop.dev}:
                prefix, other = found
                yield Clash(
                    route,
                    (),
                    f"packets within packets to {net.format_address(hop.via)} would go into {hop.dev} again, by"
                    f" {net.format_destination(prefix)} of {other.name} at {other.origin}, and be lost: it takes a"
                    " narrower route to that gateway",
                    is_notice=True,
                )
                break


def _index(routes: Iterable[RouteEntry]) -> Callable[[bytes], tuple[bytes, RouteEntry] | None]:
    """Address → the longest prefix that holds it, and whose it is; of equals the one of the lowest metric."""
    owners: dict[bytes, RouteEntry] = {}
    crowds: list[tuple[PrefixSet, RouteEntry]] = []
    for route in sorted(routes, key=lambda route: route.metric or 0):
        for prefixes in route.prefixes.values():
            if isinstance(prefixes, PrefixSet):
                crowds.append((prefixes, route))
            else:
                owners.update((prefix, route) for prefix in prefixes - owners.keys())

    lengths = sorted({prefix[-1] for prefix in owners}, reverse=True) if not crowds else range(128, -1, -1)

    @cache
    def find_best(address: bytes) -> tuple[bytes, RouteEntry] | None:
        for length in (length for length in lengths if length <= len(address) * 8):
            prefix = net.network_of(address, length)
            crowd = (route for prefixes, route in crowds if prefix in prefixes)
            if route := owners.get(prefix) or next(crowd, None):
                return prefix, route
        return None

    return find_best
