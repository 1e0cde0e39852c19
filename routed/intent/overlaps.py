"""Overlaps: rules of one priority of which both may select a packet, so that the one that comes first decides.

Here lives what can be told from the files alone. What is not certain to have nothing in common counts as overlapping.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from routed.model.entries import RuleEntry
from routed.model.net import DEFAULT, network_of
from routed.model.selection import may_meet


def find_overlaps(rules: Iterable[RuleEntry]) -> Iterator[tuple[RuleEntry, RuleEntry]]:
    """Each rule that comes behind one of its priority that may select the same: (it, the first such one)."""
    groups: defaultdict[tuple[int, int], list[RuleEntry]] = defaultdict(list)
    for entry in rules:
        for family in entry.families:
            groups[family, entry.rule.priority].append(entry)
    told: set[str] = set()
    for (family, _), group in groups.items():
        for entry, earlier in _find_in_group(family, group) if len(group) > 1 else ():
            if entry.name not in told:
                told.add(entry.name)
                yield entry, earlier


def _find_in_group(family: int, group: list[RuleEntry]) -> Iterator[tuple[RuleEntry, RuleEntry]]:
    """By the source, by which most rules of one priority are told apart; so many of them are no square."""
    sources = [entry.rule.source or DEFAULT[family] for entry in group]
    lengths = sorted({source[-1] for source in sources})
    exactly: defaultdict[bytes, list[int]] = defaultdict(list)
    inside: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, (entry, source) in enumerate(zip(group, sources, strict=True)):
        around = [network_of(source[:-1], length) for length in lengths if length < source[-1]]
        near = sorted({*inside[source], *(place for prefix in around for place in exactly[prefix])})
        first = next((group[place] for place in near if _may_meet(group[place], entry)), None)
        if first is not None:
            yield entry, first
        exactly[source].append(place)
        for prefix in (source, *around):
            inside[prefix].append(place)


def _may_meet(one: RuleEntry, other: RuleEntry) -> bool:
    """Those of two interfaces have other addresses."""
    return one.source_of == other.source_of and may_meet(one.rule, other.rule)
