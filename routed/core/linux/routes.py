"""Routes as requests put and take them: aliases for IPv4, legs for IPv6.

Sources: fib_table_insert and fib_table_delete in net/ipv4/fib_trie.c, fib_nh_match in net/ipv4/fib_semantics.c,
fib6_add_rt2node in net/ipv6/ip6_fib.c, ip6_route_del in net/ipv6/route.c; all were tried out with ``ip`` as well.
"""

from __future__ import annotations

from errno import EEXIST, EHOSTUNREACH, EINVAL, ENETDOWN, ENETUNREACH, ENODEV, ESRCH
from typing import Final

from routed.core.linux.aliases import ANY_PROTOCOL, find_met
from routed.core.linux.lookup import find_in_main
from routed.core.linux.state import LinuxState
from routed.model import names
from routed.model.change import Verb
from routed.model.net import IPV4, IPV6, is_inside, network_of, parse_prefix
from routed.model.objects import Hop, Key, Kind, NexthopValue, RouteSlot, RouteValue, Value

LINK_LOCAL: Final = parse_prefix("fe80::/10")


def insert_route(state: LinuxState, verb: Verb, key: Key, value: RouteValue, port: int) -> int:
    """RTM_NEWROUTE: aliases for IPv4, legs for IPv6."""
    error = _find_refusal(state, key.slot.family, value)
    if error:
        return error
    standing = list(state.standing(key))
    if not standing:
        state.put(key, [value])
        is_multipath = key.slot.family == IPV6 and len(value.hops) > 1  # ip6_route_multipath_add knows no EXCL here
        flag = "excl" if not is_multipath else "replace" if verb is Verb.REPLACE else ""
        state.notify(key, value, port, flag=flag)
        return 0
    if verb is Verb.ADD:
        return EEXIST
    if verb is Verb.REPLACE:
        return _replace_first(state, key, standing, value, port)
    return _add_beside(state, verb, key, standing, value, port)


def _replace_first(state: LinuxState, key: Key, standing: list[RouteValue], value: RouteValue, port: int) -> int:
    if key.slot.family == IPV4 and value in standing:
        return 0 if standing[0] == value else EEXIST
    state.put(key, [value, *standing[1:]])
    state.notify(key, value, port, flag="replace")
    return 0


def _add_beside(
    state: LinuxState, verb: Verb, key: Key, standing: list[RouteValue], value: RouteValue, port: int
) -> int:
    if value in standing:
        return EEXIST
    if key.slot.family == IPV6 and _merges(value):
        for index, host in enumerate(standing):
            if _merges(host):
                if set(value.hops) <= set(host.hops):
                    return EEXIST
                more = tuple(hop for hop in value.hops if hop not in host.hops)  # rt6_add_sibling: at the end
                standing[index] = host._replace(hops=host.hops + more)
                state.put(key, standing)
                state.notify(key, standing[index], port)
                return 0
    is_first = verb is Verb.PREPEND and key.slot.family == IPV4
    state.put(key, [value, *standing] if is_first else [*standing, value])
    state.notify(key, value, port)
    return 0


def delete_route(state: LinuxState, key: Key, value: RouteValue, port: int) -> int:
    """RTM_DELROUTE by full specification; protocol 0 is anybody's."""
    standing = state.standing(key)
    if key.slot.family == IPV4 or not value.hops:
        at = find_met(value, standing)
        if at is None:
            return ESRCH
        state.take(key, standing[at], port)
        return 0
    for candidate in standing:
        if value.protocol not in {ANY_PROTOCOL, candidate.protocol} or value.type != candidate.type:
            continue
        gone = _find_legs(value, candidate)
        if gone:
            take_legs(state, key, candidate, gone, port)
            return 0
    return ESRCH


def _find_legs(asked: RouteValue, standing: RouteValue) -> tuple[Hop, ...]:
    """The legs of an IPv6 route that go: for each that is asked for the first over its gateway (ip6_route_del)."""
    left = list(standing.hops)
    gone = []
    for mine in asked.hops:
        theirs = next((hop for hop in left if (hop.dev, hop.gateway) == (mine.dev, mine.gateway)), None)
        if theirs is not None:
            left.remove(theirs)
            gone.append(theirs)
    return tuple(gone)


def take_legs(state: LinuxState, key: Key, route: RouteValue, gone: tuple[Hop, ...], port: int) -> None:
    """Some legs of an IPv6 route go; with the last one it goes itself."""
    left = tuple(hop for hop in route.hops if hop not in gone)
    if len(left) == 1:
        left = (left[0]._replace(weight=1),)
    changed = [route._replace(hops=left)] if left else []
    values: list[Value] = []
    for value in state.standing(key):
        values += changed if value == route else [value]
    state.put(key, values)
    state.notify(key, route._replace(hops=gone), port, is_removal=True)


def _merges(route: RouteValue) -> bool:
    """Can this IPv6 route be a leg of another (rt6_qualify_for_ecmp)?"""
    return bool(route.hops) and all(hop.gateway for hop in route.hops)


def _find_refusal(state: LinuxState, family: int, value: RouteValue) -> int:
    """The errno of a route that cannot be, 0 when it can."""
    if value.nhid:
        nexthop = state.find_nexthop(value.nhid)
        if nexthop is None or (family == IPV6 and not _is_for_ipv6(state, nexthop)):
            return EINVAL
    for hop in value.hops:
        if error := find_refusal_of_hop(state, family, hop):
            return error
    return EINVAL if value.src and not (state.is_local(value.src) or _is_routed_here(state, value.src)) else 0


def _is_routed_here(state: LinuxState, address: bytes) -> bool:
    """Does a route of table local make this the host's own? Asked for IPv4 alone (fib_valid_prefsrc)."""
    networks = {network_of(address, length) for length in state.lengths.get(IPV4, ())} if len(address) == 4 else set()
    return any(
        value.type == names.LOCAL
        for slot, members in state.objects[Kind.ROUTE].items()
        if isinstance(slot, RouteSlot) and (slot.family, slot.table) == (IPV4, names.TABLE_LOCAL)
        for network in networks & members.keys()
        for value in members[network]
    )


def _is_for_ipv6(state: LinuxState, nexthop: NexthopValue) -> bool:
    """IPv4 routes take all, IPv6 routes none of IPv4 (fib6_check_nexthop)."""
    legs = [state.find_nexthop(leg.id) for leg in nexthop.group]
    return nexthop.way_family in {0, IPV6} and all(leg is None or leg.way_family == IPV6 for leg in legs)


def find_refusal_of_hop(state: LinuxState, family: int, hop: Hop, *, needs_carrier: bool = False) -> int:
    """The errno of a next hop that cannot be, 0 when it can."""
    if hop.dev not in state.links:
        return ENODEV
    if (needs_carrier and not state.links[hop.dev].has_carrier) or (not hop.gateway and not state.is_up(hop.dev)):
        return ENETDOWN
    if hop.gateway and not _reaches(state, hop):
        return ENETUNREACH if family == IPV4 else EHOSTUNREACH
    return 0


def _reaches(state: LinuxState, hop: Hop) -> bool:
    if not state.is_up(hop.dev):
        return False
    if hop.onlink or is_inside(hop.gateway, LINK_LOCAL):
        return True
    best = find_in_main(state, hop.gateway)
    return best is not None and any(leg.dev == hop.dev and not leg.gateway for leg in best.hops)
