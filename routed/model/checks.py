"""Checks as the operator wrote them: what is asked, of whom, how often, and when the answers count.

A check makes a fact; whoever has ``requires`` reads it. How a question is asked stands in ``probes``, what the answers
come to in ``core.health``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from routed.model.entries import Origin
from routed.model.facts import Fact, FactKey, Freshness
from routed.model.reasons import Assumed, Paused, Probed, Reason


class CheckType(StrEnum):
    """What is asked."""

    ICMP = "icmp"  # an echo request
    ARP = "arp"  # who has this address? IPv6: a neighbour solicitation
    TCP = "tcp"
    TLS = "tls"
    HTTP = "http"
    HTTPS = "https"
    DNS = "dns"
    UDP = "udp"
    FILE = "file"
    EXEC = "exec"  # a command
    AGENT = "agent"  # what a server says of its load; no [[check]] is written so


# They go to their gateway as packets that are whole, and need no route, rule or mark.
HANDED_OVER: Final = frozenset({CheckType.ICMP})

# Of these it is measured how many answers are missing, and how late the others are.
MEASURED: Final = frozenset({CheckType.ICMP})


class Target(NamedTuple):
    """Who is asked. A file and a command have no address."""

    address: bytes
    port: int = 0


class CheckState(StrEnum):
    """What the answers come to."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    FAILED = "failed"  # it cannot be made here, until somebody changes something


class Ruling(NamedTuple):
    """The value of the fact that a check makes."""

    is_up: bool
    why: Reason | None = None  # of what is down
    since: float = 0.0  # of the clock
    share: int | None = None  # of an agent: percent of the written weight; None: it says nothing, and counts as up

    @property
    def turn(self) -> tuple[bool, bool]:
        """What is told when it is another one."""
        return self.is_up, self.is_unanswered

    @property
    def is_unanswered(self) -> bool:
        """Does it count as up for want of an answer, which only an agent does?"""
        return self.is_up and isinstance(self.why, Probed)

    @property
    def is_said(self) -> bool:
        """Is it somebody's word, and no answer?"""
        return isinstance(self.why, (Paused, Assumed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """``[[check]]``. Durations in seconds."""

    name: str
    origin: Origin
    type: CheckType
    targets: tuple[Target, ...]  # in the order of the file; of a file or a command one without an address
    need: int = 1  # how many of them have to be up
    every: float = 5.0
    timeout: float = 2.0
    fall: int = 3  # bad answers in a row that make it down
    rise: int = 2  # good ones that make it up again
    fast: float = 1.0  # between two questions while it is in doubt
    hold: float = 0.0  # least time that it stays down
    loss: float | None = None  # down above this share of questions without an answer, 0 to 1
    rtt: float | None = None  # or above this median time of an answer
    window: float = 60.0  # over so long
    dev: str = ""  # a link or @name: the question leaves there
    src: bytes = b""
    via: bytes = b""  # a way of its own, whatever the routes of the host are
    mark: int = 0  # of its packets, where routes and rules make the way of its own
    host: str = ""  # of TLS and HTTP: who is meant at that address
    path: str = "/"
    method: str = "GET"
    status: tuple[tuple[int, int], ...] = ((200, 399),)
    body: str = ""
    headers_file: str = ""  # a path, or the name of a credential of the unit; what is in it nobody is told
    verify: bool = False
    ca: str = ""
    send: str = ""
    expect: str = ""
    query: str = ""
    record: str = "A"
    file: str = ""
    command: tuple[str, ...] = ()  # its absolute path and its arguments, which may hold secrets: shown to nobody
    user: str = ""  # who runs it; empty: whoever runs commands here
    step: int = 1  # of an agent: percent; a share that differs by less waits

    @property
    def subject(self) -> str:
        """What is asked where no address is."""
        return self.file or self.command[0]

    @property
    def entry(self) -> str:
        """Its name among those of the entries."""
        return f"check/{self.name}"

    @property
    def is_template(self) -> bool:
        """Is nobody named whom it asks? Then it says how, for services that name their own."""
        return not self.targets


KEPT: Final = 600  # answers of a target, of which loss and time are measured, at most
CHECK: Final = "check"  # what the facts of checks are keys of


def key_of(name: str) -> FactKey:
    """The fact that the check of this name makes."""
    return FactKey(CHECK, name)


def find_ruling(fact: Fact) -> Ruling | None:
    """What is known of a check, None where nothing is."""
    if fact.state is Freshness.LOADING or not isinstance(fact.value, Ruling):
        return None
    return fact.value


def find_failure(fact: Fact) -> Reason | None:
    """Why the check of this fact cannot be made, where nothing else is known of it."""
    return fact.value if isinstance(fact.value, Probed) else None


def format_status(ranges: Sequence[tuple[int, int]]) -> str:
    """``200-399, 401``."""
    return ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in ranges)
