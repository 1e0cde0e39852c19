"""Moments: the times that a person types, and those that a person reads.

Pure functions. The forms are those of journalctl that are typed at night: ``1h``, ``-1h``, ``1h ago``, ``today``,
``yesterday``, ``2026-11-24``, ``2026-11-24 10:00``, ``10:00``, ``@1764000000``. See systemd.time(7).
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final

from routed.intent.words import duration

EXAMPLES: Final = "such as 1h, yesterday, 2026-11-24 or 2026-11-24 10:00"


def parse_moment(text: str, now: datetime) -> datetime:
    """The moment that is meant, in the time zone of ``now``. Raises ValueError with a sentence."""
    word = text.strip()
    midnight = datetime.combine(now.date(), time(), now.tzinfo)
    named = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}.get(word)
    if named:
        return named
    try:
        if word.startswith("@"):
            return datetime.fromtimestamp(float(word[1:]), now.tzinfo)
        if ":" in word and "-" not in word:
            return datetime.combine(now.date(), time.fromisoformat(word), now.tzinfo)
        if word[:1].isdecimal() and word.count("-") >= 2:
            moment = datetime.fromisoformat(word)
            return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)
        return now - timedelta(seconds=duration(word.removeprefix("-").removesuffix("ago").strip()))
    except (ValueError, OverflowError, OSError):
        raise ValueError(f'"{text}" is no moment: write one {EXAMPLES}') from None


def format_moment(microseconds: int) -> str:
    """A moment in local time, to the millisecond: ``2026-11-24 14:01:19.033``."""
    moment = datetime.fromtimestamp(microseconds / 1_000_000).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}"
