"""What the host is now, as far as the intent depends on it: the store of facts.

The store is one immutable value that is replaced when a fact changes; whoever has one of before goes on reading that.
What fills it is a table of sources (``core.sources``). What the kernel tells has a field of its own here, so that it
is read with its type; what any other source tells is in ``told``, under its key, with how fresh it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

from routed.model.objects import AddressMember, Standing
from routed.model.reasons import Reason


class FactKey(NamedTuple):
    """The name of one fact: the source that tells it, and what it is of.

    Of a link that is its name or its ifindex. Of addresses it is the address, or the ifindex of the link that holds
    them: then it stands for all of them in their order.
    """

    what: str  # a row of ``core.sources``, or whoever else delivers
    which: str | bytes | int


class Freshness(StrEnum):
    """How much what a source told says of now."""

    LOADING = "loading"  # nothing was told yet: nobody knows
    LIVE = "live"
    STALE = "stale"  # it was told, and its source has not spoken for too long
    CACHED = "cached"  # it was told before the last start


class Fact(NamedTuple):
    """What a source told of one key. Loading is never the same as None, which is: there is none."""

    value: Any = None
    state: Freshness = Freshness.LOADING
    since: float = 0.0  # when it came into this state
    until: float | None = None  # of what is live: it is stale then, unless it is told again; None: it lasts


NOT_ASKED: Final = Fact()


class Link(NamedTuple):
    """One interface (RTM_NEWLINK)."""

    ifindex: int
    name: str
    is_up: bool  # IFF_UP: the administrator's switch
    has_carrier: bool  # IFF_LOWER_UP
    kind: str = ""  # IFLA_INFO_KIND: veth, bridge, dummy …; empty for hardware
    mac: bytes = b""
    master: int = 0  # ifindex of the bridge, bond or VRF
    mtu: int = 0  # bytes; 0 where it was not told
    has_ipv6: bool = True  # does the kernel speak IPv6 on it? Not below an MTU of 1280, nor with disable_ipv6
    altnames: tuple[str, ...] = ()  # IFLA_ALT_IFNAME: other names that it is found by
    table: int = 0  # of a VRF: where the packets of its links are looked up; 0 for any other


class HostAddress(NamedTuple):
    """One address of this host."""

    dev: int
    address: bytes
    prefixlen: int
    scope: int
    protocol: int = 0
    is_deprecated: bool = False
    is_tentative: bool = False
    has_failed_dad: bool = False


class Behind(NamedTuple):
    """A route that the kernel made for an address, as far as it is known by."""

    table: int
    metric: int
    prefix: bytes
    dev: int


class GatewayLink(NamedTuple):
    """The kernel's answer to "which link is this gateway on?" (RTM_GETROUTE)."""

    dev: int  # ifindex
    is_onlink: bool  # False: the kernel would go through another gateway to reach it


class Way(NamedTuple):
    """The kernel's answer to "how do packets to this address go?" (RTM_GETROUTE). No packet is sent for it."""

    dev: int  # ifindex
    gateway: bytes  # b"" on-link
    source: bytes  # that the kernel would choose
    type: int  # names.UNICAST or names.LOCAL; what is not reached has no way
    winner: Standing | None = None  # the route that is used (RTM_F_FIB_MATCH)


class WayWithoutOurs(NamedTuple):
    """The way to a VIP as it would be without our own route to it, as far as it can be known."""

    way: Way | None  # None: it would not be reached
    beside: Way | None  # the way to the address beside it, asked at the same time
    is_certain: bool = True  # False: our route stood already when we came, so only ``beside`` is known


class Choice(NamedTuple):
    """What one ``[[interface]]`` comes to."""

    dev: int = 0  # ifindex; 0: none
    name: str = ""
    reason: Reason | None = None  # why this one, or why none
    within: bytes = b""  # the prefix by which it was chosen: of several addresses the one in it is meant
    is_ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The host as the intent sees it. Only links are always filled, the rest as far as the files ask for it."""

    links: dict[int, Link] = field(default_factory=dict)
    addresses: dict[AddressMember, HostAddress] = field(default_factory=dict)
    gateways: Mapping[bytes, GatewayLink] = field(default_factory=dict)
    ssh_peers: frozenset[bytes] = frozenset()
    ssh_addresses: frozenset[bytes] = frozenset()  # of this host, to which their sessions go
    default_routes: tuple[Standing, ...] = ()  # routes to destination zero of any length, in the kernel's order
    ways: dict[bytes, Way] = field(default_factory=dict)  # address → way; what is not reached is absent
    ways_without_ours: dict[bytes, WayWithoutOurs] = field(default_factory=dict)  # prefix of a VIP →
    behind: frozenset[Behind] | None = None  # those behind the addresses of the files that stand; None: nobody asked
    drivers: dict[int, str] = field(default_factory=dict)  # ifindex → driver
    unknown: frozenset[int] = frozenset()  # attributes of rules that this kernel does not know, of those of the files
    chosen: dict[str, Choice] = field(default_factory=dict)  # name of an [[interface]] →
    service_addresses: frozenset[bytes] = frozenset()  # VIPs of the files: never an address of the host itself
    drained: dict[str, dict[str, Reason]] = field(default_factory=dict)  # entry → part that gets nothing new → why
    risen: dict[str, dict[str, float]] = field(default_factory=dict)  # entry → part → when it came
    told: Mapping[FactKey, Fact] = field(default_factory=dict)  # whatever else the files ask for, once it is asked for
    revision: int = field(default=0, compare=False)  # higher after each change
    moment: float = field(default=0.0, compare=False)  # of the clock, when it was asked last: an entry may count on

    def put(self, **values: Any) -> Facts:
        """The store with these values of its fields; itself where they are what it has."""
        new = {name: value for name, value in values.items() if not _is_same(getattr(self, name), value)}
        return replace(self, **new, revision=self.revision + 1) if new else self

    def copy(self) -> Facts:
        """The store before events change links and addresses in it, in place."""
        return replace(self, links=dict(self.links), addresses=dict(self.addresses), revision=self.revision + 1)

    def find(self, key: FactKey) -> Fact:
        """What was told under this key; loading where nobody asked for it yet."""
        return self.told.get(key, NOT_ASKED)

    def link_named(self, name: str) -> Link | None:
        """The link of that name, or else of that altname, if there is one now."""
        named = next((link for link in self.links.values() if link.name == name), None)
        return named or next((link for link in self.links.values() if name in link.altnames), None)

    def name_of(self, index: int) -> str:
        """The name of a link as ``ip`` prints it, ``if7`` where it is unknown."""
        link = self.links.get(index)
        return link.name if link else f"if{index}"


def _is_same(old: Any, new: Any) -> bool:
    """Are they equal, in their order too? That of addresses counts."""
    return bool(old == new) and (not isinstance(new, dict) or list(old) == list(new))
