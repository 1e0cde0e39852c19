"""Crosscheck: contradictions between entries, and names for those that have none.

Here live the checks that need all entries at once. They cost one step a prefix, and none for a file that shares its
slot with no other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

from routed.intent.convert import Draft, derive_links
from routed.intent.overlaps import find_overlaps
from routed.intent.problems import KeyPath
from routed.model import net
from routed.model.entries import (
    AddressEntry,
    Entry,
    HeldVipEntry,
    LinkEntry,
    Listen,
    NeighbourEntry,
    NexthopEntry,
    RouteEntry,
    RuleEntry,
    ServiceEntry,
    TunnelEntry,
    VipEntry,
)
from routed.model.names import DEFAULT_METRIC, KERNEL_PRIORITIES
from routed.model.net import FAMILY_NAME
from routed.model.objects import RuleMember
from routed.model.prefixes import PrefixSet


class Clash(NamedTuple):
    """One contradiction, told at ``entry``."""

    entry: Entry
    key: KeyPath
    message: str
    is_notice: bool = False  # worth a word, and no error
    is_absence: bool = False  # something is missing, which may stand in a table that has errors of its own


class _Routes(NamedTuple):
    """The routes of one entry in one slot."""

    entry: RouteEntry | VipEntry
    prefixes: AbstractSet[bytes]


def find_clashes(entries: Sequence[Entry]) -> Iterator[Clash]:
    """Every contradiction among the entries, in their order."""
    rivals: dict[Find, list[Entry]] = {find: [] for find in CLASHES.values()}
    for entry in (*derive_links(entries), *entries):
        if find := CLASHES.get(type(entry)):
            rivals[find].append(entry)
    for find, group in rivals.items():
        yield from find(group)
    if rivals[_clashing_services]:
        from routed.intent.black_holes import find_black_holes  # noqa: PLC0415  only files with services pay for it

        yield from find_black_holes(entries)
    if rivals[_clashing_links]:
        from routed.intent.swallowed import find_swallowed  # noqa: PLC0415  only files with tunnels pay for it

        yield from find_swallowed(entries)


def _clashing_routes(routes: list[RouteEntry | VipEntry]) -> Iterator[Clash]:
    """Two routes under one kernel key (family, table, metric, tos, source, prefix)."""
    slots: defaultdict[tuple[int, int, int, int, bytes], list[_Routes]] = defaultdict(list)
    for route in routes:
        for family, prefixes in route.prefixes.items():
            for metric in _list_metrics(route, family):
                slots[family, route.table, metric, route.tos, route.source].append(_Routes(route, prefixes))
    for (_, _, metric, _, _), alike in slots.items():
        crowds = [one for one in alike if isinstance(one.prefixes, PrefixSet)]
        owners: dict[bytes, RouteEntry | VipEntry] = {}
        for route, prefixes in alike:
            if isinstance(prefixes, PrefixSet):
                earlier = crowds[: [crowd.entry is route for crowd in crowds].index(True)]
                twice = [(prefix, crowd.entry) for crowd in earlier for prefix in prefixes & crowd.prefixes]
            else:
                twice = list(_find_owned(route, prefixes, crowds, owners))
            if twice:
                yield _route_clash(route, metric, twice)


def _list_metrics(route: RouteEntry | VipEntry, family: int) -> set[int]:
    """Those under which it may come to stand."""
    down_metric = route.when_down.down_metric if route.when_down else None
    written = (route.metric, route.metric if down_metric is None else down_metric)
    return {metric or DEFAULT_METRIC[family] for metric in written}


def _find_owned(
    route: RouteEntry | VipEntry,
    prefixes: Iterable[bytes],
    crowds: Iterable[_Routes],
    owners: dict[bytes, RouteEntry | VipEntry],
) -> Iterator[tuple[bytes, RouteEntry | VipEntry]]:
    """The prefixes that another entry has too, with that entry."""
    for prefix in prefixes:
        crowd = next((one for one in crowds if prefix in one.prefixes), None)
        other = crowd.entry if crowd else owners.setdefault(prefix, route)
        if other is not route:
            yield prefix, other


def _route_clash(route: Entry, metric: int, twice: list[tuple[bytes, RouteEntry | VipEntry]]) -> Clash:
    prefix, other = min(twice, key=lambda pair: pair[0])
    more = f" (and {len(twice) - 1} more)" if len(twice) > 1 else ""
    key = f"{net.format_destination(prefix)} with metric {metric} in this table"
    return Clash(route, (), f"{key} is also in {other.name} at {other.origin}{more}")


def _clashing_services(services: list[ServiceEntry]) -> Iterator[Clash]:
    """Two services under one kernel key (ip_vs_svc_hash)."""
    owners: dict[Listen, ServiceEntry] = {}
    for service in services:
        for listen in service.listens:
            other = owners.setdefault(listen, service)
            if other is not service:
                yield Clash(service, (), f"what it listens to is also in {other.name} at {other.origin}")
                break


def _clashing_rules(rules: list[RuleEntry]) -> Iterator[Clash]:
    """Two rules with one selector and action, a ``goto`` to nowhere, and two of which the first decides."""
    for rule, earlier in find_overlaps(rules):
        message = (
            f"{earlier.name} at {earlier.origin} has priority {rule.rule.priority} too, and may select the same"
            " packets: the one that comes first in the files decides"
        )
        yield Clash(rule, ("priority",), message, is_notice=True)
    owners: dict[tuple[int, RuleMember, str], RuleEntry] = {}
    priorities = {(family, rule.rule.priority) for rule in rules for family in rule.families}
    for rule in rules:
        for family in rule.families:
            other = owners.setdefault((family, rule.rule, rule.source_of), rule)
            if other is not rule:
                yield Clash(rule, (), f"the same rule is also {other.name} at {other.origin}")
                break
        for family in rule.families:
            target = rule.rule.target
            if target and target not in KERNEL_PRIORITIES and (family, target) not in priorities:
                message = f"`goto`: there is no {FAMILY_NAME[family]} rule of priority {target}"
                yield Clash(rule, ("goto",), message, is_absence=True)


def _clashing_addresses(addresses: list[AddressEntry]) -> Iterator[Clash]:
    """Two addresses under one kernel key: interface and address, for IPv4 also the prefix length."""
    owners: dict[tuple[str, bytes, int], AddressEntry] = {}
    for address in addresses:
        length = address.prefixlen if len(address.address) == 4 else 0
        other = owners.setdefault((address.dev, address.address, length), address)
        if other is not address:
            text = net.format_address(address.address)
            yield Clash(address, (), f"{text} on {address.dev} is also {other.name} at {other.origin}")


def _clashing_links(links: list[LinkEntry]) -> Iterator[Clash]:
    """Two links of one name, and two tunnels between the same ends (ip_tunnel_find in net/ipv4/ip_tunnel.c)."""
    named: dict[str, LinkEntry] = {}
    ends: dict[tuple[object, ...], LinkEntry] = {}
    for link in links:
        other = named.setdefault(link.link, link)
        if other is not link:
            yield Clash(link, ("dev",), f"{link.link} is also made by {other.name} at {other.origin}")
        elif link.ends and (other := ends.setdefault(link.ends, link)) is not link:
            message = f"{other.name} at {other.origin} has this `local` too, and the kernel takes one of them only"
            yield Clash(link, ("local",), message)


def _clashing_neighbours(neighbours: list[NeighbourEntry]) -> Iterator[Clash]:
    """Two neighbours, or two proxies, of one address on one interface."""
    owners: dict[tuple[str, bytes, bool], NeighbourEntry] = {}
    for neighbour in neighbours:
        other = owners.setdefault((neighbour.dev, neighbour.to, neighbour.proxy), neighbour)
        if other is not neighbour:
            text = net.format_address(neighbour.to)
            yield Clash(neighbour, ("to",), f"{text} on {neighbour.dev} is also {other.name} at {other.origin}")


def _clashing_nexthops(nexthops: list[NexthopEntry]) -> Iterator[Clash]:
    """Two next hops of one number."""
    owners: dict[int, NexthopEntry] = {}
    for nexthop in nexthops:
        other = owners.setdefault(nexthop.id, nexthop)
        if other is not nexthop:
            yield Clash(nexthop, ("id",), f"`id` {nexthop.id} is also that of {other.name} at {other.origin}")


def name_entries(drafts: Iterable[Draft]) -> tuple[Entry, ...]:
    """The entries, each with a name of its own and its place among them.

    A name does not depend on the order of the entries: where two would be called alike, both get the next part of
    their keys. Only entries that differ in no part are counted.
    """
    drafts = tuple(drafts)
    names = {index: draft.entry.name for index, draft in enumerate(drafts)}
    open_names = [index for index, name in names.items() if name.endswith("/")]
    taken = dict.fromkeys((name for name in names.values() if not name.endswith("/")), 1)
    depth = 1
    while open_names:
        wanted: dict[str, list[int]] = defaultdict(list)
        for index in open_names:
            wanted[names[index] + ":".join(drafts[index].labels[:depth])].append(index)
        open_names = []
        for name, indexes in wanted.items():
            exhausted = [index for index in indexes if len(drafts[index].labels) <= depth]
            if (len(indexes) > 1 or name in taken) and len(exhausted) < len(indexes):
                open_names += [index for index in indexes if len(drafts[index].labels) > depth]
            else:
                exhausted = indexes
            for index in exhausted:
                names[index] = _free_name(name, taken)
        depth += 1
    return tuple(replace(draft.entry, name=names[index], place=index) for index, draft in enumerate(drafts))


def _free_name(name: str, taken: dict[str, int]) -> str:
    while name in taken:
        taken[name] += 1
        name = f"{name}:{taken[name]}"
    taken[name] = 1
    return name


Find: TypeAlias = Callable[[list[Any]], Iterator[Clash]]

# By what contradictions are found among the entries that may want the same; entries of one function are rivals.
CLASHES: Final[dict[type[Entry], Find]] = {
    RouteEntry: _clashing_routes,
    VipEntry: _clashing_routes,
    RuleEntry: _clashing_rules,
    AddressEntry: _clashing_addresses,
    HeldVipEntry: _clashing_addresses,
    LinkEntry: _clashing_links,
    TunnelEntry: _clashing_links,
    ServiceEntry: _clashing_services,
    NeighbourEntry: _clashing_neighbours,
    NexthopEntry: _clashing_nexthops,
}
