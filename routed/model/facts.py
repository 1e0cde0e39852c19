"""What the host is now, as far as the intent depends on it.

Facts are one immutable value, filled by the kernel floor and replaced whole when a link or an address changes; nothing
reads the kernel elsewhere to resolve an entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from routed.model.objects import AddressMember, Standing
from routed.model.reasons import Reason


class Link(NamedTuple):
    """One interface (RTM_NEWLINK)."""

    ifindex: int
    name: str
    is_up: bool  # IFF_UP: the administrator's switch
    has_carrier: bool  # IFF_LOWER_UP
    kind: str = ""  # IFLA_INFO_KIND: veth, bridge, dummy …; empty for hardware
    mac: bytes = b""
    master: int = 0  # ifindex of the bridge, bond or VRF


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


class Natural(NamedTuple):
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
    """The host as the intent sees it. The last six are filled only as far as an entry asks for them."""

    links: dict[int, Link] = field(default_factory=dict)
    addresses: dict[AddressMember, HostAddress] = field(default_factory=dict)
    gateways: dict[bytes, GatewayLink] = field(default_factory=dict)
    ssh_peers: frozenset[bytes] = frozenset()
    default_routes: tuple[Standing, ...] = ()  # routes to destination zero of any length, in the kernel's order
    ways: dict[bytes, Way] = field(default_factory=dict)  # address → way; what is not reached is absent
    natural: dict[bytes, Natural] = field(default_factory=dict)  # prefix of a VIP →
    drivers: dict[int, str] = field(default_factory=dict)  # ifindex → driver
    chosen: dict[str, Choice] = field(default_factory=dict)  # name of an [[interface]] →
    service_addresses: frozenset[bytes] = frozenset()  # VIPs of the files: never an address of the host itself

    def link_named(self, name: str) -> Link | None:
        """The link of that name, if there is one now."""
        return next((link for link in self.links.values() if link.name == name), None)

    def name_of(self, index: int) -> str:
        """The name of a link as ``ip`` prints it, ``if7`` where it is unknown."""
        link = self.links.get(index)
        return link.name if link else f"if{index}"
