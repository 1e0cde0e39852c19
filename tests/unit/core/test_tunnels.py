"""``[[tunnel]]``: which link it comes to, and what it waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routed.audit.wording import describe_change
from routed.core.entries import find_needs, resolve
from routed.model.entries import Intent, TunnelEntry
from routed.model.facts import Choice, FactKey, Facts, HostAddress, Link
from routed.model.net import parse_address
from routed.model.objects import AddressMember, Ipip, Key, Kind, LinkMember, LinkSlot, LinkValue
from routed.model.reasons import Lack, LinkTaken, ManyAddresses, NoAddress, NotChosen, Unusable
from routed.model.text import Vocabulary, format_object, to_json
from tests.property.rig import ORIGIN, OURS

LOCAL = parse_address("192.0.2.10")
TUNNEL = TunnelEntry(name="tunnel/overlay", origin=ORIGIN, link="routed-ipip", kind="ipip", local=LOCAL)
BY_NAME = replace(TUNNEL, local=b"", local_of="internal")
VALUE = LinkValue(OURS, "ipip", data=Ipip(LOCAL, 1480))
KEY = Key(Kind.LINK, LinkSlot(), LinkMember("routed-ipip"))


def facts(*held: str, links: tuple[Link, ...] = (), chosen: bool = True) -> Facts:
    """A host with these addresses on eth0, which is @internal."""
    addresses = {}
    for text in held:
        packed = parse_address(text)
        addresses[AddressMember(1, packed, 24)] = HostAddress(1, packed, 24, 0)
    eth0 = Link(1, "eth0", is_up=True, has_carrier=True)
    choices = {"internal": Choice(1, "eth0")} if chosen else {}
    return Facts({link.ifindex: link for link in (eth0, *links)}, addresses, chosen=choices)


def test_it_is_a_link_with_its_address_whoever_made_it() -> None:
    (group,) = resolve(TUNNEL, facts("192.0.2.10"), OURS).sets
    assert (group.kind, group.members, group.value) == (Kind.LINK, frozenset({KEY.member}), VALUE)
    assert group.also == (VALUE._replace(protocol=0),)


def test_it_has_what_the_file_says() -> None:
    entry = replace(TUNNEL, mtu=1400, ttl=64)
    (group,) = resolve(entry, facts("192.0.2.10"), OURS).sets
    assert group.value == VALUE._replace(data=Ipip(LOCAL, 1400, ttl=64))


def test_the_address_of_an_interface_is_meant_by_its_name() -> None:
    found = resolve(BY_NAME, facts("192.0.2.10"), OURS)
    assert found.sets[0].value == VALUE
    assert {FactKey("selector", "internal"), FactKey("address", LOCAL), FactKey("link", "routed-ipip")} <= found.reads


@pytest.mark.parametrize(
    ("entry", "host", "reason"),
    [
        (TUNNEL, facts(), Unusable(LOCAL, "local", Lack.ABSENT)),
        (BY_NAME, facts(chosen=False), NotChosen("internal")),
        (BY_NAME, facts(), NoAddress("eth0", "internal")),
        (
            BY_NAME,
            facts("192.0.2.10", "192.0.2.11"),
            ManyAddresses("internal", "eth0", (LOCAL, parse_address("192.0.2.11"))),
        ),
    ],
)
def test_without_an_address_of_this_host_it_waits_and_nothing_is_known_of_what_shall_stand(
    entry: TunnelEntry, host: Facts, reason: object
) -> None:
    found = resolve(entry, host, OURS)
    assert [waiting.reason for waiting in found.waiting] == [reason]
    assert [(group.members, group.value) for group in found.sets] == [(frozenset({KEY.member}), None)]


@pytest.mark.parametrize("kind", ["dummy", "gre", ""])
def test_a_link_of_another_kind_is_left_alone(kind: str) -> None:
    taken = Link(2, "routed-ipip", is_up=True, has_carrier=True, kind=kind)
    found = resolve(TUNNEL, facts("192.0.2.10", links=(taken,)), OURS)
    assert (found.sets, [one.reason for one in found.waiting]) == ((), [LinkTaken("routed-ipip", kind)])


def test_it_asks_for_the_addresses_of_the_host() -> None:
    assert find_needs(Intent(entries=(TUNNEL,))).has_addresses


def test_it_is_written_as_ip_writes_it() -> None:
    assert format_object(KEY, VALUE, Vocabulary()) == (
        "routed-ipip type ipip remote any local 192.0.2.10 ttl inherit mtu 1480 up alias routed:114"
    )
    assert to_json(KEY, VALUE, Vocabulary()) == {
        "ifname": "routed-ipip",
        "mtu": 1480,
        "linkinfo": {
            "info_kind": "ipip",
            "info_data": {"proto": "ipip", "remote": "any", "local": "192.0.2.10", "ttl": 0, "pmtudisc": True},
        },
        "flags": ["UP"],
        "ifalias": "routed:114",
    }


def test_a_difference_is_told_by_its_own_name() -> None:
    other = VALUE._replace(data=Ipip(parse_address("192.0.2.99"), 1400), is_up=False)
    assert describe_change(KEY, other, VALUE, Vocabulary()) == (
        "mtu 1400 instead of 1480, local 192.0.2.99 instead of 192.0.2.10, flags [] instead of [UP]"
    )
