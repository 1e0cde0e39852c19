"""Filling the facts: what events do not tell is asked of the kernel here, and nowhere else.

Only what the files need is asked. What an answer means stands in ``core``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from routed.core.schedule import apply_to_facts
from routed.core.select import choose, settle
from routed.core.timetable import Deadline
from routed.core.vip import find_natural
from routed.daemon.host import Host
from routed.daemon.ports import Kernel
from routed.model.facts import Choice, Facts, GatewayLink


def read_facts(kernel: Kernel, host: Host) -> Iterator[None]:
    """Read all links and addresses, in slices. What is heard between two of them is newer. Raises OSError."""
    host.news = []
    try:
        links = yield from kernel.read_links()
        addresses = yield from kernel.read_addresses()
        host.facts = replace(host.facts, links=links, addresses=addresses)
        for event in host.news:
            apply_to_facts(host.facts, event)
    finally:
        host.news = None


def look_around(kernel: Kernel, host: Host, now: float) -> Facts:
    """The facts of the host with every question of its files answered anew. Raises OSError."""
    facts, needs = host.facts, host.needs
    ways = kernel.look_up(needs.destinations) if needs.destinations else {}
    facts = replace(
        facts,
        gateways=_locate_gateways(kernel, host),
        ways=ways,
        natural={
            vip.prefix: find_natural(vip.prefix, ways, facts.natural.get(vip.prefix), host.ours) for vip in needs.vips
        },
        default_routes=kernel.read_default_routes() if needs.has_default_routes else (),
        drivers=kernel.read_drivers(facts.links.values()) if needs.has_drivers else {},
        service_addresses=needs.service_addresses,
    )
    return replace(facts, chosen=_choose_all(host, facts, now)) if host.intent.selectors else facts


def prove(kernel: Kernel, host: Host) -> None:
    """Ask again how packets to the VIPs go, now that their routes were touched. Raises OSError."""
    if host.needs.vips:
        host.facts = replace(host.facts, ways=kernel.look_up(host.needs.destinations))


def _locate_gateways(kernel: Kernel, host: Host) -> dict[bytes, GatewayLink]:
    if not host.needs.gateways:
        return {}
    own = {fact.address: fact.dev for fact in host.facts.addresses.values()}
    located = kernel.locate_gateways(host.needs.gateways, own)
    # a link that was not heard of yet will be news, and then the gateways are asked for again
    return {gateway: where for gateway, where in located.items() if where.dev in host.facts.links}


def _choose_all(host: Host, facts: Facts, now: float) -> dict[str, Choice]:
    """The choice in force of every ``[[interface]]``; when another one will have lasted is noted in the timetable."""
    held = {}
    for selector in host.intent.selectors:
        found = choose(selector, facts).choice
        held[selector.name] = settle(host.held.get(selector.name), found, selector.hold, now)
    host.held = held
    ends = [held[one.name].since + one.hold for one in host.intent.selectors if held[one.name].rival]
    host.timetable.set(Deadline.LOOK_AGAIN, min(ends, default=None))
    return {name: one.choice for name, one in held.items()}
