"""A kind of object that only the tests know, as strange as one may be: lamps, each with a name and so many watts.

Its dataplane has to be polled. It tells of no change, not even of our own, knows no protocol number, and keeps on disk
which lamps are ours. What it is asked for may be refused, or may be lost without a word.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EIO, ENODEV
from pathlib import Path
from typing import Final, NamedTuple
from unittest.mock import patch

from routed.audit.wording import WORDS, WordRow
from routed.core.desired import ObjectSet, Resolution
from routed.core.entries import ENTRIES, EntryRow
from routed.core.kinds import KINDS, Aliases, KindRow
from routed.core.kinds.cures import add_or_delete, operate
from routed.model.change import Drift, Failure, Nature, Operation, Verb, Want
from routed.model.entries import FORMS, Enforce, Entry, Form
from routed.model.facts import Facts
from routed.model.lifetime import Lifetime
from routed.model.objects import Key, Kind, Member, Scope, Slot, Standing
from routed.model.owner import Marks, Owner, Stamp
from routed.model.text import TEXTS, Json, TextRow, Vocabulary
from tests.property.fake_kernel import FakeDump
from tests.property.rig import ORIGIN

LAMP: Final = Kind("lamp")
INTERVAL: Final = 10.0


class LampSlot(NamedTuple):
    """What all lamps of one room share."""

    room: str
    family: int = 0


class LampMember(NamedTuple):
    """The name of a lamp."""

    name: str


class LampValue(NamedTuple):
    """The content of a lamp."""

    watts: int
    is_claimed: bool = False  # does it stand in our list?


@dataclass(frozen=True, slots=True, kw_only=True)
class LampEntry(Entry):
    """``[[lamp]]``: lamps of one room that are equally bright."""

    lamps: frozenset[str]
    watts: int
    room: str = "hall"


def a_lamp(*lamps: str, watts: int = 40, name: str = "hall", enforce: Enforce = Enforce.REPAIR) -> LampEntry:
    return LampEntry(name=f"lamp/{name}", origin=ORIGIN, lamps=frozenset(lamps), watts=watts, enforce=enforce)


def lamp_key(name: str) -> Key:
    return Key(LAMP, LampSlot("hall"), LampMember(name))


def resolve_lamp(entry: LampEntry, _facts: Facts, _protocol: int) -> Resolution:
    members = frozenset(LampMember(name) for name in entry.lamps)
    group = ObjectSet(LAMP, LampSlot(entry.room), members, LampValue(entry.watts, True))
    return Resolution(entry, (group,))


def judge_lamp(_slot: LampSlot, want: Want, standing: tuple[LampValue, ...], stamp: Stamp) -> Nature | None:
    if not standing:
        return Nature.MISSING
    if standing[0] == want.value:
        return None
    return Nature.DIFFERENT if stamp(standing[0]).is_ours else Nature.FOREIGN


def cure_lamp(drift: Drift, _stamp: Stamp) -> list[Operation]:
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return add_or_delete(drift)
    return [operate(Verb.REPLACE, drift, drift.standing[0])]


def format_lamp_key(slot: LampSlot, member: LampMember, _vocabulary: Vocabulary) -> str:
    return f"{member.name} in {slot.room}"


def format_lamp(slot: LampSlot, member: LampMember, value: LampValue, vocabulary: Vocabulary) -> str:
    return f"{format_lamp_key(slot, member, vocabulary)} with {value.watts} W"


def lamp_to_json(slot: LampSlot, member: LampMember, value: LampValue | None, _vocabulary: Vocabulary) -> Json:
    json: Json = {"lamp": member.name, "room": slot.room}
    return json if value is None else json | {"watts": value.watts}


@contextmanager
def lamps_known() -> Iterator[None]:
    """Every table has a row for lamps meanwhile. This is all that a kind needs."""
    row = KindRow(
        rank=len(KINDS),
        aliases=Aliases.ALONE,
        judge=judge_lamp,
        cure=cure_lamp,
        types=(LampSlot, LampMember, LampValue),
        families=(0,),
        not_yet=frozenset({ENODEV}),
    )
    text = TextRow(format_lamp_key, format_lamp, lamp_to_json, mark="is_claimed")
    with (
        patch.dict(KINDS, {LAMP: row}),
        patch.dict(TEXTS, {LAMP: text}),
        patch.dict(WORDS, {LAMP: WordRow()}),
        patch.dict(ENTRIES, {LampEntry: EntryRow(resolve_lamp)}),
        patch.dict(FORMS, {LampEntry: Form("lamp")}),
    ):
        yield


@dataclass(slots=True)
class Lamps:
    """All lamps of a house. It answers ``daemon.dataplane.Dataplane``."""

    claims: Path  # the file with the names of those that are ours
    standing: dict[tuple[LampSlot, LampMember], int] = field(default_factory=dict)  # their watts
    requested: list[tuple[Verb, str, int]] = field(default_factory=list)  # every request that got through
    refuse: Callable[[LampMember], int] = lambda _member: 0  # the errno of a request, 0 for none
    is_losing: bool = False  # requests get an answer, and nothing happens
    unreadable: int = 0  # the errno of a dump
    broken: int = 0  # the errno by which any operation ends
    dumps: int = 0
    name: str = "lamps"
    kinds: tuple[Kind, ...] = (LAMP,)
    poll_interval: float | None = INTERVAL
    has_echo: bool = False

    def read_dump(self, scope: Scope) -> Generator[None, None, FakeDump]:
        assert scope == Scope(LAMP, 0)
        self.dumps += 1
        yield
        if self.unreadable:
            raise OSError(self.unreadable, os.strerror(self.unreadable))
        ours = self.load_claims()
        return FakeDump(
            [
                Standing(slot, member, LampValue(watts, member.name in ours))
                for (slot, member), watts in self.standing.items()
            ]
        )

    def apply(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:
        assert operation.verb in {Verb.ADD, Verb.REPLACE, Verb.DELETE}
        if self.broken:
            raise OSError(self.broken, os.strerror(self.broken))
        failures = []
        for member in operation.members:
            assert isinstance(member, LampMember)
            error = self.refuse(member)
            if error:
                failures.append(Failure(member, error, os.strerror(error)))
            else:
                self.requested.append((operation.verb, member.name, operation.value.watts))
                self._carry_out(operation.verb, (operation.slot, member), operation.value)  # type: ignore[arg-type]
        yield tuple(failures)

    def make_stamp(self, kind: Kind, marks: Marks) -> Stamp:
        del kind, marks
        return lambda value: Owner.OURS if value.is_claimed else Owner.FOREIGN

    def has_lifetime(self, _kind: Kind, _value: LampValue) -> bool:
        return False

    def read_lifetimes(self, scope: Scope, slot: Slot, members: Collection[Member]) -> Mapping[Member, Lifetime]:
        del scope, slot, members
        return {}

    def find_owned(self, kind: Kind, families: Iterable[int], marks: Marks) -> Iterable[Scope]:
        del marks
        return [Scope(kind, family) for family in families]

    def must_keep_mark(self, drift: Drift) -> bool:
        del drift
        return False

    def load_claims(self) -> set[str]:
        return set(json.loads(self.claims.read_text())) if self.claims.exists() else set()

    def _carry_out(self, verb: Verb, place: tuple[LampSlot, LampMember], value: LampValue) -> None:
        """A claim is on disk before what it is for, and is given up after that has gone."""
        name = place[1].name
        if value.is_claimed and verb is not Verb.DELETE:
            self._save_claims(self.load_claims() | {name})
        if not self.is_losing:
            if verb is Verb.DELETE:
                self.standing.pop(place, None)
            else:
                self.standing[place] = value.watts
            if verb is Verb.DELETE or not value.is_claimed:
                self._save_claims(self.load_claims() - {name})

    def _save_claims(self, names: set[str]) -> None:
        self.claims.write_text(json.dumps(sorted(names)))

    # What a test may do

    def put(self, name: str, watts: int) -> None:
        """A stranger puts a lamp, whether there was one or not."""
        self.standing[LampSlot("hall"), LampMember(name)] = watts

    def take(self, name: str) -> None:
        """A stranger takes one away."""
        del self.standing[LampSlot("hall"), LampMember(name)]

    def lit(self) -> dict[str, int]:
        """What there is."""
        return {member.name: watts for (_, member), watts in self.standing.items()}


REFUSED: Final = EIO
