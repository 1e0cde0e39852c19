"""VIPs in route mode: the route that pins the source of traffic to a virtual address, and whether it is needed.

The route is ``VIP via NODE dev D src NODE`` for IPv4 and ``VIP dev D src NODE`` for IPv6, which refuses a gateway of
its own host. ``src`` is said as well, since ``via`` alone takes the primary address of NODE's network. Before NODE is
an address of this host the same words would make a route to a real gateway, so the route waits for it.

Where this host answers for the VIP itself it is ``local VIP dev lo table local src NODE``. In another table that works
until the first rule is added, by anybody: until then main and local are one trie (fib_unmerge in
net/ipv4/fib_frontend.c), and after it nothing but forwarded packets finds the route. The kernel keeps it when NODE goes
(fib_sync_down_addr looks at the table main alone), with a source that no packet can have, so we take it away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from routed.core.choose_host import (
    NoHostAddressError,
    choose_host_address,
    find_default_routes,
    list_host_reads,
)
from routed.core.desired import ObjectSet, Resolution, Waiting
from routed.core.references import find_address, find_link, list_address_reads
from routed.model import names
from routed.model.entries import VipEntry, When
from routed.model.facts import FactKey, Facts, HostAddress, Link, Way, WayWithoutOurs
from routed.model.net import IPV4, family_of, is_inside
from routed.model.objects import Hop, Key, Kind, RouteSlot, RouteValue
from routed.model.owner import Stamp
from routed.model.reasons import (
    Condition,
    DefaultAddress,
    KernelChooses,
    Lack,
    LinkDown,
    Needed,
    NoHolder,
    NoLink,
    NoWay,
    NoWayWithout,
    OtherSource,
    OwnAddress,
    Reason,
    Unusable,
)
from routed.model.text import Vocabulary, format_route

LOOPBACK: Final = "lo"


class Verdict(NamedTuple):
    """Is the route needed, and why."""

    is_needed: bool
    why: Reason
    reads: frozenset[FactKey] = frozenset()


def resolve_vip(entry: VipEntry, facts: Facts, protocol: int) -> Resolution:
    """The route to a VIP: none while its condition does not hold, a key without a content while NODE is not here."""
    reads = list_address_reads(entry.node_of, facts) if entry.node_of else set[FactKey]()
    node, why = (entry.node, None) if entry.node else find_address(entry.node_of, family_of(entry.prefix), facts)
    if not node:
        return _wait(entry, why, reads)
    reads.add(FactKey("address", node))
    reads |= {FactKey("link", fact.dev) for fact in facts.addresses.values() if fact.address == node}
    holder, why = _find_holder(entry, node, facts)
    if holder is None:
        return _wait(entry, why, reads)
    if entry.is_local:
        return _resolve_local(entry, node, facts, protocol, reads)
    verdict = CONDITIONS[entry.when](entry, node, facts)
    reads |= verdict.reads
    note = Condition(verdict.is_needed, verdict.why)
    if not verdict.is_needed:
        return Resolution(entry, (), (), frozenset(reads), note)
    if not holder.is_up:
        return _wait(entry, LinkDown(holder.name), reads)
    gateway = node if len(node) == 4 else b""
    value = RouteValue(names.UNICAST, protocol, hops=(Hop(holder.ifindex, gateway),), src=node)
    group = ObjectSet(Kind.ROUTE, slot_of(entry), frozenset({entry.prefix}), value)
    return Resolution(entry, (group,), (), frozenset(reads), note)


def _resolve_local(entry: VipEntry, node: bytes, facts: Facts, protocol: int, reads: set[FactKey]) -> Resolution:
    """Whether the link of NODE is up makes no difference to it."""
    verdict = CONDITIONS[entry.when](entry, node, facts)
    note, reads = Condition(verdict.is_needed, verdict.why), reads | verdict.reads | {FactKey("link", LOOPBACK)}
    loopback = facts.link_named(LOOPBACK)
    if not verdict.is_needed:
        return Resolution(entry, (), (), frozenset(reads), note)
    if loopback is None or not loopback.is_up:
        return _wait(entry, LinkDown(LOOPBACK) if loopback else NoLink(LOOPBACK), reads)
    scope = names.HOST if family_of(entry.prefix) == IPV4 else names.UNIVERSE
    value = RouteValue(names.LOCAL, protocol, scope, (Hop(loopback.ifindex),), src=node)
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


def find_way_without_ours(
    prefix: bytes, ways: Mapping[bytes, Way], former: WayWithoutOurs | None, stamp: Stamp
) -> WayWithoutOurs:
    """The way to a VIP as it would be without our route.

    While ours is absent it is simply the kernel's answer. While ours stands that answer is kept, until the answer for
    the address beside it changes, which then counts for the VIP as well.
    """
    asked, beside = ways.get(prefix[:-1]), ways.get(find_beside(prefix))
    if beside is not None and not _covers(beside, prefix):
        beside = None
    if not (asked and asked.winner and asked.winner.member == prefix and stamp(asked.winner.value).is_ours):
        return WayWithoutOurs(asked, beside)
    if former is None:
        return WayWithoutOurs(beside, beside, is_certain=False)
    return former if former.beside == beside else WayWithoutOurs(beside, beside)


def find_unproved(
    entries: Iterable[VipEntry], resolved: Mapping[str, Resolution], facts: Facts, vocabulary: Vocabulary
) -> dict[Key, Reason]:
    """The routes of VIPs that the kernel does not follow: packets would leave from another address than the node's.

    Of all that are wanted; whose route is not there yet has a reason of its own.
    """
    found: dict[Key, Reason] = {}
    for entry in entries:
        resolution = resolved.get(entry.name)
        value = resolution.sets[0].value if resolution and resolution.sets else None
        way = facts.ways.get(entry.prefix[:-1])
        if value is not None and (way is None or way.source != value.src):
            found[key_of(entry)] = _find_other_way(entry, way, vocabulary)
    return found


def _find_other_way(entry: VipEntry, way: Way | None, vocabulary: Vocabulary) -> Reason:
    address = entry.prefix[:-1]
    if way is None:
        return NoWay(address)
    if way.type == names.LOCAL and not (entry.is_local and way.winner and way.winner.value.src != address):
        return OwnAddress(address)
    if way.winner is None:
        return OtherSource(address, way.source)
    slot, member, value = way.winner
    assert isinstance(slot, RouteSlot)
    assert isinstance(member, bytes)
    return OtherSource(address, way.source, format_route(slot, member, value, vocabulary))


def _covers(way: Way, prefix: bytes) -> bool:
    winner = way.winner
    if winner is None:
        return False
    assert isinstance(winner.member, bytes)
    return is_inside(prefix[:-1], winner.member)


def _wait(entry: VipEntry, why: Reason | None, reads: set[FactKey]) -> Resolution:
    assert why is not None
    if entry.is_local:  # it does not go with what it stands on
        return Resolution(entry, (), (Waiting(why),), frozenset(reads))
    group = ObjectSet(Kind.ROUTE, slot_of(entry), frozenset({entry.prefix}), None)
    return Resolution(entry, (group,), (Waiting(why),), frozenset(reads))


def _find_holder(entry: VipEntry, node: bytes, facts: Facts) -> tuple[Link | None, Reason | None]:
    """The link that holds NODE: that of ``@name``, otherwise one that is up and has the lowest ifindex."""
    chosen = find_link(f"@{entry.node_of}", facts).link if entry.node_of else None
    holding = [fact for fact in facts.addresses.values() if fact.address == node]
    usable = [fact for fact in holding if not (fact.is_tentative or fact.has_failed_dad)]
    if not usable:
        return None, Unusable(node, "node", _find_lack(holding))
    links = [link for fact in usable if (link := facts.links.get(fact.dev)) and (not chosen or link == chosen)]
    best = min(links, key=lambda link: (not link.is_up, link.ifindex), default=None)
    return best, None if best else NoHolder(node)


def _find_lack(holding: list[HostAddress]) -> Lack:
    if not holding:
        return Lack.ABSENT
    return Lack.FAILED_DAD if holding[0].has_failed_dad else Lack.TENTATIVE


def _judge_default(entry: VipEntry, node: bytes, facts: Facts) -> Verdict:
    """Is the node's address another one than Kubernetes would take for this host's?"""
    del entry
    routes = tuple(find_default_routes(facts.default_routes))
    reads = frozenset(list_host_reads(routes))
    try:
        picked = choose_host_address(routes, facts, family_of(node))
    except NoHostAddressError as error:
        return Verdict(True, error.reason, reads)
    return Verdict(picked != node, DefaultAddress(picked), reads)


def _judge_source(entry: VipEntry, node: bytes, facts: Facts) -> Verdict:
    """Would the kernel by itself choose another source?"""
    without_ours = facts.ways_without_ours.get(entry.prefix)
    reads = frozenset({FactKey("way-without-ours", entry.prefix)})
    way = without_ours.way if without_ours else None
    if way is None or way.type == names.LOCAL or not way.source:
        return Verdict(True, NoWayWithout(entry.prefix), reads)
    if without_ours and not without_ours.is_certain and way.source == node:
        return Verdict(True, Needed.UNCERTAIN, reads)
    return Verdict(way.source != node, KernelChooses(way.source, entry.prefix), reads)


def _judge_always(entry: VipEntry, node: bytes, facts: Facts) -> Verdict:
    del entry, node, facts
    return Verdict(True, Needed.ALWAYS)


CONDITIONS: Final[dict[When, Callable[[VipEntry, bytes, Facts], Verdict]]] = {
    When.NOT_DEFAULT: _judge_default,
    When.SOURCE_DIFFERS: _judge_source,
    When.ALWAYS: _judge_always,
}
