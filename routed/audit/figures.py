"""Figures: times and counts, as sentences and tables have them.

Numbers in, words out, with nothing imported that a quick command would have to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_UNITS: Final = ((1.0, 1.0, "s"), (0.001, 1000.0, "ms"), (0.0, 1e6, "µs"))
_SPANS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
MOST_NAMED: Final = 5  # names in one sentence


def format_elapsed(seconds: float) -> str:
    """A time that was measured, with three digits at most: ``0.4 ms``, ``12 ms``, ``1.5 s``."""
    factor, unit = next((factor, unit) for least, factor, unit in _UNITS if seconds >= least)
    amount = seconds * factor
    if unit == "µs" and amount >= 100:  # from here on ms reads better: 0.4 ms, not 400 µs
        amount, unit = amount / 1000, "ms"
    return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"  # two digits are enough


def format_span(seconds: float) -> str:
    """A time that was given: ``1 h``, ``90 s``, ``2 min``; in the largest unit that divides it."""
    whole = round(seconds)
    return next((f"{whole // size} {unit}" for size, unit in _SPANS if whole >= size and whole % size == 0), "0 s")


def format_count(count: int, noun: str) -> str:
    """``1 route``, ``3 routes``, ``2 addresses``."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("s"):
        return f"{count} {noun}es"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"


def name_some(names: Iterable[str]) -> str:
    """``node2 node3``; of many the first, and how many more there are."""
    listed = list(names)
    rest = len(listed) - MOST_NAMED
    return " ".join(listed[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
