"""Lifelines: what a plan would do to the few addresses that the host lives by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest

from routed.core.guard import may_cut_off
from routed.core.lifelines import Guarded, Lived, find_flows, hold_back, keep_lifelines, leave_out
from routed.model import names
from routed.model.change import Nature, Operation, Plan, Verb
from routed.model.lookup import PLAIN, Around, Decision, Exact, Flow
from routed.model.net import IPV4, parse_address, parse_prefix
from routed.model.objects import Hop, Key, Kind, RouteSlot, RouteValue, RuleMember, RuleSlot, RuleValue, Standing
from routed.model.prefixes import Packed
from routed.model.reasons import CutsOff, Flaw, Lifeline
from tests.property.rig import OURS, THEIRS, a_route, route_key

PEER = parse_address("10.9.0.7")
SESSION: Final = Lived(PEER, Lifeline.SESSION)
DEFAULT_ROUTE: Final = Lived(bytes(4), Lifeline.DEFAULT)
MAIN = RouteSlot(IPV4, names.TABLE_MAIN, 0)
ENTRY = a_route("drop")
DROP = RouteValue(names.BLACKHOLE, OURS)
RULES = (
    RuleMember(0, table=names.TABLE_LOCAL),
    RuleMember(32766, table=names.TABLE_MAIN),
    RuleMember(32767, table=names.TABLE_DEFAULT),
)


def via(prefix: str, protocol: int = THEIRS, slot: RouteSlot = MAIN) -> Standing:
    return Standing(slot, parse_prefix(prefix), RouteValue(names.UNICAST, protocol, hops=(Hop(1),)))


def put(*prefixes: str, value: RouteValue = DROP, slot: RouteSlot = MAIN) -> Operation:
    members = tuple(map(parse_prefix, prefixes))
    return Operation(Verb.ADD, Kind.ROUTE, slot, members, value, ENTRY, Flaw.MISSING)


def take(standing: Standing) -> Operation:
    members = (standing.member,)
    value = standing.value
    return Operation(Verb.DELETE, Kind.ROUTE, standing.slot, members, value, None, Flaw.UNWANTED, nature=Nature.SURPLUS)


def put_rule(rule: RuleMember) -> Operation:
    return Operation(Verb.ADD, Kind.RULE, RuleSlot(IPV4), (rule,), RuleValue(OURS), ENTRY, Flaw.MISSING)


def keep(
    *operations: Operation,
    now: Standing | None,
    lived: Lived = SESSION,
    around: Sequence[Standing] = (),
    rules: Sequence[RuleMember] = RULES,
    spared: frozenset[Key] = frozenset(),
) -> Plan:
    """What is left of this plan where this decides now and that stands around it."""
    guarded = Guarded(lambda _: rules, lambda _key, _entry: True, spared=lambda key: key in spared)
    keeping = keep_lifelines(Plan(operations), [lived], guarded)
    answer: Any
    try:
        asked = next(keeping)
        while True:
            if isinstance(asked, Around):
                answer = [one for one in around if one.slot == MAIN and asked.table == names.TABLE_MAIN]
            elif isinstance(asked, Exact):
                answer = [now] if now else []
            else:
                answer = Decision(now)
            asked = keeping.send(answer)
    except StopIteration as end:
        plan: Plan = end.value
        return plan


def held(plan: Plan) -> list[Any]:
    return [member for refusal in plan.refusals for member in refusal.drift.members]


def test_a_dead_end_that_would_decide_is_held_back_and_the_rest_of_its_list_is_not() -> None:
    plan = keep(put("10.0.0.0/8", "192.0.2.0/24"), now=via("0.0.0.0/0"))
    assert held(plan) == [parse_prefix("10.0.0.0/8")]
    (operation,) = plan.operations
    assert operation.members == (parse_prefix("192.0.2.0/24"),)
    (refusal,) = plan.refusals
    assert refusal.by_guard
    assert refusal.reason == CutsOff(Lifeline.SESSION, PEER)
    assert refusal.drift.want is not None
    assert refusal.drift.want.entry is ENTRY


def test_containment_alone_is_no_reason() -> None:
    plan = Plan((put("10.0.0.0/8"),))
    assert keep(*plan.operations, now=via("10.9.0.0/16")) == plan
    assert keep(*plan.operations, now=via("10.9.0.7/32", names.PROTOCOL_KERNEL)) == plan


def test_a_route_of_the_same_plan_may_carry_it() -> None:
    way = put("10.9.0.0/16", value=RouteValue(names.UNICAST, OURS, hops=(Hop(1),)))
    assert not held(keep(put("10.0.0.0/8"), way, now=via("0.0.0.0/0")))


def test_a_list_that_has_it_in_many_lengths_is_held_back_in_each() -> None:
    lengths = [f"{prefix}" for prefix in ("10.9.0.7/32", "10.9.0.0/24", "10.9.0.0/16")]
    assert held(keep(put(*lengths), now=via("10.9.0.0/17"))) == [parse_prefix(one) for one in lengths[:2]]


def test_the_metric_decides_between_equal_prefixes() -> None:
    behind = MAIN._replace(metric=700)
    assert not held(keep(put("10.0.0.0/8", slot=behind), now=via("10.0.0.0/8", slot=MAIN._replace(metric=600))))
    assert held(keep(put("10.0.0.0/8", slot=behind), now=via("10.0.0.0/8", slot=MAIN._replace(metric=800))))


def test_a_table_to_which_no_rule_leads_decides_nothing_until_one_does() -> None:
    elsewhere = put("10.0.0.0/8", slot=RouteSlot(IPV4, 100, 0))
    assert not held(keep(elsewhere, now=via("0.0.0.0/0")))
    assert held(keep(elsewhere, put_rule(RuleMember(50, table=100)), now=via("0.0.0.0/0")))
    selecting = RuleMember(50, table=100, source=parse_prefix("192.0.2.0/24"))
    assert not held(keep(elsewhere, put_rule(selecting), now=via("0.0.0.0/0")))


def test_a_rule_that_drops_is_held_back_where_it_would_come_first() -> None:
    drops = RuleMember(50, action=names.BLACKHOLE)
    assert held(keep(put_rule(drops), now=via("0.0.0.0/0"))) == [drops]
    assert not held(keep(put_rule(drops._replace(priority=40000)), now=via("0.0.0.0/0")))
    assert not held(keep(put_rule(drops._replace(destination=parse_prefix("192.0.2.0/24"))), now=via("0.0.0.0/0")))


def test_the_packets_of_a_session_are_told_apart_by_the_sources_that_rules_ask_for() -> None:
    own = [parse_address(text) for text in ("10.0.0.1", "10.0.0.2", "10.1.0.1")]
    assert find_flows(RULES, own) == [PLAIN]
    selecting = RuleMember(50, table=100, source=parse_prefix("10.0.0.0/24"))
    assert find_flows([*RULES, selecting], own) == [Flow(own[0]), Flow(own[2])]
    assert find_flows([*RULES, selecting], []) == [PLAIN]


def test_a_dead_end_in_the_table_of_a_source_is_held_back_and_one_that_such_packets_never_meet_is_not() -> None:
    selecting = RuleMember(50, table=100, source=parse_prefix("10.0.0.0/24"))
    table = RouteSlot(IPV4, 100, 0)
    mine = Lived(PEER, Lifeline.SESSION, Flow(parse_address("10.0.0.1")))
    now, rules = via("0.0.0.0/0", slot=table), (RULES[0], selecting, *RULES[1:])
    assert held(keep(put("10.0.0.0/8", slot=table), now=now, lived=mine, rules=rules))
    assert not held(keep(put("10.0.0.0/8"), now=now, lived=mine, rules=rules))


def test_what_has_no_way_now_has_none_to_lose() -> None:
    assert not held(keep(put("10.0.0.0/8"), now=None))


def test_the_only_way_to_a_session_is_not_taken_away_and_one_of_two_is() -> None:
    ours = via("10.9.0.0/16", OURS)
    assert held(keep(take(ours), now=ours)) == [ours.member]
    assert not held(keep(take(ours), now=ours, around=[ours, via("0.0.0.0/0")]))
    dropped = Standing(MAIN, parse_prefix("10.0.0.0/8"), DROP)
    assert held(keep(take(ours), now=ours, around=[ours, via("0.0.0.0/0"), dropped])) == [ours.member]
    assert not held(keep(take(ours), now=ours, lived=Lived(PEER, Lifeline.GATEWAY)))


def test_both_ways_that_would_go_at_once_are_not_both_taken_away() -> None:
    ours, other = via("10.9.0.0/16", OURS), via("10.0.0.0/8", OURS)
    plan = keep(take(ours), take(other), now=ours, around=[ours, other])
    assert held(plan) == [ours.member]


@pytest.mark.parametrize(("metric", "is_held"), [(400, True), (600, False)])
def test_a_dead_end_in_place_of_the_default_route_is_held_back(metric: int, is_held: bool) -> None:
    now = via("0.0.0.0/0", slot=MAIN._replace(metric=500))
    plan = keep(put("0.0.0.0/0", slot=MAIN._replace(metric=metric)), now=now, lived=DEFAULT_ROUTE)
    assert bool(held(plan)) is is_held
    assert not held(keep(put("0.0.0.0/1", "10.0.0.0/8"), now=now, lived=DEFAULT_ROUTE))


def test_what_was_ours_before_is_put_back() -> None:
    key = route_key("10.0.0.0/8")
    assert not held(keep(put("10.0.0.0/8"), now=via("0.0.0.0/0"), spared=frozenset({key._replace(slot=MAIN)})))


def test_only_what_drops_or_takes_away_costs_a_question() -> None:
    way = put("10.9.0.0/16", value=RouteValue(names.UNICAST, OURS, hops=(Hop(1),)))
    assert not may_cut_off(Plan((way, put_rule(RuleMember(50, table=100)))))
    assert may_cut_off(Plan((way, put("10.0.0.0/8"))))
    assert may_cut_off(Plan((take(via("10.9.0.0/16", OURS)),)))
    assert may_cut_off(Plan((put_rule(RuleMember(50, action=names.PROHIBIT)),)))


def test_what_was_held_back_once_is_so_again_without_a_question() -> None:
    reason = CutsOff(Lifeline.SESSION, PEER)
    known = {Key(Kind.ROUTE, MAIN, parse_prefix("10.0.0.0/8")): reason}
    plan = hold_back(Plan((put("10.0.0.0/8", "192.0.2.0/24"),)), known.get)
    assert held(plan) == [parse_prefix("10.0.0.0/8")]
    assert len(plan.operations) == 1
    assert hold_back(plan, lambda _key: None) == plan


def test_one_of_very_many_is_left_out_without_unpacking_them() -> None:
    prefixes = [parse_prefix(one) for one in ("10.0.0.0/8", "10.0.0.10/32", "192.0.2.0/24")]
    packed = Packed(b"".join(prefixes), 5)
    rest = leave_out(packed, prefixes[1])
    assert isinstance(rest, Packed)
    assert list(rest) == [prefixes[0], prefixes[2]]
    assert prefixes[1] in packed
    assert prefixes[1] not in rest
    assert b"\x0a\x00\x00\x0a\x00" not in packed  # the end of one and the beginning of the next
