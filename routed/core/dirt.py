"""Dirt: what has to be looked at, and why.

An object under its key, a whole dump, a source of facts, or everything. Of a key it is known what stands there now, so
no dump is read for it; many keys are cheaper to read in one dump, and turn into it.

Here must never live: which event makes what dirty (``hear``), or when it is looked at (``schedule``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from routed.core.desired import scope_of
from routed.core.reasons import is_unexplained
from routed.core.rivals import Rivals
from routed.model.change import Cause
from routed.model.objects import Key, Kind, Member, Scope, Slot, SlotKey, Value
from routed.model.reasons import Look

STORM: Final = 256  # more events than this at once are a storm, and more dirty keys are cheaper to read in one dump
FOUND: Final = Cause(None, Look.COMPARISON)
STORMY: Final = Cause(None, Look.STORM)  # of what no event of its own told
_NONE: Final[Mapping[Member, Cause]] = {}


@dataclass(slots=True)
class Dirt:
    """What has to be looked at."""

    everything: Cause | None = None
    scopes: dict[Scope, Cause] = field(default_factory=dict)
    stormy: set[Scope] = field(
        default_factory=set
    )  # those of them that are read because of a storm over objects of ours
    keys: dict[Key, tuple[Value, ...]] = field(default_factory=dict)  # all that stands under the key now
    causes: dict[SlotKey, dict[Member, Cause]] = field(
        default_factory=dict
    )  # of single objects, also where their dump is dirty
    distinct: dict[Cause, Cause] = field(default_factory=dict)  # each cause once, however many keys share it
    sources: set[str] = field(default_factory=set)  # of facts, of which something is new: see ``core.sources``
    regained: set[int] = field(default_factory=set)  # ifindexes of links that came into use: up, with carrier
    rivals: Rivals | None = None  # what others did, which may decide in place of ours: no matter of a comparison

    def __bool__(self) -> bool:
        return bool(self.everything or self.scopes or self.keys or self.sources)

    @property
    def needs_dump(self) -> bool:
        """Is there more than single keys to look at?"""
        return bool(self.everything or self.scopes)

    @property
    def asks_for_facts(self) -> bool:
        """Has the host to be asked again what the files need to know of it?"""
        return bool(self.everything or self.sources)

    def cause_of(self, key: Key) -> Cause:
        """Why an object is looked at."""
        return self.causes_in(key.kind, key.slot).get(key.member) or self.cause_of_rest(key.kind, key.slot)

    def causes_in(self, kind: Kind, slot: Slot) -> Mapping[Member, Cause]:
        """Why those objects of a slot are looked at that events told of."""
        return self.causes.get((kind, slot), _NONE)

    def cause_of_rest(self, kind: Kind, slot: Slot) -> Cause:
        """Why all other objects of a slot are looked at."""
        return self.scopes.get(scope_of(kind, slot)) or self.everything or FOUND

    def add_scopes(self, scopes: Iterable[Scope], cause: Cause) -> None:
        """Make dumps dirty; the first cause stays."""
        for scope in scopes:
            self.scopes.setdefault(scope, cause)

    def add_dump_for(self, kind: Kind, slot: Slot, members: Iterable[Member], cause: Cause) -> None:
        """Make the dump dirty that shows these, for their cause; whatever else is found there has none."""
        self.add_scopes([scope_of(kind, slot)], FOUND)
        self.note_cause(kind, slot, members, cause)

    def note_cause(self, kind: Kind, slot: Slot, members: Iterable[Member], cause: Cause) -> None:
        """Why these may be looked at, or found in a dump that is read for something else. The first cause stays."""
        causes, shared = self.causes.setdefault((kind, slot), {}), self.distinct.setdefault(cause, cause)
        for member in members:
            causes.setdefault(member, shared)

    def absorb(self, other: Dirt) -> None:
        """Take over all that is dirty in another one. Where both have a cause, the one here stays."""
        self.everything = self.everything or other.everything
        self.scopes = other.scopes | self.scopes
        self.stormy |= other.stormy
        self.keys = other.keys | self.keys
        for place, causes in other.causes.items():
            mine = self.causes.setdefault(place, {})
            for member, cause in causes.items():
                mine.setdefault(member, self.distinct.setdefault(cause, cause))
        self.sources |= other.sources
        self.regained |= other.regained
        self.take_rivals(other)

    def take_rivals(self, other: Dirt) -> None:
        """Take over what is known of rivals there, and leave nothing of it."""
        taken, other.rivals = other.rivals, None
        if taken is not None:
            self.rivals = self.rivals or Rivals()
            self.rivals.absorb(taken)

    def explain(self, scopes: Iterable[Scope], cause: Cause) -> None:
        """Give this cause to what the kernel took away in these dumps without saying why."""
        explained = frozenset(scopes)
        for place, causes in self.causes.items():
            if scope_of(*place) in explained:
                shared = self.distinct.setdefault(cause, cause)
                causes.update({member: shared for member, former in causes.items() if is_unexplained(former)})

    def forget(self, kind: Kind, slot: Slot, members: Iterable[Member]) -> None:
        """There is nothing to look at under these keys any more."""
        causes = self.causes.get((kind, slot), {})
        for member in members:
            self.keys.pop(Key(kind, slot, member), None)
            causes.pop(member, None)

    def add_keys(
        self, kind: Kind, slot: Slot, members: Sequence[Member], standing: tuple[Value, ...], cause: Cause | None
    ) -> None:
        """Make keys dirty. ``standing`` is what the last event says of them.

        The first cause stays, until an event says that they are as wanted again: that one has no cause.
        """
        causes = self.causes.setdefault((kind, slot), {})
        if cause is None:
            for member in members:
                causes.pop(member, None)
        else:
            shared = self.distinct.setdefault(cause, cause)
            for member in members:
                causes.setdefault(member, shared)
        if len(members) <= STORM:
            for member in members:
                self.keys[Key(kind, slot, member)] = standing
        if max(len(members), len(self.keys)) > STORM:
            stormy = {scope_of(key.kind, key.slot) for key in self.keys} | {scope_of(kind, slot)}
            self.add_scopes(stormy, STORMY)
            self.stormy |= stormy
            self.keys.clear()

    def take_keys(self, chosen: Iterable[Key]) -> Dirt:
        """Hand over some of the keys, with why they are dirty; the rest stays."""
        taken = Dirt()
        for key in list(chosen):
            cause = self.causes[key.kind, key.slot].pop(key.member, None)
            taken.add_keys(key.kind, key.slot, (key.member,), self.keys.pop(key), cause)
        return taken
