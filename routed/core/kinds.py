"""The table of kinds: how each kind judges what stands under a key, and how it cures it.

A kind of object is one row here. A *judge* says what is wrong, None for nothing; a *cure* gives the operations.
The facts behind the differences between IPv4 and IPv6 routes are measured in docs/explanation/kernel.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from routed.model import names
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.net import FAMILIES, IPV4, IPV6
from routed.model.objects import (
    AddressSlot,
    AddressValue,
    Kind,
    LinkSlot,
    LinkValue,
    Member,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    Slot,
    Value,
)
from routed.model.text import describe_difference

Ours = frozenset[int]
Judge = Callable[[Any, Want, tuple[Value, ...], Ours], Nature | None]  # the first is the slot
Cure = Callable[[Drift, Ours], list[Operation]]

ANY_PROTOCOL: Final = 0  # in a delete request: whoever installed it (fib6_protocol is not compared when it is 0)


def judge_link(_slot: LinkSlot, want: Want, standing: tuple[LinkValue, ...], _ours: Ours) -> Nature | None:
    """One link bears a name, never more. Whose it is does not matter as long as it does its work."""
    if not standing:
        return Nature.MISSING
    return None if is_as_wanted(standing[0], want) else Nature.DIFFERENT


def judge_address(_slot: AddressSlot, want: Want, standing: tuple[AddressValue, ...], ours: Ours) -> Nature | None:
    """One address stands under a key, never more."""
    if not standing:
        return Nature.MISSING
    if standing[0] == want.value:
        return Nature.IN_FRONT if want.is_in_front else None
    return Nature.DIFFERENT if standing[0].protocol in ours else Nature.FOREIGN


def judge_route(slot: RouteSlot, want: Want, standing: tuple[RouteValue, ...], ours: Ours) -> Nature | None:
    """Several aliases may stand under one key; the first is the one that carries traffic."""
    if not standing:
        return Nature.MISSING
    first, *others = standing
    if is_as_wanted(first, want):
        return Nature.EXTRA if any(other.protocol in ours for other in others) else None
    if want.value in others:
        return Nature.BEHIND
    if slot.family == IPV6 and _has_surplus_legs(first, want.value):
        return Nature.EXTRA
    return Nature.DIFFERENT if first.protocol in ours else Nature.FOREIGN


def judge_rule(_slot: RuleSlot, want: Want, standing: tuple[Value, ...], ours: Ours) -> Nature | None:
    """The protocol is part of a rule's key: a stranger's twin stands beside ours and takes nothing from it."""
    if want.value not in standing:
        return Nature.MISSING
    return Nature.EXTRA if any(other != want.value and other.protocol in ours for other in standing) else None


def cure_link(drift: Drift, _ours: Ours) -> list[Operation]:
    """Brought up in place. A link that somebody else made stays theirs: it is not marked, and never deleted."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return _add_or_delete(drift)
    (before,) = drift.standing
    wanted: LinkValue = _wanted(drift)
    return [_operate(Verb.REPLACE, drift, before)._replace(value=wanted._replace(protocol=before.protocol))]


