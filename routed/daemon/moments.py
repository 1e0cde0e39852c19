"""Readings of the monotonic clock as moments that a person reads: ISO 8601."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


def make_moment() -> Callable[[float], str]:
    """What writes a reading of the monotonic clock as ISO 8601; nothing where there is none."""
    offset = time.time() - time.monotonic()
    return lambda reading: format_moment(reading + offset) if reading else ""


def format_moment(seconds: float) -> str:
    """Seconds since 1970, as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
