"""Lanes of questions: so many at once, and so many a second. Whoever has to wait is asked later.

A question costs this host something, a command a whole process, so a hundred of them must neither begin together nor
keep all others waiting. What waits here is late, and no answer. Here must never live what a question is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container

from routed.model.checks import Target

Item = tuple[float, str, Target]  # when it was due, of which check


class Lane:
    """Who waits, and when the next may begin. How many are on the way says whoever asks."""

    def __init__(self, at_once: int, a_second: float) -> None:
        self._at_once = at_once
        self._pause = 1.0 / a_second  # seconds between two that begin
        self._waiting: deque[Item] = deque()
        self._opens = 0.0

    @property
    def is_waiting(self) -> bool:
        """Does anybody wait?"""
        return bool(self._waiting)

    def admit(self, item: Item, now: float, running: int) -> bool:
        """May it begin now? Else it waits behind those that came before."""
        if self._waiting or running >= self._at_once or now < self._opens:
            self._waiting.append(item)
            return False
        self._opens = now + self._pause
        return True

    def take(self, now: float, running: int) -> Item | None:
        """Whoever has waited longest, if it may begin now."""
        if not self._waiting or running >= self._at_once or now < self._opens:
            return None
        self._opens = now + self._pause
        return self._waiting.popleft()

    def find_due(self, running: int) -> float | None:
        """When the next may begin; None where nobody waits, or somebody has to end first."""
        return self._opens if self._waiting and running < self._at_once else None

    def keep(self, names: Container[str]) -> None:
        """Only these checks are asked on."""
        self._waiting = deque(item for item in self._waiting if item[1] in names)
