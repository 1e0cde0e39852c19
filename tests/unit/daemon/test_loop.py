"""The loop: whatever is due, others get their turn, and nobody who listens can stop the work."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import pytest

from routed.core.dirt import Dirt
from routed.core.timetable import Deadline
from routed.daemon.engine import Request
from routed.daemon.loop import Loop
from routed.daemon.report import Aborted, Due, News, PassStep, Report
from routed.model.change import Cause
from routed.model.reasons import Deed, Look
from tests.property.rig import route_key
from tests.unit.daemon.work import Work, open_engine, open_loop

KEY = route_key()
COST = 0.002  # seconds of each pass; a share of what the loop does at once


class Costly(Work):
    """Passes that make the next one due, and take a while each."""

    def reconcile(self, dirt: Dirt, *, is_initial: bool = False, is_forced: bool = False) -> Iterator[PassStep]:
        time.sleep(COST)
        self.steps = []
        yield from super().reconcile(dirt, is_initial=is_initial, is_forced=is_forced)


def single() -> Dirt:
    dirt = Dirt()
    dirt.add_keys(KEY.kind, KEY.slot, (KEY.member,), (), Cause(1, Deed.DELETED))
    return dirt


def test_passes_that_go_on_making_each_other_due_leave_others_their_turn(events: tuple[int, int]) -> None:
    work = Costly()
    work.arriving = [single() for _ in range(100)]
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def look() -> None:
        loop, _ = open_loop(work, events[0])
        others = asyncio.ensure_future(take_turns())
        await loop.run_pass(Request(Dirt(everything=Cause(None, Look.START))))
        while work.arriving:
            loop.pump()
            await asyncio.sleep(0)
        others.cancel()

    asyncio.run(look())
    assert len(work.passes) > 100
    assert turns > 50


def test_who_cannot_tell_what_was_done_keeps_nothing_from_being_done(work: Work, events: tuple[int, int]) -> None:
    def tell(_news: News) -> None:
        raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")

    async def look() -> list[Report]:
        loop = Loop(open_engine(work), events[0], tell)
        request = Request(Dirt(everything=Cause(None, Look.START)))
        await loop.run_pass(request)
        return request.reports

    assert len(asyncio.run(look())) == 1


def test_events_that_cannot_be_read_are_tried_again_later_and_not_at_once_for_ever(
    work: Work, events: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routed.daemon.loop.FIRST_PAUSE", 0.05)
    work.deafness = OSError(12, "Cannot allocate memory")

    async def look() -> tuple[News, bool, News]:
        told: asyncio.Queue[News] = asyncio.Queue()
        loop = Loop(open_engine(work), events[0], told.put_nowait)
        loop.start()
        os.write(events[1], b"an event")
        first = await told.get()
        for _ in range(100):
            await asyncio.sleep(0)
        return first, told.empty(), await told.get()

    first, is_quiet, second = asyncio.run(look())
    assert (type(first), is_quiet, type(second)) == (Aborted, True, Aborted)


def test_what_somebody_brings_forward_wakes_a_loop_that_sleeps(work: Work, events: tuple[int, int]) -> None:
    async def look() -> News:
        told: asyncio.Queue[News] = asyncio.Queue()
        loop = Loop(open_engine(work), events[0], told.put_nowait)
        loop.start()
        work.timetable.bring_forward(Deadline.STATUS, work.now)
        return await asyncio.wait_for(told.get(), timeout=20.0)

    assert asyncio.run(look()) == Due(Deadline.STATUS)


def test_after_a_stop_what_is_due_stays_undone_and_what_is_asked_for_is_done(
    work: Work, events: tuple[int, int]
) -> None:
    async def look() -> None:
        loop, _ = open_loop(work, events[0])
        loop.start()
        await loop.stop()
        work.now = 1000.0
        loop.pump()
        assert work.passes == []
        await loop.run_pass(Request(Dirt(everything=Cause(None, Look.STOP))))

    asyncio.run(look())
    assert len(work.passes) == 1
