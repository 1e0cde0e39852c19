"""Desired against observed: a stream of what stands in the kernel in, groups of drift out.

What stands is looked at once and not kept. A run of alike routes that is exactly a piece of a prefix file is accepted
as a whole, and one of routes that concern nobody is passed over as a whole. Otherwise an object costs two
dictionary look-ups and one comparison, and only keys with something odd about them are remembered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import InitVar, dataclass, field
from itertools import groupby, repeat
from operator import itemgetter
from typing import Any, NamedTuple

from routed.core.desired import Members
from routed.core.kinds import KINDS
from routed.core.order import Arrives, find_disorder, mark_taken, sort_by_turn
from routed.model.change import Drift, Nature, Want
from routed.model.objects import AlikeRoutes, Chunk, Key, Kind, Member, Slot, Standing, Value
from routed.model.owner import Stamp, Stamps
from routed.model.prefixes import Packed

Wants = Mapping[Slot, Members]
Odd = dict[tuple[Slot, Member], list[Value]]
Stays = defaultdict[tuple[Slot, Value], list[Member]]  # ours, where what shall stand is not known yet


class Differences(NamedTuple):
    """What a comparison found."""

    drifts: tuple[Drift, ...]
    notes: tuple[Drift, ...]  # as wanted, but with a stranger beside it
    absent: Mapping[Slot, frozenset[Member]] = {}  # of what the kernel makes itself: what is not there
    former: tuple[Drift, ...] = ()  # ours, where what shall stand is not known yet
    kept: tuple[Key, ...] = ()  # of what is to be given back: its owner has it


class Seen(NamedTuple):
    """Which of the wanted members of one slot were seen as wanted."""

    single: set[Member]
    crowds: list[bytearray]  # beside those of Members: a byte for each member, 1 when it was seen

    @classmethod
    def none_of(cls, wanted: Members) -> Seen:
        """Nobody yet."""
        return cls(set(), [bytearray(len(crowd.prefixes)) for crowd in wanted.crowds])


@dataclass(slots=True)
class Comparer:
    """Compares what stands with what is wanted in the ``covered`` slots, chunk by chunk, in the kernel's order.

    The dumps that are fed must show everything in the covered slots; what they show elsewhere is looked at only to find
    objects that are ours by their ``stamp``, and that nobody wants.
    """

    kind: Kind
    wants: Wants
    covered: InitVar[Collection[Slot]]
    stamp: Stamp
    seen: dict[Slot, Seen] = field(init=False)
    odd: Odd = field(default_factory=dict)
    surplus: defaultdict[tuple[Slot, Value], list[Member]] = field(default_factory=lambda: defaultdict(list))
    former: Stays = field(default_factory=lambda: defaultdict(list))
    alike: defaultdict[tuple[Slot, Value], list[Packed]] = field(default_factory=lambda: defaultdict(list))
    expected: dict[Slot, frozenset[Member]] = field(default_factory=dict)  # what the kernel makes itself
    arrives: Arrives = lambda *_: True  # will what is missing be put?
    taken: Mapping[Slot, Mapping[Member, Value]] = field(default_factory=dict)  # gone even where somebody else made it
    given_back: Mapping[Slot, AbstractSet[Member]] = field(
        default_factory=dict
    )  # what was taken before, and is not now
    met: dict[Key, Value] = field(default_factory=dict)  # of these, what stands
    in_line: list[Standing] = field(default_factory=list)  # all that was fed, of a kind that stands in lines

    def __post_init__(self, covered: Collection[Slot]) -> None:
        self.seen = {slot: Seen.none_of(self.wants[slot]) for slot in covered if slot in self.wants}

    def feed(self, chunk: Chunk) -> None:
        """Look at a chunk of what stands."""
        if isinstance(chunk, AlikeRoutes):
            if self._accept(chunk) or self._pass_over(chunk):
                return
            chunk = chunk.spread()
        if KINDS[self.kind].line:
            self.in_line += chunk
        for slot, expected in self.expected.items():
            stands_for = KINDS[self.kind].stands_for
            self.expected[slot] = expected.difference(stands_for(member) for there, member, _ in chunk if there == slot)
        if self.taken or self.given_back:
            self._look_for_taken(chunk)
        for slot, standings in groupby(chunk, itemgetter(0)):
            self._sort_out(slot, list(standings))

    def finish(self) -> Differences:
        """How the kernel differs, once everything was fed."""
        drifts, notes = _judge_odd(self.kind, self.wants, self.odd, self.stamp)
        for slot, seen in self.seen.items():
            drifts += _find_missing(self.kind, slot, self.wants[slot], seen, self.odd)
        if KINDS[self.kind].line:
            drifts = mark_taken(self.kind, drifts, self.in_line, self.stamp)
            drifts = sort_by_turn(self.kind, [*drifts, *self._find_disorder()])
        for (slot, value), members in self.surplus.items():
            drifts.append(Drift(Nature.SURPLUS, self.kind, slot, tuple(members), None, (value,)))
        for (slot, value), packed in self.alike.items():
            whole = Packed(b"".join(part.packed for part in packed), packed[0].width)
            drifts.append(Drift(Nature.SURPLUS, self.kind, slot, whole, None, (value,)))
        for slot, some in self.given_back.items():
            absent = tuple(sorted(one for one in some if Key(self.kind, slot, one) not in self.met))
            drifts += [Drift(Nature.TAKEN, self.kind, slot, absent, None)] if absent else []
        kept = tuple(key for key, value in self.met.items() if not self.stamp(value).is_ours)
        return Differences(tuple(drifts), tuple(notes), self.expected, tuple(self._find_former()), kept)

    def _look_for_taken(self, chunk: Iterable[Standing]) -> None:
        """Of somebody else's objects those that go all the same; and who has again what was taken from him."""
        for slot, member, value in chunk:
            if member in self.taken.get(slot, ()) and not self.stamp(value).is_ours:
                self.surplus[slot, value].append(member)
            elif member in self.given_back.get(slot, ()):
                self.met[Key(self.kind, slot, member)] = value

    def _find_former(self) -> Iterator[Drift]:
        for (slot, value), members in self.former.items():
            by_want: defaultdict[int, list[Member]] = defaultdict(list)
            for member in members:
                by_want[id(self.wants[slot][member])].append(member)
            for alike in by_want.values():
                want = self.wants[slot][alike[0]]
                yield Drift(Nature.FORMER, self.kind, slot, tuple(alike), want, (value,))

    def _find_disorder(self) -> Iterator[Drift]:
        for slot in self.seen:
            standing = [one for one in self.in_line if one.slot == slot]
            yield from find_disorder(self.kind, slot, self.wants[slot].single, standing, self.stamp, self.arrives)

    def _accept(self, alike: AlikeRoutes) -> bool:
        """Is this exactly a piece of a crowd, as wanted, and was nothing seen under its keys? Then it is noted."""
        slot, members, value = alike
        wanted, seen = self.wants.get(slot), self.seen.get(slot)
        if wanted is None or seen is None:
            return False
        for crowd, marks in zip(wanted.crowds, seen.crowds, strict=True):
            at = crowd.prefixes.find(members[0]) if crowd.want.value == value else None
            if at is None:
                continue
            end = at + len(members)
            is_piece = crowd.prefixes.pack(at, end) == members.packed and marks.find(1, at, end) < 0
            if is_piece and not (self.odd and self._is_odd(slot, members)):
                marks[at:end] = b"\1" * len(members)
                return True
        return False

    def _is_odd(self, slot: Slot, members: Iterable[Member]) -> bool:
        return not self.odd.keys().isdisjoint(zip(repeat(slot), members))

    def _pass_over(self, alike: AlikeRoutes) -> bool:
        """Is nothing wanted under any of these keys? Then they concern us only when they are ours."""
        slot, members, value = alike
        wanted = self.wants.get(slot)
        if wanted is not None:
            each = tuple(members)
            first, last = min(each), max(each)
            windows = (crowd.prefixes.window(first, last) for crowd in wanted.crowds)
            if any(start < stop for start, stop in windows) or not wanted.single.keys().isdisjoint(each):
                return False
        if self.stamp(value).is_ours:
            self.alike[slot, value].append(members)
        return True

    def _sort_out(self, slot: Slot, standings: list[Standing]) -> None:
        """Some objects of one slot, each by itself."""
        wanted, seen = self.wants.get(slot), self.seen.get(slot)
        if wanted is None or not wanted.crowds:
            single = wanted.single if wanted else {}
            _sort_one_by_one(
                standings, single, seen.single if seen else None, self.odd, self.surplus, self.former, self.stamp
            )
            return
        members: list[Any] = [standing.member for standing in standings]  # prefixes, since there is a crowd
        places = [crowd.prefixes.locate(members) for crowd in wanted.crowds]
        near: dict[Member, Want] = {member: wanted.single[member] for member in members if member in wanted.single}
        for crowd, here in zip(wanted.crowds, places, strict=True):
            near |= dict.fromkeys(here, crowd.want)
        if seen is None:
            _sort_one_by_one(standings, near, None, self.odd, self.surplus, self.former, self.stamp)
            return
        seen_here = set(near.keys() & seen.single)
        for marks, here in zip(seen.crowds, places, strict=True):
            seen_here.update(member for member, at in here.items() if marks[at])
        _sort_one_by_one(standings, near, seen_here, self.odd, self.surplus, self.former, self.stamp)
        for marks, here in zip(seen.crowds, places, strict=True):
            for at in (at for member, at in here.items() if member in seen_here):
                marks[at] = 1
        seen.single.update(seen_here & wanted.single.keys())


