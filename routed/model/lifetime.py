"""Lifetimes: how long something stands by itself, as a router advertisement or a lease gives it.

Seconds count down by themselves, so they are no part of a value, which says no more than that there are some. Only what
is displaced keeps what was left of it, with the moment. Here must never live: a clock.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

FOREVER: Final = 0xFFFFFFFF  # INFINITY_LIFE_TIME, linux/addrconf.h


class Lifetime(NamedTuple):
    """What is left, in seconds; ``FOREVER`` has no end. A route knows the valid one only."""

    valid: int
    preferred: int = FOREVER


ENDLESS: Final = Lifetime(FOREVER)


class BootTime(NamedTuple):
    """A moment of one boot of this machine."""

    boot: str  # random(4), boot_id; empty where it is not known
    seconds: float  # of CLOCK_BOOTTIME


class Passing(NamedTuple):
    """An object that stood for a while only: its content, what was left of its lifetime, and when that was seen."""

    value: Any
    valid: int  # seconds, FOREVER for ever
    preferred: int
    boot: str
    seconds: float

    def find_left(self, now: BootTime) -> Lifetime | None:
        """What is left of it at this moment; None where nothing is, or where it was of another boot."""
        if not now.boot or now.boot != self.boot:
            return None
        gone = max(0, round(now.seconds - self.seconds))
        valid, preferred = (one if one == FOREVER else one - gone for one in (self.valid, self.preferred))
        return Lifetime(valid, max(0, preferred)) if valid > 0 else None
