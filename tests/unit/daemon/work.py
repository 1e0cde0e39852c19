"""What stands for a reconciler where a test is about the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

from routed.core.schedule import Dirt, Schedule
from routed.daemon.errand import Errand
from routed.daemon.loop import Loop
from routed.daemon.reconcile import Reconciler
from routed.daemon.report import Report, Step


class Work:
    """The little of a reconciler and its host that the loop needs; its passes are what a test says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.host = self
        self.holds = self
        self.announcements = self
        self.bursts: dict[str, str] = {}
        self.held: dict[str, str] = {}
        self.schedule = Schedule(next_resync=160.0)
        self.fails = False
        self.steps: list[Errand[None] | None] = [None]
        self.stepped_in = 0
        self.heard = asyncio.Event()

    def clock(self) -> float:
        return self.now

    def find_next(self, *_: object) -> None:
        return None

    def listen(self) -> None:
        self.heard.set()
        if self.fails:
            raise ValueError("a bug")

    def step_in(self) -> Iterator[Report]:
        self.stepped_in += 1
        return iter(())

    def settle(self, dirt: Dirt, **_: bool) -> Iterator[Step]:
        yield from self.steps
        if self.fails:
            raise ValueError("a bug")
        self.schedule.note_pass(dirt, self.now, self.now)


def open_loop(work: Work, fileno: int) -> Loop:
    errors: list[Any] = []
    return Loop(cast(Reconciler, work), fileno, *[errors.append] * 4)
