"""Routes. The facts behind the differences between IPv4 and IPv6 are measured in docs/explanation/kernel.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from routed.core.kinds.cures import add_or_delete, is_as_wanted, operate, take_away, wanted_of
from routed.core.kinds.nexthop import name_nexthop
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.net import ADDRESS_LENGTH, DEFAULT, IPV4, IPV6, network_of
from routed.model.objects import Key, Kind, RouteSlot, RouteValue, Scope
from routed.model.owner import Stamp
from routed.model.reasons import FirstContact, Reason

ANY_PROTOCOL: Final = 0  # in a delete request: whoever installed it (fib6_protocol is not compared when it is 0)


def judge_route(slot: RouteSlot, want: Want, standing: tuple[RouteValue, ...], stamp: Stamp) -> Nature | None:
    """Several aliases may stand under one key; the first is the one that carries traffic."""
    if want.value is not None and want.value.append:
        from routed.core.kinds.arrange import judge_order  # noqa: PLC0415  only who has several pays for it

        return judge_order(want, standing, stamp)
    if not standing:
        return Nature.MISSING
    first, *others = standing
    if is_as_wanted(first, want):
        return Nature.EXTRA if any(stamp(other).is_ours for other in others) else None
    if want.value in others:
        return Nature.BEHIND
    if slot.family == IPV6 and _has_surplus_legs(first, want.value):
        return Nature.EXTRA
    return Nature.DIFFERENT if stamp(first).is_ours else Nature.FOREIGN


def cure_route(drift: Drift, stamp: Stamp) -> list[Operation]:
    """Never leave the key without a route that carries traffic.

    IPv4 deletes the first alias that fits the request, and compares less than the request says (fib_nh_match in
    net/ipv4/fib_semantics.c): it may delete the route that was just put. So a stale route of ours that stands first is
    replaced in its place. One that stands behind a foreign route carries nothing, and is deleted before ours is put.
    """
    if drift.nature is not Nature.SURPLUS and wanted_of(drift).append:
        from routed.core.kinds.arrange import cure_order  # noqa: PLC0415  as above

        return [cure_order(drift, stamp)]
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return add_or_delete(drift)
    wanted: RouteValue = wanted_of(drift)
    first, *others = drift.standing
    if drift.nature is Nature.EXTRA:
        if drift.want and is_as_wanted(first, drift.want):
            return [take_away(drift, other) for other in others if stamp(other).is_ours]
        legs = tuple(hop for hop in first.hops if hop not in wanted.hops)
        return [take_away(drift, first._replace(hops=legs, protocol=ANY_PROTOCOL))]
    is_ipv4 = drift.slot.family == IPV4
    stale = [take_away(drift, other) for other in drift.standing if stamp(other).is_ours and other != wanted]
    if drift.nature is Nature.BEHIND:
        if is_ipv4:  # an identical prepend is refused (EEXIST), so ours, which carries nothing now, goes first
            return [operate(Verb.CHANGE, drift, wanted), *stale]
        in_front = drift.standing[: drift.standing.index(wanted)]  # nothing can be put in front of them
        return [take_away(drift, other) for other in in_front] + [gone for gone in stale if gone.value not in in_front]
    if not is_ipv4:
        return _replace_ipv6_aliases(drift, wanted, stamp)
    if not others or stamp(first).is_ours:
        return [operate(Verb.REPLACE, drift, first), *(gone for gone in stale if gone.value != first)]
    if not stale:
        return [operate(Verb.PREPEND, drift, first)]
    return [operate(Verb.CHANGE, drift, stale[0].value), *stale[1:]]


def _replace_ipv6_aliases(drift: Drift, wanted: RouteValue, stamp: Stamp) -> list[Operation]:
    """Ours takes the place of one alias, and what stood in front of that one goes.

    IPv6 replaces the first alias that has a gateway if ours has one, and none if ours has none, else the first of all
    (fib6_add_rt2node in net/ipv6/ip6_fib.c). Between the legs of a multipath route others may stand that no dump shows
    (rt6_dump_route jumps to its last leg), so one without a gateway is met there first, and the legs go as well.
    """
    standing: tuple[RouteValue, ...] = drift.standing
    at = next((i for i, other in enumerate(standing) if _has_gateway(other) == _has_gateway(wanted)), 0)
    in_front = standing[: at + 1] if len(standing[at].hops) > 1 and not _has_gateway(wanted) else standing[:at]
    stale = tuple(other for other in standing[at + 1 :] if stamp(other).is_ours and other != wanted)
    return [operate(Verb.REPLACE, drift, standing[at]), *(take_away(drift, other) for other in in_front + stale)]


def _has_gateway(value: RouteValue) -> bool:
    return any(hop.gateway for hop in value.hops)


def _has_surplus_legs(first: RouteValue, wanted: RouteValue | None) -> bool:
    """Is this our route with legs that a stranger appended? Only IPv6 merges them (fib6_add_rt2node)."""
    return (
        wanted is not None
        and bool(wanted.hops)
        and bool(wanted.hops[0].gateway)
        and len(first.hops) > len(wanted.hops)
        and first._replace(hops=wanted.hops) == wanted
        and set(wanted.hops) < set(first.hops)
    )


def find_scope_of_routes(kind: Kind, slot: RouteSlot) -> Scope:
    """A dump can be narrowed to one table."""
    return Scope(kind, slot.family, slot.table)


def rank_route(prefix: bytes, value: RouteValue) -> int:
    """On-link before via: a gateway must be reached when a route names it. So must a source, which may be routed."""
    if value.append:
        return max(rank_route(prefix, one) for one in value.aliases)
    return 2 * _has_gateway(value) + bool(value.src)


def find_nexthop(value: RouteValue) -> tuple[Key, ...]:
    """The next hop object that it uses."""
    if value.append:
        return tuple(name_nexthop(one.nhid) for one in value.aliases if one.nhid)
    return (name_nexthop(value.nhid),) if value.nhid else ()


def find_links_of_routes(_prefixes: Iterable[bytes], values: Iterable[RouteValue]) -> set[int]:
    """A route stands on the links of all its next hops."""
    return {hop.dev for value in values for one in value.aliases for hop in one.hops}


def is_way_to(watched: frozenset[bytes], prefixes: Iterable[bytes]) -> bool:
    """A route to what is watched moves its packets."""
    return not watched.isdisjoint(prefixes)


def opens_network(value: RouteValue) -> bool:
    """A gateway is reached over a route that has none. That of a next hop object is not known here."""
    if value.append:
        return any(map(opens_network, value.aliases))
    return bool(value.nhid) or any(not hop.gateway for hop in value.hops)


def list_lifelines(slot: RouteSlot, ssh_peers: frozenset[bytes]) -> Mapping[bytes, Reason]:
    """The default route, and each that covers a live SSH peer."""
    return _list_lifelines(slot.family, ssh_peers)


@lru_cache(maxsize=4)  # every pass asks for each slot
def _list_lifelines(family: int, ssh_peers: frozenset[bytes]) -> Mapping[bytes, Reason]:
    found: dict[bytes, Reason] = {DEFAULT[family]: FirstContact()}
    for peer in sorted(ssh_peers):
        if len(peer) == ADDRESS_LENGTH[family]:
            why = FirstContact(peer)
            found = {network_of(peer, length): why for length in range(len(peer) * 8 + 1)} | found
    return found


def list_prefixes_of_route(_slot: RouteSlot, prefix: bytes) -> tuple[bytes, ...]:
    """Where packets go to."""
    return (prefix,)
