"""What became of what is wanted: what is held, what is not in sync and since when, what was displaced.

Only the methods here write these fields. What an outcome means for them is decided in ``aftermath``. ``displaced`` is
all of the state that cannot be built again from the files and the kernel: the revisions keep it on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from routed.core.announce import Announcements
from routed.core.desired import scope_of
from routed.core.holds import Holds, Why
from routed.core.kinds import KINDS
from routed.core.timetable import Timetable
from routed.core.troubles import State, Trouble, Troubled, Troubles
from routed.model.objects import Key, Scope, Value
from routed.model.reasons import Reason


@dataclass(slots=True)
class Ledger:
    """What is remembered of outcomes. ``holds`` and ``announcements`` are told what happened themselves."""

    holds: Holds = field(default_factory=Holds)
    announcements: Announcements = field(default_factory=Announcements)
    troubles: Troubles = field(default_factory=Troubles)
    unproved: dict[Key, Trouble] = field(default_factory=dict)  # routes of VIPs that the kernel does not follow
    since: dict[str, float] = field(default_factory=dict)  # entry → when it came into sync or was first seen
    displaced: dict[Key, Value] = field(default_factory=dict)  # what our objects took the place of
    established: set[Key] = field(default_factory=set)  # lifelines that were ours before
    postponed: set[Scope] = field(default_factory=set)  # where surplus stays until what failed is tried again

    def copy(self) -> Ledger:
        """The same, to be changed by itself. What was shown and told of it starts anew."""
        return Ledger(
            self.holds.copy(),
            since=dict(self.since),
            displaced=dict(self.displaced),
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

    def note_displaced(self, taken: Mapping[Key, Value]) -> bool:
        """Objects of ours take the place of these. Returns whether there is one that was not known."""
        new = {key: value for key, value in taken.items() if key not in self.displaced}
        self.displaced |= new
        return bool(new)

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

    def note_unproved(self, found: Mapping[Key, Reason], now: float) -> None:
        """These routes of VIPs are not followed; where one is in trouble anyway that says enough."""
        former = self.unproved
        self.unproved = {
            key: former[key] if key in former and former[key].reason == why else Trouble(State.CONFLICT, why, now)
            for key, why in found.items()
            if key not in self.troubles
        }

    def note_established(self, lifelines: Iterable[Key]) -> None:
        """Remember those that are ours and in order now."""
        self.established |= {key for key in lifelines if key not in self.troubles}
