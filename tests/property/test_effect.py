"""What decides, on a kernel in memory: when it is asked, how often, and that what is said of an entry is so.

Each address of a prefix is looked up by the kernel itself; that is the judge.
"""

from __future__ import annotations

import os
from errno import ETIMEDOUT
from ipaddress import ip_network
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routed.core.linux.lookup import look_up
from routed.core.schedule import RETRY
from routed.core.troubles import State
from routed.daemon.effect import MORE, MOST
from routed.daemon.peers import SshSessions
from routed.model import names
from routed.model.change import Verb
from routed.model.lookup import Question
from routed.model.net import IPV4
from routed.model.objects import Key, Kind, RuleMember, RuleSlot, Scope, Standing
from routed.model.reasons import CutsOff, Lifeline, Overruled
from tests.property.fake_kernel import STRANGER, FakeKernel
from tests.property.rig import (
    OURS,
    THEIRS,
    Rig,
    a_host,
    a_route,
    a_rule,
    a_rule_value,
    hop,
    route_key,
    route_value,
    rule_key,
    via,
)

LAN: Final = route_key("10.30.0.0/16", metric=50)
TUNNEL: Final = route_value(hop(2))


def a_rig(*others: object) -> Rig:
    rig = Rig(a_host())
    rig.start(a_route(metric=50), *others)  # type: ignore[arg-type]
    return rig


def take_over(kernel: FakeKernel) -> None:
    """A tunnel with a default route, and a rule that leads everything into it."""
    kernel.request(Verb.ADD, route_key("0.0.0.0/0", table=52), TUNNEL)
    kernel.request(Verb.ADD, rule_key(5270, 52), a_rule_value(0))


def is_shadowed(rig: Rig, key: Key = LAN) -> bool:
    trouble = rig.host.ledger.shadowed.get(key)
    assert trouble is None or trouble.state is State.SHADOWED
    return trouble is not None


def test_what_a_stranger_does_is_asked_about_a_moment_later_and_once_for_many() -> None:
    rig = a_rig()
    rig.kernel.asked.clear()
    take_over(rig.kernel)
    assert not rig.run()  # repairs come first
    rig.run(1.0)
    assert is_shadowed(rig)
    assert len(rig.kernel.asked) == 3  # addresses of the one entry, once
    reason = rig.host.ledger.shadowed[LAN].reason
    assert isinstance(reason, Overruled)
    assert reason.process is not None
    assert reason.port == STRANGER
    rig.kernel.request(Verb.DELETE, rule_key(5270, 52), a_rule_value(0))
    rig.run(1.0)
    assert not is_shadowed(rig)


def test_a_pass_on_one_deleted_route_asks_nothing() -> None:
    rig = a_rig(a_route("list", tuple(f"10.9.{n}.0/24" for n in range(9)), type_=names.BLACKHOLE))
    rig.kernel.asked.clear()
    rig.kernel.inspect = lambda *_: None
    for key in (LAN, route_key("10.9.3.0/24")):
        (standing,) = rig.kernel.standing(key)
        rig.kernel.request(Verb.DELETE, key, standing)
        rig.run(1.0)
        assert rig.kernel.standing(key) == (standing,)
    assert rig.kernel.asked == []


def test_what_does_not_overlap_is_not_asked_about() -> None:
    rig = a_rig(a_route("other", "10.40.0.0/16"))
    rig.kernel.asked.clear()
    rig.kernel.request(Verb.ADD, route_key("10.40.0.0/24"), TUNNEL)
    rig.run(1.0)
    assert [one.destination[1] for one in rig.kernel.asked] == [40]


def test_a_question_that_gets_no_answer_changes_nothing_and_is_asked_again() -> None:
    rig = a_rig()
    take_over(rig.kernel)
    rig.run(1.0)
    assert is_shadowed(rig)

    def fail(call: str) -> None:
        if call == "find_winner":
            raise OSError(ETIMEDOUT, os.strerror(ETIMEDOUT))

    rig.kernel.mischief.fail = fail
    rig.kernel.request(Verb.DELETE, rule_key(5270, 52), a_rule_value(0))
    rig.run(1.0)
    assert is_shadowed(rig)
    assert rig.errors == 0
    assert rig.host.world.unknown is None
    rig.kernel.mischief.fail = lambda _call: None
    rig.run(RETRY)
    assert not is_shadowed(rig)


