"""A kind from outside, with a dataplane that polls and has no events, no echo and no number, through the whole house.

Nothing in ``routed`` knows of it: see ``toy``. What stands here is what any later kind may count on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from errno import EBUSY, ECONNREFUSED
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.audit.catalogue import Message
from routed.audit.documents import make_plan_document
from routed.audit.records import Record
from routed.cli.history import find_names
from routed.core.dirt import Dirt
from routed.core.holds import FIGHT_HOLDS, Why
from routed.core.troubles import State
from routed.daemon.graph import describe_graph
from routed.daemon.handover import get_codec
from routed.daemon.host import Host
from routed.daemon.ledger import Ledger
from routed.daemon.report import Report
from routed.daemon.revisions import Revisions
from routed.daemon.status import count_states, describe_entries, describe_leftovers, vocabulary_of
from routed.daemon.voice import Voice
from routed.daemon.wanted import Wanted
from routed.kernel.witness import Witness
from routed.model.change import Cause, Nature, Verb
from routed.model.documents import EntryDocument
from routed.model.entries import Enforce, Entry, Intent, OnConflict, Settings
from routed.model.reasons import Look
from tests.property.rig import Rig, a_host, a_route, route_key
from tests.property.toy import INTERVAL, LAMP, REFUSED, LampMember, Lamps, a_lamp, lamp_key, lamps_known

LONG = Settings(resync=1e9)  # then only the poll looks at lamps
REPAIR = INTERVAL + 0.1


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with lamps_known():
        yield


@pytest.fixture
def lamps(tmp_path: Path) -> Lamps:
    return Lamps(tmp_path / "claims.json")


@pytest.fixture
def rig(lamps: Lamps) -> Rig:
    return Rig(a_host(), others=(lamps,))


def intent_of(*entries: Entry, settings: Settings = LONG) -> Intent:
    return Intent(settings, entries)


def status_of(rig: Rig, entry: str = "lamp/hall") -> EntryDocument:
    documents = describe_entries(rig.host, str)
    return next(document for document in documents if document["entry"] == entry)


def state_of(rig: Rig) -> str:
    return status_of(rig)["state"]


def records_of(rig: Rig, reports: list[Report]) -> list[Record]:
    """What the journal gets."""
    records: list[Record] = []

    async def tell() -> None:
        voice = Voice(records.append, Witness(), rig.host.timetable)
        for report in reports:
            voice.tell(report, rig.host)
        await voice.finish()

    asyncio.run(tell())
    return records


def events_of(records: list[Record]) -> list[str]:
    events = [record.fields["ROUTED_EVENT"] for record in records]
    return [event for event in events if event != Message.DEFAULT_RULES_MISSING]  # the fake host has none for IPv6


def test_its_entry_is_resolved_planned_applied_and_verified_beside_those_of_other_kinds(rig: Rig, lamps: Lamps) -> None:
    plan = rig.plan(intent_of(a_lamp("a", "b"), a_route()))
    assert lamps.lit() == {}
    assert [(operation.kind, operation.verb) for operation in plan.operations if operation.kind == LAMP] == [
        (LAMP, Verb.ADD)
    ]
    rig.start(a_lamp("a", "b"), a_route(), settings=LONG)
    assert lamps.lit() == {"a": 40, "b": 40}
    assert lamps.load_claims() == {"a", "b"}
    assert len(rig.kernel.standing(route_key())) == 1
    assert count_states(rig.host) == {State.IN_SYNC: 3}
    assert rig.plan_is_empty()


def test_its_entry_is_drawn_and_so_is_what_is_wrong_with_it(rig: Rig, lamps: Lamps) -> None:
    rig.start(a_lamp("a", "b"), a_lamp("c", name="attic", enforce=Enforce.OBSERVE), a_route(), settings=LONG)
    nodes = describe_graph(rig.host, "daemon", (), is_folded=True)["nodes"]
    assert [(n["kind"], n["entries"], n["total"], n["state"]) for n in nodes if n["owner"] == "file"] == [
        ("lamp", ["lamp/hall"], 2, "in-sync"),
        ("lamp", ["lamp/attic"], 1, "drift"),
        ("route", ["route/lan"], 1, "in-sync"),
    ]


def test_an_entry_goes_from_the_process_that_reads_files_to_the_daemon(rig: Rig) -> None:
    codec, entry = get_codec(), a_lamp("a", enforce=Enforce.OBSERVE)
    assert codec.load(*codec.dump((entry,))) == (entry,)
    assert "lamp/hall" in find_names("hall")


def test_a_plan_and_the_status_speak_of_it_in_its_own_words(rig: Rig, lamps: Lamps) -> None:
    lamps.put("a", 60)
    plan = rig.plan(intent_of(a_lamp("a", "b")))
    steps = make_plan_document(plan, [], vocabulary_of(rig.host))["steps"]
    assert [(step["symbol"], step["kind"], step["object"], step["before"], step["after"]) for step in steps] == [
        ("!", "lamp", "a in hall", "a in hall with 60 W", "a in hall with 40 W"),
        ("+", "lamp", "b in hall", "", "b in hall with 40 W"),
    ]
    rig.start(a_lamp("a"), settings=LONG)
    (shown,) = status_of(rig)["objects"]
    assert (shown["kind"], shown["object"], shown["state"]) == ("lamp", "a in hall", "in-sync")


def test_what_a_stranger_did_is_put_right_at_the_next_poll_and_told(rig: Rig, lamps: Lamps) -> None:
    rig.start(a_lamp("a", "b"), settings=LONG)
    lamps.take("a")
    lamps.put("b", 100)
    assert rig.run(INTERVAL / 2) == []
    reports = rig.run(REPAIR / 2)
    assert lamps.lit() == {"a": 40, "b": 40}
    records = records_of(rig, reports)
    assert events_of(records) == [Message.REPAIRED, Message.REPAIRED]
    assert {record.fields["ROUTED_OBJECT"] for record in records} == {"a in hall", "b in hall"}
    assert {record.fields["ROUTED_ENTRY"] for record in records} == {"lamp/hall"}
    assert state_of(rig) == State.IN_SYNC


def test_it_is_polled_as_long_as_something_of_it_is_wanted_and_never_else(rig: Rig, lamps: Lamps) -> None:
    rig.start(a_route(), settings=LONG)
    before = lamps.dumps
    rig.run(10 * INTERVAL)
    assert lamps.dumps == before
    rig.enforce(intent_of(a_route(), a_lamp("a")))
    before = lamps.dumps
    rig.run(10 * INTERVAL + 1.0)
    assert lamps.dumps == before + 10
    rig.enforce(intent_of(a_route()))
    before = lamps.dumps
    rig.run(10 * INTERVAL)
    assert lamps.dumps == before


def test_a_poll_that_finds_nothing_reads_lamps_alone_and_changes_nothing(rig: Rig, lamps: Lamps) -> None:
    rig.start(a_lamp("a"), a_route(), settings=LONG)
    asked = len(lamps.requested)
    (report,) = rig.run(REPAIR)
    assert {scope.kind for scope in report.scopes} == {LAMP}
    assert not report.plan.operations
    assert len(lamps.requested) == asked


def test_a_change_that_was_lost_without_a_word_is_seen_by_the_dump_and_is_a_failure(rig: Rig, lamps: Lamps) -> None:
    lamps.is_losing = True
    reports = rig.start(a_lamp("a"), settings=LONG)
    assert state_of(rig) == State.FAILED
    assert Message.FAILED in events_of(records_of(rig, reports))
    lamps.is_losing = False
    rig.run(1.0)  # a failure is tried again
    assert lamps.lit() == {"a": 40}
    assert state_of(rig) == State.IN_SYNC


def test_a_removal_that_was_lost_is_a_failure_too_and_is_tried_again(rig: Rig, lamps: Lamps) -> None:
    rig.start(a_lamp("a"), settings=LONG)
    lamps.is_losing = True
    reports = rig.enforce(intent_of())
    assert lamps.load_claims() == {"a"}
    assert Message.REMOVED not in events_of(records_of(rig, reports))
    (leftover,) = describe_leftovers(rig.host, str)
    assert (leftover["object"], leftover["state"]) == ("a in hall", State.FAILED)
    lamps.is_losing = False
    rig.run(1.0)
    assert (lamps.lit(), lamps.load_claims()) == ({}, set())
    assert describe_leftovers(rig.host, str) == []


def test_what_is_refused_is_held_tried_again_and_keeps_nothing_else_from_being_done(rig: Rig, lamps: Lamps) -> None:
    lamps.refuse = lambda member: REFUSED if member.name == "a" else 0
    rig.start(a_lamp("a", "b"), a_route(), settings=LONG)
    assert lamps.lit() == {"b": 40}
    assert state_of(rig) == State.FAILED
    assert rig.host.ledger.holds.find(lamp_key("a"), "lamp/hall", rig.now)
    assert count_states(rig.host) == {State.IN_SYNC: 2, State.FAILED: 1}
    rig.run(100.0)
    lamps.refuse = lambda _: 0
    rig.run(61.0)
    assert lamps.lit() == {"a": 40, "b": 40}
    assert state_of(rig) == State.IN_SYNC


def test_an_error_that_means_not_yet_has_it_wait(rig: Rig, lamps: Lamps) -> None:
    lamps.refuse = lambda _: 19  # ENODEV, as its row says
    rig.start(a_lamp("a"), settings=LONG)
    assert state_of(rig) == State.WAITING


def test_the_guard_holds_its_removals_until_they_are_asked_for_by_force(rig: Rig, lamps: Lamps) -> None:
    many = [f"l{number}" for number in range(40)]
    rig.start(a_lamp(*many), settings=LONG)
    reports = rig.enforce(intent_of())
    assert len(lamps.lit()) == len(many)
    assert [refusal.by_guard for refusal in reports[0].plan.refusals] == [True]
    rig.enforce(intent_of(), is_forced=True)
    assert (lamps.lit(), lamps.load_claims()) == ({}, set())


def test_while_it_is_paused_it_is_seen_and_left_alone(rig: Rig, lamps: Lamps) -> None:
    rig.start(a_lamp("a"), settings=LONG)
    rig.host.ledger.holds.pause("lamp/hall", "a test", rig.now + 60.0, rig.now)
    lamps.take("a")
    rig.run(30.0)
    assert (lamps.lit(), state_of(rig)) == ({}, State.PAUSED)
    rig.run(31.0)
    assert (lamps.lit(), state_of(rig)) == ({"a": 40}, State.IN_SYNC)


def test_changes_of_which_nobody_knows_who_made_them_are_a_fight_when_they_come_again_and_again(
    rig: Rig, lamps: Lamps
) -> None:
    rig.start(a_lamp("a"), settings=Settings(resync=1e9, fight_limit=2))
    fights = []
    for _ in range(2):
        assert lamps.lit() == {"a": 40}
        lamps.take("a")
        fights += [fight for report in rig.run(REPAIR) for fight in report.fights]
    assert [fight.hold.why for fight in fights] == [Why.FIGHT]
    lamps.take("a")
    rig.run(REPAIR)
    assert (lamps.lit(), state_of(rig)) == ({}, State.HELD)
    rig.run(FIGHT_HOLDS[0])
    assert lamps.lit() == {"a": 40}


def test_what_it_observes_only_it_leaves_alone(rig: Rig, lamps: Lamps) -> None:
    rig.start(a_lamp("a", enforce=Enforce.OBSERVE), settings=LONG)
    assert (lamps.lit(), state_of(rig)) == ({}, State.DRIFT)


def test_a_strangers_is_never_touched_where_no_entry_names_it(rig: Rig, lamps: Lamps) -> None:
    lamps.put("theirs", 100)
    rig.start(a_lamp("a"), settings=LONG)
    rig.enforce(intent_of(), is_forced=True)
    assert lamps.lit() == {"theirs": 100}


def test_the_same_lamp_of_a_stranger_is_adopted_and_told_so(rig: Rig, lamps: Lamps) -> None:
    lamps.put("a", 40)
    reports = rig.start(a_lamp("a"), settings=LONG)
    assert lamps.load_claims() == {"a"}
    assert events_of(records_of(rig, reports)) == [Message.ADOPTED]


def test_what_it_displaced_outlives_a_restart_and_is_put_back(rig: Rig, lamps: Lamps, tmp_path: Path) -> None:
    revisions = Revisions(tmp_path / "revisions")
    revisions.save((), "digest")
    rig.reconciler.save_displaced = revisions.save_displaced
    lamps.put("a", 100)
    reports = rig.start(a_lamp("a"), settings=LONG)
    assert Message.DISPLACED in events_of(records_of(rig, reports))
    assert lamps.lit() == {"a": 40}
    again = Rig(rig.kernel, others=(lamps,))
    again.reconciler.host = Host(Wanted(Intent(LONG)), ledger=Ledger(displaced=revisions.load_displaced()))
    again.reconciler.save_displaced = revisions.save_displaced
    again.reconciler.begin()
    plan = again.plan(intent_of())
    assert [(operation.verb, operation.nature) for operation in plan.operations] == [(Verb.REPLACE, Nature.SURPLUS)]
    reports = again.enforce(intent_of())
    assert (lamps.lit(), lamps.load_claims()) == ({"a": 100}, set())
    assert Message.PUT_BACK in events_of(records_of(again, reports))
    assert revisions.load_displaced() == {}
    assert again.plan_is_empty()


def test_a_foreign_one_in_its_place_is_left_where_the_entry_says_refuse(rig: Rig, lamps: Lamps) -> None:
    lamps.put("a", 100)
    entry = a_lamp("a")
    object.__setattr__(entry, "on_conflict", OnConflict.REFUSE)
    rig.start(entry, settings=LONG)
    assert (lamps.lit(), state_of(rig)) == ({"a": 100}, State.CONFLICT)


def test_a_restart_adopts_what_is_right_and_changes_nothing(rig: Rig, lamps: Lamps) -> None:
    rig.start(a_lamp("a"), settings=LONG)
    asked = len(lamps.requested)
    again = Rig(rig.kernel, others=(lamps,))
    again.start(a_lamp("a"), settings=LONG)
    assert len(lamps.requested) == asked
    assert state_of(again) == State.IN_SYNC


def test_at_a_stop_with_removal_ours_go_and_nothing_else_does(rig: Rig, lamps: Lamps) -> None:
    lamps.put("theirs", 100)
    rig.start(a_lamp("a", "b"), a_route(), settings=LONG)
    rig.enforce(intent_of(), is_forced=True)
    assert (lamps.lit(), lamps.load_claims()) == ({"theirs": 100}, set())
    assert rig.kernel.standing(route_key()) == ()


@pytest.mark.parametrize("error", [EBUSY, ECONNREFUSED])
def test_what_cannot_be_read_is_unknown_while_everything_else_is_known(rig: Rig, lamps: Lamps, error: int) -> None:
    lamps.unreadable = error
    rig.start(a_lamp("a"), a_route(), settings=LONG)
    assert (state_of(rig), status_of(rig, "route/lan")["state"]) == (State.UNKNOWN, State.IN_SYNC)
    before = lamps.dumps
    rig.run(REPAIR)
    assert lamps.dumps == before + 1
    lamps.unreadable = 0
    rig.run(REPAIR)
    assert (lamps.lit(), state_of(rig)) == ({"a": 40}, State.IN_SYNC)


def test_changes_of_a_lamp_and_of_a_route_in_one_pass_are_each_proved_in_their_own_way(rig: Rig, lamps: Lamps) -> None:
    lamps.is_losing = True
    rig.start(a_lamp("a"), a_route(), settings=LONG)
    assert (state_of(rig), status_of(rig, "route/lan")["state"]) == (State.FAILED, State.IN_SYNC)


def test_why_it_is_looked_at_stands_in_the_report(rig: Rig, lamps: Lamps) -> None:
    rig.start(a_lamp("a"), settings=LONG)
    lamps.take("a")
    (report, *_) = rig.run(REPAIR)
    (outcome,) = report.outcomes
    assert outcome.cause.port is None
    assert outcome.operation.members == (LampMember("a"),)
    rig.settle(_full())
    assert rig.plan_is_empty()


NAMES = st.sampled_from("abc")
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.sampled_from((40, 60))),
        st.tuples(st.just("take"), NAMES, st.just(0)),
        st.tuples(st.just("want"), NAMES, st.sampled_from((40, 60))),
        st.tuples(st.just("want nothing"), NAMES, st.just(0)),
        st.tuples(st.just("refuse"), NAMES, st.sampled_from((0, REFUSED))),
        st.tuples(st.just("lose"), NAMES, st.sampled_from((0, 1))),
        st.tuples(st.just("cannot be read"), NAMES, st.sampled_from((0, EBUSY, ECONNREFUSED))),
        st.tuples(st.just("break"), NAMES, st.sampled_from((0, ECONNREFUSED))),
        st.tuples(st.just("restart"), NAMES, st.just(0)),
        st.tuples(st.just("wait"), NAMES, st.sampled_from((0, 1, 12))),
    ),
    max_size=12,
)


class Life:
    """A house of lamps with a daemon in it, and what may happen to both."""

    def __init__(self, lamps: Lamps) -> None:
        self.lamps = lamps
        self.wanted: dict[str, int] = {}
        self.kernel = a_host()
        self.restart()

    def restart(self) -> None:
        self.rig = Rig(self.kernel, others=(self.lamps,))
        self.rig.start(*self._entries(), settings=LONG)

    def do(self, what: str, name: str, number: int) -> None:
        lamps = self.lamps
        match what:
            case "put":
                lamps.put(name, number)
            case "take" if name in lamps.lit():
                lamps.take(name)
            case "want" | "want nothing":
                self.wanted = {"a": number, name: number} if number else {}
                self.rig.enforce(intent_of(*self._entries()))
            case "refuse":
                lamps.refuse = lambda member: number if member.name == name else 0
            case "lose":
                lamps.is_losing = bool(number)
            case "cannot be read":
                lamps.unreadable = number
            case "break":
                lamps.broken = number
            case "restart":
                self.restart()
            case "wait":
                self.rig.run(number)
            case _:  # nothing to take
                pass

    def _entries(self) -> list[Entry]:
        return [a_lamp(name, watts=watts, name=name) for name, watts in self.wanted.items()]


@given(DEEDS)
def test_whatever_happened_all_is_as_the_entries_say_when_it_is_over(deeds: list[tuple[str, str, int]]) -> None:
    with TemporaryDirectory() as folder:
        life = Life(Lamps(Path(folder) / "claims.json"))
        for deed in deeds:
            life.do(*deed)
        for calm in ("refuse", "lose", "cannot be read", "break"):
            life.do(calm, "a", 0)
        life.rig.run(200.0)
        life.rig.settle(_full())
        life.rig.run(200.0)
        lit = life.lamps.lit()
        assert {name: lit.get(name) for name in life.wanted} == life.wanted
        assert life.lamps.load_claims() & lit.keys() == life.wanted.keys()
        assert not life.rig.host.ledger.troubles
        assert life.rig.plan_is_empty()


def _full() -> Dirt:
    return Dirt(everything=Cause(None, Look.PLAN))
