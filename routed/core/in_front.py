"""What stands in front: which routes and rules would decide about a packet, were it not for others.

It is found by taking away what decides, again and again, and asking anew. So what is named is what is in the way: once
it is gone, the other one decides. Here must never live: whose the objects are that are asked about.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from routed.core.lookup import explain
from routed.core.tables import TOS_OF_ROUTES, list_covering, make_packet
from routed.model import names
from routed.model.fib import Explanation, Fib, FibRoute, FibRule, WayStep
from routed.model.net import IPV4, family_of, is_inside
from routed.model.reasons import AtRule, InTheWay, NotFor, Reason

MOST: Final = 32  # objects that are taken away before it is given up

FibObject: TypeAlias = FibRoute | FibRule


class Contender(NamedTuple):
    """A route or a rule that is asked about."""

    object: FibObject
    stands: bool = True  # else: what if it did?


class Outranked(NamedTuple):
    """Why one of them does not decide."""

    contender: Contender
    why: Reason | None  # None where nothing is in its way but that it does not stand
    in_front: tuple[FibObject, ...] = ()  # without these it would decide, if it stood; the first decides now
    passed: tuple[WayStep, ...] = ()  # the rules that lead to its table, where none leads this packet there


def find_decider(explained: Explanation) -> FibObject | None:
    """The object that decides: the route, or the rule that drops the packet by itself."""
    return explained.route or explained.rule


def find_behind(fib: Fib, explained: Explanation, contenders: Iterable[Contender]) -> tuple[Outranked, ...]:
    """Of these the ones that are for this packet, and do not decide about it."""
    return tuple(
        behind
        for contender in contenders
        if contender.object not in {explained.route, explained.rule}
        and (behind := _look_behind(fib, explained, contender)) is not None
    )


def _look_behind(fib: Fib, explained: Explanation, contender: Contender) -> Outranked | None:
    wanted = contender.object
    if not contender.stands:
        fib = fib.add_route(wanted) if isinstance(wanted, FibRoute) else fib.add_rule(wanted)
    in_front = _clear_the_way(fib, explained, wanted)
    if in_front is not None:
        return Outranked(contender, _classify(wanted, in_front[0]) if in_front else None, in_front)
    if isinstance(wanted, FibRule):
        return None  # the steps say why it was passed
    passed = tuple(step for step in explain(fib, explained.question).steps if _leads_to(fib, step.rule, wanted))
    return Outranked(contender, _why_unreached(fib, explained, wanted, passed), passed=passed)


def _clear_the_way(fib: Fib, explained: Explanation, wanted: FibObject) -> tuple[FibObject, ...] | None:
    """What has to go until this one decides; None where that does not help."""
    gone: list[FibObject] = []
    while len(gone) <= MOST:
        found = explain(fib, explained.question)
        decider = find_decider(found)
        if decider == wanted or (isinstance(wanted, FibRule) and found.rule == wanted):
            return tuple(gone)
        if decider is None:
            return None
        gone.append(decider)
        fib = fib.remove(decider)
    return None


def _classify(wanted: FibObject, first: FibObject) -> InTheWay:
    """How the one that decides comes before this one."""
    if isinstance(first, FibRule) or isinstance(wanted, FibRule) or first.slot[:2] != wanted.slot[:2]:
        return InTheWay.EARLIER_RULE
    if first.prefix[-1] != wanted.prefix[-1]:
        return InTheWay.MORE_SPECIFIC
    if first.slot.source != wanted.slot.source:
        return InTheWay.MORE_SPECIFIC_SOURCE
    if first.slot.tos != wanted.slot.tos:
        return InTheWay.TOS
    return InTheWay.LOWER_METRIC if first.slot.metric < wanted.slot.metric else InTheWay.FIRST


def _leads_to(fib: Fib, rule: FibRule, route: FibRoute) -> bool:
    """Does this rule lead some packets to the table of the route? One of VRFs leads to that of each."""
    member, table = rule.member, route.slot.table
    if member.l3mdev:
        return any(link.table == table for link in fib.links.values())
    return member.action == names.TO_TABLE and member.table == table


def _why_unreached(fib: Fib, explained: Explanation, route: FibRoute, passed: tuple[WayStep, ...]) -> Reason:
    """Why nothing brings this packet to a route, whatever is taken away."""
    if not any(_is_selected(step) for step in passed):
        return InTheWay.NOT_REACHED
    packet = make_packet(fib, explained.question.destination, explained.question.flow)
    slot = route.slot
    if slot.tos and slot.tos != packet.tos & TOS_OF_ROUTES:
        return InTheWay.OTHER_TOS
    if slot.source and not is_inside(packet.source, slot.source):
        return InTheWay.OTHER_SOURCE
    if route in _list_unseen(fib, explained, route):
        return InTheWay.UNSEEN
    suppressed = next((step.why for step in passed if step.why in {AtRule.TOO_WIDE, AtRule.OF_GROUP}), None)
    if suppressed is not None:
        return suppressed
    usable = [hop for place, hop in enumerate(route.value.hops) if place not in route.dead]
    if not usable and route.value.type not in names.TYPES_WITHOUT_HOP:
        return InTheWay.DEAD
    is_bound = packet.oif and (slot.family == IPV4 or packet.is_strict)
    return InTheWay.OTHER_LINK if is_bound and all(hop.dev != packet.oif for hop in usable) else InTheWay.NOT_REACHED


def _is_selected(step: WayStep) -> bool:
    return not isinstance(step.why, NotFor) and step.why not in {AtRule.EXCLUDED, AtRule.JUMPED_OVER, AtRule.UNREADABLE}


def _list_unseen(fib: Fib, explained: Explanation, route: FibRoute) -> tuple[FibRoute, ...]:
    """What the kernel would not look at if nothing but the routes of this table to this very prefix were there."""
    place = (route.slot.family, route.slot.table)
    alone = Fib(fib.rules, {place: {route.prefix: fib.tables[place][route.prefix]}}, fib.links, fib.own)
    return explain(alone, explained.question).unseen


def list_for(fib: Fib, destination: bytes) -> list[FibRoute]:
    """Every route of every table whose prefix holds this address."""
    family = family_of(destination)
    return [
        route
        for (of_family, _), table in fib.tables.items()
        if of_family == family
        for routes in list_covering(table, destination)
        for route in routes
    ]