def test_a_resync_whose_questions_get_no_answer_is_made_up_for() -> None:
    rig = a_rig()
    rig.kernel.request(Verb.ADD, route_key("10.0.0.0/8", table=52), TUNNEL)
    rig.kernel.request(Verb.ADD, rule_key(5270, 52), a_rule_value(0))
    rig.kernel.read_events()  # lost

    def fail(call: str) -> None:
        if call == "find_winner":
            raise OSError(ETIMEDOUT, os.strerror(ETIMEDOUT))

    rig.kernel.mischief.fail = fail
    rig.resync()
    assert not is_shadowed(rig)
    rig.kernel.mischief.fail = lambda _call: None
    rig.run(RETRY)
    assert is_shadowed(rig)


@pytest.mark.parametrize("is_file", [False, True])
def test_of_very_many_each_full_pass_asks_about_another_part(is_file: bool) -> None:
    prefixes = tuple(f"20.{n >> 8}.{n & 255}.0/24" for n in range(3 * MORE))
    rig = Rig(a_host())
    rig.start(a_route("list", prefixes, metric=50, is_file=is_file))
    seen = {one.destination[:3] for one in rig.kernel.asked}
    assert len(seen) == len(rig.kernel.asked) == MORE
    for round_ in (2, 3):
        rig.kernel.asked.clear()
        rig.resync()
        assert len(rig.kernel.asked) == MORE
        seen |= {one.destination[:3] for one in rig.kernel.asked}
        assert len(seen) == round_ * MORE


def test_of_very_many_the_one_that_a_stranger_named_is_asked_about_and_few_others() -> None:
    prefixes = tuple(f"20.{n >> 8}.{n & 255}.0/24" for n in range(3 * MORE))
    rig = Rig(a_host())
    rig.start(a_route("list", prefixes, metric=50, is_file=True))
    rig.kernel.asked.clear()
    rig.kernel.request(Verb.ADD, route_key(prefixes[300], metric=7), TUNNEL)
    rig.run(1.0)
    assert is_shadowed(rig, route_key(prefixes[300], metric=50))
    assert len(rig.kernel.asked) <= MOST + 1
    for _ in range(3):
        rig.resync()
        assert is_shadowed(rig, route_key(prefixes[300], metric=50))
    rig.kernel.request(Verb.DELETE, route_key(prefixes[300], metric=7), TUNNEL)
    rig.run(1.0)
    assert not rig.host.ledger.shadowed


def test_a_flood_of_strangers_is_one_question_for_each_entry() -> None:
    rig = a_rig()
    rig.kernel.asked.clear()
    rig.kernel.listen_for(None)
    for number in range(600):
        rig.kernel.request(Verb.ADD, route_key(f"10.30.{number & 255}.{number >> 8}/32"), TUNNEL)
    rig.run(3.0)
    assert len(rig.kernel.asked) <= 9


def test_what_no_entry_wants_any_more_is_forgotten_and_what_is_repaired_stays_shadowed() -> None:
    rig = a_rig()
    rig.kernel.request(Verb.ADD, route_key("10.30.0.0/16", metric=7), TUNNEL)
    rig.run(1.0)
    rig.kernel.inspect = lambda *_: None
    rig.kernel.request(Verb.DELETE, LAN, rig.kernel.standing(LAN)[0])
    rig.run(1.0)
    assert is_shadowed(rig)
    rig.start()
    assert not rig.host.ledger.shadowed


PIECES: Final = [str(net) for bits in range(28, 33) for net in ip_network("10.64.0.0/28").subnets(new_prefix=bits)]
WIDER: Final = ["0.0.0.0/0", "10.0.0.0/8"]


