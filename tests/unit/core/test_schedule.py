"""The schedule: events become dirt, dirt becomes due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routed.core.desired import Desired
from routed.core.entries import resolve
from routed.core.schedule import LONGEST_LULL, LULL, PATIENCE, PERSEVERANCE, QUIET, SHARE, STORM, Dirt, Schedule
from routed.core.sources import ROUTE
from routed.core.timetable import Deadline
from routed.model import names
from routed.model.change import Cause
from routed.model.entries import Entry
from routed.model.events import AddressEvent, Event, LinkEvent, ObjectEvent, Overrun
from routed.model.facts import Facts, HostAddress, Link
from routed.model.net import parse_address
from routed.model.objects import AddressMember, Key, Kind, RouteValue, Scope, Value
from routed.model.process import Process
from routed.model.reasons import Deed, LinkChange, LinkTurn, Look
from tests.property.fake_kernel import OUR_PORT, STRANGER, join_alike
from tests.property.rig import (
    OURS,
    OWNERS,
    THEIRS,
    a_route,
    a_rule,
    a_rule_value,
    hop,
    route_key,
    route_value,
    rule_key,
)

V0 = Link(1, "v0", is_up=True, has_carrier=True)
MEMBER = AddressMember(1, parse_address("192.0.2.1"), 24)
ADDRESS = HostAddress(1, MEMBER.address, 24, 0)
FACTS = Facts(links={1: V0}, addresses={MEMBER: ADDRESS})
KEY = route_key()
MAIN = Scope(Kind.ROUTE, 2, names.TABLE_MAIN)
WANTED = route_value(hop(1), protocol=OURS, scope=names.LINK)
THEIR = route_value(hop(2), protocol=THEIRS)


class Listener:
    """A schedule with a desired side, to which events are told."""

    def __init__(self, *entries: Entry) -> None:
        self.schedule = Schedule()
        self.desired = Desired()
        self.facts = replace(FACTS, links=dict(FACTS.links), addresses=dict(FACTS.addresses))
        for entry in entries or (a_route(),):
            self.desired.put(resolve(entry, FACTS, OURS))

    def hear(self, *events: Event, now: float = 1.0) -> Dirt:
        for event in events:
            self.schedule.note(event, self.facts, self.desired, OWNERS, OUR_PORT, now)
        return self.schedule.dirt


def an_event(key: Key, value: Value, *how: Any) -> ObjectEvent:
    return ObjectEvent(key.kind, key.slot, (key.member,), value, *how)


def deleted(value: RouteValue = WANTED, key: Key = KEY, port: int = STRANGER) -> ObjectEvent:
    return an_event(key, value, True, False, False, port)


def appeared(value: RouteValue, how: str = "", key: Key = KEY, port: int = STRANGER) -> ObjectEvent:
    return an_event(key, value, False, how == "replace", how == "add", port)


def test_a_deleted_object_is_looked_at_at_once_and_without_a_dump() -> None:
    listener = Listener()
    dirt = listener.hear(deleted(), now=5.0)
    assert dirt.keys == {KEY: ()}
    assert not dirt.needs_dump
    assert dirt.cause_of(KEY) == Cause(STRANGER, Deed.DELETED)
    assert listener.schedule.find_due(5.0) == 5.0


def test_a_replacement_says_what_stands_now() -> None:
    dirt = Listener().hear(appeared(THEIR, "replace"))
    assert dirt.keys == {KEY: (THEIR,)}
    assert dirt.cause_of(KEY).reason is Deed.REPLACED


def test_the_last_event_says_what_stands_and_the_first_says_why() -> None:
    dirt = Listener().hear(deleted(), appeared(THEIR, "add", port=77))
    assert dirt.keys == {KEY: (THEIR,)}
    assert dirt.cause_of(KEY) == Cause(STRANGER, Deed.DELETED)


def test_our_own_echo_is_not_news_and_settles_what_was_dirty() -> None:
    assert not Listener().hear(appeared(WANTED, "add", port=OUR_PORT))
    assert not Listener().hear(deleted(), appeared(WANTED, "add", port=OUR_PORT))


def test_the_echo_of_our_own_deletion_does_not_hide_a_strangers_change() -> None:
    dirt = Listener().hear(appeared(THEIR, "replace"), deleted(port=OUR_PORT))
    assert dirt


def test_an_alias_needs_a_dump_since_an_event_does_not_tell_the_order() -> None:
    listener = Listener()
    dirt = listener.hear(appeared(THEIR), now=5.0)
    assert set(dirt.scopes) == {MAIN}
    assert listener.schedule.find_due(5.0) == 5.0


def test_a_strangers_alias_that_goes_from_under_our_key_needs_a_dump() -> None:
    assert set(Listener().hear(deleted(THEIR)).scopes) == {MAIN}


def test_what_strangers_do_beside_ours_is_no_news() -> None:
    other = route_key("10.77.0.0/16")
    assert not Listener().hear(appeared(THEIR, "add", other), appeared(THEIR, "replace", other), deleted(THEIR, other))


def test_something_new_under_our_protocol_is_looked_at() -> None:
    other = route_key("10.77.0.0/16")
    assert Listener().hear(appeared(WANTED, "add", other)).keys == {other: (WANTED,)}
    assert not Listener().hear(appeared(WANTED, "add", other), deleted(WANTED, other))


def test_a_strangers_twin_of_our_rule_is_no_news_but_the_loss_of_ours_is() -> None:
    key, ours = rule_key(), a_rule_value()
    listener = Listener(a_rule())
    assert not listener.hear(an_event(key, a_rule_value(THEIRS), False, False, False, STRANGER))
    assert not listener.hear(an_event(key, a_rule_value(THEIRS), True, False, False, STRANGER))
    assert listener.hear(an_event(key, ours, True, False, False, STRANGER)).keys == {key: ()}


def test_a_link_that_goes_down_makes_everything_over_it_dirty_since_the_kernel_drops_routes_in_silence() -> None:
    listener = Listener()
    dirt = listener.hear(LinkEvent(V0._replace(is_up=False), is_removal=False), now=5.0)
    assert set(dirt.scopes) == {MAIN}
    assert dirt.sources == {"link"}
    assert dirt.cause_of(KEY) == Cause(0, LinkChange(LinkTurn.WENT_DOWN, "v0"))
    assert listener.facts.links[1].is_up is False
    assert listener.schedule.find_due(5.0) == 5.0


@pytest.mark.parametrize(
    ("link", "is_removal", "change"),
    [
        (V0, True, LinkChange(LinkTurn.DELETED, "v0")),
        (V0._replace(name="lan0"), False, LinkChange(LinkTurn.RENAMED, "v0", "lan0")),
        (V0._replace(has_carrier=False), False, LinkChange(LinkTurn.LOST_CARRIER, "v0")),
        (V0._replace(mac=b"123456"), False, LinkChange(LinkTurn.CHANGED, "v0")),
    ],
    ids=["deleted", "renamed", "carrier", "other"],
)
def test_the_cause_says_what_happened_to_a_link(link: Link, is_removal: bool, change: LinkChange) -> None:
    assert Listener().hear(LinkEvent(link, is_removal)).cause_of(KEY).reason == change


def test_a_link_event_that_changes_nothing_is_no_news() -> None:
    assert not Listener().hear(LinkEvent(V0, is_removal=False))


class Asked:
    """Names every process, and remembers of whom it was asked."""

    def __init__(self) -> None:
        self.ports: list[int] = []

    def __call__(self, port: int) -> Process:
        self.ports.append(port)
        return Process(port, "ip")


def ask_about(*events: Event) -> tuple[Dirt, list[int]]:
    listener, asked = Listener(), Asked()
    for event in events:
        listener.schedule.note(event, FACTS, listener.desired, OWNERS, OUR_PORT, 1.0, asked)
    return listener.schedule.dirt, asked.ports


def test_whoever_touches_ours_is_asked_for_at_once() -> None:
    dirt, asked = ask_about(deleted())
    assert asked == [STRANGER]
    assert dirt.cause_of(KEY) == Cause(STRANGER, Deed.DELETED, Process(STRANGER, "ip"))
    assert ask_about(appeared(THEIR, "replace"))[1] == [STRANGER]
    assert ask_about(appeared(WANTED, "add", route_key("10.77.0.0/16")))[1] == [STRANGER]


def test_nobody_is_asked_for_the_kernel_ourselves_a_strangers_affairs_and_what_is_as_wanted() -> None:
    elsewhere = route_key("10.99.0.0/16")
    for event in (
        deleted(port=0),
        appeared(WANTED, "add", port=OUR_PORT),
        deleted(THEIR, elsewhere),
        appeared(THEIR, "add", elsewhere),
        appeared(WANTED, "add"),
    ):
        assert ask_about(event)[1] == []


def test_whoever_took_an_address_away_is_asked_for_only_where_something_of_ours_stood_on_it() -> None:
    assert ask_about(AddressEvent(MEMBER, ADDRESS, True, STRANGER))[1] == [STRANGER]
    other = AddressMember(9, MEMBER.address, 24)
    assert ask_about(AddressEvent(other, ADDRESS._replace(dev=9), True, STRANGER))[1] == []


def test_a_deletion_by_the_kernel_is_explained_by_the_link_event_that_follows_or_came_before() -> None:
    down = LinkEvent(V0._replace(is_up=False), is_removal=False)
    for events in ((deleted(port=0), down), (down, deleted(port=0))):
        assert Listener().hear(*events).cause_of(KEY) == Cause(0, LinkChange(LinkTurn.WENT_DOWN, "v0"))
    assert Listener().hear(deleted(), down).cause_of(KEY) == Cause(STRANGER, Deed.DELETED)


def test_equal_causes_are_one_value_however_many_keys_share_it() -> None:
    dirt = Listener(big_entry(3)).hear(*storm(3))
    (causes,) = dirt.causes.values()
    assert len({id(cause) for cause in causes.values()}) == 1
    assert list(dirt.distinct) == [Cause(STRANGER, Deed.DELETED)]


def test_an_address_that_goes_makes_the_routes_over_its_link_dirty() -> None:
    listener = Listener()
    dirt = listener.hear(AddressEvent(MEMBER, ADDRESS, is_removal=True))
    assert set(dirt.scopes) == {MAIN}
    assert dirt.sources == {"address"}
    assert not listener.facts.addresses


def test_an_ipv6_address_that_goes_sweeps_no_ipv4_route_away() -> None:
    six = AddressMember(1, parse_address("2001:db8::1"), 64)
    dirt = Listener().hear(AddressEvent(six, HostAddress(1, six.address, 64, 0), is_removal=True))
    assert dirt.sources == {"address"}
    assert not dirt.scopes


def test_an_address_that_comes_is_a_new_fact_and_no_dump() -> None:
    other = AddressMember(1, parse_address("192.0.2.9"), 24)
    dirt = Listener().hear(AddressEvent(other, ADDRESS._replace(address=other.address), is_removal=False))
    assert dirt.sources == {"address"}
    assert not dirt.needs_dump


def test_a_new_network_is_a_new_fact_only_while_something_waits_for_a_gateway() -> None:
    network = appeared(route_value(hop(1), protocol=2), "add", route_key("192.0.2.0/24"), port=0)
    listener = Listener()
    assert not listener.hear(network)
    listener.schedule.is_reach_awaited = True
    assert listener.hear(network).sources == {ROUTE}


def storm(count: int) -> list[ObjectEvent]:
    return [deleted(key=route_key(f"10.{number >> 8}.{number & 255}.0/24")) for number in range(count)]


def big_entry(count: int) -> Entry:
    return a_route(to=tuple(f"10.{number >> 8}.{number & 255}.0/24" for number in range(count)))


def test_a_storm_becomes_one_dump_once_it_is_quiet() -> None:
    listener = Listener(big_entry(STORM + 50))
    dirt = listener.hear(*storm(STORM + 50), now=5.0)
    assert set(dirt.scopes) == {MAIN}
    assert listener.schedule.find_due(5.0) == 5.0 + QUIET
    listener.hear(deleted(key=route_key("10.0.1.0/24")), now=5.005)
    assert listener.schedule.find_due(5.005) == 5.005 + QUIET


def test_a_storm_told_of_in_one_event_is_a_storm_and_keeps_who_did_it_of_each() -> None:
    listener = Listener(big_entry(STORM + 50))
    (together,) = join_alike(list(storm(STORM + 50)))
    dirt = listener.hear(together, now=5.0)
    assert (set(dirt.scopes), dirt.keys) == ({MAIN}, {})
    assert listener.schedule.find_due(5.0) == 5.0 + QUIET
    assert {dirt.cause_of(key) for key in listener.desired.keys_of("route/lan")} == {Cause(STRANGER, Deed.DELETED)}


def test_a_storm_that_never_ends_is_waited_for_only_so_long() -> None:
    listener = Listener(big_entry(STORM + 50))
    listener.hear(*storm(STORM + 50), now=5.0)
    listener.hear(deleted(key=route_key("10.0.1.0/24")), now=5.0 + PERSEVERANCE)
    assert listener.schedule.find_due(5.0 + PERSEVERANCE) == 5.0 + PERSEVERANCE


def test_a_storm_over_ours_is_waited_for_no_less_where_the_dump_was_dirty_before() -> None:
    listener = Listener(big_entry(STORM + 50))
    listener.schedule.dirt.add_scopes([MAIN], Cause(None, Look.AGAIN))
    listener.hear(*storm(STORM + 50), now=5.0)
    listener.hear(deleted(key=route_key("10.0.1.0/24")), now=5.0 + QUIET)
    for moment in (5.2, 5.22, 5.3, 5.0 + PATIENCE):
        listener.schedule.last_event = moment - QUIET
        listener.hear(deleted(key=route_key("10.0.1.0/24")), now=moment)
        assert listener.schedule.find_due(moment) == pytest.approx(moment + LULL * (moment - 5.0))
    assert not listener.schedule.take_keys(9.0, 8)


def test_a_storm_that_lasts_may_pause_for_longer_than_one_that_has_just_begun() -> None:
    listener = Listener(big_entry(STORM + 50))
    listener.hear(*storm(STORM + 50), now=5.0)
    for moment, lull in ((5.01, QUIET), (5.02, QUIET), (5.03, QUIET), (5.2, LULL * 0.2), (5.9, LONGEST_LULL)):
        listener.schedule.last_event = moment - QUIET
        listener.hear(deleted(key=route_key("10.0.1.0/24")), now=moment)
        assert listener.schedule.find_due(moment) == pytest.approx(moment + lull)


def test_after_a_storm_a_single_change_is_answered_at_once_while_the_dump_of_the_storm_still_rests() -> None:
    listener = Listener(big_entry(STORM + 50))
    listener.schedule.rest_until = 9.0
    listener.hear(*storm(STORM + 50), now=5.0)
    elsewhere = route_key("10.0.1.0/24")
    listener.hear(deleted(key=elsewhere), now=6.0)
    assert listener.schedule.find_due(6.0) == 6.0
    assert elsewhere in listener.schedule.take(6.0).keys


def test_who_caused_a_storm_is_remembered_until_its_dump_though_single_keys_are_taken_before() -> None:
    listener = Listener(big_entry(STORM + 50), a_rule())
    listener.schedule.rest_until = 9.0
    listener.hear(*storm(STORM + 50), now=5.0)
    listener.hear(an_event(rule_key(), a_rule_value(), True, False, False, STRANGER), now=6.0)
    assert rule_key() in listener.schedule.take(6.0).keys
    later = listener.schedule.take(9.0)
    assert later.cause_of(route_key("10.0.1.0/24")) == Cause(STRANGER, Deed.DELETED)


def test_lost_events_delay_no_single_change_once_they_are_over() -> None:
    listener = Listener()
    listener.schedule.rest_until = 9.0
    listener.hear(Overrun(), now=5.0)
    listener.hear(deleted(), now=6.0)
    assert listener.schedule.find_due(6.0) == 6.0


def test_an_object_deleted_amid_a_storm_of_strangers_that_never_ends_waits_less_long() -> None:
    listener = Listener()
    strangers = [appeared(THEIR, "add", route_key(f"198.51.{number}.0/24")) for number in range(STORM)]
    listener.hear(deleted(), *strangers, now=5.0)
    listener.hear(strangers[0], now=5.0 + PATIENCE)
    assert listener.schedule.find_due(5.0 + PATIENCE) == 5.0 + PATIENCE


def test_a_single_object_deleted_in_a_storm_of_strangers_is_looked_at_when_it_is_over_and_not_at_the_resync() -> None:
    listener = Listener()
    listener.schedule.timetable.set(Deadline.RESYNC, 60.0)
    strangers = [appeared(THEIR, "add", route_key(f"198.51.{number}.0/24")) for number in range(STORM)]

    dirt = listener.hear(deleted(), *strangers, now=5.0)

    assert not dirt.needs_dump
    assert listener.schedule.find_due(5.0) == 5.0 + QUIET
    assert listener.schedule.take(5.0 + QUIET).keys == {KEY: ()}


def test_fewer_events_than_a_storm_are_repaired_one_by_one_at_once() -> None:
    listener = Listener(big_entry(STORM))
    dirt = listener.hear(*storm(STORM), now=5.0)
    assert len(dirt.keys) == STORM
    assert listener.schedule.find_due(5.0) == 5.0


def test_amid_a_long_pass_single_objects_are_taken_a_few_at_a_time() -> None:
    listener = Listener(big_entry(10))
    listener.hear(*storm(10))
    assert [len(listener.schedule.take_keys(5.0, 8).keys) for _ in range(3)] == [8, 2, 0]


def test_amid_a_long_pass_nothing_is_taken_that_a_storm_left_to_the_next_dump() -> None:
    listener = Listener(big_entry(STORM + 50))
    dirt = listener.hear(*storm(STORM + 50), now=5.0)
    assert dirt.keys
    assert not listener.schedule.take_keys(5.0 + PATIENCE, 8)
    assert set(dirt.scopes) == {MAIN}


def test_an_overrun_makes_everything_dirty() -> None:
    listener = Listener()
    assert listener.hear(Overrun(), now=5.0).everything == Cause(None, Look.OVERRUN)
    assert listener.schedule.find_due(5.0) == 5.0 + QUIET


def test_after_a_pass_with_dumps_the_next_dump_rests_in_proportion_but_single_keys_do_not() -> None:
    listener = Listener()
    listener.schedule.note_pass(Dirt(scopes={MAIN: Cause(None, Look.RETRY)}), 4.0, 4.1)
    listener.hear(appeared(THEIR), now=4.1)
    assert listener.schedule.find_due(4.1) == pytest.approx(4.1 + SHARE * 0.1)
    assert not listener.schedule.take(4.15).needs_dump
    assert listener.schedule.take(4.1 + SHARE * 0.1 + 0.001).needs_dump


def test_a_single_key_is_taken_while_a_dump_still_rests() -> None:
    listener = Listener()
    listener.schedule.rest_until = 9.0
    listener.hear(appeared(THEIR), deleted(), now=5.0)
    assert listener.schedule.take(5.0).keys == {KEY: ()}
    assert set(listener.schedule.dirt.scopes) == {MAIN}


def test_nothing_dirty_is_due_at_the_next_resync_only() -> None:
    schedule = Schedule(resync=60.0)
    assert schedule.find_due(0.0) is None
    schedule.note_pass(Dirt(everything=Cause(None, Look.START)), 1.0, 2.0)
    assert schedule.find_due(2.0) == 62.0
    assert schedule.take(61.9).everything is None
    assert schedule.take(62.0).everything == Cause(None, Look.REGULAR)


def test_what_was_taken_is_not_taken_again() -> None:
    listener = Listener()
    listener.hear(deleted())
    assert listener.schedule.take(1.0)
    assert not listener.schedule.take(1.0)
    assert listener.schedule.find_due(1.0) is None


def test_a_poll_is_due_at_its_moment_and_then_an_interval_later() -> None:
    schedule, intervals = Schedule(polls={"one": 10.0, "other": 15.0}), [("one", 10.0), ("other", 10.0)]
    schedule.arm_polls()
    assert schedule.find_due(0.0) == 10.0
    assert schedule.take_polls(intervals, 9.0) == []
    assert schedule.take_polls(intervals, 10.5) == ["one"]
    assert schedule.polls == {"one": 20.5, "other": 15.0}
    assert schedule.find_due(10.5) == 15.0
    assert schedule.take_polls([("unknown", 10.0)], 99.0) == []


def test_a_poll_waits_for_the_retry_of_a_failed_pass() -> None:
    schedule = Schedule(polls={"one": 10.0})
    schedule.timetable.retry_at = 30.0
    schedule.arm_polls()
    assert schedule.find_due(0.0) == 30.0
    assert not schedule.timetable.take(Deadline.POLL, 20.0)
    assert schedule.timetable.take(Deadline.POLL, 30.0)
