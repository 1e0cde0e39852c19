"""The schedule: when what is dirty is looked at."""

from __future__ import annotations

import pytest

from routed.core.dirt import STORM, Dirt
from routed.core.schedule import LONGEST_LULL, LULL, PATIENCE, PERSEVERANCE, QUIET, SHARE, Schedule
from routed.core.timetable import Deadline
from routed.model.change import Cause
from routed.model.events import Overrun
from routed.model.reasons import Deed, Look
from tests.property.fake_kernel import STRANGER, join_alike
from tests.property.rig import (
    a_rule,
    a_rule_value,
    route_key,
    rule_key,
)
from tests.unit.core.listener import KEY, MAIN, THEIR, Listener, an_event, appeared, big_entry, deleted, storm


def test_a_storm_becomes_one_dump_once_it_is_quiet() -> None:
    listener = Listener(big_entry(STORM + 50))
    dirt = listener.hear(*storm(STORM + 50), now=5.0)
    assert set(dirt.scopes) == {MAIN}
    assert listener.schedule.find_due(5.0) == 5.0 + QUIET
    listener.hear(deleted(key=route_key("10.0.1.0/24")), now=5.005)
    assert listener.schedule.find_due(5.005) == 5.005 + QUIET


def test_a_storm_told_of_in_one_event_is_a_storm_and_keeps_who_did_it_of_each() -> None:
    listener = Listener(big_entry(STORM + 50))
    (together,) = join_alike(list(storm(STORM + 50)))
    dirt = listener.hear(together, now=5.0)
    assert (set(dirt.scopes), dirt.keys) == ({MAIN}, {})
    assert listener.schedule.find_due(5.0) == 5.0 + QUIET
    assert {dirt.cause_of(key) for key in listener.desired.keys_of("route/lan")} == {Cause(STRANGER, Deed.DELETED)}


def test_a_storm_that_never_ends_is_waited_for_only_so_long() -> None:
    listener = Listener(big_entry(STORM + 50))
    listener.hear(*storm(STORM + 50), now=5.0)
    listener.hear(deleted(key=route_key("10.0.1.0/24")), now=5.0 + PERSEVERANCE)
    assert listener.schedule.find_due(5.0 + PERSEVERANCE) == 5.0 + PERSEVERANCE


def test_a_storm_over_ours_is_waited_for_no_less_where_the_dump_was_dirty_before() -> None:
    listener = Listener(big_entry(STORM + 50))
    listener.schedule.dirt.add_scopes([MAIN], Cause(None, Look.AGAIN))
    listener.hear(*storm(STORM + 50), now=5.0)
    listener.hear(deleted(key=route_key("10.0.1.0/24")), now=5.0 + QUIET)
    for moment in (5.2, 5.22, 5.3, 5.0 + PATIENCE):
        listener.schedule.last_event = moment - QUIET
        listener.hear(deleted(key=route_key("10.0.1.0/24")), now=moment)
        assert listener.schedule.find_due(moment) == pytest.approx(moment + LULL * (moment - 5.0))
    assert not listener.schedule.take_keys(9.0, 8)


def test_a_storm_that_lasts_may_pause_for_longer_than_one_that_has_just_begun() -> None:
    listener = Listener(big_entry(STORM + 50))
    listener.hear(*storm(STORM + 50), now=5.0)
    for moment, lull in ((5.01, QUIET), (5.02, QUIET), (5.03, QUIET), (5.2, LULL * 0.2), (5.9, LONGEST_LULL)):
        listener.schedule.last_event = moment - QUIET
        listener.hear(deleted(key=route_key("10.0.1.0/24")), now=moment)
        assert listener.schedule.find_due(moment) == pytest.approx(moment + lull)


def test_after_a_storm_a_single_change_is_answered_at_once_while_the_dump_of_the_storm_still_rests() -> None:
    listener = Listener(big_entry(STORM + 50))
    listener.schedule.rest_until = 9.0
    listener.hear(*storm(STORM + 50), now=5.0)
    elsewhere = route_key("10.0.1.0/24")
    listener.hear(deleted(key=elsewhere), now=6.0)
    assert listener.schedule.find_due(6.0) == 6.0
    assert elsewhere in listener.schedule.take(6.0).keys


def test_who_caused_a_storm_is_remembered_until_its_dump_though_single_keys_are_taken_before() -> None:
    listener = Listener(big_entry(STORM + 50), a_rule())
    listener.schedule.rest_until = 9.0
    listener.hear(*storm(STORM + 50), now=5.0)
    listener.hear(an_event(rule_key(), a_rule_value(), True, False, False, STRANGER), now=6.0)
    assert rule_key() in listener.schedule.take(6.0).keys
    later = listener.schedule.take(9.0)
    assert later.cause_of(route_key("10.0.1.0/24")) == Cause(STRANGER, Deed.DELETED)


def test_lost_events_delay_no_single_change_once_they_are_over() -> None:
    listener = Listener()
    listener.schedule.rest_until = 9.0
    listener.hear(Overrun(), now=5.0)
    listener.hear(deleted(), now=6.0)
    assert listener.schedule.find_due(6.0) == 6.0


