"""Looks: single questions about this network namespace, for commands that need no files and no daemon.

Nothing here changes anything, and nothing of the intent floor is imported: an answer costs no more than its dumps.
"""

from __future__ import annotations

from routed.core.choose_host import DefaultRoute, find_default_routes
from routed.kernel.dump import finish
from routed.kernel.kernel import Kernel
from routed.model.facts import Facts
from routed.model.names import DEFAULT_METRIC, TABLE_MAIN
from routed.model.net import IPV4, IPV6, host_prefix
from routed.model.objects import Kind, RouteSlot, Scope, Standing


def look_at_default_routes() -> tuple[tuple[DefaultRoute, ...], Facts]:
    """The default routes in the kernel's order, and the links and addresses. Raises OSError."""
    with Kernel() as kernel:
        routes = tuple(find_default_routes(kernel.read_default_routes()))
        return routes, Facts(links=finish(kernel.read_links()), addresses=finish(kernel.read_addresses()))


def look_at_addresses() -> frozenset[bytes]:
    """The addresses of this host, packed. Raises OSError."""
    with Kernel() as kernel:
        return frozenset(fact.address for fact in finish(kernel.read_addresses()).values())


def look_at_host_route(host: bytes) -> tuple[list[Standing], Facts]:
    """The routes of table main to one host (packed) that stand at the default metric, and the facts. Raises OSError."""
    family = IPV4 if len(host) == 4 else IPV6
    slot = RouteSlot(family, TABLE_MAIN, DEFAULT_METRIC[family])
    with Kernel() as kernel:
        chunks = kernel.dump(Scope(Kind.ROUTE, family, TABLE_MAIN))
        found = [one for chunk in chunks for one in chunk if one.slot == slot and one.member == host_prefix(host)]
        return found, Facts(links=finish(kernel.read_links()), addresses=finish(kernel.read_addresses()))


def look_at_source(host: bytes) -> bytes:
    """The source address that the kernel picks for packets to a host, packed; b"" where there is no way to it."""
    with Kernel() as kernel:
        way = kernel.look_up([host]).get(host)
        return way.source if way else b""
