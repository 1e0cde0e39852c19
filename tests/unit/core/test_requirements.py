"""What an entry comes to by what its checks say, with facts in hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routed.core.desired import Resolution
from routed.core.entries import find_needs, resolve
from routed.core.requirements import START_WITHIN, find_unmet
from routed.core.sources import find_changed_facts
from routed.model.checks import Ruling, key_of
from routed.model.entries import Intent, Requirement, RouteEntry, WhenDown
from routed.model.facts import Fact, Facts, Freshness, GatewayLink, HostAddress, Link
from routed.model.names import UNIVERSE
from routed.model.net import parse_address
from routed.model.objects import AddressMember, RouteValue
from routed.model.reasons import (
    Assumed,
    LinkDown,
    NoAddress,
    NoCarrier,
    NoLink,
    NotTold,
    OffNetwork,
    Outdated,
    Paused,
    Reason,
    Required,
    Several,
)
from tests.property.rig import OURS, a_route, hop

LINKS = {number: Link(number, f"v{number - 1}", is_up=True, has_carrier=True) for number in (1, 2)}
UP, DOWN, NOT_YET = (
    Fact(Ruling(is_up=True), Freshness.LIVE),
    Fact(Ruling(is_up=False), Freshness.LIVE),
    Fact(since=10.0),
)
A, B = Requirement("a"), Requirement("b")
NOT_A, A_BY_V0 = Requirement("a", is_inverted=True), Requirement("a", dev="v0")


def facts(*, moment: float = 0.0, links: dict[int, Link] | None = None, **told: Fact) -> Facts:
    return know(told, moment, links)


def know(told: dict[str, Fact], moment: float = 0.0, links: dict[int, Link] | None = None) -> Facts:
    return Facts(links=links or LINKS, told={key_of(name): fact for name, fact in told.items()}, moment=moment)


def requiring(*requires: Requirement, when_down: WhenDown | None = None) -> RouteEntry:
    return replace(a_route(), requires=requires, when_down=when_down)


def resolved(entry: RouteEntry, known: Facts) -> Resolution:
    return resolve(entry, known, OURS)


def is_in_force(entry: RouteEntry, known: Facts) -> bool:
    found = resolved(entry, known)
    return bool(found.sets) and found.sets[0].value is not None


@pytest.mark.parametrize(
    ("requires", "told", "is_there"),
    [
        ((A,), {"a": UP}, True), ((A,), {"a": DOWN}, False), ((NOT_A,), {"a": UP}, False),
        ((NOT_A,), {"a": DOWN}, True),
        ((A, B), {"a": UP, "b": UP}, True), ((A, B), {"a": UP, "b": DOWN}, False),
        ((A, B), {"a": NOT_YET, "b": DOWN}, False),
    ],
)  # fmt: skip
def test_an_entry_is_in_force_while_all_that_it_requires_is_so(
    requires: tuple[Requirement, ...], told: dict[str, Fact], is_there: bool
) -> None:
    assert is_in_force(requiring(*requires), know(told)) is is_there


def test_withheld_it_comes_to_nothing_and_says_why() -> None:
    found = resolved(requiring(A, B), facts(a=DOWN, b=DOWN))
    assert (found.sets, found.waiting) == ((), ())
    assert found.withheld == Several((Required("a", is_up=False, why=None), Required("b", is_up=False, why=None)))


def test_while_nobody_knows_it_waits_and_what_stands_is_left_alone() -> None:
    found = resolved(requiring(A), facts(a=NOT_YET))
    assert [group.value for group in found.sets] == [None]
    assert [waiting.reason for waiting in found.waiting] == [NotTold("check", "a")]


def test_what_was_known_before_the_start_counts_and_is_called_so() -> None:
    found = resolved(requiring(A), facts(a=UP._replace(state=Freshness.CACHED)))
    assert found.sets[0].value is not None
    assert found.note == Outdated("check", "a", Freshness.CACHED)


@pytest.mark.parametrize(
    ("link", "why"),
    [
        (Link(1, "v0", is_up=False, has_carrier=False), LinkDown("v0")),
        (Link(1, "v0", is_up=True, has_carrier=False), NoCarrier("v0")),
        (Link(1, "other", is_up=True, has_carrier=True), NoLink("v0")),
    ],
)
def test_a_check_whose_way_is_gone_is_down_whatever_was_answered(link: Link, why: object) -> None:
    entry = replace(a_route(hops=()), requires=(A_BY_V0,))
    found = resolved(entry, facts(links={1: link}, a=UP))
    assert found.withheld == Required("a", is_up=False, why=why)  # type: ignore[arg-type]
    assert resolved(replace(entry, requires=(A_BY_V0._replace(is_inverted=True),)), facts(links={1: link}, a=UP)).sets


def test_a_check_whose_source_is_gone_is_down() -> None:
    lost = Requirement("a", src=parse_address("10.0.0.1"))
    assert not is_in_force(requiring(lost), facts(a=UP))
    assert find_needs(Intent(entries=(requiring(lost),))).has_addresses


KEPT = WhenDown(alternatives=((B,),), keeps=True, is_preferred=True)


@pytest.mark.parametrize(
    ("told", "when_down", "state"),
    [
        ({"a": DOWN, "b": UP}, KEPT, "withheld"),
        ({"a": DOWN, "b": DOWN}, KEPT, "degraded"),
        ({"a": DOWN, "b": NOT_YET}, KEPT, "withheld"),
        ({"a": DOWN, "b": DOWN}, KEPT._replace(is_preferred=False), "withheld"),
        ({"a": DOWN, "b": DOWN}, KEPT._replace(keeps=False), "withheld"),
        ({"a": DOWN, "b": DOWN}, KEPT._replace(alternatives=((B,), ())), "withheld"),
        ({"a": DOWN}, WhenDown(keeps=True, is_preferred=True), "degraded"),
        ({"a": UP, "b": DOWN}, KEPT, "in force"),
    ],
)
def test_the_preferred_one_stays_where_every_alternative_is_down_as_well(
    told: dict[str, Fact], when_down: WhenDown, state: str
) -> None:
    found = resolved(requiring(A, when_down=when_down), know(told))
    assert state == ("withheld" if found.withheld else "degraded" if found.degraded else "in force")
    assert bool(found.sets) is not (found.withheld is not None)


def test_demoted_it_stays_under_another_metric_and_says_why() -> None:
    found = resolved(requiring(A, when_down=WhenDown(300)), facts(a=DOWN))
    assert [getattr(group.slot, "metric") for group in found.sets] == [300]  # noqa: B009
    assert found.note == Required("a", is_up=False, why=None)
    assert found.entry.metric is None  # type: ignore[attr-defined]


def test_a_leg_whose_check_is_down_is_left_out() -> None:
    two = a_route().hops[0]._replace(requires=(A,)), a_route().hops[0]._replace(dev="v1")
    entry = replace(a_route(hops=two), when_down=WhenDown(keeps=False))
    for told, hops in ((UP, (hop(1), hop(2))), (DOWN, (hop(2),))):
        value = resolved(entry, facts(a=told)).sets[0].value
        assert isinstance(value, RouteValue)
        assert set(value.hops) == set(hops)
    alone = replace(entry, hops=two[:1])
    assert resolved(alone, facts(a=DOWN)).withheld == Required("a", is_up=False, why=None)


@pytest.mark.parametrize(("moment", "is_there"), [(10.0, False), (10.0 + START_WITHIN, True)])
def test_what_is_rather_kept_waits_a_few_seconds_for_its_first_word(moment: float, is_there: bool) -> None:
    entry = requiring(A, when_down=KEPT)
    known = facts(moment=moment, a=NOT_YET, b=NOT_YET)
    assert is_in_force(entry, known) is is_there
    if not is_there:
        assert resolved(entry, known).again == 10.0 + START_WITHIN


GATEWAY = parse_address("192.0.2.2")
BY_V0, BY_ANY = Requirement("a", dev="v0", via=GATEWAY), Requirement("a", via=GATEWAY)
OWN, ELSEWHERE = (
    HostAddress(dev, parse_address(text), 32, UNIVERSE) for dev, text in ((1, "192.0.2.1"), (2, "10.0.0.9"))
)


def on_a_line(*held: HostAddress, is_onlink: bool = True, **told: Fact) -> Facts:
    return replace(
        know(told),
        addresses={AddressMember(one.dev, one.address, one.prefixlen): one for one in held},
        gateways={GATEWAY: GatewayLink(1, is_onlink)},
    )


@pytest.mark.parametrize("requirement", [BY_V0, BY_ANY])
@pytest.mark.parametrize("held", [OWN, ELSEWHERE, OWN._replace(is_tentative=True), OWN._replace(is_deprecated=True)])
def test_a_line_from_which_can_be_asked_is_what_its_check_said_last(
    requirement: Requirement, held: HostAddress
) -> None:
    entry = requiring(requirement)
    assert is_in_force(entry, on_a_line(held, a=UP))
    assert not is_in_force(entry, on_a_line(held, a=DOWN))


@pytest.mark.parametrize("requirement", [BY_V0, BY_ANY])
def test_a_line_of_a_host_without_any_address_is_down_whatever_its_check_said_last(requirement: Requirement) -> None:
    entry = requiring(requirement)
    held, lost = on_a_line(OWN, a=UP), on_a_line(a=UP)
    assert resolved(entry, lost).withheld == Required("a", is_up=False, why=NoAddress("v0", ""))
    assert find_changed_facts(held, lost) & resolved(entry, held).reads
    assert find_needs(Intent(entries=(entry,))).has_addresses


def test_a_gateway_that_left_every_network_of_this_host_makes_its_check_down() -> None:
    entry = requiring(BY_ANY)
    held, lost = on_a_line(OWN, a=UP), on_a_line(OWN, is_onlink=False, a=UP)
    assert is_in_force(entry, held)
    assert resolved(entry, lost).withheld == Required("a", is_up=False, why=OffNetwork(GATEWAY))
    assert find_changed_facts(held, lost) & resolved(entry, held).reads
    assert find_needs(Intent(entries=(entry,))).gateways == {GATEWAY}


def test_a_gateway_that_was_never_on_any_network_says_nothing_yet() -> None:
    known = on_a_line(OWN, is_onlink=False, a=NOT_YET)
    assert resolved(requiring(BY_ANY), known).withheld is None


@pytest.mark.parametrize("why", [Assumed.IN_PLAN, Paused("root", ruling=True)])
@pytest.mark.parametrize("lost", [on_a_line(), replace(on_a_line(OWN), links={})])
def test_what_somebody_says_of_a_check_counts_more_than_its_lost_line(why: Reason, lost: Facts) -> None:
    said = {key_of("a"): Fact(Ruling(is_up=True, why=why), Freshness.LIVE)}
    requirement = Requirement("a", via=GATEWAY)
    assert find_unmet(requirement, replace(lost, told=said)) is None
