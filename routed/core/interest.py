"""Interest: of which routes of other programs a change is worth hearing of.

A host may take the whole table of the Internet from a routing daemon, with thousands of changes a second, and nothing
here depends on most of them. What is left out here the kernel does not deliver, so nothing may be left out that an
event could tell: what stands under a wanted key, what a fact speaks of, and whatever is marked as ours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from heapq import nlargest
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any, Final

from routed.core.desired import Desired, Members, ObjectSet
from routed.core.kinds import KINDS
from routed.model.events import PLACE_SIZE, Interest, Span, place_of
from routed.model.net import ADDRESS_LENGTH, DEFAULT, FAMILIES, network_of
from routed.model.prefixes import PrefixSet

MOST: Final = 64  # spans of one family; the kernel goes through them for each event
MANY: Final = 4096  # places; to sort more of them takes longer than others should wait


def find_interest(desired: Desired, watched: Iterable[bytes], protocols: frozenset[int]) -> Interest:
    """Everything that has to be heard of. ``watched`` are prefixes a route to which changes a fact."""
    return Interest(protocols, {family: join_spans(_find_spans(desired, watched, family)) for family in FAMILIES})


def widen(interest: Interest, groups: Iterable[ObjectSet]) -> Interest | None:
    """The same with these objects, which are wanted besides; None where all has to be found anew.

    What is not wanted any more is still heard of, until that is done.
    """
    spans = dict(interest.spans)
    for group in groups:
        if not KINDS[group.kind].are_prefixes:
            continue
        family = group.slot.family
        if isinstance(group.members, PrefixSet) or len(group.members) > MOST or DEFAULT[family] in group.members:
            return None
        prefixes: AbstractSet[Any] = group.members
        places = {place_of(prefix) for prefix in prefixes}
        fresh = [place for place in places if not _is_covered(place, spans[family])]
        if fresh:
            spans[family] = join_spans([*spans[family], *((place, place) for place in fresh)])
    return interest if spans == interest.spans else interest._replace(spans=spans)


def _is_covered(place: int, spans: Sequence[Span]) -> bool:
    at = bisect_right(spans, place, key=itemgetter(0)) - 1
    return at >= 0 and place <= spans[at][1]


def join_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same in order and without overlap; where there are too many, over the narrowest gaps."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    if len(joined) <= MOST:
        return tuple(joined)
    widest = nlargest(MOST - 1, range(1, len(joined)), key=lambda at: joined[at][0] - joined[at - 1][1])
    cuts = [0, *sorted(widest), len(joined)]
    return tuple((joined[start][0], joined[stop - 1][1]) for start, stop in pairwise(cuts))


def _find_halves(slots: Iterable[Members]) -> Iterator[bytes]:
    """Two routes to half of all addresses decide in place of a default route, under another destination each."""
    for family in FAMILIES:
        if any(DEFAULT[family] in members for members in slots):
            yield network_of(bytes(ADDRESS_LENGTH[family]), 1)
            yield network_of(b"\x80" + bytes(ADDRESS_LENGTH[family] - 1), 1)


def _find_spans(desired: Desired, watched: Iterable[bytes], family: int) -> set[Span]:
    """The places of all that is wanted or watched. A crowd is one span, from its first to its last, and so are many."""
    width = ADDRESS_LENGTH[family] + 1
    kinds = [kind for kind, row in KINDS.items() if row.are_prefixes]
    slots = [members for kind in kinds for slot, members in desired.wants[kind].items() if slot.family == family]
    singles: Iterable[Any] = chain(watched, *(members.single for members in slots), _find_halves(slots))
    heads = {prefix[:PLACE_SIZE] for prefix in singles if len(prefix) == width}
    if len(heads) > MANY:
        spans = {(place_of(min(heads)), place_of(max(heads)))}
    else:
        spans = {(place_of(head), place_of(head)) for head in heads}
    for crowd in chain.from_iterable(members.crowds for members in slots):
        (first,), (last,) = crowd.prefixes.take(0, 1), crowd.prefixes.take(len(crowd.prefixes) - 1, len(crowd.prefixes))
        spans.add((place_of(first), place_of(last)))
    return spans
