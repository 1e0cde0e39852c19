"""Order: in each line ours stand as the files have them, and what stands in front of ours and is not ours is known.

The kernel puts a new object at one end of its line, and none can be moved. So order is made by taking away and putting
anew, one by one from the first wrong place on. What stands in lines is said by ``kinds.lines``; whether it may be
touched is decided in ``plan``.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, TypeVar

from routed.core.kinds import KINDS, Aliases
from routed.core.kinds.lines import Line
from routed.model.change import Drift, Nature, Want
from routed.model.net import network_of
from routed.model.objects import Kind, Member, Slot, Standing
from routed.model.owner import Stamp

MANY: Final = 64  # moves that are made for the sake of the order alone
PAIRS: Final = 16  # of each object of a line that are looked at

T = TypeVar("T")
Arrives = Callable[[Slot, Member, Want], bool]  # will this one be put, since it is not there?


def find_order(wanted: Mapping[Member, Want], standing: Iterable[Member], line: Line) -> list[Member]:
    """The members of one line as the files have them, as far as the kernel can.

    Those of one entry stay as they stand: what they are for has nothing in common.
    """
    seen = {member: place for place, member in enumerate(standing)}
    last = len(seen)
    by_turn = sorted(wanted, key=lambda member: (wanted[member].entry.turn, seen.get(member, last), member))
    order: list[Member] = []
    narrowest = 0
    for member in by_turn:
        own, at = line.narrowness(member), len(order)
        if own < narrowest:
            at = next((at for at, other in enumerate(order) if line.must_precede(member, other)), at)
        narrowest = max(own, narrowest)
        order.insert(at, member)
    return order


def find_moves(order: Sequence[T], standing: Iterable[T]) -> Sequence[T]:
    """Which of these have to be put at the end anew, in this order, so that all stand in order: as few as can be.

    What stays is the longest beginning of the order that stands one behind the other already.
    """
    at = 0
    for member in standing:
        if at < len(order) and member == order[at]:
            at += 1
    return order[at:]


def keep_what_matters(
    order: Sequence[Member], stands: Sequence[Member], moves: Sequence[Member], line: Line, *, is_first_right: bool
) -> Sequence[Member]:
    """Of very many moves those that make a difference.

    That is what has to come behind something that is put now, or stands in front of something that has to come first.
    Where it would have to be asked of too many pairs, all move.
    """
    if len(moves) <= MANY:
        return moves
    if line.meets is None:
        return () if is_first_right else moves
    places = {member: place for place, member in enumerate(stands)}
    end, budget = len(stands), PAIRS * len(order)
    kept: list[Member] = []
    last: list[tuple[int, Member]] = []  # those before in the order, by where they stand then
    for member in order:
        place = places.get(member, end)
        behind = last[bisect_right(last, place, key=itemgetter(0)) :]
        budget -= len(behind)
        if budget < 0:
            return moves
        if place == end or any(line.meets(one, member) or line.must_precede(one, member) for _, one in behind):
            end += 1
            place = end
            kept.append(member)
        insort(last, (place, member), key=itemgetter(0))
    return kept


@dataclass(frozen=True, slots=True)
class Strangers:
    """What is foreign in one line, by the area that it is for: very many have none in common with most of ours."""

    line: Line
    places: Mapping[Member, int]  # where ours stand
    by_area: Mapping[bytes, Sequence[tuple[int, Standing]]]
    lengths: Sequence[int]  # of the areas

    @classmethod
    def of(cls, standing: Iterable[Standing], line: Line, stamp: Stamp) -> Strangers:
        """Those of all that stands in the line, in the kernel's order."""
        places: dict[Member, int] = {}
        by_area: defaultdict[bytes, list[tuple[int, Standing]]] = defaultdict(list)
        for place, one in enumerate(standing):
            if stamp(one.value).is_ours:
                places.setdefault(one.member, place)
            else:
                by_area[line.area(one.member)].append((place, one))
        return cls(line, places, by_area, sorted({area[-1] for area in by_area if area}))

    def find_in_front(self, member: Member) -> tuple[Standing, ...]:
        """What stands in front of a member of ours and decides for all that this one is for, the first one first.

        A member that does not stand yet will come behind them all. What says the same as ours harms nobody.
        """
        place, area = self.places.get(member), self.line.area(member)
        around = [network_of(area[:-1], length) for length in self.lengths if area and length <= area[-1]]
        in_front = sorted(
            (there, one)
            for where in (b"", *around)
            for there, one in self.by_area.get(where, ())
            if (place is None or there < place) and self.line.overrules(one.member, member)
        )
        return tuple(one for _, one in in_front)


def find_in_front(member: Member, standing: Sequence[Standing], line: Line, stamp: Stamp) -> tuple[Standing, ...]:
    """The same for one member of ours, of all that stands in its line."""
    return Strangers.of(standing, line, stamp).find_in_front(member)


