"""The way of a packet: which rules it passes and why, and what decides about it. A model of what Linux does.

Everything is a value: a ``Fib`` in, an ``Explanation`` out. What the kernel itself says is compared with it in
``core.agreement``. Here must never live: whose a rule or a route is, or a word for a person.
Sources: fib_rules_lookup in net/core/fib_rules.c; fib4_rule_match, fib4_rule_action and fib4_rule_suppress in
net/ipv4/fib_rules.c and those of IPv6 in net/ipv6/fib6_rules.c; ip_route_output_key_hash_rcu and ip_route_input_slow in
net/ipv4/route.c; l3mdev_update_flow and l3mdev_fib_rule_match in net/l3mdev/l3mdev.c, vrf_link_scope_lookup in
drivers/net/vrf.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from errno import ENETUNREACH
from functools import partial
from typing import Final, NamedTuple

from routed.core.entrance import look_at_entrance
from routed.core.rules import DEAD_ENDS, RULE_ERRORS, WORDS, fits_ports
from routed.core.tables import (
    TOS_OF_ROUTES,
    Packet,
    TableAnswer,
    is_for_several,
    is_multicast,
    look_in_table,
    make_packet,
    needs_link,
)
from routed.model import names
from routed.model.attributes import has_more_than_a_rule
from routed.model.fib import Explanation, Fib, FibRoute, FibRule, WayStep
from routed.model.lookup import Flow, Question
from routed.model.net import IPV4, family_of, is_inside, is_loopback
from routed.model.objects import Hop, RuleMember
from routed.model.reasons import Aside, AtRule, NotFor, Reason

_LOOPBACK: Final = "lo"  # by which this host's own packets come in (LOOPBACK_IFINDEX)
_UDP: Final = 17  # as which the kernel takes a packet of IPv4 of which nothing else is said (inet_rtm_getroute)
_GROUPS: Final = 4  # bits that 224.0.0.0/4 has; a route for more than groups leads no group to its gateway


class _View(NamedTuple):
    """A packet as rules see it."""

    fib: Fib
    question: Question
    packet: Packet
    iif: str
    oif: str
    vrf: str  # the name of the VRF to which its link belongs, or that it is bound to; "" for none
    vrf_table: int


def explain(fib: Fib, question: Question) -> Explanation:
    """What decides about this packet. The links that the question names have to be there."""
    view = _make_view(fib, question)
    is_ipv4 = family_of(question.destination) == IPV4
    if (
        not is_ipv4
        and view.vrf
        and view.oif
        and needs_link(question.destination)
        and not is_loopback(question.destination)
    ):
        return _look_in_vrf(view)
    if is_ipv4 and view.oif and not fib.links[view.oif].is_up:
        return Explanation(question, (), errno=ENETUNREACH, aside=Aside.LINK_DOWN)
    if _is_decided_without_tables(view):
        hops = (Hop(fib.links[view.oif].ifindex),) if view.oif else ()
        return Explanation(question, (), hops=hops, aside=Aside.MULTICAST)
    walked = _walk(view)
    if not is_ipv4:
        return look_at_entrance(fib, walked, _walk_anew)
    link = fib.links.get(view.oif)
    if walked.errno and link and not view.vrf:
        return walked._replace(errno=0, hops=(Hop(link.ifindex),), aside=Aside.ON_LINK)
    if is_for_several(question.destination):
        return _leave_out_gateways(walked)
    return look_at_entrance(fib, walked, _walk_anew)


def _look_in_vrf(view: _View) -> Explanation:
    """IPv6: what means something on one link only is looked up in the table of its VRF, whatever the rules say."""
    if view.oif == view.vrf:
        return Explanation(view.question, (), errno=ENETUNREACH, aside=Aside.VRF_ITSELF)
    found = look_in_table(view.fib, view.vrf_table, view.packet)
    route = found.route
    errno = DEAD_ENDS.get(route.value.type, 0) if route else ENETUNREACH
    return Explanation(view.question, (), None, route, found.hops, errno, Aside.VRF_TABLE, unseen=found.unseen)


def _leave_out_gateways(walked: Explanation) -> Explanation:
    """IPv4: what is for everybody goes to no gateway, and what is for a group to that of a route for groups alone.

    So it is in __mkroute_output. What comes in, or is bound to a link, never gets here.
    """
    route, address = walked.route, walked.question.destination
    if route is None or route.value.type != names.UNICAST or not any(hop.gateway for hop in walked.hops):
        return walked
    if is_multicast(address) and route.prefix[-1] >= _GROUPS:
        return walked
    hops = tuple(hop._replace(gateway=b"") for hop in walked.hops)
    return walked._replace(hops=hops, aside=Aside.NO_GATEWAY)


def _walk_anew(fib: Fib, question: Question, came_by: str) -> Explanation:
    return _walk(_make_view(fib, question, came_by))


def _walk(view: _View, passed: frozenset[FibRule] = frozenset()) -> Explanation:
    """Go through the rules. Those that are ``passed`` send a flow on that goes by a hop of the group they suppress."""
    steps: list[WayStep] = []
    unseen: tuple[FibRoute, ...] = ()
    rules = view.fib.list_rules(family_of(view.question.destination))
    jump = -1  # the priority to which a goto leads
    for rule in rules:
        if rule.member.priority < jump:
            steps.append(WayStep(rule, AtRule.JUMPED_OVER))
            continue
        jump = -1
        why = _why_not(rule.member, view)
        if why is not None:
            steps.append(WayStep(rule, why))
            continue
        member = rule.member
        if member.action == names.GOTO:
            is_there = any(one.member.priority == member.target for one in rules)
            jump = member.target if is_there else -1
            steps.append(WayStep(rule, AtRule.JUMPS if is_there else AtRule.NO_TARGET))
        elif member.action == names.NOP:
            steps.append(WayStep(rule, AtRule.NOTHING))
        elif member.action != names.TO_TABLE:
            steps.append(WayStep(rule, AtRule.DROPS))
            errno = RULE_ERRORS.get(member.action, DEAD_ENDS[names.BLACKHOLE])
            return Explanation(view.question, tuple(steps), rule, errno=errno, unseen=unseen)
        else:
            step, found = _look_by(rule, view, is_passed=rule in passed)
            steps.append(step)
            unseen += found.unseen
            if step.why is AtRule.DECIDES:
                return _conclude(view, tuple(steps), found, unseen, passed)
    return Explanation(view.question, tuple(steps), errno=ENETUNREACH, unseen=unseen)


def _conclude(
    view: _View,
    steps: tuple[WayStep, ...],
    found: TableAnswer,
    unseen: tuple[FibRoute, ...],
    passed: frozenset[FibRule],
) -> Explanation:
    """The last step found a route that decides."""
    rule, route = steps[-1].rule, found.route
    assert route is not None
    left = _leave_out_group(view, rule, found)
    return Explanation(
        view.question,
        steps,
        rule,
        route,
        left,
        DEAD_ENDS.get(route.value.type, 0),
        equals=_list_equals(view, found),
        unseen=unseen,
        otherwise=None if left == found.hops else _walk(view, passed | {rule}),
    )


def _leave_out_group(view: _View, rule: FibRule, found: TableAnswer) -> tuple[Hop, ...]:
    """The hops that are not of a group that the rule suppresses. Of IPv4 the first hop counts for all."""
    group, fib = rule.member.suppress_ifgroup, view.fib
    if group < 0 or family_of(view.question.destination) == IPV4:
        return found.hops
    return tuple(hop for hop in found.hops if fib.find_group(hop.dev) != group)


def _look_by(rule: FibRule, view: _View, *, is_passed: bool = False) -> tuple[WayStep, TableAnswer]:
    """Look in the table of a rule."""
    member = rule.member
    # `not … l3mdev` is for what is in no VRF, and 0 is table main to the kernel (fib_get_table, fib6_get_table)
    table = (view.vrf_table or names.TABLE_MAIN) if member.l3mdev else member.table
    found = look_in_table(view.fib, table, view.packet)
    route = found.route
    if route is None:
        return WayStep(rule, AtRule.NOT_USABLE if found.unusable else AtRule.NO_ROUTE, found.unusable), found
    if view.fib.is_merged and table == names.TABLE_LOCAL and route.slot.table != table:
        passed = next(iter(_list_in(view, table)), None)
        return WayStep(rule, AtRule.MERGED if passed else AtRule.NO_ROUTE, passed), TableAnswer()
    if route.value.type == names.THROW:
        return WayStep(rule, AtRule.THROWN, route), found
    is_dropped = route.value.type in DEAD_ENDS  # of these nothing is suppressed
    if not is_dropped and route.prefix[-1] <= member.suppress_prefixlength:
        return WayStep(rule, AtRule.TOO_WIDE, route), found
    if not is_dropped and (is_passed or _is_of_group(view, rule, found)):
        return WayStep(rule, AtRule.OF_GROUP, route), found
    return WayStep(rule, AtRule.DECIDES, route), found


def _is_of_group(view: _View, rule: FibRule, found: TableAnswer) -> bool:
    """Is the link by which the packet would leave of the group that the rule suppresses?"""
    group = rule.member.suppress_ifgroup
    if group < 0 or not found.route or not found.route.value.hops:
        return False
    if found.route.slot.family == IPV4:
        return view.fib.find_group(found.route.value.hops[0].dev) == group
    return not _leave_out_group(view, rule, found)


def _list_in(view: _View, table: int) -> Iterator[FibRoute]:
    """The routes of one table that are for this packet, were they alone."""
    found = look_in_table(
        Fib(tables={place: those for place, those in view.fib.tables.items() if place[1] == table}), table, view.packet
    )
    if found.route is not None:
        yield found.route


def _list_equals(view: _View, found: TableAnswer) -> tuple[FibRoute, ...]:
    """Default routes of IPv4 with the metric of the one that was found (fib_select_default): with it, if there are any.

    The kernel takes the first whose gateway is not known to be silent. It does so for its own packets only.
    """
    route = found.route
    assert route is not None
    flow = view.question.flow
    is_asked = not (flow.iif or view.packet.oif or route.prefix[-1]) and route.slot.family == IPV4
    if not is_asked or len(route.value.hops) != 1:
        return ()
    there = view.fib.tables[route.slot.family, route.slot.table][route.prefix]
    equals = tuple(one for one in there if one.slot == route.slot and _has_near_gateway(one))
    return equals if len(equals) > 1 and route in equals else ()


def _has_near_gateway(route: FibRoute) -> bool:
    return route.value.type == names.UNICAST and bool(route.value.hops and route.value.hops[0].gateway)


# --- rules ----------------------------------------------------------------------------------------------------------


def _why_not(rule: RuleMember, view: _View) -> Reason | None:
    """Why a rule is not for this packet; None where it is."""
    if has_more_than_a_rule(rule.extra):
        return AtRule.UNREADABLE
    misfit = _find_misfit(rule, view)
    if rule.inverted:
        return None if misfit else AtRule.EXCLUDED
    return NotFor(misfit) if misfit else None


def _find_misfit(rule: RuleMember, view: _View) -> str:
    return next((word for word, fits in SELECTORS.items() if not fits(rule, view)), "")


def _fits_source(rule: RuleMember, view: _View) -> bool:
    """IPv4 takes a source that is not chosen yet for 0.0.0.0, and IPv6 for one that no rule is for."""
    if not rule.source:
        return True
    is_known = bool(view.question.flow.source) or len(rule.source) == 5
    return is_known and is_inside(view.packet.source, rule.source)


def _fits_tos(rule: RuleMember, view: _View) -> bool:
    mask = TOS_OF_ROUTES if family_of(view.question.destination) == IPV4 else 0xFC
    return not rule.tos or rule.tos == view.question.flow.tos & mask


def _fits_link(name: str, given: str, vrf: str) -> bool:
    return not name or name in {given, vrf}


def _fits_word(fits: Callable[[RuleMember, Flow], bool], rule: RuleMember, view: _View) -> bool:
    return not rule.extra or fits(rule, view.question.flow)


# Each selector of a rule by the word of ``ip rule``, and whether it fits a packet. Of several that do not fit the
# first is told.
SELECTORS: Final[Mapping[str, Callable[[RuleMember, _View], bool]]] = {
    "from": _fits_source,
    "to": lambda rule, view: not rule.destination or is_inside(view.question.destination, rule.destination),
    "iif": lambda rule, view: _fits_link(rule.iif, view.iif, "" if view.oif else view.vrf),
    "oif": lambda rule, view: _fits_link(rule.oif, view.oif, view.vrf if view.oif else ""),
    "fwmark": lambda rule, view: not (rule.fwmark ^ view.question.flow.mark) & rule.fwmask,
    "l3mdev": lambda rule, view: not rule.l3mdev or bool(view.vrf_table),
    "tos": _fits_tos,
    "uidrange": lambda rule, view: (
        rule.uidrange is None or rule.uidrange[0] <= (view.question.flow.uid or 0) <= rule.uidrange[1]
    ),
    "ipproto": lambda rule, view: rule.ipproto in {0, view.question.flow.ipproto},
    "sport": lambda rule, view: fits_ports("sport", rule, view.question.flow.sport),
    "dport": lambda rule, view: fits_ports("dport", rule, view.question.flow.dport),
    **{word: partial(_fits_word, fits) for word, fits in WORDS.items()},
}


def _make_view(fib: Fib, question: Question, came_by: str = "") -> _View:
    """``came_by`` is the link in whose VRF it is looked up, if it is in one, whatever else is said of the packet."""
    flow = question.flow
    if flow.iif:  # what comes in is sent by nobody here
        flow = flow._replace(uid=0, oif="")
    if family_of(question.destination) == IPV4 and not flow.ipproto:
        flow = flow._replace(ipproto=_UDP)
    question = question._replace(flow=flow)
    oif = question.flow.oif
    vrf = find_vrf(fib, came_by) or find_vrf(fib, oif or flow.iif)
    bound = fib.links.get(vrf)
    packet = make_packet(fib, question.destination, question.flow)
    return _View(fib, question, packet, flow.iif or _LOOPBACK, oif, vrf, bound.table if bound else 0)


def find_vrf(fib: Fib, name: str) -> str:
    """The VRF that a link is, or belongs to (l3mdev_master_ifindex_rcu in net/l3mdev/l3mdev.c)."""
    link = fib.links.get(name)
    if link is None or link.table:
        return name if link else ""
    master = fib.name_link(link.master)
    return master if master and fib.links[master].table else ""


def _is_decided_without_tables(view: _View) -> bool:
    """IPv4: multicast and broadcast that has a link needs no table."""
    flow = view.question.flow
    return is_for_several(view.question.destination) and bool(flow.iif or flow.oif)