def compare_keys(touched: Mapping[Key, tuple[Value, ...]], wants: Mapping[Kind, Wants], stamps: Stamps) -> Differences:
    """The same for single keys whose whole standing is known, as an event makes it known."""
    drifts: list[Drift] = []
    former: list[Drift] = []
    for (kind, slot, member), standing in touched.items():
        wanted = wants[kind].get(slot)
        want = None if wanted is None else wanted.get(member)
        if want is None:
            drifts += [
                Drift(Nature.SURPLUS, kind, slot, (member,), None, (value,))
                for value in standing
                if stamps[kind](value).is_ours
            ]
        elif want.value is not None:
            nature = KINDS[kind].judge(slot, want, standing, stamps[kind])
            if nature is not None:
                drifts.append(Drift(nature, kind, slot, (member,), want, standing))
        else:
            ours = tuple(value for value in standing if stamps[kind](value).is_ours)
            former += [Drift(Nature.FORMER, kind, slot, (member,), want, (value,)) for value in ours[:1]]
    return Differences(tuple(drifts), (), former=tuple(former))


def _sort_one_by_one(
    chunk: Iterable[Standing],
    wanted: Mapping[Member, Want],
    seen: set[Member] | None,
    odd: Odd,
    surplus: defaultdict[tuple[Slot, Value], list[Member]],
    former: Stays,
    stamp: Stamp,
) -> None:
    """The inner loop, for one slot: what is as wanted is ``seen``, what needs a judge ``odd``, the rest ``surplus``.

    ``seen`` is None where the dump does not show all of the slot. Very many objects share a value, whose owner is asked
    for once. Values are told apart by identity: the chunk keeps them alive.
    """
    owned: dict[int, bool] = {}
    for slot, member, value in chunk:
        want = wanted.get(member)
        if want is None:
            is_ours = owned.get(id(value))
            if is_ours is None:
                is_ours = owned[id(value)] = stamp(value).is_ours
            if is_ours:
                surplus[slot, value].append(member)
        elif seen is None:
            continue
        elif member in seen:
            assert want.value is not None
            odd.setdefault((slot, member), [want.value]).append(value)
        elif value == want.value and not want.is_in_front and (slot, member) not in odd:
            seen.add(member)
        elif want.value is not None:
            odd.setdefault((slot, member), []).append(value)
        elif stamp(value).is_ours:
            former[slot, value].append(member)


