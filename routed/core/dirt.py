"""Dirt: what has to be looked at, and why.

Of several causes for one thing that stays which explains best what is seen of it: ``reasons.choose_cause`` says which.

An object under its key, a whole dump, a source of facts, or everything. Of a key it is known what stands there now, so
no dump is read for it; many keys are cheaper to read in one dump, and turn into it.

Here must never live: which event makes what dirty (``hear``), or when it is looked at (``schedule``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from routed.core.desired import scope_of
from routed.core.kinds import KINDS
from routed.core.reasons import FOUND, choose_cause
from routed.core.rivals import Rivals
from routed.model.change import Cause, Nature
from routed.model.objects import Key, Kind, Member, Scope, Slot, SlotKey, Value
from routed.model.reasons import Look

STORM: Final = 256  # more events than this at once are a storm, and more dirty keys are cheaper to read in one dump
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

    def cause_of(self, key: Key, nature: Nature | None = None) -> Cause:
        """Why an object is looked at, of which this is seen; None where that is not known."""
        kind, slot, member = key
        return self.weigh(kind, slot, self.causes_in(kind, slot).get(member), nature)

    def weigh(self, kind: Kind, slot: Slot, own: Cause | None, nature: Nature | None) -> Cause:
        """An object's own cause, if it has any, or that of its dump, whichever explains better what is seen of it."""
        if own is None:
            return self.cause_of_rest(kind, slot)
        of_dump = self.scopes.get(scope_of(kind, slot)) if self.scopes else None
        if of_dump is None or not KINDS[kind].is_explained_by_dump:
            return own
        return choose_cause(own, of_dump, nature)

    def causes_in(self, kind: Kind, slot: Slot) -> Mapping[Member, Cause]:
        """Why those objects of a slot are looked at that events told of."""
        return self.causes.get((kind, slot), _NONE)

    def cause_of_rest(self, kind: Kind, slot: Slot) -> Cause:
        """Why all other objects of a slot are looked at."""
        return self.scopes.get(scope_of(kind, slot)) or self.everything or FOUND

    def add_scopes(self, scopes: Iterable[Scope], cause: Cause) -> None:
        """Make dumps dirty; a cause that explains a loss stays before others, else the first does."""
        for scope in scopes:
            first = self.scopes.setdefault(scope, cause)
            if first is not cause:
                self.scopes[scope] = choose_cause(first, cause, Nature.MISSING)

    def learn(self, other: Dirt, scopes: Collection[Scope]) -> None:
        """What is dirty in another one may explain better what these dumps have shown. It stays dirty there."""
        for scope in scopes:
            if heard := other.scopes.get(scope):
                known = self.scopes.get(scope) or self.everything or FOUND
                self.scopes[scope] = choose_cause(known, heard, Nature.MISSING)
        shown = frozenset(scopes) if other.causes else frozenset()
        for (kind, slot), causes in other.causes.items():
            if scope_of(kind, slot) in shown:
                for member, cause in causes.items():
                    self.note_cause(kind, slot, (member,), cause)

    def add_dump_for(self, kind: Kind, slot: Slot, members: Iterable[Member], cause: Cause) -> None:
        """Make the dump dirty that shows these, for their cause; whatever else is found there has none."""
        self.add_scopes([scope_of(kind, slot)], FOUND)
        self.note_cause(kind, slot, members, cause)

    def note_cause(self, kind: Kind, slot: Slot, members: Iterable[Member], cause: Cause) -> None:
        """Why these may be looked at, or found in a dump that is read for something else."""
        shared = self.distinct.setdefault(cause, cause)
        _note(self.causes.setdefault((kind, slot), {}), members, shared, Nature.MISSING)

    def absorb(self, other: Dirt) -> None:
        """Take over all that is dirty in another one. Where both have a cause, the one here is the first."""
        self.everything = self.everything or other.everything
        for scope, cause in other.scopes.items():
            self.add_scopes([scope], cause)
        self.stormy |= other.stormy
        self.keys = other.keys | self.keys
        for place, causes in other.causes.items():
            mine = self.causes.setdefault(place, {})
            for member, cause in causes.items():
                _note(mine, (member,), self.distinct.setdefault(cause, cause), Nature.MISSING)
        self.sources |= other.sources
        self.regained |= other.regained
        self.take_rivals(other)

    def take_rivals(self, other: Dirt) -> None:
        """Take over what is known of rivals there, and leave nothing of it."""
        taken, other.rivals = other.rivals, None
        if taken is not None:
            self.rivals = self.rivals or Rivals()
            self.rivals.absorb(taken)

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

        Their cause stays until an event says that they are as wanted again: that one has none.
        """
        causes = self.causes.setdefault((kind, slot), {})
        if cause is None:
            for member in members:
                causes.pop(member, None)
        else:
            shared = self.distinct.setdefault(cause, cause)
            _note(causes, members, shared, Nature.FOREIGN if standing else Nature.MISSING)
        if len(members) <= STORM:
            for member in members:
                self.keys[Key(kind, slot, member)] = standing
        if max(len(members), len(self.keys)) > STORM:
            stormy = {scope_of(key.kind, key.slot) for key in self.keys} | {scope_of(kind, slot)}
            self.add_scopes(stormy, STORMY)
            self.stormy |= stormy
            self.keys.clear()

    def take_keys(self, chosen: Iterable[Key]) -> Dirt:
        """Hand over some of the keys, with why they are dirty; the rest stays, and with it the causes of the dumps."""
        taken = Dirt()
        for kind, slot, member in list(chosen):
            standing, cause = self.keys.pop(Key(kind, slot, member)), self.causes[kind, slot].pop(member, None)
            if cause is not None and self.scopes:
                cause = self.weigh(kind, slot, cause, Nature.FOREIGN if standing else Nature.MISSING)
            taken.add_keys(kind, slot, (member,), standing, cause)
        return taken


def _note(causes: dict[Member, Cause], members: Iterable[Member], shared: Cause, nature: Nature) -> None:
    """Give objects this cause, one value for all of them, where no other one explains better what is seen."""
    for member in members:
        first = causes.setdefault(member, shared)
        if first is not shared:
            causes[member] = choose_cause(first, shared, nature)
