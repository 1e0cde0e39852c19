"""How often something is said: once a minute for each kind of it, however often it happens.

For what the outside can bring about as often as it likes. Here must never live: what is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final

INTERVAL: Final = 60.0  # seconds


class Seldom:
    """Remembers when each kind was said. Kinds must be few: they are never forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[Hashable, float] = {}

    def is_due(self, kind: Hashable) -> bool:
        """May this be said now? Then it counts as said."""
        now = self._clock()
        if now - self._said.get(kind, -INTERVAL) < INTERVAL:
            return False
        self._said[kind] = now
        return True
