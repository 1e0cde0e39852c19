"""The watchdog is fed while the work moves, and only then."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from routed.core.dirt import Dirt
from routed.daemon import pulse, systemd
from routed.daemon.engine import Request
from routed.daemon.errand import Errand
from routed.daemon.pulse import LONGEST, Signs, find_standstill
from routed.model.change import Cause
from routed.model.reasons import Look
from tests.unit.daemon.work import Work, open_loop

IDLE = Signs(steps=7, reads=3, is_at_work=False, has_unread=False)
BUSY = IDLE._replace(is_at_work=True)
UNREAD = IDLE._replace(has_unread=True)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (IDLE, IDLE),
        (IDLE, BUSY),  # it has just begun
        (BUSY, IDLE),
        (BUSY, BUSY._replace(steps=8)),  # a long pass over a million routes
        (BUSY, BUSY._replace(steps=8, lasted=LONGEST)),
        (IDLE, UNREAD),  # they have just come
        (UNREAD, IDLE),
        (UNREAD, UNREAD._replace(reads=4)),  # a storm
    ],
)
def test_the_work_moves(before: Signs, now: Signs) -> None:
    assert find_standstill(before, now) == ""


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        (BUSY, BUSY, "a pass is due or under way and makes no step"),
        (UNREAD, UNREAD, "events of the kernel wait and nobody reads them"),
        (UNREAD, UNREAD._replace(steps=8, is_at_work=True), "events of the kernel wait and nobody reads them"),
        (BUSY, BUSY._replace(steps=8, lasted=LONGEST + 1), "a pass does not end; it began 601 s ago"),
    ],
)
def test_the_work_stands_still(before: Signs, now: Signs, why: str) -> None:
    assert find_standstill(before, now) == why


def test_the_watchdog_hears_nothing_while_the_work_stands_still_and_the_status_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    looks = iter([BUSY, BUSY._replace(steps=8), BUSY._replace(steps=8), BUSY._replace(steps=9)])
    monkeypatch.setattr(systemd, "watchdog_interval", lambda: 0.0)
    monkeypatch.setattr(systemd, "notify_watchdog", lambda: told.append("alive"))
    monkeypatch.setattr(systemd, "notify_status", told.append)
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(pulse.beat(lambda: next(looks)))
    still = "no sign of life for the watchdog: a pass is due or under way and makes no step"
    assert told == ["alive", "alive", still, "alive"]


def test_nobody_is_fed_where_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    asyncio.run(pulse.beat(lambda: pytest.fail("there is no watchdog")))


# --- what the loop shows ----------------------------------------------------------------------------------------------


def test_an_idle_loop_has_nothing_to_do_and_nothing_to_read(work: Work, events: tuple[int, int]) -> None:
    async def look() -> Signs:
        loop, _ = open_loop(work, events[0])
        loop.start()
        return loop.read_signs()

    assert asyncio.run(look()) == Signs(steps=0, reads=0, is_at_work=False, has_unread=False)


def test_each_step_of_a_pass_is_counted(work: Work, events: tuple[int, int]) -> None:
    end = threading.Event()
    work.steps = [None, Errand(lambda: end.wait(10.0))]

    async def look() -> tuple[Signs, Signs]:
        loop, _ = open_loop(work, events[0])
        running = asyncio.ensure_future(loop.run_pass(Request(Dirt(everything=Cause(None, Look.START)))))
        await asyncio.sleep(0)
        work.now += 5
        during = loop.read_signs()
        end.set()
        await running
        return during, loop.read_signs()

    during, after = asyncio.run(look())
    assert during == Signs(steps=2, reads=0, is_at_work=True, has_unread=False, lasted=5.0)
    assert after == Signs(steps=3, reads=0, is_at_work=False, has_unread=False)


def test_events_that_nobody_reads_are_seen(work: Work, events: tuple[int, int]) -> None:
    async def look() -> tuple[Signs, Signs]:
        loop, _ = open_loop(work, events[0])
        loop.start()
        work.deafness = OSError(12, "out of memory")
        os.write(events[1], b"an event")
        first = loop.read_signs()
        await asyncio.sleep(0.01)
        return first, loop.read_signs()

    assert find_standstill(*asyncio.run(look())) == "events of the kernel wait and nobody reads them"


def test_a_pass_that_is_due_and_that_nobody_runs_is_seen(work: Work, events: tuple[int, int]) -> None:
    async def look() -> Signs:
        loop, _ = open_loop(work, events[0])
        loop.start()
        work.now = 161.0
        return loop.read_signs()

    assert asyncio.run(look()).is_at_work
