"""What is asked of the kernel about one packet, and what it answers: which route decides.

Here must never live: which questions are worth asking, or what an answer means for an entry.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from routed.model.objects import Standing


class Flow(NamedTuple):
    """By what rules tell one packet from another, beside its destination. The plain one is sent by this host itself."""

    source: bytes = b""  # packed address; b"": the kernel has yet to choose one
    iif: str = ""  # the link that it came in by; "" where this host sends it
    oif: str = ""  # the link that its socket is bound to
    mark: int = 0
    tos: int = 0
    ipproto: int = 0
    sport: int = 0
    dport: int = 0
    uid: int | None = None  # of who sends it; None: root


PLAIN = Flow()


class Question(NamedTuple):
    """What would decide about a packet of this flow to this address (packed)?"""

    destination: bytes
    flow: Flow = PLAIN


class Decision(NamedTuple):
    """The route that decides (RTM_F_FIB_MATCH), or the error that stands for what drops the packet.

    The kernel names no route that drops packets, and no rule: all that it tells is EINVAL for a blackhole, EHOSTUNREACH
    for an unreachable route, EACCES for a prohibition, and ENETUNREACH for what no route is for (Linux 6.18). Which one
    it was says ``Around``.
    """

    winner: Standing | None = None
    errno: int = 0


class Exact(NamedTuple):
    """Which routes of this table are default routes? Asked where others that are more specific answer every packet."""

    family: int
    table: int


class Around(NamedTuple):
    """Which routes are for this address, whether or not they decide? Asked where the kernel does not say."""

    address: bytes
    table: int = 0  # 0: of all tables
    type: int = 0  # 0: of all types


Lookup: TypeAlias = Question | Exact | Around  # what the core may ask


class Sent(NamedTuple):
    """How the kernel sends a packet now, without a word about which route it takes."""

    errno: int = 0  # where it does not
    type: int = 0  # of the route
    dev: int = 0  # ifindex
    gateway: bytes = b""
    source: bytes = b""  # that it has chosen
