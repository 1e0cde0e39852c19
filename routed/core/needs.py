"""What the files ask of the host beyond its links and addresses: which questions the kernel floor has to answer.

Only what is asked for is looked up, so that a file of plain routes costs nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass

from routed.core.resolve import gateways_without_link
from routed.core.vip import find_beside
from routed.model.entries import HeldVipEntry, How, Intent, VipEntry, When
from routed.model.net import DEFAULT, network_of


@dataclass(frozen=True, slots=True)
class Needs:
    """The questions of one intent."""

    gateways: frozenset[bytes] = frozenset()  # whose link is asked for
    destinations: frozenset[bytes] = frozenset()  # addresses whose way is asked for
    vips: tuple[VipEntry, ...] = ()
    has_default_routes: bool = False
    has_drivers: bool = False
    service_addresses: frozenset[bytes] = frozenset()
    watched: frozenset[bytes] = frozenset()  # prefixes: a route to one of them changes an answer


def find_needs(intent: Intent) -> Needs:
    """Everything that the entries and selectors of these files have to know."""
    vips = tuple(entry for entry in intent.entries if isinstance(entry, VipEntry))
    matchers = [matcher for selector in intent.selectors for matcher in selector.match]
    hows = {matcher.how for matcher in matchers}
    destinations = {vip.prefix[:-1] for vip in vips}
    destinations |= {find_beside(vip.prefix) for vip in vips if vip.when is When.SOURCE_DIFFERS} - {b""}
    destinations |= {matcher.packed for matcher in matchers if matcher.how is How.CAN_REACH}
    has_default_routes = How.DEFAULT in hows or any(vip.when is When.NOT_DEFAULT for vip in vips)
    zeros = {prefix[:-1] for prefix in DEFAULT.values()} if has_default_routes else set()
    held = {entry.address for entry in intent.entries if isinstance(entry, HeldVipEntry)}
    return Needs(
        gateways=gateways_without_link(intent.entries),
        destinations=frozenset(destinations),
        vips=vips,
        has_default_routes=has_default_routes,
        has_drivers=How.DRIVER in hows,
        service_addresses=frozenset(held | {vip.prefix[:-1] for vip in vips}),
        watched=frozenset(
            network_of(address, length)
            for address in destinations | zeros
            for length in range(len(address) * 8 + 1)
        ),
    )  # fmt: skip
