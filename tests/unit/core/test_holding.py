"""Which entries are for an address, and which of their objects."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routed.core.desired import Resolution
from routed.core.entries import resolve
from routed.core.holding import find_holding
from routed.model.entries import Entry, HeldVipEntry, Origin, VipEntry
from routed.model.facts import Facts, Link
from routed.model.net import format_prefix, parse_address, parse_prefix
from routed.model.objects import Kind
from routed.model.reasons import SaidNo
from tests.property.rig import OURS, a_route, a_rule, an_address, via
from tests.unit.core.test_services import ONE, a_service, server

FACTS = Facts(links={1: Link(1, "v0", is_up=True, has_carrier=True)})
ORIGIN = Origin("f", 1)
MANY = tuple(f"10.{number >> 8}.{number & 255}.0/24" for number in range(20_000))
HELD = an_address("192.0.2.80/32")
VIP = HeldVipEntry(
    name="vip/held", origin=ORIGIN, address=HELD.address, prefixlen=32, dev="v0"
)  # fmt: skip
ROUTED_VIP = VipEntry(name="vip/a", origin=ORIGIN, prefix=parse_prefix("192.0.2.9/32"))


def holds(entry: Entry, address: str) -> bool:
    return find_holding(resolve(entry, FACTS, OURS), parse_address(address)) is not None


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        (a_route(to="10.30.0.0/16"), "10.30.255.1", "10.31.0.0"),
        (a_route(to="0.0.0.0/0"), "8.8.8.8", "2001:db8::1"),
        (a_route(to="2001:db8::/32"), "2001:db8:1::1", "2001:db9::"),
        (a_route(to="10.30.0.0/16", hops=(via("192.0.2.1", "v9"),)), "10.30.0.1", "10.31.0.1"),
        (a_route(to=MANY, is_file=True), "10.78.31.7", "10.78.32.0"),
        (a_rule(source="10.20.0.0/21"), "10.20.7.255", "10.20.8.0"),
        (an_address("10.20.0.11/21"), "10.20.7.1", "10.20.8.1"),
        (VIP, "192.0.2.80", "192.0.2.81"),
        (ROUTED_VIP, "192.0.2.9", "192.0.2.8"),
        (a_service(server(ONE)), "10.0.0.1", "10.0.0.2"),
        (a_service(server(ONE)), "10.0.0.11", "10.0.0.12"),
    ],
    ids=["route", "default", "IPv6", "waiting", "many", "rule", "address", "held VIP", "VIP", "service", "server"],
)
def test_an_entry_is_for_an_address_inside_and_for_none_outside(entry: Entry, inside: str, outside: str) -> None:
    assert holds(entry, inside)
    assert not holds(entry, outside)


def test_a_rule_for_all_is_for_no_address_of_its_own() -> None:
    assert not holds(a_rule(), "10.0.0.1")


def test_the_narrowest_prefix_of_an_entry_comes_first_and_no_other_is_named() -> None:
    entry = a_route(to=("10.0.0.0/8", "10.30.0.0/16", "10.30.7.0/24", "10.40.0.0/16"))
    keys = find_holding(resolve(entry, FACTS, OURS), parse_address("10.30.7.1"))
    assert keys is not None
    assert [format_prefix(key.member) for key in keys if isinstance(key.member, bytes)] == [
        "10.30.7.0/24",
        "10.30.0.0/16",
        "10.0.0.0/8",
    ]


@pytest.mark.parametrize(
    "entry", [a_route(to="10.30.0.0/16"), a_rule(source="10.30.0.0/16"), an_address("10.30.0.1/16"), ROUTED_VIP]
)
def test_an_entry_without_objects_is_for_what_is_written(entry: Entry) -> None:
    withheld = Resolution(entry, withheld=SaidNo(1, "no"))
    inside = "192.0.2.9" if entry is ROUTED_VIP else "10.30.9.9"
    assert find_holding(withheld, parse_address(inside)) == []
    assert find_holding(withheld, parse_address("10.99.0.1")) is None


def test_a_service_is_found_by_each_of_its_objects() -> None:
    service = a_service(server(ONE), server(parse_address("10.0.0.12")))
    resolution = resolve(service, FACTS, OURS)
    assert [key.kind for key in find_holding(resolution, parse_address("10.0.0.1")) or ()] == [Kind.SERVICE]
    assert [key.kind for key in find_holding(resolution, ONE) or ()] == [Kind.SERVER]
    empty = replace(service, listens=())
    assert find_holding(Resolution(empty), ONE) == []
