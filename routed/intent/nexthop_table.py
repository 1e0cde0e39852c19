"""``[[nexthop]]`` as the model has it, and what the next hops and routes of the files say of each other.

Here stand the rules between its keys, each after the kernel's own refusal (rtm_to_nh_config, nh_check_attr_group and
fib6_check_nexthop in Linux). Only files with next hops pay for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from routed.intent.checks import check_hop, check_hop_words, pack_words
from routed.intent.convert import Draft, FaultsError, OtherFiles, name_tables
from routed.intent.crosscheck import Clash
from routed.intent.problems import Fault
from routed.intent.schema_nexthop import NexthopTable
from routed.model.attributes import NEXTHOP_WORDS, join
from routed.model.entries import EachEntry, Entry, HopSpec, NexthopEntry, RouteEntry
from routed.model.net import IPV4, IPV6, family_of, format_address
from routed.model.objects import Leg, Resilient

_FAMILIES: Final = {None: IPV4, "ipv4": IPV4, "ipv6": IPV6}
_OF_A_WAY: Final = ("via", "dev", "onlink", "family", *(row.name for row in NEXTHOP_WORDS))
_OF_RESILIENT: Final = ("buckets", "idle_timer", "unbalanced_timer")


def convert_nexthop(head: dict[str, Any], spec: NexthopTable, others: OtherFiles) -> Draft:
    """One ``[[nexthop]]``. Raises FaultsError with everything that is wrong with it."""
    spec, unknown = name_tables(spec, others.names)
    if faults := (*unknown, *_check(spec)):
        raise FaultsError(*faults)
    assert spec.id is not None
    extra = join(pack_words(spec, NEXTHOP_WORDS))
    hop = HopSpec(spec.via or b"", spec.dev or "", 1, spec.onlink, extra=extra) if spec.via or spec.dev else None
    given = {key: value for key in _OF_RESILIENT if (value := getattr(spec, key)) is not None}
    entry = NexthopEntry(
        **head,
        id=spec.id,
        family=0 if spec.group else family_of(spec.via) if spec.via else _FAMILIES[spec.family],
        hop=hop,
        blackhole=spec.blackhole,
        group=tuple(Leg(leg.id or 0, leg.weight) for leg in spec.group or ()),
        resilient=Resilient(**given) if spec.type == "resilient" else None,
    )
    return Draft(entry, (str(spec.id),))


def _check(spec: NexthopTable) -> Iterator[Fault]:
    if spec.id is None:
        yield Fault((), "`id` is missing", "the number by which routes name it, such as 1")
    if spec.requires:
        yield Fault(("requires",), "`requires`: a next hop has none", "write it at the routes that use this one")
    is_way = spec.via is not None or spec.dev is not None
    given = [word for word, is_given in (("group", spec.group is not None), ("blackhole", spec.blackhole)) if is_given]
    if not given and not is_way:
        yield Fault((), "the next hop leads nowhere", "write `via`, `dev` or `group`, or blackhole = true")
    if len(given) > 1:
        yield Fault(("blackhole",), "`group` and `blackhole` exclude each other")
    for key in _OF_A_WAY if given else ():
        if getattr(spec, key) not in (None, False) and not (key == "family" and given == ["blackhole"]):
            yield Fault((key,), f"`{given[0]}` and `{key}` exclude each other")
    if is_way and not given:
        yield from _check_way(spec)
    yield from _check_group(spec)


def _check_way(spec: NexthopTable) -> Iterator[Fault]:
    hop = HopSpec(spec.via or b"", spec.dev or "", 1, spec.onlink)
    family = family_of(hop.via) if hop.via else _FAMILIES[spec.family]
    yield from check_hop((), hop, frozenset({family} if hop.via else ()))
    yield from check_hop_words(spec, NEXTHOP_WORDS, frozenset({family}))
    if spec.family is not None and hop.via and _FAMILIES[spec.family] != family_of(hop.via):
        yield Fault(("family",), f"`family` is {spec.family}, and {format_address(hop.via)} is not")


def _check_group(spec: NexthopTable) -> Iterator[Fault]:
    if spec.group is None and spec.type == "resilient":
        yield Fault(("type",), "`type` goes with `group` only")
    for key in _OF_RESILIENT if spec.type != "resilient" else ():
        if getattr(spec, key) is not None:
            yield Fault((key,), f'`{key}` goes with type = "resilient" only')
    if spec.group is not None and not spec.group:
        yield Fault(("group",), "`group` is empty")
    seen: set[int] = set()
    for index, leg in enumerate(spec.group or ()):
        if leg.id is None:
            yield Fault(("group", index), "`id` is missing")
        elif leg.id in seen:  # "Next hop used more than once in a group" (nh_check_attr_group)
            yield Fault(("group", index, "id"), f"`id` {leg.id} stands there already", "give the first a higher weight")
        seen.add(leg.id or 0)


def join_nexthops(entries: Sequence[Entry]) -> tuple[tuple[Entry, ...], list[Clash]]:
    """The entries, of which groups know their members, and routes where their next hop leads; and contradictions."""
    known = {one.id: one for one in entries if isinstance(one, NexthopEntry)}
    groups = [one for one in known.values() if one.group]
    clashes = [clash for group in groups for clash in _find_faults_of_group(group, known)]
    whole = known | {one.id: _fill_group(one, known) for one in groups}
    joined: list[Entry] = []
    for entry in entries:
        each = entry if isinstance(entry, EachEntry) else None
        body = each.body if each else entry
        if isinstance(body, NexthopEntry):
            joined.append(whole[body.id] if whole[body.id].name == body.name else body)
        elif isinstance(body, RouteEntry) and any(way.nhid for way in body.ways):
            clashes += _find_faults_of_route(entry, body, whole)
            filled = replace(_fill_way(body, whole), append=tuple(_fill_way(way, whole) for way in body.append))
            joined.append(replace(each, body=filled) if each else filled)
        else:
            joined.append(entry)
    return tuple(joined), clashes


def _fill_way(way: RouteEntry, known: Mapping[int, NexthopEntry]) -> RouteEntry:
    if not way.nhid:
        return way
    nexthop = known.get(way.nhid)
    return replace(way, hops=nexthop.hops if nexthop else ())


def _fill_group(group: NexthopEntry, known: Mapping[int, NexthopEntry]) -> NexthopEntry:
    present = [leg for leg in group.group if leg.id in known]
    return replace(group, group=tuple(present), members=tuple(known[leg.id] for leg in present))


def _find_faults_of_group(group: NexthopEntry, known: Mapping[int, NexthopEntry]) -> Iterator[Clash]:
    for index, leg in enumerate(group.group):
        path, other = ("group", index, "id"), known.get(leg.id)
        if other is None:
            yield Clash(group, path, f"`id`: no [[nexthop]] has the id {leg.id}", is_absence=True)
        elif other.group:
            yield Clash(group, path, f"`id`: {other.name} at {other.origin} is a group itself")
        elif other.blackhole and len(group.group) > 1:
            yield Clash(group, path, f"`id`: {other.name} drops packets, and can only be in a group by itself")


def _find_faults_of_route(entry: Entry, route: RouteEntry, known: Mapping[int, NexthopEntry]) -> Iterator[Clash]:
    for index, way in enumerate(route.ways):
        path = ("append", index - 1, "nhid") if index else ("nhid",)
        nexthop = known.get(way.nhid)
        if way.nhid and nexthop is None:
            yield Clash(entry, path, f"`nhid`: no [[nexthop]] has the id {way.nhid}", is_absence=True)
        if nexthop is None:
            continue
        narrow = next((one for one in (nexthop, *nexthop.members) if one.family == IPV4), None)
        if IPV6 in route.prefixes and narrow is not None:
            message = f"`nhid`: {narrow.name} at {narrow.origin} is for IPv4, and this route is of IPv6"
            yield Clash(entry, path, message)
