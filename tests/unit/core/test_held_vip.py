"""Where a VIP may stand on its link, and when its neighbours are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routed.core.announce import Announcements
from routed.core.desired import Desired
from routed.core.entries import resolve
from routed.core.held_vip import Place, find_place
from routed.core.sources import find_changed_facts
from routed.model.change import Cause, Operation, Outcome, Verb
from routed.model.entries import HeldVipEntry, LinkEntry
from routed.model.facts import FactKey, Facts, HostAddress, Link
from routed.model.net import parse_address
from routed.model.objects import AddressMember, AddressSlot, Kind, LinkMember, LinkValue
from routed.model.reasons import Flaw, LinkTaken, Look
from tests.property.rig import ORIGIN, OURS

ETH0 = Link(1, "eth0", is_up=True, has_carrier=True, mac=bytes.fromhex("020000000001"))
LO = Link(2, "lo", is_up=True, has_carrier=True, mac=bytes(6))
DUMMY = Link(3, "routed0", is_up=True, has_carrier=True, kind="dummy", mac=bytes.fromhex("020000000003"))
LINKS = {link.ifindex: link for link in (ETH0, LO, DUMMY)}
VIP = "192.0.2.80"


def vip(address: str = VIP, length: int = 32, dev: str = "eth0", *, count: int = 3) -> HeldVipEntry:
    return HeldVipEntry(
        name=f"vip/{address}", origin=ORIGIN, address=parse_address(address), prefixlen=length, dev=dev,
        announcements=count, interval=1.0,
    )  # fmt: skip


def facts(*held: str, dev: int = 1, services: tuple[str, ...] = (VIP,)) -> Facts:
    """A host with these addresses on a link, in this order."""
    addresses = {}
    for text in held:
        word, _, length = text.partition("/")
        packed = parse_address(word)
        addresses[AddressMember(dev, packed, int(length))] = HostAddress(dev, packed, int(length), 0)
    return Facts(LINKS, addresses, service_addresses=frozenset(map(parse_address, services)))


@pytest.mark.parametrize(
    ("length", "held", "place"),
    [
        (32, (), Place.BARRED),
        (32, ("192.0.2.10/24",), Place.FREE),
        (32, ("192.0.2.10/24", f"{VIP}/32"), Place.FREE),
        (32, (f"{VIP}/32", "192.0.2.10/24"), Place.IN_FRONT),
        (32, (f"{VIP}/32",), Place.BARRED),
        (32, ("2001:db8::1/64",), Place.BARRED),
        (24, ("10.0.0.1/24",), Place.BARRED),
        (24, ("192.0.2.10/25",), Place.BARRED),
        (24, ("192.0.2.10/24",), Place.FREE),
        (24, (f"{VIP}/24", "192.0.2.10/24"), Place.STUCK),
        (24, ("10.0.0.1/24", "192.0.2.10/24", f"{VIP}/24"), Place.FREE),
    ],
)
def test_an_ipv4_vip_stands_behind_an_address_of_the_host(length: int, held: tuple[str, ...], place: Place) -> None:
    assert find_place(vip(length=length), ETH0, facts(*held)).place is place


@pytest.mark.parametrize("link", [LO, DUMMY])
def test_a_link_that_carries_nothing_but_vips_is_free(link: Link) -> None:
    assert find_place(vip(dev=link.name), link, facts()).place is Place.FREE


def test_an_ipv6_vip_is_free_since_it_is_deprecated() -> None:
    assert find_place(vip("2001:db8::80", 128), ETH0, facts()).place is Place.FREE


def test_another_order_of_the_same_addresses_is_news() -> None:
    before, after = facts("192.0.2.10/24", f"{VIP}/32"), facts(f"{VIP}/32", "192.0.2.10/24")
    assert before == after
    assert find_changed_facts(before, after)


def test_a_link_of_that_kind_is_as_good_whoever_made_it() -> None:
    entry = LinkEntry(name="link/routed0", origin=ORIGIN, link="routed0", kind="dummy")
    (group,) = resolve(entry, facts(), OURS).sets
    assert (group.members, group.value) == (frozenset({LinkMember("routed0")}), LinkValue(OURS, "dummy"))
    assert group.also == (LinkValue(0, "dummy"),)


def test_a_link_of_another_kind_is_left_alone() -> None:
    entry = LinkEntry(name="link/eth0", origin=ORIGIN, link="eth0", kind="dummy")
    found = resolve(entry, facts(), OURS)
    assert found.sets == ()
    assert [waiting.reason for waiting in found.waiting] == [LinkTaken("eth0", "")]


# --- announcements ------------------------------------------------------------------------------------------------

HOST = facts("192.0.2.10/24", f"{VIP}/32")
MEMBER = AddressMember(1, parse_address(VIP), 32)


def wanting(entry: HeldVipEntry, at: Facts = HOST) -> Desired:
    desired = Desired()
    desired.put(resolve(entry, at, OURS))
    return desired


def put(entry: HeldVipEntry, member: AddressMember = MEMBER, verb: Verb = Verb.ADD) -> Outcome:
    operation = Operation(verb, Kind.ADDRESS, AddressSlot(2), (member,), None, entry, Flaw.MISSING)
    return Outcome(operation, Cause(None, Look.START))


def moments(announcements: Announcements, desired: Desired, now: float) -> list[float]:
    """When each of the announcements that wait is sent."""
    found = []
    while (due := announcements.find_next()) is not None:
        now = max(now, due)
        found += [now for _ in announcements.take_due(desired, now)]
    return found


def test_a_vip_that_came_is_announced_at_once_and_then_at_its_interval() -> None:
    announcements = Announcements()
    announcements.note([put(vip())], (), wanting(vip()), HOST, 100.0)
    assert moments(announcements, wanting(vip()), 100.0) == [100.0, 101.0, 102.0]


def test_a_link_that_came_into_use_announces_what_stands_on_it() -> None:
    announcements = Announcements()
    announcements.note((), {1}, wanting(vip()), HOST, 100.0)
    assert len(moments(announcements, wanting(vip()), 100.0)) == 3
    announcements.note((), {2}, wanting(vip()), HOST, 200.0)
    announcements.note((), {1}, wanting(vip()), facts("192.0.2.10/24"), 300.0)
    assert announcements.find_next() is None


def test_a_new_burst_begins_no_sooner_than_an_interval_after_the_last_announcement() -> None:
    announcements, desired = Announcements(), wanting(vip())
    announcements.note([put(vip())], (), desired, HOST, 100.0)
    announcements.take_due(desired, 100.0)
    announcements.note((), {1}, desired, HOST, 100.1)
    assert moments(announcements, desired, 100.1) == [101.0, 102.0, 103.0]
    announcements.note((), {1}, desired, HOST, 200.0)
    assert moments(announcements, desired, 200.0) == [200.0, 201.0, 202.0]


def test_what_nobody_wants_any_more_is_not_announced() -> None:
    announcements = Announcements()
    announcements.note([put(vip())], (), wanting(vip()), HOST, 100.0)
    assert announcements.take_due(Desired(), 100.0) == []
    assert announcements.find_next() is None


@pytest.mark.parametrize("entry", [vip(dev="lo"), vip(dev="routed0")])
def test_where_nobody_listens_nothing_is_sent(entry: HeldVipEntry) -> None:
    member = MEMBER._replace(dev=2 if entry.dev == "lo" else 3)
    announcements = Announcements()
    announcements.note([put(entry, member)], (), wanting(entry), HOST, 100.0)
    assert announcements.find_next() is None


def test_a_removal_and_a_count_of_zero_announce_nothing() -> None:
    announcements = Announcements()
    announcements.note([put(vip(), verb=Verb.DELETE), put(vip(count=0))], (), wanting(vip()), HOST, 100.0)
    assert announcements.find_next() is None


def test_a_link_that_went_away_is_no_reason_to_fail() -> None:
    announcements = Announcements()
    announcements.note([put(vip())], {9}, wanting(vip()), replace(HOST, links={}), 100.0)
    assert announcements.find_next() is None


def test_what_is_said_of_another_length_is_said_anew_when_its_link_has_another_name() -> None:
    entry = vip(dev="routed0")
    held = facts("10.0.0.1/24", f"{VIP}/24", dev=2)
    held = replace(held, addresses=held.addresses | facts("192.0.2.10/24", dev=3).addresses)
    assert FactKey("link", LO.ifindex) in resolve(entry, held, OURS).reads
