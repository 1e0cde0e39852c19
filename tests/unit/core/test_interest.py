"""Interest: nothing that could matter is left out, and of the rest as little as possible is heard."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.core.desired import Desired
from routed.core.entries import resolve
from routed.core.interest import MANY, MOST, find_interest, join_spans
from routed.model.entries import RouteEntry
from routed.model.facts import Facts
from routed.model.net import IPV4, IPV6, parse_prefix
from routed.model.prefixes import PrefixSet
from tests.property.rig import ORIGIN, OURS, THEIRS

PLACE = st.integers(0, 2**32 - 1)
SPANS = st.lists(st.tuples(PLACE, PLACE).map(lambda pair: (min(pair), max(pair))), max_size=3 * MOST)


def wanted(*prefixes: str, is_file: bool = False) -> Desired:
    sets: dict[int, AbstractSet[bytes]] = {}
    for family in (IPV4, IPV6):
        packed = [parse_prefix(prefix) for prefix in prefixes if (":" in prefix) == (family == IPV6)]
        if packed:
            sets[family] = PrefixSet.of(packed) if is_file else frozenset(packed)
    desired = Desired()
    desired.put(resolve(RouteEntry(name="route/some", origin=ORIGIN, prefixes=sets, type=6), Facts(), OURS))
    return desired


@pytest.mark.parametrize(("prefix", "half"), [("0.0.0.0/0", "128.0.0.0/1"), ("::/0", "8000::/1"), ("::/0", "::/1")])
def test_of_the_halves_over_a_wanted_default_route_is_heard(prefix: str, half: str) -> None:
    interest = find_interest(wanted(prefix), (), frozenset({OURS}))
    assert interest.covers(parse_prefix(half), THEIRS)
    assert not find_interest(wanted("10.0.0.0/8", "fd00::/8"), (), frozenset({OURS})).covers(parse_prefix(half), THEIRS)


@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize("prefix", ["10.1.0.0/16", "0.0.0.0/0", "2001:db8::/48", "::/0"])
def test_what_stands_under_a_wanted_key_is_heard_of_whoever_puts_it(prefix: str, is_file: bool) -> None:
    interest = find_interest(wanted(prefix, is_file=is_file), (), frozenset({OURS}))
    assert interest.covers(parse_prefix(prefix), THEIRS)


def test_what_nobody_wants_is_not_heard_of() -> None:
    interest = find_interest(wanted("10.1.0.0/16", "2001:db8::/48"), (), frozenset({OURS}))
    assert not interest.covers(parse_prefix("10.2.0.0/16"), THEIRS)
    assert not interest.covers(parse_prefix("2001:db9::/48"), THEIRS)


def test_what_is_marked_as_ours_is_heard_of_wherever_it_comes() -> None:
    interest = find_interest(Desired(), (), frozenset({OURS, 77}))
    assert interest.covers(parse_prefix("10.2.0.0/16"), OURS)
    assert interest.covers(parse_prefix("2001:db9::/48"), 77)
    assert not interest.covers(parse_prefix("10.2.0.0/16"), THEIRS)


def test_a_prefix_that_a_fact_speaks_of_is_heard_of() -> None:
    interest = find_interest(Desired(), [parse_prefix("10.96.0.0/12")], frozenset({OURS}))
    assert interest.covers(parse_prefix("10.96.0.0/12"), THEIRS)
    assert not interest.covers(parse_prefix("10.112.0.0/12"), THEIRS)


def test_a_default_route_is_always_heard_of() -> None:
    interest = find_interest(Desired(), (), frozenset({OURS}))
    assert interest.covers(parse_prefix("0.0.0.0/0"), THEIRS)


@given(SPANS)
def test_joined_spans_cover_all_that_the_single_ones_do_in_order_and_in_few(spans: list[tuple[int, int]]) -> None:
    joined = join_spans(spans)
    assert len(joined) <= MOST
    assert all(first <= last for first, last in joined)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(joined))
    assert all(any(first <= one and other <= last for first, last in joined) for one, other in spans)


def test_where_spans_have_to_be_joined_the_widest_gaps_stay() -> None:
    near = [(place, place) for place in range(0, 200, 2)]
    assert join_spans([*near, (10_000, 10_000)])[-1] == (10_000, 10_000)


def test_few_spans_stay_as_they_are() -> None:
    assert join_spans([(7, 7), (1, 2), (3, 3)]) == ((1, 3), (7, 7))


def test_an_entry_that_is_dropped_is_not_heard_of_any_more() -> None:
    desired = wanted("10.1.0.0/16")
    desired.drop("route/some")
    assert not find_interest(desired, (), frozenset({OURS})).covers(parse_prefix("10.1.0.0/16"), THEIRS)


def test_very_many_are_heard_of_from_the_first_to_the_last() -> None:
    prefixes = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(MANY + 1)]
    interest = find_interest(wanted(*prefixes, "2001:db8::/48"), (), frozenset({OURS}))
    assert len(interest.spans[IPV4]) == 1
    assert interest.covers(parse_prefix(prefixes[0]), THEIRS)
    assert interest.covers(parse_prefix(prefixes[-1]), THEIRS)
    assert not interest.covers(parse_prefix("11.0.0.0/24"), THEIRS)
