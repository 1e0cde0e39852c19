"""The timetable: one moment for each name, and one answer to when the next one is."""

from __future__ import annotations

import pytest

from routed.core.schedule import PASSES
from routed.core.timetable import HANDED_ON, Deadline, Timetable

EVERY = frozenset(Deadline)
REGULAR = {Deadline.LOOK_AGAIN, Deadline.POLL, Deadline.RESYNC}


def a_timetable(**moments: float) -> Timetable:
    timetable = Timetable()
    for name, moment in moments.items():
        timetable.set(Deadline[name.upper()], moment)
    return timetable


def test_an_empty_timetable_is_never_due() -> None:
    assert Timetable().find_next() is None
    assert Timetable().take_due(1e9, EVERY) is None


@pytest.mark.parametrize("name", Deadline)
def test_whatever_is_put_there_is_due_at_its_moment_and_once(name: Deadline) -> None:
    timetable = Timetable()
    timetable.set(name, 5.0)
    assert (timetable.find(name), timetable.find_next()) == (5.0, 5.0)
    assert timetable.take_due(4.9, EVERY) is None
    assert timetable.take_due(5.0, EVERY) is name
    assert timetable.take_due(5.0, EVERY) is None
    assert timetable.find_next() is None


def test_the_next_one_is_the_soonest_of_all() -> None:
    assert a_timetable(resync=60.0, hold=10.0, keep=20.0).find_next() == 10.0


def test_of_several_that_are_due_those_that_are_asked_about_are_taken_in_the_order_of_their_names() -> None:
    timetable = a_timetable(status=1.0, flood=2.0, resync=0.5, keep=9.0)
    taken = [timetable.take_due(5.0, HANDED_ON) for _ in range(3)]
    assert taken == [Deadline.FLOOD, Deadline.STATUS, None]
    assert timetable.find(Deadline.RESYNC) == 0.5


def test_a_later_word_replaces_a_former_one_and_none_is_never() -> None:
    timetable = a_timetable(keep=5.0)
    timetable.set(Deadline.KEEP, 7.0)
    assert timetable.find_next() == 7.0
    timetable.set(Deadline.KEEP, None)
    assert timetable.find_next() is None
    timetable.cancel(Deadline.KEEP)


def test_what_is_brought_forward_is_never_put_off_and_whoever_sleeps_is_told() -> None:
    told: list[float] = []
    timetable = Timetable(on_sooner=told.append)
    for moment in (9.0, 12.0, 4.0, 4.0):
        timetable.bring_forward(Deadline.STATUS, moment)
    assert timetable.find_next() == 4.0
    assert told == [9.0, 4.0]


@pytest.mark.parametrize("name", Deadline)
def test_only_what_is_regular_waits_for_a_retry(name: Deadline) -> None:
    timetable = Timetable(retry_at=8.0)
    timetable.set(name, 5.0)
    due = 8.0 if name in REGULAR else 5.0
    assert (timetable.find(name), timetable.find_next()) == (due, due)
    assert timetable.is_due(5.0, EVERY) is (due == 5.0)
    assert timetable.take(name, 5.0) is (due == 5.0)
    assert timetable.is_due(8.0, EVERY) is (due == 8.0)


def test_however_often_something_is_due_the_table_does_not_grow() -> None:
    timetable = Timetable()
    for moment in range(1000):
        for name in Deadline:
            timetable.set(name, float(moment))
            timetable.bring_forward(name, moment - 1.0)
    assert len(timetable._moments) == len(Deadline)


def test_each_name_is_done_by_exactly_one() -> None:
    assert PASSES | HANDED_ON | {Deadline.HOLD, Deadline.ANNOUNCE, Deadline.POLL} == set(Deadline)
    assert not PASSES & HANDED_ON