@st.composite
def routes(draw: st.DrawFn) -> list[tuple[Key, int]]:
    """Routes of strangers: keys, and the type of each."""
    places = st.tuples(
        st.sampled_from(PIECES[:7] + WIDER),
        st.sampled_from([names.TABLE_MAIN, 52]),
        st.sampled_from([0, 50, 100]),
        st.sampled_from([names.UNICAST, names.UNICAST, names.BLACKHOLE]),
    )
    drawn = draw(st.lists(places, max_size=5, unique_by=lambda one: one[:3]))
    return [(route_key(to, table, metric), type_) for to, table, metric, type_ in drawn]


@st.composite
def their_rules(draw: st.DrawFn) -> list[RuleMember]:
    """Rules of strangers."""
    priorities = st.sampled_from([10, 5270, 32760, 40000])
    selectors = st.sampled_from(
        [{}, {"suppress_prefixlength": 0}, {"fwmark": 7, "fwmask": 7}, {"fwmark": 7, "fwmask": 7, "inverted": True}]
    )
    drawn = draw(st.lists(st.tuples(priorities, selectors), max_size=2, unique_by=lambda one: one[0]))
    return [RuleMember(priority, table=52, **selector) for priority, selector in drawn]  # type: ignore[arg-type]


def test_dead_ends_that_leave_a_hole_do_not_shadow_though_every_sample_falls_into_one() -> None:
    rig = Rig(a_host())
    for to in ("10.64.0.0/30", "10.64.0.8/29"):
        rig.kernel.request(Verb.ADD, route_key(to), route_value(type_=names.BLACKHOLE))
    rig.start(a_route("lan", "10.64.0.0/28", (via("192.0.2.2", "v0"),), metric=50))
    lan = route_key("10.64.0.0/28", metric=50)
    assert not is_shadowed(rig, lan)
    rig.kernel.request(Verb.ADD, route_key("10.64.0.4/30"), route_value(type_=names.BLACKHOLE))
    rig.resync()
    assert is_shadowed(rig, lan)  # now nothing is left


def test_dead_ends_are_read_once_for_all_questions_of_a_look() -> None:
    rig = Rig(a_host())
    rig.kernel.request(Verb.ADD, route_key("10.64.0.0/16"), route_value(type_=names.BLACKHOLE))
    to = [f"10.64.{number}.0/24" for number in range(20)]
    rig.start(*(a_route(one, one, (via("192.0.2.2", "v0"),), table=77) for one in to))
    for one in to:  # and somebody else drops each of these
        rig.kernel.request(Verb.ADD, route_key(one), route_value(type_=names.BLACKHOLE))
    rig.kernel.request(Verb.ADD, rule_key(40000, 77), a_rule_value(0))
    rig.resync()
    read: list[Scope] = []

    def note(scope: Scope) -> bool:
        read.append(scope)
        return False

    rig.kernel.mischief.interrupt = note
    rig.resync()
    assert all(is_shadowed(rig, route_key(one, table=77)) for one in to)
    assert len([scope for scope in read if scope.type]) == 1


@given(
    st.lists(st.sampled_from(PIECES[:7]), min_size=1, max_size=3, unique=True),
    st.sampled_from([20, 50]),
    routes(),
    their_rules(),
)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_route_is_shadowed_only_where_no_packet_goes_by_it_and_wherever_one_route_takes_all(
    wanted: list[str], metric: int, strangers: list[tuple[Key, int]], rules: list[RuleMember]
) -> None:
    rig = Rig(a_host())
    for key, type_ in strangers:
        hops = () if type_ in names.TYPES_WITHOUT_HOP else (hop(2),)
        rig.kernel.request(Verb.ADD, key, route_value(*hops, type_=type_))
    for rule in rules:
        rig.kernel.request(Verb.ADD, Key(Kind.RULE, RuleSlot(IPV4), rule), a_rule_value(0))
    rig.start(*(a_route(to, to, (via("192.0.2.2", "v0"),), metric=metric) for to in wanted))
    for to in wanted:
        key = route_key(to, metric=metric)
        if key in rig.host.ledger.troubles:
            continue
        winners = [
            look_up(rig.kernel, Question(address.packed), {}).winner for address in ip_network(to)
        ]  # of every address
        if is_shadowed(rig, key):
            own = [one for one in winners if one is not None and one.value.protocol == OURS]
            assert all(one.member[-1] > key.member[-1] for one in own), (to, winners)
        elif len({winner_key(one) for one in winners}) == 1 and winners[0] is not None:
            assert winners[0].value.protocol == OURS, (to, winners)


