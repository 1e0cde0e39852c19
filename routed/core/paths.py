"""Paths: from which address a question is handed to a gateway of its own.

It is the one that the kernel would take at that moment, so a new address of the line is followed by the next question.
"""

from __future__ import annotations

from collections.abc import Iterator

from routed.model.facts import Facts, HostAddress, Link
from routed.model.names import UNIVERSE
from routed.model.net import family_of, is_inside, network_of


def find_source(gateway: bytes, link: Link, facts: Facts, written: bytes = b"") -> bytes:
    """The address that is written, else the one that the kernel would take. Empty where this host has none such.

    That is the link's own in the network of the gateway, else its first one, else one of another link: a line needs no
    address of its own (inet_select_addr in net/ipv4/devinet.c, ipv6_dev_get_saddr in net/ipv6/addrconf.c).
    """
    if written:
        return written if any(held.address == written for held in facts.addresses.values()) else b""
    usable = [held for held in _list_eligible(gateway, facts) if not (held.is_tentative or held.has_failed_dad)]
    best = min(usable, key=lambda held: _rank(held, gateway, link), default=None)
    return best.address if best else b""


def may_have_source(gateway: bytes, facts: Facts) -> bool:
    """Is there an address to ask from, if only in a moment, when it was seen that nobody else has it?"""
    return any(True for _ in _list_eligible(gateway, facts))


def _list_eligible(gateway: bytes, facts: Facts) -> Iterator[HostAddress]:
    for held in facts.addresses.values():
        if held.scope != UNIVERSE or family_of(held.address) != family_of(gateway):
            continue
        if held.address not in facts.service_addresses:
            yield held


def _rank(held: HostAddress, gateway: bytes, link: Link) -> tuple[bool, bool, bool, int]:
    """The lower the better; of those that are alike the first."""
    is_elsewhere = held.dev != link.ifindex
    is_far = is_elsewhere or not is_inside(gateway, network_of(held.address, held.prefixlen))
    return is_elsewhere, held.is_deprecated, is_far, held.dev
