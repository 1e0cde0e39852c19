"""Lanes of questions: few at once, few a second, and none is lost."""

from __future__ import annotations

from routed.daemon.lane import Item, Lane
from routed.model.checks import Target

AT_ONCE, PAUSE = 16, 0.05
TARGET = Target(b"")


def an_item(number: int) -> Item:
    return 0.0, f"c{number}", TARGET


def test_no_more_than_twenty_begin_in_a_second_and_in_their_order() -> None:
    lane, began = Lane(AT_ONCE, 1 / PAUSE), list[str]()
    for number in range(100):
        if lane.admit(an_item(number), 0.0, 0):
            began.append(f"c{number}")
    assert began == ["c0"]
    now = 0.0
    while (due := lane.find_due(0)) is not None:
        assert due <= now + PAUSE
        now = max(now, due)
        item = lane.take(now, 0)
        assert item is not None
        began.append(item[1])
        assert lane.take(now, 0) is None
    assert began == [f"c{number}" for number in range(100)]
    assert now >= 99 * PAUSE - 1e-6


def test_while_too_many_run_nobody_begins_until_one_has_ended() -> None:
    lane = Lane(AT_ONCE, 1 / PAUSE)
    assert not lane.admit(an_item(1), 0.0, AT_ONCE)
    assert lane.is_waiting
    assert lane.find_due(AT_ONCE) is None
    assert lane.take(100.0, AT_ONCE) is None
    assert lane.find_due(AT_ONCE - 1) == 0.0
    assert lane.take(100.0, AT_ONCE - 1) == an_item(1)


def test_who_is_not_asked_any_more_waits_no_more() -> None:
    lane = Lane(AT_ONCE, 1 / PAUSE)
    for number in range(3):
        lane.admit(an_item(number), 0.0, AT_ONCE)
    lane.keep({"c1"})
    assert lane.take(0.0, 0) == an_item(1)
    assert not lane.is_waiting