def winner_key(one: Standing | None) -> object:
    return None if one is None else one[:2]


def test_a_rule_of_ours_is_shadowed_by_one_in_front_that_decides_about_all() -> None:
    rig = a_rig(a_rule(table=120), a_route("inner", "0.0.0.0/0", table=120))
    rule = Key(Kind.RULE, RuleSlot(IPV4), RuleMember(1200, table=120))
    assert not is_shadowed(rig, rule)
    rig.kernel.request(Verb.ADD, rule_key(700, 52), a_rule_value(0))
    rig.run(1.0)
    assert not is_shadowed(rig, rule)  # its table is empty
    rig.kernel.request(Verb.ADD, route_key("0.0.0.0/0", table=52), TUNNEL)
    rig.run(1.0)
    assert is_shadowed(rig, rule)


# --- the guard ------------------------------------------------------------------------------------------------------

PEER: Final = bytes((10, 9, 0, 7))


def a_rig_with_a_session(*strangers: Key) -> Rig:
    kernel = a_host()
    kernel.request(Verb.ADD, route_key("0.0.0.0/0", metric=500), route_value(hop(1, "192.0.2.2")))
    for key in strangers:
        kernel.request(Verb.ADD, key, route_value(hop(1, "192.0.2.2")))
    rig = Rig(kernel)
    rig.reconciler.find_ssh_sessions = lambda: SshSessions(frozenset({PEER}))
    return rig


def test_a_dead_end_for_a_session_is_held_in_each_pass_and_put_by_force() -> None:
    rig, key = a_rig_with_a_session(), route_key("10.0.0.0/8")
    entry = a_route("drop", ("10.0.0.0/8", "20.0.0.0/8"), type_=names.BLACKHOLE)
    rig.start(entry)
    rig.resync()
    assert rig.kernel.standing(key) == ()
    assert rig.kernel.standing(route_key("20.0.0.0/8"))
    trouble = rig.host.ledger.troubles.get(key)
    assert trouble is not None
    assert trouble.reason == CutsOff(Lifeline.SESSION, PEER)
    rig.kernel.request(Verb.ADD, key, route_value(hop(2)))  # an event on the very key
    rig.kernel.request(Verb.DELETE, key, route_value(hop(2)))
    rig.run()
    assert rig.kernel.standing(key) == ()
    rig.enforce(rig.host.wanted.intent, is_forced=True)
    assert rig.kernel.standing(key)
    rig.kernel.inspect = lambda *_: None
    rig.kernel.request(Verb.DELETE, key, rig.kernel.standing(key)[0])
    rig.run(1.0)
    rig.resync()
    assert rig.kernel.standing(key)  # it was in force


def test_a_plan_holds_what_the_pass_would() -> None:
    rig = a_rig_with_a_session()
    entry = a_route("drop", ("10.0.0.0/8",), type_=names.BLACKHOLE)
    rig.start()
    plan = rig.plan(rig.host.wanted.intent.__class__(entries=(entry,)))
    assert [refusal.by_guard for refusal in plan.refusals] == [True]
    assert not plan.operations


def test_a_foreign_route_that_contains_a_session_is_displaced_where_another_carries_it() -> None:
    wide, near = route_key("10.0.0.0/8"), route_key("10.9.0.0/16")
    rig = a_rig_with_a_session(wide, near)
    rig.start(a_route("wide", "10.0.0.0/8"), a_route("near", "10.9.0.0/16"))
    assert rig.kernel.standing(wide)[0].protocol == OURS
    assert rig.kernel.standing(near)[0].protocol == THEIRS
