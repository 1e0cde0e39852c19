"""The table of sources: who is asked when, what of its facts changed, and what is kept of what others tell."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from routed.core.needs import Needs
from routed.core.sources import CLOCK, ROUTE, SOURCES, TOLD, ask_for, deliver, expire, find_changed_facts, list_asked
from routed.daemon.facts import QUESTIONS
from routed.model.entries import VipEntry
from routed.model.facts import Fact, FactKey, Facts, Freshness, GatewayLink, HostAddress, Link, Way
from routed.model.net import parse_address, parse_prefix
from routed.model.objects import AddressMember
from tests.property.rig import ORIGIN

V0 = Link(1, "v0", is_up=True, has_carrier=True)
GATEWAY = parse_address("192.0.2.9")
LAMP = FactKey("lamp", "kitchen")
EVERYTHING = Needs(
    behind=frozenset({b"\x0a\x05\x00\x00\x18"}),
    gateways=frozenset({GATEWAY}),
    destinations=frozenset({GATEWAY}),
    vips=(VipEntry(name="vip/a", origin=ORIGIN, prefix=parse_prefix("203.0.113.1")),),
    has_addresses=True,
    has_selectors=True,
    has_default_routes=True,
    has_drivers=True,
    has_parts=True,
    attributes=frozenset({25}),
    facts=frozenset({LAMP}),
)


def held(*texts: str, dev: int = 1) -> dict[AddressMember, HostAddress]:
    addresses = [parse_address(text) for text in texts]
    return {AddressMember(dev, one, 24): HostAddress(dev, one, 24, 0) for one in addresses}


def test_every_source_has_a_question_and_a_field_of_its_own() -> None:
    assert SOURCES.keys() == QUESTIONS.keys()
    filled = [row.fills for row in SOURCES.values()]
    assert len(set(filled)) == len(filled)
    assert set(filled) <= {one.name for one in fields(Facts)}


def test_a_source_comes_after_those_that_it_follows() -> None:
    names = list(SOURCES)
    for name, row in SOURCES.items():
        assert all(names.index(other) <= names.index(name) for other in row.follows & SOURCES.keys())


def test_what_no_file_asks_for_is_not_asked() -> None:
    assert list_asked((), Needs(), is_full=True) == ["link"]
    assert list_asked((), EVERYTHING, is_full=True) == list(SOURCES)


@pytest.mark.parametrize(
    ("news", "asked"),
    [
        (TOLD, [TOLD]),
        (CLOCK, [TOLD, "rise", "selector"]),
        (ROUTE, ["gateway", "way", "way-without-ours", "default-routes", "selector"]),
        ("address", ["gateway", "way", "way-without-ours", "default-routes", "behind", "selector"]),
        ("link", ["gateway", "way", "way-without-ours", "default-routes", "behind", "driver", "selector"]),
    ],
)
def test_news_of_one_source_has_those_asked_again_that_follow_it(news: str, asked: list[str]) -> None:
    assert list_asked({news}, EVERYTHING, is_full=False) == asked
    assert list_asked({news}, Needs(), is_full=False) == []


def test_a_link_changes_under_both_its_names_and_its_index() -> None:
    old, new = Facts(links={1: V0}), Facts(links={1: V0._replace(name="lan0")})
    assert find_changed_facts(old, new) == {FactKey("link", which) for which in ("v0", "lan0", 1)}


def test_an_address_changes_as_itself_and_as_one_of_its_link() -> None:
    old = Facts(addresses=held("192.0.2.1") | held("198.51.100.1", dev=2))
    new = Facts(addresses=held("192.0.2.1", "192.0.2.2") | held("198.51.100.1", dev=2))
    assert find_changed_facts(old, new) == {FactKey("address", which) for which in (parse_address("192.0.2.2"), 1, "")}


def test_another_order_changes_the_addresses_of_that_link_alone() -> None:
    other = held("198.51.100.1", "198.51.100.2", dev=2)
    old = Facts(addresses=held("192.0.2.1", "192.0.2.2") | other)
    assert find_changed_facts(old, Facts(addresses=held("192.0.2.2", "192.0.2.1") | other)) == {FactKey("address", 1)}
    assert find_changed_facts(old, Facts(addresses=other | held("192.0.2.1", "192.0.2.2"))) == set()


@pytest.mark.parametrize(
    ("field", "value", "key"),
    [
        ("gateways", {GATEWAY: GatewayLink(1, is_onlink=True)}, FactKey("gateway", GATEWAY)),
        ("ways", {GATEWAY: Way(1, b"", b"", 1)}, FactKey("way", GATEWAY)),
        ("drivers", {1: "veth"}, FactKey("driver", 1)),
        ("told", {LAMP: Fact(True, Freshness.LIVE)}, LAMP),
    ],
)
def test_a_fact_changes_under_its_key_when_it_comes_and_when_it_goes(field: str, value: object, key: FactKey) -> None:
    old = Facts()
    new = old.put(**{field: value})
    assert find_changed_facts(old, new) == find_changed_facts(new, old) == {key}


def test_the_revision_is_higher_after_a_change_and_the_store_the_same_without_one() -> None:
    facts = Facts(addresses=held("192.0.2.1", "192.0.2.2"))
    assert facts.put(addresses=held("192.0.2.1", "192.0.2.2")) is facts
    assert facts.put(addresses=held("192.0.2.2", "192.0.2.1")).revision == facts.revision + 1
    assert facts.copy().revision == facts.revision + 1
    assert facts.copy() == facts


def test_what_is_asked_for_is_loading_until_it_is_told() -> None:
    facts = ask_for(Facts(), EVERYTHING, 5.0)
    assert facts.told == {LAMP: Fact(since=5.0)}
    facts = deliver(facts, {LAMP: Fact(None, Freshness.LIVE, until=20.0)}, 7.0)
    assert facts.find(LAMP) == Fact(None, Freshness.LIVE, 7.0, 20.0)
    assert ask_for(facts, EVERYTHING, 9.0) is facts
    assert ask_for(facts, Needs(), 9.0).told == {}


def test_what_nobody_asked_for_is_not_kept_and_counts_as_loading() -> None:
    assert deliver(Facts(), {LAMP: Fact(True, Freshness.LIVE)}, 7.0).told == {}
    assert Facts().find(LAMP).state is Freshness.LOADING


def test_what_is_told_again_is_live_since_it_first_was() -> None:
    facts = ask_for(Facts(), EVERYTHING, 5.0)
    for now in (7.0, 8.0, 9.0):
        facts = deliver(facts, {LAMP: Fact(now, Freshness.LIVE, until=now + 2.0)}, now)
    assert facts.find(LAMP) == Fact(9.0, Freshness.LIVE, 7.0, 11.0)


def test_what_is_not_told_again_in_time_is_stale_from_that_moment_and_keeps_its_value() -> None:
    facts = deliver(ask_for(Facts(), EVERYTHING, 5.0), {LAMP: Fact(True, Freshness.LIVE, until=20.0)}, 7.0)
    assert expire(facts, 19.9) == facts.told
    stale = facts.put(told=expire(facts, 25.0))
    assert stale.find(LAMP) == Fact(True, Freshness.STALE, 20.0)
    assert find_changed_facts(facts, stale) == {LAMP}
    assert expire(stale, 99.0) == stale.told


def test_what_lasts_longer_only_makes_nothing_else_of_an_entry() -> None:
    facts = deliver(ask_for(Facts(), EVERYTHING, 5.0), {LAMP: Fact(True, Freshness.LIVE, until=20.0)}, 7.0)
    assert find_changed_facts(facts, deliver(facts, {LAMP: Fact(True, Freshness.LIVE, until=30.0)}, 8.0)) == set()


def test_a_store_of_before_goes_on_saying_what_it_said() -> None:
    before = Facts(links={1: V0})
    after = replace(before.copy())
    after.links.pop(1)
    assert before.links == {1: V0}
