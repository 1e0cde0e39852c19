"""Overlaps: rules of one priority of which both may select a packet, so that the one that comes first decides.

Here lives what can be told from the files alone. What is not certain to have nothing in common counts as overlapping.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from routed.model.entries import RuleEntry
from routed.model.net import DEFAULT, contains, network_of
from routed.model.objects import RuleMember

_EXACT = ("tos", "iif", "oif", "ipproto")


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
    """May both select a packet, and decide differently about it? Those of two interfaces have other addresses."""
    if one.source_of != other.source_of or _decide_alike(one.rule, other.rule):
        return False
    return one.rule.inverted or other.rule.inverted or not _are_apart(one.rule, other.rule)


def _decide_alike(one: RuleMember, other: RuleMember) -> bool:
    return (one.action, one.table, one.target) == (other.action, other.table, other.target)


def _are_apart(one: RuleMember, other: RuleMember) -> bool:
    """Is it certain that no packet is selected by both?"""
    nothing = RuleMember(one.priority)
    words = ((getattr(one, word), getattr(other, word), getattr(nothing, word)) for word in _EXACT)
    return (
        _are_prefixes_apart(one.source, other.source)
        or _are_prefixes_apart(one.destination, other.destination)
        or any(mine != theirs and unset not in {mine, theirs} for mine, theirs, unset in words)
        or bool((one.fwmark ^ other.fwmark) & one.fwmask & other.fwmask)
        or _are_spans_apart(one.sport, other.sport, (0, 0))
        or _are_spans_apart(one.dport, other.dport, (0, 0))
        or _are_spans_apart(one.uidrange, other.uidrange, None)
    )


def _are_prefixes_apart(one: bytes, other: bytes) -> bool:
    return not (contains(one, other) or contains(other, one)) and bool(one) and bool(other)


def _are_spans_apart(
    one: tuple[int, int] | None, other: tuple[int, int] | None, everything: tuple[int, int] | None
) -> bool:
    if one is None or other is None or everything in {one, other}:
        return False
    return one[1] < other[0] or other[1] < one[0]
