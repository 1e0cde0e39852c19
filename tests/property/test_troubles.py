"""Troubles are counted object by object, however they are kept."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from routed.core import troubles as of_troubles
from routed.core.desired import scope_of
from routed.core.holds import GROUP
from routed.core.troubles import State, Trouble, Troubled, Troubles
from routed.model.net import IPV4
from routed.model.objects import Key, Kind, Member, RouteSlot, RuleMember, RuleSlot, Scope
from routed.model.prefixes import Packed
from routed.model.reasons import Fought, Reason, SaidNo

FEW = 5  # in the place of GROUP, so that little is much
MAIN, OTHER, RULES = RouteSlot(IPV4, 254, 0), RouteSlot(IPV4, 254, 7), RuleSlot(IPV4)  # two slots share a dump
ROUTES = [bytes((10, number >> 8, number & 255, 0, 24)) for number in range(2 * GROUP)]
PRIORITIES = [RuleMember(number) for number in range(3 * FEW)]
PLACES: list[tuple[Kind, RouteSlot | RuleSlot, list[Member]]] = [
    (Kind.ROUTE, MAIN, [*ROUTES[: 4 * FEW]]),
    (Kind.ROUTE, OTHER, [*ROUTES[: 3 * FEW]]),
    (Kind.RULE, RULES, [*PRIORITIES]),
]
NO, NEVER = SaidNo(1, "no"), SaidNo(1, "never")
ALIKE = [
    (State.FAILED, NO, "route/a"),
    (State.HELD, NO, "route/a"),
    (State.HELD, Fought(30, 2), ""),
    (State.DRIFT, None, "route/b"),
]


@st.composite
def runs_of_members(draw: st.DrawFn) -> tuple[Kind, RouteSlot | RuleSlot, list[Member]]:
    """Some objects that follow each other in one slot: few or many."""
    kind, slot, members = draw(st.sampled_from(PLACES))
    start = draw(st.integers(0, len(members) - 1))
    count = draw(st.integers(1, len(members)))
    return kind, slot, members[start : start + count]


@st.composite
def passes(draw: st.DrawFn) -> tuple[list[Troubled], set[Scope], set[Key], set[Key]]:
    """What a pass found, and what it looked at."""
    now = draw(st.integers(1, 100))
    found = []
    for kind, slot, members in draw(st.lists(runs_of_members(), max_size=3)):
        state, reason, entry = draw(st.sampled_from(ALIKE))
        is_packed = kind is Kind.ROUTE and draw(st.booleans())
        packed = Packed(b"".join(member for member in members if isinstance(member, bytes)), 5)
        trouble = Trouble(state, reason, float(now), (), entry)
        found.append(Troubled(kind, slot, packed if is_packed else tuple(members), trouble))
    scopes = draw(st.sets(st.sampled_from([scope_of(kind, slot) for kind, slot, _ in PLACES])))
    keys = {
        Key(kind, slot, member) for kind, slot, some in draw(st.lists(runs_of_members(), max_size=2)) for member in some
    }
    left_out = {
        Key(Kind.ROUTE, MAIN, member) for member in draw(st.lists(st.sampled_from(ROUTES[: 4 * FEW]), max_size=4))
    }
    return found, scopes, keys, left_out - keys


@given(st.lists(passes(), max_size=8))
def test_what_is_kept_and_what_is_over_is_what_a_plain_dictionary_says(
    history: list[tuple[list[Troubled], set[Scope], set[Key], set[Key]]],
) -> None:
    with patch.object(of_troubles, "GROUP", FEW):
        compare(history)


def test_what_is_found_by_itself_stays_so_beside_a_group_that_it_was_in() -> None:
    failed, held = (Trouble(state, SaidNo(1, "no"), 1.0, (), "route/a") for state in (State.FAILED, State.HELD))
    first = [Troubled(Kind.ROUTE, MAIN, tuple(ROUTES[: 2 * FEW + 2]), failed)]
    then = [
        Troubled(Kind.ROUTE, MAIN, (ROUTES[0],), held),
        Troubled(Kind.ROUTE, MAIN, tuple(ROUTES[1 : FEW + 2]), failed),
    ]
    with patch.object(of_troubles, "GROUP", FEW):
        compare([(first, set(), set(), set()), (then, set(), set(), set())])


def compare(history: list[tuple[list[Troubled], set[Scope], set[Key], set[Key]]]) -> None:
    troubles, plain = Troubles(), dict[Key, Trouble]()
    for found, scopes, keys, left_out in history:
        before = dict(plain)
        for key in list(plain):
            if key in keys or (scope_of(key.kind, key.slot) in scopes and key not in left_out):
                del plain[key]
        for one in found:
            plain.update((Key(one.kind, one.slot, member), one.trouble) for member in one.members)

        over = troubles.update(found, scopes, keys, left_out)

        assert len(troubles) == len(plain)
        kept = {Key(one.kind, one.slot, m): one.trouble for one in troubles for m in one.members}
        assert {key: t[:2] + t[4:] for key, t in kept.items()} == {key: t[:2] + t[4:] for key, t in plain.items()}
        assert all(troubles.get(key) == trouble and key in troubles for key, trouble in kept.items())
        assert {Key(one.kind, one.slot, m) for one in over for m in one.members} == before.keys() - plain.keys()
        assert sum(len(one.members) for one in over) == len(before.keys() - plain.keys())
        counts = Counter((key.kind, key.slot, t.entry, t.state, t.reason) for key, t in plain.items())
        assert {alike: len(group.members) for alike, group in troubles.groups.items()} == {
            alike: count for alike, count in counts.items() if count > FEW
        }
        for entry, state in {(t.entry, t.state) for t in plain.values()} | {("route/none", State.FAILED)}:
            assert troubles.has(entry, state) == (entry != "route/none")
        assert troubles.find_scopes() == {scope_of(key.kind, key.slot) for key in plain}


def a_trouble(now: float, reason: Reason = NO) -> Trouble:
    return Trouble(State.FAILED, reason, now, (), "route/a")


def test_a_trouble_keeps_its_beginning_while_it_is_the_same() -> None:
    troubles, key = Troubles(), Key(Kind.ROUTE, MAIN, ROUTES[0])
    for now, reason in ((1.0, NO), (2.0, NO), (3.0, NEVER), (4.0, NEVER)):
        troubles.update([Troubled(*key[:2], (key.member,), a_trouble(now, reason))], keys={key})
    trouble = troubles.get(key)
    assert trouble is not None
    assert trouble.since == 3.0


def test_a_group_begins_with_the_oldest_of_its_members_and_what_leaves_it_keeps_that() -> None:
    troubles, scope = Troubles(), scope_of(Kind.ROUTE, MAIN)
    for now, count in ((1.0, 1), (2.0, GROUP + 20), (3.0, 2 * GROUP), (4.0, GROUP)):
        troubles.update([Troubled(Kind.ROUTE, MAIN, tuple(ROUTES[:count]), a_trouble(now))], {scope})
        assert {one.trouble.since for one in troubles} == {1.0}
        assert len(troubles) == count


def test_100_000_objects_in_one_trouble_cost_no_object_for_each() -> None:
    packed = Packed(b"".join(bytes((10, n >> 16, n >> 8 & 255, n & 255, 32)) for n in range(100_000)), 5)
    troubles, scope = Troubles(), scope_of(Kind.ROUTE, MAIN)
    for now in (1.0, 2.0):
        assert troubles.update([Troubled(Kind.ROUTE, MAIN, packed, a_trouble(now))], {scope}) == []
    assert (len(troubles), len(troubles.single), len(troubles.groups)) == (100_000, 0, 1)
    key = Key(Kind.ROUTE, MAIN, packed[5000])
    assert [tuple(one.members) for one in troubles.update([], keys={key})] == [(packed[5000],)]
    assert (len(troubles), len(troubles.single), key in troubles) == (99_999, 0, False)
