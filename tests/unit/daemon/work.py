"""What stands for a reconciler where a test is about the engine or the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator, Sequence
from typing import Any, cast

from routed.core.dirt import Dirt
from routed.core.timetable import Deadline
from routed.daemon.engine import Engine
from routed.daemon.errand import Errand
from routed.daemon.host import Host
from routed.daemon.loop import Loop
from routed.daemon.reconcile import Proposal, Reconciler
from routed.daemon.report import Announced, News, PassStep, Report
from routed.daemon.wanted import Wanted
from routed.model.change import Plan
from routed.model.entries import Intent
from routed.model.objects import AddressMember
from routed.model.reasons import Look


class Work:
    """The little of a reconciler and its host that the engine needs; its passes are what a test says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.kernel = self
        self.host = Host(Wanted(Intent()))
        self.hears_echo = True
        self.schedule, self.timetable, self.holds = self.host.schedule, self.host.timetable, self.host.ledger.holds
        self.unread = self.host.world.unread
        self.timetable.set(Deadline.RESYNC, 160.0)
        self.errors: list[Exception] = []  # one for each pass to come, which ends by it
        self.deafness: Exception | None = None  # what listening fails by
        self.steps: Sequence[Errand[Any] | None] = [None]
        self.passes: list[tuple[Dirt, bool, bool]] = []  # (dirt, is_initial, is_forced)
        self.arriving: list[Dirt] = []  # what is heard at each listening to come
        self.heard = asyncio.Event()
        self.proposals: list[Intent] = []  # that were begun
        self.given_up = 0  # of them

    def clock(self) -> float:
        return self.now

    def poll(self) -> None:
        pass

    def announce(self) -> list[Announced]:
        return [Announced("vip/a", AddressMember(1, b"", 0), Look.START, is_first=True)]

    def listen(self) -> None:
        self.heard.set()
        if self.deafness:
            raise self.deafness
        if self.arriving:
            self.schedule.dirt.absorb(self.arriving.pop(0))

    def reconcile(self, dirt: Dirt, *, is_initial: bool = False, is_forced: bool = False) -> Iterator[PassStep]:
        self.passes.append((dirt, is_initial, is_forced))
        yield from self.steps
        if self.errors:
            raise self.errors.pop(0)
        self.schedule.note_pass(dirt, self.now, self.now)
        yield Report(dirt, self.now)

    def propose(self, intent: Intent, _assumed: object, _told: object) -> Generator[None, None, Proposal]:
        self.proposals.append(intent)
        try:
            yield from (None, None)
            if self.errors:
                raise self.errors.pop(0)
        except GeneratorExit:
            self.given_up += 1
            raise
        return Proposal(Plan(), Host(Wanted(intent)), self.now)


def open_engine(work: Work) -> Engine:
    return Engine(cast(Reconciler, work))


def open_loop(work: Work, fileno: int) -> tuple[Loop, list[Any]]:
    """A loop, and what it tells."""
    told: list[News] = []
    return Loop(open_engine(work), fileno, told.append), told
