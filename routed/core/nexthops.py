"""``[[nexthop]]`` and facts to objects: a way whose link can carry something, or a group of those that are there."""

from __future__ import annotations

from routed.core.desired import ObjectSet, Resolution, Waiting
from routed.core.kinds.nexthop import NEXTHOPS
from routed.core.resolve import resolve_hops
from routed.model.entries import NexthopEntry
from routed.model.facts import FactKey, Facts
from routed.model.net import family_of
from routed.model.objects import Hop, Kind, NexthopMember, NexthopValue


def resolve_nexthop(entry: NexthopEntry, facts: Facts, protocol: int) -> Resolution:
    """A next hop. A group has only those of its members that can be there, as the kernel itself keeps it."""
    value: NexthopValue | None = None
    waiting: list[Waiting] = []
    reads: set[FactKey] = set()
    if entry.group:
        legs = []
        for leg, member in zip(entry.group, entry.members, strict=True):
            ready, waits, read = _resolve_way(member, facts)
            waiting += waits
            reads |= read
            legs += [leg] if ready or member.blackhole else []
        value = NexthopValue(protocol, group=tuple(legs), resilient=entry.resilient) if legs else None
    elif entry.blackhole:
        value = NexthopValue(protocol, entry.family, blackhole=True)
    else:
        ready, waiting, reads = _resolve_way(entry, facts)
        if ready:
            hop = ready[0]
            family = family_of(hop.gateway) if hop.gateway else entry.family
            value = NexthopValue(protocol, family, hop.dev, hop.gateway, hop.onlink, extra=hop.extra)
    group = ObjectSet(Kind.NEXTHOP, NEXTHOPS, frozenset({NexthopMember(entry.id)}), value)
    return Resolution(entry, (group,), tuple(dict.fromkeys(waiting)), frozenset(reads))


def _resolve_way(entry: NexthopEntry, facts: Facts) -> tuple[tuple[Hop, ...], list[Waiting], set[FactKey]]:
    _, ready, waiting, reads = resolve_hops(entry.hops, facts, entry.family, needs_carrier=True)
    return ready, waiting, reads
