"""The address that Kubernetes takes for this host's: ChooseHostInterface, as a pure function of routes and facts.

Source: k8s.io/apimachinery pkg/util/net/interface.go. That function reads /proc/net/route and /proc/net/ipv6_route;
here the same routes come from a dump, in the same order (fib_route_seq_show and fn_trie_dump_leaf walk one trie,
inet6's proc file and dump one hash of tables). Its ways are kept to the letter, the odd ones too. Here must never
live: a better idea of what a host's address is.

One thing differs: of an IPv4 route with several next hops the proc file shows the first, and here it is the one on the
lowest ifindex, since that is how the model keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from routed.model.facts import FactKey, Facts
from routed.model.names import TABLE_MAIN
from routed.model.net import FAMILIES, IPV4, family_of, host_prefix, is_inside, parse_prefix
from routed.model.objects import RouteSlot, RouteValue, Standing
from routed.model.reasons import NoHostAddress

LOOPBACK: Final = 1  # LOOPBACK_IFINDEX, include/net/flow.h: in every network namespace, whatever its name
# Route types that /proc/net/route leaves out (fib_route_seq_show): broadcast and multicast.
_NOT_SHOWN: Final = frozenset({3, 5})
# What Go's net.IP.IsGlobalUnicast is not. Private ranges count as global.
_NOT_GLOBAL: Final = (
    host_prefix(bytes(4)),
    parse_prefix("127.0.0.0/8"),
    parse_prefix("169.254.0.0/16"),
    parse_prefix("224.0.0.0/4"),
    parse_prefix("255.255.255.255"),
    parse_prefix("::"),
    parse_prefix("::1"),
    parse_prefix("fe80::/10"),
    parse_prefix("ff00::/8"),
)


class DefaultRoute(NamedTuple):
    """One line of the proc file that ChooseHostInterface takes for a default route."""

    family: int
    dev: int  # ifindex; 0: the route has no interface, as an unreachable one


class NoHostAddressError(Exception):
    """ChooseHostInterface finds no address; ``reason`` says why."""

    def __init__(self, reason: NoHostAddress) -> None:
        super().__init__(reason)
        self.reason = reason


def find_default_routes(standings: Iterable[Standing]) -> Iterator[DefaultRoute]:
    """The default routes of one family's dump, in its order: of table main for IPv4, of all tables for IPv6.

    As in ChooseHostInterface a destination of zero is enough: the mask is ignored, so 0.0.0.0/1 of a VPN counts and
    comes before the real default; so are metric, flags and the source prefix of an IPv6 route (``from``), which the
    proc file shows and nobody reads. An IPv6 route without a gateway does not count.
    """
    for standing in standings:
        slot, prefix, value = standing
        assert isinstance(slot, RouteSlot)
        assert isinstance(prefix, bytes)
        assert isinstance(value, RouteValue)
        if any(prefix[:-1]):
            continue
        if slot.family != IPV4:
            yield from (DefaultRoute(slot.family, hop.dev) for hop in value.hops if hop.gateway)
        elif slot.table == TABLE_MAIN and value.type not in _NOT_SHOWN:
            yield DefaultRoute(slot.family, value.hops[0].dev if value.hops else 0)


def choose_host_address(routes: Sequence[DefaultRoute], facts: Facts, preferred: int = IPV4) -> bytes:
    """The address that ChooseHostInterface picks, packed; of the ``preferred`` family if there is one.

    ChooseHostInterface itself prefers IPv4, ResolveBindAddress the family of the address to bind to. For each family
    and default route in order: the first global address of the route's interface, if that is up; else the first one of
    a loopback that is up (as in the networks of RFC 5549). Raises NoHostAddressError.
    """
    if not routes:
        raise NoHostAddressError(NoHostAddress.NO_DEFAULT_ROUTE)
    for family in sorted(FAMILIES, key=lambda family: family != preferred):
        for route in routes:
            if route.family != family:
                continue
            if route.dev not in facts.links:
                # It looks the interface up by its name, "*" for none, and gives up when there is no such interface.
                raise NoHostAddressError(NoHostAddress.NO_INTERFACE)
            for dev in (route.dev, LOOPBACK):
                address = _first_global_address(dev, family, facts)
                if address:
                    return address
    raise NoHostAddressError(NoHostAddress.NO_GLOBAL_ADDRESS)


def list_host_reads(routes: Sequence[DefaultRoute]) -> set[FactKey]:
    """The facts that :func:`choose_host_address` reads."""
    devs = {LOOPBACK, *(route.dev for route in routes)}
    return {FactKey("default-routes", ""), *(FactKey(what, dev) for what in ("link", "address") for dev in devs)}


def is_global_unicast(address: bytes) -> bool:
    """Does Go's net.IP.IsGlobalUnicast hold for a packed address?"""
    return not any(is_inside(address, prefix) for prefix in _NOT_GLOBAL)


def _first_global_address(dev: int, family: int, facts: Facts) -> bytes:
    link = facts.links.get(dev)
    if link is None or not link.is_up:
        return b""
    own = (fact.address for fact in facts.addresses.values() if fact.dev == dev and family_of(fact.address) == family)
    return next(filter(is_global_unicast, own), b"")
