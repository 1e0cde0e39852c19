"""Next hop objects as requests put and take them, and what goes with one.

Sources: rtm_new_nexthop, replace_nexthop, remove_nexthop and nexthop_flush_dev in net/ipv4/nexthop.c; tried with ``ip``
as well: docs/explanation/kernel.md.
"""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENODEV, ENOENT

from routed.core.linux.routes import find_refusal_of_hop
from routed.core.linux.state import LinuxState
from routed.model.change import Verb
from routed.model.events import KERNEL
from routed.model.net import IPV6
from routed.model.objects import Hop, Key, Kind, NexthopMember, NexthopValue


def insert_nexthop(state: LinuxState, verb: Verb, key: Key, value: NexthopValue, port: int) -> int:
    """RTM_NEWNEXTHOP; returns its errno."""
    error = _find_refusal(state, value)
    if error:
        return error
    standing: NexthopValue | None = next(iter(state.standing(key)), None)
    if standing is not None and verb is not Verb.REPLACE:
        return EEXIST
    if standing is not None and not _can_become(state, key, standing, value):
        return EINVAL
    state.put(key, [value])
    state.notify(key, value, port, flag="replace" if verb is Verb.REPLACE else "excl" if verb is Verb.ADD else "")
    return 0


def delete_nexthop(state: LinuxState, key: Key, _value: NexthopValue, port: int) -> int:
    """RTM_DELNEXTHOP by its number: whose it is does not matter."""
    if not state.standing(key):
        return ENOENT
    _remove(state, key, port)
    return 0


def flush_nexthops(state: LinuxState, ifindex: int) -> None:
    """A link went down, or lost its carrier: its next hops go, without a word."""
    for one in list(state.stand(Kind.NEXTHOP)):
        key = Key(Kind.NEXTHOP, one.slot, one.member)
        if one.value.dev == ifindex and state.standing(key):
            _remove(state, key, KERNEL, is_told=False)


def _remove(state: LinuxState, key: Key, port: int, *, is_told: bool = True) -> None:
    """With it go its routes, of IPv4 without a word, and its legs of groups; a group without a leg goes as well."""
    assert isinstance(key.member, NexthopMember)
    state.take(key, state.standing(key)[0], port, is_told=is_told)
    for route, value in list(state.routes_by(key.member.id)):
        state.take(route, value, is_told=route.slot.family == IPV6)
    for one in list(state.stand(Kind.NEXTHOP)):
        left = tuple(leg for leg in one.value.group if leg.id != key.member.id)
        if left == one.value.group:
            continue
        group = Key(Kind.NEXTHOP, one.slot, one.member)
        if not left:
            _remove(state, group, port, is_told=is_told)
            continue
        changed = one.value._replace(group=left)
        state.put(group, [changed])
        if is_told:
            state.notify(group, changed, port)


def _find_refusal(state: LinuxState, value: NexthopValue) -> int:
    """The errno of a next hop that cannot be, 0 when it can."""
    if value.group:
        ids = [leg.id for leg in value.group]
        legs = [state.find_nexthop(one) for one in ids]
        are_fit = all(leg is not None and not leg.group for leg in legs) and len(set(ids)) == len(ids)
        has_end = any(leg is not None and leg.blackhole for leg in legs)
        return 0 if are_fit and not (has_end and len(legs) > 1) else EINVAL
    if value.blackhole:
        return 0
    if value.dev not in state.links:
        return ENODEV
    return find_refusal_of_hop(
        state, value.way_family, Hop(value.dev, value.gateway, 1, value.onlink), needs_carrier=True
    )


def _can_become(state: LinuxState, key: Key, standing: NexthopValue, value: NexthopValue) -> bool:
    """Neither turns into a group, nor a group into another type of group, and IPv6 routes need one of IPv6."""
    assert isinstance(key.member, NexthopMember)
    if bool(standing.group) is not bool(value.group) or (standing.resilient is None) is not (value.resilient is None):
        return False
    if standing.resilient and value.resilient and standing.resilient.buckets != value.resilient.buckets:
        return False
    has_ipv6_routes = any(route.slot.family == IPV6 for route, _ in state.routes_by(key.member.id))
    return not (has_ipv6_routes and value.way_family not in {0, IPV6})
