"""Ways: the routes and rules that lead the questions of checks with ``via`` to their own gateways.

They are entries like any other, and nobody writes them: a check has them while an entry requires it. A mark selects the
rule, the rule the table, and the table has one route. So a remedy never takes the way of a question away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from routed.intent.crosscheck import Clash
from routed.model import net
from routed.model.checks import Check, CheckType, Target
from routed.model.entries import Entry, HopSpec, ProbeWays, RouteEntry, RuleEntry, VipEntry
from routed.model.objects import RuleMember

MASK: Final = 0xFFFFFFFF


class Ways(NamedTuple):
    """The checks with the marks of their ways, and the entries that make these."""

    checks: tuple[Check, ...]
    entries: tuple[Entry, ...]
    base: ProbeWays

    def find_clashes(self, entries: Iterable[Entry]) -> Iterator[Clash]:
        """What contradicts these ways among the entries of the files."""
        entries = tuple(entries)
        yield from _find_overlaps(self, entries)
        yield from find_severed(self.checks, entries)


def derive_ways(checks: Iterable[Check], entries: Iterable[Entry], base: ProbeWays) -> Ways:
    """Checks that share gateway and link share a way. What no entry requires has none."""
    checks = tuple(checks)
    used = {requirement.check for entry in entries for requirement in entry.requires}
    ways = sorted({(check.dev, check.via) for check in checks if check.via and check.name in used})
    marked = tuple(
        replace(check, mark=base.mark + ways.index((check.dev, check.via))) if (check.dev, check.via) in ways else check
        for check in checks
    )
    firsts = {check.mark: check for check in reversed(marked) if check.mark and check.name in used}
    made = [entry for mark in sorted(firsts) for entry in _make_way(firsts[mark], base)]
    return Ways(marked, tuple(made), base)


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


def _find_overlaps(ways: Ways, entries: Iterable[Entry]) -> Iterator[Clash]:
    """Entries of the files in a table, or of the priority, that these ways have for themselves."""
    tables = {entry.table for entry in ways.entries if isinstance(entry, RouteEntry)}
    hint = "[daemon] probe says which"
    for entry in entries if tables else ():
        if isinstance(entry, RuleEntry) and entry.rule.priority == ways.base.priority:
            yield Clash(entry, ("priority",), f"`priority`: {ways.base.priority} is that of the ways of checks: {hint}")
        if getattr(entry, "table", 0) in tables:
            yield Clash(entry, ("table",), f"`table`: this one is a way of a check: {hint}")


def find_severed(checks: Iterable[Check], entries: Iterable[Entry]) -> Iterator[Clash]:
    """Entries whose withdrawal would take the questions of the very check away that they wait for.

    A gateway of the route itself is a neighbour, and a longer prefix that stays leads there as well.
    """
    asked = {check.name: check for check in checks if not check.via and check.type is not CheckType.ARP}
    routes = [entry for entry in entries if isinstance(entry, RouteEntry | VipEntry)]
    for entry in routes:
        gateways = {hop.via for hop in entry.hops} if isinstance(entry, RouteEntry) else set()
        for requirement in entry.requires:
            check = asked.get(requirement.check)
            if check is None or requirement.is_inverted:
                continue
            for target in check.targets:
                length = _find_length(target.address, entry)
                others = (one for one in routes if requirement not in one.requires)
                is_led = any(_find_length(target.address, one) > length for one in others)
                if length >= 0 and target.address not in gateways and not is_led:
                    yield Clash(entry, ("requires",), _tell_severed(check, target))
                    break


def _find_length(address: bytes, entry: RouteEntry | VipEntry) -> int:
    """The length of the longest prefix of the entry that holds the address; -1 where none does."""
    if not address:
        return -1
    prefixes = entry.prefixes.get(net.family_of(address), frozenset())
    lengths = range(len(address) * 8, -1, -1)
    return next((length for length in lengths if net.network_of(address, length) in prefixes), -1)


def _tell_severed(check: Check, target: Target) -> str:
    return (
        f"`requires`: {check.entry} asks {net.format_address(target.address)}, and its questions would go with this"
        " route: once withdrawn it never came back. Give the check a way of its own: `via`"
    )
