from __future__ import annotations

import pytest

from routed.audit.figures import format_count, format_elapsed, format_span
from routed.audit.printable import make_printable


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 µs"),
        (0.0000042, "4.2 µs"),
        (0.000042, "42 µs"),
        (0.0004, "0.4 ms"),
        (0.0012, "1.2 ms"),
        (0.2, "200 ms"),
        (1.5, "1.5 s"),
        (75.0, "75 s"),
    ],
)
def test_a_measured_time_has_few_digits(seconds: float, text: str) -> None:
    assert format_elapsed(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (90, "90 s"), (120, "2 min"), (3600, "1 h"), (172800, "2 d"), (5400, "90 min")]
)
def test_a_given_time_is_told_in_the_largest_unit_that_divides_it(seconds: float, text: str) -> None:
    assert format_span(seconds) == text


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(1, "route", "1 route"), (2, "route", "2 routes"), (2, "address", "2 addresses"), (0, "entry", "0 entries")],
)
def test_counts_agree_with_their_noun(count: int, noun: str, text: str) -> None:
    assert format_count(count, noun) == text


def test_printable_text_is_left_as_it_is() -> None:
    assert make_printable("Grüße → 10.0.0.0/8") == "Grüße → 10.0.0.0/8"


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x9b", "\u2028"])
def test_no_control_character_passes(character: str) -> None:
    assert make_printable(f"a{character}b").isprintable()
