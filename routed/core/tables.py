"""One table: which of its routes the kernel takes for a packet.

Here must never live: rules, or what follows from the answer (``core.lookup``).
Sources: fib_table_lookup and fib_lookup_good_nhc in net/ipv4; fib6_node_lookup, fib6_backtrack, find_rr_leaf and
rt6_score_route in net/ipv6. Each was tried against Linux 6.18.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from routed.core.rules import DEAD_ENDS
from routed.model import names
from routed.model.fib import Fib, FibRoute
from routed.model.lookup import Flow
from routed.model.net import IPV4, family_of, is_inside, network_of
from routed.model.objects import Hop

TOS_OF_ROUTES: Final = 0x1C  # the bits of the tos by which IPv4 tells routes and rules (IPTOS_RT_MASK)
LOOPBACK: Final = 1  # the ifindex of lo
LEADS_NOWHERE: Final = frozenset({*DEAD_ENDS, names.THROW})

Prefixes = Mapping[bytes, Sequence[FibRoute]]


class Packet(NamedTuple):
    """A packet as a table sees it."""

    destination: bytes
    source: bytes  # of IPv4 zeros where none is chosen yet
    tos: int
    oif: int  # the ifindex to which it is bound, or for IPv6 by which it came in; 0: none
    is_strict: bool = False  # IPv6: does nothing but this link do?
    needs_answer: bool = False  # IPv6: is a gateway that is silent passed over?


class TableAnswer(NamedTuple):
    """What a table says."""

    route: FibRoute | None = None
    places: tuple[int, ...] = ()  # of its hops that can be used
    unusable: FibRoute | None = None  # the first that would have been it, if anything could go by it
    unseen: tuple[FibRoute, ...] = ()  # IPv6: see ``_list_nodes``

    @property
    def hops(self) -> tuple[Hop, ...]:
        """By which the packet may go."""
        return tuple(self.route.value.hops[place] for place in self.places) if self.route else ()


def is_multicast(address: bytes) -> bool:
    """Is it an address of a group?"""
    return address[0] >> 4 == 0xE if len(address) == 4 else address[0] == 0xFF


def is_for_several(address: bytes) -> bool:
    """IPv4: is it for a group, or for everybody on a link? The kernel says so of its route as well."""
    return len(address) == 4 and (is_multicast(address) or address == b"\xff" * 4)


def needs_link(address: bytes) -> bool:
    """IPv6: is it an address that means something on one link only? As rt6_need_strict has it."""
    is_link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80
    return is_multicast(address) or is_link_local or address == (1).to_bytes(16, "big")


def list_covering(table: Prefixes, address: bytes) -> Iterator[Sequence[FibRoute]]:
    """The routes of each prefix that holds this address, the longest first."""
    for length in range(len(address) * 8, -1, -1):
        if routes := table.get(network_of(address, length)):
            yield routes


def look_in_table(fib: Fib, table: int, packet: Packet) -> TableAnswer:
    """The route of one table, and the hops by which the packet may go; nothing where the next rule is to be asked."""
    family = family_of(packet.destination)
    if family != IPV4:
        return _look_in_table6(fib, fib.tables.get((family, table), {}), packet)
    tables = (names.TABLE_LOCAL, names.TABLE_MAIN) if fib.is_merged and table in _MERGED else (table,)
    return _look_in_table4([fib.tables.get((family, one), {}) for one in tables], packet)


_MERGED: Final = frozenset({names.TABLE_LOCAL, names.TABLE_MAIN})


def _look_in_table4(tables: Sequence[Prefixes], packet: Packet) -> TableAnswer:
    unusable: FibRoute | None = None
    address = packet.destination
    for length in range(len(address) * 8, -1, -1):
        prefix = network_of(address, length)
        for route in (route for table in tables for route in table.get(prefix, ())):
            if route.slot.tos and route.slot.tos != packet.tos & TOS_OF_ROUTES:
                continue
            if route.value.type in LEADS_NOWHERE:
                return TableAnswer(route, unusable=unusable)
            if places := _list_usable(route, packet.oif):
                return TableAnswer(route, places, unusable)
            unusable = unusable or route
    return TableAnswer(unusable=unusable)


def _list_usable(route: FibRoute, oif: int) -> tuple[int, ...]:
    """The places of the hops by which something can go, to this link if one is named."""
    hops = enumerate(route.value.hops)
    return tuple(place for place, hop in hops if place not in route.dead and (not oif or hop.dev == oif))


# --- IPv6 -----------------------------------------------------------------------------------------------------------


def _look_in_table6(fib: Fib, table: Prefixes, packet: Packet) -> TableAnswer:
    nodes, unseen = _list_nodes(table, packet)
    unusable: FibRoute | None = None
    for needs_answer in (True, False) if packet.needs_answer else (False,):
        for node in nodes:
            found = _select(fib, node, packet._replace(needs_answer=needs_answer))
            if found.route is not None:
                return found._replace(unusable=unusable, unseen=unseen)
            unusable = unusable or node[0]
    return TableAnswer(unusable=unusable, unseen=unseen)


def _list_nodes(table: Prefixes, packet: Packet) -> tuple[list[list[FibRoute]], tuple[FibRoute, ...]]:
    """The routes of each node of the tree in which the kernel looks, in its order; and those that it does not see.

    Where routes with a source stand at a prefix and none of them is for this packet, the search goes on with a shorter
    prefix, and leaves out the routes without a source at that very one. They are looked at only on the way back from a
    longer one. The default route is the exception (fib6_node_lookup_1, fib6_backtrack).
    """
    nodes: list[list[FibRoute]] = []
    unseen: list[FibRoute] = []
    for routes in list_covering(table, packet.destination):
        plain = [route for route in routes if not route.slot.source]
        with_source = [route for route in routes if route.slot.source]
        fitting = [route for route in with_source if is_inside(packet.source, route.slot.source)]
        lengths = sorted({route.slot.source[-1] for route in fitting}, reverse=True)
        nodes += [[route for route in fitting if route.slot.source[-1] == length] for length in lengths]
        if plain and with_source and not nodes and plain[0].prefix[-1]:
            unseen += plain
        elif plain:
            nodes.append(plain)
    return nodes, tuple(unseen)


class _Leg(NamedTuple):
    """One hop of one route: to IPv6 each is a route of its own."""

    route: FibRoute
    place: int
    hop: Hop


def _select(fib: Fib, node: Sequence[FibRoute], packet: Packet) -> TableAnswer:
    """The best of one node: of the lowest metric the one with the highest score; else the best of all the others."""
    legs = [leg for route in node for leg in _list_legs(route)]
    lowest = legs[0].route.slot.metric if legs else 0
    for is_lowest in (True, False):
        best, most = None, -1
        for leg in legs:
            score = _score(fib, leg, packet) if (leg.route.slot.metric == lowest) is is_lowest else None
            if score is not None and score > most:
                best, most = leg.route, score
        if best is not None:
            places = (leg.place for leg in _list_legs(best) if _score(fib, leg, packet) is not None)
            return TableAnswer(best, () if best.value.type in LEADS_NOWHERE else tuple(places))
    return TableAnswer()


def _list_legs(route: FibRoute) -> list[_Leg]:
    hops = (Hop(LOOPBACK),) if route.value.type in LEADS_NOWHERE else route.value.hops
    return [_Leg(route, place, hop) for place, hop in enumerate(hops)]


def _score(fib: Fib, leg: _Leg, packet: Packet) -> int | None:
    """How much the kernel likes it; None for what it does not take."""
    route, place, hop = leg
    if place in route.dead:
        return None
    is_on_link = not packet.oif or hop.dev == packet.oif
    if not is_on_link and packet.is_strict:
        return None
    if packet.needs_answer and hop.gateway and (hop.dev, hop.gateway) in fib.silent:
        return None
    return (2 + route.preference) * 4 + 2 * is_on_link


def make_packet(fib: Fib, destination: bytes, flow: Flow) -> Packet:
    """The packet as the tables of its family see it."""
    family = family_of(destination)
    link = fib.links.get(flow.oif)
    oif = link.ifindex if link and not link.table else 0  # bound to a VRF it may leave by any link of that
    if family == IPV4:
        return Packet(destination, flow.source or bytes(4), flow.tos, 0 if flow.iif else oif)
    incoming = fib.links.get(flow.iif)
    if flow.iif:
        oif = incoming.ifindex if incoming else 0
    is_strict = needs_link(destination) or bool(oif and not flow.iif and not flow.source)
    return Packet(destination, flow.source or bytes(16), flow.tos, oif, is_strict, not fib.forwards_ipv6)
