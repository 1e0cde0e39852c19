"""Ways: the routes and rules that lead the questions of checks with ``via`` to their own gateways.

They are entries like any other, and nobody writes them: a check has them while an entry requires it. A mark selects the
rule, the rule the table, and the table has one route. So a remedy never takes the way of a question away. What is
handed to the gateway as a whole packet needs none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, Final, NamedTuple

from routed.intent.alternatives import find_lonely, join_alternatives
from routed.intent.crosscheck import Clash
from routed.model import net
from routed.model.checks import HANDED_OVER, Check, CheckType, Target
from routed.model.entries import Entry, HopSpec, ProbeWays, RouteEntry, RuleEntry, VipEntry
from routed.model.objects import RuleMember

MASK: Final = 0xFFFFFFFF


class Ways(NamedTuple):
    """The checks with the marks of their ways, and the entries that make these."""

    checks: tuple[Check, ...]
    made: tuple[Entry, ...]
    written: tuple[Entry, ...]  # by the operator; they know their alternatives
    base: ProbeWays

    def find_clashes(self) -> Iterator[Clash]:
        """What contradicts these ways, or the checks, among the entries of the files."""
        yield from _find_overlaps(self)
        yield from _find_severed(self.checks, self.written)
        yield from find_lonely(self.written)


def derive_ways(checks: Iterable[Check], entries: Sequence[Entry], base: ProbeWays) -> Ways:
    """Checks that share gateway and link share a way. What no entry requires has none."""
    checks = tuple(checks)
    used = {requirement.check for entry in entries for requirement in entry.conditions}
    by_route = [check for check in checks if check.via and check.type not in HANDED_OVER]
    ways = sorted({(check.dev, check.via) for check in by_route if check.name in used})
    marks = {way: base.mark + number for number, way in enumerate(ways)}
    marked = tuple(
        replace(check, mark=marks.get((check.dev, check.via), 0)) if check in by_route else check for check in checks
    )
    firsts = {check.mark: check for check in reversed(marked) if check.mark and check.name in used}
    made = [entry for mark in sorted(firsts) for entry in _make_way(firsts[mark], base)]
    return Ways(marked, tuple(made), join_alternatives(entries), base)


def _make_way(check: Check, base: ProbeWays) -> Iterator[Entry]:
    family, table = net.family_of(check.via), base.table + check.mark - base.mark
    yield RouteEntry(
        name=f"{check.entry}[route]",
        origin=check.origin,
        prefixes={family: frozenset({net.DEFAULT[family]})},
        table=table,
        hops=(HopSpec(check.via, check.dev),),
    )
    yield RuleEntry(
        name=f"{check.entry}[rule]",
        origin=check.origin,
        families=(family,),
        rule=RuleMember(base.priority, table=table, fwmark=check.mark, fwmask=MASK),
    )


class _Place(NamedTuple):
    """What an entry takes, as far as a check may need it."""

    table: int = 0
    priority: int = 0
    prefixes: Mapping[int, AbstractSet[bytes]] = {}
    gateways: AbstractSet[bytes] = frozenset()  # neighbours of this host, whatever the entry leads to
    links: AbstractSet[str] = frozenset()  # to which it leads without a gateway


# An entry of another kind takes nothing of this.
PLACES: Final[dict[type[Entry], Callable[[Any], _Place]]] = {
    RouteEntry: lambda it: _Place(
        it.table,
        0,
        it.prefixes,
        frozenset(hop.via for hop in it.hops),
        frozenset(hop.dev for hop in it.hops if not hop.via),
    ),
    VipEntry: lambda it: _Place(it.table, 0, it.prefixes),
    RuleEntry: lambda it: _Place(priority=it.rule.priority),
}


def _find_places(entries: Iterable[Entry]) -> list[tuple[Entry, _Place]]:
    return [(entry, PLACES[type(entry)](entry)) for entry in entries if type(entry) in PLACES]


def _find_overlaps(ways: Ways) -> Iterator[Clash]:
    """Entries of the files in a table, or of the priority, that these ways have for themselves."""
    tables = {place.table for _, place in _find_places(ways.made)} - {0}
    for entry, place in _find_places(ways.written) if tables else ():
        for key, is_taken in (("priority", place.priority == ways.base.priority), ("table", place.table in tables)):
            if is_taken:
                yield Clash(
                    entry, (key,), f"`{key}`: this one is for the questions of checks: [daemon] probe says which"
                )


def _find_severed(checks: Iterable[Check], entries: Iterable[Entry]) -> Iterator[Clash]:
    """Entries whose withdrawal would take the questions of the very check away that they wait for.

    A gateway of the route itself is a neighbour, and a longer prefix that stays leads there as well.
    """
    asked = {check.name: check for check in checks if not check.via and check.type is not CheckType.ARP}
    places = _find_places(entries) if asked else []
    for entry, place in places:
        for requirement in entry.requires:
            check = asked.get(requirement.check)
            if check is None or requirement.is_inverted:
                continue
            staying = [other for one, other in places if requirement not in one.requires]
            leaving = (target for target in check.targets if not _stays_on_its_link(check, target, place))
            severed = (target for target in leaving if _is_severed(target.address, place, staying))
            if (target := next(severed, None)) is not None:
                yield Clash(entry, ("requires",), _tell_severed(check, target))


def _stays_on_its_link(check: Check, target: Target, place: _Place) -> bool:
    """Does the question go by the link of the check all the same, as the route itself would lead it there?

    IPv4 takes what no route leads to as a neighbour on the link of a bound socket (ip_route_output_key_hash_rcu in
    net/ipv4/route.c), and on a link to one far end alone that is all there is. IPv6 says that there is no route.
    """
    return check.dev in place.links and net.family_of(target.address) == net.IPV4


def _is_severed(address: bytes, place: _Place, staying: Iterable[_Place]) -> bool:
    length = _find_length(address, place)
    if length < 0 or address in place.gateways:
        return False
    return not any(_find_length(address, other) > length for other in staying)


def _find_length(address: bytes, place: _Place) -> int:
    """The length of the longest prefix there that holds the address; -1 where none does."""
    prefixes = place.prefixes.get(net.family_of(address)) if address else None
    lengths = range(len(address) * 8, -1, -1) if prefixes else ()
    return next((length for length in lengths if net.network_of(address, length) in (prefixes or ())), -1)


def _tell_severed(check: Check, target: Target) -> str:
    return (
        f"`requires`: {check.entry} asks {net.format_address(target.address)}, and its questions would go with this"
        " route: once withdrawn it never came back. Give the check a way of its own: `via`"
    )
