"""The source that the kernel chooses for a packet of IPv4 that nobody has given one.

Of IPv6 it is not known here, but where the route says it: the kernel weighs each address of the host then (RFC 6724).
Here must never live: which route decides (``core.lookup``).
Sources: fib_select_path and fib_result_prefsrc in net/ipv4/fib_semantics.c, inet_select_addr and in_dev_select_addr in
net/ipv4/devinet.c, ip_route_output_key_hash_rcu in net/ipv4/route.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from routed.core.lookup import find_vrf
from routed.model import names
from routed.model.fib import Explanation, Fib, FibAddress
from routed.model.net import ADDRESS_LENGTH, IPV4, family_of, is_inside, network_of
from routed.model.objects import Hop
from routed.model.reasons import Aside

_LOOPBACK: Final = "lo"  # the first link of every namespace
NONE: Final = bytes(ADDRESS_LENGTH[IPV4])  # no address fits: the packet goes without one


def choose_source(fib: Fib, explained: Explanation) -> bytes | None:
    """The source of this packet (packed); None where it is not known, or there is no packet."""
    question, route = explained.question, explained.route
    if question.flow.source or question.flow.iif:
        return question.flow.source or None
    if explained.errno or explained.equals or explained.otherwise is not None:
        return None
    is_ipv4 = family_of(question.destination) == IPV4
    if explained.aside is Aside.ON_LINK:
        return _select(fib, explained.hops[0], names.LINK)
    if explained.aside is not None or route is None:
        return None
    vrf = find_vrf(fib, question.flow.oif)
    if vrf and any(find_vrf(fib, fib.name_link(hop.dev)) != vrf for hop in explained.hops):
        return _select(fib, Hop(fib.links[vrf].ifindex), names.LINK) if is_ipv4 else None  # whatever the route says
    if route.value.src:
        return route.value.src
    if route.value.type == names.LOCAL and is_ipv4:
        return question.destination
    if not is_ipv4 or route.value.type != names.UNICAST:
        return None
    chosen = {_select(fib, hop, route.value.scope) for hop in explained.hops}
    return chosen.pop() if len(chosen) == 1 else None


def _select(fib: Fib, hop: Hop, scope: int) -> bytes | None:
    """The first address of the link beside its gateway, else its first at all, else one of another link."""
    near = [one for one in list_primaries(fib.addresses) if one.dev == hop.dev and one.scope <= scope]
    gateway = hop.gateway if len(hop.gateway) == ADDRESS_LENGTH[IPV4] else b""
    beside = (one for one in near if not gateway or is_inside(gateway, _network_of(one)))
    best = next(beside, None) or next(iter(near), None)
    return best.address if best else _select_elsewhere(fib, hop.dev, scope)


def _select_elsewhere(fib: Fib, dev: int, scope: int) -> bytes | None:
    """Of lo, or of the VRF in place of it, comes first. None where several other links could give one.

    In which order the kernel goes through those it tells nobody.
    """
    vrf = find_vrf(fib, fib.name_link(dev))
    first: dict[int, bytes] = {}
    for one in list_primaries(fib.addresses):
        if one.scope <= scope and one.scope != names.LINK and find_vrf(fib, fib.name_link(one.dev)) == vrf:
            first.setdefault(one.dev, one.address)
    leading = fib.links.get(vrf or _LOOPBACK)
    if leading is not None and leading.ifindex in first:
        return first[leading.ifindex]
    chosen = set(first.values()) or {NONE}
    return chosen.pop() if len(chosen) == 1 else None


def list_primaries(addresses: Iterable[FibAddress]) -> Iterator[FibAddress]:
    """Those that are the first of their network on their link: all others are secondary, and never chosen."""
    seen: set[tuple[int, bytes]] = set()
    for one in addresses:
        place = (one.dev, _network_of(one))
        if place not in seen:
            seen.add(place)
            yield one


def _network_of(one: FibAddress) -> bytes:
    return network_of(one.peer or one.address, one.prefixlen)
