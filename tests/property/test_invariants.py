"""The invariants of the reconciler, on a kernel that misbehaves."""

from __future__ import annotations

import errno
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routed.model import attributes, names
from routed.model.change import Nature, Operation, Verb
from routed.model.entries import Entry, Intent, OnConflict, Settings
from routed.model.events import Event, Overrun
from routed.model.net import IPV4
from routed.model.objects import Key, Kind, Member, RouteSlot, Value, list_aliases
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import OURS, Rig, a_host, a_route, address_key, route_key, via
from tests.property.worlds import (
    ROUTE_KEYS,
    Act,
    Meanwhile,
    acts,
    all_that_stands,
    files,
    foreign_routes,
    heal,
    outsiders,
    place,
    route_entries,
)

NO_RESYNC = Settings(resync=1e9, fight_limit=None)
WITH_RESYNC = Settings(resync=60.0, fight_limit=None)
LONGEST_RETRY = 70.0  # seconds; holds.LAST_RETRY with its jitter
ERRNOS = (
    errno.EINVAL,
    errno.EEXIST,
    errno.ENODEV,
    errno.ENETUNREACH,
    errno.EPERM,
    errno.ENOMEM,
    errno.ENOBUFS,
    errno.ESRCH,
)

Interleaving = st.lists(st.tuples(st.integers(1, 6), acts()), max_size=8)

thorough = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def start_afresh(kernel: FakeKernel, entries: tuple[Entry, ...]) -> Rig:
    """A daemon that has just read the host and the files, and knows nothing else."""
    fresh = Rig(kernel)
    fresh.host.wanted.intent = Intent(NO_RESYNC, entries)
    fresh.reconciler.begin()
    return fresh


def operations_of_a_fresh_start(kernel: FakeKernel, entries: tuple[Entry, ...]) -> tuple[Operation, ...]:
    """What it would do."""
    return start_afresh(kernel, entries).plan().operations


def assert_in_force(kernel: FakeKernel, entries: tuple[Entry, ...]) -> None:
    """A daemon that started now would find nothing to do, and every wish stands in the first place under its key."""
    assert operations_of_a_fresh_start(kernel, entries) == ()
    fresh = start_afresh(kernel, entries)
    fresh.host.enforce(fresh.host.wanted.intent, fresh.now)
    for kind, slots in fresh.host.wanted.desired.wants.items():
        for slot, members in slots.items():
            for member, want in members.items():
                standing = kernel.standing(Key(kind, slot, member))
                assert standing, f"{want.entry.name} is missing"
                aliases = list_aliases(want.value)
                assert standing[: len(aliases)] == aliases or kind is Kind.RULE


@given(files())
@thorough
def test_applying_twice_writes_nothing_the_second_time(entries: tuple[Entry, ...]) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(*entries, settings=WITH_RESYNC)
    assert_in_force(kernel, entries)
    written = kernel.writes
    rig.enforce(rig.host.wanted.intent)
    rig.resync()
    Rig(kernel).start(*entries, settings=WITH_RESYNC)
    assert kernel.writes == written
    assert not rig.host.ledger.troubles


def changes_of(value: Value) -> list[Value]:
    """The same value with each attribute in turn turned into something else that the kernel accepts."""
    others = {
        "type": names.PROHIBIT,
        "protocol": 4,
        "scope": 0 if getattr(value, "scope", 0) else 200,
        "src": b"\xc6\x33\x64\x01" if len(getattr(value, "src", b"")) in {0, 4} else b"",
        "metrics": ((attributes.METRICS["mtu"], 1234),),
        "lock": 4,
        "extra": b"encap",
        "flags": names.IFA_NOPREFIXROUTE,
        "deprecated": True,
        "dynamic": True,
        "broadcast": bytes(4),
        "label": "v0:x",
        "metric": 5,
        "peer": bytes(4),
    }
    changed = [value._replace(**{name: others[name]}) for name in value._fields if name in others]
    if getattr(value, "hops", ()):
        changed += [value._replace(hops=(value.hops[0]._replace(gateway=value.hops[0].gateway, onlink=True),))]
        changed += [value._replace(hops=(value.hops[0]._replace(dev=2, gateway=b""),))]
    return [other for other in changed if other != value]


