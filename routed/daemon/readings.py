"""Readings: the files are read side by side with everything else, and which reading is the newer is always known.

Here lives the order of readings. Nothing is held up by one that hangs: others begin beside it. Here must never live
what a reading means, or whether it comes into force.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final, NamedTuple

from routed.daemon.reading import Reader, Reading
from routed.intent.problems import Problem
from routed.model.entries import Intent

MOST: Final = 3  # at once; who asks beyond that shares the next one
KEPT: Final = (
    5.0  # seconds that a process waits for the next reading: many come in bursts, and most of one is its start
)


class Numbered(NamedTuple):
    """A reading, and when it began in the order of all of them."""

    number: int
    reading: Reading
    basis: Intent  # that was in force when it began


class Readings:
    """Reads when asked, each time from the start: what was saved before the question is in the answer."""

    def __init__(self, read: Callable[[Reader, Intent], Reading], in_force: Callable[[], Intent]) -> None:
        """``read`` gets a reader and what ``in_force`` says."""
        self._read = read
        self._in_force = in_force
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._places = asyncio.Semaphore(MOST)
        self._next: asyncio.Task[Numbered] | None = None  # that has not begun
        self._running: set[asyncio.Task[Numbered]] = set()
        self._count = 0
        self._newest = 0  # number of the last that was taken
        self._is_stopped = False
        self._idle: list[Reader] = []
        self._timer: asyncio.TimerHandle | None = None

    async def read(self) -> Numbered:
        """A reading that begins now or later. Many that are asked for while none can begin are one."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._begin())
            self._running.add(self._next)
            self._next.add_done_callback(self._running.discard)
        return await asyncio.shield(self._next)  # who asked may go away; others wait for the same

    def take(self, found: Numbered) -> bool:
        """Is this reading to be followed? If not, somebody has to read again.

        It is not when one that began later was quicker; and not when it has, of files that are being written, what was
        in force and is so no more.
        """
        is_of_now = not found.reading.being_written or found.basis is self._in_force()
        if found.number < self._newest or not is_of_now:
            return False
        self._newest = found.number
        return True

    def stop(self) -> None:
        """End those that are under way, at once; who waits for one is cancelled."""
        self._is_stopped = True
        os.eventfd_write(self._stop, 1)
        self._close_idle()

    async def _begin(self) -> Numbered:
        async with self._places:
            self._next = None  # who asks from here on may have saved something later
            self._count += 1
            number, basis = self._count, self._in_force()
            reader = self._idle.pop() if self._idle else Reader(stop=self._stop)
            try:
                reading = await asyncio.to_thread(self._read, reader, basis)
            except RuntimeError as error:  # no thread can be had
                file = basis.sources[0].path if basis.sources else ""
                reading = Reading(None, (Problem(file, 0, 0, f"the files cannot be read: {error}"),))
            self._keep(reader)
            if self._is_stopped:
                raise asyncio.CancelledError
            return Numbered(number, reading, basis)

    def _keep(self, reader: Reader) -> None:
        self._idle.append(reader)
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(0 if self._is_stopped else KEPT, self._close_idle)

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()
