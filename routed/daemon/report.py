"""What a pass came to, and what the engine hands out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from routed.core.dirt import Dirt
from routed.core.holds import Hold, Subject
from routed.core.timetable import Deadline
from routed.core.troubles import Trouble
from routed.daemon.errand import Errand
from routed.model.change import Outcome, Plan
from routed.model.objects import AddressMember, Member, Scope, SlotKey
from routed.model.reasons import Reason


class Fight(NamedTuple):
    """A fight that began: whose object, which one or (an entry's name) all of them, and the hold."""

    entry: str
    subject: Subject
    hold: Hold


class Announced(NamedTuple):
    """A VIP whose neighbours were told that it is here, or could not be."""

    entry: str
    member: AddressMember
    why: Reason
    is_first: bool  # of its burst
    error: OSError | None = None


class Ended(NamedTuple):
    """A trouble that is over: of one object, or of very many, whose subject is their entry then."""

    entry: str
    subject: Subject
    trouble: Trouble


class Attempt(NamedTuple):
    """A plan that was carried out: what the requests came to, and where surplus stayed since one was refused."""

    plan: Plan
    dirt: Dirt  # why it was looked at
    outcomes: list[Outcome]
    postponed: set[Scope]


@dataclass(slots=True)
class Report:
    """What one pass looked at, did and found out.

    The reconciler makes it when all was verified, and adds what follows from that. Nobody else writes to it.
    """

    dirt: Dirt
    began: float
    is_initial: bool = False
    new_entries: frozenset[str] = frozenset()  # entries that were not in force before
    plan: Plan = field(default_factory=Plan)
    outcomes: list[Outcome] = field(default_factory=list)
    scopes: set[Scope] = field(default_factory=set)
    unread: dict[Scope, Reason] = field(default_factory=dict)  # what these show is not known; why
    postponed: set[Scope] = field(default_factory=set)  # where surplus stayed, since something wanted could not be put
    fights: list[Fight] = field(default_factory=list)  # that began
    calmed: list[Subject] = field(default_factory=list)  # over which nobody fights any more
    ended: list[Ended] = field(default_factory=list)  # troubles that are over
    absent: dict[SlotKey, frozenset[Member]] = field(default_factory=dict)  # of what the kernel makes
    elapsed: float = 0.0


class Breath(Enum):
    """A step at which others may have their turn, and nothing else."""

    BREATH = "breath"


class Aborted(NamedTuple):
    """A pass, or the hearing of events, ended by an exception. Everything will be read again."""

    error: Exception
    is_first: bool  # since everything was read


class Recovered(NamedTuple):
    """After failures everything has been read again."""

    reason: Reason | None  # of the last one


class Resumed(NamedTuple):
    """Pauses whose time is over; an empty name is that of everything."""

    subjects: tuple[str, ...]


class Due(NamedTuple):
    """Something is due that is no pass: whoever drives the engine does it."""

    deadline: Deadline


class Told(NamedTuple):
    """The neighbours of VIPs were told."""

    announced: tuple[Announced, ...]


BREATH: Final = Breath.BREATH

# What a pass yields: its report last; before, None where others may have their turn, or an errand.
PassStep: TypeAlias = Report | Errand[Any] | None
# What the engine hands to whoever drives it, and which of it has something to tell.
News: TypeAlias = Report | Aborted | Recovered | Resumed | Told | Due
Step: TypeAlias = News | Errand[Any] | Breath
