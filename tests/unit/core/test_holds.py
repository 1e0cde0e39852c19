"""Holds: how long something is left alone, and why."""

from __future__ import annotations

import errno

import pytest

from routed.core.holds import FIGHT_HOLDS, Holds, Why
from routed.core.timetable import Deadline
from routed.model.change import Cause
from routed.model.reasons import Deed, Fought, SaidNo
from tests.property.rig import route_key

KEY = route_key()
RIVAL = Cause(4242, Deed.DELETED)
ENTRY = "route/lan"
NO_DEVICE = SaidNo(errno.ENODEV, "No such device")


def fail(holds: Holds, now: float, jitter: float = 0.0) -> float:
    return holds.note_failure(KEY, NO_DEVICE, is_waiting=False, now=now, jitter=jitter).until - now


def fight(holds: Holds, now: float, times: int = 30, every: float = 1.0) -> float | None:
    """Repair so often; return the length of the hold if there was one."""
    for number in range(times):
        moment = now + number * every
        hold = holds.note_repair(KEY, RIVAL, 30, moment)
        if hold is not None:
            return hold.until - moment
    return None


def test_each_failure_doubles_the_wait_from_a_tenth_of_a_second_up_to_a_minute() -> None:
    holds, now, waits = Holds(), 0.0, []
    for _ in range(12):
        waits.append(fail(holds, now))
        now += waits[-1]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0])


def test_jitter_lengthens_a_wait_by_a_tenth_at_most() -> None:
    assert fail(Holds(), 0.0, jitter=1.0) == pytest.approx(0.11)


def test_a_success_forgets_former_failures() -> None:
    holds = Holds()
    fail(holds, 0.0)
    fail(holds, 1.0)
    holds.note_success(KEY)
    assert fail(holds, 2.0) == pytest.approx(0.1)


def test_a_failure_is_since_its_reason_first_came_up() -> None:
    holds = Holds()
    fail(holds, 5.0)
    fail(holds, 6.0)
    assert holds.active[KEY].since == 5.0
    other = holds.note_failure(KEY, SaidNo(errno.EINVAL, "Invalid argument"), is_waiting=False, now=7.0, jitter=0.0)
    assert other.since == 7.0


def test_thirty_repairs_within_a_minute_are_a_fight() -> None:
    holds = Holds()
    assert fight(holds, 0.0, times=29) is None
    assert holds.note_repair(KEY, RIVAL, 30, 29.0) is not None
    assert holds.active[KEY].why is Why.FIGHT
    assert holds.active[KEY].reason == Fought(30, 29, RIVAL.port)


def test_thirty_repairs_spread_over_more_than_a_minute_are_no_fight() -> None:
    assert fight(Holds(), 0.0, times=300, every=2.1) is None


def test_each_fight_is_held_twice_as_long_up_to_half_an_hour() -> None:
    holds, now, lengths = Holds(), 0.0, []
    for _ in range(7):
        length = fight(holds, now)
        assert length is not None
        lengths.append(length)
        now += 30.0 + length
    assert lengths == [60.0, 120.0, 240.0, 480.0, 960.0, 1800.0, 1800.0]
    assert lengths[:6] == list(FIGHT_HOLDS)


def test_a_rival_who_comes_back_after_a_hold_is_still_the_same_fight() -> None:
    holds = Holds()
    fight(holds, 0.0)
    holds.forget_old_repairs(60.0)
    assert holds.take_ended(90.0) == [KEY]
    holds.forget_old_repairs(29.0 + 60.0 + 30.0)
    assert fight(holds, 130.0) == 120.0


def test_old_fights_are_forgotten() -> None:
    holds = Holds()
    fight(holds, 0.0)
    holds.take_ended(90.0)
    holds.forget_old_repairs(3600.0)
    assert not holds.repairs
    assert not holds.fights
    assert fight(holds, 3700.0) == 60.0


def test_a_reload_ends_fights_and_failures_but_not_a_pause() -> None:
    holds = Holds()
    fight(holds, 0.0)
    holds.pause(ENTRY, "maintenance", until=3600.0, now=0.0)
    holds.release([Why.FAILED, Why.WAITING, Why.FIGHT])
    assert set(holds.active) == {ENTRY}
    assert fight(holds, 100.0) == 60.0


def test_a_hold_on_the_entry_or_on_everything_holds_the_object() -> None:
    for subject in (ENTRY, ""):
        holds = Holds()
        holds.pause(subject, "maintenance", until=10.0, now=0.0)
        hold = holds.find(KEY, ENTRY, 9.9)
        assert hold is not None
        assert hold.why is Why.PAUSED
        assert holds.find(KEY, ENTRY, 10.0) is None


def test_a_pause_ends_by_itself_and_is_handed_over_once() -> None:
    holds = Holds()
    holds.pause(ENTRY, "maintenance", until=10.0, now=0.0)
    assert holds.timetable.find(Deadline.HOLD) == 10.0
    assert holds.take_ended(9.9) == []
    assert holds.take_ended(10.0) == [ENTRY]
    assert holds.take_ended(10.0) == []
    assert not holds.active


def test_an_entry_that_is_resumed_is_enforced_although_everything_else_is_paused() -> None:
    holds = Holds()
    holds.pause("", "maintenance", until=10.0, now=0.0)
    assert holds.resume(ENTRY)
    assert holds.find(KEY, ENTRY, 1.0) is None
    assert holds.find(KEY, "route/other", 1.0) is not None
    assert holds.find_pause(ENTRY) is None
    holds.pause("", "again", until=20.0, now=1.0)
    assert holds.find(KEY, ENTRY, 2.0) is not None


def test_what_was_spared_is_paused_again_with_the_next_pause_of_everything() -> None:
    holds = Holds()
    holds.pause("", "maintenance", until=10.0, now=0.0)
    holds.resume(ENTRY)
    assert holds.take_ended(10.0) == [""]
    assert not holds.spared


def test_a_failure_whose_time_has_come_is_handed_over_once_and_still_counts() -> None:
    holds = Holds()
    fail(holds, 0.0)
    assert holds.take_ended(0.1) == [KEY]
    assert holds.take_ended(0.1) == []
    assert fail(holds, 0.1) == pytest.approx(0.2)


def test_only_a_pause_can_be_resumed() -> None:
    holds = Holds()
    fail(holds, 0.0)
    assert not holds.resume(ENTRY)
    holds.pause(ENTRY, "maintenance", until=10.0, now=0.0)
    assert holds.resume(ENTRY)
    assert not holds.resume(ENTRY)


def test_a_pause_of_a_table_is_about_all_that_its_members_make() -> None:
    holds = Holds()
    holds.pause("route/pods", "maintenance", until=60.0, now=0.0)
    assert holds.find_pause("route/pods[node2]") is not None
    assert holds.is_about(KEY, "route/pods[node2]")
    assert not holds.is_about(KEY, "route/pods2")
