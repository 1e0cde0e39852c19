"""What the files ask of the host beyond its links: which questions the kernel floor, and other sources, have to answer.

Only what is asked for is looked up, so that a file of plain routes costs nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from routed.core.behind import list_prefixes
from routed.core.vip import find_beside
from routed.model.attributes import SINCE, split
from routed.model.entries import (
    AddressEntry,
    Entry,
    HeldVipEntry,
    How,
    NexthopEntry,
    RouteEntry,
    RuleEntry,
    Selector,
    TunnelEntry,
    VipEntry,
    When,
)
from routed.model.facts import FactKey
from routed.model.net import DEFAULT, network_of


@dataclass(frozen=True, slots=True)
class Needs:
    """The questions of one entry, or of one intent."""

    gateways: AbstractSet[bytes] = frozenset()  # whose link is asked for
    destinations: frozenset[bytes] = frozenset()  # addresses whose way is asked for
    vips: tuple[VipEntry, ...] = ()
    held: tuple[HeldVipEntry, ...] = ()  # VIPs held as addresses
    has_addresses: bool = False
    has_selectors: bool = False
    has_default_routes: bool = False
    has_drivers: bool = False
    has_parts: bool = False  # that the operator may drain
    attributes: frozenset[int] = frozenset()  # of rules, of which old kernels know nothing
    service_addresses: frozenset[bytes] = frozenset()
    facts: frozenset[FactKey] = frozenset()  # that sources deliver
    behind: frozenset[bytes] = frozenset()  # destinations of the routes that stand behind the addresses of the files
    watched: frozenset[bytes] = frozenset()  # prefixes: a route to one of them changes an answer; of all together only


NOTHING_NEEDED = Needs()


def need_nothing(_entry: Entry) -> Needs:
    """Links are enough."""
    return NOTHING_NEEDED


def need_for_route(entry: RouteEntry) -> Needs:
    """Where its next hops are. Without an address of the host the kernel takes no ``src``."""
    needs = need_for_nexthop(entry)
    has_source = any(way.src or way.src_of for way in entry.ways)
    return replace(needs, has_addresses=True) if has_source else needs


def need_for_nexthop(entry: RouteEntry | NexthopEntry) -> Needs:
    """Where the operator named no link, the kernel is asked on which one the gateway is.

    Without an address of the host the kernel reaches no gateway.
    """
    hops = entry.every_hop
    if not any(hop.via for hop in hops):
        return NOTHING_NEEDED
    return Needs(gateways=frozenset(hop.via for hop in hops if hop.via and not hop.dev), has_addresses=True)


def need_for_rule(entry: RuleEntry) -> Needs:
    """``from = "@name"`` is an address of the host, and some words old kernels know nothing of."""
    asked = split(entry.rule.extra).keys() & SINCE if entry.rule.extra else frozenset()
    if not entry.source_of and not asked:
        return NOTHING_NEEDED
    return Needs(has_addresses=bool(entry.source_of), attributes=frozenset(asked))


def need_for_tunnel(_entry: TunnelEntry) -> Needs:
    """``local`` is an address of the host."""
    return Needs(has_addresses=True)


def need_behind(entry: AddressEntry) -> Needs:
    """An address is of no use without the routes that the kernel makes for it."""
    return Needs(has_addresses=True, behind=list_prefixes(entry))


def need_own_address(entry: HeldVipEntry) -> Needs:
    """The same, and that it never stands for the host itself."""
    return replace(need_behind(entry), service_addresses=frozenset({entry.address}), held=(entry,))


def need_way(entry: VipEntry) -> Needs:
    """Its condition, and the proof that the kernel follows its route."""
    address = entry.prefix[:-1]
    beside = {find_beside(entry.prefix)} - {b""} if entry.when is When.SOURCE_DIFFERS else set()
    return Needs(
        destinations=frozenset({address} | beside),
        vips=(entry,),
        has_addresses=True,
        has_default_routes=entry.when is When.NOT_DEFAULT,
        service_addresses=frozenset({address}),
    )


def need_for_selectors(selectors: Iterable[Selector]) -> Needs:
    """How interfaces are recognised."""
    selectors = list(selectors)
    matchers = [matcher for selector in selectors for matcher in selector.match]
    hows = {matcher.how for matcher in matchers}
    return Needs(
        gateways=frozenset(m.packed for m in matchers if m.how is How.CAN_REACH and not m.through_gateway),
        destinations=frozenset(matcher.packed for matcher in matchers if matcher.how is How.CAN_REACH),
        has_addresses=How.CIDR in hows,
        has_selectors=bool(selectors),
        has_default_routes=How.DEFAULT in hows,
        has_drivers=How.DRIVER in hows,
    )


def join_needs(parts: Sequence[Needs]) -> Needs:
    """All of them together."""
    asking = [part for part in parts if part is not NOTHING_NEEDED]
    destinations = frozenset().union(*(part.destinations for part in asking))
    has_default_routes = any(part.has_default_routes for part in asking)
    zeros = {prefix[:-1] for prefix in DEFAULT.values()} if has_default_routes else set()
    return Needs(
        gateways=frozenset().union(*(part.gateways for part in asking)),
        destinations=destinations,
        vips=tuple(vip for part in asking for vip in part.vips),
        held=tuple(vip for part in asking for vip in part.held),
        has_addresses=any(part.has_addresses for part in asking),
        has_parts=any(part.has_parts for part in asking),
        attributes=frozenset().union(*(part.attributes for part in asking)),
        has_selectors=any(part.has_selectors for part in asking),
        has_default_routes=has_default_routes,
        has_drivers=any(part.has_drivers for part in asking),
        service_addresses=frozenset().union(*(part.service_addresses for part in asking)),
        behind=frozenset().union(*(part.behind for part in asking)),
        facts=frozenset().union(*(part.facts for part in asking)),
        watched=frozenset(
            network_of(address, length)
            for address in destinations | zeros
            for length in range(len(address) * 8 + 1)
        ),
    )  # fmt: skip
