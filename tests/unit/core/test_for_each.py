"""What members make of a table with ``for_each``: which entries, of which names, and why not more."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from routed.core.entries import find_needs, follow_needs
from routed.core.filling import find_neighbourhood
from routed.core.for_each import expand, unfold
from routed.core.membership import NOBODY, take
from routed.members.document import parse_document
from routed.model.entries import AddressEntry, EachEntry, Entry, Intent, RouteEntry, RuleEntry, VipEntry
from routed.model.facts import Fact, Facts, Freshness, HostAddress
from routed.model.members import Roster, key_of
from routed.model.net import IPV6, format_address, format_prefix, parse_address
from routed.model.objects import AddressMember
from routed.model.reasons import Lacking, More, NotAllowed, NotFilled, OutOfBounds
from tests.unit.intent.intent_help import read

SOURCE = """
[[source]]
name = "fleet"
type = "file"
path = "fleet.json"
max_loss = "off"
on_empty = "apply"
prefixes_within = ["10.244.0.0/16", "fd44::/16"]
addresses_within = ["10.0.0.0/24", "fd00::/64"]
"""
PODS = '[[route]]\nname = "pods"\nfor_each = "@fleet"\nto = "{prefixes}"\nvia = "{address}"\n'
ONE: dict[str, Any] = {"name": "node1", "addresses": ["10.0.0.2"], "prefixes": ["10.244.1.0/24"]}
BOTH: dict[str, Any] = {
    "name": "node2",
    "addresses": ["10.0.0.3", "fd00::3", "10.0.0.4"],
    "prefixes": ["10.244.2.0/24", "fd44:2::/64", "10.244.3.0/24"],
}


def tell(intent: Intent, *members: dict[str, Any], before: Roster = NOBODY) -> Roster:
    snapshot = parse_document(json.dumps({"members": list(members)}).encode())
    return take(before, snapshot, intent.member_sources[0], 0.0)


def facts(roster: Roster, *held: str) -> Facts:
    addresses = {}
    for number, one in enumerate(held or ("10.0.0.1/24", "fd00::1/64"), 1):
        address, _, length = one.partition("/")
        fact = HostAddress(number, parse_address(address), int(length), 0)
        addresses[AddressMember(number, fact.address, fact.prefixlen)] = fact
    return Facts(addresses=addresses, told={key_of("fleet"): Fact(roster, Freshness.LIVE)})


def list_entries(intent: Intent, known: Facts) -> tuple[Entry, ...]:
    return tuple(unfold(intent.entries, known).list_entries(intent.entries))


def make(text: str, *members: dict[str, Any], held: tuple[str, ...] = ()) -> list[Entry]:
    """The entries that the members make."""
    intent = read(SOURCE + text)
    entries = list_entries(intent, facts(tell(intent, *members), *held))
    return [one for one in entries if one.name.endswith("]")]


def lack(text: str, *members: dict[str, Any], held: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """Why they make no more."""
    intent = read(SOURCE + text)
    entries = list_entries(intent, facts(tell(intent, *members), *held))
    (each,) = [one for one in entries if isinstance(one, EachEntry)]
    return each.lacking


def show(entries: list[Entry]) -> list[tuple[str, str, str]]:
    """Their names, destinations and gateways."""
    shown = []
    for one in entries:
        assert isinstance(one, RouteEntry)
        to = " ".join(sorted(format_prefix(prefix) for some in one.prefixes.values() for prefix in some))
        shown.append((one.name, to, " ".join(format_address(hop.via) for hop in one.hops if hop.via)))
    return shown


def test_a_member_makes_an_entry_with_all_its_prefixes_of_a_family() -> None:
    assert show(make(PODS, ONE, BOTH)) == [
        ("route/pods[node1]", "10.244.1.0/24", "10.0.0.2"),
        ("route/pods[node2]", "10.244.2.0/24 10.244.3.0/24", "10.0.0.3"),
        ("route/pods[node2+2]", "fd44:2::/64", "fd00::3"),
    ]


def test_several_gateways_are_several_entries() -> None:
    text = PODS.replace("{address}", "{addresses}").replace("{prefixes}", "{prefix}")
    assert show(make(text, BOTH)) == [
        ("route/pods[node2]", "10.244.2.0/24", "10.0.0.3"),
        ("route/pods[node2+2]", "10.244.2.0/24", "10.0.0.4"),
        ("route/pods[node2+3]", "fd44:2::/64", "fd00::3"),
    ]


def test_whatever_else_the_table_says_holds_for_each() -> None:
    intent = read(SOURCE + PODS + 'dev = "v0"\nmetric = 50\ntable = 120\nmtu = 1400\nenforce = "observe"\n')
    entries = list_entries(intent, facts(tell(intent, ONE)))
    each, one = entries
    assert isinstance(each, EachEntry)
    assert isinstance(one, RouteEntry)
    assert (one.table, one.metric, one.hops[0].dev, one.enforce, one.origin) == (
        120,
        50,
        "v0",
        each.enforce,
        each.origin,
    )


def test_the_older_member_comes_first() -> None:
    intent = read(SOURCE + PODS)
    roster = tell(intent, BOTH, before=tell(intent, BOTH))
    roster = tell(intent, BOTH, ONE, before=roster)
    entries = list_entries(intent, facts(roster))
    assert [one.name for one in entries] == [
        "route/pods", "route/pods[node2]", "route/pods[node2+2]", "route/pods[node1]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("", "a b c"),
        ("where = { self = true }", ""),
        ("where = { self = false }", "a b c"),
        ("where = { on_link = true }", "a c"),
        ("where = { on_link = false }", "b"),
        ("where = { ready = true }", "a"),
        ("where = { ready = false }", "b c"),
        ('where = { labels = { zone = "x" } }', "a c"),
        ('where = { labels = { zone = "x", rack = "2" } }', "c"),
        ('where = { on_link = true, ready = true, labels = { zone = "x" } }', "a"),
    ],
)
def test_where_says_which_members_are_meant(where: str, names: str) -> None:
    members = (
        {"name": "a", "addresses": ["10.0.0.2"], "prefixes": ["10.244.1.0/24"], "labels": {"zone": "x"}},
        {"name": "b", "addresses": ["10.0.0.130"], "prefixes": ["10.244.2.0/24"], "ready": False},
        {"name": "c", "addresses": ["10.0.0.3"], "prefixes": ["10.244.3.0/24"], "terminating": True,
         "labels": {"zone": "x", "rack": "2"}},
        {"name": "me", "addresses": ["10.0.0.1"], "prefixes": ["10.244.4.0/24"]},
    )  # fmt: skip
    made = make(PODS + where + "\n", *members, held=("10.0.0.1/25",))
    assert " ".join(one.name[len("route/pods[") : -1] for one in made) == names


@pytest.mark.parametrize(
    ("member", "reasons"),
    [
        ({}, (Lacking("n", "to"),)),
        ({"addresses": ["10.0.0.2"]}, (Lacking("n", "to", 2),)),
        ({"prefixes": ["10.244.1.0/24", "fd44::/64"]}, (Lacking("n", "via", 2), Lacking("n", "via", IPV6))),
        ({"addresses": ["10.0.0.2"], "prefixes": ["fd44::/64"]}, (Lacking("n", "to", 2), Lacking("n", "via", IPV6))),
    ],
)
def test_what_a_member_lacks_is_told_by_family(member: dict[str, Any], reasons: tuple[Any, ...]) -> None:
    assert make(PODS, {"name": "n"} | member) == []
    found = lack(PODS, {"name": "n"} | member)
    assert found[0] == reasons[0]  # what else it lacks follows once that is there


def test_of_many_who_lack_something_a_few_are_told_and_the_others_counted() -> None:
    *few, rest = lack(PODS, *({"name": f"n{number}"} for number in range(9)))
    assert [type(one) for one in few] == [Lacking] * 5
    assert rest == More(4)


@pytest.mark.parametrize("key", ["to", "via"])
def test_a_member_that_tells_a_gateway_of_another_route_gets_no_entry(key: str) -> None:
    other = '[[route]]\nto = "10.9.0.0/16"\nvia = "10.0.0.254"\n'
    text = PODS if key == "via" else PODS.replace("{prefixes}", "{address}/32").replace('"{address}"', '"10.0.0.9"')
    node = ONE | {"addresses": ["10.0.0.254"]}
    assert make(other + text, node) == []
    assert lack(other + text, node) == (NotAllowed("node1", parse_address("10.0.0.254"), is_own=False),)


def test_a_member_that_tells_an_address_of_this_host_gets_no_route() -> None:
    text = PODS + "where = { self = true }\n"
    assert make(text, ONE, held=("10.0.0.2/24",)) == []
    assert lack(text, ONE, held=("10.0.0.2/24",)) == (NotAllowed("node1", parse_address("10.0.0.2"), is_own=True),)


def test_this_host_may_hold_an_address_and_keeps_it_once_it_does() -> None:
    text = '[[address]]\nname = "a"\nfor_each = "@fleet"\naddress = "{address}/24"\ndev = "v0"\n'
    for held in (("10.0.0.1/24",), ("10.0.0.1/24", "10.0.0.2/24")):
        (entry,) = make(text, ONE, held=held)
        assert isinstance(entry, AddressEntry)
        assert (format_address(entry.address), entry.prefixlen) == ("10.0.0.2", 24)


def test_this_host_never_takes_the_address_of_a_router() -> None:
    text = (
        '[[address]]\nname = "a"\nfor_each = "@fleet"\naddress = "{address}/24"\ndev = "v0"\n'
        '[[route]]\nto = "10.9.0.0/16"\nvia = "10.0.0.2"\n'
    )
    assert make(text, ONE) == []


def test_a_rule_for_each_prefix() -> None:
    text = '[[rule]]\nname = "r"\npriority = 50\ntable = 120\nfor_each = "@fleet"\nfrom = "{prefixes}"\n'
    made = make(text, BOTH)
    found = [(one.name, format_prefix(one.rule.source)) for one in made if isinstance(one, RuleEntry)]
    assert found == [
        ("rule/r[node2]", "10.244.2.0/24"),
        ("rule/r[node2+2]", "10.244.3.0/24"),
        ("rule/r[node2+3]", "fd44:2::/64"),
    ]


def test_a_vip_for_each() -> None:
    text = '[[vip]]\nname = "v"\nfor_each = "@fleet"\naddress = "{labels.vip}"\nnode = "10.0.0.1"\n'
    made = make(text, ONE | {"labels": {"vip": "10.244.9.9"}})
    assert [format_prefix(one.prefix) for one in made if isinstance(one, VipEntry)] == ["10.244.9.9/32"]


@pytest.mark.parametrize(
    ("rest", "made"),
    [
        ("", "10.244.2.0/24 10.244.3.0/24 fd44:2::/64"),
        ('family = "ipv4"\n', "10.244.2.0/24 10.244.3.0/24"),
        ('family = "ipv6"\n', "fd44:2::/64"),
        ('src = "10.0.0.1"\n', "10.244.2.0/24 10.244.3.0/24"),
        ('src = "fd00::1"\n', "fd44:2::/64"),
    ],
)
def test_a_family_that_the_rest_of_the_table_does_not_suit_makes_no_entry(rest: str, made: str) -> None:
    assert " ".join(to for _, to, _ in show(make(PODS + rest, BOTH))) == made


def test_a_route_via_one_gateway_takes_the_prefixes_of_its_family() -> None:
    text = PODS.replace('"{address}"', '"10.0.0.9"')
    assert show(make(text, BOTH)) == [("route/pods[node2]", "10.244.2.0/24 10.244.3.0/24", "10.0.0.9")]
    assert lack(text, {"name": "n", "prefixes": ["fd44::/64"]}) == (Lacking("n", "to", 2),)


def test_a_route_to_one_prefix_takes_the_gateways_of_its_family() -> None:
    text = PODS.replace("{prefixes}", "10.244.0.0/16")
    assert show(make(text, BOTH)) == [("route/pods[node2]", "10.244.0.0/16", "10.0.0.3")]


@pytest.mark.parametrize(
    "template",
    ["{labels.x}", "{labels.x}/0", "{weight}.0.0.0/8", "0.0.0.0/{weight}", "{port}::/3", "{address}/{weight}"],
)
@pytest.mark.parametrize("label", ["0.0.0.0/0", "::/0", "10.0.0.0/8", "10.244.0.0/15", "192.0.2.1"])
def test_no_field_leads_out_of_what_the_file_allows(template: str, label: str) -> None:
    text = PODS.replace("{prefixes}", template)
    assert make(text, ONE | {"labels": {"x": label}, "weight": 0, "port": 2000}) == []


@pytest.mark.parametrize("length", ["0", "1", "8", "23"])
def test_no_label_makes_the_network_of_an_address_wider_than_the_file_allows(length: str) -> None:
    text = '[[address]]\nname = "a"\nfor_each = "@fleet"\naddress = "{labels.x}"\ndev = "v0"\n'
    node = ONE | {"labels": {"x": f"10.0.0.77/{length}"}}
    assert make(text, node) == []
    assert lack(text, node) == (OutOfBounds("node1", "address", f"10.0.0.77/{length}"),)


def test_what_is_no_value_of_the_key_is_told() -> None:
    (why,) = lack(PODS.replace("{prefixes}", "{labels.x}"), ONE | {"labels": {"x": "lo; rm"}})
    assert isinstance(why, NotFilled)
    assert (why.member, why.key) == ("node1", "to")


def test_nothing_is_made_again_for_a_member_that_is_as_it_was() -> None:
    intent = read(SOURCE + PODS)
    (each,) = [one for one in intent.entries if isinstance(one, EachEntry)]
    first = tell(intent, ONE, BOTH)
    around = find_neighbourhood(intent.entries, facts(first))
    before = expand(each, first, around)
    changed = tell(intent, ONE | {"addresses": ["10.0.0.9"]}, BOTH, before=first)
    after = expand(each, changed, around, before)
    assert after.made["node2"] is before.made["node2"]
    assert after.made["node1"] is not before.made["node1"]


def test_other_addresses_of_this_host_make_all_again() -> None:
    intent = read(SOURCE + PODS)
    roster = tell(intent, ONE, BOTH)
    before = unfold(intent.entries, facts(roster))
    again = unfold(intent.entries, facts(roster, "10.0.0.2/24"), before).list_entries(intent.entries)
    assert [one.name for one in again] == ["route/pods", "route/pods[node2]", "route/pods[node2+2]"]  # it is node1 now


def test_what_members_need_to_know_is_followed_and_never_more_than_twice_as_much() -> None:
    intent = read(SOURCE + PODS)
    needs = find_needs(intent)
    gateways: set[bytes] = set()
    before: tuple[Entry, ...] = ()
    entries = intent.entries
    for number in range(2, 200):
        node = ONE | {"addresses": [f"10.0.0.{number}"]}
        entries = list_entries(intent, facts(tell(intent, node)))
        needs = follow_needs(needs, partial(replace, intent, entries=entries), len(entries), [*before, *entries[1:]])
        gateways = {parse_address(f"10.0.0.{number}")}
        before = entries[1:]
        assert needs.gateways >= gateways
        assert len(needs.gateways) <= 2 * len(entries) + 1
    assert replace(needs, gateways=frozenset(gateways)) == find_needs(replace(intent, entries=entries))


def test_what_is_more_than_a_gateway_makes_all_needs_be_found_anew() -> None:
    intent = read(SOURCE + '[[vip]]\nname = "v"\nfor_each = "@fleet"\naddress = "{address}"\nnode = "10.0.0.1"\n')
    entries = list_entries(intent, facts(tell(intent, ONE)))
    unfolded = replace(intent, entries=entries)
    assert follow_needs(find_needs(intent), lambda: unfolded, 2, entries[1:]) == find_needs(unfolded)
    assert follow_needs(find_needs(unfolded), lambda: intent, 1, entries[1:]) == find_needs(intent)
