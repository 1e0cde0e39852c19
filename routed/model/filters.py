"""Packet filters: chains, their rules, and packets as far as they are known.

Here must never live: what becomes of a packet (``core.filters``), or how chains are read (``core.filter_text``).
Source: nft(8), iptables-extensions(8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias


class Fate(Enum):
    """What becomes of a packet in a chain."""

    ACCEPT = "accept"
    DROP = "drop"
    END = "end"  # the chain came to its end
    LEAVE = "leave"  # it goes on behind the chain that this one was called from


class Interval(NamedTuple):
    """Numbers from one to another."""

    first: int
    last: int


# A word, a number, an interval of numbers, or a packed prefix.
Operand: TypeAlias = str | int | Interval | bytes


class Test(NamedTuple):
    """What a rule asks of a packet. Without a field it is a question that nobody here understands."""

    field: str = ""  # family, saddr, daddr, protocol, sport, dport, iif, oif, state, status
    choices: tuple[Operand, ...] = ()
    is_negated: bool = False


UNKNOWN: Final = Test()


class FilterRule(NamedTuple):
    """One rule, for what passes all its tests."""

    tests: tuple[Test, ...] = ()
    fate: Fate | None = None  # None: it goes on, or elsewhere
    jump: str = ""  # the chain that it goes to
    is_final: bool = False  # is it a goto, which does not come back?
    text: str = ""  # as the tool has it, as far as known
    handle: int = 0


@dataclass(frozen=True, slots=True)
class FilterChain:
    """One chain. Without a hook it is one that others jump to."""

    family: str  # ip, ip6, inet
    table: str
    name: str
    hook: str = ""  # prerouting, input, forward, output, postrouting
    policy: Fate = Fate.ACCEPT
    rules: tuple[FilterRule, ...] = ()
    tool: str = "nft"  # that shows and changes it

    @property
    def place(self) -> tuple[str, str, str, bool]:
        """By which it is found: those of iptables-legacy are others than those of the same name elsewhere."""
        return self.family, self.table, self.name, self.tool.endswith("-legacy")


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All chains of a network namespace."""

    chains: tuple[FilterChain, ...] = ()
    front_end: str = ""  # firewalld or ufw, where one of them made them
    by_place: Mapping[tuple[str, str, str, bool], FilterChain] = field(default_factory=dict)

    @classmethod
    def of(cls, chains: tuple[FilterChain, ...], front_end: str = "") -> Ruleset:
        """The rule set with an index over these chains."""
        return cls(chains, front_end, {one.place: one for one in chains})


# What is known of a packet: the field of a test → its value. A field that is not there is not known. Of a link that is
# another one than the loopback there is ELSEWHERE.
FilteredPacket: TypeAlias = Mapping[str, Any]
ELSEWHERE: Final = object()
LOOPBACK: Final = "lo"


class Dropped(NamedTuple):
    """The chain that drops all packets of a kind, and by which rule; None: by its policy."""

    chain: FilterChain
    rule: FilterRule | None
