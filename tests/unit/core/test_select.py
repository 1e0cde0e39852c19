"""Choosing an interface: who fits, who is left out, and when a change is followed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routed.core.select import SettledChoice, choose, settle
from routed.model.entries import How, Matcher, Origin, Selector
from routed.model.facts import Choice, Facts, GatewayLink, HostAddress, Link, Way
from routed.model.names import LOCAL, UNICAST
from routed.model.net import IPV4, IPV6, parse_address, parse_prefix
from routed.model.objects import AddressMember, Hop, RouteSlot, RouteValue, Standing
from routed.model.reasons import Ambiguous, But, NameFits, Reason, Skipped, Unchosen, Unfit

TARGET = parse_address("10.0.0.9")
LINKS = {
    1: Link(1, "lo", True, True),
    2: Link(2, "ens32", True, True, mac=bytes(5) + b"\x02"),
    3: Link(3, "ens33", True, True, mac=bytes(5) + b"\x03"),
    4: Link(4, "docker0", True, True),
    5: Link(5, "ens34", False, False),
}
HELD = [HostAddress(2, parse_address("10.0.0.1"), 24, 0), HostAddress(3, parse_address("10.1.0.1"), 24, 0)]
FACTS = Facts(LINKS, {AddressMember(fact.dev, fact.address, 24): fact for fact in HELD})
NAME, REGEX, CIDR, REACH = How.NAME, How.REGEX, How.CIDR, How.CAN_REACH


def by(how: How, text: str = "", packed: bytes = b"", *, gateway: bool = False) -> Matcher:
    return Matcher(how, text, packed, gateway)


def selector(*match: Matcher, **more: Any) -> Selector:
    return Selector(name="x", origin=Origin("/etc/routed.toml", 1), match=match, **more)


def chosen(asked: Selector, facts: Facts = FACTS) -> str:
    return choose(asked, facts).choice.name


def why(asked: Selector, name: str, facts: Facts = FACTS) -> Reason:
    return next(one.why for one in choose(asked, facts).candidates if one.name == name)


def reaching(way: Way) -> Facts:
    near = GatewayLink(way.dev, is_onlink=not way.gateway)
    return replace(FACTS, ways={TARGET: way}, gateways={TARGET: near} if way.type == UNICAST else {})


def default(dev: int, metric: int = 0, type_: int = UNICAST, prefix: str = "0.0.0.0/0") -> Standing:
    return Standing(RouteSlot(IPV4, 254, metric), parse_prefix(prefix), RouteValue(type_, 3, hops=(Hop(dev),)))


@pytest.mark.parametrize(
    ("match", "name"),
    [
        (by(NAME, "ens33"), "ens33"),
        (by(NAME, "docker0"), "docker0"),
        (by(REGEX, "ens.*2"), "ens32"),
        (by(CIDR, "10.1.0.0/16", parse_prefix("10.1.0.0/16")), "ens33"),
        (by(How.MAC, "…", bytes(5) + b"\x02"), "ens32"),
        (by(NAME, "ens34"), ""),
        (by(REGEX, "ens3"), ""),
        (by(REGEX, "docker0"), ""),
    ],
    ids=["a name", "a name is meant though it is skipped", "an expression", "a prefix", "a MAC address",
         "a link that is down is not chosen", "an expression fits the whole name", "a skipped link is not chosen"],
)  # fmt: skip
def test_a_link_is_recognised_by(match: Matcher, name: str) -> None:
    assert chosen(selector(match)) == name


def test_the_first_matcher_that_recognises_anything_decides() -> None:
    assert chosen(selector(by(NAME, "eth9"), by(NAME, "ens33"), by(NAME, "ens32"))) == "ens33"


def test_a_link_that_is_down_may_be_asked_for() -> None:
    assert chosen(selector(by(NAME, "ens34"), up=False)) == "ens34"


def test_several_links_are_none_and_are_named_unless_the_first_is_picked() -> None:
    asked = selector(by(REGEX, "ens3[23]"))
    choice = choose(asked, FACTS).choice
    assert choice.is_ambiguous
    assert not choice.dev
    assert choice.reason == Ambiguous("x", ("ens32", "ens33"), by(REGEX, "ens3[23]"))
    assert chosen(replace(asked, picks_first=True)) == "ens32"


def test_every_loser_is_told_why() -> None:
    asked = selector(by(REGEX, "ens3.|docker0"), picks_first=True)
    fits = NameFits("ens3.|docker0")
    assert why(asked, "lo") == Skipped("lo")
    assert why(asked, "ens33") == But(fits, Unchosen.ANOTHER_FIRST)
    assert why(asked, "docker0") == But(fits, Skipped("docker*"))
    assert why(asked, "ens34") == But(fits, Unchosen.DOWN)
    assert why(selector(by(NAME, "ens32")), "ens33") == Unfit(by(NAME, "ens32"))


def test_the_prefix_of_a_vip_of_ours_recognises_nothing() -> None:
    facts = replace(FACTS, service_addresses=frozenset({parse_address("10.1.0.1")}))
    assert chosen(selector(by(CIDR, "10.1.0.0/16", parse_prefix("10.1.0.0/16"))), facts) == ""


NAMED = replace(
    FACTS,
    links={**LINKS, 2: LINKS[2]._replace(altnames=("lan0", "enx0001")), 3: LINKS[3]._replace(altnames=("enx0002",))},
)


@pytest.mark.parametrize(
    ("matcher", "skip", "name"),
    [
        (by(NAME, "lan0"), (), "ens32"),
        (by(REGEX, "lan[0-9]"), (), "ens32"),
        (by(REGEX, "ens32|enx.*"), (), "ens32"),
        (by(REGEX, "enx.*"), (), ""),
        (by(REGEX, "enx.*"), ("lan0",), "ens33"),
        (by(REGEX, "ens33"), ("enx*",), "ens33"),
    ],
    ids=["by name", "by pattern", "a name comes before altnames", "several", "one is skipped", "altnames are no names"],
)
def test_altnames_count_where_no_name_does(matcher: Matcher, skip: tuple[str, ...], name: str) -> None:
    assert chosen(selector(matcher, skip=skip), NAMED) == name


@pytest.mark.parametrize(
    ("way", "through_gateway", "name"),
    [
        (Way(2, b"", b"", UNICAST), False, "ens32"),
        (Way(2, TARGET, b"", UNICAST), False, ""),
        (Way(2, TARGET, b"", UNICAST), True, "ens32"),
        (Way(1, b"", b"", LOCAL), True, ""),
    ],
    ids=["on-link", "behind a gateway", "behind a gateway, where that counts", "this host itself"],
)
def test_what_can_be_reached_counts(way: Way, through_gateway: bool, name: str) -> None:
    asked = selector(by(REACH, "10.0.0.9", TARGET, gateway=through_gateway))
    assert chosen(asked, reaching(way)) == name


def test_what_can_be_reached_is_never_a_vip_of_ours() -> None:
    facts = replace(reaching(Way(2, b"", b"", UNICAST)), service_addresses=frozenset({TARGET}))
    assert chosen(selector(by(REACH, "10.0.0.9", TARGET)), facts) == ""


def test_a_default_route_for_some_sources_alone_is_not_the_default_route() -> None:
    slot = RouteSlot(IPV6, 254, 10, source=parse_prefix("2001:db8:a::/48"))
    some = Standing(slot, parse_prefix("::/0"), RouteValue(UNICAST, 42, hops=(Hop(2),)))
    every = Standing(RouteSlot(IPV6, 254, 1024), parse_prefix("::/0"), RouteValue(UNICAST, 3, hops=(Hop(3),)))
    asked = selector(by(How.DEFAULT))
    assert chosen(asked, replace(FACTS, default_routes=(some, every))) == "ens33"
    assert chosen(asked, replace(FACTS, default_routes=(some,))) == ""


@pytest.mark.parametrize(
    ("routes", "name"),
    [
        ((default(2, 100), default(3, 50)), "ens33"),
        ((default(3, prefix="0.0.0.0/1"), default(2)), "ens32"),
        ((default(0, type_=7), default(2, 10)), "ens32"),
        ((), ""),
    ],
    ids=["the lowest metric", "half of the internet is no default", "an unreachable route leads nowhere", "none"],
)
def test_the_default_route_leads_over(routes: tuple[Standing, ...], name: str) -> None:
    assert chosen(selector(by(How.DEFAULT)), replace(FACTS, default_routes=routes)) == name


A, B, NONE = Choice(2, "ens32"), Choice(3, "ens33"), Choice()


def test_the_first_choice_is_followed_at_once() -> None:
    assert settle(None, A, 10, 0) == SettledChoice(A)
    assert settle(SettledChoice(NONE), A, 10, 0) == SettledChoice(A)


@pytest.mark.parametrize("found", [B, NONE])
def test_another_choice_is_followed_when_it_has_lasted(found: Choice) -> None:
    waiting = settle(SettledChoice(A), found, 10, 100)
    assert waiting == SettledChoice(A, found, 100)
    assert settle(waiting, found, 10, 109) == waiting
    assert settle(waiting, found, 10, 110) == SettledChoice(found)


def test_a_flap_changes_nothing_and_the_time_counts_anew_afterwards() -> None:
    waiting = settle(SettledChoice(A), NONE, 10, 100)
    assert settle(waiting, A, 10, 105) == SettledChoice(A)
    assert settle(settle(waiting, A, 10, 105), NONE, 10, 111).choice == A


def test_a_rival_that_changes_has_to_last_by_itself() -> None:
    assert settle(settle(SettledChoice(A), NONE, 10, 100), B, 10, 109) == SettledChoice(A, B, 109)


def test_a_link_that_came_back_under_another_ifindex_is_the_same() -> None:
    again = A._replace(dev=9)
    assert settle(SettledChoice(A), again, 10, 100) == SettledChoice(again)


def test_whose_neighbour_an_address_is_counts_and_not_the_tunnel_that_its_packets_take() -> None:
    facts = replace(reaching(Way(3, b"", b"", UNICAST)), gateways={TARGET: GatewayLink(2, is_onlink=True)})
    assert chosen(selector(by(REACH, "10.0.0.9", TARGET)), facts) == "ens32"
