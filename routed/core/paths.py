"""Paths: by which link, and from which address, a question is handed to a gateway of its own.

Both are what the host has at that moment, so a new address of the line is followed by the next question.
"""

from __future__ import annotations

from routed.core.references import list_addresses
from routed.model.facts import Facts, HostAddress, Link
from routed.model.net import family_of, is_inside, network_of


def find_link_towards(gateway: bytes, facts: Facts) -> Link | None:
    """The link with an address whose network holds the gateway, the longest network first."""
    near = [held for held in facts.addresses.values() if _is_near(gateway, held)]
    nearest = max(near, key=lambda held: held.prefixlen, default=None)
    return facts.links.get(nearest.dev) if nearest else None


def find_source(gateway: bytes, link: Link, facts: Facts, written: bytes = b"") -> bytes:
    """The address that is written, else the link's own in the network of the gateway, else its first one.

    Empty where this host has none such.
    """
    if written:
        return written if any(held.address == written for held in facts.addresses.values()) else b""
    own = list_addresses(link, (family_of(gateway),), facts)
    return next((held.address for held in own if _is_near(gateway, held)), own[0].address if own else b"")


def _is_near(gateway: bytes, held: HostAddress) -> bool:
    if family_of(held.address) != family_of(gateway):
        return False
    return is_inside(gateway, network_of(held.address, held.prefixlen))