def cure_address(drift: Drift, _ours: Ours) -> list[Operation]:
    """Lifetimes, metric and protocol can be replaced in place; the rest and the place among others cannot."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return _add_or_delete(drift)
    (before,) = drift.standing
    wanted: AddressValue = _wanted(drift)
    in_place = before._replace(
        protocol=wanted.protocol, metric=wanted.metric, deprecated=wanted.deprecated, dynamic=wanted.dynamic
    )
    is_in_place = in_place == wanted and not (drift.want and drift.want.is_in_front)
    verb = Verb.REPLACE if is_in_place else Verb.CHANGE
    return [_operate(verb, drift, before)]


def is_mark_alone(drift: Drift) -> bool:
    """Does an IPv4 address stand as wanted, but under another protocol?

    Before Linux 6.4 it keeps the one that it was made with, whatever a replace says ("net: ipv4: Allow changing IPv4
    address protocol", March 2023).
    """
    if drift.kind is not Kind.ADDRESS or drift.slot.family != IPV4 or not drift.want or not drift.standing:
        return False
    wanted = drift.want.value
    return (
        wanted is not None
        and not drift.want.is_in_front
        and drift.standing[0]._replace(protocol=wanted.protocol) == wanted
    )


def cure_route(drift: Drift, ours: Ours) -> list[Operation]:
    """Never leave the key without a route that carries traffic.

    IPv4 deletes the first alias of which nothing in the request speaks against it, and that may be what was just put:
    less is compared than is told (fib_nh_match in net/ipv4/fib_semantics.c). So a stale one is replaced where it stands
    first, and goes before ours is put where it stands behind a foreign one, and carries nothing.
    """
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return _add_or_delete(drift)
    wanted: RouteValue = _wanted(drift)
    first, *others = drift.standing
    if drift.nature is Nature.EXTRA:
        if drift.want and is_as_wanted(first, drift.want):
            return [_take_away(drift, other) for other in others if other.protocol in ours]
        legs = tuple(hop for hop in first.hops if hop not in wanted.hops)
        return [_take_away(drift, first._replace(hops=legs, protocol=ANY_PROTOCOL))]
    is_ipv4 = drift.slot.family == IPV4
    stale = [_take_away(drift, other) for other in drift.standing if other.protocol in ours and other != wanted]
    if drift.nature is Nature.BEHIND:
        if is_ipv4:  # an identical prepend is refused (EEXIST), so ours, which carries nothing now, goes first
            return [_operate(Verb.CHANGE, drift, wanted), *stale]
        in_front = drift.standing[: drift.standing.index(wanted)]  # nothing can be put in front of them
        return [_take_away(drift, other) for other in in_front] + [gone for gone in stale if gone.value not in in_front]
    if not is_ipv4:
        return _replace_ipv6_aliases(drift, wanted, ours)
    if not others or first.protocol in ours:
        return [_operate(Verb.REPLACE, drift, first), *(gone for gone in stale if gone.value != first)]
    if not stale:
        return [_operate(Verb.PREPEND, drift, first)]
    return [_operate(Verb.CHANGE, drift, stale[0].value), *stale[1:]]


def _replace_ipv6_aliases(drift: Drift, wanted: RouteValue, ours: Ours) -> list[Operation]:
    """Ours takes the place of one alias, and what stood in front of that one goes.

    IPv6 replaces the first alias that has a gateway if ours has one, and none if ours has none, else the first of all
    (fib6_add_rt2node in net/ipv6/ip6_fib.c). Between the legs of a multipath route others may stand that no dump shows
    (rt6_dump_route jumps to its last leg), so one without a gateway is met there first, and the legs go as well.
    """
    standing: tuple[RouteValue, ...] = drift.standing
    at = next((i for i, other in enumerate(standing) if _has_gateway(other) == _has_gateway(wanted)), 0)
    in_front = standing[: at + 1] if len(standing[at].hops) > 1 and not _has_gateway(wanted) else standing[:at]
    stale = tuple(other for other in standing[at + 1 :] if other.protocol in ours and other != wanted)
    return [_operate(Verb.REPLACE, drift, standing[at]), *(_take_away(drift, other) for other in in_front + stale)]


def _has_gateway(value: RouteValue) -> bool:
    return any(hop.gateway for hop in value.hops)


def cure_rule(drift: Drift, ours: Ours) -> list[Operation]:
    """A rule cannot be edited: the new one comes first, then the old one goes."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS} and not drift.want:
        return _add_or_delete(drift)
    wanted = _wanted(drift)
    new = [_operate(Verb.ADD, drift, None)] if drift.nature is Nature.MISSING else []
    old = [_take_away(drift, other) for other in drift.standing if other.protocol in ours and other != wanted]
    return new + old


class Crowd(Enum):
    """What may stand under one key."""

    ALONE = "one object"
    ORDERED = "aliases, of which the first counts"
    BESIDE = "the same object of each protocol, none of which takes anything from another"


class KindRow(NamedTuple):
    """What the core must know of a kind."""

    crowd: Crowd
    judge: Judge
    cure: Cure
    untouchable: frozenset[int]  # protocols of objects that only an explicit on_conflict = "replace" may displace
    families: tuple[int, ...]  # of each there is a dump of its own
    made_by_kernel: Mapping[Slot, frozenset[Member]]  # what a new namespace has, and what is missed when it has gone


# fib_default_rules_init in net/ipv4/fib_rules.c, fib6_rules_net_init in net/ipv6/fib6_rules.c
DEFAULT_RULES: Final[Mapping[Slot, frozenset[Member]]] = {
    RuleSlot(IPV4): frozenset(
        {RuleMember(0, table=255), RuleMember(32766, table=names.TABLE_MAIN), RuleMember(32767, table=253)}
    ),
    RuleSlot(IPV6): frozenset({RuleMember(0, table=255), RuleMember(32766, table=names.TABLE_MAIN)}),
}

KINDS: Final[dict[Kind, KindRow]] = {
    Kind.LINK: KindRow(Crowd.ALONE, judge_link, cure_link, frozenset(), (0,), {}),
    # IFAPROT_KERNEL_LO, _RA and _LL (linux/if_addr.h)
    Kind.ADDRESS: KindRow(Crowd.ALONE, judge_address, cure_address, frozenset({1, 2, 3}), FAMILIES, {}),
    Kind.ROUTE: KindRow(Crowd.ORDERED, judge_route, cure_route, names.NEVER_OURS, FAMILIES, {}),
    Kind.RULE: KindRow(Crowd.BESIDE, judge_rule, cure_rule, names.NEVER_OURS, FAMILIES, DEFAULT_RULES),
}


def is_as_wanted(value: Value, want: Want) -> bool:
    """Is this content the wanted one, or one that is as good?"""
    return value == want.value or value in want.also


def _wanted(drift: Drift) -> Value:
    assert drift.want is not None
    return drift.want.value


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


def _add_or_delete(drift: Drift) -> list[Operation]:
    if drift.nature is Nature.SURPLUS:
        return [_take_away(drift, value) for value in drift.standing]
    return [_operate(Verb.ADD, drift, None)]


def _operate(verb: Verb, drift: Drift, before: Value | None) -> Operation:
    assert drift.want is not None
    return Operation(
        verb,
        drift.kind,
        drift.slot,
        drift.members,
        drift.want.value,
        drift.want.entry,
        describe_difference(drift),
        before,
        drift.nature,
    )


def _take_away(drift: Drift, value: Value) -> Operation:
    entry = drift.want.entry if drift.want else None
    return Operation(
        Verb.DELETE,
        drift.kind,
        drift.slot,
        drift.members,
        value,
        entry,
        describe_difference(drift),
        value,
        drift.nature,
    )
