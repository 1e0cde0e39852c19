"""Time passes during a pass: what was held when it began may be due when it is over, and must not be forgotten."""

from __future__ import annotations

from errno import EINVAL, ENETUNREACH
from typing import Any

import pytest

from routed.core.desired import scope_of
from routed.core.dirt import STORM, Dirt
from routed.daemon.carry_out import OTHERS
from routed.daemon.peers import SshSessions
from routed.model import names
from routed.model.change import Cause, Operation, Verb
from routed.model.entries import Intent, Settings
from routed.model.events import KERNEL
from routed.model.net import IPV4, parse_address, parse_prefix
from routed.model.objects import Key, Kind, Member, Scope
from routed.model.reasons import Deed, Look
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import (
    THEIRS,
    Rig,
    a_host,
    a_route,
    address_key,
    give_address,
    hop,
    route_key,
    route_value,
    via,
)

LOST, OTHER = route_key("10.1.0.0/16"), route_key("10.2.0.0/16")


def test_a_hold_that_ends_during_a_pass_is_followed_by_another_try_and_not_by_silence() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    entry = a_route("lan", ("10.1.0.0/16", "10.2.0.0/16"), hops=(via("192.0.2.2"),))
    rig.start(entry, settings=Settings(resync=1e9, fight_limit=None))
    refused = parse_prefix("10.1.0.0/16")

    def refuse(_operation: Operation, member: Member) -> int:
        return EINVAL if member == refused else 0

    kernel.mischief.refuse = refuse
    kernel.request(Verb.DELETE, LOST, kernel.standing(LOST)[0])
    rig.run()
    assert not kernel.standing(LOST)

    def take_long(_operation: Operation, _member: Member) -> int:
        rig.now += 0.2  # longer than the first hold
        return 0

    kernel.mischief.refuse = take_long
    kernel.request(Verb.DELETE, OTHER, kernel.standing(OTHER)[0])
    rig.host.schedule.dirt.add_scopes([scope_of(Kind.ROUTE, OTHER.slot)], Cause(None, Look.STORM))
    rig.settle(rig.host.schedule.take(rig.now))
    assert kernel.standing(OTHER)
    rig.run(70.0)
    assert kernel.standing(LOST)


def test_a_single_object_that_goes_during_a_long_pass_is_back_before_that_pass_is_over() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    lan = a_route("lan", "10.1.0.0/16", hops=(via("192.0.2.2"),))
    rig.start(lan)
    many = a_route("many", tuple(f"10.200.{number}.0/24" for number in range(64)), type_=names.BLACKHOLE, is_file=True)
    asked = 0

    def delete_in_the_middle(_operation: Operation, _member: Member) -> int:
        nonlocal asked
        asked += 1
        if asked == 32:
            kernel.request(Verb.DELETE, LOST, kernel.standing(LOST)[0])
        return 0

    kernel.mischief.refuse = delete_in_the_middle
    kernel.requested.clear()
    rig.enforce(Intent(Settings(), (lan, many)))
    keys = [key for verb, key, _ in kernel.requested if verb is Verb.ADD]
    assert len(keys) == 65
    assert 32 <= keys.index(LOST) < 40
    repaired = [outcome for report in rig.reports for outcome in report.outcomes if LOST.member in outcome.done]
    assert repaired[-1].cause.reason is Deed.DELETED
    assert not any(outcome.failures for report in rig.reports for outcome in report.outcomes)


def test_what_was_put_right_during_a_dump_is_not_put_again_for_what_the_dump_says() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    lan = a_route("lan", ("10.1.0.0/16", "10.2.0.0/16"), hops=(via("192.0.2.2"),))
    rig.start(lan, settings=Settings(resync=60.0))
    turns = 0

    def delete_before_the_dump_comes_there() -> None:
        nonlocal turns
        turns += 1
        if turns == 2:  # amid the first dump
            kernel.request(Verb.DELETE, OTHER, kernel.standing(OTHER)[0])

    kernel.mischief.meanwhile = delete_before_the_dump_comes_there
    kernel.requested.clear()
    rig.resync()
    assert [(verb, key) for verb, key, _ in kernel.requested] == [(Verb.ADD, OTHER)]
    assert not any(outcome.failures for report in rig.reports for outcome in report.outcomes)


def test_what_somebody_puts_between_our_look_and_our_request_is_displaced_and_told_as_no_failure() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    lan = a_route("lan", "10.1.0.0/16", hops=(via("192.0.2.2"),))
    rig.start(lan)
    (ours,) = kernel.standing(LOST)
    theirs = ours._replace(protocol=THEIRS)

    def come_first(operation: Operation, _member: Member) -> int:
        if operation.verb is Verb.ADD:
            kernel.request(Verb.ADD, LOST, theirs)
        return 0

    kernel.mischief.refuse = come_first
    kernel.request(Verb.DELETE, LOST, ours)
    reports = rig.run()
    assert kernel.standing(LOST) == (ours,)
    assert [outcome.operation.verb for report in reports for outcome in report.outcomes] == [Verb.REPLACE]
    assert not any(outcome.failures for report in reports for outcome in report.outcomes)
    assert not rig.host.ledger.troubles


