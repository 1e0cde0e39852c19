"""What the files ask of the host beyond its links and addresses: which questions the kernel floor has to answer.

Only what is asked for is looked up, so that a file of plain routes costs nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from routed.core.vip import find_beside
from routed.model.entries import Entry, HeldVipEntry, How, RouteEntry, Selector, VipEntry, When
from routed.model.net import DEFAULT, network_of


@dataclass(frozen=True, slots=True)
class Needs:
    """The questions of one entry, or of one intent."""

    gateways: frozenset[bytes] = frozenset()  # whose link is asked for
    destinations: frozenset[bytes] = frozenset()  # addresses whose way is asked for
    vips: tuple[VipEntry, ...] = ()
    has_default_routes: bool = False
    has_drivers: bool = False
    service_addresses: frozenset[bytes] = frozenset()
    watched: frozenset[bytes] = frozenset()  # prefixes: a route to one of them changes an answer; of all together only


_NOTHING = Needs()


def need_nothing(_entry: Entry) -> Needs:
    """Links and addresses are enough."""
    return _NOTHING


def need_gateways(entry: RouteEntry) -> Needs:
    """Where the operator named no link, the kernel is asked on which one the gateway is."""
    gateways = [hop.via for hop in entry.hops if hop.via and not hop.dev]
    return Needs(gateways=frozenset(gateways)) if gateways else _NOTHING


def need_own_address(entry: HeldVipEntry) -> Needs:
    """It never stands for the host itself."""
    return Needs(service_addresses=frozenset({entry.address}))


def need_way(entry: VipEntry) -> Needs:
    """Its condition, and the proof that the kernel follows its route."""
    address = entry.prefix[:-1]
    beside = {find_beside(entry.prefix)} - {b""} if entry.when is When.SOURCE_DIFFERS else set()
    return Needs(
        destinations=frozenset({address} | beside),
        vips=(entry,),
        has_default_routes=entry.when is When.NOT_DEFAULT,
        service_addresses=frozenset({address}),
    )


def need_for_selectors(selectors: Iterable[Selector]) -> Needs:
    """How interfaces are recognised."""
    matchers = [matcher for selector in selectors for matcher in selector.match]
    hows = {matcher.how for matcher in matchers}
    return Needs(
        destinations=frozenset(matcher.packed for matcher in matchers if matcher.how is How.CAN_REACH),
        has_default_routes=How.DEFAULT in hows,
        has_drivers=How.DRIVER in hows,
    )


def join_needs(parts: Sequence[Needs]) -> Needs:
    """All of them together."""
    asking = [part for part in parts if part is not _NOTHING]
    destinations = frozenset().union(*(part.destinations for part in asking))
    has_default_routes = any(part.has_default_routes for part in asking)
    zeros = {prefix[:-1] for prefix in DEFAULT.values()} if has_default_routes else set()
    return Needs(
        gateways=frozenset().union(*(part.gateways for part in asking)),
        destinations=destinations,
        vips=tuple(vip for part in asking for vip in part.vips),
        has_default_routes=has_default_routes,
        has_drivers=any(part.has_drivers for part in asking),
        service_addresses=frozenset().union(*(part.service_addresses for part in asking)),
        watched=frozenset(
            network_of(address, length)
            for address in destinations | zeros
            for length in range(len(address) * 8 + 1)
        ),
    )  # fmt: skip
