"""The state between two passes: what is wanted, what the host is, what is held, what is not in sync.

One value with one owner, the reconciler. Everything in it can be built again from the files and the kernel but
``displaced``, which the revisions keep on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from routed.core.announce import Announcements
from routed.core.desired import Desired, Resolution, scope_of
from routed.core.dirt import Dirt
from routed.core.entries import find_needs, resolve
from routed.core.former import Former
from routed.core.holds import Holds, Subject, Why
from routed.core.kinds import KINDS
from routed.core.needs import Needs
from routed.core.reasons import explain_facts
from routed.core.schedule import Schedule
from routed.core.select import SettledChoice, is_same_selector
from routed.core.sources import TOLD, ask_for, deliver, find_changed_facts
from routed.core.timetable import Deadline, Timetable
from routed.core.troubles import State, Trouble, Troubles
from routed.daemon.dataplane import Dataplanes
from routed.daemon.ports import HostKernel
from routed.model.change import Cause
from routed.model.entries import Intent
from routed.model.events import AddressEvent, LinkEvent, ObjectEvent
from routed.model.facts import Fact, FactKey, Facts
from routed.model.objects import Key, Kind, Scope, Slot, Value
from routed.model.owner import Marks
from routed.model.reasons import Look, Reason

SLICE: Final = 256  # entries that are resolved or put in one go: a few milliseconds

T = TypeVar("T")


@dataclass(slots=True)
class Host:
    """Everything the daemon knows."""

    intent: Intent
    timetable: Timetable = field(default_factory=Timetable)
    schedule: Schedule = field(default_factory=Schedule)
    facts: Facts = field(default_factory=Facts)
    resolved: Facts = field(default_factory=Facts)  # the facts that ``desired`` was made from
    desired: Desired = field(default_factory=Desired)
    holds: Holds = field(default_factory=Holds)
    troubles: Troubles = field(default_factory=Troubles)
    since: dict[str, float] = field(default_factory=dict)  # entry → when it came into sync or was first seen
    verified: dict[Scope, bytes] = field(default_factory=dict)  # fingerprints of dumps that showed no drift
    displaced: dict[Key, Value] = field(default_factory=dict)
    established: set[Key] = field(default_factory=set)  # lifelines that were ours before
    former: Former = field(default_factory=Former)  # who wanted what nobody wants now
    new_entries: set[str] = field(default_factory=set)  # entries that were not in force yet since start or reload
    why_gone: dict[str, Cause] = field(default_factory=dict)  # why the objects of an entry that waits may have gone
    postponed: set[Scope] = field(default_factory=set)  # where surplus stays until what failed is tried again
    former_protocols: frozenset[int] = frozenset()  # numbers that marked our objects before
    why_surplus_stays: Reason | None = None  # while what no entry wants must not go
    needs: Needs = field(default_factory=Needs)  # what the files ask of the host
    choices: dict[str, SettledChoice] = field(default_factory=dict)  # the choices of interfaces
    meanwhile: set[Key] = field(default_factory=set)  # looked at by themselves since the pass under way began
    echo: dict[Key, Value | None] = field(default_factory=dict)  # of what we put since then; None of what we took
    news: list[LinkEvent | AddressEvent] | None = None  # heard while all facts are being read; else None
    announcements: Announcements = field(default_factory=Announcements)
    # where the last reading failed: a dump, or None for a pass, after which nothing is certain
    unread: dict[Scope | None, Trouble] = field(default_factory=dict)
    unproved: dict[Key, Trouble] = field(default_factory=dict)  # routes of VIPs that the kernel does not follow

    def __post_init__(self) -> None:
        for owner in (self.schedule, self.holds, self.announcements):
            owner.timetable = self.timetable

    def copy(self) -> Host:
        """The same at this moment. What becomes of it the original never sees, nor the other way round.

        What the next pass need not know of the one before starts anew: what was heard, seen, shown and told.
        """
        return Host(
            self.intent,
            facts=self.facts,
            resolved=self.resolved,
            desired=self.desired.copy(),
            holds=self.holds.copy(),
            since=dict(self.since),
            displaced=dict(self.displaced),
            established=set(self.established),
            former=self.former.copy(),
            new_entries=set(self.new_entries),
            postponed=set(self.postponed),
            former_protocols=self.former_protocols,
            why_surplus_stays=self.why_surplus_stays,
            needs=self.needs,
            choices=dict(self.choices),
        )

    def ask_for(self, intent: Intent, needs: Needs, facts: Facts) -> None:
        """From now on the facts are those that these files need, beginning with these."""
        self.needs, self.facts = needs, facts
        self.schedule.watched, self.schedule.follows_addresses = needs.watched, needs.has_addresses
        # what the operator changed is followed at once, not when it has lasted
        same = {
            one.name for one in intent.selectors if any(is_same_selector(one, old) for old in self.intent.selectors)
        }
        self.choices = {name: choice for name, choice in self.choices.items() if name in same}

    def begin_pass(self) -> None:
        """Forget what happened during the pass before."""
        self.meanwhile.clear()
        self.echo.clear()

    def deliver(self, told: Mapping[FactKey, Fact], now: float) -> None:
        """A source told this: who reads it is resolved again, unless it is what was told before."""
        before, self.facts = self.facts, deliver(self.facts, told, now)
        if any(before.find(key)[:2] != self.facts.find(key)[:2] for key in told):
            self.schedule.dirt.sources.add(TOLD)
            self.timetable.bring_forward(Deadline.QUESTION, now)

    def listen(self, kernel: HostKernel, dataplanes: Dataplanes, clock: Callable[[], float]) -> None:
        """Take in every event that waits: what it makes dirty, what it tells of the host and of our own changes."""
        events, now, stamps = kernel.read_events(), clock(), dataplanes.stamps(self.marks)
        of_facts = [event for event in events if isinstance(event, LinkEvent | AddressEvent)]
        if of_facts:  # once for all of them: whoever has the facts of before goes on reading those
            self.facts = self.facts.copy()
        if self.news is not None:
            self.news += of_facts
        for event in events:
            self.schedule.note(event, self.facts, self.desired, stamps, kernel.port, now, kernel.identify)
            if isinstance(event, ObjectEvent) and event.port == kernel.port:
                value = None if event.is_removal else event.value
                self.echo.update((Key(event.kind, event.slot, member), value) for member in event.members)

    @property
    def is_undecided(self) -> bool:
        """Is there an ``[[interface]]`` that could be several links?"""
        return any(choice.is_ambiguous for choice in self.facts.chosen.values())

    @property
    def marks(self) -> Marks:
        """The protocol numbers that mark an object as ours."""
        return Marks(self.intent.settings.protocol, self.former_protocols)

    def enforce(self, intent: Intent, now: float) -> None:
        """Put other files in force: everything is resolved anew, and every hold but a pause is let go."""
        for _ in self.enforce_in_slices(intent, now):
            pass

    def enforce_in_slices(self, intent: Intent, now: float) -> Iterator[None]:
        """The same where others may have their turn between two slices: for a state that nobody else has yet."""
        protocol_before = self.intent.settings.protocol
        before = dict(self.desired.resolutions)
        needs = find_needs(intent)
        facts = ask_for(self.facts, needs, now)
        # first of all: should it fail, nothing of what is wanted has changed
        changed: list[Resolution] = []
        for entries in _slice(intent.entries):
            after = [resolve(entry, facts, intent.settings.protocol) for entry in entries]
            changed += [resolution for resolution in after if before.get(resolution.entry.name) != resolution]
            yield
        self.ask_for(intent, needs, facts)
        self.intent = intent
        self.schedule.resync = intent.settings.resync
        self.holds.release([Why.FAILED, Why.WAITING, Why.FIGHT])
        self.verified.clear()
        self.why_gone.clear()
        names = {entry.name for entry in intent.entries}
        self.new_entries = names
        self.since = {name: self.since.get(name, now) for name in names}
        moved = (before.keys() - names) | {resolution.entry.name for resolution in changed}
        for name in moved:
            self.desired.drop(name)  # all of them first: a key may have moved from one entry to another
        for resolutions in _slice(changed):
            for resolution in resolutions:
                self.desired.put(resolution)
            yield
        self.resolved = self.facts
        for name, resolution in before.items():
            if name in moved:
                self.former.note(name, resolution.sets)
        self.former_protocols = (self.former_protocols | {protocol_before}) - {intent.settings.protocol}

    def resolve_changed(self, dirt: Dirt) -> None:
        """Resolve again the entries that read a changed fact or whose time has come; make dirty where they lead."""
        facts, before, self.resolved = self.facts, self.resolved, self.facts
        changed = find_changed_facts(before, facts) if facts.revision != before.revision else set()
        due = {name for name, moment in self.desired.again.items() if moment <= facts.moment}
        if not changed and not due:
            return
        cause = explain_facts(changed, before, facts) if changed else Cause(None, Look.TIME)
        for name, resolution in list(self.desired.resolutions.items()):
            if name not in due and resolution.reads.isdisjoint(changed):
                continue
            again = resolve(resolution.entry, facts, self.intent.settings.protocol)
            if not again.is_as(resolution):
                self._exchange(resolution, again, dirt, cause)
            elif again != resolution:
                self.desired.follow(again)
        if not changed:
            return
        waiting = [subject for subject, hold in self.holds.active.items() if hold.why is Why.WAITING]
        self.holds.release([Why.WAITING])
        self.make_dirty(dirt, waiting, cause)

    def make_dirty(self, dirt: Dirt, subjects: Iterable[Subject], cause: Cause) -> None:
        """Look again where these objects or entries live, and where surplus waits for them."""
        for subject in subjects:
            dirt.add_scopes(self.postponed, cause)
            if isinstance(subject, Key):
                dirt.add_scopes([scope_of(subject.kind, subject.slot)], cause)
            elif subject in self.desired.resolutions:
                sets = self.desired.resolutions[subject].sets
                dirt.add_scopes((scope_of(group.kind, group.slot) for group in sets), cause)
            elif not subject:
                dirt.everything = dirt.everything or cause

    def owned_after(self, plan_missing: int, surplus: int) -> int:
        """How many objects in the kernel carry our mark, from what a comparison found."""
        return max(0, self.desired.count() - plan_missing) + surplus

    def find_lifelines(self) -> set[Key]:
        """The wanted objects over which the operator may be logged in."""
        return {
            Key(kind, slot, member)
            for kind, slots in self.desired.wants.items()
            for slot, members in slots.items()
            for member in KINDS[kind].list_lifelines(slot, self.facts.ssh_peers)
            if member in members
        }

    def note_in_force(self) -> None:
        """Entries whose objects are all known and all in order have been in force."""
        if self.new_entries:
            troubled = {one.trouble.entry for one in self.troubles}
            known = {name for name in self.new_entries if is_known(self.desired.resolutions.get(name))}
            self.new_entries = self.new_entries - (known - troubled)

    def note_established(self) -> None:
        """Remember the lifelines that are ours and in order now."""
        self.established |= {key for key in self.find_lifelines() if key not in self.troubles}

    def note_unread(self, read: Iterable[Scope], unread: Mapping[Scope, Reason], now: float) -> None:
        """These dumps were read, and those could not be, for these reasons."""
        for scope in read:
            self.unread.pop(scope, None)
        for scope, why in unread.items():
            self.unread.setdefault(scope, Trouble(State.UNKNOWN, why, now))

    def find_unread(self, kind: Kind, slot: Slot) -> Trouble | None:
        """Why it is not known what the kernel holds there, None where it is."""
        return self.unread.get(None) or self.unread.get(scope_of(kind, slot)) if self.unread else None

    def _exchange(self, before: Resolution, after: Resolution, dirt: Dirt, cause: Cause) -> None:
        name = after.entry.name
        if is_known(before) and not is_known(after):
            noted = self.schedule.dirt.scopes | dirt.scopes  # a dump that is not due yet knows better why
            scopes = (scope_of(group.kind, group.slot) for group in before.sets)
            self.why_gone[name] = next((noted[scope] for scope in scopes if scope in noted), cause)
        elif is_known(after):
            cause = self.why_gone.pop(name, cause)
        if before.note and not before.sets:  # not needed until now, so what comes is news and no repair
            self.new_entries = self.new_entries | {name}
        self.desired.put(after)
        self.former.note(name, before.sets)  # what goes here may come elsewhere: the guard shall know whose it was
        for group in (*before.sets, *after.sets):
            scope = scope_of(group.kind, group.slot)
            self.verified.pop(scope, None)
            dirt.add_scopes([scope], cause)


def is_known(resolution: Resolution | None) -> bool:
    """Is everything that the entry comes to known, with nothing left to wait for?"""
    if resolution is None or not resolution.sets:
        return False
    return all(group.value is not None for group in resolution.sets)


def _slice(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]
