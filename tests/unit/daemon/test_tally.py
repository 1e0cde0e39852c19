"""What is counted of a pass, and what is not."""

from __future__ import annotations

import pytest

from routed.core.dirt import Dirt
from routed.daemon.report import Report
from routed.daemon.tally import BOUNDS, Histogram, Tally
from routed.model.change import Cause, Failure, Nature, Operation, Outcome, Verb
from routed.model.net import IPV4
from routed.model.objects import Kind, RouteSlot, RouteValue
from routed.model.reasons import AddressChange, AddressTurn, Deed, Flaw, LinkChange, LinkTurn, Look, Reason

SLOT, HOLE = RouteSlot(IPV4, 254, 0), RouteValue(6, 114)
MEMBERS = (bytes(5), bytes(4) + b"\1", bytes(4) + b"\2")


def an_outcome(nature: Nature, port: int | None, reason: Reason, *, failed: int = 0) -> Outcome:
    operation = Operation(Verb.ADD, Kind.ROUTE, SLOT, MEMBERS, HOLE, None, Flaw.MISSING, nature=nature)
    return Outcome(operation, Cause(port, reason), tuple(Failure(member, 22, "no") for member in MEMBERS[:failed]))


def note(*outcomes: Outcome, is_initial: bool = False) -> Tally:
    tally = Tally()
    tally.note(Report(Dirt(), 0.0, is_initial=is_initial, outcomes=list(outcomes)))
    return tally


def test_what_was_put_right_is_counted_by_its_cause_and_what_was_refused_is_not() -> None:
    tally = note(an_outcome(Nature.MISSING, 4242, Deed.DELETED, failed=1), an_outcome(Nature.FOREIGN, 7, Deed.DELETED))
    assert tally.causes == {(Deed.DELETED, 1): 5}
    assert (tally.repairs, tally.changes) == (5, 5)
    assert tally.drifts == {Nature.MISSING: 3, Nature.FOREIGN: 3}


def test_processes_are_counted_as_one_however_many_they_are() -> None:
    tally = note(*(an_outcome(Nature.MISSING, port, Deed.DELETED) for port in range(1000, 1100)))
    assert len(tally.causes) == 1


@pytest.mark.parametrize(
    ("reason", "sort"),
    [
        (LinkChange(LinkTurn.WENT_DOWN, "eth0"), LinkTurn.WENT_DOWN),
        (AddressChange(AddressTurn.REMOVED, bytes(4), 24, "eth0"), AddressTurn.REMOVED),
        (Look.REGULAR, Look.REGULAR),
    ],
)
def test_of_a_cause_only_its_sort_is_kept_and_no_name(reason: Reason, sort: object) -> None:
    assert list(note(an_outcome(Nature.MISSING, 0, reason)).causes) == [(sort, 0)]
    assert list(note(an_outcome(Nature.MISSING, None, reason)).causes) == [(sort, None)]


def test_what_the_files_asked_for_is_a_change_and_no_repair_and_neither_is_a_leftover_that_goes() -> None:
    for tally in (
        note(an_outcome(Nature.MISSING, None, Look.RELOAD), is_initial=True),
        note(an_outcome(Nature.SURPLUS, None, Look.REGULAR)),
    ):
        assert (tally.changes, tally.repairs, tally.causes) == (3, 0, {})


def test_a_time_falls_under_the_first_bound_that_is_not_less() -> None:
    histogram = Histogram()
    for seconds in (0.0, BOUNDS[0], BOUNDS[1], BOUNDS[-1], 11.0):
        histogram.note(seconds)
    assert histogram.counts == [2, 1, *[0] * (len(BOUNDS) - 3), 1, 1]
    assert histogram.seconds == pytest.approx(21.0007)
