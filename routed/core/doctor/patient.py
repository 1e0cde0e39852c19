"""The patient: everything that was gathered of a host, for those who examine it.

Here must never live: how any of it is read (``daemon.doctor``), or what follows from it (the examinations).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from routed.core.desired import Desired, ObjectSet
from routed.core.effect import StandingRule
from routed.model.diagnosis import (
    ClockState,
    Hidden,
    JournalState,
    ManagerState,
    NetworkdState,
    RivalProgram,
    StorageState,
    StrangeRoutes,
    UnitState,
)
from routed.model.documents import AbsenceDocument
from routed.model.entries import Entry, Intent
from routed.model.facts import Facts
from routed.model.filters import Ruleset
from routed.model.objects import AddressMember, Key, Kind, RuleMember, Standing
from routed.model.reasons import Reason
from routed.model.sysctls import Sysctl
from routed.model.text import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One host. What is None was not there, or could not be looked at: then ``hidden`` says so."""

    intent: Intent = field(default_factory=Intent)
    facts: Facts = field(default_factory=Facts)
    desired: Desired = field(default_factory=Desired)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    rules: Mapping[int, Sequence[StandingRule]] = field(default_factory=dict)  # family → in the kernel's order
    defaults: Sequence[Standing] = ()  # default routes
    filled: frozenset[tuple[int, int]] = frozenset()  # (family, table) that have a route, of those that rules look up
    strangers: Sequence[StrangeRoutes] = ()
    shadowed: Sequence[tuple[Key, str, Reason | None]] = ()  # object, its entry, and what decides in its place
    absent: Sequence[AbsenceDocument] = ()
    sysctls: Mapping[Sysctl, int] = field(default_factory=dict)
    networkd: NetworkdState | None = None  # where it runs, or is going to
    manager: ManagerState | None = None  # NetworkManager, likewise
    programs: Sequence[RivalProgram] = ()
    ruleset: Ruleset | None = None
    neighbours: Mapping[AddressMember, str] = field(default_factory=dict)  # of ours → the MAC that answers for it too
    proxies: frozenset[tuple[str, str]] | None = None  # for neighbours: name of a link, IPv6 address
    storage: StorageState | None = None
    clock: ClockState | None = None
    journal: JournalState | None = None
    unit: UnitState | None = None
    is_daemon_running: bool = True
    unsaved: str = ""  # why it could not keep what is in force
    hidden: Sequence[Hidden] = ()

    def list_wanted(self, kind: Kind) -> Iterator[tuple[Entry, ObjectSet]]:
        """The objects of one kind that the files want and that may be there now, with whose they are."""
        for resolution in self.desired.resolutions.values():
            for group in resolution.sets:
                if group.kind == kind and group.members:
                    yield resolution.entry, group

    def list_entries(self, *types: type[Any]) -> Iterator[Any]:
        """The entries of these types."""
        return (entry for entry in self.intent.entries if isinstance(entry, types))

    def list_rules(self, family: int) -> Iterator[RuleMember]:
        """The rules of one family that stand, and those that are wanted and do not yet."""
        standing = dict.fromkeys(rule.member for rule in self.rules.get(family, ()))
        yield from standing
        for _, group in self.list_wanted(Kind.RULE):
            for rule in group.members if group.slot.family == family else ():
                assert isinstance(rule, RuleMember)
                if rule not in standing:
                    yield rule