@given(files().filter(bool), st.data())
@thorough
def test_every_attribute_that_is_changed_behind_our_back_is_repaired_by_one_operation(
    entries: tuple[Entry, ...], data: st.DataObject
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(*entries, settings=NO_RESYNC)
    keys = [
        key for entry in entries for key in rig.host.wanted.desired.keys_of(entry.name) if key.kind is not Kind.RULE
    ]
    if not keys:
        return
    key = data.draw(st.sampled_from(keys), label="key")
    wanted = kernel.standing(key)[0]
    changed = data.draw(st.sampled_from(changes_of(wanted)), label="changed")
    if key.kind is Kind.ADDRESS:
        for verb in (Verb.DELETE, Verb.ADD):
            assert kernel.request(verb, key, changed) == 0
    elif kernel.request(Verb.REPLACE, key, changed) != 0:
        return
    sent = len(kernel.requested)
    reports = rig.run()
    operations = [outcome.operation for report in reports for outcome in report.outcomes]
    assert kernel.standing(key)[0] == wanted
    assert_in_force(kernel, entries)
    assert [(one.members, list_aliases(one.value)[0]) for one in operations if key.member in one.members] == [
        ((key.member,), wanted)
    ]
    # an address label needs delete and add, and so does each of an order that a stranger stands in front of
    most = 2 * max(len(list_aliases(one.value)) for one in operations)
    assert sum(asked == key for _, asked, _ in kernel.requested[sent:]) <= most


@given(files(), Interleaving, Interleaving)
@thorough
def test_any_interleaving_of_changes_and_passes_ends_in_the_state_of_a_fresh_start(
    entries: tuple[Entry, ...], during: list[tuple[int, Act]], after: list[tuple[int, Act]]
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    kernel.mischief.meanwhile = Meanwhile(kernel, during)
    rig.start(*entries, settings=NO_RESYNC)
    for pause, act in after:
        act.do(kernel)
        if pause > 2:
            rig.run(0.01 * pause)
    rig.run(1.0)
    heal(kernel)
    rig.run(2 * LONGEST_RETRY)
    left = operations_of_a_fresh_start(kernel, entries)
    assert {operation.nature for operation in left} <= {Nature.SURPLUS}  # kept while a wish could not be put in place
    rig.resync()
    assert_in_force(kernel, entries)
    assert not rig.host.ledger.troubles


@given(files(), files(), Interleaving)
@thorough
def test_no_request_ever_names_a_key_that_is_neither_wished_nor_owned(
    entries: tuple[Entry, ...], others: tuple[Entry, ...], during: list[tuple[int, Act]]
) -> None:
    kernel = a_host()
    place(kernel, outsiders())
    rig = Rig(kernel)
    kernel.mischief.meanwhile = Meanwhile(kernel, during)
    for reload in (entries, others):
        rig.start(*reload, settings=NO_RESYNC)
        rig.run(1.0)  # the rig looks at every request as it is made
    (stranger, theirs), *_ = outsiders()
    with pytest.raises(AssertionError, match="none of our business"):
        kernel.inspect(Verb.DELETE, stranger, theirs)


@given(files(), st.lists(acts(), max_size=6))
@thorough
def test_what_strangers_keep_beside_ours_is_never_touched(entries: tuple[Entry, ...], done: list[Act]) -> None:
    kernel, untouched = a_host(), a_host()
    for host in (kernel, untouched):
        place(host, outsiders())
    rig = Rig(kernel)
    rig.start(*entries, settings=NO_RESYNC)
    for act in done:
        act.do(kernel)
        act.do(untouched)
        rig.run()
    rig.enforce(Intent(NO_RESYNC, ()), is_forced=True)
    heal(kernel)
    heal(untouched)
    rig.run(1.0)
    for key, _ in outsiders():
        assert kernel.standing(key) == untouched.standing(key)


@given(files(), st.lists(acts(), max_size=6), st.sampled_from([NO_RESYNC, WITH_RESYNC]))
@thorough
def test_routes_of_another_source_are_never_drift_and_stand_as_if_we_were_not_there(
    entries: tuple[Entry, ...], done: list[Act], chosen: Settings
) -> None:
    kernel, untouched = a_host(), a_host()
    rig = Rig(kernel)
    rig.start(*entries, settings=chosen)
    for host in (kernel, untouched):
        place(host, outsiders())
    written = kernel.writes
    rig.run()
    rig.resync()
    assert kernel.writes == written
    for act in done:
        act.do(kernel)
        act.do(untouched)
        rig.run()
    rig.enforce(Intent(chosen, ()), is_forced=True)
    rig.resync()
    for slot, member, value in untouched.stand(Kind.ROUTE):
        if isinstance(slot, RouteSlot) and slot.source and value.protocol != OURS:
            assert value in kernel.standing(Key(Kind.ROUTE, slot, member))
    assert not any(isinstance(key.slot, RouteSlot) and key.slot.source for key in rig.host.ledger.displaced)


def losing(lost: list[bool]) -> object:
    pattern = count()

    def deliver(events: list[Event]) -> list[Event]:
        return [event for event in events if not lost[next(pattern) % len(lost)]]

    return deliver


@given(files(), st.lists(acts(), min_size=1, max_size=8), st.lists(st.booleans(), min_size=1, max_size=8))
@thorough
def test_lost_events_change_when_a_repair_comes_but_not_what_it_comes_to(
    entries: tuple[Entry, ...], done: list[Act], lost: list[bool]
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    kernel.mischief.deliver = losing(lost)  # type: ignore[assignment]
    rig.start(*entries, settings=WITH_RESYNC)
    for act in done:
        act.do(kernel)
        rig.run(0.1)
    heal(kernel)
    rig.run(0.1)
    rig.resync()
    rig.resync()
    assert_in_force(kernel, entries)
    assert not rig.host.ledger.troubles


@given(files(), st.lists(acts(), min_size=1, max_size=8), st.randoms(use_true_random=False))
@thorough
def test_reordered_events_are_healed_by_the_next_resync(
    entries: tuple[Entry, ...], done: list[Act], chance: object
) -> None:
    kernel = a_host()
    rig = Rig(kernel)

    def shuffle(events: list[Event]) -> list[Event]:
        chance.shuffle(events)  # type: ignore[attr-defined]
        return events

    kernel.mischief.deliver = shuffle
    rig.start(*entries, settings=WITH_RESYNC)
    for act in done:
        act.do(kernel)
    rig.run(0.1)
    heal(kernel)
    rig.resync()
    rig.resync()
    assert_in_force(kernel, entries)


@given(files(), st.lists(acts(), min_size=1, max_size=8))
@thorough
def test_an_overrun_is_answered_by_reading_everything_without_waiting_for_the_resync(
    entries: tuple[Entry, ...], done: list[Act]
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(*entries, settings=NO_RESYNC)
    kernel.mischief.deliver = lambda events: [Overrun()] if events else []
    for act in done:
        act.do(kernel)
    heal(kernel)
    rig.run()
    kernel.mischief.deliver = lambda events: events
    rig.run(2 * LONGEST_RETRY)
    assert_in_force(kernel, entries)


@given(files().filter(bool), st.sampled_from(ERRNOS), st.integers(0, 12), st.integers(1, 3))
@thorough
def test_any_errno_at_any_step_loses_no_wish(entries: tuple[Entry, ...], error: int, first: int, times: int) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    steps = count()
    kernel.mischief.refuse = lambda _o, _m: error if first <= next(steps) < first + times else 0
    rig.start(*entries, settings=WITH_RESYNC)
    rig.run(2 * LONGEST_RETRY)
    assert_in_force(kernel, entries)
    assert not rig.host.ledger.troubles
    assert not rig.host.ledger.holds.active


@pytest.mark.parametrize("error", ERRNOS, ids=lambda number: errno.errorcode[number])
def test_an_errno_that_never_ends_is_tried_a_bounded_number_of_times_and_then_heals(error: int) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    kernel.mischief.refuse = lambda _operation, _member: error
    entries = (a_route(), a_route("six", "2001:db8::/32"))
    rig.start(*entries, settings=WITH_RESYNC)
    rig.run(600.0)
    assert kernel.writes <= 2 * 30  # 0.1 s, 0.2 s … 51.2 s are ten, then one a minute
    assert {one.trouble.reason for one in rig.host.ledger.troubles} != set()
    kernel.mischief.refuse = lambda _operation, _member: 0
    rig.run(LONGEST_RETRY)
    assert_in_force(kernel, entries)


@given(files(), st.sets(st.integers(0, 30), max_size=20))
@thorough
def test_interrupted_dumps_lose_nothing(entries: tuple[Entry, ...], interrupted: set[int]) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    dumps = count()
    kernel.mischief.interrupt = lambda _scope: next(dumps) in interrupted
    rig.start(*entries, settings=NO_RESYNC)
    rig.run(LONGEST_RETRY)
    assert_in_force(kernel, entries)


@given(st.integers(0, 60), st.sampled_from([0.0, 0.1, 0.5, 0.9]))
@thorough
def test_an_empty_file_never_deletes_more_than_the_budget(owned: int, share: float) -> None:
    kernel = a_host()
    place(kernel, outsiders())
    rig = Rig(kernel)
    chosen = Settings(max_deletes=share)
    prefixes = tuple(f"10.{number}.0.0/24" for number in range(100, 100 + owned))
    rig.start(*([a_route("many", prefixes)] if owned else []), settings=chosen)
    rig.enforce(Intent(chosen, ()))
    rig.resync()
    rig.resync()
    left = sum(standing.value.protocol == OURS for standing in kernel.stand(Kind.ROUTE))
    assert owned - left <= max(10, int(owned * share))
    rig.enforce(Intent(chosen, ()), is_forced=True)
    assert not any(standing.value.protocol == OURS for standing in kernel.stand(Kind.ROUTE))
    for key, value in outsiders():
        assert value in kernel.standing(key)


class Killed(BaseException):
    """kill -9."""


@given(files().filter(bool), files(), st.integers(0, 30))
@thorough
def test_killed_before_any_request_a_restart_converges(
    entries: tuple[Entry, ...], before: tuple[Entry, ...], last: int
) -> None:
    kernel = a_host()
    Rig(kernel).start(*before, settings=NO_RESYNC)
    steps = count()

    def kill(_operation: Operation, _member: Member) -> int:
        if next(steps) == last:
            raise Killed
        return 0

    kernel.mischief.refuse = kill
    chosen = Settings(max_deletes=1.0, resync=60.0)
    try:
        Rig(kernel).start(*entries, settings=chosen)
    except Killed:
        kernel.mischief.refuse = lambda _operation, _member: 0
        Rig(kernel).start(*entries, settings=chosen)
    assert_in_force(kernel, entries)


@given(
    route_entries(),
    route_entries(),
    st.lists(
        st.tuples(
            st.sampled_from(ROUTE_KEYS),
            st.sampled_from([Verb.PREPEND, Verb.APPEND]),
            st.integers(0, 2),
            st.sampled_from([4, OURS]),
        ),
        max_size=5,
    ),
)
@thorough
def test_a_destination_with_a_route_before_and_after_is_never_without_one_in_between(
    before: list[Entry], after: list[Entry], aliases: list[tuple[Key, Verb, int, int]]
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(*before, settings=NO_RESYNC)
    for key, verb, which, protocol in aliases:
        if kernel.standing(key):
            kernel.request(verb, key, foreign_routes(kernel, key.slot.family, protocol)[which])
    moments: list[set[Key]] = []
    standing = {key for key in ROUTE_KEYS if kernel.standing(key)}
    kernel.watch = lambda: moments.append({key for key in standing if kernel.standing(key)})
    rig.enforce(Intent(NO_RESYNC, tuple(after)))
    kept = {key for key in standing if kernel.standing(key)}
    assert all(kept <= moment for moment in moments)


def test_a_route_whose_metric_changes_is_there_twice_rather_than_not_at_all() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(metric=10))
    old, new = route_key(metric=10), route_key(metric=20)
    moments: list[int] = []
    kernel.watch = lambda: moments.append(len(kernel.standing(old)) + len(kernel.standing(new)))
    rig.enforce(Intent(Settings(), (a_route(metric=20),)))
    assert moments == [2, 1]


def test_what_our_route_displaced_is_put_back_when_no_entry_wants_its_place() -> None:
    kernel = a_host()
    foreign = foreign_routes(kernel, IPV4)[0]
    assert kernel.request(Verb.ADD, route_key(), foreign) == 0
    rig = Rig(kernel)
    rig.start(a_route())
    assert kernel.standing(route_key())[0].protocol == OURS
    rig.enforce(Intent(Settings(), ()))
    assert kernel.standing(route_key()) == (foreign,)
    assert not rig.host.ledger.displaced


def test_a_foreign_prepend_is_overtaken_and_stays() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route())
    foreign = foreign_routes(kernel, IPV4)[0]
    assert kernel.request(Verb.PREPEND, route_key(), foreign) == 0
    (report,) = [report for report in rig.run() if report.outcomes]
    assert [outcome.operation.nature for outcome in report.outcomes] == [Nature.BEHIND]
    assert [value.protocol for value in kernel.standing(route_key())] == [OURS, foreign.protocol]


def test_a_foreign_route_under_on_conflict_refuse_is_left_alone() -> None:
    kernel = a_host()
    foreign = foreign_routes(kernel, IPV4)[0]
    assert kernel.request(Verb.ADD, route_key(), foreign) == 0
    before = all_that_stands(kernel)
    rig = Rig(kernel)
    rig.start(a_route(on_conflict=OnConflict.REFUSE))
    assert all_that_stands(kernel) == before
    assert kernel.writes == 0


def test_a_source_that_went_and_came_back_between_two_looks_is_put_back_into_an_ipv6_route() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route("six", "2001:db8::/32", (via("fd00::2", "v0"),), src="fd01::1"), settings=NO_RESYNC)
    key, held = route_key("2001:db8::/32"), address_key("fd01::1/64", 2)
    wanted = kernel.standing(key)
    (address,) = kernel.standing(held)
    assert kernel.request(Verb.DELETE, held, address) == 0
    assert kernel.standing(key) != wanted
    assert kernel.request(Verb.ADD, held, address) == 0
    rig.run()
    assert kernel.standing(key) == wanted


def test_strangers_who_never_cease_between_our_passes_only_delay_what_is_dirty() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(), settings=NO_RESYNC)
    foreign = foreign_routes(kernel, IPV4)
    turn = count()

    def interfere() -> None:
        kernel.request(Verb.REPLACE, route_key(), foreign[next(turn) % 2])

    kernel.mischief.meanwhile = interfere
    kernel.request(Verb.DELETE, route_key(), kernel.standing(route_key())[0])
    rig.settle(rig.host.schedule.take(rig.now))
    rig.reconciler.listen()
    rig.settle(rig.host.schedule.take(rig.now))
    kernel.mischief.meanwhile = lambda: None
    rig.run(1.0)
    assert kernel.standing(route_key())[0].protocol == OURS


def test_a_table_that_holds_still_only_after_forty_attempts_is_read_in_the_end() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    dumps = count()
    kernel.mischief.interrupt = lambda scope: scope.kind is Kind.ROUTE and next(dumps) < 200
    rig.start(a_route(), settings=NO_RESYNC)
    rig.run(1.0)
    assert_in_force(kernel, (a_route(),))


def test_a_rival_who_deletes_our_route_every_time_is_left_to_win_for_a_minute() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route())
    for _ in range(100):
        for value in kernel.standing(route_key()):
            kernel.request(Verb.DELETE, route_key(), value)
        rig.run(0.02)
    assert kernel.writes == 1 + 30
    assert [one.trouble.state for one in rig.host.ledger.troubles] == ["held"]
    rig.run(61.0)
    assert kernel.standing(route_key())
    assert not rig.host.ledger.troubles
