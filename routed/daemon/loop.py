"""The loop: the engine's steps on asyncio, one after another, and never for long without a turn for others.

What is short (one deleted route) runs inside the reader callback itself, with no task and no await in its way. What
lasts goes on as a task that gives the loop its turn after each step. Its errands are done by a thread: a kernel that
grows a table may keep whoever asks it for a second, but not our clients.
"""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import Callable
from typing import Final

from routed.daemon.engine import FIRST_PAUSE, Engine, Inquiry, Request
from routed.daemon.errand import Errand
from routed.daemon.pulse import Signs
from routed.daemon.report import Aborted, Breath, News, Step

AT_ONCE: Final = 0.005  # seconds of steps before others get their turn


class Loop:
    """Drives one engine on the current asyncio loop. ``tell`` gets each step that has something to say."""

    def __init__(self, engine: Engine, events_fileno: int, tell: Callable[[News], None]) -> None:
        self._engine = engine
        self._clock = engine.reconciler.clock
        self._fileno = events_fileno
        self._tell_of = tell
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None  # the only one: at the next moment of the timetable
        engine.timetable.on_sooner = self._arm_sooner
        self._task: asyncio.Task[None] | None = None  # that goes on with what lasts
        self._poll = select.poll()
        self._poll.register(events_fileno, select.POLLIN)
        self._is_listening = False
        self._reads = 0

    def start(self) -> None:
        """Listen from now on."""
        self._is_listening = True
        self._listen()
        self.pump()

    async def stop(self) -> None:
        """Listen no more, and wait for the pass under way."""
        self._loop.remove_reader(self._fileno)
        self._is_listening = False
        self._engine.rest()
        if self._timer:
            self._timer.cancel()
        while self._task:
            await asyncio.wait([self._task])

    def read_signs(self) -> Signs:
        """What tells whether the work moves."""
        now, due = self._clock(), self._engine.find_due()
        is_busy = self._engine.is_busy
        return Signs(
            self._engine.steps,
            self._reads,
            is_at_work=is_busy or (self._is_listening and due is not None and due <= now),
            has_unread=self._is_listening and bool(self._poll.poll(0)),
            lasted=now - self._engine.began if is_busy else 0.0,
        )

    async def run_pass(self, request: Request) -> None:
        """Have a pass done, and wait until nothing is dirty or it failed."""
        over = asyncio.Event()
        request.on_over = over.set
        self._engine.ask(request)
        self.pump()
        await over.wait()

    async def make_plan(self, inquiry: Inquiry) -> None:
        """Have a plan made when nothing else is to be done, and wait for it, or for why there is none."""
        over = asyncio.Event()
        inquiry.on_over = over.set
        self._engine.inquire(inquiry)
        self.pump()
        await over.wait()

    def pump(self) -> None:
        """Do what is due, and set the timer for what will be."""
        if self._task:
            return
        began = self._loop.time()
        while (step := self._engine.advance()) is not None:
            self._tell(step)
            if isinstance(step, Errand) or self._loop.time() - began > AT_ONCE:
                self._task = self._loop.create_task(self._continue(step))
                return
        self._arm()

    def _on_events(self) -> None:
        for step in self._engine.hear():
            self._tell(step)
            if isinstance(step, Aborted):  # what could not be read still waits, and would call us again at once
                self._loop.remove_reader(self._fileno)
                self._loop.call_later(FIRST_PAUSE, self._listen)
                break
        else:
            self._reads += 1
        self.pump()

    def _listen(self) -> None:
        if self._is_listening:
            self._loop.add_reader(self._fileno, self._on_events)

    async def _continue(self, step: Step | None) -> None:
        try:
            while step is not None:
                await self._take_turns(step)
                step = self._engine.advance()
                if step is not None:
                    self._tell(step)
        finally:
            self._task = None
        self._arm()

    async def _take_turns(self, step: Step) -> None:
        """Let others have their turn between two steps; as long as an errand takes, if it is one."""
        if not isinstance(step, Errand) or step.is_done:
            await asyncio.sleep(0)
            return
        try:
            done = self._loop.run_in_executor(None, step.do)
        except RuntimeError:  # no thread can be had: it is done where its result is asked for
            await asyncio.sleep(0)
            return
        try:
            await asyncio.shield(done)
        finally:
            if not done.done():
                await asyncio.wait([done])  # this task was told to end, but not the thread that uses the sockets
        for heard in self._engine.hear():
            self._tell(heard)

    def _tell(self, step: Step) -> None:
        """Nobody who listens can keep the work from going on."""
        if isinstance(step, (Errand, Breath)):
            return
        try:
            self._tell_of(step)
        except Exception:
            logging.getLogger(__name__).exception("a defect in routed: nobody was told of %s", type(step).__name__)

    def _arm_sooner(self, moment: float) -> None:
        """Something is due that the timer was not set for. While the engine is at work the timer is set afterwards."""
        if self._is_listening and not self._task and (self._timer is None or moment < self._timer.when()):
            self._arm()

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        due = self._engine.find_due()
        if due is not None and self._is_listening:
            self._timer = self._loop.call_later(max(0.0, due - self._clock()), self.pump)
