"""Statements and leftovers: what an import comes to, before it is a file.

Nothing that is read is dropped: what is no statement is a leftover, with its place and the reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

FEW: Final = 5  # leftovers of one reason that are named one by one


class Joins(StrEnum):
    """Where a route comes to stand among those before it that have its key, as its own program puts it there."""

    APPEND = "behind them"
    PREPEND = "in front of them"
    NEVER = "it is refused, or takes their place"


class Statement(NamedTuple):
    """One table of our file."""

    table: str  # "route"
    words: Mapping[str, Any]
    origin: str = ""  # where it comes from, as a comment has it: "/etc/network/interfaces:12"
    notes: tuple[str, ...] = ()  # what the reader has to know or decide: more lines of the comment
    called: str = ""  # where it is left out after all; empty: by its origin
    joins: Joins = Joins.APPEND


class Leftover(NamedTuple):
    """Something that the file does not say."""

    origin: str  # where it stands, or what it is called
    reason: str
    is_usual: bool = False  # nobody would look for it in the file: it may be counted

    def __str__(self) -> str:
        return f"{self.origin}: {self.reason}"


@dataclass(slots=True)
class Findings:
    """What a parser has found so far."""

    statements: list[Statement] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)

    def say(self, table: str, words: Mapping[str, Any], origin: str, *notes: str) -> None:
        """One more table of the file. What is absent in it is left out."""
        if table == "rule":  # who is taken over has it in the kernel already: else ours would stand beside it
            words = {**words, "on_conflict": "replace"}
        told = {word: item for word, item in words.items() if item is not None and item is not False and item != ""}
        self.statements.append(Statement(table, told, origin, notes))

    def join(self, since: int, joins: Joins) -> None:
        """So the statements come to stand that were said since there were so many."""
        self.statements[since:] = [one._replace(joins=joins) for one in self.statements[since:]]

    def leave(self, origin: str, reason: str, *, is_usual: bool = False) -> None:
        """One more thing that the file does not say."""
        self.leftovers.append(Leftover(origin, reason, is_usual))


def fold(leftovers: Iterable[Leftover], *, is_verbose: bool = False) -> list[str]:
    """A line for each; one for many with one reason, and for what nobody would look for. Verbose, each has its own."""
    by_reason: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for one in leftovers:
        by_reason[one.reason, one.is_usual].append(one.origin)
    lines: list[str] = []
    for (reason, is_usual), origins in by_reason.items():
        if is_verbose or len(origins) == 1 or (len(origins) <= FEW and not is_usual):
            lines += [f"{origin}: {reason}" for origin in origins]
        else:
            lines.append(f"{origins[0]} and {len(origins) - 1} more: {reason}")
    return lines
