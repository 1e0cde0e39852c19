"""Whose an object is, and the marks by which that is known.

Who reads objects stamps them: a dataplane knows by what its own are told from others (a protocol number, an alias, a
list on disk), and answers for a value. Everybody else reads the answer. Here must never live: how one of them knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple, TypeAlias

from routed.model.objects import Kind, Value


class Owner(Enum):
    """Whose an object is."""

    OURS = "ours"
    FORMER = "ours by a mark of before"
    FOREIGN = "somebody else's"
    KERNEL = "the kernel's own"  # only an explicit on_conflict = "replace" displaces it

    @property
    def is_ours(self) -> bool:
        """May it be changed and removed?"""
        return self is Owner.OURS or self is Owner.FORMER


# The owner of an object of one kind, by its value alone: equal values have one owner, so a million routes that share a
# few values are a few questions. A dataplane that knows its own by their keys says so in a field of the value.
Stamp: TypeAlias = Callable[[Value], Owner]
Stamps: TypeAlias = Mapping[Kind, Stamp]


class Marks(NamedTuple):
    """Protocol numbers that mark what is ours: that of the file, its further ones, and the former ones."""

    protocol: int
    former: frozenset[int] = frozenset()
    further: frozenset[int] = frozenset()  # of single entries

    @property
    def present(self) -> frozenset[int]:
        """Those of the file."""
        return self.further | {self.protocol}

    @property
    def numbers(self) -> frozenset[int]:
        """All of them."""
        return self.former | self.present

    def move_to(self, protocol: int, further: frozenset[int] = frozenset()) -> Marks:
        """The same once these are the numbers of the file."""
        present = further | {protocol}
        return Marks(protocol, self.numbers - present, present - {protocol})
