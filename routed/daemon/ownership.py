"""Ownership over time: which protocol numbers mark what is ours, with the locks that make that true.

Each number of the file is wholly ours, that of ``protocol`` and those of ``protocols``, and has a lock of its own.

A change of them does not make anybody's what a former number marks. It stays ours until a pass found nothing
of it, whatever happens in between: the number is on disk before the first change under the next one, and its lock
stays held. A former number that another routed holds by now is not ours any more.

Here must never live: how a lock or the file works, or when nothing of a number is left (``aftermath``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from routed.daemon.lock import AlreadyRunningError, Lock, acquire, wait_for
from routed.daemon.marks import MarksFile
from routed.model.owner import Marks


class Ownership:
    """The numbers that are ours in this network namespace, until it is closed."""

    def __init__(
        self,
        protocol: int,
        state_dir: Path,
        runtime_dir: Path,
        *,
        further: frozenset[int] = frozenset(),
        patience: float = 0.0,
    ) -> None:
        """Take the locks. Those of ``protocol`` and of the ``further`` numbers may take ``patience`` seconds together.

        Raises AlreadyRunningError when another routed has one of them, and OSError.
        """
        self._runtime_dir = runtime_dir
        self._locks: dict[int, Lock] = {}
        self.state_dir = state_dir
        self._file = MarksFile(state_dir)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.kept = self._file.load()
        self.rivals: list[AlreadyRunningError] = []  # who holds former numbers, which are not ours any more
        self.marks = Marks(protocol).move_to(protocol, further)
        end = time.monotonic() + patience
        try:
            for number in sorted(self.marks.present):  # in one order, so that of two that want the same ones one starts
                self._locks[number] = wait_for(number, runtime_dir, max(0.0, end - time.monotonic()))
            self._take_former(self.kept.numbers if self.kept else ())
        except BaseException:
            self.close()
            raise

    def assume(self, former: Collection[int]) -> None:
        """Former numbers by another's word, for where no file tells. Raises OSError."""
        if self.kept is None:
            self._take_former(former)

    def answer_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer on this loop who asks for the locks, those to come as well."""
        self._loop = loop
        for lock in self._locks.values():
            lock.answer_on(loop)

    async def move_to(self, protocol: int, further: frozenset[int] = frozenset()) -> None:
        """These numbers from now on; those of before that are not among them are former ones.

        Raises AlreadyRunningError when another routed has one, and OSError. Then nothing has changed.
        """
        marks = self.marks.move_to(protocol, further)
        with ExitStack() as stack:
            taken: dict[int, Lock] = {}
            for number in sorted(marks.present - self._locks.keys()):
                # in a thread: it may have to ask for a moment
                taken[number] = await asyncio.to_thread(acquire, number, self._runtime_dir)
                stack.callback(taken[number].close)
            stack.pop_all()
        for number, lock in taken.items():
            self._add(number, lock)
        self.marks = marks

    def forget(self, ours: Collection[int]) -> None:
        """Only ``ours`` of the former numbers still mark something. The locks of the others are given back."""
        self.marks = self.marks._replace(former=self.marks.former.intersection(ours))
        for number in self._locks.keys() - self.marks.numbers:
            self._locks.pop(number).close()

    def keep(self) -> None:
        """Have the numbers on disk, if they are not. Raises StateError."""
        if self.marks != self.kept:
            self._file.save(self.marks)
            self.kept = self.marks

    def close(self) -> None:
        """Give all locks back."""
        with ExitStack() as stack:
            for lock in self._locks.values():
                stack.callback(lock.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take_former(self, numbers: Collection[int]) -> None:
        for number in sorted(numbers):
            if number in self._locks:
                continue
            try:
                self._add(number, acquire(number, self._runtime_dir))
            except AlreadyRunningError as error:
                self.rivals.append(error)
            else:
                self.marks = self.marks._replace(former=self.marks.former | {number})

    def _add(self, number: int, lock: Lock) -> None:
        self._locks[number] = lock
        if self._loop:
            lock.answer_on(self._loop)
