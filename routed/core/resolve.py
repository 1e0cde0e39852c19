"""From an entry and the facts to objects: names become ifindexes, defaults become what the kernel will read back.

A resolution also says which facts it read, so that a changed fact resolves again only the entries that depend on it,
and what an entry waits for. A link or a gateway that is not there is never an error here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from routed.core.behind import find_missing, list_behind_reads
from routed.core.desired import ObjectSet, Resolution, Waiting
from routed.core.held_vip import Place, find_other_lengths, find_place
from routed.core.references import (
    find_address,
    find_link,
    find_link_towards,
    is_altname,
    is_reference,
    list_address_reads,
    list_addresses,
    list_gateway_reads,
    list_reads,
)
from routed.core.sources import ATTRIBUTE
from routed.model import names
from routed.model.attributes import SINCE, split
from routed.model.entries import (
    AddressEntry,
    HeldVipEntry,
    HopSpec,
    LinkEntry,
    RouteEntry,
    RuleEntry,
    TimeoutsEntry,
    TunnelEntry,
)
from routed.model.facts import FactKey, Facts, Link
from routed.model.ipvs import TimeoutMember, TimeoutSlot, TimeoutValue
from routed.model.net import ADDRESS_LENGTH, IPV4, IPV6, family_of, host_prefix, is_inside, network_of
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Hop,
    Ipip,
    Kind,
    LinkMember,
    LinkSlot,
    LinkValue,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
)
from routed.model.reasons import (
    Lack,
    LinkDown,
    LinkTaken,
    NoAddress,
    NoCarrier,
    NoIpv6,
    OffNetwork,
    Reason,
    TooOld,
    Unusable,
)

LOOPBACK: Final = 1  # the ifindex of lo, which takes IPv6 addresses even with disable_ipv6 (addrconf_add_dev)


def resolve_route(entry: RouteEntry, facts: Facts, protocol: int) -> Resolution:
    """A route: one set for each family, with what stands behind it."""
    found = _resolve_way(entry, facts, protocol)
    if not entry.append:
        return found
    behind = [replace(way, prefixes=entry.prefixes) for way in entry.append]
    return _put_behind(found, [_resolve_way(way, facts, protocol) for way in behind])


def _put_behind(found: Resolution, others: list[Resolution]) -> Resolution:
    """One list of those that can stand now, in their order; nothing while none of them can.

    What is as good is that list with all the legs that are there.
    """
    ways = (found, *others)
    sets = []
    for group, *behind in zip(*(way.sets for way in ways), strict=True):
        ready = [one for one in (group, *behind) if one.value is not None]
        lists = [tuple(one.value for one in ready), tuple((one.value, *one.also)[-1] for one in ready)]
        distinct = [tuple(dict.fromkeys(values)) for values in lists]  # the kernel takes none twice
        values = dict.fromkeys(first._replace(append=tuple(rest)) for first, *rest in filter(None, distinct))
        value, *also = values or (None,)
        sets.append(group._replace(value=value, also=tuple(also)))
    waiting = dict.fromkeys(one for way in ways for one in way.waiting)
    reads = frozenset[FactKey]().union(*(way.reads for way in ways))
    return found._replace(sets=tuple(sets), waiting=tuple(waiting), reads=reads)


def _resolve_way(entry: RouteEntry, facts: Facts, protocol: int) -> Resolution:
    src, without_source, reads = _resolve_source(entry, facts)
    waiting: list[Waiting] = []

    def value_of(family: int, hops: tuple[Hop, ...]) -> RouteValue:
        return RouteValue(
            type=entry.type,
            protocol=protocol,
            scope=_scope_of(entry, family, hops),
            hops=() if entry.nhid else _normalise_hops(hops),
            src=src,
            metrics=entry.metrics,
            lock=entry.lock,
            extra=entry.extra,
            nhid=entry.nhid,
        )

    sets = []
    for family, prefixes in entry.prefixes.items():
        metric = entry.metric or names.DEFAULT_METRIC[family]
        # a next hop object goes with the carrier (nh_netdev_event in net/ipv4/nexthop.c)
        present, ready, waits, hop_reads = resolve_hops(entry.hops, facts, family, needs_carrier=bool(entry.nhid))
        waiting += waits
        reads |= hop_reads
        is_ready = (bool(ready) or not entry.hops) and not without_source
        value = value_of(family, ready) if is_ready else None
        also = (value_of(family, present),) if value and len(present) > len(ready) and not entry.nhid else ()
        slot = RouteSlot(family, entry.table, metric, entry.tos, entry.source)
        sets.append(ObjectSet(Kind.ROUTE, slot, prefixes, value, also))
    waiting = list(dict.fromkeys(waiting + without_source))
    return Resolution(entry, tuple(sets), tuple(waiting), frozenset(reads))


def resolve_rule(entry: RuleEntry, facts: Facts, protocol: int) -> Resolution:
    """A rule: one for each family, and for each address of ``from = "@name"``.

    Interfaces stay names: the kernel itself binds them (net/core/fib_rules.c), but by an altname only once.
    """
    words = (entry.rule.iif, entry.rule.oif)
    reads = {fact for word in words if word for fact in list_reads(word, facts)}
    waiting = _wait(find_link(word, facts).why for word in words if is_reference(word) or is_altname(word))
    sources: dict[int, list[bytes]] = {family: [entry.rule.source] for family in entry.families}
    if entry.source_of:
        reads |= list_address_reads(entry.source_of, facts)
        link, why = find_link(f"@{entry.source_of}", facts)
        own = list_addresses(link, entry.families, facts) if link else []
        sources = {
            family: [host_prefix(fact.address) for fact in own if family_of(fact.address) == family]
            for family in entry.families
        }
        if link and not own:
            why = NoAddress(link.name, entry.source_of)
        waiting += _wait([why])
    if entry.rule.extra:
        numbers = split(entry.rule.extra).keys() & SINCE
        reads |= {FactKey(ATTRIBUTE, number) for number in numbers}
        waiting += _wait(TooOld(*SINCE[number]) for number in sorted(numbers & facts.unknown))
    if waiting:
        return Resolution(entry, (), tuple(waiting), frozenset(reads))
    sets = tuple(
        ObjectSet(
            Kind.RULE,
            RuleSlot(family),
            frozenset(_make_rule(entry, source, facts) for source in sources[family]),
            RuleValue(protocol, entry.extra),
        )
        for family in entry.families
        if sources[family]
    )
    return Resolution(entry, sets, (), frozenset(reads))


def _make_rule(entry: RuleEntry, source: bytes, facts: Facts) -> RuleMember:
    rule = entry.rule
    return rule._replace(source=source, iif=_name_link(rule.iif, facts), oif=_name_link(rule.oif, facts))


def _name_link(word: str, facts: Facts) -> str:
    link = find_link(word, facts).link if word else None
    return link.name if link else word


def resolve_address(entry: AddressEntry, facts: Facts, protocol: int) -> Resolution:
    """An address: nothing while its link does not exist."""
    reads = frozenset(list_reads(entry.dev, facts))
    link, why = find_link(entry.dev, facts)
    if link is None:
        return Resolution(entry, (), tuple(_wait([why])), reads)
    family = family_of(entry.address)
    value = AddressValue(
        protocol=protocol,
        scope=_address_scope(entry),
        flags=entry.flags,
        deprecated=entry.deprecated,
        peer=entry.peer,
        broadcast=entry.broadcast,
        label=(entry.label or link.name) if family == IPV4 else "",
        metric=entry.metric,
    )
    member = AddressMember(link.ifindex, entry.address, entry.prefixlen)
    found = value._replace(flags=value.flags & ~names.IFA_OPTIMISTIC)
    also = (found,) if found != value else ()
    group = ObjectSet(Kind.ADDRESS, AddressSlot(family), frozenset({member}), value, also)
    if family == IPV6 and not link.has_ipv6 and link.ifindex != LOOPBACK:
        return Resolution(entry, (group._replace(value=None),), (Waiting(NoIpv6(link.name, link.mtu)),), reads)
    missing = find_missing(entry, link, facts, protocol)
    return Resolution(entry, (group, *missing), (), reads | list_behind_reads(entry, link))


def resolve_held_vip(entry: HeldVipEntry, facts: Facts, protocol: int) -> Resolution:
    """A VIP held as an address: as any address, but behind the host's own."""
    found = resolve_address(entry, facts, protocol)
    link = find_link(entry.dev, facts).link
    if link is None or found.waiting:
        return found
    place, why = find_place(entry, link, facts)
    reads = found.reads | {FactKey("address", link.ifindex), FactKey("address", entry.address)}
    reads |= {FactKey("link", fact.dev) for fact in facts.addresses.values() if fact.address == entry.address}
    found = found._replace(note=find_other_lengths(entry, facts))
    group, *behind = found.sets
    match place:
        case Place.FREE:
            return found._replace(reads=reads)
        case Place.IN_FRONT:
            return found._replace(sets=(group._replace(is_in_front=True), *behind), reads=reads)
        case Place.BARRED:
            return Resolution(entry, (), tuple(_wait([why])), reads)
        case Place.STUCK:
            return Resolution(entry, (group._replace(value=None),), tuple(_wait([why])), reads)


