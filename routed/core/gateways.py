"""Gateways: on which link one is where addresses of the files on two links fit it equally well.

The kernel asks the network that came first, which is another one after each repair. Here the first in the files is
meant. Where a gateway is otherwise is the kernel's own answer (``kernel.gateways``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from routed.model.entries import Entry
from routed.model.facts import Facts, GatewayLink
from routed.model.net import network_of
from routed.model.objects import AddressMember

Turn = tuple[bool, int]


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
