"""What decides in place of an object of ours: which packets are tried, and what the answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from errno import EHOSTUNREACH, EINVAL, ENETUNREACH
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.core.effect import (
    Questions,
    Rival,
    StandingRule,
    View,
    ask_about_route,
    ask_about_rule,
    find_hole,
    find_samples,
)
from routed.model import names
from routed.model.lookup import Around, Decision, Exact, Flow, Lookup, Question
from routed.model.net import DEFAULT, IPV4, IPV6, format_address, is_inside, parse_address, parse_prefix
from routed.model.objects import Hop, RouteSlot, RouteValue, RuleMember, RuleSlot, RuleValue, Standing
from routed.model.owner import Owner, Stamp

OURS, THEIRS = 114, 4
DEFAULT_TEXT = {IPV4: "0.0.0.0/0", IPV6: "::/0"}
MAIN = names.TABLE_MAIN


class Family(NamedTuple):
    """The same case in a family of addresses."""

    number: int
    network: str
    inside: str
    half: str
    other_half: str
    own: str


FAMILIES = [
    pytest.param(Family(IPV4, "10.30.0.0/16", "10.30.7.0/24", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.1"), id="IPv4"),
    pytest.param(Family(IPV6, "fd30::/32", "fd30:0:7::/48", "::/1", "8000::/1", "fd00::1"), id="IPv6"),
]


def stamp_of(value: Any) -> Owner:
    return {OURS: Owner.OURS, names.PROTOCOL_KERNEL: Owner.KERNEL}.get(value.protocol, Owner.FOREIGN)


STAMP: Stamp = stamp_of


def route(family: int, prefix: str, metric: int = 0, *, by: int = THEIRS, table: int = MAIN) -> Standing:
    value = RouteValue(names.UNICAST, by, hops=(Hop(2),))
    return Standing(RouteSlot(family, table, metric), parse_prefix(prefix), value)


def rule(priority: int, table: int = MAIN, *, by: Owner = Owner.FOREIGN, **selector: Any) -> StandingRule:
    return StandingRule(RuleMember(priority, table=table, **selector), by)


LOCAL = rule(0, names.TABLE_LOCAL, by=Owner.KERNEL)
LAST = rule(32766, by=Owner.KERNEL)


def is_for(one: Standing, question: Around) -> bool:
    """Would a kernel answer so?"""
    assert isinstance(one.member, bytes)
    return question.type == one.value.type and is_inside(question.address, one.member)


class Host:
    """A kernel of few routes: each packet goes by the first of them that is for it."""

    def __init__(
        self, family: Family, routes: Sequence[Standing | int] = (), rules: Sequence[StandingRule] = ()
    ) -> None:
        self.family = family
        self.routes = routes
        self.asked: list[Lookup] = []
        self.defaults: list[Standing] = []
        self.dead_ends: list[Standing] = []
        rules = sorted([LOCAL, *rules, LAST], key=lambda one: one.member.priority)
        self.view = View({family.number: rules}, STAMP, {parse_address(family.own)})

    def decide(self, question: Lookup) -> Any:
        self.asked.append(question)
        if isinstance(question, Exact):
            return self.defaults
        if isinstance(question, Around):
            return [one for one in self.dead_ends if is_for(one, question)]
        for one in self.routes:
            if isinstance(one, int):
                return Decision(errno=one)
            assert isinstance(one.member, bytes)
            if is_inside(question.destination, one.member):
                return Decision(one)
        return Decision(errno=ENETUNREACH)

    def ask(self, questions: Questions) -> Rival | None:
        try:
            question = next(questions)
            while True:
                question = questions.send(self.decide(question))
        except StopIteration as end:
            rival: Rival | None = end.value
            return rival

    def about(self, ours: Standing) -> Rival | None:
        """What decides in place of this route?"""
        return self.ask(ask_about_route(self.view, ours.slot, ours.member, ours.value))  # type: ignore[arg-type]

    def about_rule(self, ours: StandingRule) -> Rival | None:
        """What decides in place of this rule?"""
        slot = RuleSlot(self.family.number)
        return self.ask(ask_about_rule(self.view, slot, ours.member, RuleValue(OURS)))


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture
def ours(family: Family) -> Standing:
    return route(family.number, family.network, 50, by=OURS)


def test_a_route_that_decides_itself_is_in_effect_by_one_question(family: Family, ours: Standing) -> None:
    host = Host(family, [ours])
    assert host.about(ours) is None
    assert len(host.asked) == 1


def test_the_same_prefix_with_a_lower_metric_shadows(family: Family, ours: Standing) -> None:
    better = route(family.number, family.network, 10)
    assert Host(family, [better]).about(ours) == Rival(better)


def test_behind_a_better_metric_of_our_own_a_route_stands_by(family: Family, ours: Standing) -> None:
    assert Host(family, [route(family.number, family.network, 10, by=OURS)]).about(ours) is None


def test_a_rule_of_another_in_front_shadows_with_a_route_that_covers_all(family: Family, ours: Standing) -> None:
    tunnel = route(family.number, DEFAULT_TEXT[family.number], table=52)
    in_front = rule(5270, 52)
    assert Host(family, [tunnel], [in_front]).about(ours) == Rival(tunnel, in_front.member)


def test_a_rule_of_our_own_in_front_is_our_own_wish(family: Family, ours: Standing) -> None:
    tunnel = route(family.number, DEFAULT_TEXT[family.number], table=52)
    assert Host(family, [tunnel], [rule(5270, 52, by=Owner.OURS)]).about(ours) is None


def test_a_more_specific_route_of_another_takes_only_a_part(family: Family, ours: Standing) -> None:
    inside = route(family.number, family.inside)
    assert Host(family, [inside, ours]).about(ours) is None
    first = find_samples(parse_prefix(family.network), 1)[0]
    hit = Standing(inside.slot, first + bytes((len(first) * 8,)), inside.value)
    host = Host(family, [hit, ours])
    assert host.about(ours) is None
    assert len(host.asked) == 2


def test_two_halves_over_a_default_route_shadow_it_and_one_does_not(family: Family) -> None:
    ours = route(family.number, DEFAULT_TEXT[family.number], 100, by=OURS)
    halves = [route(family.number, family.half), route(family.number, family.other_half)]
    assert Host(family, [*halves, ours]).about(ours) == Rival(halves[0])
    assert Host(family, [halves[0], ours]).about(ours) is None


def test_where_more_specific_routes_answer_every_packet_the_default_itself_is_looked_for(family: Family) -> None:
    ours = route(family.number, DEFAULT_TEXT[family.number], 100, by=OURS)
    samples = [route(family.number, f"{format_address(one)}") for one in find_samples(DEFAULT[family.number], 3)]
    host = Host(family, samples)
    assert host.about(ours) is None
    assert host.asked[-1] == Exact(family.number, MAIN)
    better = route(family.number, DEFAULT_TEXT[family.number], 50)
    host.defaults = [ours, route(family.number, DEFAULT_TEXT[family.number], 200), better]
    assert host.about(ours) == Rival(better)
    host.defaults.append(route(family.number, DEFAULT_TEXT[family.number], 10, by=OURS))
    assert host.about(ours) is None


def test_an_address_of_this_host_shadows_a_route_to_it(family: Family) -> None:
    ours = route(family.number, family.own, by=OURS)
    held = route(family.number, family.own, table=names.TABLE_LOCAL, by=names.PROTOCOL_KERNEL)
    assert Host(family, [held]).about(ours) == Rival(held, LOCAL.member)


def test_a_route_that_only_certain_packets_reach_is_asked_about_with_these(family: Family) -> None:
    ours = route(family.number, family.network, table=100, by=OURS)
    mark = rule(1000, 100, fwmark=7, fwmask=0xFFFFFFFF)
    host = Host(family, [ours], [mark])
    assert host.about(ours) is None
    assert host.asked == [Question(find_samples(parse_prefix(family.network), 1)[0], Flow(mark=7))]


def test_a_table_that_no_rule_leads_to_is_nobodys_way_and_nothing_is_asked(family: Family) -> None:
    host = Host(family)
    assert host.about(route(family.number, family.network, table=100, by=OURS)) is None
    assert host.asked == []


def test_a_default_route_behind_a_tunnel_that_leaves_main_its_other_routes_is_shadowed(family: Family) -> None:
    default, network = (route(family.number, text, by=OURS) for text in (DEFAULT_TEXT[family.number], family.network))
    tunnel = route(family.number, DEFAULT_TEXT[family.number], table=51820)
    rules = [rule(100, suppress_prefixlength=0), rule(101, 51820, fwmark=51820, fwmask=0xFFFFFFFF, inverted=True)]
    assert Host(family, [tunnel], rules).about(default) == Rival(tunnel, rules[1].member)
    assert Host(family, [network], rules).about(network) is None


def test_a_rule_of_another_that_drops_all_shadows_without_a_question(family: Family, ours: Standing) -> None:
    drops = StandingRule(RuleMember(10, action=names.BLACKHOLE), Owner.FOREIGN)
    host = Host(family, [EINVAL], [drops])
    assert host.about(ours) == Rival(rule=drops.member)
    assert host.asked == []


def test_what_drops_packets_is_sought_by_its_type_unless_it_is_as_wanted_or_our_own(
    family: Family, ours: Standing
) -> None:
    host = Host(family, [EHOSTUNREACH])
    assert host.about(ours) is None  # nothing is said of what has gone meanwhile
    foreign = RouteValue(names.UNREACHABLE, THEIRS)
    there, elsewhere = (Standing(RouteSlot(family.number, table, 7), ours.member, foreign) for table in (MAIN, 52))
    worse = Standing(RouteSlot(family.number, MAIN, 90), ours.member, foreign)
    host.dead_ends = [worse, elsewhere, there]
    assert host.about(ours) == Rival(there)
    host = Host(family, [EHOSTUNREACH], [rule(5270, 52)])
    host.dead_ends = [there, elsewhere]
    assert host.about(ours) == Rival(elsewhere, rule(5270, 52).member)
    dropping = Standing(ours.slot, ours.member, RouteValue(names.UNREACHABLE, OURS))
    assert Host(family, [EHOSTUNREACH]).about(dropping) is None
    host = Host(family, [EHOSTUNREACH])
    host.view = View(host.view.rules, STAMP, is_our_dead_end=lambda _address, errno: errno == EHOSTUNREACH)
    assert host.about(ours) is None


def test_dead_ends_that_leave_a_hole_do_not_shadow_though_every_sample_falls_into_one(
    family: Family, ours: Standing
) -> None:
    host = Host(family, [EINVAL])
    network = ip_network(family.network)
    quarters = list(network.subnets(prefixlen_diff=2))
    pieces = [quarters[0], next(iter(network.subnets(prefixlen_diff=1))), quarters[2], quarters[3]]
    foreign = RouteValue(names.BLACKHOLE, THEIRS)
    dead_ends = [Standing(RouteSlot(family.number, MAIN, 0), parse_prefix(str(one)), foreign) for one in pieces]
    host.dead_ends = dead_ends
    assert host.about(ours) == Rival(dead_ends[0])
    host.dead_ends = [dead_ends[0], *dead_ends[2:]]
    assert host.about(ours) is None


def test_a_rule_that_drops_a_part_shadows_no_more_than_that(family: Family) -> None:
    ours = route(family.number, family.network, 50, by=OURS)
    drops = StandingRule(
        RuleMember(10, action=names.UNREACHABLE, destination=parse_prefix(family.inside)), Owner.FOREIGN
    )
    assert Host(family, [ENETUNREACH], [drops]).about(ours) is None


def test_a_route_that_the_kernel_does_not_use_is_not_shadowed_by_what_is_less_specific(
    family: Family, ours: Standing
) -> None:
    default = route(family.number, DEFAULT_TEXT[family.number])
    assert Host(family, [default]).about(ours) is None
    assert Host(family).about(ours) is None


def test_a_hole_in_what_another_has_in_front_leaves_a_part_to_ours(family: Family, ours: Standing) -> None:
    tunnel = route(family.number, DEFAULT_TEXT[family.number], table=52)
    hole = find_samples(parse_prefix(family.network), 3)[2]
    through = Standing(ours.slot, ours.member, ours.value)

    class Holed(Host):
        def decide(self, question: Lookup) -> Any:
            assert isinstance(question, Question)
            return Decision(through if question.destination == hole else tunnel)

    assert Holed(family, [], [rule(5270, 52)]).about(ours) is None


@pytest.mark.parametrize("is_covering", [True, False])
def test_a_rule_is_shadowed_by_one_in_front_whose_table_decides_about_all(family: Family, is_covering: bool) -> None:
    ours = rule(1000, 100, by=Owner.OURS, source=parse_prefix(family.own))
    prefix = DEFAULT_TEXT[family.number] if is_covering else family.network
    tunnel = route(family.number, prefix, table=52)
    host = Host(family, [tunnel, route(family.number, DEFAULT_TEXT[family.number], table=100)], [rule(10, 52), ours])
    assert host.about_rule(ours) == (Rival(tunnel, rule(10, 52).member) if is_covering else None)


def test_a_rule_is_not_shadowed_by_one_that_is_narrower_or_our_own(family: Family) -> None:
    ours = rule(1000, 100, by=Owner.OURS, source=parse_prefix(family.own))
    tunnel = route(family.number, DEFAULT_TEXT[family.number], table=52)
    marked = rule(10, 52, source=parse_prefix(family.own), tos=16)
    assert Host(family, [tunnel], [marked, ours]).about_rule(ours) is None
    assert Host(family, [tunnel], [rule(10, 52, by=Owner.OURS), ours]).about_rule(ours) is None


@pytest.mark.parametrize("text", ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/30", "10.0.0.0/31", "10.0.0.1/32", "::/0"])
def test_the_addresses_that_stand_for_a_prefix_lie_in_it_and_in_both_halves(text: str) -> None:
    prefix = parse_prefix(text)
    samples = find_samples(prefix, 3)
    assert all(is_inside(one, prefix) for one in samples)
    assert len(samples) == len(set(samples)) == min(3, 2 ** (len(prefix) * 8 - 8 - prefix[-1]))


@given(st.lists(st.tuples(st.integers(0, 31), st.integers(24, 32)), max_size=8), st.integers(28, 30))
def test_what_prefixes_leave_of_a_target_begins_at_its_first_free_address(
    drawn: list[tuple[int, int]], length: int
) -> None:
    target = ip_network(f"10.0.0.16/{length}")
    others = [ip_network((f"10.0.0.{last}", size), strict=False) for last, size in drawn]
    free = [one for one in target if not any(one in other for other in others)]
    hole = find_hole(parse_prefix(str(target)), [parse_prefix(str(one)) for one in others])
    assert (hole and ip_address(hole)) == (free[0] if free else None)
