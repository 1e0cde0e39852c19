"""The schedule: when what is dirty is looked at.

Dirt is due at once; a storm is drained first, and looked at in one go. After whatever took long there is a rest, in
proportion to what it took. The moments go into the ``timetable``.

Here must never live: what an event makes dirty (``hear``), or what is done when something is due (``engine``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Final

from routed.core.desired import Desired, scope_of
from routed.core.dirt import STORM, Dirt
from routed.core.hear import hear_address, hear_behind, hear_link, hear_object, hear_request, may_open_a_way
from routed.core.kinds import KINDS
from routed.core.reasons import Identify, identify_nobody
from routed.core.rivals import Rivals
from routed.core.sources import BEHIND, CLOCK, ROUTE
from routed.core.timetable import Deadline, Timetable
from routed.model.change import Cause
from routed.model.events import KERNEL, AddressEvent, Event, Ipv6Event, LinkEvent, ObjectEvent, Overrun, RequestEvent
from routed.model.facts import Facts
from routed.model.net import FAMILIES
from routed.model.objects import Key, Scope
from routed.model.owner import Stamps
from routed.model.reasons import Look

# A storm is over when nothing came for QUIET seconds, or for the share LULL of the time it has lasted, if that is
# longer: a process that deletes very many pauses now and then.
QUIET: Final = 0.01
LULL: Final = 0.1
LONGEST_LULL: Final = 0.05
# Nobody waits for its end longer than PATIENCE. Where the storm is over objects of ours it is PERSEVERANCE: what is put
# back amid a flush is taken away by its next round.
PATIENCE: Final = 0.5
PERSEVERANCE: Final = 2.0
CHEAP: Final = 0.01  # seconds; no rest is needed after questions to the host that take no longer
SHARE: Final = 2.0  # after a pass with dumps, rest for so many times what it took
_OF_ADDRESSES: Final = frozenset({"address", BEHIND})  # sources of which a lost address makes something new
PASSES: Final = frozenset(
    {
        Deadline.KEYS,
        Deadline.QUESTION,
        Deadline.EFFECT,
        Deadline.DUMP,
        Deadline.LOOK_AGAIN,
        Deadline.RESYNC,
    }
)
HANDLING: Final = 0.002  # seconds from a request until the kernel has nearly always done it
AFTERMATH: Final = 0.1  # seconds from the event of a link until its routes are gone
CALM: Final = 0.05  # seconds from what others did until it is asked what that means: repairs come first
BUSY: Final = 30.0  # seconds after a change that something is read more often of which no event tells …
QUICK: Final = 1.0  # … so often, in seconds
RETRY: Final = 5.0  # seconds from an asking that failed to the next one


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
    effect_rest_until: float = 0.0  # it is not asked before whether ours decides
    timetable: Timetable = field(default_factory=Timetable)
    follows_addresses: bool = True  # do the files need to know them?
    watched: frozenset[bytes] = frozenset()  # prefixes a route to which changes a fact
    behind: frozenset[bytes] = frozenset()  # destinations of the kernel's routes that stand behind our addresses
    polls: dict[str, float] = field(default_factory=dict)  # dataplane without events → when it has to be read again
    busy_until: dict[str, float] = field(default_factory=dict)  # such a one of which something was changed lately
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
        self._count(now)
        match event:
            case ObjectEvent():
                self.last_event = now
                self.events += len(event.members) - 1
                hear_object(self.dirt, event, desired, stamps, mine, identify)
                if self.behind and not self.behind.isdisjoint(event.members):
                    hear_behind(self.dirt, event, mine, identify)
                if may_open_a_way(event, self.watched, is_reach_awaited=self.is_reach_awaited):
                    self.dirt.sources.add(ROUTE)
            case LinkEvent() | Ipv6Event():
                if hear_link(self.dirt, event, facts, desired):
                    self.last_event = now
            case AddressEvent():
                follows = self.follows_addresses
                if hear_address(self.dirt, event, facts, desired, mine, identify, is_followed=follows):
                    self.last_event = now
            case Overrun():
                self.last_event = now
                self.events += STORM  # there were at least so many that nobody could keep up
                self.dirt.everything = Cause(None, Look.OVERRUN)

    def note_request(self, event: RequestEvent, desired: Desired, now: float, identify: Identify) -> None:
        """Take in one request of somebody else, which the kernel carries out just now."""
        is_first = not self.dirt.needs_dump
        if not event.touched:  # no object, but what is read with them
            self.polls = {name: min(due, now + HANDLING) for name, due in self.polls.items()}
            self.arm_polls()
        elif hear_request(self.dirt, event, desired, identify) and is_first:
            self.rest_until = max(self.rest_until, now + HANDLING)  # who goes on asking must not put it off for ever

    def _count(self, now: float) -> None:
        if not self.dirt or now > self.last_event + self._find_lull():
            self.first_event, self.events = now, 0
        self.events += 1

    def look_behind(self, scopes: Collection[Scope], cause: Cause, now: float) -> None:
        """Look at these dumps when the kernel has done what an event tells of.

        It tells that a link goes down before it takes the routes over it away (__dev_notify_flags in net/core/dev.c),
        and of these it tells nothing.
        """
        if scopes:
            self.dirt.add_scopes(scopes, cause)
            self.rest_until = max(self.rest_until, now + AFTERMATH)

    def find_due(self, now: float) -> float | None:
        """When there is something to do: a moment (``now`` or earlier is at once), None for never."""
        self.arm(now)
        return self.timetable.find_next()

    def arm(self, now: float) -> None:
        """Put into the timetable when what is dirty is due."""
        dirt, timetable = self.dirt, self.timetable
        timetable.set(Deadline.KEYS, self.find_end_of_storm(now) if dirt.keys else None)
        timetable.set(Deadline.QUESTION, self._find_due_question(now) if dirt.sources else None)
        if not dirt.rivals:
            timetable.cancel(Deadline.EFFECT)
        elif timetable.find(Deadline.EFFECT) is None:
            timetable.set(Deadline.EFFECT, max(now + CALM, self.effect_rest_until))
        timetable.set(Deadline.DUMP, self._find_due_dump(now) if dirt.needs_dump else None)

    def find_end_of_storm(self, now: float) -> float:
        """When to stop waiting for more of the same: now, unless events pour in faster than they are worth a look."""
        if self.events <= STORM:
            return now
        patience = PERSEVERANCE if self.dirt.stormy else PATIENCE
        return min(self.last_event + self._find_lull(), self.first_event + patience)

    def take(self, now: float) -> Dirt:
        """Hand over what is due now."""
        rivals = Dirt()
        if self.dirt.rivals and (self.timetable.find(Deadline.EFFECT) or now) > now:
            rivals.take_rivals(self.dirt)
        may_ask = self._find_due_question(now) <= now
        may_dump = self._find_due_dump(now) <= now
        if may_dump if self.dirt.needs_dump else may_ask or not self.dirt.sources:
            taken, self.dirt = self.dirt, Dirt()
        else:
            taken = self.dirt.take_keys(self.dirt.keys)
            if may_ask:
                taken.sources, self.dirt.sources = self.dirt.sources, set()
                taken.regained, self.dirt.regained = self.dirt.regained, set()
            taken.take_rivals(self.dirt)
        self.dirt.take_rivals(rivals)
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

    def note_busy(self, name: str, now: float) -> None:
        """Something was changed of a dataplane without events: who did it may go on."""
        self.busy_until[name] = now + BUSY

    def find_interval(self, name: str, interval: float, now: float) -> float:
        """The seconds until such a dataplane has to be read again: fewer for a while after something was changed."""
        return min(interval, QUICK) if self.busy_until.get(name, 0.0) > now else interval

    def arm_polls(self) -> None:
        """Put into the timetable when the next one is due."""
        self.timetable.set(Deadline.POLL, min(self.polls.values(), default=None))

    def take_keys(self, now: float, most: int, *, is_asking: bool = False) -> Dirt:
        """Hand over a few single keys, for whoever cannot wait for the end of a long pass. No storm is taken apart.

        ``is_asking``: is the host asked for facts just now? As long as the answers are not known, what the kernel took
        by itself waits: it may be wanted no more.
        """
        if not self.dirt.keys or self.find_end_of_storm(now) > now:
            return Dirt()
        alone = self._list_alone()
        if is_asking or self.dirt.sources:
            alone = (key for key in alone if self.dirt.cause_of(key).port != KERNEL)
        return self.dirt.take_keys(islice(alone, most))

    def take_stolen(self, now: float, most: int) -> Dirt:
        """Hand over a few keys of what a process took away, where all that the host is asked is what that changed.

        To ask takes longer the more stands on the link, and the answer is the same when they stand again.
        """
        if not self.dirt.keys or not self.dirt.sources <= _OF_ADDRESSES or self.dirt.everything:
            return Dirt()
        if self.find_end_of_storm(now) > now:
            return Dirt()
        stolen = (
            key for key in self._list_alone() if KINDS[key.kind].raises_questions and self.dirt.cause_of(key).port
        )
        return self.dirt.take_keys(islice(stolen, most))

    def _list_alone(self) -> Iterator[Key]:
        """The keys that are no part of a storm."""
        return (key for key in self.dirt.keys if scope_of(key.kind, key.slot) not in self.dirt.stormy)

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

    def note_effect(self, began: float, ended: float) -> None:
        """It was asked whether ours decides: rest in proportion to what that cost, if it was much."""
        cost = ended - began
        self.effect_rest_until = ended + SHARE * cost if cost > CHEAP else 0.0

    def retry_effect(self, dirt: Dirt, now: float) -> None:
        """It could not be asked: what others did meanwhile is kept for the next time."""
        self.dirt.take_rivals(dirt)
        if dirt.everything:
            self.dirt.rivals = self.dirt.rivals or Rivals()
            self.dirt.rivals.families.update(FAMILIES)
        self.effect_rest_until = now + RETRY
        self.timetable.cancel(Deadline.EFFECT)

    def note_pass(self, dirt: Dirt, began: float, ended: float) -> None:
        """A pass is over: rest in proportion to what it cost, and count the next resync from here."""
        if dirt.needs_dump:
            self.rest_until = ended + SHARE * (ended - began)
        if dirt.everything is not None or self.timetable.find(Deadline.RESYNC) is None:
            self.timetable.set(Deadline.RESYNC, ended + self.resync)
