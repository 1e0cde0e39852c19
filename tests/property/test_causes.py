"""Why something went: told by the event that explains it, also where other answers of the kernel are ahead of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.model.change import Cause, Nature, Outcome, Verb
from routed.model.entries import HopSpec, RouteEntry
from routed.model.events import KERNEL, AddressEvent, Event, LinkEvent
from routed.model.net import parse_address
from routed.model.objects import AddressMember, AddressValue, Key
from routed.model.reasons import AddressChange, AddressTurn, Deed, LinkChange, LinkTurn, Reason
from tests.property.fake_kernel import STRANGER, FakeKernel
from tests.property.rig import (
    THEIRS,
    Rig,
    a_host,
    a_route,
    address_key,
    give_address,
    hop,
    route_key,
    route_value,
    via,
)

MINE, OTHER = address_key("192.0.2.1/24", 1), address_key("fd00::1/64", 1)


def delete_both_addresses(kernel: FakeKernel) -> None:
    for key in (OTHER, MINE):
        assert kernel.request(Verb.DELETE, key, kernel.standing(key)[0]) == 0


def delay_behind(address: bytes, waiting: list[Event]) -> object:
    """Deliver what comes up to the event of this address, and the rest with the next read."""

    def deliver(events: list[Event]) -> list[Event]:
        events = [*waiting, *events]
        stop = next(
            (place for place, event in enumerate(events, 1) if _is_of(event, address) and place < len(events)),
            len(events),
        )
        waiting[:] = events[stop:]
        return events[:stop]

    return deliver


def _is_of(event: Event, address: bytes) -> bool:
    return isinstance(event, AddressEvent) and event.member.address == address


def test_a_route_that_goes_with_its_address_is_not_blamed_on_another_one_whose_event_came_first() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(hops=(HopSpec(via=parse_address("192.0.2.254")),)))
    assert isinstance(OTHER.member, AddressMember)
    kernel.mischief.deliver = delay_behind(OTHER.member.address, [])  # type: ignore[assignment]
    delete_both_addresses(kernel)
    rig.run(1.0)
    give_address(kernel, "192.0.2.1/24", 1, "v0")
    reports = rig.run(1.0)
    (outcome,) = [outcome for report in reports for outcome in report.outcomes]
    assert outcome.cause.reason == AddressChange(AddressTurn.REMOVED, parse_address("192.0.2.1"), 24, "v0")


def test_what_is_heard_while_the_facts_are_read_for_the_first_time_starts_no_pass_before_the_first() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    delete_both_addresses(kernel)
    rig.reconciler.begin()
    assert rig.host.schedule.find_due(rig.now) is None


VIA = a_route(hops=(via("192.0.2.254"),))
WITH_SRC = a_route(hops=(via("192.0.2.254"),), src="192.0.2.1")
WITH_SRC6 = a_route(to="2001:db8:9::/48", hops=(via("fd00::9"),), src="fd00::1")
OVER_LINK6 = a_route(to="2001:db8:9::/48", hops=(via("fd00::9"),))


def set_anew(kernel: FakeKernel, key: Key) -> None:
    """As systemd-networkd does when a link is configured again."""
    value = kernel.standing(key)[0]
    assert kernel.request(Verb.DELETE, key, value) == 0
    assert kernel.request(Verb.ADD, key, value) == 0


def gone(text: str, length: int) -> AddressChange:
    return AddressChange(AddressTurn.REMOVED, parse_address(text), length, "v0")


def deliver_in(order: tuple[int, ...]) -> object:
    """Of what is told at once each kind of event together, in this order of kinds; within one the order stays."""

    def find_kind(event: Event) -> int:
        if isinstance(event, AddressEvent):
            return 0
        return 1 if isinstance(event, LinkEvent) else 2

    return lambda events: sorted(events, key=lambda event: order.index(find_kind(event)))


def list_outcomes(rig: Rig) -> list[Outcome]:
    return [outcome for report in rig.reports for outcome in report.outcomes]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize(
    ("entry", "address", "reason"),
    [
        (VIA, MINE, gone("192.0.2.1", 24)),
        (WITH_SRC, MINE, gone("192.0.2.1", 24)),
        (WITH_SRC6, OTHER, gone("fd00::1", 64)),
    ],
    ids=["in silence", "with an event of its own", "its source, in silence"],
)
def test_what_goes_with_an_address_that_is_set_anew_is_put_down_to_its_removal_whatever_else_is_told_at_once(
    entry: RouteEntry, address: Key, reason: Reason, order: tuple[int, ...]
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(entry)
    rig.reports.clear()
    kernel.mischief.deliver = deliver_in(order)  # type: ignore[assignment]
    kernel.change_link(1, mac=b"123456")
    give_address(kernel, "198.51.100.77/24", 2, "v1")
    set_anew(kernel, address)
    rig.run(1.0)
    (outcome,) = list_outcomes(rig)
    assert outcome.cause == Cause(KERNEL, reason)


@pytest.mark.parametrize("order", [(1, 0, 2), (1, 2, 0), (2, 1, 0)], ids=str)  # its addresses go with it, after it
def test_what_goes_with_a_link_that_is_up_again_is_put_down_to_its_going_down(order: tuple[int, ...]) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(OVER_LINK6)
    rig.reports.clear()
    kernel.mischief.deliver = deliver_in(order)  # type: ignore[assignment]
    kernel.set_down(1)
    kernel.set_up(1)
    give_address(kernel, "fd00::1/64", 1)
    rig.run(1.0)
    (outcome,) = list_outcomes(rig)
    assert outcome.cause.reason == LinkChange(LinkTurn.WENT_DOWN, "v0")


def test_what_could_not_be_put_back_when_its_address_went_is_not_put_down_to_the_address_that_came() -> None:
    """The kernel tells of an address before it drops what stood on it (__inet_del_ifa in net/ipv4/devinet.c).

    Between the two it was asked where the gateway is.
    """
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(VIA)
    rig.reports.clear()
    value, todo = kernel.standing(MINE)[0], ["read_dump", "apply answered"]

    def go_on(call: str) -> None:
        if not todo or call != todo[0]:
            return
        if todo.pop(0) == "read_dump":
            assert kernel.request(Verb.DELETE, MINE, value) == 0
        else:
            assert kernel.request(Verb.ADD, MINE, value) == 0

    assert isinstance(MINE.member, AddressMember)
    kernel.tell(AddressEvent(MINE.member, kernel.addresses()[MINE.member], is_removal=True))
    rig.engine.hear()
    kernel.mischief.fail = go_on
    kernel.mischief.deliver = lambda events: [one for one in events if not _is_removal(one)]  # it was told already
    rig.run(5.0)
    refused, put = list_outcomes(rig)
    assert refused.failures
    assert not put.failures
    assert {refused.cause.reason, put.cause.reason} == {gone("192.0.2.1", 24)}


def _is_removal(event: Event) -> bool:
    return isinstance(event, AddressEvent) and event.is_removal


def test_what_a_regular_comparison_finds_is_put_down_to_what_was_heard_since_it_began() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(VIA)
    rig.reports.clear()
    todo = ["read_dump"]

    def go_on(call: str) -> None:
        if call in todo:
            todo.remove(call)
            set_anew(kernel, MINE)

    kernel.mischief.fail = go_on
    rig.resync()
    (outcome,) = list_outcomes(rig)
    assert outcome.cause.reason == gone("192.0.2.1", 24)


def test_who_put_his_route_in_place_of_ours_that_went_with_its_link_is_named() -> None:
    kernel, key = a_host(), route_key("2001:db8:9::/48")
    rig = Rig(kernel)
    rig.start(OVER_LINK6)
    rig.reports.clear()
    kernel.set_down(1)
    kernel.set_up(1)
    give_address(kernel, "fd00::1/64", 1)
    assert kernel.request(Verb.ADD, key, route_value(hop(2, "fd01::9"), protocol=THEIRS), STRANGER) == 0
    rig.run(1.0)
    causes = {one.cause for one in list_outcomes(rig) if one.operation.nature is Nature.FOREIGN}
    assert causes == {Cause(STRANGER, Deed.ADDED, kernel.identify(STRANGER))}


ELSEWHERE = address_key("198.51.100.77/24", 2)


def toggle(kernel: FakeKernel, key: Key) -> None:
    """Take an address away, or give it."""
    there = kernel.standing(key)
    value = there[0] if there else AddressValue(0, label="v1" if key is ELSEWHERE else "v0" if key is MINE else "")
    assert kernel.request(Verb.DELETE if there else Verb.ADD, key, value) == 0


DEEDS: dict[str, Callable[[FakeKernel], None]] = {
    "its address": lambda kernel: toggle(kernel, MINE),
    "its link": lambda kernel: kernel.change_link(1, mac=bytes(reversed(kernel.links[1].mac or b"123456"))),
    "another address of its link": lambda kernel: toggle(kernel, OTHER),
    "an address elsewhere": lambda kernel: toggle(kernel, ELSEWHERE),
}


@given(
    st.lists(st.sampled_from(list(DEEDS)), min_size=3, max_size=8),
    st.integers(0, 2**32).map(Random),
)
def test_whatever_else_happens_and_however_late_it_is_heard_what_goes_with_an_address_is_put_down_to_its_removal(
    deeds: list[str], chance: Random
) -> None:
    """Answers of the kernel may be ahead of what it told, and others go on while it is asked."""
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(VIA)
    rig.reports.clear()
    todo, held = [*deeds, "its address"], list[Event]()

    def go_on(call: str = "") -> None:
        if todo and (not call or chance.random() < 0.4):
            DEEDS[todo.pop(0)](kernel)

    def deliver(events: list[Event]) -> list[Event]:
        events = [*held, *events]
        stop = chance.randint(0, len(events)) if todo and chance.random() < 0.5 else len(events)
        held[:] = events[stop:]
        return events[:stop]

    kernel.mischief.fail, kernel.mischief.deliver = go_on, deliver
    while todo:
        go_on()
        rig.run(chance.choice((0.0, 0.01, 1.0)))
    if not kernel.standing(MINE):
        toggle(kernel, MINE)
    rig.run(5.0)
    assert kernel.standing(route_key())
    assert {outcome.cause.reason for outcome in list_outcomes(rig)} <= {gone("192.0.2.1", 24)}
