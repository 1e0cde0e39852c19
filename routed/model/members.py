"""Members: the hosts of a fleet as a source tells them, and what is known of them by now.

Values only. Here must never live: how a source is asked (``members``), or what becomes of a snapshot
(``core.membership``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from routed.model.entries import Origin
from routed.model.facts import FactKey
from routed.model.net import IPV4, IPV6
from routed.model.reasons import Reason
from routed.model.shared import Shared

if TYPE_CHECKING:  # it has members
    from routed.model.etcd import EtcdSource

MEMBERS: Final = "members"  # what the facts of sources are keys of
MEMBER_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,253}", re.ASCII)
LABEL: Final = re.compile(r"[A-Za-z0-9._/-]{1,253}", re.ASCII)  # the name of one; its value is any printable text
FIELD: Final = re.compile(r"\{([^{}]*)\}")  # of a member, in the text of a key
LABEL_FIELD: Final = "labels."  # before the name of a label
FIELDS: Final = ("address", "addresses", "port", "prefix", "prefixes", "weight")
# Which keys of which tables a member may fill, and with what. Remote words choose nothing else.
FILLED: Final[Mapping[str, Mapping[str, str]]] = {
    "route": {"to": "prefix", "via": "address", "src": "address"},
    "rule": {"from": "prefix", "to": "prefix"},
    "address": {"address": "host"},
    "vip": {"address": "host"},
}
FILLED_OF_SERVERS: Final[Mapping[str, str]] = {"address": "endpoint", "weight": "number"}
HEAVIEST: Final = 65535  # the weight of a server (ip_vs_dest.weight)


class Member(NamedTuple):
    """One host, or one server, of a fleet."""

    name: str  # MEMBER_NAME
    uid: str = ""  # another one is another member under the same name
    addresses: tuple[bytes, ...] = ()  # packed, in the order of the source
    prefixes: tuple[bytes, ...] = ()  # packed
    port: int = 0  # 0: none is told
    weight: int | None = None
    labels: tuple[tuple[str, str], ...] = ()  # sorted by name
    is_ready: bool = True
    is_terminating: bool = False


class Broken(NamedTuple):
    """What a source tells of a member that cannot be understood. Nobody is gone for that."""

    name: str
    why: str = ""  # a sentence, where nothing of it can be understood
    outside: tuple[bytes, ...] = ()  # else addresses and prefixes that the file does not allow: without them it counts


class Snapshot(NamedTuple):
    """What a source tells at one moment."""

    members: tuple[Member, ...] = ()  # by name, each once
    broken: tuple[Broken, ...] = ()
    revision: str = ""  # of the source, in its own words
    is_complete: bool = True  # only then is who is not in it gone
    # Of a change since what was told before, without a gap: these are gone, and of whoever is not named nothing is new.
    # So it says as much as a complete one would. None: nothing is told of who is gone.
    gone: tuple[str, ...] | None = None

    def lacks(self, member: Member) -> bool:
        """Does it say that this one is none, or is another one?"""
        if self.is_complete or member in self.members:
            return member not in self.members
        others = {*(one.name for one in self.members), *(one.name for one in self.broken), *(self.gone or ())}
        return member.name in others


class SourceType(StrEnum):
    """How a source is asked."""

    FILE = "file"  # a member document that somebody writes
    EXEC = "exec"  # a program that writes such documents
    ETCD = "etcd"  # the keys below a prefix
    DNS = "dns"  # the addresses of names, or the targets of SRV records


class FileSource(NamedTuple):
    """A member document that somebody writes."""

    path: str

    @property
    def watched(self) -> tuple[str, ...]:
        """The files whose news is the news of the source."""
        return (self.path,)


class ExecSource(NamedTuple):
    """A program that writes member documents."""

    command: tuple[str, ...]
    timeout: float  # seconds that one run may take, or until the first document of a run that goes on
    user: str = ""  # who runs it; empty: whoever runs commands here
    every: float = 0.0  # seconds between two runs; 0: one run that goes on, with a document a line

    @property
    def watched(self) -> tuple[str, ...]:
        """None: it says itself what is new."""
        return ()


class DnsSource(NamedTuple):
    """Names, or a service, that a DNS server knows."""

    hosts: tuple[str, ...] = ()  # a member each, in small letters and without the final dot
    srv: str = ""  # a member for each target
    servers: tuple[tuple[bytes, int], ...] = ()  # address and port, 0: that of DNS; none: those that the host asks
    every: float = 30.0  # seconds between two questions, at least
    timeout: float = 2.0  # seconds that one answer may take
    families: tuple[int, ...] = (IPV4, IPV6)  # of the addresses that are asked for

    @property
    def watched(self) -> tuple[str, ...]:
        """None: it is asked again and again."""
        return ()


# What a type has beside the keys of every source: one value a type.
SourceOptions: TypeAlias = "FileSource | ExecSource | DnsSource | EtcdSource"

DEFAULT_MAX_LOSS: Final = 0.3


class MemberSource(NamedTuple):
    """``[[source]]``."""

    name: str
    origin: Origin
    type: SourceType
    options: SourceOptions
    prefixes_within: tuple[bytes, ...] = ()  # no prefix of a member counts that is outside
    addresses_within: tuple[bytes, ...] = ()  # likewise
    gone_after: float = 0.0  # seconds that a member stays of which the source does not tell any more
    max_loss: float | None = DEFAULT_MAX_LOSS  # share of the members that may go at once; None: all
    holds_empty: bool = True  # does nobody go where the source tells of none at all?
    stale_after: float | None = None  # seconds after which members go of which nothing is heard; None: never
    is_cached: bool = True  # are the members kept over a restart?


class Present(NamedTuple):
    """A member as it counts now."""

    member: Member
    since: int  # in which order the members of a source came: the older claim wins
    until: float | None = None  # the source does not tell of it any more, and it stays so long


NOBODY_PRESENT: Final[Shared[str, Present]] = Shared()
NOTHING_CLAIMED: Final[Shared[bytes, int]] = Shared()


class Roster(NamedTuple):
    """Who is a member of one source now."""

    present: Mapping[str, Present] = NOBODY_PRESENT
    held: frozenset[str] = frozenset()  # those who stay only since too many would go at once
    broken: tuple[Broken, ...] = ()
    lost: tuple[float, ...] = ()  # when members went, of the last minute
    why: Reason | None = None  # why those stay
    held_since: float | None = None  # the moment when the first of them stayed
    failure: Reason | None = None  # the source says nothing, for this reason
    leaving: frozenset[str] = frozenset()  # of those who are present: whose time will be over
    latest: int = 0  # the ``since`` of who came last
    claims: Shared[bytes, int] = NOTHING_CLAIMED  # how many of those who are present tell an address, or a prefix


def key_of(source: str) -> FactKey:
    """The fact that a source tells."""
    return FactKey(MEMBERS, source)
