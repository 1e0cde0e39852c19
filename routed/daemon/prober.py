"""The prober: asks the questions of the checks that entries require, and delivers what the answers come to.

One moment of the timetable stands for all of them; a task lives as long as one question. Each goes by a lane, which has
a bound; what has to wait for that is asked later, and never counted as an answer. Imported only where files in force
have checks. How a question is asked stands in ``probes``, what answers come to in ``core.health``.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from routed.core.health import Health, find_impossible, find_pause, judge, note
from routed.core.holds import Hold
from routed.core.paths import find_source
from routed.core.references import find_link, find_link_towards
from routed.daemon.lane import Item, Lane
from routed.model.checks import HANDED_OVER, Check, CheckType, Ruling, Target, key_of
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey, Facts, Freshness
from routed.model.net import format_address
from routed.model.reasons import Finding, Paused, Probed
from routed.probes.ask import Answered, ask
from routed.probes.sockets import Path

if TYPE_CHECKING:  # only checks that run commands pay for it
    from routed.daemon.helpers import Lease

# Does a question run a command? → how many are on the way at once, and begin in a second.
LANES: Final = {False: (64, 500.0), True: (16, 20.0)}
FIRST: Final = 1.0  # seconds within which every check is asked first
JITTER: Final = 0.02  # of a pause, so that checks do not march in step


@dataclass(slots=True)
class Probing:
    """One check that is asked, and what is known of its targets."""

    check: Check
    healths: dict[Target, Health] = field(default_factory=dict)
    seconds: dict[Target, float] = field(default_factory=dict)  # that the last answer took
    ruling: Ruling | None = None
    failure: Probed | None = None  # why it cannot be made here
    failed_at: float = 0.0  # of the clock: since when
    freshness: Freshness = Freshness.LOADING
    lateness: float = 0.0  # seconds after its moment that the last question was asked

    @property
    def is_known(self) -> bool:
        """Is there anything to tell whoever requires it?"""
        return self.ruling is not None or self.failure is not None

    def make_fact(self) -> Fact:
        """What is known of it, for whoever requires it."""
        return Fact(self.ruling or self.failure, self.freshness)

    def find_health(self, target: Target) -> Health:
        """What is known of a target."""
        return self.healths.get(target, Health())


class Prober:
    """Asks for one daemon. Made inside its asyncio loop."""

    def __init__(
        self,
        find_facts: Callable[[], Facts],
        deliver: Callable[[Mapping[FactKey, Fact]], None],
        tell: Callable[[Check, Ruling | Probed], None],
        remind: Callable[[float | None], None],
        find_pause: Callable[[Check], Hold | None],
        clock: Callable[[], float],
        kept: Mapping[str, Mapping[Target, Health]],
        lease_helpers: Callable[[], Lease] | None = None,
    ) -> None:
        """``remind`` is told when ``advance`` is to be called next. ``kept`` is what was known before the start."""
        self.probings: dict[str, Probing] = {}
        self._find_facts = find_facts
        self._deliver = deliver
        self._tell = tell
        self._remind = remind
        self._find_pause = find_pause
        self._clock = clock
        self._kept = dict(kept)
        self._lease_helpers = lease_helpers
        self._helpers: Lease | None = None  # since the first need
        self._lanes = {kind: Lane(*bounds) for kind, bounds in LANES.items()}
        self._queue: list[Item] = []
        self._tasks: dict[tuple[str, Target], asyncio.Task[None]] = {}

    def follow(self, intent: Intent) -> None:
        """Ask what these files require from now on, and nothing else. A check that is as before goes on."""
        used = {name for entry in intent.entries for name in entry.asked}
        checks = {check.name: check for check in intent.checks if check.name in used}
        for name in [name for name, probing in self.probings.items() if not _is_same(probing.check, checks.get(name))]:
            del self.probings[name]
            for key in [key for key in self._tasks if key[0] == name]:
                self._tasks.pop(key).cancel()
        self._queue = [item for item in self._queue if item[1] in self.probings]
        heapq.heapify(self._queue)
        for lane in self._lanes.values():
            lane.keep(self.probings)
        if self._helpers and not any(one.check.type is CheckType.EXEC for one in self.probings.values()):
            self._helpers.close()
            self._helpers = None
        for name, check in checks.items():
            if name in self.probings:
                self.probings[name].check = check  # it may stand on another line
            else:
                self._begin(check)
        # files that never came to a pass of their own may have had what is known forgotten
        self._deliver({key_of(name): one.make_fact() for name, one in self.probings.items() if one.is_known})
        self._arm()

    def advance(self) -> None:
        """Ask whatever is due."""
        now, running = self._clock(), self._count_running()
        for kind, lane in self._lanes.items():
            while (item := lane.take(now, running[kind])) is not None:
                self._put(item, now)
                running[kind] += 1
        while self._queue and self._queue[0][0] <= now:
            item = heapq.heappop(self._queue)
            kind = _find_lane(self.probings[item[1]].check)
            if self._lanes[kind].admit(item, now, running[kind]):
                self._put(item, now)
                running[kind] += 1
        self._arm()

    def _put(self, item: Item, now: float) -> None:
        due, name, target = item
        self.probings[name].lateness = now - due
        task = asyncio.get_running_loop().create_task(self._ask(self.probings[name], target))
        self._tasks[name, target] = task

    def _count_running(self) -> Counter[bool]:
        """By lane."""
        return Counter(_find_lane(self.probings[name].check) for name, _ in self._tasks)

    async def stop(self) -> None:
        """Ask nothing more."""
        self._queue.clear()
        for lane in self._lanes.values():
            lane.keep(())
        self._remind(None)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        if self._helpers:
            self._helpers.close()

    def list_healths(self) -> dict[str, dict[Target, Health]]:
        """What is known of every target, for the next start."""
        return {name: dict(probing.healths) for name, probing in self.probings.items()}

    def _begin(self, check: Check) -> None:
        """What was known before the start holds until something else is."""
        kept, now = self._kept.pop(check.name, {}), self._clock()
        probing = Probing(check, {target: kept[target] for target in check.targets if target in kept})
        self.probings[check.name] = probing
        self._judge(probing, Freshness.CACHED)
        for target in check.targets:
            heapq.heappush(self._queue, (now + random.uniform(0, min(FIRST, check.every)), check.name, target))  # noqa: S311  no secret

    async def _ask(self, probing: Probing, target: Target) -> None:
        path = self._find_path(probing.check)
        told = await ask(probing.check, target, path) if isinstance(path, Path) else Answered(path, 0.0)
        self._tasks.pop((probing.check.name, target), None)
        if self.probings.get(probing.check.name) is not probing:
            return
        now = self._clock()
        health = note(probing.find_health(target), told.probed, probing.check, now, told.seconds)
        probing.healths[target] = health
        probing.seconds[target] = told.seconds
        pause = find_pause(health, probing.check, now) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  no secret
        heapq.heappush(self._queue, (now + pause, probing.check.name, target))
        try:
            self._judge(probing, Freshness.LIVE)
        finally:  # whatever becomes of the news, all checks are asked on
            if any(lane.is_waiting for lane in self._lanes.values()):
                self.advance()
            else:
                self._arm()

    def _find_path(self, check: Check) -> Path | Probed:
        if check.type is not CheckType.EXEC or self._lease_helpers is None:
            return find_path(check, self._find_facts())
        try:
            self._helpers = self._helpers or self._lease_helpers()
            return self._helpers.find_path(check.user)
        except OSError as error:  # of this host, and the next question may find it better
            return Probed(check.type, Finding.LOCAL, error.strerror or str(error))

    def judge_again(self) -> None:
        """The operator paused a check, said what it is, or let it go again."""
        for probing in self.probings.values():
            self._judge(probing, probing.freshness)

    def _judge(self, probing: Probing, freshness: Freshness) -> None:
        """Deliver what the answers come to now, or what the operator says, where it is news."""
        before, found = probing.ruling, judge(probing.check, probing.healths)
        pause = self._find_pause(probing.check)
        self._note_failure(probing, find_impossible(probing.check, probing.healths, probing.failure), found)
        if pause is not None:
            found = _find_said(pause, before)
            freshness = Freshness.LOADING if found is None else Freshness.LIVE  # nobody said what it counts as
        elif found is None and before is not None and isinstance(before.why, Paused):
            freshness = Freshness.LOADING  # what the operator said is over, and nothing else was ever known
        elif found is None:
            return
        has_turned = found is not None and (before is None or before.turn != found.turn)
        if found is not None and pause is None:
            since = self._clock() if before is None or has_turned else before.since
            if freshness is Freshness.CACHED:
                since = max(one.since for one in probing.healths.values())
            found = found._replace(since=since)
        if found == before and freshness is probing.freshness:
            return
        probing.ruling, probing.freshness = found, freshness
        if found is not None and has_turned and freshness is Freshness.LIVE:
            self._tell(probing.check, found)
        self._deliver({key_of(probing.check.name): probing.make_fact()})

    def _note_failure(self, probing: Probing, failure: Probed | None, found: Ruling | None) -> None:
        """It cannot be made here, or it can again: told, and whoever waits for it is told why. Else nothing changes."""
        before, probing.failure = probing.failure, failure
        if failure == before:
            return
        if before is None:
            probing.failed_at = self._clock()
        if failure is not None:
            self._tell(probing.check, failure)
        elif probing.ruling is not None and found is not None and found.is_up is probing.ruling.is_up:
            self._tell(probing.check, probing.ruling)  # else it is told as a turn
        self._deliver({key_of(probing.check.name): probing.make_fact()})

    def _arm(self) -> None:
        moments = [item[0] for item in self._queue[:1]]
        if any(lane.is_waiting for lane in self._lanes.values()):
            running = self._count_running()  # where too many are on the way, whoever comes back first asks on
            due = (lane.find_due(running[kind]) for kind, lane in self._lanes.items())
            moments += [moment for moment in due if moment is not None]
        self._remind(min(moments, default=None))


def _find_lane(check: Check) -> bool:
    return check.type is CheckType.EXEC


def _find_said(pause: Hold, before: Ruling | None) -> Ruling | None:
    """What a check counts as while it is paused: what the operator says, else what it was."""
    assert isinstance(pause.reason, Paused)
    said = pause.reason.ruling
    return before if said is None else Ruling(said, pause.reason, pause.since)


def find_path(check: Check, facts: Facts) -> Path | Probed:
    """The way that a question takes, or what kept it from being asked."""
    gateway = check.via if check.type in HANDED_OVER else b""
    if not (check.dev or gateway):
        return Path(source=check.src, mark=check.mark)
    link = find_link(check.dev, facts).link if check.dev else find_link_towards(gateway, facts)
    if link is None and not check.dev:
        return Probed(check.type, Finding.LOCAL, f"gateway {format_address(gateway)} is on no network of this host")
    if link is None:
        return Probed(check.type, Finding.NO_LINK, check.dev)
    if not (link.is_up and link.has_carrier):
        return Probed(check.type, Finding.NO_CARRIER, link.name)
    if not gateway:
        return Path(link.name, link.ifindex, check.src, check.mark)
    source = find_source(gateway, link, facts, check.src)
    if not source:
        lack = (
            f"{format_address(check.src)} is not on this host"
            if check.src
            else f"no address to ask from by link {link.name}"
        )
        return Probed(check.type, Finding.LOCAL, lack)
    return Path(link.name, link.ifindex, source, gateway=gateway)


def _is_same(old: Check, new: Check | None) -> bool:
    return new is not None and replace(old, origin=new.origin) == new
