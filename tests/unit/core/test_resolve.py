"""Resolving: from an entry and the facts to objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routed.core.desired import Resolution
from routed.core.entries import find_needs, resolve
from routed.core.sources import find_changed_facts
from routed.model import names
from routed.model.attributes import join
from routed.model.entries import Entry, HopSpec, Intent
from routed.model.facts import FactKey, Facts, GatewayLink, HostAddress, Link
from routed.model.net import IPV4, IPV6, parse_address
from routed.model.objects import AddressMember, Hop, RouteSlot, RouteValue
from routed.model.reasons import Lack, LinkDown, NoLink, OffNetwork, Reason, TooOld, Unusable
from tests.property.rig import OURS, a_route, a_rule, an_address, hop, via

SOURCE = parse_address("192.0.2.1")
HELD = AddressMember(1, SOURCE, 24)
FACTS = Facts(
    links={1: Link(1, "v0", is_up=True, has_carrier=True), 2: Link(2, "v1", is_up=False, has_carrier=False)},
    addresses={HELD: HostAddress(1, SOURCE, 24, 0)},
    gateways={parse_address("192.0.2.2"): GatewayLink(1, is_onlink=True)},
)


def resolved(entry: Entry, facts: Facts = FACTS) -> Resolution:
    return resolve(entry, facts, OURS)


def value_of(entry: Entry, facts: Facts = FACTS) -> RouteValue | None:
    (group,) = resolved(entry, facts).sets
    assert group.value is None or isinstance(group.value, RouteValue)
    return group.value


def reasons(entry: Entry, facts: Facts = FACTS) -> list[Reason]:
    return [waiting.reason for waiting in resolved(entry, facts).waiting]


def test_a_name_becomes_an_ifindex() -> None:
    value = value_of(a_route(hops=(via("192.0.2.2", "v0"),)))
    assert value is not None
    assert value.hops == (hop(1, "192.0.2.2"),)
    assert value.protocol == OURS


def test_a_gateway_without_a_device_takes_the_link_that_the_kernel_names() -> None:
    value = value_of(a_route(hops=(via("192.0.2.2"),)))
    assert value is not None
    assert value.hops == (hop(1, "192.0.2.2"),)


def test_a_gateway_whose_link_is_down_is_asked_for_again_when_that_link_goes_altogether() -> None:
    held = AddressMember(2, parse_address("198.51.100.1"), 24)
    facts = replace(FACTS, addresses={**FACTS.addresses, held: HostAddress(2, held.address, 24, 0)})
    found = resolved(a_route(hops=(via("198.51.100.2"),)), facts)
    assert [one.reason for one in found.waiting] == [LinkDown("v1", parse_address("198.51.100.2"))]
    assert FactKey("link", 2) in found.reads


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (a_route(hops=(HopSpec(dev="v9"),)), NoLink("v9")),
        (a_route(hops=(HopSpec(dev="v1"),)), LinkDown("v1")),
        (a_route(hops=(via("203.0.113.1"),)), OffNetwork(parse_address("203.0.113.1"))),
        (a_route(src="192.0.2.77"), Unusable(parse_address("192.0.2.77"), "src", Lack.ABSENT)),
    ],
    ids=["link absent", "link down", "gateway unknown", "source absent"],
)
def test_what_is_not_there_yet_is_waited_for_by_name(entry: Entry, reason: Reason) -> None:
    assert value_of(entry) is None
    assert reasons(entry) == [reason]


def test_a_gateway_behind_another_gateway_is_on_no_network_of_this_host() -> None:
    gateway = parse_address("192.0.2.2")
    facts = replace(FACTS, gateways={gateway: GatewayLink(1, is_onlink=False)})
    assert value_of(a_route(hops=(via("192.0.2.2"),)), facts) is None


@pytest.mark.parametrize(
    ("state", "lack"),
    [({"is_tentative": True}, Lack.TENTATIVE), ({"has_failed_dad": True}, Lack.FAILED_DAD)],
)
def test_a_source_that_cannot_be_used_yet_is_waited_for(state: dict[str, Any], lack: Lack) -> None:
    facts = replace(FACTS, addresses={HELD: FACTS.addresses[HELD]._replace(**state)})
    entry = a_route(src="192.0.2.1")
    assert value_of(entry, facts) is None
    assert reasons(entry, facts) == [Unusable(HELD.address, "src", lack)]


def test_of_several_under_one_key_those_are_wanted_that_can_stand_and_while_none_can_all_wait() -> None:
    gone, here = a_route(hops=(HopSpec(dev="v7"),)), a_route(hops=(HopSpec(dev="v0"),))
    assert value_of(replace(gone, append=(here,))) == value_of(here)
    assert value_of(replace(here, append=(gone,))) == value_of(here)
    assert value_of(replace(gone, append=(gone,))) is None
    assert reasons(replace(gone, append=(gone,))) == [NoLink("v7")]


def test_every_ipv4_address_of_a_network_of_the_loopback_link_is_one_of_this_host() -> None:
    lo = Link(1, "lo", is_up=True, has_carrier=True)
    held = AddressMember(1, parse_address("127.0.0.1"), 8)
    facts = Facts(links={1: lo, 2: Link(2, "v0", True, True)}, addresses={held: HostAddress(*held, 254)})
    entry = a_route(src="127.1.1.1")
    assert reasons(entry, facts) == []
    assert reasons(entry, replace(facts, links={**facts.links, 1: lo._replace(is_up=False)})) != []
    assert reasons(entry, replace(facts, addresses={})) == [Unusable(entry.src, "src", Lack.ABSENT)]
    assert {FactKey("link", 1), FactKey("address", 1)} <= resolved(entry, replace(facts, addresses={})).reads
    assert reasons(replace(entry, src=parse_address("198.18.0.7"), is_src_routed=True), facts) == []


def test_a_leg_whose_link_is_down_is_left_out_but_the_whole_route_is_as_good() -> None:
    (group,) = resolved(a_route(hops=(via("192.0.2.2", "v0", 3), via("198.51.100.2", "v1")))).sets
    assert group.value is not None
    assert group.value.hops == (hop(1, "192.0.2.2"),)
    assert [also.hops for also in group.also] == [(hop(1, "192.0.2.2", 3), hop(2, "198.51.100.2"))]


def test_a_leg_whose_link_does_not_exist_is_left_out_and_nothing_else_is_as_good() -> None:
    (group,) = resolved(a_route(hops=(HopSpec(dev="v0"), HopSpec(dev="v9")))).sets
    assert group.value is not None
    assert group.value.hops == (Hop(1),)
    assert group.also == ()


def test_the_legs_of_a_multipath_route_stay_in_the_order_of_the_file_since_flows_are_shared_out_by_it() -> None:
    facts = replace(FACTS, links={**FACTS.links, 2: Link(2, "v1", is_up=True, has_carrier=True)})
    legs = (via("198.51.100.2", "v1"), via("192.0.2.2", "v0"))
    value = value_of(a_route(hops=legs), facts)
    assert value is not None
    assert [hop.dev for hop in value.hops] == [2, 1]
    assert value_of(a_route(hops=legs[::-1]), facts) != value


@pytest.mark.parametrize(("to", "metric"), [("10.30.0.0/16", 0), ("2001:db8::/32", 1024)])
@pytest.mark.parametrize("written", [None, 0])
def test_a_metric_left_out_or_zero_is_the_kernels_default(to: str, metric: int, written: int | None) -> None:
    (group,) = resolved(a_route(to=to, metric=written)).sets
    assert isinstance(group.slot, RouteSlot)
    assert group.slot.metric == metric


@pytest.mark.parametrize(
    ("entry", "scope"),
    [
        (a_route(), names.LINK),
        (a_route(hops=(via("192.0.2.2"),)), names.UNIVERSE),
        (a_route(type_=names.BLACKHOLE), names.UNIVERSE),
        (a_route(type_=names.LOCAL), names.HOST),
        (a_route(scope=names.SITE), names.SITE),
        (a_route(to="2001:db8::/32"), names.UNIVERSE),
        (a_route(to="2001:db8::/32", scope=names.LINK), names.UNIVERSE),
    ],
    ids=["on-link", "via", "blackhole", "local", "written", "IPv6 on-link", "IPv6 written"],
)
def test_the_scope_is_what_ip_route_would_choose(entry: Entry, scope: int) -> None:
    value = value_of(entry)
    assert value is not None
    assert value.scope == scope


def test_a_set_of_both_families_is_one_object_set_each() -> None:
    groups = resolved(a_route(to=("10.0.0.0/8", "fc00::/7"), type_=names.BLACKHOLE)).sets
    assert {group.slot.family: len(group.members) for group in groups} == {IPV4: 1, IPV6: 1}


def test_a_rule_depends_on_no_fact() -> None:
    resolution = resolved(a_rule(families=(IPV4, IPV6)), Facts())
    assert [group.slot.family for group in resolution.sets] == [IPV4, IPV6]
    assert not resolution.reads


def test_a_word_that_this_kernel_does_not_know_keeps_its_rule_out_and_no_other() -> None:
    entry = a_rule()
    words = replace(entry, rule=entry.rule._replace(extra=join({25: b"\x08", 30: b"\x38"})))
    assert find_needs(Intent(entries=(entry, words))).attributes == {25, 30}
    assert resolved(words).sets[0].value is not None
    old = replace(FACTS, unknown=frozenset({30}))
    assert resolved(words, old).sets == ()
    assert reasons(words, old) == [TooOld("dscp with a mask", "6.16")]
    assert find_changed_facts(FACTS, old) & resolved(words).reads == {FactKey("attribute", 30)}
    assert resolved(entry, old).sets == resolved(entry).sets


def test_an_address_is_nothing_while_its_link_does_not_exist() -> None:
    resolution = resolved(an_address(dev="v9"))
    assert resolution.sets == ()
    assert [waiting.reason for waiting in resolution.waiting] == [NoLink("v9")]


def test_an_address_stands_on_a_link_that_is_down() -> None:
    assert resolved(an_address(dev="v1")).sets


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("10.0.0.1/8", 0),
        ("127.0.0.9/8", names.HOST),
        ("::1/128", names.HOST),
        ("fe80::9/64", names.LINK),
        ("fd00::9/64", 0),
    ],
)
def test_the_scope_of_an_address_is_what_the_kernel_would_give_it(text: str, scope: int) -> None:
    (group,) = resolved(an_address(text)).sets
    assert group.value is not None
    assert group.value.scope == scope


def test_only_an_ipv4_address_has_a_label_and_it_is_the_name_of_its_link() -> None:
    labels = [resolved(an_address(text)).sets[0].value for text in ("10.0.0.1/8", "fd00::9/64")]
    assert [value.label for value in labels if value] == ["v0", ""]


def test_a_resolution_says_which_facts_it_read() -> None:
    reads = resolved(a_route(hops=(via("192.0.2.2"), HopSpec(dev="v9")), src="192.0.2.1")).reads
    assert reads == {
        FactKey("gateway", parse_address("192.0.2.2")),
        FactKey("link", 1),
        FactKey("link", "v9"),
        FactKey("address", SOURCE),
    }


def test_only_gateways_without_a_device_are_asked_for() -> None:
    entries = (a_route(hops=(via("192.0.2.2"), via("192.0.2.3", "v0"), HopSpec(dev="v0"))), a_rule())
    assert find_needs(Intent(entries=entries)).gateways == {parse_address("192.0.2.2")}


def test_a_renamed_link_changes_the_facts_of_both_names() -> None:
    renamed = replace(FACTS, links={**FACTS.links, 1: FACTS.links[1]._replace(name="lan0")})
    assert find_changed_facts(FACTS, renamed) == {FactKey("link", "v0"), FactKey("link", "lan0"), FactKey("link", 1)}


def test_an_altname_that_comes_or_goes_changes_the_fact_of_that_name() -> None:
    named = replace(FACTS, links={**FACTS.links, 1: FACTS.links[1]._replace(altnames=("lan0",))})
    changed = {FactKey("link", "v0"), FactKey("link", "lan0"), FactKey("link", 1)}
    assert find_changed_facts(FACTS, named) == find_changed_facts(named, FACTS) == changed


def test_equal_facts_have_not_changed() -> None:
    assert find_changed_facts(FACTS, replace(FACTS, links=dict(FACTS.links))) == set()
