"""The pulse: signs of life for the watchdog of the service manager, given only while the work moves.

A loop that goes round proves little: a pass may have died of a bug, the event socket may go unread. What counts as
standing still is decided here, from two looks at the work. Here must never live: the work, or a cure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from routed.daemon import systemd

LONGEST: Final = 600.0  # seconds; the first pass over a million routes takes some ten


class Signs(NamedTuple):
    """What can be seen of the work at one moment."""

    steps: int  # of passes, since the start
    reads: int  # of the event socket, since the start
    is_at_work: bool  # a pass is under way or overdue
    has_unread: bool  # events wait in the socket, and somebody should listen
    lasted: float = 0.0  # seconds since the pass under way began


async def beat(read_signs: Callable[[], Signs]) -> None:
    """Feed the watchdog for ever, but not while the work stands still: then tell why in the status."""
    interval = systemd.watchdog_interval()
    before: Signs | None = None
    while interval is not None:
        now = read_signs()
        standstill = find_standstill(before, now) if before else ""
        if standstill:
            systemd.notify_status(f"no sign of life for the watchdog: {standstill}")
        else:
            systemd.notify_watchdog()
        before = now
        await asyncio.sleep(interval)


def find_standstill(before: Signs, now: Signs) -> str:
    """Why the work does not move between two looks, half of the watchdog's time apart; empty when it does."""
    if before.has_unread and now.has_unread and before.reads == now.reads:
        return "events of the kernel wait and nobody reads them"
    if before.is_at_work and now.is_at_work and before.steps == now.steps:
        return "a pass is due or under way and makes no step"
    if now.lasted > LONGEST:
        return f"a pass does not end; it began {now.lasted:.0f} s ago"
    return ""
