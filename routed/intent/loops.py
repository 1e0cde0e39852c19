"""Loops: checks whose questions go with what waits for them, be it by way of other checks.

A check leans on another one where its questions take a route that requires the other one: while that is down the route
is withdrawn, and these questions with it. A circle of such checks, of one or of many, is never up again once one of
them is down, so it is an error of the files. Here must never live how a question is given a way of its own (``ways``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import takewhile
from typing import Any, Final, NamedTuple

from routed.intent.crosscheck import Clash
from routed.model import net
from routed.model.checks import Check, CheckType
from routed.model.entries import AddressEntry, Entry, HopSpec, Requirement, RouteEntry, VipEntry
from routed.model.prefixes import PrefixSet


class Road(NamedTuple):
    """What questions may take to somewhere."""

    entry: Entry
    prefixes: Mapping[int, AbstractSet[bytes]]
    hops: tuple[HopSpec, ...] = ()


class Lean(NamedTuple):
    """Why a check leans on another one."""

    check: Check
    address: bytes  # that it asks
    entry: Entry  # by which its questions go
    requirement: Requirement  # of this entry
    other: str  # the check that decides it


def _lead_on_link(entry: AddressEntry) -> Road:
    network = net.network_of(entry.address, entry.prefixlen)
    return Road(entry, {net.family_of(network): {network}}, (HopSpec(dev=entry.dev),))


# An entry of another kind leads nowhere.
ROADS: Final[dict[type[Entry], Callable[[Any], Road]]] = {
    RouteEntry: lambda it: Road(it, it.prefixes, it.every_hop),
    VipEntry: lambda it: Road(it, it.prefixes),
    AddressEntry: _lead_on_link,
}


class _Map:
    """Which roads lead to an address. Small sets are looked up together, large ones one by one."""

    def __init__(self, roads: Iterable[Road]) -> None:
        self._by_prefix: dict[bytes, list[Road]] = {}
        self._large: list[Road] = []
        self._gateways: set[bytes] = set()
        for road in roads:
            self._gateways.update(hop.via for hop in road.hops)
            for prefixes in road.prefixes.values():
                if isinstance(prefixes, PrefixSet):
                    self._large.append(road)
                    continue
                for prefix in prefixes:
                    self._by_prefix.setdefault(prefix, []).append(road)

    def find(self, address: bytes, dev: str) -> Iterator[tuple[int, Road]]:
        """Those that hold the address and may leave by this link, with their lengths, the longest first.

        None leads to a gateway, which is a neighbour, or to this host itself.
        """
        if not address or address in self._gateways or net.is_loopback(address):
            return
        for length in range(len(address) * 8, -1, -1):
            prefix = net.network_of(address, length)
            large = (road for road in self._large if prefix in road.prefixes.get(net.family_of(prefix), ()))
            for road in (*self._by_prefix.get(prefix, ()), *large):
                if not dev or not road.hops or any(_may_be_same(dev, hop.dev) for hop in road.hops):
                    yield length, road


def _may_be_same(dev: str, other: str) -> bool:
    """May these words mean one link? An ``@name`` may mean any link, but not the one of another ``@name``."""
    return dev == other or not other or dev.startswith("@") is not other.startswith("@")


def find_loops(checks: Iterable[Check], entries: Iterable[Entry]) -> Iterator[Clash]:
    """Every circle of checks that lean on each other, each told once, at the first entry in it."""
    asking = [check for check in checks if not check.via and check.type is not CheckType.ARP]
    if not asking:
        return
    map_ = _Map(ROADS[type(entry)](entry) for entry in entries if type(entry) in ROADS)
    every = {check.name: list(_find_leans(check, map_)) for check in asking}
    stuck = _find_stuck(every)
    leans = {name: {lean.other: lean for lean in reversed(every[name]) if lean.other in stuck} for name in stuck}
    told: set[frozenset[tuple[str, str]]] = set()
    for start in list(leans):  # of the circles through a check the shortest is told
        circle = _find_circle(start, leans)
        requirements = frozenset((one.entry.name, one.requirement.check) for one in circle)
        if circle and requirements not in told:  # the servers of one service make one circle each
            told.add(requirements)
            yield Clash(circle[0].entry, ("requires",), _tell(circle))
        del leans[start]


def _find_stuck(every: Mapping[str, Iterable[Lean]]) -> dict[str, None]:
    """The checks that are never up again once all of these are down, in order."""
    stuck = dict.fromkeys(every)
    while free := [name for name in stuck if not any(_is_unmet(one.requirement, stuck) for one in every[name])]:
        for name in free:
            del stuck[name]
    return stuck


def _is_unmet(requirement: Requirement, down: Container[str]) -> bool:
    """Is it not met while these are down? Whether any other is down does not count."""
    if requirement.is_inverted:
        return False
    if not requirement.servers:
        return requirement.check in down
    up = sum(not any(_is_unmet(one, down) for one in requires) for requires in requirement.servers)
    return up < requirement.need


def _find_leans(check: Check, map_: _Map) -> Iterator[Lean]:
    """What this check leans on."""
    for target in check.targets:
        roads = list(map_.find(target.address, check.dev))
        for length, road in roads:
            if _stays(road.entry, check) or _stays_on_link(road, check, target.address):
                continue
            longer = [other for _, other in takewhile(lambda pair, length=length: pair[0] > length, roads)]  # type: ignore[misc]
            for requirement in road.entry.requires:
                is_led = any(requirement not in other.entry.requires for other in longer)
                if is_led or requirement.is_inverted:
                    continue
                for name in requirement.checks:
                    yield Lean(check, target.address, road.entry, requirement, name)


def _stays(entry: Entry, check: Check) -> bool:
    """Do the questions of the check still go there while what the entry requires is not so?

    Bound to a link they find a route of any metric; else another one that is better would be taken.
    """
    when_down = entry.when_down
    if when_down is None:
        return False
    is_demoted = when_down.down_metric is not None
    return is_demoted and bool(check.dev) if when_down.alternatives else is_demoted or bool(when_down.keeps)


def _stays_on_link(road: Road, check: Check, address: bytes) -> bool:
    """Does the question go by the link of the check all the same, as the route itself would lead it there?

    IPv4 takes what no route leads to as a neighbour on the link of a bound socket (ip_route_output_key_hash_rcu in
    net/ipv4/route.c), and on a link to one far end alone that is all there is. IPv6 says that there is no route.
    """
    is_on_link = any(hop.dev == check.dev and not hop.via for hop in road.hops)
    return bool(check.dev) and is_on_link and net.family_of(address) == net.IPV4


def _find_circle(start: str, leans: Mapping[str, Mapping[str, Lean]]) -> Sequence[Lean]:
    """The shortest way from a check back to itself; empty where there is none."""
    came_by: dict[str, Lean] = {}
    ahead = deque([start])
    while ahead and start not in came_by:
        name = ahead.popleft()
        for other, lean in leans[name].items():
            if other in leans and other not in came_by:
                came_by[other] = lean
                ahead.append(other)
    if start not in came_by:
        return ()
    circle = [came_by[start]]
    while (name := circle[0].check.name) != start:
        circle.insert(0, came_by[name])
    return circle


def _tell(circle: Sequence[Lean]) -> str:
    each = (
        f"{one.check.entry} asks {net.format_address(one.address)}, and its questions would go with {one.entry.name},"
        f" which requires {f'{one.requirement.check} and with it ' if one.requirement.servers else ''}check/{one.other}"
        for one in circle
    )
    cure = "down once, none of this would ever be up again. Give a check a way of its own: `via`"
    return f"`requires`: {'; '.join(each)}: {cure}"
