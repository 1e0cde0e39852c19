"""What decides in place of an object that stands."""

from __future__ import annotations

from enum import Enum, auto

from routed.model.process import Process
from routed.model.reasons.value import Detailed, Reason


class Overruled(Detailed):
    """Something that is not ours decides for all that an object is for."""

    route: str  # as ``ip route`` has it; empty where a rule decides by itself
    rule: str  # that leads to it, as ``ip rule`` has it; empty where both are in one table
    port: int | None = None  # of who put it there, as far as an event told
    process: Process | None = None


class Lifeline(Enum):
    """What this host lives by."""

    SESSION = auto()  # the peer of a live SSH session
    GATEWAY = auto()  # the gateway of a route of ours
    DEFAULT = auto()  # the default route


class CutsOff(Detailed):
    """It would take the way to what this host lives by."""

    lifeline: Lifeline
    address: bytes  # of the peer, or the gateway
    line: str = ""  # of the file that lists it, where that is known


def is_same(reason: Reason | None, other: Reason | None) -> bool:
    """Do these say the same, whoever is behind it? Who that is is told once, and not known again later."""
    if isinstance(reason, Overruled) and isinstance(other, Overruled):
        return (reason.route, reason.rule) == (other.route, other.rule)
    return reason == other
