"""Ages: how long something has been so, as a person reads it. Pure. Moments are in ``moments``."""

from __future__ import annotations

from datetime import datetime
from typing import Final

UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (0, "s"))


def format_age(moment: str, now: datetime) -> str:
    """How long ago a moment (ISO 8601) was, in one unit: ``5 s``, ``3 min``, ``2 h``, ``4 d``. ``-`` for none."""
    try:
        seconds = max(0.0, (now - datetime.fromisoformat(moment)).total_seconds())
    except (ValueError, TypeError):
        return "-"
    size, unit = next((size, unit) for size, unit in UNITS if seconds >= size)
    return f"{int(seconds // (size or 1))} {unit}"