def find_disorder(
    kind: Kind, slot: Slot, wanted: Mapping[Member, Want], standing: Sequence[Standing], stamp: Stamp, arrives: Arrives
) -> Iterator[Drift]:
    """What is out of order in one slot, in the order in which it has to be put anew, and what stands in front of ours.

    ``standing`` is all that stands there, in the kernel's order.
    """
    line = KINDS[kind].line
    if line is None:
        return
    lines: defaultdict[Hashable, dict[Member, Want]] = defaultdict(dict)
    for member, want in wanted.items():
        if want.value is not None:
            lines[line.of(member)][member] = want
    there: defaultdict[Hashable, list[Standing]] = defaultdict(list)
    for one in standing if lines else ():
        if (where := line.of(one.member)) in lines:
            there[where].append(one)
    for where, ours in lines.items():
        if len(ours) > 1:
            yield from _find_misplaced(kind, slot, ours, there[where], stamp, arrives)
        if line.can_be_overruled and not all(stamp(one.value).is_ours for one in there[where]):
            yield from _find_in_place(kind, slot, ours, there[where], stamp)


def mark_taken(kind: Kind, drifts: Sequence[Drift], standing: Iterable[Standing], stamp: Stamp) -> list[Drift]:
    """The same, but that what is missing has with it what the kernel would take it for, and therefore refuse it."""
    line = KINDS[kind].line
    missing = [drift for drift in drifts if drift.nature is Nature.MISSING]
    least = min((line.narrowness(drift.members[0]) for drift in missing), default=0) if line else 0
    narrow: defaultdict[tuple[Slot, Hashable], list[Standing]] = defaultdict(list)
    for one in standing if line and missing else ():
        if line and line.narrowness(one.member) > least and stamp(one.value).is_ours:
            narrow[one.slot, line.of(one.member)].append(one)
    if not narrow or line is None:
        return list(drifts)
    marked: list[Drift] = []
    for drift in drifts:
        near = narrow.get((drift.slot, line.of(drift.members[0])), ()) if drift.nature is Nature.MISSING else ()
        taken = tuple(one for one in near if line.must_precede(drift.members[0], one.member))
        marked.append(drift._replace(others=taken) if taken else drift)
    return marked


def sort_by_turn(kind: Kind, drifts: Iterable[Drift]) -> list[Drift]:
    """Drifts of what has to be put, in the order in which each line is made by it. What has no turn stays first."""
    line = KINDS[kind].line
    given = list(drifts)
    if line is None or len(given) < 2:
        return given
    rest = [drift for drift in given if drift.want is None]
    by_slot: defaultdict[Slot, list[Drift]] = defaultdict(list)
    for drift in given:
        if drift.want is not None:
            by_slot[drift.slot].append(drift)
    for slot, some in by_slot.items():
        wanted = {member: drift.want for drift in some for member in drift.members if drift.want is not None}
        turns = _find_turns(slot, wanted, line)
        rest += sorted(some, key=lambda drift: turns[drift.members[0]])
    return rest


def _find_turns(slot: Slot, wanted: Mapping[Member, Want], line: Line) -> dict[Member, int]:
    """When each is put: as the files have them, but that those of a line are put as that one needs it."""
    by_line: defaultdict[Hashable, dict[Member, Want]] = defaultdict(dict)
    places: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, member in enumerate(sorted(wanted, key=lambda member: (wanted[member].entry.turn, member))):
        by_line[line.of(member)][member] = wanted[member]
        places[line.of(member)].append(place)
    turns: dict[Member, int] = {}
    for where, members in by_line.items():
        order = find_order(members, (), line)
        newest_last = reversed(order) if line.is_newest_first(slot) else order
        turns |= dict(zip(newest_last, places[where], strict=True))
    return turns


def _find_misplaced(
    kind: Kind, slot: Slot, ours: Mapping[Member, Want], there: Sequence[Standing], stamp: Stamp, arrives: Arrives
) -> Iterator[Drift]:
    line = KINDS[kind].line
    assert line is not None
    is_reversed, is_alone = line.is_newest_first(slot), KINDS[kind].aliases is Aliases.ALONE
    present = {one.member: one for one in there if one.member in ours and (is_alone or stamp(one.value).is_ours)}
    stands = list(present)
    coming = [member for member in ours if member not in present and arrives(slot, member, ours[member])]
    turns = [ours[member].entry.turn for member in stands]
    if not coming and turns == sorted(turns):
        return
    counted = {member: ours[member] for member in (*stands, *coming)}
    order = find_order(counted, stands, line)
    is_first_right = order[:1] == stands[:1] and not (is_reversed and coming)
    if is_reversed:
        order.reverse()
        stands.reverse()
    moves = keep_what_matters(order, stands, find_moves(order, stands), line, is_first_right=is_first_right)
    again = [member for member in moves if member in present]
    if not again or any(present[member].value != ours[member].value for member in again):
        return  # what is not as wanted is put right first, and then looked at again
    first = there[0]
    is_led = line.falls_with_first(slot) and first.member in again
    if is_led:  # they all go with it
        again = [member for member in order if member in present]
    others = tuple(there) if is_led else ()
    for member in again:
        one = present[member]
        yield Drift(Nature.OUT_OF_ORDER, kind, slot, (member,), ours[member], (one.value,), others)


def _find_in_place(
    kind: Kind, slot: Slot, ours: Mapping[Member, Want], there: Sequence[Standing], stamp: Stamp
) -> Iterator[Drift]:
    line = KINDS[kind].line
    assert line is not None
    strangers = Strangers.of(there, line, stamp)
    for member, want in ours.items():
        in_front = strangers.find_in_front(member)
        in_place = tuple(one for one in in_front if line.place(one.member) == line.place(member))
        if in_place:
            values = tuple(map(itemgetter(2), in_place))
            yield Drift(Nature.FOREIGN, kind, slot, (member,), want, values, in_place)
