"""Reasons: what the kernel's own changes are called."""

from __future__ import annotations

import pytest

from routed.core.kinds.address import EXPIRED, UNTOLD
from routed.core.reasons import (
    DELETED,
    blame_lost_address,
    blame_removal,
    explain_facts,
    is_unexplained,
)
from routed.core.sources import find_changed_facts
from routed.model.change import Cause
from routed.model.events import KERNEL, AddressEvent, ObjectEvent
from routed.model.facts import Facts, HostAddress, Link
from routed.model.net import parse_address
from routed.model.objects import AddressMember, AddressSlot, AddressValue, Kind
from routed.model.process import Process

V0 = Link(1, "v0", is_up=True, has_carrier=True)
FACTS = Facts(links={1: V0})
DHCP = Process(77, "dhclient")


def member_of(address: str) -> AddressMember:
    return AddressMember(1, parse_address(address), 24)


def removal(address: str, port: int, *, dynamic: bool = False) -> ObjectEvent:
    family = 10 if ":" in address else 2
    value = AddressValue(0, dynamic=dynamic)
    return ObjectEvent(Kind.ADDRESS, AddressSlot(family), (member_of(address),), value, True, False, False, port)


def lost(address: str, port: int, *, is_dynamic: bool = False) -> AddressEvent:
    member = member_of(address)
    return AddressEvent(member, HostAddress(1, member.address, 24, 0), True, port, is_dynamic)


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (removal("192.0.2.1", 77), Cause(77, DELETED, DHCP)),
        (removal("192.0.2.1", KERNEL), Cause(KERNEL, DELETED)),
        (removal("192.0.2.1", KERNEL, dynamic=True), Cause(KERNEL, EXPIRED)),
        (removal("2001:db8::1", KERNEL), Cause(None, UNTOLD)),
        (removal("2001:db8::1", KERNEL, dynamic=True), Cause(None, UNTOLD)),
    ],
    ids=["process", "kernel", "expired", "ipv6", "dynamic ipv6"],
)
def test_a_removal_is_blamed_on_whom_its_event_tells(event: ObjectEvent, cause: Cause) -> None:
    assert blame_removal(event, lambda port: DHCP if port == 77 else None) == cause


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (lost("192.0.2.1", 77), Cause(KERNEL, "address 192.0.2.1/24 of v0 was removed", DHCP)),
        (lost("192.0.2.1", 1000), Cause(KERNEL, "address 192.0.2.1/24 of v0 was removed by routed")),
        (lost("192.0.2.1", KERNEL), Cause(KERNEL, "address 192.0.2.1/24 of v0 was removed")),
        (lost("192.0.2.1", KERNEL, is_dynamic=True), Cause(KERNEL, "address 192.0.2.1/24 of v0 expired")),
        (lost("2001:db8::1", KERNEL, is_dynamic=True), Cause(KERNEL, "address 2001:db8::1/24 of v0 was removed")),
    ],
    ids=["process", "routed", "kernel", "expired", "ipv6"],
)
def test_what_went_with_an_address_is_blamed_on_whoever_took_it_away(event: AddressEvent, cause: Cause) -> None:
    assert blame_lost_address(event, FACTS, 1000, lambda port: DHCP if port == 77 else None) == cause


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        (FACTS, Facts(), Cause(KERNEL, "link v0 was deleted")),
        (FACTS, Facts(links={1: V0._replace(is_up=False)}), Cause(KERNEL, "link v0 went down")),
        (Facts(links={1: V0._replace(is_up=False)}), FACTS, Cause(None, "link v0 went up")),
        (Facts(), FACTS, Cause(None, "link v0 appeared")),
        (
            Facts(addresses={member_of("192.0.2.1"): HostAddress(1, parse_address("192.0.2.1"), 24, 0)}),
            Facts(),
            Cause(KERNEL, "address 192.0.2.1 was removed"),
        ),
        (
            Facts(),
            Facts(addresses={member_of("192.0.2.1"): HostAddress(1, parse_address("192.0.2.1"), 24, 0)}),
            Cause(None, "address 192.0.2.1 came or changed"),
        ),
    ],
    ids=["deleted", "down", "up", "appeared", "removed", "came"],
)
def test_only_a_loss_is_a_reason_of_the_kernel_to_drop_something(before: Facts, after: Facts, cause: Cause) -> None:
    assert explain_facts(find_changed_facts(before, after), before, after) == cause


def test_a_bare_deletion_by_the_kernel_is_what_asks_for_an_explanation() -> None:
    assert is_unexplained(Cause(KERNEL, DELETED))
    assert is_unexplained(Cause(None, UNTOLD))
    assert not is_unexplained(Cause(77, DELETED))
    assert not is_unexplained(Cause(KERNEL, EXPIRED))
