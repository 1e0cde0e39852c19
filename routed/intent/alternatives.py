"""Alternatives: which routes stand in for each other when a check takes one out of force.

Entries with one table and a destination in common are alternatives. The preferred one has the lowest metric, and of
equal ones it comes first in the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from routed.intent.crosscheck import Clash
from routed.model.entries import Entry
from routed.model.names import DEFAULT_METRIC

_ALONE: Final = (
    "this route stands alone, so `when_all_down` has to say what becomes of it:"
    ' "withdraw", or "keep" if a route that does not work is better than none'
)


def join_alternatives(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries, of which those that require a check know their alternatives."""
    return tuple(_join(entry, entries) if entry.when_down else entry for entry in entries)


def find_lonely(entries: Iterable[Entry]) -> Iterator[Clash]:
    """Routes that require a check, have no alternative, and do not say what becomes of them."""
    for entry in entries:
        when_down = entry.when_down
        if when_down and not when_down.alternatives and when_down.keeps is None and when_down.down_metric is None:
            yield Clash(entry, (), _ALONE)


def _join(entry: Entry, entries: Sequence[Entry]) -> Entry:
    assert entry.when_down is not None
    others = [(place, other) for place, other in enumerate(entries) if other is not entry and _are_alike(entry, other)]
    mine = _rank(entry, next(place for place, one in enumerate(entries) if one is entry))
    keeps = entry.when_down.keeps
    when_down = entry.when_down._replace(
        alternatives=tuple(other.requires for _, other in others),
        keeps=bool(others) if keeps is None and others else keeps,
        is_preferred=all(mine < _rank(other, place) for place, other in others),
    )
    return replace(entry, when_down=when_down)


def _are_alike(entry: Entry, other: Entry) -> bool:
    mine, theirs = getattr(entry, "prefixes", {}), getattr(other, "prefixes", {})
    if getattr(entry, "table", None) != getattr(other, "table", None):
        return False
    return any(not mine[family].isdisjoint(theirs[family]) for family in mine.keys() & theirs.keys())


def _rank(entry: Entry, place: int) -> tuple[int, int]:
    family = min(getattr(entry, "prefixes", {}), default=0)
    return getattr(entry, "metric", None) or DEFAULT_METRIC.get(family, 0), place