def test_what_could_not_be_put_back_amid_a_dump_is_tried_again_though_that_dump_leaves_it_out() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route("lan", ("10.1.0.0/16", "10.2.0.0/16"), hops=(via("192.0.2.2"),)), settings=Settings(resync=60.0))
    turns = 0

    def delete_amid_the_dump() -> None:
        nonlocal turns
        turns += 1
        if turns == 2:
            kernel.request(Verb.DELETE, OTHER, kernel.standing(OTHER)[0])

    kernel.mischief.meanwhile = delete_amid_the_dump
    kernel.mischief.refuse = lambda _operation, _member: ENETUNREACH
    rig.host.schedule.dirt.add_scopes([scope_of(Kind.ROUTE, OTHER.slot)], Cause(None, Look.STORM))
    rig.run(0.01)
    assert OTHER in rig.host.ledger.troubles
    kernel.mischief.refuse = lambda _operation, _member: 0
    rig.run(1.0)
    assert kernel.standing(OTHER)


@pytest.mark.parametrize("turn", range(1, 4))
@pytest.mark.parametrize("asks", [False, True], ids=["a dump", "questions and a dump"])
def test_what_the_kernel_took_amid_a_pass_waits_until_it_is_known_whether_it_is_wanted(turn: int, asks: bool) -> None:
    kernel = a_host()
    give_address(kernel, "192.0.2.9/24", 1, "v0")
    rig = Rig(kernel)
    rig.start(a_route("lan", "10.1.0.0/16", hops=(via("192.0.2.2"),), src="192.0.2.9"), settings=Settings(resync=1e9))
    turns, key = 0, route_key("10.1.0.0/16")
    assert kernel.standing(key)

    def take_its_source() -> None:
        nonlocal turns
        turns += 1
        if turns == turn:
            value, address = kernel.standing(key)[0], address_key("192.0.2.9/24", 1)
            kernel.request(Verb.DELETE, address, kernel.standing(address)[0])
            if not kernel.standing(key):
                kernel.notify(key, value, KERNEL, is_removal=True)  # as Linux does since 6.6

    kernel.mischief.meanwhile = take_its_source
    rig.host.schedule.dirt.add_scopes([Scope(Kind.RULE, IPV4)], Cause(None, Look.STORM))
    rig.host.schedule.dirt.sources |= {"link", "address"} if asks else set()
    outcomes = [outcome for report in rig.run(1.0) for outcome in report.outcomes]
    assert not any(outcome.failures for outcome in outcomes)
    assert kernel.standing(key) == ()


def test_what_is_taken_away_again_before_it_was_verified_was_put_back_and_is_put_back_anew() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    many = tuple(f"10.{number >> 8}.{number & 255}.0/24" for number in range(2 * STORM + 100))
    rig.start(a_route("many", many, type_=names.BLACKHOLE), settings=Settings(fight_limit=None))
    keys = [route_key(prefix) for prefix in many]
    written = kernel.writes

    def flush(chosen: list[Key]) -> None:
        for key in chosen:
            kernel.request(Verb.DELETE, key, kernel.standing(key)[0])

    def begin_the_second_round() -> None:
        if kernel.writes == written + len(many) and kernel.standing(keys[-1]):
            flush(keys[: STORM + 50])
            kernel.mischief.meanwhile = lambda: None

    flush(keys)
    kernel.mischief.meanwhile = begin_the_second_round
    reports = rig.run(10.0)
    outcomes = [outcome for report in reports for outcome in report.outcomes]
    assert [outcome.failures for outcome in outcomes if outcome.failures] == []
    assert sum(len(outcome.done) for outcome in outcomes) == len(keys) + STORM + 50
    assert all(kernel.standing(key) for key in keys)


def test_what_the_kernel_took_and_does_not_show_is_a_failure_where_nobody_took_it_away() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    many = tuple(f"10.200.{number}.0/24" for number in range(20))
    rig.start(a_route("many", many, type_=names.BLACKHOLE), settings=Settings(fight_limit=None))
    keys = [route_key(prefix) for prefix in many]

    def lose_in_silence() -> None:
        if all(kernel.standing(key) for key in keys):
            kernel.objects[keys[0].kind][keys[0].slot].pop(keys[0].member)
            kernel.mischief.meanwhile = lambda: None

    for key in keys:
        kernel.request(Verb.DELETE, key, kernel.standing(key)[0])
    kernel.mischief.meanwhile = lose_in_silence
    reports = rig.run(0.0)
    failed = [failure for report in reports for outcome in report.outcomes for failure in outcome.failures]
    assert [failure.member for failure in failed] == [keys[0].member]


