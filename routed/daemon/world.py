"""What is known of this host: its facts, which links are meant, and what its dumps showed or could not show.

Only the methods here write these fields, but for links and addresses: events bring those up to date in place
(``Schedule.note``), or thousands of them would be copied for each. Who asks the kernel is ``facts`` and ``observe``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from routed.core.assumptions import lay
from routed.core.desired import scope_of
from routed.core.select import SettledChoice
from routed.core.sources import deliver
from routed.core.troubles import State, Trouble
from routed.model.events import Event, FactEvent
from routed.model.facts import Fact, FactKey, Facts, Freshness
from routed.model.objects import Kind, Member, Scope, Slot, SlotKey
from routed.model.reasons import Look, Reason


@dataclass(slots=True)
class World:
    """What the host is, as far as anybody asked or told."""

    facts: Facts = field(default_factory=Facts)
    choices: dict[str, SettledChoice] = field(default_factory=dict)  # the choices of interfaces
    verified: dict[Scope, bytes] = field(default_factory=dict)  # fingerprints of dumps that showed no drift
    # where the last reading failed: a dump, or None for a pass, after which nothing is certain
    unread: dict[Scope | None, Trouble] = field(default_factory=dict)
    unenforced: Trouble | None = None  # while the files in force were not all carried out yet, and seen to be
    absent: dict[SlotKey, frozenset[Member]] = field(default_factory=dict)  # of what the kernel makes itself
    # the gateways of which it is known where they are, or that they are nowhere
    asked: AbstractSet[bytes] = frozenset()
    news: list[FactEvent] | None = None  # heard while all links or addresses are being read; else None
    assumed: Mapping[FactKey, Fact] = field(default_factory=dict)  # in place of what is known; of a copy for a plan
    is_answered: bool = True  # does anybody ask checks here?

    def copy(self) -> World:
        """The same, to be changed by itself. Which dumps were seen, and could not be, starts anew."""
        return World(
            self.facts, dict(self.choices), absent=dict(self.absent), asked=self.asked, is_answered=self.is_answered
        )

    # --- facts ------------------------------------------------------------------------------------------------------

    def start_from(self, facts: Facts, same: Container[str]) -> None:
        """Other files ask for facts, beginning with these.

        Of the ``[[interface]]`` tables ``same`` has the names that mean what they meant before. What the operator
        changed is followed at once, not when it has lasted.
        """
        self.facts = facts
        self.choices = {name: choice for name, choice in self.choices.items() if name in same}

    def look_at(self, now: float) -> None:
        """The facts are those of this moment: time alone makes something else of some."""
        self.facts = replace(self.facts, moment=now)

    def find_asked_since(self, now: float) -> float:
        """Since when what is asked for from now on counts as not known."""
        return now if self.is_answered else -inf

    def expect_no_answers(self) -> None:
        """Nobody asks any check here: what is not known counts as not known for long."""
        self.is_answered = False
        told = self.facts.told.items()
        loading = {key: fact._replace(since=-inf) for key, fact in told if fact.state is Freshness.LOADING}
        self.facts = self.facts.put(told={**self.facts.told, **loading})

    def note(self, **answers: Any) -> None:
        """The host was asked, and these are the answers: fields of ``Facts``."""
        self.facts = lay(self.facts.put(**answers), self.assumed)

    def note_asked(self, gateways: AbstractSet[bytes]) -> None:
        """Of these gateways the facts say where they are, and of no others."""
        self.asked = gateways

    def assume(self, assumed: Mapping[FactKey, Fact]) -> None:
        """From now on these facts stand in place of what is known, whatever is told."""
        self.assumed = assumed
        self.facts = lay(self.facts, assumed)

    def deliver(self, told: Mapping[FactKey, Fact], now: float) -> bool:
        """A source told this. Is any of it not what was told before?"""
        before, self.facts = self.facts, lay(deliver(self.facts, told, now), self.assumed)
        return any(before.find(key)[:2] != self.facts.find(key)[:2] for key in told)

    def note_chosen(self, choices: dict[str, SettledChoice]) -> None:
        """These are the links that the ``[[interface]]`` tables mean."""
        self.choices = choices

    def hear(self, events: Sequence[Event]) -> Facts:
        """Events that are to be brought into the facts that this returns. Who has those of before reads on in them."""
        of_facts = [event for event in events if isinstance(event, FactEvent)]
        if of_facts:  # once for all of them
            self.facts = self.facts.copy()
        if self.news is not None:
            self.news += of_facts
        return self.facts

    @contextmanager
    def gather_news(self) -> Iterator[list[FactEvent]]:
        """What is heard from here on, for who reads all of it in slices: it is newer than what was read before."""
        news: list[FactEvent] = []
        self.news = news
        try:
            yield news
        finally:
            self.news = None

    @property
    def is_undecided(self) -> bool:
        """Is there an ``[[interface]]`` that could be several links?"""
        return any(choice.is_ambiguous for choice in self.facts.chosen.values())

    # --- dumps ------------------------------------------------------------------------------------------------------

    def note_verified(self, scope: Scope, fingerprint: bytes) -> None:
        """A dump showed no drift. While it is the same, and so is what is wanted, it need not be decoded."""
        self.verified[scope] = fingerprint

    def forget_dumps(self, scopes: Iterable[Scope]) -> None:
        """These have to be decoded again: they showed drift, or something else is wanted."""
        for scope in scopes:
            self.verified.pop(scope, None)

    def forget_all_dumps(self) -> None:
        """Something else is wanted."""
        self.verified.clear()

    def note_absent(self, seen: Mapping[SlotKey, frozenset[Member]]) -> None:
        """Where dumps were decoded: what the kernel makes itself and is not there."""
        self.absent = {slot: members for slot, members in {**self.absent, **seen}.items() if members}

    def note_unread(self, read: Iterable[Scope], unread: Mapping[Scope, Reason], now: float) -> None:
        """These dumps were read, and those could not be, for these reasons."""
        for scope in read:
            self.unread.pop(scope, None)
        for scope, why in unread.items():
            self.unread.setdefault(scope, Trouble(State.UNKNOWN, why, now))

    def note_enforcing(self, now: float) -> None:
        """Other files are being put in force: what they ask for is claimed of nothing until all was read."""
        self.unenforced = self.unenforced or Trouble(State.UNKNOWN, Look.ENFORCE, now)

    def note_enforced(self) -> None:
        """They are in force, and the passes that did it are over."""
        self.unenforced = None

    def note_failed_pass(self, why: Reason, now: float) -> bool:
        """A pass failed: nothing is certain until all is read again. Is it the first one since it was?"""
        before = self.unread.get(None)
        self.unread[None] = Trouble(State.UNKNOWN, why, before.since if before else now)
        return before is None

    def note_all_read(self) -> Trouble | None:
        """After failures everything was read again. Returns what the last of them was."""
        return self.unread.pop(None, None)

    def find_unread(self, kind: Kind, slot: Slot) -> Trouble | None:
        """Why it is not known what the kernel holds there, None where it is."""
        return self.unknown or (self.unread.get(scope_of(kind, slot)) if self.unread else None)

    @property
    def unknown(self) -> Trouble | None:
        """Why nothing is known of what the kernel holds, None where something is."""
        return self.unread.get(None) or self.unenforced
