"""The parts of the state, each by itself, and the frame that tells them what happened to several at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from routed.core.desired import Resolution, scope_of
from routed.core.dirt import Dirt
from routed.core.holds import Why
from routed.core.timetable import Deadline
from routed.core.troubles import State, Trouble, Troubled
from routed.daemon.dataplane import Dataplanes
from routed.daemon.host import Host
from routed.daemon.ledger import Ledger
from routed.daemon.under_way import UnderWay, hearing
from routed.daemon.wanted import SLICE, Wanted
from routed.daemon.world import World
from routed.kernel.dump import finish
from routed.model.change import Cause, Verb
from routed.model.entries import Entry, HopSpec, Intent, Settings
from routed.model.events import LinkEvent, ObjectEvent
from routed.model.facts import Facts, Link
from routed.model.objects import Key, Kind, Scope
from routed.model.process import Process
from routed.model.reasons import LeftAlone, LinkDown, Look, Overruled, SaidNo
from tests.property.rig import OURS, a_host, a_route, hop, route_key, route_value

NEXT = 115
LINK = Link(1, "v0", is_up=True, has_carrier=True)
FACTS = Facts(links={1: LINK})
NEWS = LinkEvent(LINK, is_removal=False)
KEY, OTHER = route_key("10.1.0.0/16"), route_key("10.2.0.0/16")
SCOPE = scope_of(KEY.kind, KEY.slot)
DOWN = Cause(0, LinkDown("v0"))


def wanted(*entries: Entry, before: Wanted | None = None, protocol: int = OURS, facts: Facts = FACTS) -> Wanted:
    """These files in force, at once or after others."""
    state, intent = before or Wanted(Intent(Settings(protocol=protocol))), Intent(Settings(protocol=protocol), entries)
    other = finish(state.find_other(intent, facts))
    finish(state.enforce(intent, other, facts))  # type: ignore[arg-type]
    return state


def a_trouble(entry: str = "route/a") -> Troubled:
    return Troubled(KEY.kind, KEY.slot, (KEY.member,), Trouble(State.FAILED, SaidNo(22, "no"), 5.0, (), entry))


def an_event(*keys: Key, is_removal: bool = False) -> ObjectEvent:
    members = tuple(key.member for key in keys)
    return ObjectEvent(
        KEY.kind, KEY.slot, members, route_value(), is_removal, is_replacement=False, is_addition=True, port=4242
    )


# --- wanted ---------------------------------------------------------------------------------------------------------


def test_to_find_out_what_other_files_come_to_changes_nothing() -> None:
    state = wanted(a_route("a", "10.1.0.0/16"))
    other = finish(state.find_other(Intent(Settings(), (a_route("b", "10.2.0.0/16"),)), FACTS))
    assert [resolution.entry.name for resolution in other] == ["route/b"]
    assert state.desired.resolutions.keys() == {"route/a"}
    assert [entry.name for entry in state.intent.entries] == ["route/a"]


def test_an_entry_that_comes_to_the_same_is_not_put_again() -> None:
    state = wanted(a_route("a", "10.1.0.0/16"))
    assert finish(state.find_other(state.intent, FACTS)) == []


def test_very_many_entries_are_put_in_force_in_slices() -> None:
    entries = tuple(a_route(str(number), f"10.{number >> 8}.{number & 255}.0/24") for number in range(SLICE + 1))
    state, intent = Wanted(Intent()), Intent(Settings(), entries)
    other = finish(state.find_other(intent, FACTS))
    assert [None for _ in state.enforce(intent, other, FACTS)] == [None, None]
    assert state.desired.count() == SLICE + 1


def test_who_wanted_what_nobody_wants_now_is_remembered_until_nothing_of_it_is_left() -> None:
    state = wanted(before=wanted(a_route("a", "10.1.0.0/16")))
    assert state.former.count(KEY.kind, KEY.slot, [KEY.member]) == {"route/a": 1}
    state.forget_former({SCOPE})
    assert state.former.find_scopes() == set()


def test_a_former_protocol_number_is_ours_until_nothing_carries_it_any_more() -> None:
    state = wanted(before=wanted(), protocol=NEXT)
    assert state.marks.numbers == {OURS, NEXT}
    state.forget_marks(set())
    assert state.marks.numbers == {NEXT}


def test_an_entry_is_fresh_until_all_of_it_is_known_and_in_order() -> None:
    state = wanted(
        a_route("a", "10.1.0.0/16"), a_route("b", "10.2.0.0/16"), a_route("c", "10.3.0.0/16", (HopSpec(dev="no0"),))
    )
    state.note_in_force({"route/b"})
    assert state.new_entries == {"route/b", "route/c"}


@pytest.mark.parametrize(
    ("noted", "told"),
    [((), Cause(None, Look.TIME)), (({SCOPE: DOWN},), DOWN)],
    ids=["nobody noted why", "a dump is dirty"],
)
def test_what_comes_back_is_told_with_the_cause_by_which_it_went(
    noted: Sequence[dict[Scope, Cause]], told: Cause
) -> None:
    state = wanted(a_route("a", "10.1.0.0/16"))
    here = state.desired.resolutions["route/a"]
    gone = _replace(state, Facts(), Cause(None, Look.TIME), noted)
    assert (here.sets, gone.sets[0].value) != (gone.sets, here.sets[0].value)
    (before, after) = next(state.resolve_again({"route/a"}, (), FACTS))
    assert state.replace(before, after, Cause(None, Look.AGAIN), ()) == told


def _replace(state: Wanted, facts: Facts, cause: Cause, noted: Sequence[dict[Scope, Cause]]) -> Resolution:
    (before, after) = next(state.resolve_again({"route/a"}, (), facts))
    state.replace(before, after, cause, noted)
    return after


# --- world ----------------------------------------------------------------------------------------------------------


def test_who_has_the_facts_of_before_an_event_reads_on_in_those() -> None:
    world = World(FACTS)
    assert world.hear([]) is FACTS
    assert world.hear([NEWS]) is not FACTS


def test_news_are_gathered_only_while_somebody_reads_all_of_it() -> None:
    world = World()
    world.hear([NEWS])
    with world.gather_news() as news:
        world.hear([NEWS])
    world.hear([NEWS])
    assert news == [NEWS]


def test_of_failures_in_a_row_the_first_says_since_when_and_the_last_says_why() -> None:
    world = World()
    assert world.note_failed_pass(SaidNo(16, "busy"), 1.0)
    assert not world.note_failed_pass(SaidNo(12, "no memory"), 2.0)
    assert world.find_unread(KEY.kind, KEY.slot) == Trouble(State.UNKNOWN, SaidNo(12, "no memory"), 1.0)
    assert world.note_all_read() is not None
    assert world.find_unread(KEY.kind, KEY.slot) is None


def test_a_dump_that_could_not_be_read_is_unknown_until_it_is() -> None:
    world = World()
    world.note_unread([], {SCOPE: Look.RESTLESS}, 1.0)
    world.note_unread([], {SCOPE: Look.RESTLESS}, 2.0)
    assert world.find_unread(KEY.kind, KEY.slot) == Trouble(State.UNKNOWN, Look.RESTLESS, 1.0)
    assert world.find_unread(Kind.RULE, KEY.slot) is None
    world.note_unread([SCOPE], {}, 3.0)
    assert world.find_unread(KEY.kind, KEY.slot) is None


# --- ledger ---------------------------------------------------------------------------------------------------------


def test_a_reload_lets_go_of_every_hold_but_a_pause_and_keeps_since_when_an_entry_is_there() -> None:
    ledger = Ledger(since={"route/a": 1.0, "route/gone": 1.0})
    ledger.holds.pause("route/a", "a test", 60.0, 2.0)
    ledger.holds.note_failure(KEY, SaidNo(22, "no"), 2.0)
    ledger.note_enforced(["route/a", "route/b"], 3.0)
    assert [hold.why for hold in ledger.holds.active.values()] == [Why.PAUSED]
    assert ledger.since == {"route/a": 1.0, "route/b": 3.0}


def test_what_was_displaced_first_stays_displaced_until_it_is_put_back() -> None:
    ledger, first, second = Ledger(), route_value(hop(1)), route_value(hop(2))
    assert ledger.note_displaced({KEY: first})
    assert not ledger.note_displaced({KEY: second})
    assert ledger.displaced == {KEY: first}
    ledger.forget_displaced([KEY, OTHER])
    assert ledger.displaced == {}


def test_surplus_is_postponed_until_a_pass_that_looks_there_leaves_none() -> None:
    ledger = Ledger(postponed={SCOPE})
    ledger.note_postponed(set(), set())
    assert ledger.postponed == {SCOPE}
    ledger.note_postponed({SCOPE}, set())
    assert ledger.postponed == set()


def test_a_lifeline_in_trouble_is_not_established() -> None:
    ledger = Ledger()
    ledger.note_troubles([a_trouble()], {SCOPE}, (), frozenset())
    ledger.note_established([KEY, OTHER])
    assert ledger.established == {OTHER}


def test_what_is_shadowed_is_so_since_it_was_found_first() -> None:
    ledger = Ledger()
    for moment in (1.0, 2.0):
        ledger.note_shadowed({KEY}, {KEY: LinkDown("v0")}, moment)
    assert ledger.shadowed == {KEY: Trouble(State.SHADOWED, LinkDown("v0"), 1.0)}
    ledger.note_shadowed({OTHER}, {}, 3.0)  # which says nothing of the first
    assert ledger.shadowed == {KEY: Trouble(State.SHADOWED, LinkDown("v0"), 1.0)}
    ledger.note_shadowed({KEY}, {}, 4.0)
    assert ledger.shadowed == {}


def test_who_is_behind_what_shadows_is_who_was_found_first() -> None:
    ledger, stranger = Ledger(), Process(4242, "ip")
    ledger.note_shadowed({KEY}, {KEY: Overruled("default dev v0", "", 4242, stranger)}, 1.0)
    ledger.note_shadowed({KEY}, {KEY: Overruled("default dev v0", "")}, 2.0)
    assert ledger.shadowed[KEY] == Trouble(State.SHADOWED, Overruled("default dev v0", "", 4242, stranger), 1.0)
    ledger.note_shadowed({KEY}, {KEY: Overruled("default dev v1", "")}, 3.0)
    assert ledger.shadowed[KEY].since == 3.0


def test_what_nobody_wants_any_more_is_not_shadowed() -> None:
    ledger = Ledger()
    ledger.note_shadowed({KEY, OTHER}, {KEY: LinkDown("v0"), OTHER: LinkDown("v0")}, 1.0)
    ledger.forget_shadowed({OTHER: "wanted"}.get)
    assert ledger.shadowed.keys() == {OTHER}


# --- what is under way ----------------------------------------------------------------------------------------------


def test_the_next_pass_knows_nothing_of_what_overtook_the_one_before_nor_of_its_echo() -> None:
    under_way = UnderWay()
    under_way.overtake([KEY])
    under_way.hear(an_event(KEY))
    under_way.begin()
    assert (under_way.overtaken, under_way.echo) == (set(), {})


def test_only_the_newest_echo_of_a_key_counts() -> None:
    under_way = UnderWay()
    under_way.hear(an_event(KEY, OTHER))
    under_way.hear(an_event(KEY, is_removal=True))
    assert under_way.echo == {KEY: None, OTHER: route_value()}


def test_a_short_pass_hears_the_echo_amid_a_long_one_that_does_not() -> None:
    kernel, heard = a_host(), []
    with hearing(kernel, wanted=False):
        heard.append(kernel.hears_echo)
        with hearing(kernel, wanted=True):
            heard.append(kernel.hears_echo)
        heard.append(kernel.hears_echo)
    assert [*heard, kernel.hears_echo] == [False, True, False, True]


# --- the frame ------------------------------------------------------------------------------------------------------


def test_every_part_puts_what_is_due_into_one_timetable() -> None:
    host = Host(Wanted(Intent()))
    assert host.schedule.timetable is host.ledger.holds.timetable is host.ledger.announcements.timetable
    host.ledger.holds.pause("", "a test", 60.0, 1.0)
    assert host.timetable.find(Deadline.HOLD) == 60.0


def test_files_that_cannot_be_resolved_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(wanted(a_route("a", "10.1.0.0/16")), World(FACTS, verified={SCOPE: b"seen"}))

    def fail(*_: object) -> Resolution:
        raise MemoryError

    monkeypatch.setattr("routed.daemon.wanted.resolve", fail)
    with pytest.raises(MemoryError):
        host.enforce(Intent(Settings(protocol=NEXT), (a_route("b", "10.2.0.0/16"),)), 1.0)
    assert host.wanted.desired.resolutions.keys() == {"route/a"}
    assert host.wanted.marks.numbers == {OURS}
    assert host.ledger.since == {}
    assert host.world.verified == {SCOPE: b"seen"}


def test_a_fact_that_changed_has_its_readers_looked_at_and_their_dumps_decoded_again() -> None:
    host = Host(wanted(a_route("a", "10.1.0.0/16")), World(FACTS, verified={SCOPE: b"seen"}))
    host.ledger.holds.note_failure(KEY, SaidNo(101, "unreachable"), 1.0, is_waiting=True)
    host.world.note(links={})
    dirt = Dirt()
    host.resolve_changed(dirt)
    assert dirt.scopes.keys() == {SCOPE}
    assert (host.world.verified, host.ledger.holds.active) == ({}, {})
    assert host.wanted.gone.keys() == {"route/a"}


def test_what_is_in_trouble_is_neither_established_nor_in_force() -> None:
    host = Host(wanted(a_route("a", "10.1.0.0/16"), a_route("b", "10.2.0.0/16")), World(FACTS))
    host.ledger.note_troubles([a_trouble()], {SCOPE}, (), frozenset())
    host.note_in_order()
    assert host.wanted.new_entries == {"route/a"}


def test_our_own_change_is_heard_as_an_echo_and_makes_nothing_dirty() -> None:
    kernel = a_host()
    host = Host(wanted(a_route("a", "10.1.0.0/16")), World(FACTS))
    kernel.request(Verb.ADD, KEY, route_value(), port=kernel.port)
    host.listen(kernel, Dataplanes(kernel), lambda: 1.0)
    assert host.under_way.echo.keys() == {KEY}
    assert not host.take_dirt().keys


def test_dirt_that_is_taken_is_dirty_no_more() -> None:
    host = Host(Wanted(Intent()))
    host.look_at_everything(Cause(None, Look.FAILED))
    host.look_at_everything(Cause(None, Look.SEARCH))
    assert host.take_dirt().everything == Cause(None, Look.FAILED)
    assert not host.schedule.dirt


def test_a_copy_begins_with_what_a_plan_must_see_and_without_what_the_last_pass_saw() -> None:
    host = Host(
        wanted(a_route("a", "10.1.0.0/16")),
        World(FACTS, verified={SCOPE: b"seen"}),
        Ledger(displaced={KEY: route_value()}, established={KEY}, postponed={SCOPE}),
    )
    host.wanted.leave_surplus(LeftAlone.NOT_ON_DISK)
    host.world.note_failed_pass(SaidNo(16, "busy"), 1.0)
    host.look_at_everything(Cause(None, Look.FAILED))
    host.ledger.note_troubles([a_trouble()], {SCOPE}, (), frozenset())
    copy = host.copy()
    assert (copy.wanted.intent, copy.wanted.new_entries) == (host.wanted.intent, host.wanted.new_entries)
    assert copy.wanted.why_surplus_stays is LeftAlone.NOT_ON_DISK
    assert copy.ledger.displaced == host.ledger.displaced
    assert (copy.ledger.established, copy.ledger.postponed) == ({KEY}, {SCOPE})
    anew = (copy.world.verified, copy.world.unread, copy.ledger.troubles, copy.schedule.dirt)
    assert [bool(one) for one in anew] == [False] * 4
    copy.wanted.let_surplus_go()
    copy.ledger.forget_displaced([KEY])
    assert host.wanted.why_surplus_stays is LeftAlone.NOT_ON_DISK
    assert host.ledger.displaced.keys() == {KEY}


def test_a_plan_is_overtaken_by_what_overtakes_the_state_it_was_made_from() -> None:
    host = Host(Wanted(Intent()))
    copy = host.copy()
    host.under_way.overtake([KEY])
    assert copy.under_way.overtaken == {KEY}
