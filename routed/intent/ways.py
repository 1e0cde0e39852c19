"""Ways: the routes and rules that lead the questions of checks with ``via`` to their own gateways.

They are entries like any other, and nobody writes them: a check has them while an entry requires it. A mark selects the
rule, the rule the table, and the table has one route. So a remedy never takes the way of a question away. What is
handed to the gateway as a whole packet needs none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from routed.intent.alternatives import find_lonely, join_alternatives
from routed.intent.crosscheck import Clash
from routed.intent.loops import find_loops
from routed.model import net
from routed.model.checks import HANDED_OVER, Check
from routed.model.entries import Entry, HopSpec, ProbeWays, RouteEntry, RuleEntry, VipEntry
from routed.model.objects import RuleMember
from routed.model.servers import list_templates, put_mark

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
        yield from find_loops(self.checks, self.written)
        yield from find_lonely(self.written)


def derive_ways(checks: Iterable[Check], entries: Sequence[Entry], base: ProbeWays) -> Ways:
    """Checks that share gateway and link share a way. What no entry requires has none."""
    checks, templates = tuple(checks), tuple(list_templates(entries))
    used = {name for entry in entries for name in entry.asked} | {one.name for one in templates}
    asked = [check for check in (*checks, *templates) if check.name in used and _goes_by_route(check)]
    ways = sorted({(check.dev, check.via) for check in asked})
    marks = {way: base.mark + number for number, way in enumerate(ways)}

    def find_mark(check: Check) -> int:
        return marks.get((check.dev, check.via), 0) if _goes_by_route(check) else check.mark

    firsts = {find_mark(check): check for check in reversed(asked)}
    made = [entry for mark in sorted(firsts) for entry in _make_way(replace(firsts[mark], mark=mark), base)]
    marked = tuple(replace(check, mark=find_mark(check)) for check in checks)
    written = tuple(put_mark(entry, find_mark) for entry in join_alternatives(entries))
    return Ways(marked, tuple(made), written, base)


def _goes_by_route(check: Check) -> bool:
    return bool(check.via) and check.type not in HANDED_OVER


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
    """What an entry takes that these ways may have for themselves."""

    table: int = 0
    priority: int = 0


# An entry of another kind takes nothing of this.
PLACES: Final[dict[type[Entry], Callable[[Any], _Place]]] = {
    RouteEntry: lambda it: _Place(it.table),
    VipEntry: lambda it: _Place(it.table),
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
