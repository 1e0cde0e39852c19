"""What the host is now, as far as the intent depends on it.

Facts are one immutable value, filled by the kernel floor and replaced whole when a link or an address changes; nothing
reads the kernel elsewhere to resolve an entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from routed.model.objects import AddressMember


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


@dataclass(frozen=True, slots=True)
class Facts:
    """The host as the intent sees it."""

    links: dict[int, Link] = field(default_factory=dict)
    addresses: dict[AddressMember, HostAddress] = field(default_factory=dict)
    gateways: dict[bytes, GatewayLink] = field(default_factory=dict)
    ssh_peers: frozenset[bytes] = frozenset()

    def link_named(self, name: str) -> Link | None:
        """The link of that name, if there is one now."""
        return next((link for link in self.links.values() if link.name == name), None)

    def name_of(self, index: int) -> str:
        """The name of a link as ``ip`` prints it, ``if7`` where it is unknown."""
        link = self.links.get(index)
        return link.name if link else f"if{index}"