def resolve_link(entry: LinkEntry, facts: Facts, protocol: int) -> Resolution:
    """A link that is made where it is not there. One of that kind that somebody else made is as good."""
    reads = frozenset({FactKey("link", entry.link)})
    standing = facts.link_named(entry.link)
    if standing and (standing.kind, standing.name) != (entry.kind, entry.link):
        return Resolution(entry, (), (Waiting(LinkTaken(entry.link, standing.kind)),), reads)
    value = LinkValue(protocol, entry.kind)
    members = frozenset({LinkMember(entry.link)})
    group = ObjectSet(Kind.LINK, LinkSlot(), members, value, (value._replace(protocol=0),))
    return Resolution(entry, (group,), (), reads)


def resolve_tunnel(entry: TunnelEntry, facts: Facts, protocol: int) -> Resolution:
    """A link as well. While ``local`` is no address of this host, what stands stays: it sends nothing from there."""
    found = resolve_link(entry, facts, protocol)
    local, without_local, reads = _resolve_own(entry.local, entry.local_of, "local", IPV4, facts)
    found = found._replace(reads=found.reads | reads)
    if found.waiting:
        return found
    (group,) = found.sets
    if without_local:
        return found._replace(sets=(group._replace(value=None, also=()),), waiting=tuple(without_local))
    data = Ipip(local, entry.mtu, entry.ttl, entry.pmtudisc)
    value, *also = (one._replace(data=data) for one in (group.value, *group.also))
    return found._replace(sets=(group._replace(value=value, also=tuple(also)),))


