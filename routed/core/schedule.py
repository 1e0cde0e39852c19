"""What to look at, and when: events become dirt, dirt becomes due.

An event is a hint. Where it says what now stands under one key, that key alone is compared, without a dump. Where the
kernel drops objects in silence (a link goes down, an address goes) or where the order of aliases matters, the whole
dump that shows the place is dirty. What is dirty is looked at at once; a storm is drained first, and
looked at in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Final, TypeAlias

from routed.core.desired import Desired, scope_of
from routed.core.kinds import KINDS, Crowd, is_as_wanted
from routed.core.reasons import (
    Identify,
    blame,
    blame_lost_address,
    blame_removal,
    find_link_change,
    is_unexplained,
)
from routed.core.sources import CLOCK, ROUTE
from routed.core.timetable import Deadline, Timetable
from routed.model.change import Cause, Want
from routed.model.events import KERNEL, AddressEvent, Event, LinkEvent, ObjectEvent, Overrun
from routed.model.facts import FactKey, Facts, Link
from routed.model.net import family_of
from routed.model.objects import Key, Kind, LinkMember, LinkSlot, Member, Scope, Slot, Value
from routed.model.owner import Stamp, Stamps
from routed.model.reasons import Deed, Look, Reason, Sign

STORM: Final = 256  # more events than this at once are a storm, and more dirty keys are cheaper to read in one dump
# A storm is over when nothing came for so many seconds, or for this share of what it has lasted, if that is longer:
# whoever deletes very many pauses amid it.
QUIET: Final = 0.01
LULL: Final = 0.1
LONGEST_LULL: Final = 0.05
# But its end is not waited for longer than this; where it is over ours than that, since what is put back amid a flush
# is taken away by its next round.
PATIENCE: Final = 0.5
PERSEVERANCE: Final = 2.0
CHEAP: Final = 0.01  # seconds; questions to the host that take no longer need no rest after them
SHARE: Final = 2.0  # after a pass with dumps, rest for so many times what it took
STORMY: Final = Cause(None, Look.STORM)  # of what no event of its own told
PASSES: Final = frozenset({Deadline.KEYS, Deadline.QUESTION, Deadline.DUMP, Deadline.LOOK_AGAIN, Deadline.RESYNC})
Place: TypeAlias = tuple[Kind, Slot]
_NONE: Final[Mapping[Member, Cause]] = {}


def identify_nobody(_port: int) -> None:
    """Where nobody asks who did it."""


@dataclass(slots=True)
class Dirt:
    """What has to be looked at."""

    everything: Cause | None = None
    scopes: dict[Scope, Cause] = field(default_factory=dict)
    stormy: set[Scope] = field(default_factory=set)  # of these, the ones that a storm over ours left to a dump
    keys: dict[Key, tuple[Value, ...]] = field(default_factory=dict)  # all that stands under the key now
    causes: dict[Place, dict[Member, Cause]] = field(default_factory=dict)  # of what is dirty, or in a dump that is
    distinct: dict[Cause, Cause] = field(default_factory=dict)  # each cause once, however many keys share it
    sources: set[str] = field(default_factory=set)  # of facts, of which something is new: see ``core.sources``
    regained: set[int] = field(default_factory=set)  # ifindexes of links that came into use: up, with carrier

    def __bool__(self) -> bool:
        return bool(self.everything or self.scopes or self.keys or self.sources)

    @property
    def needs_dump(self) -> bool:
        """Is there more than single keys to look at?"""
        return bool(self.everything or self.scopes)

    @property
    def asks_for_facts(self) -> bool:
        """Has the host to be asked again what the files need to know of it?"""
        return bool(self.everything or self.sources)

    def cause_of(self, key: Key) -> Cause:
        """Why an object is looked at."""
        return self.causes_in(key.kind, key.slot).get(key.member) or self.cause_of_rest(key.kind, key.slot)

    def causes_in(self, kind: Kind, slot: Slot) -> Mapping[Member, Cause]:
        """Why the objects of a slot are looked at of which events told."""
        return self.causes.get((kind, slot), _NONE)

    def cause_of_rest(self, kind: Kind, slot: Slot) -> Cause:
        """Why the objects of a slot are looked at of which no event told."""
        return self.scopes.get(scope_of(kind, slot)) or self.everything or Cause(None, Look.COMPARISON)

    def add_scopes(self, scopes: Iterable[Scope], cause: Cause) -> None:
        """Make dumps dirty; the first cause stays."""
        for scope in scopes:
            self.scopes.setdefault(scope, cause)

    def absorb(self, other: Dirt) -> None:
        """Take over what another one has to look at. Of what is dirty in both, the reason here stays."""
        self.everything = self.everything or other.everything
        self.scopes = other.scopes | self.scopes
        self.stormy |= other.stormy
        self.keys = other.keys | self.keys
        for place, causes in other.causes.items():
            mine = self.causes.setdefault(place, {})
            for member, cause in causes.items():
                mine.setdefault(member, self.distinct.setdefault(cause, cause))
        self.sources |= other.sources
        self.regained |= other.regained

    def explain(self, scopes: Iterable[Scope], cause: Cause) -> None:
        """What the kernel took away in these dumps without a reason went for this one."""
        explained = frozenset(scopes)
        for place, causes in self.causes.items():
            if scope_of(*place) in explained:
                shared = self.distinct.setdefault(cause, cause)
                causes.update({member: shared for member, former in causes.items() if is_unexplained(former)})

    def forget(self, kind: Kind, slot: Slot, members: Iterable[Member]) -> None:
        """There is nothing to look at under these keys any more."""
        causes = self.causes.get((kind, slot), {})
        for member in members:
            self.keys.pop(Key(kind, slot, member), None)
            causes.pop(member, None)

    def add_keys(
        self, kind: Kind, slot: Slot, members: Sequence[Member], standing: tuple[Value, ...], cause: Cause | None
    ) -> None:
        """Make keys dirty; the last event says what stands there, the first since it was as wanted says why.

        No cause: they seem to be as wanted.
        """
        causes = self.causes.setdefault((kind, slot), {})
        if cause is None:
            for member in members:
                causes.pop(member, None)
        else:
            shared = self.distinct.setdefault(cause, cause)
            for member in members:
                causes.setdefault(member, shared)
        if len(members) <= STORM:
            for member in members:
                self.keys[Key(kind, slot, member)] = standing
        if max(len(members), len(self.keys)) > STORM:
            stormy = {scope_of(key.kind, key.slot) for key in self.keys} | {scope_of(kind, slot)}
            self.add_scopes(stormy, STORMY)
            self.stormy |= stormy
            self.keys.clear()

    def take_keys(self, chosen: Iterable[Key]) -> Dirt:
        """Hand over some of the keys, with why they are dirty; the rest stays."""
        taken = Dirt()
        for key in list(chosen):
            cause = self.causes[key.kind, key.slot].pop(key.member, None)
            taken.add_keys(key.kind, key.slot, (key.member,), self.keys.pop(key), cause)
        return taken


def apply_to_facts(facts: Facts, event: LinkEvent | AddressEvent) -> None:
    """Bring links or addresses up to date, in place: see ``Schedule.note``.

    The gateways are asked for anew by whoever sees that the facts changed.
    """
    if isinstance(event, LinkEvent):
        if event.is_removal:
            facts.links.pop(event.link.ifindex, None)
        else:
            facts.links[event.link.ifindex] = event.link
    elif event.is_removal:
        facts.addresses.pop(event.member, None)
    else:
        facts.addresses[event.member] = event.address


@dataclass(slots=True)
class Schedule:
    """Collects dirt and says when it is due. Moments are seconds of one monotonic clock."""

    resync: float = 60.0
    dirt: Dirt = field(default_factory=Dirt)
    last_event: float = 0.0
    first_event: float = 0.0  # of those that follow each other now
    events: int = 0  # of those
    rest_until: float = 0.0  # no dump before
    facts_rest_until: float = 0.0  # no question to the host before
    timetable: Timetable = field(default_factory=Timetable)
    follows_addresses: bool = True  # do the files need to know them?
    watched: frozenset[bytes] = frozenset()  # prefixes a route to which changes a fact
    polls: dict[str, float] = field(default_factory=dict)  # dataplane without events → when it has to be read again
    is_reach_awaited: bool = False  # does something wait for a gateway? Then a new on-link route is news

    def note(
        self,
        event: Event,
        facts: Facts,
        desired: Desired,
        stamps: Stamps,
        mine: int,
        now: float,
        identify: Identify = identify_nobody,
    ) -> None:
        """Take in one event. ``facts`` follow it, in place, so that thousands of addresses are not copied each time.

        ``mine`` is the port id of our own requests. ``identify`` is asked only about events that make something of
        ours dirty, and at once: the process may be gone a moment later.
        """
        if not self.dirt or now > self.last_event + self._find_lull():
            self.first_event, self.events = now, 0
        self.events += 1
        match event:
            case ObjectEvent():
                self.last_event = now
                self.events += len(event.members) - 1
                _note_object(self.dirt, event, desired, stamps, mine, identify)
                if self._changes_a_fact(event):
                    self.dirt.sources.add(ROUTE)
            case LinkEvent():
                self._note_link(event, facts, desired, now)
            case AddressEvent():
                self._note_address(event, facts, desired, mine, now, identify)
            case Overrun():
                self.last_event = now
                self.events += STORM  # there were at least so many that nobody could keep up
                self.dirt.everything = Cause(None, Look.OVERRUN)

    def find_due(self, now: float) -> float | None:
        """When there is something to do: a moment (``now`` or earlier is at once), None for never."""
        self.arm(now)
        return self.timetable.find_next()

    def arm(self, now: float) -> None:
        """Put into the timetable when what is dirty is due."""
        dirt, timetable = self.dirt, self.timetable
        timetable.set(Deadline.KEYS, self.find_end_of_storm(now) if dirt.keys else None)
        timetable.set(Deadline.QUESTION, self._find_due_question(now) if dirt.sources else None)
        timetable.set(Deadline.DUMP, self._find_due_dump(now) if dirt.needs_dump else None)

    def find_end_of_storm(self, now: float) -> float:
        """When to stop waiting for more of the same: now, unless events pour in faster than they are worth a look."""
        if self.events <= STORM:
            return now
        patience = PERSEVERANCE if self.dirt.stormy else PATIENCE
        return min(self.last_event + self._find_lull(), self.first_event + patience)

    def take(self, now: float) -> Dirt:
        """Hand over what is due now."""
        may_ask = self._find_due_question(now) <= now
        may_dump = self._find_due_dump(now) <= now
        if may_dump if self.dirt.needs_dump else may_ask or not self.dirt.sources:
            taken, self.dirt = self.dirt, Dirt()
        else:
            taken = self.dirt.take_keys(self.dirt.keys)
            if may_ask:
                taken.sources, self.dirt.sources = self.dirt.sources, set()
                taken.regained, self.dirt.regained = self.dirt.regained, set()
        if self.timetable.take(Deadline.LOOK_AGAIN, now):
            taken.sources.add(CLOCK)
        if self.timetable.take(Deadline.RESYNC, now):
            taken.everything = taken.everything or Cause(None, Look.REGULAR)
        return taken

    def take_polls(self, intervals: Iterable[tuple[str, float]], now: float) -> list[str]:
        """Which of these dataplanes have to be read again now? Each is due next an interval (seconds) later."""
        due = [name for name, _ in intervals if self.polls.get(name, inf) <= now]
        self.polls |= {name: now + interval for name, interval in intervals if name in due}
        self.arm_polls()
        return due

    def arm_polls(self) -> None:
        """Put into the timetable when the next one is due."""
        self.timetable.set(Deadline.POLL, min(self.polls.values(), default=None))

    def take_keys(self, now: float, most: int) -> Dirt:
        """Hand over a few single keys, for whoever cannot wait for the end of a long pass. No storm is taken apart."""
        if not self.dirt.keys or self.find_end_of_storm(now) > now:
            return Dirt()
        alone = (key for key in self.dirt.keys if scope_of(key.kind, key.slot) not in self.dirt.stormy)
        return self.dirt.take_keys(islice(alone, most))

    def _find_due_dump(self, now: float) -> float:
        """When a dump is worth its price: after the storm, and after a rest in proportion to the last one."""
        return max(self.find_end_of_storm(now), self.rest_until, self.timetable.retry_at)

    def _find_due_question(self, now: float) -> float:
        """When the host may be asked again what events do not tell, which costs more the more addresses it has."""
        return max(self.find_end_of_storm(now), self.facts_rest_until, self.timetable.retry_at)

    def _find_lull(self) -> float:
        """How long nothing comes when a storm is over."""
        return min(max(QUIET, LULL * (self.last_event - self.first_event)), LONGEST_LULL)

    def note_questions(self, began: float, ended: float) -> None:
        """The host was asked what events do not tell: rest in proportion to what that cost, if it was much."""
        cost = ended - began
        self.facts_rest_until = ended + SHARE * cost if cost > CHEAP else 0.0

    def note_pass(self, dirt: Dirt, began: float, ended: float) -> None:
        """A pass is over: rest in proportion to what it cost, and count the next resync from here."""
        if dirt.needs_dump:
            self.rest_until = ended + SHARE * (ended - began)
        if dirt.everything is not None or self.timetable.find(Deadline.RESYNC) is None:
            self.timetable.set(Deadline.RESYNC, ended + self.resync)

    def _changes_a_fact(self, event: ObjectEvent) -> bool:
        """May the kernel route something else now that a fact speaks of, or reach a gateway that is waited for?"""
        row = KINDS[event.kind]
        if self.is_reach_awaited and not event.is_removal and row.opens_network(event.value):
            return True
        return bool(self.watched) and row.is_way_to(self.watched, event.members)

    def _note_link(self, event: LinkEvent, facts: Facts, desired: Desired, now: float) -> None:
        link, before = event.link, facts.links.get(event.link.ifindex)
        if not event.is_removal and before == link:
            return
        self.last_event = now
        self.dirt.sources.add("link")
        scopes = desired.scopes_on(link.ifindex)
        cause = Cause(KERNEL, find_link_change(before or link, None if event.is_removal else link))
        self.dirt.add_scopes(scopes, cause)
        if event.is_removal or not link.is_up:
            self.dirt.explain(scopes, cause)
        if not event.is_removal and _is_in_use(link) and not (before and _is_in_use(before)):
            self.dirt.regained.add(link.ifindex)
        if before and before.name != link.name:
            former = Key(Kind.LINK, LinkSlot(), LinkMember(before.name))
            if desired.get(former):
                self.dirt.add_keys(former.kind, former.slot, (former.member,), (), Cause(None, cause.reason))
        apply_to_facts(facts, event)

    def _note_address(
        self, event: AddressEvent, facts: Facts, desired: Desired, mine: int, now: float, identify: Identify
    ) -> None:
        if not event.is_removal and (not self.follows_addresses or facts.addresses.get(event.member) == event.address):
            return
        self.last_event = now
        if event.is_removal:
            # With the last address of a link its IPv4 routes go in silence, and so does the src of IPv6 routes.
            family = family_of(event.member.address)
            swept = {scope for scope in desired.scopes_on(event.member.dev) if scope.family == family}
            stripped = desired.scopes_reading(FactKey("address", event.member.address))
            if swept or stripped:
                self.dirt.add_scopes(swept | stripped, blame_lost_address(event, facts, mine, identify))
        if self.follows_addresses:
            self.dirt.sources.add("address")
            apply_to_facts(facts, event)


def _note_object(
    dirt: Dirt, event: ObjectEvent, desired: Desired, stamps: Stamps, mine: int, identify: Identify
) -> None:
    """What the events of objects make dirty."""
    kind, slot, members = event.kind, event.slot, event.members
    if event.port == mine:
        if not event.is_removal:  # what we put stands first now; what we took away says nothing about the rest
            dirt.forget(kind, slot, members)
        return
    for want, share in desired.share_out(kind, slot, members):
        told = event if len(share) == len(members) else event._replace(members=share)
        if want is None:
            _note_unwanted(dirt, told, stamps[kind], identify)
        elif event.is_removal:
            _note_removal(dirt, told, want, identify)
        else:
            _note_arrival(dirt, told, want, identify)


def _note_unwanted(dirt: Dirt, event: ObjectEvent, stamp: Stamp, identify: Identify) -> None:
    kind, slot, members = event.kind, event.slot, event.members
    made_by_kernel = KINDS[kind].made_by_kernel.get(slot)
    if made_by_kernel and not made_by_kernel.isdisjoint(map(KINDS[kind].stands_for, members)):
        dirt.add_scopes([scope_of(kind, slot)], blame(event, identify, Sign.DEFAULT_RULE))
    elif event.is_removal:
        dirt.forget(kind, slot, members)
    elif stamp(event.value).is_ours:
        cause = blame(event, identify, Sign.MARKED)
        dirt.add_keys(kind, slot, members, (event.value,), cause)


def _note_removal(dirt: Dirt, event: ObjectEvent, want: Want, identify: Identify) -> None:
    """Something went that stood under wanted keys; perhaps not what was wanted."""
    kind, slot, members = event.kind, event.slot, event.members
    crowd = KINDS[kind].crowd
    if want.value is None or is_as_wanted(event.value, want):
        dirt.add_keys(kind, slot, members, (), _blame_removal(dirt, event, identify, Deed.DELETED))
    elif crowd is Crowd.ORDERED:
        cause = _blame_removal(dirt, event, identify, Sign.DELETED_BELOW)
        dirt.add_scopes([scope_of(kind, slot)], cause)
    elif crowd is Crowd.ALONE:
        dirt.keys.update((key, ()) for member in members if (key := Key(kind, slot, member)) in dirt.keys)


def _blame_removal(dirt: Dirt, event: ObjectEvent, identify: Identify, reason: Reason) -> Cause:
    cause = blame_removal(event, identify, reason)
    if not KINDS[event.kind].is_explained_by_dump or not is_unexplained(cause):
        return cause
    known = dirt.scopes.get(scope_of(event.kind, event.slot))
    return known if known and known.port == KERNEL else cause


def _note_arrival(dirt: Dirt, event: ObjectEvent, want: Want, identify: Identify) -> None:
    """Something came to stand under wanted keys."""
    kind, slot, members = event.kind, event.slot, event.members
    crowd = KINDS[kind].crowd
    if crowd is Crowd.BESIDE:
        return
    if crowd is Crowd.ORDERED and not (event.is_replacement or event.is_addition):
        cause = blame(event, identify, Sign.ALIAS_ADDED)
        dirt.add_scopes([scope_of(kind, slot)], cause)
        return
    if is_as_wanted(event.value, want):  # as our own IPv6 address is, which the kernel announces as its own doing
        dirt.add_keys(kind, slot, members, (event.value,), None)
        return
    deed = Deed.REPLACED if event.is_replacement else Deed.ADDED if event.is_addition else Deed.CHANGED
    dirt.add_keys(kind, slot, members, (event.value,), blame(event, identify, deed))


def _is_in_use(link: Link) -> bool:
    return link.is_up and link.has_carrier