def test_an_object_deleted_amid_a_storm_of_strangers_that_never_ends_waits_less_long() -> None:
    listener = Listener()
    strangers = [appeared(THEIR, "add", route_key(f"198.51.{number}.0/24")) for number in range(STORM)]
    listener.hear(deleted(), *strangers, now=5.0)
    listener.hear(strangers[0], now=5.0 + PATIENCE)
    assert listener.schedule.find_due(5.0 + PATIENCE) == 5.0 + PATIENCE


def test_a_single_object_deleted_in_a_storm_of_strangers_is_looked_at_when_it_is_over_and_not_at_the_resync() -> None:
    listener = Listener()
    listener.schedule.timetable.set(Deadline.RESYNC, 60.0)
    strangers = [appeared(THEIR, "add", route_key(f"198.51.{number}.0/24")) for number in range(STORM)]

    dirt = listener.hear(deleted(), *strangers, now=5.0)

    assert not dirt.needs_dump
    assert listener.schedule.find_due(5.0) == 5.0 + QUIET
    assert listener.schedule.take(5.0 + QUIET).keys == {KEY: ()}


def test_fewer_events_than_a_storm_are_repaired_one_by_one_at_once() -> None:
    listener = Listener(big_entry(STORM))
    dirt = listener.hear(*storm(STORM), now=5.0)
    assert len(dirt.keys) == STORM
    assert listener.schedule.find_due(5.0) == 5.0


def test_amid_a_long_pass_single_objects_are_taken_a_few_at_a_time() -> None:
    listener = Listener(big_entry(10))
    listener.hear(*storm(10))
    assert [len(listener.schedule.take_keys(5.0, 8).keys) for _ in range(3)] == [8, 2, 0]


def test_amid_a_long_pass_nothing_is_taken_that_a_storm_left_to_the_next_dump() -> None:
    listener = Listener(big_entry(STORM + 50))
    dirt = listener.hear(*storm(STORM + 50), now=5.0)
    assert dirt.keys
    assert not listener.schedule.take_keys(5.0 + PATIENCE, 8)
    assert set(dirt.scopes) == {MAIN}


def test_an_overrun_makes_everything_dirty() -> None:
    listener = Listener()
    assert listener.hear(Overrun(), now=5.0).everything == Cause(None, Look.OVERRUN)
    assert listener.schedule.find_due(5.0) == 5.0 + QUIET


def test_after_a_pass_with_dumps_the_next_dump_rests_in_proportion_but_single_keys_do_not() -> None:
    listener = Listener()
    listener.schedule.note_pass(Dirt(scopes={MAIN: Cause(None, Look.RETRY)}), 4.0, 4.1)
    listener.hear(appeared(THEIR), now=4.1)
    assert listener.schedule.find_due(4.1) == pytest.approx(4.1 + SHARE * 0.1)
    assert not listener.schedule.take(4.15).needs_dump
    assert listener.schedule.take(4.1 + SHARE * 0.1 + 0.001).needs_dump


def test_a_single_key_is_taken_while_a_dump_still_rests() -> None:
    listener = Listener()
    listener.schedule.rest_until = 9.0
    listener.hear(appeared(THEIR), deleted(), now=5.0)
    assert listener.schedule.take(5.0).keys == {KEY: ()}
    assert set(listener.schedule.dirt.scopes) == {MAIN}


def test_nothing_dirty_is_due_at_the_next_resync_only() -> None:
    schedule = Schedule(resync=60.0)
    assert schedule.find_due(0.0) is None
    schedule.note_pass(Dirt(everything=Cause(None, Look.START)), 1.0, 2.0)
    assert schedule.find_due(2.0) == 62.0
    assert schedule.take(61.9).everything is None
    assert schedule.take(62.0).everything == Cause(None, Look.REGULAR)


def test_what_was_taken_is_not_taken_again() -> None:
    listener = Listener()
    listener.hear(deleted())
    assert listener.schedule.take(1.0)
    assert not listener.schedule.take(1.0)
    assert listener.schedule.find_due(1.0) is None


def test_a_poll_is_due_at_its_moment_and_then_an_interval_later() -> None:
    schedule, intervals = Schedule(polls={"one": 10.0, "other": 15.0}), [("one", 10.0), ("other", 10.0)]
    schedule.arm_polls()
    assert schedule.find_due(0.0) == 10.0
    assert schedule.take_polls(intervals, 9.0) == []
    assert schedule.take_polls(intervals, 10.5) == ["one"]
    assert schedule.polls == {"one": 20.5, "other": 15.0}
    assert schedule.find_due(10.5) == 15.0
    assert schedule.take_polls([("unknown", 10.0)], 99.0) == []


def test_a_poll_waits_for_the_retry_of_a_failed_pass() -> None:
    schedule = Schedule(polls={"one": 10.0})
    schedule.timetable.retry_at = 30.0
    schedule.arm_polls()
    assert schedule.find_due(0.0) == 30.0
    assert not schedule.timetable.take(Deadline.POLL, 20.0)
    assert schedule.timetable.take(Deadline.POLL, 30.0)
