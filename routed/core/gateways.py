"""Where a gateway is, as far as the networks on this host's own interfaces tell it. All else is asked of the kernel.

Where addresses of the files on two links fit equally well, the kernel asks the network that came first, which is
another one after each repair; the first in the files is meant. Where the kernel does not look at links without carrier
(``ignore_routes_with_linkdown``), it finds no gateway there, and takes the route all the same
(FIB_LOOKUP_IGNORE_LINKSTATE in fib_check_nh_v4_gw, net/ipv4/fib_semantics.c).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from routed.model.entries import Entry
from routed.model.facts import Facts, GatewayLink
from routed.model.net import network_of
from routed.model.objects import AddressMember

Turn = tuple[bool, int]
Networks = Mapping[int, Mapping[bytes, list[int]]]  # bytes of an address → prefix → the links with an address in it


def find_without_carrier(gateways: Iterable[bytes], facts: Facts) -> dict[bytes, GatewayLink]:
    """Gateways in a network of a link that is up and has no carrier. Where one was before it is still."""
    networks = _list_networks(facts)
    found = {}
    for gateway in gateways:
        links = [dev for dev in _links_of(gateway, networks) if not facts.links[dev].has_carrier]
        former = facts.gateways.get(gateway)
        dev = former.dev if former and former.dev in links else next(iter(links), 0)
        if dev and not facts.links[dev].master:
            found[gateway] = GatewayLink(dev, is_onlink=True)
    return found


def prefer_first(
    located: Mapping[bytes, GatewayLink], wanted: Iterable[tuple[AddressMember, Entry]], facts: Facts
) -> dict[bytes, GatewayLink]:
    """The same, but that a gateway which the kernel has on one of several such networks is on the first in the files.

    ``wanted`` are the addresses of the files. Only those count that stand on a link that is up.
    """
    networks: defaultdict[bytes, dict[int, Turn]] = defaultdict(dict)
    for member, entry in wanted:
        link = facts.links.get(member.dev)
        if link and link.is_up and member in facts.addresses:
            links = networks[network_of(member.address, member.prefixlen)]
            links[member.dev] = min(entry.turn, links.get(member.dev, entry.turn))
    shared = {network: links for network, links in networks.items() if len(links) > 1}
    if not shared:
        return dict(located)
    lengths = sorted({network[-1] for network in networks}, reverse=True)
    return {gateway: _prefer(gateway, where, shared, networks, lengths) for gateway, where in located.items()}


def _prefer(
    gateway: bytes,
    where: GatewayLink,
    shared: Mapping[bytes, Mapping[int, Turn]],
    networks: Mapping[bytes, Mapping[int, Turn]],
    lengths: Iterable[int],
) -> GatewayLink:
    around = (network_of(gateway, length) for length in lengths if length <= len(gateway) * 8)
    nearest = next((network for network in around if network in networks), b"")
    links = shared.get(nearest, {})
    if not where.is_onlink or where.dev not in links:
        return where
    return where._replace(dev=min(links, key=lambda dev: links[dev]))


def _list_networks(facts: Facts) -> Networks:
    """The networks of the links that are up; of addresses that stand alone, such as a /32, there is none."""
    networks: Networks = defaultdict(lambda: defaultdict(list))
    for held in facts.addresses.values():
        link = facts.links.get(held.dev)
        if link is not None and link.is_up and held.prefixlen < len(held.address) * 8:
            networks[len(held.address)][network_of(held.address, held.prefixlen)].append(held.dev)
    return networks


def _links_of(gateway: bytes, networks: Networks) -> Iterator[int]:
    alike = networks.get(len(gateway), {})
    for length in sorted({prefix[-1] for prefix in alike}, reverse=True):
        yield from alike.get(network_of(gateway, length), ())
