"""Who wanted what nobody wants any more: the guard counts net of what the same entry adds."""

from __future__ import annotations

import pytest

from routed.core.desired import ObjectSet, scope_of
from routed.core.former import Former
from routed.model.net import parse_prefix
from routed.model.objects import Kind
from routed.model.prefixes import Packed, PrefixSet
from tests.property.rig import route_key

SLOT, OTHER = route_key().slot, route_key(table=77).slot
A, B, C, D = (parse_prefix(f"10.{number}.0.0/16") for number in range(1, 5))


def group(*members: bytes, is_file: bool = False) -> ObjectSet:
    return ObjectSet(Kind.ROUTE, SLOT, PrefixSet.of(members) if is_file else frozenset(members), None)


@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize("members", [(A, B, C, D), Packed(A + B + C + D, 5)])
def test_members_are_counted_for_the_entries_that_had_them(members: tuple[bytes, ...], is_file: bool) -> None:
    former = Former()
    former.note("route/one", [group(A, B, is_file=is_file)])
    former.note("route/two", [group(C)])
    assert former.count(Kind.ROUTE, SLOT, members) == {"route/one": 2, "route/two": 1}
    assert former.count(Kind.ROUTE, OTHER, members) == {}


def test_of_two_entries_that_had_one_the_last_counts() -> None:
    former = Former()
    former.note("route/one", [group(A)])
    former.note("route/two", [group(A)])
    assert former.count(Kind.ROUTE, SLOT, (A,)) == {"route/two": 1}


def test_what_an_entry_had_before_and_before_that_is_remembered() -> None:
    former = Former()
    former.note("route/one", [group(A)])
    former.note("route/one", [group(B)])
    assert former.count(Kind.ROUTE, SLOT, (A, B)) == {"route/one": 2}


def test_where_nothing_stands_any_more_that_nobody_wants_all_is_forgotten() -> None:
    former = Former()
    former.note("route/one", [group(A)])
    former.forget({scope_of(Kind.ROUTE, OTHER)})
    assert former.find_scopes() == {scope_of(Kind.ROUTE, SLOT)}
    former.forget(former.find_scopes())
    assert former.count(Kind.ROUTE, SLOT, (A,)) == {}
