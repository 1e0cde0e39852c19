"""How long a source is left alone that said nothing."""

from __future__ import annotations

from typing import Final

FIRST_PAUSE: Final = 1.0  # seconds, and twice as long each time


def find_pause(failures: int, longest: float) -> float:
    """Seconds until it is asked again that failed so many times in a row, at least once."""
    return float(min(FIRST_PAUSE * 2 ** min(failures - 1, 32), longest))
