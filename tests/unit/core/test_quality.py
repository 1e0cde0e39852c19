"""Lines that answer and are of no use: how loss and time come to a verdict, on a clock in hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from routed.core.health import Health, find_pause, judge, note
from routed.core.quality import LEAST, Quality, measure
from routed.model.checks import KEPT, Check, CheckState, CheckType, Target
from routed.model.entries import Origin
from routed.model.reasons import Finding, Lossy, Probed, Several, Slow

ONE = Target(bytes((192, 0, 2, 1)))
PLAIN = Check(name="wan1", origin=Origin("f", 1), type=CheckType.ICMP, targets=(ONE,), every=1.0, fast=0.2, fall=3)
LOSSY = replace(PLAIN, loss=0.2)
SLOW = replace(PLAIN, rtt=0.2)
GOOD, BAD = Probed("icmp", Finding.GOOD), Probed("icmp", Finding.SILENCE, "0.5 s")
BUSY = Probed("icmp", Finding.LOCAL, "this host was busy for 3.0 s")
FOUND = {"+": GOOD, "-": BAD, "?": BUSY}


def play(answers: str, check: Check, health: Health | None = None, seconds: float = 0.01) -> Health:
    """``+`` good, ``-`` none, ``?`` not asked; one each second."""
    health = health or Health()
    start = 0.0 if health.asked is None else health.asked
    for number, answer in enumerate(answers, 1):
        health = note(health, FOUND[answer], check, start + number, seconds)
    return health


def test_a_line_that_loses_more_than_it_may_is_down_though_it_answers() -> None:
    up = play("+" * 7 + "--+", LOSSY)
    assert up.verdict is CheckState.UP
    down = play("-", LOSSY, up)
    assert down.verdict is CheckState.DOWN
    assert down.why == Lossy(3 / 11, 0.2, 60.0)
    ruling = judge(LOSSY, {ONE: down})
    assert ruling is not None
    assert ruling.why == down.why


def test_too_few_answers_say_nothing_of_a_line() -> None:
    assert play("+--+--+--", LOSSY).verdict is CheckState.UP
    assert play("+--+--+--+", LOSSY).verdict is CheckState.DOWN
    assert LEAST == 10


def test_without_a_limit_any_loss_is_only_told() -> None:
    health = play("+-" * 30, PLAIN)
    assert health.verdict is CheckState.UP
    assert measure(health.samples).loss == 0.5


def test_a_lossy_line_is_up_again_when_a_quarter_of_what_it_may_lose_is_lost() -> None:
    down = play("+" * 7 + "--+-", LOSSY)
    verdicts = [down.verdict]
    for _ in range(90):
        down = play("+", LOSSY, down)
        verdicts.append(down.verdict)
    turn = verdicts.index(CheckState.UP)
    assert 45 <= turn <= 62  # 3 of 60 is a quarter of 20 %, and then ``rise``
    assert sum(one is not other for one, other in pairwise(verdicts)) == 1


def test_a_lossy_line_is_asked_no_more_often_and_keeps_its_reason() -> None:
    down = play("+" * 7 + "--+-", LOSSY)
    assert find_pause(play("+++++", LOSSY, down), LOSSY, 20.0) == 1.0
    assert play("+--++-", LOSSY, down).why == down.why


def test_a_lossy_line_that_dies_is_dead_and_returns_as_a_dead_one_does() -> None:
    dead = play("---", LOSSY, play("+" * 7 + "--+-+", LOSSY))
    assert dead.why == Probed("icmp", Finding.SILENCE, "0.5 s", 3)
    assert play("++", LOSSY, dead).verdict is CheckState.UP


def test_a_line_that_was_dead_is_not_called_lossy_when_it_comes_back() -> None:
    back = play("+" * 20 + "-" * 30 + "++", LOSSY)
    assert back.verdict is CheckState.UP
    assert play("+" * 30, LOSSY, back).verdict is CheckState.UP


def test_a_lossy_line_is_held_down_as_long_as_any_other() -> None:
    held = replace(LOSSY, hold=100.0)
    down = play("+" * 7 + "--+-", held)
    assert play("+" * 99, held, down).verdict is CheckState.DOWN
    assert play("+" * 101, held, down).verdict is CheckState.UP


def test_what_this_host_could_not_ask_is_no_loss() -> None:
    health = play("+" * 12 + "?" * 50, LOSSY)
    assert health.verdict is CheckState.UP
    assert measure(health.samples) == Quality(12, 0, 0.01)


def test_a_line_that_answers_too_late_is_down_and_up_again_well_below_that() -> None:
    down = play("+" * 10, SLOW, seconds=0.3)
    assert down.verdict is CheckState.DOWN
    assert down.why == Slow(0.3, 0.2, 60.0)
    assert play("+" * 200, SLOW, down, seconds=0.16).verdict is CheckState.DOWN
    assert play("+" * 70, SLOW, down, seconds=0.15).verdict is CheckState.UP


def test_a_few_late_answers_are_not_a_slow_line() -> None:
    health = play("+" * 40, SLOW)
    assert play("+" * 20, SLOW, health, seconds=5.0).verdict is CheckState.UP


def test_both_reasons_are_told() -> None:
    both = replace(SLOW, loss=0.1)
    assert isinstance(play("+++++++--+", both, seconds=0.3).why, Several)


def test_after_a_restart_a_lossy_line_has_to_show_that_it_is_good() -> None:
    kept = Health(CheckState.DOWN, since=1.0, is_poor=True)
    assert play("+" * 9, LOSSY, kept).verdict is CheckState.DOWN
    assert play("+" * 11, LOSSY, kept).verdict is CheckState.UP


@pytest.mark.parametrize("count", [5, KEPT + 50])
def test_no_more_than_so_many_answers_are_kept(count: int) -> None:
    fast = replace(PLAIN, window=10_000.0)
    assert len(play("+" * count, fast).samples) == min(count, KEPT)


def test_answers_of_before_the_window_are_forgotten() -> None:
    health = play("-" * 30 + "+" * 60, PLAIN)
    assert measure(health.samples) == Quality(60, 0, 0.01)


def test_of_other_types_nothing_is_measured() -> None:
    assert play("+-" * 10, replace(PLAIN, type=CheckType.TCP)).samples == ()
