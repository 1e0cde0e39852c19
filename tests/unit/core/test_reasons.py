"""Causes: what the kernel's own changes are put down to."""

from __future__ import annotations

import pytest

from routed.core.reasons import (
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
from routed.model.reasons import AddressChange, AddressTurn, Deed, LinkChange, LinkTurn, Sign

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


def gone(address: str, turn: AddressTurn = AddressTurn.REMOVED) -> AddressChange:
    return AddressChange(turn, parse_address(address), 24, "v0")


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (removal("192.0.2.1", 77), Cause(77, Deed.DELETED, DHCP)),
        (removal("192.0.2.1", KERNEL), Cause(KERNEL, Deed.DELETED)),
        (removal("192.0.2.1", KERNEL, dynamic=True), Cause(KERNEL, Sign.EXPIRED)),
        (removal("2001:db8::1", KERNEL), Cause(None, Sign.UNTOLD)),
        (removal("2001:db8::1", KERNEL, dynamic=True), Cause(None, Sign.UNTOLD)),
    ],
    ids=["process", "kernel", "expired", "ipv6", "dynamic ipv6"],
)
def test_a_removal_is_blamed_on_whom_its_event_tells(event: ObjectEvent, cause: Cause) -> None:
    assert blame_removal(event, lambda port: DHCP if port == 77 else None) == cause


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (lost("192.0.2.1", 77), Cause(KERNEL, gone("192.0.2.1"), DHCP)),
        (lost("192.0.2.1", 1000), Cause(KERNEL, gone("192.0.2.1", AddressTurn.REMOVED_BY_US))),
        (lost("192.0.2.1", KERNEL), Cause(KERNEL, gone("192.0.2.1"))),
        (lost("192.0.2.1", KERNEL, is_dynamic=True), Cause(KERNEL, gone("192.0.2.1", AddressTurn.EXPIRED))),
        (lost("2001:db8::1", KERNEL, is_dynamic=True), Cause(KERNEL, gone("2001:db8::1"))),
    ],
    ids=["process", "routed", "kernel", "expired", "ipv6"],
)
def test_what_went_with_an_address_is_blamed_on_whoever_took_it_away(event: AddressEvent, cause: Cause) -> None:
    assert blame_lost_address(event, FACTS, 1000, lambda port: DHCP if port == 77 else None) == cause


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        (FACTS, Facts(), Cause(KERNEL, LinkChange(LinkTurn.DELETED, "v0"))),
        (FACTS, Facts(links={1: V0._replace(is_up=False)}), Cause(KERNEL, LinkChange(LinkTurn.WENT_DOWN, "v0"))),
        (Facts(links={1: V0._replace(is_up=False)}), FACTS, Cause(None, LinkChange(LinkTurn.WENT_UP, "v0"))),
        (Facts(), FACTS, Cause(None, LinkChange(LinkTurn.APPEARED, "v0"))),
        (
            Facts(addresses={member_of("192.0.2.1"): HostAddress(1, parse_address("192.0.2.1"), 24, 0)}),
            Facts(),
            Cause(KERNEL, AddressChange(AddressTurn.REMOVED, parse_address("192.0.2.1"))),
        ),
        (
            Facts(),
            Facts(addresses={member_of("192.0.2.1"): HostAddress(1, parse_address("192.0.2.1"), 24, 0)}),
            Cause(None, AddressChange(AddressTurn.CAME, parse_address("192.0.2.1"))),
        ),
    ],
    ids=["deleted", "down", "up", "appeared", "removed", "came"],
)
def test_only_a_loss_is_a_reason_of_the_kernel_to_drop_something(before: Facts, after: Facts, cause: Cause) -> None:
    assert explain_facts(find_changed_facts(before, after), before, after) == cause


def test_a_bare_deletion_by_the_kernel_is_what_asks_for_an_explanation() -> None:
    assert is_unexplained(Cause(KERNEL, Deed.DELETED))
    assert is_unexplained(Cause(None, Sign.UNTOLD))
    assert not is_unexplained(Cause(77, Deed.DELETED))
    assert not is_unexplained(Cause(KERNEL, Sign.EXPIRED))
