"""The diff: a stream of what stands in, groups of drift out."""

from __future__ import annotations

import pytest

from routed.core.desired import Desired, Resolution
from routed.core.diff import Comparer, Differences, compare_keys
from routed.core.entries import resolve
from routed.model import names
from routed.model.change import Nature
from routed.model.entries import Entry
from routed.model.facts import Facts, Link
from routed.model.net import parse_prefix
from routed.model.objects import Key, Kind, Slot, Standing, Value
from tests.property.rig import OURS, OWNERS, THEIRS, a_route, hop, route_key, route_value

FACTS = Facts(links={1: Link(1, "v0", is_up=True, has_carrier=True)})
SLOT = route_key().slot
A, B, C = (parse_prefix(f"10.{number}.0.0/16") for number in (1, 2, 3))
OURS_ONLINK = route_value(hop(1), protocol=OURS, scope=names.LINK)
THEIR = route_value(hop(2), protocol=THEIRS)
OLD = OURS_ONLINK._replace(scope=0)
SET = a_route(to=("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"))


def desired(*entries: Entry) -> Desired:
    wanted = Desired()
    for entry in entries:
        wanted.put(resolve(entry, FACTS, OURS))
    return wanted


def compare(
    wanted: Desired, *standings: Standing, covered: tuple[Slot, ...] = (SLOT,), chunk: int = 100
) -> Differences:
    comparer = Comparer(Kind.ROUTE, wanted.wants[Kind.ROUTE], covered, OWNERS[Kind.ROUTE])
    for start in range(0, len(standings), chunk):
        comparer.feed(list(standings[start : start + chunk]))
    return comparer.finish()


def at(member: bytes, value: Value = OURS_ONLINK, slot: Slot = SLOT) -> Standing:
    return Standing(slot, member, value)


def is_in_order(differences: Differences) -> bool:
    return not differences.drifts and not differences.notes


def natures(differences: Differences) -> dict[Nature, tuple[object, ...]]:
    return {drift.nature: tuple(drift.members) for drift in differences.drifts}


def test_everything_as_wanted_is_no_drift() -> None:
    assert is_in_order(compare(desired(SET), at(A), at(B), at(C)))


def test_all_that_is_missing_of_one_entry_is_one_group() -> None:
    assert natures(compare(desired(SET), at(B))) == {Nature.MISSING: (A, C)}


def test_the_missing_of_two_entries_are_two_groups() -> None:
    two = desired(a_route("one", "10.1.0.0/16"), a_route("two", "10.2.0.0/16"))
    assert [drift.members for drift in compare(two).drifts] in ([(A,), (B,)], [(B,), (A,)])


def test_equal_trouble_is_one_group_and_other_trouble_another() -> None:
    found = compare(desired(SET), at(A, OLD), at(B, OLD), at(C, THEIR))
    assert natures(found) == {Nature.DIFFERENT: (A, B), Nature.FOREIGN: (C,)}


def test_what_nobody_wants_is_a_surplus_only_under_our_protocol() -> None:
    other = route_key(table=77).slot
    found = compare(desired(), at(A), at(B, slot=other), at(C, THEIR))
    assert [(drift.nature, drift.slot, drift.members) for drift in found.drifts] == [
        (Nature.SURPLUS, SLOT, (A,)),
        (Nature.SURPLUS, other, (B,)),
    ]


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_aliases_are_judged_together_wherever_the_stream_is_cut(chunk: int) -> None:
    found = compare(desired(SET), at(A), at(A, THEIR), at(B, THEIR), at(B), at(C), at(C, OLD), chunk=chunk)
    assert natures(found) == {Nature.BEHIND: (B,), Nature.EXTRA: (C,)}
    assert [(note.members, note.standing) for note in found.notes] == [((A,), (OURS_ONLINK, THEIR))]


def test_three_aliases_are_seen_in_the_kernels_order() -> None:
    found = compare(desired(SET), at(A, THEIR), at(A), at(A, OLD), at(B), at(C))
    (drift,) = found.drifts
    assert drift.standing == (THEIR, OURS_ONLINK, OLD)


def test_a_wanted_object_seen_in_a_dump_that_does_not_cover_its_slot_says_nothing() -> None:
    assert is_in_order(compare(desired(SET), at(A, OLD), covered=()))


def test_while_the_content_is_not_known_what_stands_is_left_alone() -> None:
    waiting = desired(a_route(to="10.1.0.0/16", src="192.0.2.77"))
    assert is_in_order(compare(waiting, at(A, THEIR)))
    assert is_in_order(compare(waiting))


def test_single_keys_are_judged_like_a_dump() -> None:
    wanted = desired(SET).wants
    touched = {
        route_key("10.1.0.0/16"): (),
        route_key("10.2.0.0/16"): (OLD,),
        route_key("10.3.0.0/16"): (OURS_ONLINK,),
        route_key("10.9.0.0/16"): (OURS_ONLINK,),
        route_key("10.8.0.0/16"): (THEIR,),
    }
    found = compare_keys(touched, wanted, OWNERS)
    assert natures(found) == {
        Nature.MISSING: (A,),
        Nature.DIFFERENT: (B,),
        Nature.SURPLUS: (parse_prefix("10.9.0.0/16"),),
    }


def test_an_entry_that_is_put_again_leaves_nothing_of_its_former_self() -> None:
    wanted = desired(SET)
    wanted.put(resolve(a_route(to="10.9.0.0/16", table=77), FACTS, OURS))
    assert wanted.count() == 1
    assert wanted.get(route_key("10.1.0.0/16")) is None
    wanted.drop("route/lan")
    assert wanted.wants[Kind.ROUTE] == {}


def test_two_entries_that_meet_at_one_key_clash_and_the_first_keeps_it() -> None:
    wanted = desired(a_route("first", "10.1.0.0/16"), a_route("second", ("10.1.0.0/16", "10.2.0.0/16")))
    assert wanted.clashes == {"route/second": "route/first"}
    want = wanted.get(route_key("10.1.0.0/16"))
    assert want is not None
    assert want.entry.name == "route/first"
    wanted.drop("route/second")
    assert wanted.count() == 1
    assert wanted.clashes == {}


def test_a_file_all_of_whose_prefixes_are_wanted_elsewhere_wants_nothing_more() -> None:
    wanted = desired(a_route("first", "10.1.0.0/16"), a_route("second", "10.1.0.0/16", is_file=True))
    assert wanted.clashes == {"route/second": "route/first"}
    assert wanted.count() == 1
    wanted.drop("route/first")
    wanted.drop("route/second")
    assert wanted.wants[Kind.ROUTE] == {}


def test_two_files_that_meet_at_one_key_clash_and_the_first_keeps_it() -> None:
    listed = desired(
        a_route("first", ("10.1.0.0/16", "10.2.0.0/16"), is_file=True),
        a_route("second", ("10.2.0.0/16", "10.3.0.0/16"), is_file=True),
    )
    assert listed.clashes == {"route/second": "route/first"}
    assert [want.entry.name for to in (A, B, C) if (want := listed.get(Key(Kind.ROUTE, SLOT, to)))] == [
        "route/first",
        "route/first",
        "route/second",
    ]


def test_the_dumps_over_a_link_are_those_of_the_routes_that_go_through_it() -> None:
    wanted = desired(a_route(), a_route("other", table=77, type_=names.BLACKHOLE))
    assert {scope.table for scope in wanted.scopes_on(1)} == {254}
    assert wanted.scopes_on(2) == set()
    assert {scope.table for scope in wanted.scopes()} == {254, 77}
    assert isinstance(wanted.resolutions["route/lan"], Resolution)
