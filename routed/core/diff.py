"""Desired against observed: a stream of what stands in the kernel in, groups of drift out.

What stands is looked at once and not kept. A chunk of one slot that is all as wanted is accepted as a whole; otherwise
an object costs two dictionary look-ups and one comparison, and only keys with something odd about them are remembered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import NamedTuple

from routed.core.kinds import KINDS
from routed.model.change import Drift, Nature, Want
from routed.model.objects import Key, Kind, Member, Slot, Standing, Value

Wants = Mapping[Slot, Mapping[Member, Want]]


class Differences(NamedTuple):
    """What a comparison found."""

    drifts: tuple[Drift, ...]
    notes: tuple[Drift, ...]  # as wanted, but with a stranger beside it
    absent: Mapping[Slot, frozenset[Member]] = {}  # of what the kernel makes itself: what is not there


@dataclass(slots=True)
class Comparer:
    """Compares what stands with what is wanted in the ``covered`` slots, chunk by chunk, in the kernel's order.

    The dumps that are fed must show everything in the covered slots; what they show elsewhere is looked at only to find
    objects that carry one of ``ours``, our protocol numbers, and that nobody wants.
    """

    kind: Kind
    wants: Wants
    covered: InitVar[Collection[Slot]]
    ours: frozenset[int]
    seen: dict[Slot, set[Member]] = field(init=False)
    odd: dict[tuple[Slot, Member], list[Value]] = field(default_factory=dict)
    surplus: defaultdict[tuple[Slot, Value], list[Member]] = field(default_factory=lambda: defaultdict(list))
    expected: dict[Slot, frozenset[Member]] = field(default_factory=dict)  # what the kernel makes itself

    def __post_init__(self, covered: Collection[Slot]) -> None:
        self.seen = {slot: set() for slot in covered}

    def feed(self, chunk: Sequence[Standing]) -> None:
        """Look at a chunk of what stands."""
        for slot, expected in self.expected.items():
            self.expected[slot] = expected.difference(member for there, member, _ in chunk if there == slot)
        if not _accept_whole(chunk, self.wants, self.seen, self.odd):
            _sort_out(chunk, self.wants, self.seen, self.odd, self.surplus, self.ours)

    def finish(self) -> Differences:
        """How the kernel differs, once everything was fed."""
        drifts, notes = _judge_odd(self.kind, self.wants, self.odd, self.ours)
        drifts += _find_missing(self.kind, self.wants, self.seen, self.odd)
        drifts += [
            Drift(Nature.SURPLUS, self.kind, slot, tuple(members), None, (value,))
            for (slot, value), members in self.surplus.items()
        ]
        return Differences(tuple(drifts), tuple(notes), self.expected)


def compare_keys(
    touched: Mapping[Key, tuple[Value, ...]], wants: Mapping[Kind, Wants], ours: frozenset[int]
) -> Differences:
    """The same for single keys whose whole standing is known, as an event makes it known."""
    drifts: list[Drift] = []
    for (kind, slot, member), standing in touched.items():
        want = wants[kind].get(slot, {}).get(member)
        if want is None:
            drifts += [
                Drift(Nature.SURPLUS, kind, slot, (member,), None, (value,))
                for value in standing
                if value.protocol in ours
            ]
        elif want.value is not None:
            nature = KINDS[kind].judge(slot, want, standing, ours)
            if nature is not None:
                drifts.append(Drift(nature, kind, slot, (member,), want, standing))
    return Differences(tuple(drifts), ())


def _accept_whole(
    chunk: Sequence[Standing],
    wants: Wants,
    seen: dict[Slot, set[Member]],
    odd: Mapping[tuple[Slot, Member], list[Value]],
) -> bool:
    """The common case in a few passes at C speed: one slot, one content, wanted by one entry, each member once.

    False leaves everything to the inner loop below; nothing was noted then.
    """
    if not chunk:
        return True
    slots, members, values = zip(*chunk, strict=True)
    slot, value, count = slots[0], values[0], len(chunk)
    wanted, seen_here = wants.get(slot, {}), seen.get(slot)
    want = wanted.get(members[0])
    if want is None or seen_here is None or want.value != value:
        return False
    if not slots.count(slot) == values.count(value) == list(map(wanted.get, members)).count(want) == count:
        return False
    fresh = set(members)
    if len(fresh) != count or not fresh.isdisjoint(seen_here):
        return False
    if odd and not odd.keys().isdisjoint(zip(slots, members, strict=True)):
        return False
    seen_here |= fresh
    return True


def _sort_out(
    chunk: Iterable[Standing],
    wants: Wants,
    seen: dict[Slot, set[Member]],
    odd: dict[tuple[Slot, Member], list[Value]],
    surplus: defaultdict[tuple[Slot, Value], list[Member]],
    ours: frozenset[int],
) -> None:
    """The inner loop: as wanted is ``seen``, in need of a judge is ``odd``, wanted by nobody is ``surplus``."""
    last_slot: Slot | None = None
    members: Mapping[Member, Want] | None = None
    seen_here: set[Member] | None = None
    for slot, member, value in chunk:
        if slot is not last_slot:
            last_slot, members, seen_here = slot, wants.get(slot), seen.get(slot)
        want = members.get(member) if members is not None else None
        if want is None:
            if value.protocol in ours:
                surplus[slot, value].append(member)
        elif seen_here is None:
            continue
        elif member in seen_here:
            assert want.value is not None
            odd.setdefault((slot, member), [want.value]).append(value)
        elif value == want.value and (slot, member) not in odd:
            seen_here.add(member)
        elif want.value is not None:
            odd.setdefault((slot, member), []).append(value)


def _judge_odd(
    kind: Kind, wants: Wants, odd: Mapping[tuple[Slot, Member], list[Value]], ours: frozenset[int]
) -> tuple[list[Drift], list[Drift]]:
    """The keys with more than one object, or with another than the wanted one: drifts, and notes on what may stay."""
    groups: defaultdict[tuple[Nature | None, Slot, int, tuple[Value, ...]], list[Member]] = defaultdict(list)
    for (slot, member), values in odd.items():
        want, standing = wants[slot][member], tuple(values)
        groups[KINDS[kind].judge(slot, want, standing, ours), slot, id(want), standing].append(member)
    drifts: list[Drift] = []
    notes: list[Drift] = []
    for (nature, slot, _, standing), members in groups.items():
        drift = Drift(nature or Nature.FOREIGN, kind, slot, tuple(members), wants[slot][members[0]], standing)
        if nature is not None:
            drifts.append(drift)
        elif len(standing) > 1:
            notes.append(drift)
    return drifts, notes


def _find_missing(
    kind: Kind, wants: Wants, seen: Mapping[Slot, set[Member]], odd: Mapping[tuple[Slot, Member], list[Value]]
) -> list[Drift]:
    """The wanted objects under whose keys nothing stands, grouped by want."""
    drifts: list[Drift] = []
    for slot, seen_here in seen.items():
        members = wants.get(slot, {})
        if len(seen_here) == len(members):
            continue
        by_want: defaultdict[int, list[Member]] = defaultdict(list)
        for member in members.keys() - seen_here:
            if members[member].value is not None:
                by_want[id(members[member])].append(member)
        for absent in by_want.values():
            really = [member for member in absent if (slot, member) not in odd] if odd else absent
            if really:
                drifts.append(Drift(Nature.MISSING, kind, slot, tuple(sorted(really)), members[really[0]]))
    return drifts
