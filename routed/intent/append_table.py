"""``append``: what stands behind a route under its key, in order. Imported where a route has some.

Sources: fib_table_insert in net/ipv4/fib_trie.c, fib6_add_rt2node in net/ipv6/ip6_fib.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from routed.intent import schema
from routed.intent.problems import Fault
from routed.intent.schema_append import WORDS
from routed.model.entries import RouteEntry
from routed.model.net import IPV6


def check_append(route: schema.Route, families: frozenset[int], *, has_members: bool) -> Iterator[Fault]:
    """What can be said of all of it."""
    if not route.append:
        yield Fault(("append",), "`append` is empty", "leave it out where nothing is meant")
    if IPV6 in families:
        hint = "several gateways of an IPv6 route are `hops`; what stands in for it has a higher `metric`"
        yield Fault(("append",), "`append` is for IPv4 only", hint)
    if has_members:
        yield Fault(("append",), "`append` and `for_each` exclude each other", "write the routes one by one")
    for index, way in enumerate(route.append or ()):
        for at, hop in enumerate(way.hops or ()):
            if hop.requires:
                path = ("append", index, "hops", at, "requires")
                yield Fault(path, "`requires` stands for the whole route", "write it beside `append`")


def spell_out(route: schema.Route) -> list[schema.Route]:
    """Each of them as a route of its own with the keys of the first."""
    nothing = {"append": None, "requires": None, "down_metric": None, "when_all_down": None, "family": "ipv4"}
    return [
        route.model_copy(update=nothing | {word: getattr(way, word) for word in WORDS}) for way in route.append or ()
    ]


def append_ways(
    entry: RouteEntry, ways: list[schema.Route], convert: Callable[[schema.Route], RouteEntry | tuple[Fault, ...]]
) -> tuple[RouteEntry, list[Fault]]:
    """The entry with what stands behind it, and what is wrong with that."""
    faults: list[Fault] = []
    seen, behind = {_content(entry): "the route itself"}, list[RouteEntry]()
    for index, way in enumerate(ways):
        found = convert(way)
        if isinstance(found, tuple):
            faults += (fault._replace(path=("append", index, *fault.path)) for fault in found)
            continue
        if (first := seen.get(_content(found))) is not None:
            faults.append(Fault(("append", index), f"this is the same as {first}", "the kernel takes none twice"))
        seen.setdefault(_content(found), f"append[{index}]")
        behind.append(replace(found, prefixes={}))  # those of the entry
    return replace(entry, append=tuple(behind)), faults


def _content(entry: RouteEntry) -> tuple[Any, ...]:
    words = ("type", "scope", "src", "src_of", "hops", "metrics", "lock", "extra", "nhid")
    return tuple(getattr(entry, word) for word in words)
