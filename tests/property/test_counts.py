"""Counts are true: whatever goes wrong with whichever objects, in sync is what the kernel has as it is wanted."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from routed.core.dirt import Dirt
from routed.core.troubles import State
from routed.daemon import metrics
from routed.daemon.engine import Request
from routed.daemon.results import describe_result
from routed.daemon.status import count_leftovers, count_states, describe_entries, describe_leftovers, summarise
from routed.model.change import Operation, Verb
from routed.model.entries import Enforce, Entry, Intent, Settings
from routed.model.objects import Key, Kind, Member, RouteValue
from tests.property.rig import Rig, a_host, a_route, a_rule, route_key, via

V4 = tuple(f"10.1.{number}.0/24" for number in range(100))
V6 = tuple(f"2001:db8:{number:x}::/48" for number in range(80))
ERRNOS = (errno.EINVAL, errno.ENETUNREACH)

ENTRIES: tuple[Entry, ...] = (
    a_route("file", (*V4, *V6), is_file=True),
    a_route("list", V4, metric=7),
    a_route("watched", (*V4, *V6), metric=8, enforce=Enforce.OBSERVE, is_file=True),
    a_route("waits", V4, hops=(via("203.0.113.9"),), metric=9, is_file=True),
    a_route("few", V4[:5], metric=10),
    a_rule(),
)
METRICS = (None, 7, 8, 10)

some = st.sets(st.sampled_from((*V4, *V6))) | st.just(frozenset((*V4, *V6)))
losses = st.tuples(st.sampled_from(METRICS), some)
refusals = st.dictionaries(st.sampled_from(METRICS), st.tuples(some, st.sampled_from(ERRNOS)), max_size=3)
pauses = st.sets(st.sampled_from(("route/file", "route/list", "rule/storage", "")), max_size=2)


def answered(rig: Rig) -> Request:
    """What somebody asked for who waited for the last pass."""
    return Request(Dirt(), reports=rig.reports[-1:])


def keys(metric: int | None, prefixes: Iterable[str]) -> set[Key]:
    return {route_key(prefix, metric=metric) for prefix in prefixes}


def assert_counts_are_true(rig: Rig) -> None:
    """What every document says of the host adds up, and in sync is what stands as wanted."""
    host = rig.host
    in_order = {
        name: sum(
            rig.kernel.standing(key) == (group.value,)
            for group in resolution.sets
            for key in (Key(group.kind, group.slot, member) for member in group.members)
        )
        for name, resolution in host.wanted.desired.resolutions.items()
    }
    states: dict[str, int] = {State.IN_SYNC: sum(in_order.values())}
    for entry in describe_entries(host, str):
        wrong = {thing["state"]: 0 for thing in entry["objects"] if thing["state"] != State.IN_SYNC}
        for thing in entry["objects"]:
            if thing["state"] in wrong:
                wrong[thing["state"]] += thing["count"]
        assert in_order[entry["entry"]] + sum(wrong.values()) == entry["total"], entry["entry"]
        assert len(entry["objects"]) <= 64 + 10
        states |= {state: states.get(state, 0) + count for state, count in wrong.items()}
    assert count_states(host) == states
    assert sum(states.values()) == host.wanted.desired.count()
    assert_metrics_count_the_same(rig, states)
    assert f" {states[State.IN_SYNC]} object" in summarise(host, 3)
    result = describe_result(host, answered(rig), 3)
    assert (result["in_sync"], result["counts"]) == (states[State.IN_SYNC], states)
    assert bool(result["failures"]) == bool(states.get(State.FAILED))


def assert_metrics_count_the_same(rig: Rig, states: dict[str, int]) -> None:
    counted = metrics.count(rig.host)
    objects = Counter[str]()
    for (_, state), number in counted.objects.items():
        objects[state] += number
    assert +objects == +Counter(states)
    shown = Counter(entry["state"] for entry in describe_entries(rig.host, str))
    assert +counted.entries == shown
    assert counted.wrong.total() == shown.total() - shown[State.IN_SYNC]


@settings(max_examples=50)
@given(st.lists(st.tuples(losses, refusals, pauses, st.booleans()), min_size=1, max_size=4))
def test_the_objects_in_sync_and_those_in_each_other_state_add_up_to_all_there_are(
    history: list[tuple[tuple[int | None, set[str]], dict[int | None, tuple[set[str], int]], set[str], bool]],
) -> None:
    refused: dict[Key, int] = {}

    def refuse(operation: Operation, member: Member) -> int:
        return refused.get(Key(operation.kind, operation.slot, member), 0) if operation.verb is Verb.ADD else 0

    rig = Rig(a_host())
    rig.start(
        *(e if e.enforce is Enforce.REPAIR else a_route("watched", (*V4, *V6), metric=8, is_file=True) for e in ENTRIES)
    )
    rig.enforce(Intent(rig.host.wanted.intent.settings, ENTRIES))
    rig.kernel.mischief.refuse = refuse
    assert_counts_are_true(rig)
    for (metric, lost), refusals, paused, is_resynced in history:
        refused.clear()
        refused.update({key: number for metric_, (some, number) in refusals.items() for key in keys(metric_, some)})
        for name in paused:
            rig.host.ledger.holds.pause(name, "because", rig.now + 300.0, rig.now)
        for key in keys(metric, lost):
            for value in rig.kernel.standing(key):
                rig.kernel.request(Verb.DELETE, key, value)
        rig.run(0.01)
        assert_counts_are_true(rig)
        if is_resynced:
            rig.resync()
            assert_counts_are_true(rig)


def test_leftovers_are_folded_by_who_wanted_them_and_counted() -> None:
    rig = Rig(a_host())
    rig.start(a_route("file", (*V4, *V6), is_file=True), a_route("list", V4, metric=7))
    rig.enforce(Intent())
    leftovers = describe_leftovers(rig.host, str)
    assert {(one["object"], one["kind"], one["state"], one["count"]) for one in leftovers} == {
        ("route/file", "route", "held", 180),
        ("route/list", "route", "held", 100),
    }
    assert count_leftovers(rig.host) == 280
    result = describe_result(rig.host, answered(rig), 3)
    assert (result["leftovers"], sum(refusal["count"] for refusal in result["refusals"])) == (280, 280)
    rig.enforce(Intent(), is_forced=True)
    assert describe_leftovers(rig.host, str) == []


def test_few_leftovers_are_listed_one_by_one() -> None:
    rig = Rig(a_host())
    rig.start(a_route("list", V4[:16]))
    rig.enforce(Intent())
    assert [one["object"] for one in describe_leftovers(rig.host, str)] == list(V4[:16])


def test_an_object_that_two_entries_want_counts_once_as_in_sync_and_once_as_a_conflict() -> None:
    rig = Rig(a_host())
    rig.start(a_route("first", V4[:60], is_file=True), a_route("second", V4[40:], is_file=True))
    first, second = describe_entries(rig.host, str)
    assert (first["objects"], first["total"]) == ([], 60)
    assert [thing["state"] for thing in second["objects"]] == ["conflict"] * 20
    assert count_states(rig.host) == {"in-sync": 100, "conflict": 20}


def test_an_entry_whose_objects_are_not_known_yet_takes_none_from_those_in_sync() -> None:
    rig = Rig(a_host())
    rig.start(a_route("few", V4[:3]), a_rule(source=""), a_route("waits", V4[5:7], hops=(via("203.0.113.9"),)))
    assert count_states(rig.host) == {"in-sync": 4, "waiting": 2}


def test_a_group_in_trouble_is_over_when_all_of_it_stands_again() -> None:
    rig = Rig(a_host())
    entry = a_route("file", V4, is_file=True)
    rig.start(entry)
    rig.enforce(Intent(rig.host.wanted.intent.settings, (a_route("file", V4, is_file=True, enforce=Enforce.OBSERVE),)))
    (group,) = rig.host.wanted.desired.resolutions["route/file"].sets
    value = group.value
    assert isinstance(value, RouteValue)
    for key in keys(None, V4):
        rig.kernel.request(Verb.DELETE, key, value)
    rig.run(0.1)
    assert [len(one.members) for one in rig.host.ledger.troubles] == [100]
    for prefix in V4[:99]:
        rig.kernel.request(Verb.ADD, Key(Kind.ROUTE, group.slot, route_key(prefix).member), value)
        rig.run(0.1)
    assert len(rig.host.ledger.troubles) == 1
    assert not [ended for report in rig.reports for ended in report.ended if ended.subject == "route/file"]
    rig.kernel.request(Verb.ADD, route_key(V4[99]), value)
    rig.run(0.1)
    assert not rig.host.ledger.troubles


def test_a_fight_over_very_many_is_held_as_one_and_over_as_one() -> None:
    rig = Rig(a_host())
    rig.start(a_route("file", (*V4, *V6), is_file=True), settings=Settings(fight_limit=3))
    for _ in range(4):
        for key in keys(None, (*V4, *V6)):
            for value in rig.kernel.standing(key):
                rig.kernel.request(Verb.DELETE, key, value)
        rig.run(0.5)
    assert count_states(rig.host) == {"in-sync": 0, "held": 180}
    assert {(one.trouble.state, len(one.members)) for one in rig.host.ledger.troubles} == {("held", 100), ("held", 80)}
    rig.reports.clear()
    rig.run(70.0)
    assert count_states(rig.host) == {"in-sync": 180}
    assert [ended[:2] for report in rig.reports for ended in report.ended] == [("route/file", "route/file")]
