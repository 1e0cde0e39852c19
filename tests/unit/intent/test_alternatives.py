"""Which routes stand in for each other, and the ways of checks: the same for a few and for very many."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.intent import alternatives
from routed.intent.alternatives import join_alternatives
from routed.intent.ways import derive_ways
from routed.model.checks import Check, CheckType, Target
from routed.model.entries import Entry, Origin, ProbeWays, Requirement, RouteEntry, WhenDown
from routed.model.net import IPV4, parse_address, parse_prefix
from routed.model.prefixes import PrefixSet

ORIGIN = Origin("/etc/routed.toml", 1)


def a_route(name: int, to: frozenset[bytes], *, table: int = 254, is_file: bool = False) -> RouteEntry:
    return RouteEntry(
        name=f"route/{name}",
        origin=ORIGIN,
        place=name,
        prefixes={IPV4: PrefixSet.of(to) if is_file else to},
        table=table,
        metric=name,
        requires=(Requirement(f"check{name}"),),
        when_down=WhenDown(),
    )


PREFIXES = st.frozensets(st.sampled_from([parse_prefix(f"10.{n}.0.0/16") for n in range(4)]), min_size=1, max_size=3)


@given(st.lists(st.tuples(PREFIXES, st.sampled_from([254, 77]), st.booleans()), max_size=6))
def test_alternatives_are_those_of_one_table_with_a_destination_in_common(
    drawn: list[tuple[frozenset[bytes], int, bool]],
) -> None:
    entries = [a_route(at, to, table=table, is_file=is_file) for at, (to, table, is_file) in enumerate(drawn)]
    for at, joined in enumerate(join_alternatives(entries)):
        alike = [
            other
            for other, (to, table, _) in enumerate(drawn)
            if other != at and table == drawn[at][1] and to & drawn[at][0]
        ]
        assert joined.when_down is not None
        assert joined.when_down.alternatives == tuple(entries[other].requires for other in alike)
        assert joined.when_down.is_preferred == all(at < other for other in alike)


def test_of_very_many_routes_and_checks_none_is_compared_with_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(*_: Any) -> bool:
        raise AssertionError("compared")

    monkeypatch.setattr(alternatives, "_are_alike", compare)
    monkeypatch.setattr(Check, "__eq__", compare)
    via = parse_address("192.0.2.1")
    checks = [
        Check(name=f"check{n}", origin=ORIGIN, type=CheckType.TCP, targets=(Target(via, 80),), via=via, dev="eth0")
        for n in range(50)
    ]
    entries: list[Entry] = [a_route(n, frozenset({parse_prefix(f"10.{n}.0.0/16")})) for n in range(50)]
    ways = derive_ways(checks, entries, ProbeWays())
    assert len({check.mark for check in ways.checks}) == 1
    assert len(ways.made) == 2
