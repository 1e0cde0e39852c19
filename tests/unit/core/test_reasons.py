"""Causes: what the kernel's own changes are put down to."""

from __future__ import annotations

import pytest

from routed.core.reasons import (
    blame_lost_address,
    blame_removal,
    choose_cause,
    explain_facts,
    find_fitting,
)
from routed.core.sources import find_changed_facts
from routed.model.change import Cause, Nature
from routed.model.events import KERNEL, AddressEvent, ObjectEvent
from routed.model.facts import Facts, HostAddress, Link
from routed.model.net import parse_address
from routed.model.objects import AddressMember, AddressSlot, AddressValue, Kind
from routed.model.process import Process
from routed.model.reasons import AddressChange, AddressTurn, Deed, LinkChange, LinkTurn, Look, Sign

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


BY_SOMEBODY = Cause(77, Deed.DELETED, DHCP)
LOST = Cause(KERNEL, gone("192.0.2.1"))
BARE = Cause(KERNEL, Deed.DELETED)
ADDED = Cause(77, Deed.ADDED, DHCP)
CAME = Cause(None, AddressChange(AddressTurn.CAME, parse_address("192.0.2.1")))
ARRIVALS = [
    CAME,
    *(Cause(KERNEL, LinkChange(turn, "v0")) for turn in (LinkTurn.APPEARED, LinkTurn.WENT_UP, LinkTurn.HAS_CARRIER)),
    Cause(None, Sign.GATEWAY),
    Cause(None, Look.COMPARISON),
    Cause(77, Look.AGAIN),
    ADDED,
]


@pytest.mark.parametrize("arrival", ARRIVALS, ids=lambda cause: f"{cause.port}-{cause.reason}")
@pytest.mark.parametrize("loss", [BY_SOMEBODY, LOST, Cause(KERNEL, LinkChange(LinkTurn.WENT_DOWN, "v0"))])
def test_that_something_is_missing_is_explained_by_a_loss_and_by_no_arrival(loss: Cause, arrival: Cause) -> None:
    for first, other in ((loss, arrival), (arrival, loss)):
        assert choose_cause(first, other, Nature.MISSING) == loss


@pytest.mark.parametrize("bare", [BARE, Cause(None, Sign.UNTOLD)])
def test_a_deletion_that_nobody_explains_gives_way_to_what_explains_it_and_not_to_an_arrival(bare: Cause) -> None:
    for first, other in ((bare, LOST), (LOST, bare)):
        assert choose_cause(first, other, Nature.MISSING) == LOST
    assert choose_cause(CAME, bare, Nature.MISSING) == bare


def test_of_two_causes_that_explain_alike_the_first_stays() -> None:
    for first, other in ((BY_SOMEBODY, LOST), (LOST, BY_SOMEBODY), (CAME, Cause(None, Look.STORM))):
        assert choose_cause(first, other, Nature.MISSING) == first


def test_somebodys_object_in_our_place_is_explained_by_who_put_it_there_and_by_no_loss() -> None:
    for first, other in ((ADDED, LOST), (LOST, ADDED), (BARE, ADDED)):
        assert choose_cause(first, other, Nature.FOREIGN) == ADDED
    assert find_fitting(LOST, Nature.FOREIGN) == Cause(None, Look.COMPARISON)
