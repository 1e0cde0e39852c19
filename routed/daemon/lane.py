"""The lane of questions that run commands: few at once, and few a second. Whoever has to wait is asked later.

Each costs this host a process, so a hundred of them must neither begin together nor keep all others waiting. What waits
here is late, and no answer. Here must never live what a question is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from typing import Final

from routed.model.checks import Target

AT_ONCE: Final = 16  # commands that run
PAUSE: Final = 0.05  # seconds between two that begin: 20 a second

Item = tuple[float, str, Target]  # when it was due, of which check


class Lane:
    """Who waits, and when the next may begin. How many are on the way says whoever asks."""

    def __init__(self) -> None:
        self._waiting: deque[Item] = deque()
        self._opens = 0.0

    @property
    def is_waiting(self) -> bool:
        """Does anybody wait?"""
        return bool(self._waiting)

    def admit(self, item: Item, now: float, running: int) -> bool:
        """May it begin now? Else it waits behind those that came before."""
        if self._waiting or running >= AT_ONCE or now < self._opens:
            self._waiting.append(item)
            return False
        self._opens = now + PAUSE
        return True

    def take(self, now: float, running: int) -> Item | None:
        """Whoever has waited longest, if it may begin now."""
        if not self._waiting or running >= AT_ONCE or now < self._opens:
            return None
        self._opens = now + PAUSE
        return self._waiting.popleft()

    def find_due(self, running: int) -> float | None:
        """When the next may begin; None where nobody waits, or somebody has to end first."""
        return self._opens if self._waiting and running < AT_ONCE else None

    def keep(self, names: Container[str]) -> None:
        """Only these checks are asked on."""
        self._waiting = deque(item for item in self._waiting if item[1] in names)
