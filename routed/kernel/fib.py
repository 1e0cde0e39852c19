"""All by which the kernel decides about a packet, read from it at one time; and its own answers to compare with.

Whole tables are read, of all protocols, but only the routes that are for the addresses in question are decoded: of a
million others it costs no more than a look at each. Here must never live: which route decides (``core.lookup``).
Sources: include/uapi/linux/rtnetlink.h, if_link.h, neighbour.h; fib_nexthop_info in net/ipv4/fib_semantics.c, which
also marks as dead what a link without carrier makes unusable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final, Self

from routed.kernel import dump, lookup
from routed.kernel.codec import messages
from routed.kernel.codec.address import decode_address, dump_addresses
from routed.kernel.codec.attributes import HEADER_SIZE, MalformedMessage, head, number, text, walk
from routed.kernel.codec.link import LINKS_REQUEST, PROPERTIES, read_altnames, read_vrf_table
from routed.kernel.codec.route import DST_AT, DST_HEADS, DST_LEN_AT, HEAD, decode_route, dump_routes
from routed.kernel.codec.rule import decode_rule, dump_rules
from routed.kernel.requests import RequestSocket
from routed.model.fib import Entrance, Fib, FibAddress, FibLink, FibRoute, FibRule, index_routes
from routed.model.lookup import Decision, Question, Sent
from routed.model.net import ADDRESS_LENGTH, IPV4, IPV6, network_of
from routed.model.objects import Kind, Scope

SYSCTLS: Final = Path("/proc/sys/net")  # of the namespace of whoever reads it

_GET_LINK, _GET_ADDRESS, _GET_ROUTE, _GET_NEIGHBOUR, _GET_RULE = 18, 22, 26, 30, 34  # RTM_GET*
_LINK_HEAD: Final = Struct("=BBHiII")
_NAME, _MASTER, _LINKINFO, _GROUP = 3, 10, 18, 27
_NEIGHBOUR_HEAD: Final = Struct("=BBHiHBB")  # family, padding, padding, ifindex, state, flags, type
_NEIGHBOUR: Final = 1  # NDA_DST
_FAILED: Final = 0x20  # NUD_FAILED
_UP: Final = 0x1  # IFF_UP
_DEAD: Final = 0x1  # RTNH_F_DEAD
_MULTIPATH, _CACHEINFO, _PREF = 9, 12, 20
_LEG: Final = Struct("=HBBi")  # struct rtnexthop
_EXPIRES: Final = Struct("=8xi")  # rta_expires of struct rta_cacheinfo; below zero it is over
_PREFERENCES: Final = {1: 1, 3: -1}  # ICMPV6_ROUTER_PREF_*; every other counts as medium


class FibReader:
    """Reads in the namespace of the thread that opens it. Raises OSError throughout."""

    def __init__(self) -> None:
        self._requests = RequestSocket()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._requests.close()

    def read(self, families: Iterable[int], addresses: Collection[bytes] | None = None, entrance: str = "") -> Fib:
        """Rules and tables of these families, of the tables only what is for one of these addresses if they are named.

        ``entrance`` is the link by which a packet comes in.
        """
        families = tuple(families)
        links = dict(self._read_links())
        own = [one for family in families for one in self._read_own(family)]
        of_ipv4 = tuple(one for one in own if len(one.address) == ADDRESS_LENGTH[IPV4])
        forwards = _read_sysctl("ipv6", "all", "forwarding") != 0
        routes = [route for family in families for route in self._read_routes(family, addresses)]
        is_ipv6_asked = IPV6 in families and not forwards
        fib = Fib(links=links)
        entrance = fib.find_name(entrance)
        has_address = entrance in links and any(one.dev == links[entrance].ifindex for one in of_ipv4)
        return replace(
            fib,
            rules=tuple(rule for family in families for rule in self._read_rules(family)),
            tables=index_routes(routes),
            own=frozenset(one.address for one in own),
            addresses=of_ipv4,
            is_merged=IPV4 in families and lookup.has_merged_tables(self._requests, [one.address for one in own]),
            forwards_ipv6=forwards,
            silent=frozenset(self._read_silent()) if is_ipv6_asked else frozenset(),
            entrances={entrance: _read_entrance(entrance, has_address=has_address)} if entrance else {},
        )

    def list_link_names(self) -> Iterator[str]:
        """The names and altnames of all links."""
        for name, link in self._read_links():
            yield from (name, *link.altnames)

    def find_winner(self, question: Question, fib: Fib) -> Decision:
        """The route by which the kernel itself says that it would send this packet (RTM_F_FIB_MATCH)."""
        return lookup.find_winner(self._requests, question, _number_links(fib))

    def find_way(self, question: Question, fib: Fib) -> Sent:
        """How the kernel itself says that it would send this packet."""
        return lookup.find_way(self._requests, question, _number_links(fib))

    def _read(self, type_: int, body: bytes) -> Iterator[tuple[bytes, int, int]]:
        for datagram in dump.read_raw(self._requests, type_, body):
            for _, _, start, end in messages(datagram):
                yield datagram, start, end

    def _read_links(self) -> Iterator[tuple[str, FibLink]]:
        for data, start, end in self._read(_GET_LINK, LINKS_REQUEST):
            _, _, _, ifindex, flags, _ = head(_LINK_HEAD, data, start + HEADER_SIZE, end)
            attributes = walk(data, start + HEADER_SIZE + _LINK_HEAD.size, end)
            group, master = (number(attributes.get(one, bytes(4))) for one in (_GROUP, _MASTER))
            name = text(attributes.get(_NAME, b""))
            info = attributes.get(_LINKINFO, b"")
            table = read_vrf_table(walk(info, 0, len(info)))
            properties = attributes.get(PROPERTIES, b"")
            altnames = read_altnames(properties) if properties else ()
            yield name, FibLink(ifindex, group, master, table, is_up=bool(flags & _UP), altnames=altnames)

    def _read_own(self, family: int) -> Iterator[FibAddress]:
        for data, start, end in self._read(_GET_ADDRESS, dump_addresses(Scope(Kind.ADDRESS, family))):
            decoded = decode_address(data, start, end)
            if decoded is not None:
                (_, _, value), fact = decoded
                yield FibAddress(fact.dev, fact.address, fact.prefixlen, fact.scope, value.peer)

    def _read_rules(self, family: int) -> Iterator[FibRule]:
        for data, start, end in self._read(_GET_RULE, dump_rules(Scope(Kind.RULE, family))):
            standing = decode_rule(data, start, end)
            if standing is not None:
                yield FibRule(*standing)  # type: ignore[arg-type]  # a rule

    def _read_routes(self, family: int, addresses: Collection[bytes] | None) -> Iterator[FibRoute]:
        networks = [
            [network_of(one, length)[:-1] for length in range(len(one) * 8 + 1)]
            for one in addresses or ()
            if len(one) == ADDRESS_LENGTH[family]
        ]
        for data, start, end in self._read(_GET_ROUTE, dump_routes(Scope(Kind.ROUTE, family))):
            if addresses is None or _is_for_any(data, start, end, networks):
                route = decode_fib_route(data, start, end)
                if route is not None:
                    yield route

    def _read_silent(self) -> Iterator[tuple[int, bytes]]:
        body = _NEIGHBOUR_HEAD.pack(IPV6, 0, 0, 0, 0, 0, 0)
        for data, start, end in self._read(_GET_NEIGHBOUR, body):
            _, _, _, ifindex, state, _, _ = head(_NEIGHBOUR_HEAD, data, start + HEADER_SIZE, end)
            if state & _FAILED:
                yield ifindex, walk(data, start + HEADER_SIZE + _NEIGHBOUR_HEAD.size, end).get(_NEIGHBOUR, b"")


def decode_fib_route(data: bytes, start: int, end: int) -> FibRoute | None:
    """One route with its state, from its netlink header at ``start``. None for what is none, or is over.

    Raises MalformedMessage.
    """
    standing = decode_route(data, start, end)
    if standing is None:
        return None
    attributes = walk(data, start + HEADER_SIZE + HEAD.size, end)
    if (cache := attributes.get(_CACHEINFO, b"")) and _EXPIRES.unpack_from(cache)[0] < 0:
        return None
    if (legs := attributes.get(_MULTIPATH)) is not None:
        dead = frozenset(_list_dead(legs))
    else:
        flags = head(HEAD, data, start + HEADER_SIZE, end)[-1]
        dead = frozenset({0} if flags & _DEAD else ())
    preference = _PREFERENCES.get((attributes.get(_PREF) or b"\0")[0], 0)
    return FibRoute(*standing, dead, preference)  # type: ignore[arg-type]  # a route


def _list_dead(legs: bytes) -> Iterator[int]:
    start = place = 0
    while start < len(legs):
        length, flags, _, _ = head(_LEG, legs, start, len(legs))
        if length < _LEG.size:
            raise MalformedMessage(f"a next hop claims {length} bytes")
        if flags & _DEAD:
            yield place
        start, place = start + ((length + 3) & ~3), place + 1


def _is_for_any(data: bytes, start: int, end: int, networks: Sequence[Sequence[bytes]]) -> bool:
    """Is a route, still packed, for an address of which these are the networks, by their length?

    Of another layout than the usual one, and of a default route, yes: that is looked at later.
    """
    length, at = data[start + DST_LEN_AT], start + DST_AT
    for those in networks:
        width = len(those[0])
        if not length or at + width > end or data[at - 4 : at] != DST_HEADS[width]:
            return True
        if length < len(those) and data[at : at + width] == those[length]:
            return True
    return False


def _number_links(fib: Fib) -> dict[str, int]:
    return {name: link.ifindex for name, link in fib.links.items()}


def _read_entrance(link: str, *, has_address: bool) -> Entrance:
    def read(name: str) -> int:
        return _read_sysctl("ipv4", link, name)

    def read_both(name: str) -> int:
        return max(read(name), _read_sysctl("ipv4", "all", name))

    return Entrance(
        forwards=bool(read("forwarding")),
        rp_filter=read_both("rp_filter"),
        accepts_local=bool(read_both("accept_local")),
        uses_mark=bool(read_both("src_valid_mark")),
        takes_loopback=bool(read_both("route_localnet")),
        has_address=has_address,
        sends_redirects=bool(read_both("send_redirects")),
    )


def _read_sysctl(family: str, link: str, name: str) -> int:
    """One setting of a link; 0 where it cannot be read."""
    try:
        return int(SYSCTLS.joinpath(family, "conf", link, name).read_bytes())
    except (OSError, ValueError):
        return 0
