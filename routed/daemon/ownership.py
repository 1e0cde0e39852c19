"""Ownership over time: which protocol numbers mark what is ours, with the locks that make that true.

A change of ``protocol`` does not make anybody's what the former number marks. It stays ours until a pass found nothing
of it, whatever happens in between: the number is on disk before the first change under the next one, and its lock
stays held. A former number that another routed holds by now is not ours any more.

Here must never live: how a lock or the file works, or when nothing of a number is left (``aftermath``).
"""

from __future__ import annotations

import asyncio
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

    def __init__(self, protocol: int, state_dir: Path, runtime_dir: Path, *, patience: float = 0.0) -> None:
        """Take the locks. That of ``protocol`` may take ``patience`` seconds.

        Raises AlreadyRunningError when another routed has it, and OSError.
        """
        self._runtime_dir = runtime_dir
        self._locks = {protocol: wait_for(protocol, runtime_dir, patience)}
        self.state_dir = state_dir
        self._file = MarksFile(state_dir)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.kept = self._file.load()
        self.rivals: list[AlreadyRunningError] = []  # who holds former numbers, which are not ours any more
        self.marks = Marks(protocol)
        try:
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

    async def move_to(self, protocol: int) -> None:
        """Another number from now on; the present one is a former one.

        Raises AlreadyRunningError when another routed has it, and OSError. Then nothing has changed.
        """
        if protocol not in self._locks:  # taken in a thread: it may have to ask for a moment
            self._add(protocol, await asyncio.to_thread(acquire, protocol, self._runtime_dir))
        self.marks = self.marks.move_to(protocol)

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
