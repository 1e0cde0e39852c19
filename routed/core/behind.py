"""What stands behind an address: the routes that the kernel makes for it, without which it is there and dead.

Anybody can delete them. The kernel makes them once, when an address comes or its link goes up, and never again. So what
is missing of them is wanted as long as it is missing, as the kernel writes it: then it goes with its address, and is
the kernel's. The IPv6 route of table local cannot be put that way: metric 0 cannot be asked for, and one of another
metric outlives its address. So that one carries our mark, is wanted only while the address is there, and goes as all
of ours do.

Here must never live: who asks the kernel for them (``daemon.facts``).
Sources: fib_add_ifaddr in net/ipv4/fib_frontend.c; inet6_addr_add and __ipv6_ifa_notify in net/ipv6/addrconf.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from routed.core.desired import ObjectSet
from routed.model import names
from routed.model.entries import AddressEntry
from routed.model.facts import Behind, FactKey, Facts, Link
from routed.model.net import ADDRESS_LENGTH, IPV4, IPV6, family_of, host_prefix, network_of
from routed.model.objects import AddressMember, Hop, Kind, RouteSlot, RouteValue

PREFIX_METRIC: Final = {IPV4: 0, IPV6: 256}  # IP6_RT_PRIO_ADDRCONF
LOCAL_METRIC: Final = 1024  # of our own one in table local of IPv6: behind the kernel's, which has 0
LOOPBACK: Final = 1


def list_prefixes(entry: AddressEntry) -> frozenset[bytes]:
    """The destinations of the routes behind an address."""
    return frozenset({host_prefix(entry.address), *_list_networks(entry)})


def find_missing(entry: AddressEntry, link: Link, facts: Facts, protocol: int) -> list[ObjectSet]:
    """The routes behind an address that is there which are not."""
    fact = facts.addresses.get(AddressMember(link.ifindex, entry.address, entry.prefixlen))
    master = facts.links.get(link.master)
    if fact is None or facts.behind is None or fact.is_tentative or fact.has_failed_dad or not link.is_up:
        return []
    if master is not None and master.kind == "vrf":  # they are in its table, which is not read
        return []
    there = facts.behind
    return [
        ObjectSet(Kind.ROUTE, slot, frozenset({prefix}), value)
        for behind, slot, prefix, value in _list_routes(entry, link, facts, protocol)
        if behind not in there
    ]


def list_behind_reads(entry: AddressEntry, link: Link) -> set[FactKey]:
    """The facts that ``find_missing`` reads."""
    prefixes = {FactKey("behind", prefix) for prefix in list_prefixes(entry)}
    return {*prefixes, FactKey("address", entry.address), FactKey("address", link.ifindex)}


def _list_routes(
    entry: AddressEntry, link: Link, facts: Facts, protocol: int
) -> Iterator[tuple[Behind, RouteSlot, bytes, RouteValue]]:
    """How the kernel's own one is known, and the slot, prefix and content by which it is put back."""
    dev, family, own = link.ifindex, family_of(entry.address), host_prefix(entry.address)
    source = b"" if family == IPV6 else _find_primary(entry, link, facts)
    hops = (Hop(dev),)
    if family == IPV6:
        value = RouteValue(names.LOCAL, protocol, hops=hops)
        yield Behind(names.TABLE_LOCAL, 0, own, dev), RouteSlot(IPV6, names.TABLE_LOCAL, LOCAL_METRIC), own, value
        prefix_value = RouteValue(names.UNICAST, names.PROTOCOL_KERNEL, hops=hops)
    else:
        value = RouteValue(names.LOCAL, names.PROTOCOL_KERNEL, names.HOST, hops, source)
        yield Behind(names.TABLE_LOCAL, 0, own, dev), RouteSlot(IPV4, names.TABLE_LOCAL, 0), own, value
        prefix_value = RouteValue(names.UNICAST, names.PROTOCOL_KERNEL, names.LINK, hops, source)
    metric = entry.metric or PREFIX_METRIC[family]
    if family == IPV4 and (dev == LOOPBACK or source != entry.address):  # a secondary address has none of its own
        return
    for prefix in _list_networks(entry):
        yield (
            Behind(names.TABLE_MAIN, metric, prefix, dev),
            RouteSlot(family, names.TABLE_MAIN, metric),
            prefix,
            prefix_value,
        )


def _list_networks(entry: AddressEntry) -> Iterable[bytes]:
    """The destinations of its prefix routes."""
    if entry.flags & names.IFA_NOPREFIXROUTE:
        return ()
    if family_of(entry.address) == IPV6:
        peer = (host_prefix(entry.peer),) if entry.peer else ()
        return (network_of(entry.address, entry.prefixlen), *peer)
    network = network_of(entry.peer or entry.address, entry.prefixlen)
    is_itself = entry.prefixlen == ADDRESS_LENGTH[IPV4] * 8 and not entry.peer
    return () if is_itself or not network[0] else (network,)


def _find_primary(entry: AddressEntry, link: Link, facts: Facts) -> bytes:
    """The first address of its network on the link, by which the kernel writes the routes of all of them."""
    network = network_of(entry.address, entry.prefixlen)
    mates = (
        fact.address
        for fact in facts.addresses.values()
        if fact.dev == link.ifindex
        and fact.prefixlen == entry.prefixlen
        and len(fact.address) == len(entry.address)
        and network_of(fact.address, fact.prefixlen) == network
    )
    return entry.address if entry.peer else next(mates, entry.address)
