"""An errand of a pass: done once, by whoever comes first, while others are served."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from routed.core.dirt import Dirt
from routed.daemon.engine import Request
from routed.daemon.errand import Errand
from routed.model.change import Cause
from routed.model.reasons import Deed, Look
from tests.property.rig import route_key
from tests.unit.daemon.work import Work, open_loop

DIRT = Dirt(everything=Cause(None, Look.START))
KEY = route_key()
PATIENCE = 10.0  # seconds; only a failing test takes them


def test_an_errand_that_nobody_did_is_done_when_its_result_is_asked_for_and_only_once() -> None:
    done: list[int] = []
    errand = Errand(lambda: done.append(len(done)))
    assert done == []
    errand.result()
    errand.result()
    assert done == [0]


def test_what_went_wrong_in_an_errand_is_raised_where_its_result_is_asked_for() -> None:
    def fail() -> None:
        raise OSError(1, "not permitted")

    errand = Errand(fail)
    errand.do()
    with pytest.raises(OSError, match="not permitted"):
        errand.result()


class Slow:
    """An errand that lasts until it is told to end, as a request lasts while the kernel grows a table."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.begun = threading.Event()
        self.thread = 0
        self.errand = Errand(self._wait)

    def _wait(self) -> None:
        self.thread = threading.get_ident()
        self.begun.set()
        assert self.end.wait(PATIENCE)


def test_while_an_errand_is_out_the_loop_serves_others_and_touches_no_socket_of_the_pass(
    work: Work, events: tuple[int, int]
) -> None:
    slow = Slow()
    work.steps = [slow.errand]
    single = Dirt()
    single.add_keys(KEY.kind, KEY.slot, (KEY.member,), (), Cause(1, Deed.DELETED))
    work.arriving = [single]

    async def look() -> tuple[int, int]:
        loop, _ = open_loop(work, events[0])
        loop.start()
        running = asyncio.ensure_future(loop.run_pass(Request(DIRT)))
        await asyncio.to_thread(slow.begun.wait, PATIENCE)
        os.write(events[1], b"an event")
        await asyncio.wait_for(work.heard.wait(), PATIENCE)
        meanwhile = len(work.passes)
        os.read(events[0], 100)
        work.steps = []
        slow.end.set()
        await running
        return meanwhile, len(work.passes)

    assert asyncio.run(look()) == (1, 2)
    assert work.passes[1][0].keys == {KEY: ()}
    assert slow.thread not in {0, threading.get_ident()}


def test_who_no_longer_waits_for_a_pass_does_not_end_it(work: Work, events: tuple[int, int]) -> None:
    slow = Slow()
    work.steps = [slow.errand]

    async def look() -> tuple[bool, bool]:
        loop, _ = open_loop(work, events[0])
        request = Request(DIRT)
        running = asyncio.ensure_future(loop.run_pass(request))
        await asyncio.to_thread(slow.begun.wait, PATIENCE)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        before = loop.read_signs().is_at_work
        slow.end.set()
        await loop.stop()
        assert request.is_over
        return before, loop.read_signs().is_at_work

    assert asyncio.run(look()) == (True, False)