def _judge_odd(kind: Kind, wants: Wants, odd: Odd, stamp: Stamp) -> tuple[list[Drift], list[Drift]]:
    """The keys with more than one object, or with another than the wanted one: drifts, and notes on what may stay."""
    groups: defaultdict[tuple[Nature | None, Slot, int, tuple[Value, ...]], list[Member]] = defaultdict(list)
    for (slot, member), values in odd.items():
        want, standing = wants[slot][member], tuple(values)
        groups[KINDS[kind].judge(slot, want, standing, stamp), slot, id(want), standing].append(member)
    drifts: list[Drift] = []
    notes: list[Drift] = []
    for (nature, slot, _, standing), members in groups.items():
        drift = Drift(nature or Nature.FOREIGN, kind, slot, tuple(members), wants[slot][members[0]], standing)
        if nature is not None:
            drifts.append(drift)
        elif len(standing) > 1:
            notes.append(drift)
    return drifts, notes


def _find_missing(kind: Kind, slot: Slot, wanted: Members, seen: Seen, odd: Odd) -> list[Drift]:
    """The wanted objects of one slot under whose keys nothing stands, grouped by want."""
    drifts: list[Drift] = []
    if len(seen.single) != len(wanted.single):
        by_want: defaultdict[int, list[Member]] = defaultdict(list)
        for member in wanted.single.keys() - seen.single:
            if wanted.single[member].value is not None and (slot, member) not in odd:
                by_want[id(wanted.single[member])].append(member)
        drifts += [
            Drift(Nature.MISSING, kind, slot, tuple(sorted(absent)), wanted.single[absent[0]])
            for absent in by_want.values()
        ]
    odd_here: list[Any] = [member for there, member in odd if there == slot]
    for (prefixes, want), marks in zip(wanted.crowds, seen.crowds, strict=True):
        for at in prefixes.locate(odd_here).values():
            marks[at] = 1
        if want.value is not None and b"\0" in marks:
            rest = Packed(b"".join(prefixes.pack(*gap) for gap in _find_gaps(marks)), prefixes.width)
            drifts.append(Drift(Nature.MISSING, kind, slot, rest, want))
    return drifts


def _find_gaps(marks: bytearray) -> Iterator[tuple[int, int]]:
    """The places from which and up to which nobody was seen."""
    start = marks.find(0)
    while start >= 0:
        stop = marks.find(1, start)
        if stop < 0:
            stop = len(marks)
        yield start, stop
        start = marks.find(0, stop)
