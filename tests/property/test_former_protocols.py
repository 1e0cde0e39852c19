"""A change of ``protocol``: what carries a former number stays ours until a pass found nothing of it."""

from __future__ import annotations

from dataclasses import replace
from errno import EINVAL

from hypothesis import given
from hypothesis import strategies as st

from routed.model.change import Operation, Verb
from routed.model.entries import Enforce, Entry, Intent, Settings
from routed.model.net import parse_prefix
from routed.model.objects import Member
from routed.model.reasons import LeftAlone
from tests.property.rig import OURS, Rig, a_host, a_route, hop, route_key, route_value
from tests.property.worlds import route_entries

NEXT = 115
MANY = tuple(a_route(f"r{number}", f"10.{number}.0.0/16") for number in range(30))
FEW = MANY[:5]


def under(protocol: int, *entries: Entry, max_deletes: float | None = None) -> Intent:
    settings = Settings(protocol=protocol, resync=60.0)
    return Intent(settings if max_deletes is None else replace(settings, max_deletes=max_deletes), entries)


def count(rig: Rig, protocol: int) -> int:
    places = [members for slots in rig.kernel.objects.values() for members in slots.values()]
    return sum(value.protocol == protocol for members in places for values in members.values() for value in values)


def moved(*entries: Entry, before: tuple[Entry, ...] = MANY) -> Rig:
    """A host with these routes under the former number, then with those under the next one."""
    rig = Rig(a_host())
    rig.start(*before)
    rig.enforce(under(NEXT, *entries))
    return rig


def test_it_is_forgotten_at_once_where_all_could_be_given_the_new_number() -> None:
    rig = moved(*MANY)
    assert (count(rig, OURS), count(rig, NEXT)) == (0, len(MANY))
    assert rig.host.wanted.former_protocols == frozenset()


def test_it_is_remembered_as_long_as_the_guard_holds_what_carries_it() -> None:
    rig = moved(*FEW)
    for _ in range(3):
        rig.resync()
        assert (count(rig, OURS), rig.host.wanted.former_protocols) == (25, frozenset({OURS}))
    rig.enforce(under(NEXT, *FEW), is_forced=True)
    assert (count(rig, OURS), rig.host.wanted.former_protocols) == (0, frozenset())


def test_it_is_remembered_as_long_as_the_kernel_refuses_to_change_what_carries_it() -> None:
    rig = Rig(a_host())
    rig.start(*FEW)
    refused = parse_prefix("10.1.0.0/16")

    def refuse(_operation: Operation, member: Member) -> int:
        return EINVAL if member == refused else 0

    rig.kernel.mischief.refuse = refuse
    rig.enforce(under(NEXT, *FEW))
    rig.resync()
    assert (count(rig, OURS), rig.host.wanted.former_protocols) == (1, frozenset({OURS}))
    rig.kernel.mischief.refuse = lambda _operation, _member: 0
    rig.run(4000.0)
    assert (count(rig, OURS), rig.host.wanted.former_protocols) == (0, frozenset())


def test_it_is_remembered_as_long_as_an_entry_that_only_observes_has_something_of_it() -> None:
    watched = replace(FEW[0], enforce=Enforce.OBSERVE)
    rig = moved(watched, *FEW[1:], before=FEW)
    rig.resync()
    assert (count(rig, OURS), rig.host.wanted.former_protocols) == (1, frozenset({OURS}))


def test_it_is_remembered_while_the_files_in_force_are_not_those_on_disk() -> None:
    rig = Rig(a_host())
    rig.start(*FEW)
    rig.host.wanted.why_surplus_stays = LeftAlone.NOT_ON_DISK
    rig.enforce(under(NEXT, *FEW[1:]))
    rig.resync()
    assert (count(rig, OURS), rig.host.wanted.former_protocols) == (1, frozenset({OURS}))


def test_only_a_pass_that_looked_at_everything_forgets_it() -> None:
    rig = moved(*FEW)
    for number in range(5, 30):
        key = route_key(f"10.{number}.0.0/16")
        (value,) = rig.kernel.standing(key)
        rig.kernel.request(Verb.DELETE, key, value)
    rig.run()
    assert (count(rig, OURS), rig.host.wanted.former_protocols) == (0, frozenset({OURS}))
    rig.resync()
    assert rig.host.wanted.former_protocols == frozenset()


def test_what_others_put_under_a_forgotten_number_is_left_alone() -> None:
    rig = moved(*MANY)
    key, value = route_key("10.99.0.0/16", table=77), route_value(hop(1, "192.0.2.9"), protocol=OURS)
    rig.kernel.request(Verb.ADD, key, value)
    rig.resync()
    assert rig.kernel.standing(key) == (value,)


def test_the_way_back_to_a_former_number_makes_it_the_present_one() -> None:
    rig = moved(*FEW)
    rig.enforce(under(OURS, *FEW))
    assert rig.host.wanted.former_protocols == frozenset()
    assert rig.host.wanted.marks.numbers == {OURS}
    assert count(rig, NEXT) == 0


@given(st.lists(st.tuples(st.sampled_from([OURS, NEXT, 116]), route_entries()), min_size=2, max_size=6), st.data())
def test_after_any_changes_of_number_nothing_of_a_forgotten_one_is_left(
    steps: list[tuple[int, list[Entry]]], data: st.DataObject
) -> None:
    rig = Rig(a_host())
    rig.start()
    for protocol, entries in steps:
        rig.enforce(under(protocol, *entries, max_deletes=data.draw(st.sampled_from([0, 1.0]))))
        for number in {OURS, NEXT, 116} - rig.host.wanted.marks.numbers:
            assert count(rig, number) == 0
    rig.enforce(under(steps[-1][0], *steps[-1][1], max_deletes=1.0), is_forced=True)
    assert rig.host.wanted.former_protocols == frozenset()