def resolve_timeouts(entry: TimeoutsEntry, _facts: Facts, protocol: int) -> Resolution:
    """Those that are written, each an object of its own."""
    sets = (
        ObjectSet(Kind.TIMEOUT, TimeoutSlot(), frozenset({TimeoutMember(word)}), TimeoutValue(protocol, seconds))
        for word, seconds in entry.timeouts
    )
    return Resolution(entry, tuple(sets))


def resolve_hops(
    specs: tuple[HopSpec, ...], facts: Facts, family: int, *, needs_carrier: bool = False
) -> tuple[tuple[Hop, ...], tuple[Hop, ...], list[Waiting], set[FactKey]]:
    """The hops whose link exists, those whose link is up as well, what is waited for, and the facts read."""
    present: list[Hop] = []
    ready: list[Hop] = []
    waiting: list[Waiting] = []
    reads: set[FactKey] = set()
    for spec in specs:
        reads |= list_reads(spec.dev, facts) if spec.dev else list_gateway_reads(spec.via, facts)
        link = _link_of(spec, facts)
        if link is None:
            why = _why_no_link(spec, facts)
            waiting += _wait([why])
            reads |= set() if spec.dev else _list_reads_of_why(spec.via, facts)
            continue
        hop = Hop(link.ifindex, spec.via, spec.weight, spec.onlink, spec.extra)
        present.append(hop)
        why = _why_not_ready(
            link, is_ipv6=family == IPV6 or len(spec.via) == ADDRESS_LENGTH[IPV6], needs_carrier=needs_carrier
        )
        if why is None:
            ready.append(hop)
        waiting += _wait([why])
    return tuple(present), tuple(ready), waiting, reads


def _why_not_ready(link: Link, *, is_ipv6: bool, needs_carrier: bool) -> Reason | None:
    if not link.is_up:
        return LinkDown(link.name)
    if needs_carrier and not link.has_carrier:
        return NoCarrier(link.name)
    return NoIpv6(link.name, link.mtu) if is_ipv6 and not link.has_ipv6 else None


def _link_of(spec: HopSpec, facts: Facts) -> Link | None:
    if spec.dev:
        return find_link(spec.dev, facts).link
    return find_link_towards(spec.via, facts)


def _why_no_link(spec: HopSpec, facts: Facts) -> Reason | None:
    if spec.dev:
        return find_link(spec.dev, facts).why
    near = (address for address in facts.addresses.values() if len(address.address) == len(spec.via))
    for address in near:
        link = facts.links.get(address.dev)
        if link and not link.is_up and is_inside(spec.via, network_of(address.address, address.prefixlen)):
            return LinkDown(link.name, spec.via)
    return OffNetwork(spec.via)


