"""Former owners: which entry wanted what nobody wants any more, for as long as it may still stand.

The guard asks it: deletions count net of what the same entry adds. Sets are kept as they were, not an object at a time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from routed.core.desired import ObjectSet, scope_of
from routed.model.objects import Kind, Member, Scope, Slot, SlotKey
from routed.model.prefixes import BLOCK, PrefixSet


@dataclass(slots=True)
class Former:
    """The sets that entries had before. Who came last is asked first."""

    sets: defaultdict[SlotKey, dict[str, AbstractSet[Member]]] = field(default_factory=lambda: defaultdict(dict))

    def copy(self) -> Former:
        """The same, to be changed by itself."""
        return Former(defaultdict(dict, {place: dict(sets) for place, sets in self.sets.items()}))

    def note(self, entry: str, groups: Iterable[ObjectSet]) -> None:
        """An entry had these, and may not want all of them now."""
        for group in groups:
            sets = self.sets[group.kind, group.slot]
            before = sets.pop(entry, frozenset[Member]())
            is_packed = isinstance(group.members, PrefixSet) or isinstance(before, PrefixSet)
            sets[entry] = group.members if is_packed else group.members | before

    def count(self, kind: Kind, slot: Slot, members: Sequence[Member]) -> Counter[str]:
        """How many of these each entry had; of those that nobody had, nothing is said."""
        counts: Counter[str] = Counter()
        for name, theirs in self._locate(kind, slot, members):
            counts[name] += len(theirs)
        return counts

    def share_out(self, kind: Kind, slot: Slot, members: Sequence[Member]) -> dict[str, set[Member]]:
        """Which of these each entry had. Of those that nobody had, nothing is said."""
        shares: dict[str, set[Member]] = {}
        for name, theirs in self._locate(kind, slot, members):
            shares.setdefault(name, set()).update(theirs)
        return shares

    def _locate(self, kind: Kind, slot: Slot, members: Sequence[Member]) -> Iterator[tuple[str, AbstractSet[Member]]]:
        owners = self.sets.get((kind, slot), {})
        for start in range(0, len(members) if owners else 0, BLOCK):
            left = set(members[start : start + BLOCK])
            for name, owned in reversed(owners.items()):
                if theirs := _find_theirs(left, owned):
                    yield name, theirs
                    left -= theirs
                    if not left:
                        break

    def find_scopes(self) -> set[Scope]:
        """The dumps that show what is remembered here."""
        return {scope_of(*place) for place in self.sets}

    def forget(self, scopes: AbstractSet[Scope]) -> None:
        """Nothing that nobody wants stands in these any more."""
        for place in [place for place in self.sets if scope_of(*place) in scopes]:
            del self.sets[place]


def _find_theirs(members: set[Member], owned: AbstractSet[Member]) -> AbstractSet[Member]:
    if isinstance(owned, PrefixSet):
        prefixes: set[Any] = members
        return owned.locate(prefixes).keys()
    return members & owned