def test_a_flush_whose_first_routes_were_put_back_at_once_is_not_answered_in_its_middle() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    many = tuple(f"10.{number >> 8}.{number & 255}.0/24" for number in range(2 * STORM))
    rig.start(a_route("many", many, type_=names.BLACKHOLE), settings=Settings(fight_limit=None))
    first, *rest = [route_key(prefix) for prefix in many]

    def flush_the_others(_operation: Operation, _member: Member) -> int:
        kernel.mischief.refuse = lambda _operation, _member: 0
        for key in rest:
            kernel.request(Verb.DELETE, key, kernel.standing(key)[0])
        return 0

    kernel.mischief.refuse = flush_the_others
    kernel.request(Verb.DELETE, first, kernel.standing(first)[0])
    rig.run(0.0)
    assert kernel.standing(first)
    assert not any(kernel.standing(key) for key in rest)
    rig.run(1.0)
    assert all(kernel.standing(key) for key in rest)


def test_who_waits_for_the_files_to_be_in_force_waits_for_no_storm() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    many = tuple(f"10.{number >> 8}.{number & 255}.0/24" for number in range(2 * STORM))
    entry = a_route("many", many, type_=names.BLACKHOLE)
    rig.start(entry, settings=Settings(fight_limit=None))
    keys = [route_key(prefix) for prefix in many]

    def flush() -> None:
        kernel.mischief.meanwhile = lambda: None
        for key in keys:
            kernel.request(Verb.DELETE, key, kernel.standing(key)[0])

    kernel.mischief.meanwhile = flush
    rig.host.enforce(Intent(Settings(fight_limit=None), (entry,)), rig.now)
    rig.settle(Dirt(everything=Cause(None, Look.RELOAD)), is_initial=True)
    assert all(kernel.standing(key) for key in keys)


def test_events_heard_in_a_verification_have_the_time_of_that() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    many = tuple(f"10.200.{number}.0/24" for number in range(20))
    rig.start(a_route("many", many, type_=names.BLACKHOLE), settings=Settings(fight_limit=None))
    keys = [route_key(prefix) for prefix in many]

    def take_long() -> None:
        if all(kernel.standing(key) for key in keys):
            kernel.mischief.meanwhile = lambda: None
            rig.now += 5.0
            kernel.request(Verb.DELETE, keys[0], kernel.standing(keys[0])[0])

    for key in keys:
        kernel.request(Verb.DELETE, key, kernel.standing(key)[0])
    kernel.mischief.meanwhile = take_long
    heard_at: list[float] = []

    def note_moment(_operation: Operation, _member: Member) -> int:
        heard_at.append(rig.host.schedule.last_event)
        return 0

    kernel.mischief.refuse = note_moment
    before = rig.now
    rig.run(0.0)
    assert heard_at[-1] == before + 5.0
    assert all(kernel.standing(key) for key in keys)


def test_what_is_put_right_amid_the_first_pass_makes_no_entry_one_that_was_in_force() -> None:
    kernel = a_host()
    foreign = route_value(hop(1, "192.0.2.3"))
    assert kernel.request(Verb.ADD, OTHER, foreign) == 0
    rig = Rig(kernel)
    lan = a_route("lan", "10.1.0.0/16", hops=(via("192.0.2.2"),))
    rig.start(lan, settings=Settings(resync=1e9))
    rig.reconciler.find_ssh_sessions = lambda: SshSessions(frozenset({parse_address("10.3.0.1")}))
    lifeline = route_key("10.3.0.0/16")
    assert kernel.request(Verb.ADD, lifeline, foreign) == 0
    turns = 0

    def delete_amid_the_dumps() -> None:
        nonlocal turns
        turns += 1
        if turns == 4:
            kernel.request(Verb.DELETE, LOST, kernel.standing(LOST)[0])

    kernel.mischief.meanwhile = delete_amid_the_dumps
    rig.enforce(Intent(Settings(resync=1e9), (lan, a_route("other", "10.2.0.0/16"), a_route("line", "10.3.0.0/16"))))
    assert any(list(report.dirt.keys) == [LOST] for report in rig.reports)
    assert rig.host.ledger.displaced == {OTHER: foreign}
    assert kernel.standing(lifeline) == (foreign,)
    assert lifeline not in rig.host.ledger.established


@pytest.mark.parametrize(("deleted", "is_dumped"), [(20, False), (21, True)])
def test_as_many_are_verified_by_their_echo_as_cost_less_than_a_dump_of_all(
    monkeypatch: pytest.MonkeyPatch, deleted: int, *, is_dumped: bool
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    prefixes = tuple(f"10.{number // 256}.{number % 256}.0/24" for number in range(20 * OTHERS))
    rig.start(a_route(to=prefixes), settings=Settings(resync=1e9))
    dumped: list[Scope] = []
    read_dump = FakeKernel.read_dump

    def read(kernel: FakeKernel, scope: Scope) -> Any:
        dumped.append(scope)
        return read_dump(kernel, scope)

    monkeypatch.setattr(FakeKernel, "read_dump", read)
    for prefix in prefixes[:deleted]:
        key = route_key(prefix)
        assert kernel.request(Verb.DELETE, key, kernel.standing(key)[0]) == 0
    [report] = rig.run()
    assert all(kernel.standing(route_key(prefix)) for prefix in prefixes)
    assert sum(len(outcome.done) for outcome in report.outcomes) == deleted
    assert bool(dumped) is is_dumped
