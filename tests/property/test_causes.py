"""Why something went: told by the event that explains it, also where other answers of the kernel are ahead of it."""

from __future__ import annotations

from routed.model.change import Verb
from routed.model.entries import HopSpec
from routed.model.events import AddressEvent, Event
from routed.model.net import parse_address
from routed.model.objects import AddressMember
from routed.model.reasons import AddressChange, AddressTurn
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import Rig, a_host, a_route, address_key, give_address

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
