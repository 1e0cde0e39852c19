"""What became of what is wanted: what is held, what is not in sync and since when, what was displaced.

Only the methods here write these fields. What an outcome means for them is decided in ``aftermath``. ``displaced`` is
state that cannot be built again from the files and the kernel: the revisions keep it on disk. So are ``drains``, whose
beginnings ``drains`` keeps there.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from routed.core.announce import Announcements
from routed.core.desired import scope_of
from routed.core.for_each import Moved
from routed.core.holds import Holds, Why
from routed.core.kinds import KINDS
from routed.core.timetable import Timetable
from routed.core.troubles import State, Trouble, Troubled, Troubles
from routed.model.change import Cause
from routed.model.drain import Drain
from routed.model.objects import Key, Scope, Slot, Value
from routed.model.reasons import Reason, is_same

_ABSENT: Final = frozenset(State) - {State.IN_SYNC, State.UNKNOWN}  # where nothing is said to stand either
MAKERS: Final = 256  # objects of others of which it is remembered who put them there


@dataclass(slots=True)
class Ledger:
    """What is remembered of outcomes. ``holds`` and ``announcements`` are told what happened themselves."""

    holds: Holds = field(default_factory=Holds)
    announcements: Announcements = field(default_factory=Announcements)
    troubles: Troubles = field(default_factory=Troubles)
    shadowed: dict[Key, Trouble] = field(default_factory=dict)  # what stands, and something that is not ours decides
    makers: dict[Key, Cause] = field(default_factory=dict)  # who put objects of others there; the last comes last
    turns: dict[tuple[str, Slot], int] = field(default_factory=dict)  # where to go on asking in a large set
    since: dict[str, float] = field(default_factory=dict)  # entry → when it came into sync or was first seen
    displaced: dict[Key, Value] = field(default_factory=dict)  # what our objects took the place of
    drains: dict[Key, Drain] = field(default_factory=dict)  # servers that leave, until nothing is connected
    established: set[Key] = field(default_factory=set)  # lifelines that were ours before
    postponed: set[Scope] = field(default_factory=set)  # where surplus stays until what failed is tried again

    def copy(self) -> Ledger:
        """The same, to be changed by itself. What was shown and told of it starts anew."""
        return Ledger(
            self.holds.copy(),
            since=dict(self.since),
            displaced=dict(self.displaced),
            drains=dict(self.drains),
            shadowed=dict(self.shadowed),
            established=set(self.established),
            postponed=set(self.postponed),
        )

    def count_by(self, timetable: Timetable) -> None:
        """Put what is due here into this timetable."""
        self.holds.timetable = self.announcements.timetable = timetable

    def note_enforced(self, names: Iterable[str], now: float) -> None:
        """Files with these entries are in force: every hold but a pause is let go."""
        self.holds.release([Why.FAILED, Why.WAITING, Why.FIGHT, Why.YIELDED])
        self.since = {name: self.since.get(name, now) for name in names}

    def note_moved(self, moved: Iterable[Moved], now: float) -> None:
        """Entries that members make came, went, or are others."""
        for before, after, _ in moved:
            if after is not None:
                self.since.setdefault(after.name, now)
            elif before is not None:
                self.since.pop(before.name, None)

    def note_displaced(self, taken: Mapping[Key, Value]) -> bool:
        """Objects of ours take the place of these. Returns whether there is one that was not known."""
        new = {key: one for key, one in taken.items() if key not in self.displaced or KINDS[key.kind].is_part}
        self.displaced |= new
        return bool(new)

    def find_conflict(self, key: Key) -> Reason | None:
        """Why the place of an object is left to somebody else; None where it is not."""
        trouble = self.troubles.get(key)
        return trouble.reason if trouble and trouble.state is State.CONFLICT else None

    def find_absent(self, key: Key) -> Reason | None:
        """Why what names this object has to wait, in the words of its kind; None where it stands as it is written."""
        why_absent, trouble = KINDS[key.kind].why_absent, self.troubles.get(key)
        is_conflict = trouble is not None and trouble.state is State.CONFLICT
        is_absent = is_conflict or (trouble is not None and not trouble.standing and trouble.state in _ABSENT)
        return why_absent(key.member) if is_absent and why_absent is not None else None

    def note_drains(self, drains: Mapping[Key, Drain]) -> bool:
        """These servers leave, and no others. Returns whether that is news."""
        is_news = drains != self.drains
        self.drains = dict(drains)
        return is_news

    def take_up_displaced(self, kept: Mapping[Key, Value]) -> None:
        """These were displaced when we last ran."""
        self.displaced |= kept

    def forget_displaced(self, keys: Iterable[Key]) -> None:
        """These were put back, or never can be."""
        for key in keys:
            self.displaced.pop(key, None)

    def note_postponed(self, scopes: AbstractSet[Scope], postponed: AbstractSet[Scope]) -> None:
        """Of what a pass looked at, surplus stays in ``postponed``."""
        self.postponed = self.postponed - scopes | postponed

    def find_scopes_of_others(self, dev: int) -> set[Scope]:
        """The dumps that show what is not in sync, where another object that stands on this link is in its place."""
        return {
            scope_of(key.kind, key.slot)
            for key, trouble in self.troubles.single.items()
            if dev in KINDS[key.kind].find_links((key.member,), trouble.standing)
        }

    def note_troubles(
        self, found: Iterable[Troubled], scopes: AbstractSet[Scope], keys: Iterable[Key], left_out: AbstractSet[Key]
    ) -> list[Troubled]:
        """All that is not in sync in these scopes and of these keys. Returns what is over: see ``Troubles.update``."""
        return self.troubles.update(found, scopes, keys, left_out)

    def note_shadowed(self, asked: Container[Key], found: Mapping[Key, Reason], now: float) -> None:
        """Of these objects it was asked what decides in their place, and of these it is known.

        Of what was not asked about nothing is known that was not known before. It is shadowed since it was first seen,
        and who is behind that is who was found then.
        """
        former = self.shadowed
        self.shadowed = {key: trouble for key, trouble in former.items() if key not in asked} | {
            key: former[key]
            if key in former and is_same(former[key].reason, why)
            else Trouble(State.SHADOWED, why, now)
            for key, why in found.items()
        }

    def forget_shadowed(self, is_wanted: Callable[[Key], object]) -> None:
        """Nobody asks any more about what nobody wants."""
        if self.shadowed:
            self.shadowed = {key: trouble for key, trouble in self.shadowed.items() if is_wanted(key) is not None}

    def note_makers(self, makers: Mapping[Key, Cause | None]) -> None:
        """Who did the last thing to these objects of others, as events told; None: they are gone."""
        for key, cause in makers.items():
            self.makers.pop(key, None)
            if cause is not None:
                self.makers[key] = cause
        for key in list(self.makers)[: -MAKERS or None]:
            del self.makers[key]

    def find_maker(self, key: Key) -> Cause | None:
        """Who put this object of others there. The kernel puts a route for somebody who gave this host an address."""
        cause = self.makers.get(key)
        if cause is not None and cause.port:
            return cause
        place = KINDS[key.kind].find_place(key.slot, key.member)
        behind = (
            made
            for other, made in reversed(self.makers.items())
            if made.port and place in {*KINDS[other.kind].list_made(other.slot, other.member)}
        )
        return next(behind, cause)

    def take_turn(self, entry: str, slot: Slot, count: int, total: int) -> int:
        """Where in a large set to go on asking: so many members from here are asked about now."""
        start = self.turns.get((entry, slot), 0)
        self.turns[entry, slot] = start + count if start + count < total else 0
        return start

    def note_established(self, lifelines: Iterable[Key]) -> None:
        """Remember those that are ours and in order now."""
        self.established |= {key for key in lifelines if key not in self.troubles}
