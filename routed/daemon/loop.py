"""The loop: passes run when they are due, one at a time, and never for long without a breath.

A short pass (one deleted route) runs inside the reader callback itself, with no task and no await in its way; a long
one goes on as a task that gives the loop its turn between two steps, where single objects are repaired meanwhile. Its
errands are done by a thread: a kernel that grows a table may keep whoever asks it for a second, but not our clients.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Iterator
from typing import Any, Final

from routed.core.schedule import Dirt
from routed.daemon.errand import Errand
from routed.daemon.pulse import Signs
from routed.daemon.reconcile import Reconciler
from routed.daemon.report import Announced, Report, Step
from routed.model.change import Cause

AT_ONCE: Final = 0.005  # seconds of a pass before others get their turn
PAUSE: Final = 1.0  # seconds until the next try when netlink itself failed


class Loop:
    """Runs the passes of one reconciler on the current asyncio loop."""

    def __init__(
        self,
        reconciler: Reconciler,
        events_fileno: int,
        on_report: Callable[[Report], None],
        on_error: Callable[[OSError], None],
        on_pause_ended: Callable[[str], None],
        on_announced: Callable[[list[Announced]], None],
    ) -> None:
        self._reconciler = reconciler
        self._fileno = events_fileno
        self._on_report = on_report
        self._on_error = on_error
        self._on_pause_ended = on_pause_ended
        self._on_announced = on_announced
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._free = asyncio.Event()
        self._free.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._poll = select.poll()
        self._is_listening = False
        self._is_out = False  # is an errand of the pass under way? The sockets are its own then
        self._reads = 0
        self._steps = 0
        self._began = 0.0

    def start(self) -> None:
        """Listen from now on."""
        self._loop.add_reader(self._fileno, self._on_events)
        self._poll.register(self._fileno, select.POLLIN)
        self._is_listening = True
        self.pump()

    async def stop(self) -> None:
        """Listen no more, and wait for the pass under way."""
        self._loop.remove_reader(self._fileno)
        self._is_listening = False
        if self._timer:
            self._timer.cancel()
        await self._free.wait()

    def read_signs(self) -> Signs:
        """What tells whether the work moves."""
        now = self._reconciler.clock()
        is_busy = not self._free.is_set()
        due = self._reconciler.host.schedule.find_due(now)
        return Signs(
            self._steps,
            self._reads,
            is_at_work=is_busy or (self._is_listening and due is not None and due <= now),
            has_unread=self._is_listening and bool(self._poll.poll(0)),
            lasted=now - self._began if is_busy else 0.0,
        )

    async def run_pass(
        self, dirt: Dirt, prepare: Callable[[], None], *, is_initial: bool = False, is_forced: bool = False
    ) -> list[Report]:
        """Run passes until nothing is dirty, after the one under way. Raises OSError.

        ``prepare`` is called in between: what is wanted must not become something else in the middle of a pass.
        """
        while not self._free.is_set():
            await self._free.wait()
        self._free.clear()
        reports: list[Report] = []
        try:
            prepare()
            for step in self._settle(dirt, is_initial=is_initial, is_forced=is_forced):
                if isinstance(step, Report):
                    self._on_report(step)
                    reports.append(step)
                else:
                    await self._take_turns(step)
        finally:
            self._free.set()
            self.pump()
        return reports

    def pump(self) -> None:
        """Run what is due, and set the timer for what will be."""
        host, clock = self._reconciler.host, self._reconciler.clock
        while self._free.is_set():
            now = clock()
            if host.holds.held:
                for subject in host.holds.find_ended_pauses(now):
                    self._on_pause_ended(str(subject))
                host.make_dirty(host.schedule.dirt, host.holds.take_ended(now), Cause(None, "tried again"))
            if host.announcements.bursts and (announced := self._reconciler.announce()):
                self._on_announced(announced)
            due = host.schedule.find_due(now)
            if due is None or due > now:
                moments = (due, host.holds.find_next(now), host.announcements.find_next())
                self._arm([moment for moment in moments if moment is not None], now)
                return
            self._free.clear()
            self._run(self._settle(host.schedule.take(now)))

    def _on_events(self) -> None:
        self._reconciler.listen()
        self._reads += 1
        if self._free.is_set():
            self.pump()
        elif not self._is_out:
            self._step_in()

    def _step_in(self) -> None:
        """A pass is under way, and stands between two of its steps: single objects need not wait for its end."""
        try:
            for report in self._reconciler.step_in():
                self._on_report(report)
        except OSError as error:
            self._recover(error)

    def _settle(self, dirt: Dirt, *, is_initial: bool = False, is_forced: bool = False) -> Iterator[Step]:
        """The passes of the reconciler, with their steps counted."""
        self._began = self._reconciler.clock()
        for step in self._reconciler.settle(dirt, is_initial=is_initial, is_forced=is_forced):
            self._steps += 1
            yield step

    def _run(self, steps: Iterator[Step]) -> None:
        """Run a pass here and now as far as it is short, the rest as a task."""
        try:
            began = self._loop.time()
            for step in steps:
                if isinstance(step, Report):
                    self._on_report(step)
                elif self._loop.time() - began > AT_ONCE:
                    task = self._loop.create_task(self._continue(steps))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                    return
        except OSError as error:
            self._recover(error)
        self._free.set()

    async def _continue(self, steps: Iterator[Step]) -> None:
        try:
            for step in steps:
                if isinstance(step, Report):
                    self._on_report(step)
                else:
                    await self._take_turns(step)
        except OSError as error:
            self._recover(error)
        finally:
            self._free.set()
            self.pump()

    async def _take_turns(self, errand: Errand[Any] | None) -> None:
        """Let others have their turn between two steps; as long as an errand takes, if there is one."""
        if errand is None:
            await asyncio.sleep(0)
            return
        self._is_out = True
        done = self._loop.run_in_executor(None, errand.do)
        try:
            await asyncio.shield(done)
        finally:
            if not done.done():
                await asyncio.wait([done])  # this task was told to end, but not the thread that uses the sockets
            self._is_out = False
        self._step_in()

    def _recover(self, error: OSError) -> None:
        """Netlink itself failed: say so, and look at everything again in a moment."""
        self._on_error(error)
        schedule = self._reconciler.host.schedule
        schedule.dirt.everything = Cause(None, "netlink failed")
        schedule.rest_until = self._reconciler.clock() + PAUSE

    def _arm(self, moments: list[float], now: float) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if moments:
            self._timer = self._loop.call_later(max(0.0, min(moments) - now), self.pump)
