"""What is wanted of this host: the intent, the objects that it comes to, and who wanted what before.

Only the methods here write these fields. What the host is stands in ``world``, what became of it in ``ledger``.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Generator, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from routed.core.desired import Desired, Resolution, scope_of
from routed.core.entries import resolve
from routed.core.former import Former
from routed.core.kinds import KINDS
from routed.core.needs import Needs
from routed.core.select import is_same_selector
from routed.model.change import Cause
from routed.model.entries import Intent
from routed.model.facts import FactKey, Facts
from routed.model.objects import Key, Kind, Member, Scope, Slot
from routed.model.owner import Marks
from routed.model.reasons import Reason, Required, Withdrawn, join_reasons

SLICE: Final = 256  # entries that are resolved or put in one go: a few milliseconds

T = TypeVar("T")


@dataclass(slots=True)
class Wanted:
    """What the files in force ask for, and what it comes to by the facts."""

    intent: Intent
    needs: Needs = field(default_factory=Needs)  # what the files ask of the host
    desired: Desired = field(default_factory=Desired)
    resolved: Facts = field(default_factory=Facts)  # the facts that ``desired`` was made from
    new_entries: frozenset[str] = frozenset()  # entries that were not in force yet since start or reload
    why_gone: dict[str, Cause] = field(default_factory=dict)  # why the objects of an entry that waits may have gone
    former: Former = field(default_factory=Former)  # who wanted what nobody wants now
    former_protocols: frozenset[int] = frozenset()  # numbers that marked our objects before
    why_surplus_stays: Reason | None = None  # while what no entry wants must not go

    def copy(self) -> Wanted:
        """The same, to be changed by itself. Why something went is told of what was seen to go, and starts anew."""
        return Wanted(
            self.intent,
            self.needs,
            self.desired.copy(),
            self.resolved,
            self.new_entries,
            former=self.former.copy(),
            former_protocols=self.former_protocols,
            why_surplus_stays=self.why_surplus_stays,
        )

    @property
    def marks(self) -> Marks:
        """The protocol numbers that mark an object as ours."""
        return Marks(self.intent.settings.protocol, self.former_protocols)

    def find_same_selectors(self, intent: Intent) -> set[str]:
        """The names of the ``[[interface]]`` tables that these files have as those in force."""
        return {
            one.name for one in intent.selectors if any(is_same_selector(one, old) for old in self.intent.selectors)
        }

    def find_lifelines(self, ssh_peers: frozenset[bytes]) -> set[Key]:
        """The wanted objects over which the operator may be logged in."""
        return {
            Key(kind, slot, member)
            for kind, slots in self.desired.wants.items()
            for slot, members in slots.items()
            for member in KINDS[kind].list_lifelines(slot, ssh_peers)
            if member in members
        }

    def list_withheld(self) -> frozenset[str]:
        """The entries that are out of force since what they require is not so."""
        if not self.intent.checks:
            return frozenset()
        return frozenset(name for name, found in self.desired.resolutions.items() if found.withheld is not None)

    def note_needs(self, needs: Needs) -> None:
        """This is what the files ask of the host."""
        self.needs = needs

    def find_other(self, intent: Intent, facts: Facts) -> Generator[None, None, list[Resolution]]:
        """What these files come to where that is not what is wanted now, in slices. Nothing changes by it."""
        before, protocol = dict(self.desired.resolutions), intent.settings.protocol
        other: list[Resolution] = []
        for entries in _slice(intent.entries):
            after = [resolve(entry, facts, protocol) for entry in entries]
            other += [resolution for resolution in after if before.get(resolution.entry.name) != resolution]
            yield
        return other

    def enforce(self, intent: Intent, other: Sequence[Resolution], facts: Facts) -> Iterator[None]:
        """These files are in force from now on, of which ``other`` is new by these facts. In slices."""
        before, protocol = dict(self.desired.resolutions), intent.settings.protocol
        self.former_protocols = (self.former_protocols | {self.intent.settings.protocol}) - {protocol}
        self.intent = intent
        self.why_gone.clear()
        self.new_entries = frozenset(entry.name for entry in intent.entries)
        moved = (before.keys() - self.new_entries) | {resolution.entry.name for resolution in other}
        for name in moved:
            self.desired.drop(name)  # all of them first: a key may have moved from one entry to another
        for resolutions in _slice(other):
            for resolution in resolutions:
                self.desired.put(resolution)
            yield
        self.resolved = facts
        for name, resolution in before.items():
            if name in moved:
                self.former.note(name, resolution.sets)

    def note_resolved(self, facts: Facts) -> Facts:
        """Who reads a changed fact is resolved by these. Returns those of before."""
        before, self.resolved = self.resolved, facts
        return before

    def resolve_again(
        self, due: Container[str], changed: Collection[FactKey], facts: Facts
    ) -> Iterator[tuple[Resolution, Resolution]]:
        """Resolve the entries that are due or read a changed fact. Yields what is not as before: before, and now.

        Who gets that calls ``replace``.
        """
        for name, resolution in list(self.desired.resolutions.items()):
            if name not in due and resolution.reads.isdisjoint(changed):
                continue
            again = resolve(resolution.entry, facts, self.intent.settings.protocol)
            if not again.is_as(resolution):
                yield resolution, again
            elif again != resolution:
                self.desired.follow(again)

    def replace(
        self, before: Resolution, after: Resolution, cause: Cause, noted: Iterable[Mapping[Scope, Cause]]
    ) -> Cause:
        """An entry comes to something else by this cause. Returns the cause that its objects are looked at for.

        ``noted`` is why dumps are dirty: one that is not due yet knows better why objects went.
        """
        name = after.entry.name
        if is_known(before) and not is_known(after):
            scopes = [scope_of(group.kind, group.slot) for group in before.sets]
            known = (causes[scope] for scope in scopes for causes in noted if scope in causes)
            self.why_gone[name] = next(known, cause)
        elif is_known(after):
            cause = self.why_gone.pop(name, cause)
        if before.note and not before.sets:  # not needed until now, so what comes is news and no repair
            self.new_entries = self.new_entries | {name}
        self.desired.put(after)
        self.former.note(name, before.sets)  # what goes here may come elsewhere: the guard shall know whose it was
        return cause

    def find_withdrawal(self, kind: Kind, slot: Slot, members: Sequence[Member]) -> Withdrawn | None:
        """The entry that wanted all of these and does not just now, and why; None where it is not that."""
        if len(members) > SLICE:
            return None
        counts = self.former.count(kind, slot, members)
        name = next(iter(counts), "")
        resolution = self.desired.resolutions.get(name)
        if resolution is None or counts[name] != len(members):
            return None
        unmet = resolution.withheld or resolution.note
        if unmet and (resolution.withheld or isinstance(unmet, Required)):  # demoted, it stands elsewhere meanwhile
            return Withdrawn(name, unmet)
        why = join_reasons(waiting.reason for waiting in resolution.waiting) or resolution.note
        return Withdrawn(name, why) if why and not resolution.sets else None

    def note_withdrawn(self, name: str) -> None:
        """We took away what this entry does not want just now: when it wants it again that is news, and no repair."""
        self.why_gone.pop(name, None)
        self.new_entries = self.new_entries | {name}

    def note_in_force(self, troubled: AbstractSet[str]) -> None:
        """Entries whose objects are all known and, as these are not, all in order have been in force."""
        known = {name for name in self.new_entries if is_known(self.desired.resolutions.get(name))}
        self.new_entries = self.new_entries - (known - troubled)

    def forget_former(self, scopes: AbstractSet[Scope]) -> None:
        """Nothing that nobody wants stands in these any more."""
        self.former.forget(scopes)

    def forget_marks(self, found: AbstractSet[Any]) -> None:
        """Of the former protocol numbers only these still mark something."""
        self.former_protocols &= found

    def leave_surplus(self, why: Reason) -> None:
        """What no entry wants must not go, for this reason."""
        self.why_surplus_stays = why

    def let_surplus_go(self) -> None:
        """What no entry wants may go."""
        self.why_surplus_stays = None


def is_known(resolution: Resolution | None) -> bool:
    """Is everything that the entry comes to known, with nothing left to wait for?"""
    if resolution is None or not resolution.sets:
        return False
    return all(group.value is not None for group in resolution.sets)


def _slice(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]
