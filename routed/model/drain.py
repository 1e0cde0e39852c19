"""Drains: servers that no entry wants any more, and that keep what is connected for a while.

Here belong the values that a plan and the state on disk share. When a server drains, and for how long, says
``core.drain``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from routed.model.objects import Key, Value
from routed.model.reasons import Draining


class Drain(NamedTuple):
    """One server that leaves."""

    since: float  # seconds of CLOCK_BOOTTIME
    until: float  # likewise; then it goes, whatever is connected
    ends: int  # the same moment as it is told: seconds of Unix time


class Stay(NamedTuple):
    """Why something that no entry wants stays for now."""

    reason: Draining
    value: Value | None = None  # it is given this content first; None: it stays as it stands
    is_new: bool = False  # does it begin to leave only now?


class Leaving(NamedTuple):
    """What a pass does with the servers that leave, and with what they stand in."""

    stays: Mapping[Key, Stay] = {}
    over: Mapping[Key, bool] = {}  # what goes now since its drain is over → is that because nothing is connected?
    drains: Mapping[Key, Drain] = {}  # those that last
    is_held_up: bool = False  # does something stay only until everything is looked at together?


NOTHING_LEAVES = Leaving()