def _list_reads_of_why(gateway: bytes, facts: Facts) -> set[FactKey]:
    """What tells why a gateway is on no link: the addresses, and the links of those in whose network it is."""
    near = (one for one in facts.addresses.values() if len(one.address) == len(gateway))
    links = {one.dev for one in near if is_inside(gateway, network_of(one.address, one.prefixlen))}
    return {FactKey("address", ""), *(FactKey("link", dev) for dev in links)}


def _resolve_source(entry: RouteEntry, facts: Facts) -> tuple[bytes, list[Waiting], set[FactKey]]:
    """The preferred source of a route, why it has to wait for it, and the facts read."""
    if entry.is_src_routed:
        return entry.src, [], set()
    near = next((hop.via for hop in entry.hops if hop.via), b"")
    found = _resolve_own(entry.src, entry.src_of, "src", min(entry.prefixes, default=IPV4), facts, near)
    if found[1] and len(entry.src) == ADDRESS_LENGTH[IPV4]:
        reads = found[2] | {FactKey("link", LOOPBACK), FactKey("address", LOOPBACK)}
        return entry.src, [] if _is_of_loopback(entry.src, facts) else found[1], reads
    return found


def _is_of_loopback(address: bytes, facts: Facts) -> bool:
    """Every IPv4 address of a network of lo is one of this host (fib_add_ifaddr in net/ipv4/fib_frontend.c)."""
    link = facts.links.get(LOOPBACK)
    return bool(link and link.name == "lo" and link.is_up) and any(
        is_inside(address, network_of(one.address, one.prefixlen))
        for one in facts.addresses.values()
        if one.dev == LOOPBACK and len(one.address) == len(address)
    )


def _resolve_own(
    address: bytes, selector: str, word: str, family: int, facts: Facts, near: bytes = b""
) -> tuple[bytes, list[Waiting], set[FactKey]]:
    """The address of this host that a ``word`` of the file means, why it has to be waited for, and the facts read."""
    reads = set[FactKey]()
    why: Reason | None = None
    if selector:
        address, why = find_address(selector, family, facts, near)
        reads |= list_address_reads(selector, facts)
    if address:
        reads.add(FactKey("address", address))
        return address, _waits_for_own(address, word, facts), reads
    return address, _wait([why]), reads


def _waits_for_own(address: bytes, word: str, facts: Facts) -> list[Waiting]:
    holders = [fact for fact in facts.addresses.values() if fact.address == address]
    if not holders:
        return [Waiting(Unusable(address, word, Lack.ABSENT))]
    if all(fact.has_failed_dad or fact.is_tentative for fact in holders):
        lack = Lack.FAILED_DAD if holders[0].has_failed_dad else Lack.TENTATIVE
        return [Waiting(Unusable(address, word, lack))]
    return []


def _wait(reasons: Iterable[Reason | None]) -> list[Waiting]:
    return [Waiting(reason) for reason in reasons if reason is not None]


def _normalise_hops(hops: tuple[Hop, ...]) -> tuple[Hop, ...]:
    """As the kernel reads them back: in their order, and without a weight where there is but one."""
    return (hops[0]._replace(weight=1),) if len(hops) == 1 else hops


def _scope_of(entry: RouteEntry, family: int, hops: tuple[Hop, ...]) -> int:
    """The scope that ``ip route`` would choose (iproute2, ip/iproute.c, iproute_modify)."""
    if family == IPV6:
        return names.UNIVERSE
    if entry.scope is not None:
        return entry.scope
    if entry.type == names.LOCAL:
        return names.HOST
    if entry.type in names.CAST_TYPES:
        return names.LINK
    is_onlink = entry.type == names.UNICAST and len(hops) == 1 and not hops[0].gateway and not entry.nhid
    return names.LINK if is_onlink else names.UNIVERSE


def _address_scope(entry: AddressEntry) -> int:
    """The scope of an address: the kernel's own for IPv6 (ipv6_addr_scope), that of ``ip address add`` for IPv4."""
    if family_of(entry.address) == IPV4:
        if entry.scope is not None:
            return entry.scope
        return names.HOST if entry.address[0] == 127 else names.UNIVERSE
    if entry.address == bytes(15) + b"\x01":
        return names.HOST
    is_link_local = entry.address[0] == 0xFE and entry.address[1] & 0xC0 == 0x80
    return names.LINK if is_link_local else names.UNIVERSE
