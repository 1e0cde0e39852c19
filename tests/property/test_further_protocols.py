"""Entries that say numbers of their own: each object has that of its entry, whatever others did."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from routed.model.change import Verb
from routed.model.entries import Entry, Intent, Settings
from routed.model.objects import Key, Kind, list_aliases
from routed.model.owner import Marks
from tests.property.rig import OURS, Rig, a_host, a_route, route_key, route_value
from tests.property.worlds import files, numbered

NUMBERS = (OURS, 200, 201)
KINDS = (Kind.ROUTE, Kind.RULE, Kind.ADDRESS)
ONE = a_route("one", "10.1.0.0/16")
FURTHER = Settings(resync=60.0, max_deletes=1.0, protocols=frozenset({200, 201}))


def put(rig: Rig, *entries: Entry, settings: Settings = FURTHER) -> None:
    rig.enforce(Intent(settings, entries), is_forced=True)


def list_marks(rig: Rig) -> list[tuple[str, int]]:
    """What stands and carries one of the numbers: its key, and which."""
    return sorted(
        (f"{kind} {slot} {member!r}", value.protocol)
        for kind in KINDS
        for slot, member, value in rig.kernel.stand(kind)
        if value.protocol in NUMBERS
    )


def list_wanted_marks(rig: Rig) -> list[tuple[str, int]]:
    return sorted(
        (f"{kind} {slot} {member!r}", one.protocol)
        for kind in KINDS
        for slot, members in rig.host.wanted.desired.wants.get(kind, {}).items()
        for member, want in members.items()
        if want.value is not None
        for one in list_aliases(want.value)
    )


def a_rig(*entries: Entry, settings: Settings = FURTHER) -> Rig:
    rig = Rig(a_host())
    rig.start(settings=settings)
    put(rig, *entries, settings=settings)
    return rig


def test_a_value_with_another_number_of_ours_is_replaced_in_place() -> None:
    rig = a_rig(replace(ONE, protocol=200))
    (report,) = [one for one in rig.enforce(Intent(FURTHER, (replace(ONE, protocol=201),))) if one.outcomes]
    assert [outcome.operation.verb for outcome in report.outcomes] == [Verb.REPLACE]
    assert [value.protocol for value in rig.kernel.standing(route_key("10.1.0.0/16"))] == [201]


def test_what_others_mark_with_another_of_our_numbers_is_ours_and_drift() -> None:
    rig = a_rig(replace(ONE, protocol=200))
    (value,) = rig.kernel.standing(route_key("10.1.0.0/16"))
    rig.kernel.request(Verb.REPLACE, route_key("10.1.0.0/16"), value._replace(protocol=201))
    rig.run()
    assert rig.kernel.standing(route_key("10.1.0.0/16")) == (value,)
    assert not rig.host.ledger.displaced


def test_a_number_that_leaves_the_file_is_a_former_one_until_nothing_carries_it() -> None:
    many = tuple(a_route(f"r{number}", f"10.{number}.0.0/16") for number in range(30))
    rig = a_rig(*(replace(one, protocol=200) for one in many))
    rig.enforce(Intent(replace(FURTHER, protocols=frozenset({201}), max_deletes=0.0), many[:5]))
    assert rig.host.wanted.marks == Marks(OURS, frozenset({200}), frozenset({201}))
    put(rig, *many[:5], settings=replace(FURTHER, protocols=frozenset({201})))
    assert rig.host.wanted.marks == Marks(OURS, frozenset(), frozenset({201}))
    assert [number for _, number in list_marks(rig)] == [OURS] * 5


def test_what_carries_a_number_of_nobody_is_left_alone() -> None:
    rig = a_rig(ONE)
    key, value = route_key("10.99.0.0/16", table=77), route_value(protocol=202, type_=6)
    rig.kernel.request(Verb.ADD, key, value)
    rig.resync()
    assert rig.kernel.standing(key) == (value,)


@given(st.lists(numbered(files(), (0, *NUMBERS)), min_size=2, max_size=4), st.data())
def test_after_any_files_and_any_marks_of_others_each_object_has_the_number_of_its_entry(
    steps: list[tuple[Entry, ...]], data: st.DataObject
) -> None:
    rig = a_rig()
    for entries in steps:
        put(rig, *entries)
        assert list_marks(rig) == list_wanted_marks(rig)
        ours = [one for one in rig.kernel.stand(Kind.ROUTE) if one.value.protocol in NUMBERS]
        for slot, member, value in data.draw(st.lists(st.sampled_from(ours), max_size=3)) if ours else ():
            number = data.draw(st.sampled_from((*NUMBERS, 202)))
            rig.kernel.request(Verb.REPLACE, Key(Kind.ROUTE, slot, member), value._replace(protocol=number))
        rig.run(4000.0)
        assert list_marks(rig) == list_wanted_marks(rig)
