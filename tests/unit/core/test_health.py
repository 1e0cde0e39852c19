"""The state machine of checks, on a clock in hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routed.core.health import FLAPPING, Health, find_impossible, find_pause, judge, note
from routed.model.checks import Check, CheckState, CheckType, Ruling, Target
from routed.model.entries import Origin
from routed.model.reasons import Finding, Probed, TooFew

ONE, TWO, THREE = (Target(bytes((192, 0, 2, number)), 80) for number in (1, 2, 3))
CHECK = Check(name="web", origin=Origin("f", 1), type=CheckType.TCP, targets=(ONE,), every=5.0, fast=1.0)
NEW = Health()
GOOD, BAD = Probed("tcp", Finding.GOOD), Probed("tcp", Finding.REFUSED)
LOCAL = Probed("tcp", Finding.LOCAL, "too many open files")


def play(answers: str, check: Check = CHECK, health: Health = NEW, step: float = 1.0) -> Health:
    """``+`` good, ``-`` bad, ``?`` not asked; one each ``step`` seconds."""
    start = 0.0 if health.asked is None else health.asked
    for number, answer in enumerate(answers, 1):
        health = note(health, {"+": GOOD, "-": BAD, "?": LOCAL}[answer], check, start + number * step)
    return health


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ("", "unknown"), ("+", "up"), ("-", "down"), ("+--", "up"), ("+---", "down"), ("+--+--", "up"),
        ("-+", "down"), ("-++", "up"), ("-+-+", "down"), ("?", "unknown"), ("+?????", "up"), ("-??????", "down"),
    ],
)  # fmt: skip
def test_a_verdict_turns_after_enough_answers_in_a_row_and_the_first_decides_at_once(
    answers: str, verdict: str
) -> None:
    assert play(answers).verdict == verdict


def test_what_could_not_be_asked_neither_counts_nor_breaks_a_row() -> None:
    assert play("+-?-?-").verdict is CheckState.DOWN


def test_what_cannot_be_made_here_says_nothing_of_who_is_asked() -> None:
    health = note(play("+--"), Probed("http", Finding.NO_HEADERS, "/etc/x does not exist"), CHECK, 9.0)
    assert (health.verdict, health.doubts) == (CheckState.UP, 2)
    assert health.last is not None
    assert health.last.finding is Finding.NO_HEADERS


def test_while_it_is_in_doubt_the_next_question_comes_sooner() -> None:
    assert find_pause(play("+"), CHECK, 1.0) == 5.0
    assert find_pause(play("+-"), CHECK, 2.0) == 1.0
    assert find_pause(play("+---"), CHECK, 4.0) == 5.0
    assert find_pause(play("+---+"), CHECK, 5.0) == 1.0


def test_how_often_in_a_row_it_went_wrong_is_told() -> None:
    last = play("+---").last
    assert last is not None
    assert last.times == 3


def test_held_it_stays_down_whatever_is_answered_and_is_asked_no_more_often() -> None:
    held = replace(CHECK, hold=30.0)
    down = play("+---", held)
    assert play("+" * 29, held, down).verdict is CheckState.DOWN
    assert find_pause(play("+" * 20, held, down), held, 24.0) == 5.0
    assert play("+" * 30, held, down).verdict is CheckState.UP


def test_what_flaps_is_held_twice_as_long_each_time_up_to_ten_minutes() -> None:
    held, health, lengths = replace(CHECK, hold=30.0), play("+"), []
    for _ in range(8):
        health = play("---", held, health, step=0.1)
        assert health.verdict is CheckState.DOWN
        assert health.asked is not None
        lengths.append(round(health.held_until - health.asked))
        health = note(health, GOOD, held, health.held_until)
        health = note(health, GOOD, held, health.held_until)
    assert lengths[:5] == [30, 30, 60, 120, 240]
    assert max(lengths) <= FLAPPING
    assert health.is_flapping is (len(health.falls) >= 3)


def test_falls_of_long_ago_do_not_count() -> None:
    held, health = replace(CHECK, hold=30.0), play("+")
    for _ in range(5):
        health = play("---", held, health)
        health = note(health, GOOD, held, health.held_until + FLAPPING)
        health = note(health, GOOD, held, health.held_until + FLAPPING)
        assert health.verdict is CheckState.UP
        assert not health.is_flapping


UP, DOWN, UNKNOWN = (Health(verdict) for verdict in (CheckState.UP, CheckState.DOWN, CheckState.UNKNOWN))


@pytest.mark.parametrize(
    ("need", "healths", "is_up"),
    [
        (1, [UP, DOWN, DOWN], True), (1, [DOWN, DOWN, DOWN], False), (1, [DOWN, DOWN, UNKNOWN], None),
        (3, [UP, UP, DOWN], False), (3, [UP, UP, UNKNOWN], None), (2, [UP, UP, UNKNOWN], True),
        (2, [UP, DOWN, DOWN], False),
    ],
)  # fmt: skip
def test_a_check_is_up_when_enough_of_its_targets_are(need: int, healths: list[Health], is_up: bool | None) -> None:
    check = replace(CHECK, targets=(ONE, TWO, THREE), need=need)
    ruling = judge(check, dict(zip(check.targets, healths, strict=True)))
    assert (ruling and ruling.is_up) is is_up


def test_a_check_that_is_down_says_why() -> None:
    down = play("+---")
    assert judge(CHECK, {ONE: down}) == Ruling(is_up=False, why=Probed("tcp", Finding.REFUSED, times=3))
    several = replace(CHECK, targets=(ONE, TWO), need=2)
    assert judge(several, {ONE: UP, TWO: down}) == Ruling(
        False, TooFew(1, 2, 2, Probed("tcp", Finding.REFUSED, times=3))
    )


def test_the_reason_of_what_is_down_stays_until_it_is_another_one() -> None:
    down = play("+---")
    assert play("----", health=down).why == down.why == Probed("tcp", Finding.REFUSED, times=3)
    silent = note(down, Probed("tcp", Finding.SILENCE, "2 s"), CHECK, 9.0)
    assert silent.why == Probed("tcp", Finding.SILENCE, "2 s", times=4)
    assert play("++", health=silent).why is None


def test_what_cannot_be_made_here_changes_no_verdict_and_is_known_as_that() -> None:
    up = note(Health(), Probed("exec", Finding.GOOD), CHECK, 0.0)
    failed = note(up, Probed("exec", Finding.NO_COMMAND, "/x"), CHECK, 5.0)
    assert (failed.verdict, failed.doubts, failed.bad) == (CheckState.UP, 0, 0)
    assert find_impossible(CHECK, {ONE: failed}) == Probed("exec", Finding.NO_COMMAND, "/x")
    assert find_impossible(CHECK, {ONE: up}) is None
    assert find_impossible(CHECK, {}) is None
