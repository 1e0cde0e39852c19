"""In which order endpoints are asked, and when a source is said to say nothing."""

from __future__ import annotations

from routed.members.turns import HEALTHY, LAST, Turns
from routed.model.etcd import Endpoint, Unheard
from routed.model.reasons import Several, Snag, Snagged

A, B = Endpoint("a"), Endpoint("b")
NO_A, NO_B = Snagged("a", Snag.SILENT), Snagged("b", Snag.CLOSED)


def test_the_next_one_is_asked_at_once_and_a_round_is_a_failure() -> None:
    turns = Turns((A, B), lambda: 1.0)
    assert turns.endpoint == A
    assert turns.end(NO_A, 0.0) is None
    assert (turns.endpoint, turns.pause) == (B, 0.0)
    assert turns.end(NO_B, 0.0) == Unheard(Several((NO_A, NO_B)))
    assert (turns.endpoint, turns.pause) == (A, 0.1)


def test_the_same_failure_is_told_once_until_the_source_tells_something() -> None:
    turns = Turns((A,), lambda: 0.0)
    assert turns.end(NO_A, 0.0) == Unheard(NO_A)
    assert turns.end(NO_A, 0.0) is None
    turns.hear()
    assert turns.end(NO_A, 0.0) == Unheard(NO_A)


def test_pauses_double_to_a_most_and_begin_again_after_a_connection_that_lasted() -> None:
    turns = Turns((A,), lambda: 1.0)
    pauses = []
    for _ in range(9):
        turns.end(NO_A, 0.0)
        pauses.append(turns.pause)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LAST, LAST, LAST]
    turns.end(NO_A, HEALTHY)
    assert turns.pause == 0.1


def test_a_pause_is_shortened_by_chance_so_that_not_all_come_at_once() -> None:
    turns = Turns((A,), lambda: 0.0)
    turns.end(NO_A, 0.0)
    assert turns.pause == 0.05


def test_a_connection_that_ends_without_a_fault_is_no_failure() -> None:
    turns = Turns((A,), lambda: 1.0)
    assert turns.end(None, 0.0) is None
    assert turns.pause == 0.1
