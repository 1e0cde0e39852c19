"""What a plan takes for so: facts in place of what is known, and what happens to the host before it is looked at.

And what is asked of the world that comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from routed.model.facts import Fact, FactKey


class Happening(NamedTuple):
    """Something that happens to a thing that the kernel has: a row of ``core.linux.suppose``, a name, and a word."""

    kind: str
    name: str
    word: str


class Assumptions(NamedTuple):
    """All that one plan takes for so."""

    given: tuple[str, ...] = ()  # as whoever asked for the plan wrote them
    facts: Mapping[FactKey, Fact] = {}  # in place of what is known
    happenings: tuple[Happening, ...] = ()  # one after another
    file: str = ""  # the files are those of this one
    asked: tuple[bytes, ...] = ()  # packed addresses: how packets go there, and from there, when all is done

    @property
    def is_plain(self) -> bool:
        """Is it the plan of the next pass that is wanted, and nothing beyond that?"""
        return not (self.given or self.asked)


NOTHING_ASSUMED = Assumptions()


class TooMuchError(Exception):
    """So much stands on this host that no plan is to hold it in memory here."""
