"""Alternatives: which routes stand in for each other when a check takes one out of force.

Entries with one table and a destination in common are alternatives. The preferred one has the lowest metric, and of
equal ones it comes first in the files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import chain
from typing import Final

from routed.intent.crosscheck import Clash
from routed.model.entries import Entry
from routed.model.names import DEFAULT_METRIC
from routed.model.prefixes import PrefixSet

_ALONE: Final = (
    "this route stands alone, so `when_all_down` has to say what becomes of it:"
    ' "withdraw", or "keep" if a route that does not work is better than none'
)


def join_alternatives(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries, of which those that require a check know their alternatives."""
    if not any(entry.when_down for entry in entries):
        return tuple(entries)
    neighbours = _Neighbours(entries)
    return tuple(
        _join(entry, place, neighbours.find(entry, place)) if entry.when_down else entry
        for place, entry in enumerate(entries)
    )


class _Neighbours:
    """Which entries have a destination in common. Small sets are looked up by prefix, large ones compared."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._by_prefix: dict[tuple[tuple[int | None, bytes], bytes], list[int]] = {}
        self._large: list[int] = []
        for place, entry in enumerate(entries):
            sets = _sets_of(entry)
            if any(isinstance(prefixes, PrefixSet) for prefixes in sets):
                self._large.append(place)
                continue
            for prefix in chain.from_iterable(sets):
                self._by_prefix.setdefault((_place_of(entry), prefix), []).append(place)

    def find(self, entry: Entry, place: int) -> list[tuple[int, Entry]]:
        """The others that are alike, in the order of the files, with their places."""
        sets, where = _sets_of(entry), _place_of(entry)
        if any(isinstance(prefixes, PrefixSet) for prefixes in sets):
            compared: Iterable[int] = range(len(self._entries))
            found: set[int] = set()
        else:
            compared = self._large
            found = {other for prefix in chain.from_iterable(sets) for other in self._by_prefix[where, prefix]}
        found.update(other for other in compared if _are_alike(entry, self._entries[other]))
        return [(other, self._entries[other]) for other in sorted(found - {place})]


def _place_of(entry: Entry) -> tuple[int | None, bytes]:
    """The table, and whose packets it is for."""
    return getattr(entry, "table", None), getattr(entry, "source", b"")


def _sets_of(entry: Entry) -> Collection[AbstractSet[bytes]]:
    prefixes: Mapping[int, AbstractSet[bytes]] = getattr(entry, "prefixes", {})
    return prefixes.values()


def find_lonely(entries: Iterable[Entry]) -> Iterator[Clash]:
    """Routes that require a check, have no alternative, and do not say what becomes of them."""
    for entry in entries:
        when_down = entry.when_down
        if when_down and not when_down.alternatives and when_down.keeps is None and when_down.down_metric is None:
            yield Clash(entry, (), _ALONE)


def _join(entry: Entry, at: int, others: Sequence[tuple[int, Entry]]) -> Entry:
    assert entry.when_down is not None
    mine = _rank(entry, at)
    keeps = entry.when_down.keeps
    when_down = entry.when_down._replace(
        alternatives=tuple(other.requires for _, other in others),
        keeps=bool(others) if keeps is None and others else keeps,
        is_preferred=all(mine < _rank(other, place) for place, other in others),
    )
    return replace(entry, when_down=when_down)


def _are_alike(entry: Entry, other: Entry) -> bool:
    mine, theirs = getattr(entry, "prefixes", {}), getattr(other, "prefixes", {})
    if _place_of(entry) != _place_of(other):
        return False
    return any(not mine[family].isdisjoint(theirs[family]) for family in mine.keys() & theirs.keys())


def _rank(entry: Entry, place: int) -> tuple[int, int]:
    family = min(getattr(entry, "prefixes", {}), default=0)
    return getattr(entry, "metric", None) or DEFAULT_METRIC.get(family, 0), place
