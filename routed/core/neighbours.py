"""``[[neighbour]]`` and the facts to objects."""

from __future__ import annotations

from routed.core.desired import ObjectSet, Resolution, Waiting
from routed.core.references import find_link, list_reads
from routed.model.entries import NeighbourEntry
from routed.model.facts import Facts
from routed.model.net import IPV6, family_of
from routed.model.objects import Kind, NeighbourMember, NeighbourSlot, NeighbourValue
from routed.model.reasons import LinkDown, NoIpv6, Reason


def resolve_neighbour(entry: NeighbourEntry, facts: Facts, protocol: int) -> Resolution:
    """A neighbour. The kernel forgets those of a link that goes down."""
    reads = frozenset(list_reads(entry.dev, facts))
    link, why = find_link(entry.dev, facts)
    if link is None:
        return Resolution(entry, (), (Waiting(why),) if why else (), reads)
    family = family_of(entry.to)
    lack: Reason | None = None
    if not link.is_up:
        lack = LinkDown(link.name)
    elif family == IPV6 and not link.has_ipv6:
        lack = NoIpv6(link.name, link.mtu)
    value = None if lack else NeighbourValue(protocol, entry.lladdr, entry.router)
    kind = Kind.PROXY if entry.proxy else Kind.NEIGHBOUR
    member = NeighbourMember(link.ifindex, entry.to)
    group = ObjectSet(kind, NeighbourSlot(family), frozenset({member}), value)
    return Resolution(entry, (group,), (Waiting(lack),) if lack else (), reads)
