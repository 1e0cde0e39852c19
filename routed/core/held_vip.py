"""VIPs held as addresses: where one may stand on its link.

A VIP is never the primary address of its link: the host itself would speak from it, and its deletion could take the
host's own addresses along. So an IPv4 one waits for an address of the host, and goes behind it. An IPv6 one is
deprecated instead, and links that carry nothing but VIPs are free.

Source: __inet_insert_ifa and inet_select_addr in net/ipv4/devinet.c: an address goes behind those that are there, it is
secondary if one of them has its network and length, and the first that is not secondary is the source.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from routed.core.references import list_addresses
from routed.model.entries import HeldVipEntry
from routed.model.facts import Facts, HostAddress, Link
from routed.model.names import BARE
from routed.model.net import IPV4, family_of, network_of
from routed.model.objects import AddressMember
from routed.model.reasons import AlsoStands, NotFirst, Reason, Stuck, join_reasons


class Place(Enum):
    """What becomes of a VIP on its link."""

    FREE = "it may stand there"
    IN_FRONT = "it stands in front of the host's own address"
    BARRED = "it must not stand there"
    STUCK = "it stands there, and cannot be moved without harm"


class Placement(NamedTuple):
    """A place, and why it is not free."""

    place: Place
    why: Reason | None = None


def find_place(entry: HeldVipEntry, link: Link, facts: Facts) -> Placement:
    """May this VIP stand on its link now?"""
    if family_of(entry.address) != IPV4 or link.kind in BARE or link.name == "lo":
        return Placement(Place.FREE)
    network = network_of(entry.address, entry.prefixlen)
    is_host = entry.prefixlen == len(entry.address) * 8
    own = [
        fact
        for fact in list_addresses(link, (IPV4,), facts)
        if is_host or network_of(fact.address, fact.prefixlen) == network
    ]
    if not own:
        return Placement(Place.BARRED, NotFirst(link.name, b"" if is_host else network))
    first = own[0]
    if not _stands_in_front(AddressMember(link.ifindex, entry.address, entry.prefixlen), first, facts):
        return Placement(Place.FREE)
    if is_host:
        return Placement(Place.IN_FRONT)
    return Placement(Place.STUCK, Stuck(network, link.name, first.address))


def find_other_lengths(entry: HeldVipEntry, facts: Facts) -> Reason | None:
    """Where this VIP stands under another length as well: the kernel takes that for an address of the host.

    Of IPv6 no link has an address twice.
    """
    others = (
        held for held in facts.addresses.values() if held.address == entry.address and held.prefixlen != entry.prefixlen
    )
    return join_reasons(AlsoStands(held.address, held.prefixlen, facts.name_of(held.dev)) for held in others)


def _stands_in_front(vip: AddressMember, own: HostAddress, facts: Facts) -> bool:
    for member in facts.addresses:  # in the kernel's order
        if member == vip:
            return True
        if member == AddressMember(own.dev, own.address, own.prefixlen):
            return False
    return False
