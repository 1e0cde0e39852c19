"""Rivals: what others put, changed or took away, which may decide in place of ours, and who it was.

An event says that much and no more; whether it does decide is asked of the kernel later (``core.effect``). So few are
kept one by one, and of more only that everything of their family is to be asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from routed.core.kinds import KINDS
from routed.model.change import Cause
from routed.model.net import network_of
from routed.model.objects import Key, Kind, Member, Slot

MOST: Final = 64  # that are kept one by one


@dataclass(slots=True)
class Rivals:
    """Objects of others of which events told."""

    causes: dict[Key, Cause | None] = field(default_factory=dict)  # None of what is gone
    families: set[int] = field(default_factory=set)  # of which there was more than that

    @property
    def is_full(self) -> bool:
        """Is no more kept one by one?"""
        return len(self.causes) >= MOST

    def note(self, kind: Kind, slot: Slot, members: Sequence[Member], cause: Cause | None) -> None:
        """Somebody did this to these; None: they are gone."""
        if not KINDS[kind].find_place(slot, members[0]):
            return
        if len(self.causes) + len(members) > MOST:
            self.families.add(slot.family)
        else:
            self.causes.update((Key(kind, slot, member), cause) for member in members)

    def absorb(self, others: Rivals) -> None:
        """Take over what is in others, of before."""
        for key, cause in others.causes.items():
            if len(self.causes) >= MOST:
                self.families.add(key.slot.family)
            else:
                self.causes.setdefault(key, cause)
        self.families |= others.families

    def find_places(self) -> dict[int, frozenset[bytes]]:
        """Family → the prefixes about whose packets they may decide."""
        places: dict[int, set[bytes]] = {}
        for kind, slot, member in self.causes:
            places.setdefault(slot.family, set()).add(KINDS[kind].find_place(slot, member))
        return {family: frozenset(found) for family, found in places.items()}


class Overlap:
    """Which prefixes overlap with some of these? One by one, however many are asked about."""

    def __init__(self, places: Iterable[bytes]) -> None:
        self.places = frozenset(places)
        self._around = {network_of(place[:-1], length) for place in self.places for length in range(place[-1] + 1)}
        self._lengths = sorted({place[-1] for place in self.places})

    def __contains__(self, prefix: bytes) -> bool:
        """Does it overlap with one of them?"""
        return prefix in self._around or any(
            network_of(prefix[:-1], length) in self.places for length in self._lengths if length < prefix[-1]
        )
