"""VIPs in route mode: the route that pins the source of traffic to a virtual address, and whether it is needed.

The route is ``VIP via NODE dev D src NODE`` for IPv4 and ``VIP dev D src NODE`` for IPv6, which refuses a gateway of
its own host. ``src`` is said as well, since ``via`` alone takes the primary address of NODE's network. Before NODE is
an address of this host the same words would make a route to a real gateway, so the route waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from routed.core.choose_host import (
    NoHostAddressError,
    choose_host_address,
    describe_choice,
    find_default_routes,
    list_host_reads,
)
from routed.core.desired import ObjectSet, Resolution, Waiting
from routed.core.references import find_address, find_link, list_address_reads
from routed.model import names
from routed.model.entries import VipEntry, When
from routed.model.facts import FactKey, Facts, HostAddress, Link, Natural, Way
from routed.model.net import family_of, format_address, format_destination, is_inside
from routed.model.objects import Hop, Key, Kind, RouteSlot, RouteValue
from routed.model.text import Vocabulary, format_route


class Verdict(NamedTuple):
    """Is the route needed, and a clause that says why."""

    is_needed: bool
    why: str
    reads: frozenset[FactKey] = frozenset()


def resolve_vip(entry: VipEntry, facts: Facts, protocol: int) -> Resolution:
    """The route to a VIP: none while its condition does not hold, a key without a content while NODE is not here."""
    reads = list_address_reads(entry.node_of, facts) if entry.node_of else set[FactKey]()
    node, why = (entry.node, "") if entry.node else find_address(entry.node_of, family_of(entry.prefix), facts)
    if not node:
        return _wait(entry, why, reads)
    reads.add(FactKey("address", node))
    reads |= {FactKey("link", fact.dev) for fact in facts.addresses.values() if fact.address == node}
    holder, why = _find_holder(entry, node, facts)
    if holder is None:
        return _wait(entry, why, reads)
    verdict = CONDITIONS[entry.when](entry, node, facts)
    reads |= verdict.reads
    note = f"{'needed' if verdict.is_needed else 'not needed'}: {verdict.why}"
    if not verdict.is_needed:
        return Resolution(entry, (), (), frozenset(reads), note)
    if not holder.is_up:
        return _wait(entry, f"link {holder.name} is down", reads)
    gateway = node if len(node) == 4 else b""
    value = RouteValue(names.UNICAST, protocol, hops=(Hop(holder.ifindex, gateway),), src=node)
    group = ObjectSet(Kind.ROUTE, slot_of(entry), frozenset({entry.prefix}), value)
    return Resolution(entry, (group,), (), frozenset(reads), note)


def slot_of(entry: VipEntry) -> RouteSlot:
    """Where the route of a VIP stands."""
    family = family_of(entry.prefix)
    return RouteSlot(family, entry.table, entry.metric or names.DEFAULT_METRIC[family])


def key_of(entry: VipEntry) -> Key:
    """The route of a VIP."""
    return Key(Kind.ROUTE, slot_of(entry), entry.prefix)


def find_beside(prefix: bytes) -> bytes:
    """The address next to a prefix: what is routed like it, but for routes to the prefix itself and inside it.

    Every route that covers the prefix with a shorter length covers this one, too. ``b""`` where there is none.
    """
    address, length = prefix[:-1], prefix[-1]
    if not length:
        return b""
    flipped = int.from_bytes(address, "big") ^ (1 << (len(address) * 8 - length))
    return flipped.to_bytes(len(address), "big")


def find_natural(prefix: bytes, ways: Mapping[bytes, Way], former: Natural | None, ours: frozenset[int]) -> Natural:
    """The way to a VIP as it would be without our route.

    While ours is absent it is simply the kernel's answer. While ours stands that answer is kept, until the answer for
    the address beside it changes, which then counts for the VIP as well.
    """
    asked, beside = ways.get(prefix[:-1]), ways.get(find_beside(prefix))
    if beside is not None and not _covers(beside, prefix):
        beside = None
    if not (asked and asked.winner and asked.winner.member == prefix and asked.winner.value.protocol in ours):
        return Natural(asked, beside)
    if former is None:
        return Natural(beside, beside, is_certain=False)
    return former if former.beside == beside else Natural(beside, beside)


def find_unproved(
    entries: Iterable[VipEntry], resolved: Mapping[str, Resolution], facts: Facts, vocabulary: Vocabulary
) -> dict[Key, str]:
    """The routes of VIPs that the kernel does not follow: packets would leave from another address than the node's.

    Of all that are wanted; whose route is not there yet has a reason of its own.
    """
    found: dict[Key, str] = {}
    for entry in entries:
        resolution = resolved.get(entry.name)
        value = resolution.sets[0].value if resolution and resolution.sets else None
        way = facts.ways.get(entry.prefix[:-1])
        if value is not None and (way is None or way.source != value.src):
            found[key_of(entry)] = _describe_other_way(entry, way, vocabulary)
    return found


def _describe_other_way(entry: VipEntry, way: Way | None, vocabulary: Vocabulary) -> str:
    destination = format_address(entry.prefix[:-1])
    if way is None:
        return f"the kernel finds no way to {destination}"
    if way.type == names.LOCAL:
        return f"{destination} is an address of this host, so no packet to it is routed"
    source = format_address(way.source) if way.source else "no address"
    if way.winner is None:
        return f"packets to {destination} leave from {source}"
    slot, member, value = way.winner
    assert isinstance(slot, RouteSlot)
    assert isinstance(member, bytes)
    return f"packets to {destination} leave from {source}, since {format_route(slot, member, value, vocabulary)} wins"


def _covers(way: Way, prefix: bytes) -> bool:
    winner = way.winner
    if winner is None:
        return False
    assert isinstance(winner.member, bytes)
    return is_inside(prefix[:-1], winner.member)


def _wait(entry: VipEntry, why: str, reads: set[FactKey]) -> Resolution:
    group = ObjectSet(Kind.ROUTE, slot_of(entry), frozenset({entry.prefix}), None)
    return Resolution(entry, (group,), (Waiting(why),), frozenset(reads))


def _find_holder(entry: VipEntry, node: bytes, facts: Facts) -> tuple[Link | None, str]:
    """The link that holds NODE: that of ``@name``, otherwise one that is up and has the lowest ifindex."""
    chosen = find_link(f"@{entry.node_of}", facts).link if entry.node_of else None
    held = [fact for fact in facts.addresses.values() if fact.address == node]
    usable = [fact for fact in held if not (fact.is_tentative or fact.has_failed_dad)]
    if not usable:
        return None, f"address {format_address(node)} (node) {_why_unusable(held)}"
    links = [link for fact in usable if (link := facts.links.get(fact.dev)) and (not chosen or link == chosen)]
    best = min(links, key=lambda link: (not link.is_up, link.ifindex), default=None)
    return best, "" if best else f"the link of {format_address(node)} (node) is not known yet"


def _why_unusable(held: list[HostAddress]) -> str:
    if not held:
        return "is not on this host"
    return "failed duplicate address detection" if held[0].has_failed_dad else "is tentative"


def _judge_default(entry: VipEntry, node: bytes, facts: Facts) -> Verdict:
    """Is the node's address another one than Kubernetes would take for this host's?"""
    del entry
    routes = tuple(find_default_routes(facts.default_routes))
    reads = frozenset(list_host_reads(routes))
    try:
        picked = choose_host_address(routes, facts, family_of(node))
    except NoHostAddressError as error:
        return Verdict(True, str(error), reads)
    return Verdict(picked != node, describe_choice(picked), reads)


def _judge_source(entry: VipEntry, node: bytes, facts: Facts) -> Verdict:
    """Would the kernel by itself choose another source?"""
    natural, reads = facts.natural.get(entry.prefix), frozenset({FactKey("natural", entry.prefix)})
    way = natural.way if natural else None
    where = format_destination(entry.prefix)
    if way is None or way.type == names.LOCAL or not way.source:
        return Verdict(True, f"without it the kernel knows no way to {where}", reads)
    if natural and not natural.is_certain and way.source == node:
        return Verdict(True, "it stands already, and what the kernel would choose without it is not certain", reads)
    return Verdict(way.source != node, f"the kernel by itself chooses {format_address(way.source)} for {where}", reads)


def _judge_always(entry: VipEntry, node: bytes, facts: Facts) -> Verdict:
    del entry, node, facts
    return Verdict(True, "the file says always")


CONDITIONS: Final[dict[When, Callable[[VipEntry, bytes, Facts], Verdict]]] = {
    When.NOT_DEFAULT: _judge_default,
    When.SOURCE_DIFFERS: _judge_source,
    When.ALWAYS: _judge_always,
}
