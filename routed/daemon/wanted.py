"""What is wanted of this host: the intent, the objects that it comes to, and who wanted what before.

Only the methods here write these fields. What the host is stands in ``world``, what became of it in ``ledger``.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import is_
from typing import Any, Final, NamedTuple, TypeVar

from routed.core.desired import Desired, ObjectSet, Resolution, links_of, scope_of
from routed.core.drain import list_patience
from routed.core.entries import note_risen, resolve
from routed.core.for_each import AS_WRITTEN, Moved, Unfolded, find_moved, list_seen, name_each, unfold
from routed.core.former import Former
from routed.core.kinds import KINDS
from routed.core.needs import Needs
from routed.core.reasons import choose_cause
from routed.core.select import is_same_selector
from routed.model.change import Cause, Drift, Nature, Want
from routed.model.entries import Entry, Intent
from routed.model.events import AddressEvent, LinkEvent
from routed.model.facts import FactKey, Facts
from routed.model.net import family_of
from routed.model.objects import Key, Kind, Member, Scope, Slot, Value
from routed.model.owner import Marks
from routed.model.reasons import MembersChanged, Reason, Required, Withdrawn, join_reasons, split_reasons
from routed.model.servers import list_own_checks


class Gone(NamedTuple):
    """What an entry came to while that was known, and why it went."""

    before: Resolution
    cause: Cause
    is_heard: bool  # or is it only found by facts that changed?

    def stood_on(self, dev: int, event: AddressEvent | LinkEvent) -> bool:
        """May what the event tells have swept some of it away?"""
        groups = [group for group in self.before.sets if dev in links_of(group)]
        if isinstance(event, LinkEvent):
            return bool(groups)
        address = event.member.address
        families = {scope_of(group.kind, group.slot).family for group in groups}
        return family_of(address) in families or FactKey("address", address) in self.before.reads


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
    gone: dict[str, Gone] = field(default_factory=dict)  # entries that wait, of which it was known what they come to
    former: Former = field(default_factory=Former)  # who wanted what nobody wants now
    former_protocols: frozenset[int] = frozenset()  # numbers that marked our objects before
    why_surplus_stays: Reason | None = None  # while what no entry wants must not go
    patience: dict[Key, float] = field(default_factory=dict)  # how long servers of a service that left may drain
    unfolded: Unfolded = AS_WRITTEN  # what members make of the tables that follow a source
    seen: tuple[object, ...] = ()  # the facts from which that was found
    whole: tuple[int, int, Intent] | None = None  # of which intent, with which of these: see ``find_whole``
    moved: dict[str, Entry | None] = field(default_factory=dict)  # what they make otherwise, not resolved yet
    reborn: set[str] = field(default_factory=set)  # of these, whose member is another one under the same name

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
            patience=dict(self.patience),
            unfolded=self.unfolded,
            seen=self.seen,
            moved=dict(self.moved),
            reborn=set(self.reborn),
        )

    @property
    def marks(self) -> Marks:
        """The protocol numbers that mark an object as ours."""
        settings = self.intent.settings
        return Marks(settings.protocol, self.former_protocols, settings.protocols - {settings.protocol})

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

    def list_entries(self) -> Iterator[Entry]:
        """The entries in force as they are now, with all that members make."""
        return self.unfolded.list_entries(self.intent.entries)

    def find_whole(self) -> Intent:
        """The files in force with all that members make: entries, and the checks of servers."""
        if self.unfolded is AS_WRITTEN:
            return self.intent
        if self.whole is None or self.whole[:2] != (id(self.intent), id(self.unfolded)):
            self.whole = id(self.intent), id(self.unfolded), make_whole(self.intent, self.unfolded)
        return self.whole[2]

    @property
    def asks_members(self) -> bool:
        """Do members make servers that have checks?"""
        return any(entry.templates for entry in self.unfolded.forms.values())

    def unfold(self, intent: Intent, facts: Facts) -> Unfolded:
        """What the members of their sources make of these files. Nothing changes by it."""
        return unfold(intent.entries, facts, self.unfolded)

    def follow_members(self, facts: Facts) -> list[Moved]:
        """Take in who is a member now. Returns the entries that are others for that.

        They are resolved by ``resolve_moved``.
        """
        seen = list_seen(self.unfolded.expansions.values(), facts)
        if len(seen) == len(self.seen) and all(map(is_, seen, self.seen)):
            return []
        self.seen = seen
        former, self.unfolded = self.unfolded, unfold(self.intent.entries, facts, self.unfolded)
        moved = list(find_moved(self.intent.entries, former, self.unfolded))
        for one in moved:
            entry = one.after or one.before
            assert entry is not None
            self.moved[entry.name] = one.after
            if one.is_reborn:
                self.reborn.add(entry.name)
        return moved

    def list_with_parts(self, name: str) -> Iterator[str]:
        """An entry in force, and of a table with for_each what its members make."""
        yield name
        yield from (one.name for one in self.unfolded.list_parts(name) if one.name in self.desired.resolutions)

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

    def begin_slowly(self, found: Sequence[Resolution], facts: Facts, protocol: int) -> tuple[Facts, list[Resolution]]:
        """The same, where what begins its work does so slowly; and the facts, which say since when."""
        slow: list[Resolution] = []
        for after in found:
            before, former = self.desired.resolutions.get(after.entry.name), facts
            facts = note_risen(facts, before, after) if before else facts
            is_slow = facts is not former
            slow.append(resolve(after.entry, facts, protocol) if is_slow else after)
        return facts, slow

    def enforce(
        self, intent: Intent, other: Sequence[Resolution], facts: Facts, unfolded: Unfolded = AS_WRITTEN
    ) -> Iterator[None]:
        """These files are in force from now on, of which ``other`` is new by these facts. In slices."""
        before = dict(self.desired.resolutions)
        self.former_protocols = (self.former_protocols | self.intent.settings.numbers) - intent.settings.numbers
        self.intent, self.unfolded = intent, unfolded
        self.seen = list_seen(unfolded.expansions.values(), facts)
        self.gone.clear()
        self.moved = {}
        left = self.former.find_scopes()  # where something may stand still that an entry before these wanted
        self.patience = {key: one for key, one in self.patience.items() if scope_of(key.kind, key.slot) in left}
        self.patience |= list_patience((one.entry, self.desired.keys_of(name)) for name, one in before.items())
        self.new_entries = frozenset(entry.name for entry in self.list_entries())
        moved = (before.keys() - self.new_entries) | {resolution.entry.name for resolution in other}
        for name in moved:
            self.desired.drop(name)  # all of them first: a key may have moved from one entry to another
        for resolutions in _slice(other):
            for resolution in resolutions:
                self.desired.put(resolution)
            yield
        self.desired.settle()
        self.resolved = facts
        for name, resolution in before.items():
            if name in moved:
                self.former.note(name, resolution.sets)

    def note_resolved(self, facts: Facts) -> Facts:
        """Who reads a changed fact is resolved by these. Returns those of before."""
        before, self.resolved = self.resolved, facts
        return before

    def take_put(self) -> list[ObjectSet] | None:
        """What is wanted since this was asked last; None where that is a lot."""
        return self.desired.take_put()

    def find_wants(self, names: Iterable[str]) -> dict[Key, Want]:
        """What these entries have of what is wanted, and of whose changes events tell."""
        resolutions = (self.desired.resolutions[name] for name in names if name in self.desired.resolutions)
        groups = (group for one in resolutions for group in one.sets if KINDS[group.kind].is_followed)
        keys = (Key(group.kind, group.slot, member) for group in groups for member in group.members)
        wants = ((key, self.desired.get(key)) for key in keys)
        return {key: want for key, want in wants if want is not None}

    def resolve_moved(self, facts: Facts) -> Iterator[tuple[Resolution, Resolution | None]]:
        """What members make otherwise than before: what it came to, and comes to now; None: nobody makes it any more.

        Who goes, goes first: a key may move from one member to another. Who claimed it longest has it then.
        """
        moved, self.moved = self.moved, {}
        former = {name: self.desired.resolutions.get(name) for name in moved}
        for name in [name for name, entry in moved.items() if entry is None]:
            before = self.desired.resolutions.get(name)
            self.gone.pop(name, None)
            self.desired.drop(name)
            if before is not None:
                self.former.note(name, before.sets)
                yield before, None
        for name in self.reborn:
            self.desired.drop(name)
        self.reborn = set()
        self.desired.settle()
        for name, entry in moved.items():
            if entry is not None:
                self.new_entries |= {name}
                yield (
                    former[name] or Resolution(entry),
                    resolve(entry, facts, self.intent.settings.protocol),
                )
        if moved:
            self.desired.settle()

    def resolve_again(
        self, due: Collection[str], changed: Collection[FactKey], facts: Facts, but: AbstractSet[str] = frozenset()
    ) -> Iterator[tuple[Resolution, Resolution]]:
        """Resolve the entries that are due or read a changed fact. Yields what is not as before: before, and now.

        Who gets that calls ``replace``.
        """
        for name in self.desired.list_readers(changed, due):
            if name in but:
                continue
            resolution = self.desired.resolutions[name]
            again = resolve(resolution.entry, facts, self.intent.settings.protocol)
            if not again.is_as(resolution):
                yield resolution, again
            elif again != resolution:
                self.desired.follow(again)

    def replace(
        self,
        before: Resolution,
        after: Resolution,
        cause: Cause,
        noted: Iterable[Mapping[Scope, Cause]],
        refused: Iterable[Cause] = (),
    ) -> Cause:
        """An entry comes to something else by this cause. Returns the cause that its objects are looked at for.

        ``noted`` is why dumps are dirty: one that is not due yet knows better why objects went. ``refused`` is why
        those of its objects had gone that could not be put back until now.
        """
        name = after.entry.name
        if is_known(before) and not is_known(after):
            scopes = [scope_of(group.kind, group.slot) for group in before.sets]
            known = (causes[scope] for scope in scopes for causes in noted if scope in causes)
            explain = partial(choose_cause, nature=Nature.MISSING)
            why = reduce(explain, (*refused, *known, cause))
            self.gone[name] = Gone(before, why, is_heard=why is not cause)
        elif is_known(after) and name in self.gone:
            cause = self.gone.pop(name).cause
        if before.note and not before.sets:  # not needed until now, so what comes is news and no repair
            self.new_entries = self.new_entries | {name}
        self.desired.put(after)
        self.desired.settle()
        self.former.note(name, before.sets)  # what goes here may come elsewhere: the guard shall know whose it was
        return cause

    def hear_loss(self, dev: int, event: AddressEvent | LinkEvent, cause: Cause) -> None:
        """What entries that wait stood on has gone. They may wait already: an answer of the kernel was ahead of it."""
        for name, gone in self.gone.items():
            if gone.stood_on(dev, event):
                why = choose_cause(gone.cause, cause, Nature.MISSING) if gone.is_heard else cause
                self.gone[name] = Gone(gone.before, why, is_heard=True)

    def find_scopes_above(self, kind: Kind, slot: Slot, members: Iterable[Member]) -> set[Scope]:
        """The dumps that show what stands on these objects."""
        return self.desired.scopes_standing_on(kind, slot, members)

    def share_out_surplus(
        self, kind: Kind, slot: Slot, members: Sequence[Member]
    ) -> list[tuple[Entry | None, Sequence[Member]]]:
        """What nobody wants, by the entries that it belongs to all the same.

        To that of what it stands in; else to the one that wanted it and does not just now.
        """
        find_whole = KINDS[kind].find_whole
        whole = self.desired.get(find_whole(slot)) if find_whole is not None else None
        if whole is not None:
            return [(whole.entry, members)]
        counts = self.former.count(kind, slot, members)
        owners = {name: self._find_owner(name) for name in counts if self._find_why_unwanted(name)}
        if not owners:
            return [(None, members)]
        if len(owners) == 1 and counts.total() == len(members):
            return [(entry, members) for entry in owners.values()]
        parts = self.former.share_out(kind, slot, members)
        shares = {name: tuple(one for one in members if one in parts[name]) for name in owners}
        rest = set(members).difference(*shares.values())
        found: list[tuple[Entry | None, Sequence[Member]]] = [(owners[name], share) for name, share in shares.items()]
        return [*found, (None, tuple(one for one in members if one in rest))] if rest else found

    def find_withdrawal(self, drift: Drift) -> Withdrawn | None:
        """Why the entry that a surplus belongs to does not want it just now; None where it is not that."""
        if drift.whose is None:
            return None
        name, find_whole = drift.whose.name, KINDS[drift.kind].find_whole
        if find_whole is None or self.desired.get(find_whole(drift.slot)) is None:
            why = self._find_why_unwanted(name)
        else:
            gone = dict(self.desired.resolutions[name].withdrawn)
            whys = [gone.get(Key(drift.kind, drift.slot, member)) for member in drift.members]
            why = join_reasons(dict.fromkeys(one for one in whys if one)) if all(whys) else None
        return Withdrawn(name, why) if why else None

    def is_withdrawn(self, kind: Kind, slot: Slot, members: Sequence[Member]) -> bool:
        """Does the entry that these belong to not want them just now?"""
        parts = self.share_out_surplus(kind, slot, members)
        drifts = (Drift(Nature.SURPLUS, kind, slot, some, None, whose=entry) for entry, some in parts)
        return all(self.find_withdrawal(drift) is not None for drift in drifts)

    def find_given_back(self, displaced: Mapping[Key, Value]) -> Mapping[Key, Value]:
        """What of that which ours took the place of may stand again: not what its entry says is to be gone for now."""
        if not self.desired.taking:
            return displaced
        taken = {key for name in self.desired.taking for key, _ in self.desired.resolutions[name].taken}
        return {key: value for key, value in displaced.items() if key not in taken}

    def _find_owner(self, name: str) -> Entry:
        """The entry of this name; of a member that has gone what it would be."""
        resolution = self.desired.resolutions.get(name)
        if resolution:
            return resolution.entry
        each = self.unfolded.expansions[name_each(name)].each
        assert isinstance(each.body, Entry)
        return replace(each.body, name=name)

    def _find_why_unwanted(self, name: str) -> Reason | None:
        """Why an entry is out of force, or stands elsewhere, just now; None where it is not that."""
        resolution = self.desired.resolutions.get(name)
        if resolution is None:
            expansion = self.unfolded.expansions.get(name_each(name))
            return MembersChanged(expansion.each.source) if expansion else None
        if resolution.withheld:
            return resolution.withheld
        if resolution.note and any(isinstance(one, Required) for one in split_reasons(resolution.note)):
            return resolution.note  # demoted, it stands elsewhere meanwhile
        why = join_reasons(waiting.reason for waiting in resolution.waiting) or resolution.note
        return None if resolution.sets else why

    def note_withdrawn(self, name: str) -> None:
        """We took away what this entry does not want just now: when it wants it again that is news, and no repair."""
        self.gone.pop(name, None)
        self.new_entries = self.new_entries | {name}

    def note_in_force(self, troubled: AbstractSet[str], among: AbstractSet[str] | None = None) -> None:
        """Entries whose objects are all known and, as these are not, all in order have been in force."""
        asked = self.new_entries if among is None else among & self.new_entries
        known = {name for name in asked if is_known(self.desired.resolutions.get(name))}
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


def make_whole(intent: Intent, unfolded: Unfolded) -> Intent:
    """These files with all that members make of them."""
    written = {check.name for check in intent.checks}
    own = (check for check in list_own_checks(unfolded.forms.values()) if check.name not in written)
    return replace(intent, entries=tuple(unfolded.list_entries(intent.entries)), checks=(*intent.checks, *own))


def is_known(resolution: Resolution | None) -> bool:
    """Is everything that the entry comes to known, with nothing left to wait for?"""
    if resolution is None or not resolution.sets:
        return False
    return all(group.value is not None for group in resolution.sets)


def _slice(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]
