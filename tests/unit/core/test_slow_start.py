"""Slow start: which weight a server has at which moment."""

from __future__ import annotations

import pytest

from routed.core.slow_start import find_weight


@pytest.mark.parametrize(
    ("moment", "found"),
    [
        (100.0, (20, 107.5)),
        (107.4, (20, 107.5)),
        (107.5, (40, 115.0)),
        (120.0, (60, 122.5)),
        (129.9, (80, 130.0)),
        (130.0, (100, None)),
        (9999.0, (100, None)),
        (99.0, (100, None)),  # a clock that went back: all of it
    ],
)
def test_a_fifth_at_once_and_all_when_the_time_is_over(moment: float, found: tuple[int, float | None]) -> None:
    assert find_weight(100, 100.0, 30.0, moment) == found


def test_no_step_is_shorter_than_a_second_and_a_step_that_changes_nothing_is_none() -> None:
    assert find_weight(100, 0.0, 2.0, 0.0) == (34, 1.0)
    assert find_weight(100, 0.0, 0.5, 0.0) == (50, 0.5)
    assert find_weight(1, 0.0, 30.0, 0.0) == (1, None)
    assert find_weight(2, 0.0, 30.0, 0.0) == (1, 15.0)
    assert find_weight(100, 0.0, 0.0, 0.0) == (100, None)
