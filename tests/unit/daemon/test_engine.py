"""The engine with a clock in hand: what is due when, what follows a failure, and that nothing is lost by one."""

from __future__ import annotations

import pytest

from routed.core.dirt import STORM, Dirt
from routed.core.rivals import Rivals
from routed.core.schedule import PASSES, QUIET
from routed.core.timetable import HANDED_ON, Deadline
from routed.core.troubles import State
from routed.daemon.engine import ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE, Engine, Inquiry, Request
from routed.daemon.errand import Errand
from routed.daemon.report import BREATH, Aborted, Due, Recovered, Report, Resumed, Step, Told
from routed.model.change import Cause
from routed.model.entries import Intent
from routed.model.objects import Key, Kind, Scope
from routed.model.reasons import Deed, LinkChange, LinkTurn, Look
from tests.property.rig import route_key
from tests.unit.daemon.work import Work, open_engine

KEY, OTHER = route_key("10.1.0.0/16"), route_key("10.2.0.0/16")
RESYNC = 60.0
BUSY = OSError(105, "No buffer space available")


def everything(reason: Look = Look.RELOAD) -> Dirt:
    return Dirt(everything=Cause(None, reason))


def single(key: Key = KEY, deed: Deed = Deed.DELETED) -> Dirt:
    dirt = Dirt()
    dirt.add_keys(key.kind, key.slot, (key.member,), (), Cause(4242, deed))
    return dirt


def run(engine: Engine) -> list[type[Step]]:
    """The kinds of the steps that have something to tell."""
    return [type(step) for step in engine.run() if step is not BREATH and not isinstance(step, Errand)]


@pytest.fixture
def engine(work: Work) -> Engine:
    return open_engine(work)


def test_an_engine_with_nothing_to_do_does_nothing_until_the_regular_comparison(work: Work, engine: Engine) -> None:
    assert engine.advance() is None
    assert engine.find_due() == 160.0
    work.now = 160.0
    assert run(engine) == [Report]
    assert engine.find_due() == 160.0 + RESYNC


def test_what_is_asked_for_is_done_at_once_and_before_what_is_due(work: Work, engine: Engine) -> None:
    work.now = 200.0
    request = engine.ask(Request(everything(), is_forced=True))
    assert engine.find_due() == work.now
    run(engine)
    assert [(is_initial, is_forced) for _, is_initial, is_forced in work.passes] == [(True, True)]
    assert request.is_over
    assert [report.dirt for report in request.reports] == [request.dirt]


def test_what_is_asked_for_amid_a_pass_waits_for_its_end(work: Work, engine: Engine) -> None:
    work.steps = [None, None]
    first = engine.ask(Request(everything()))
    assert engine.advance() is BREATH
    prepared: list[bool] = []
    second = engine.ask(Request(everything(), lambda: prepared.append(first.is_over)))
    run(engine)
    assert prepared == [True]
    assert second.is_over


def test_a_request_takes_over_what_was_dirty_with_its_reasons(work: Work, engine: Engine) -> None:
    work.schedule.dirt.absorb(single())
    request = engine.ask(Request(everything()))
    run(engine)
    assert len(work.passes) == 1
    assert request.dirt.cause_of(KEY) == Cause(4242, Deed.DELETED)
    assert not work.schedule.dirt


def test_what_becomes_dirty_amid_a_pass_is_looked_at_right_after_it(work: Work, engine: Engine) -> None:
    work.arriving = [single()]
    run_before = engine.ask(Request(everything()))
    run(engine)
    assert [dirt.keys for dirt, _, _ in work.passes] == [{}, {KEY: ()}]
    assert len(run_before.reports) == 2


def test_passes_that_make_each_other_due_without_end_give_others_their_turn(work: Work, engine: Engine) -> None:
    work.arriving = [single() for _ in range(40)]
    engine.ask(Request(everything()))
    breaths = 0
    while (step := engine.advance()) is not None:
        breaths += step is BREATH
    assert breaths >= 40


def test_amid_a_pass_a_single_object_is_put_right_at_once(work: Work, engine: Engine) -> None:
    work.steps = [None, None]
    engine.ask(Request(everything()))
    engine.advance()
    work.arriving = [single()]
    (told,) = engine.hear()
    assert isinstance(told, Report)
    assert told.dirt.keys == {KEY: ()}
    assert work.host.under_way.overtaken == {KEY}


def test_while_an_errand_is_out_nothing_is_put_right_amid_a_pass(work: Work, engine: Engine) -> None:
    errand = Errand(lambda: None)
    work.steps = [errand]
    engine.ask(Request(everything()))
    assert engine.advance() is errand
    work.arriving = [single()]
    assert engine.hear() == []
    errand.do()
    assert [type(told) for told in engine.hear()] == [Report]


@pytest.mark.parametrize("error", [BUSY, ValueError("a bug"), MemoryError(), UnicodeEncodeError("u8", "", 0, 0, "")])
def test_an_exception_of_any_kind_ends_its_pass_and_nothing_else(work: Work, engine: Engine, error: Exception) -> None:
    work.errors = [error]
    request = engine.ask(Request(everything()))
    assert run(engine) == [Aborted]
    assert (request.is_over, request.error) == (True, error)
    assert not engine.is_busy
    assert work.unread[None].state is State.UNKNOWN
    work.now += FIRST_PAUSE
    assert run(engine) == [Report, Recovered]
    assert work.unread == {}


def test_what_a_failed_pass_was_to_look_at_stays_dirty_with_its_reasons(work: Work, engine: Engine) -> None:
    work.errors = [BUSY]
    dirt = single()
    dirt.add_scopes([Scope(Kind.ROUTE, 2, 254)], Cause(0, LinkChange(LinkTurn.WENT_DOWN, "v0")))
    dirt.sources, dirt.regained = {"link"}, {7}
    work.schedule.dirt.absorb(dirt)
    assert run(engine) == [Aborted]
    assert engine.find_due() == work.now + FIRST_PAUSE
    work.now += FIRST_PAUSE
    run(engine)
    again = work.passes[-1][0]
    assert again.everything
    assert again.sources == {"link"}
    assert again.regained == {7}
    assert again.cause_of(KEY) == Cause(4242, Deed.DELETED)
    assert again.cause_of(OTHER) == Cause(0, LinkChange(LinkTurn.WENT_DOWN, "v0"))


def test_a_retry_holds_whatever_else_is_due(work: Work, engine: Engine) -> None:
    work.now, work.errors = 160.0, [BUSY]
    assert run(engine) == [Aborted]  # the regular comparison, which stays due
    assert run(engine) == []
    assert engine.find_due() == 160.0 + FIRST_PAUSE


def test_the_pause_doubles_while_everything_goes_on_to_fail_and_starts_anew_after_it_did_not(
    work: Work, engine: Engine
) -> None:
    work.now, pauses = 160.0, []
    work.errors = [BUSY] * 8
    while work.errors:
        run(engine)
        due = engine.find_due()
        assert due is not None
        pauses.append(due - work.now)
        work.now = due
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert run(engine) == [Report, Recovered]
    work.errors = [BUSY]
    work.now += RESYNC
    run(engine)
    assert engine.find_due() == work.now + FIRST_PAUSE


def test_a_single_object_is_put_right_while_a_retry_is_waited_for(work: Work, engine: Engine) -> None:
    work.now, work.errors = 160.0, [BUSY]
    run(engine)
    work.schedule.dirt.absorb(single())
    assert run(engine) == [Report]
    assert work.unread, "all of it was not read yet"


def test_single_objects_that_go_on_to_fail_do_not_put_off_the_reading_of_everything(work: Work, engine: Engine) -> None:
    work.errors = [BUSY] * 4
    for _ in range(4):
        work.schedule.dirt.absorb(single())
        assert run(engine) == [Aborted]
        assert run(engine) == []
        work.now += FIRST_PAUSE / 8
    assert engine.find_due() == 100.0 + FIRST_PAUSE


def test_files_whose_first_pass_failed_are_put_in_force_by_the_next_one_without_force(
    work: Work, engine: Engine
) -> None:
    work.errors = [BUSY]
    engine.ask(Request(everything(), is_forced=True))
    run(engine)
    work.now += FIRST_PAUSE
    run(engine)
    assert [(is_initial, is_forced) for _, is_initial, is_forced in work.passes] == [(True, True), (True, False)]


def test_files_that_cannot_be_put_in_force_leave_the_engine_at_work(work: Work, engine: Engine) -> None:
    def fail() -> None:
        raise KeyError("a bug")

    request = engine.ask(Request(everything(), fail))
    assert run(engine) == [Aborted]
    assert isinstance(request.error, KeyError)
    assert work.passes == []
    work.now += FIRST_PAUSE
    assert run(engine) == [Report, Recovered]


def test_an_interruption_that_fails_loses_nothing_and_lets_the_pass_go_on(work: Work, engine: Engine) -> None:
    work.steps = [None, None]
    engine.ask(Request(everything()))
    engine.advance()
    work.arriving, work.errors = [single()], [BUSY]
    (told,) = engine.hear()
    assert isinstance(told, Aborted)
    assert run(engine) == [Report]
    assert work.unread, "what the interruption was about is not certain"
    work.now += FIRST_PAUSE
    assert run(engine) == [Report, Recovered]
    assert work.passes[-1][0].cause_of(KEY) == Cause(4242, Deed.DELETED)


def test_events_that_cannot_be_read_are_told_and_everything_is_read_again(work: Work, engine: Engine) -> None:
    work.deafness = ValueError("a bug")
    (told,) = engine.hear()
    assert isinstance(told, Aborted)
    assert told.is_first
    (told,) = engine.hear()
    assert isinstance(told, Aborted)
    assert not told.is_first
    work.deafness = None
    work.now += FIRST_PAUSE
    assert run(engine) == [Report, Recovered]


def test_what_fails_before_a_pass_begins_does_not_fail_again_at_once(
    work: Work, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a bug")

    work.schedule.dirt.absorb(single())
    monkeypatch.setattr(work.schedule.__class__, "take", fail)
    assert run(engine) == [Aborted]
    assert run(engine) == []
    assert engine.find_due() == work.now + FIRST_PAUSE


def test_at_rest_only_what_is_asked_for_is_done(work: Work, engine: Engine) -> None:
    engine.rest()
    work.now = 200.0
    assert run(engine) == []
    engine.ask(Request(everything(Look.STOP)))
    assert run(engine) == [Report]


def test_a_plan_is_made_when_nothing_else_is_to_be_done(work: Work, engine: Engine) -> None:
    inquiry = engine.inquire(Inquiry(Intent()))
    engine.ask(Request(everything()))
    work.schedule.dirt.absorb(single())
    assert engine.find_due() == work.now
    while not isinstance(engine.advance(), Report):
        assert work.proposals == []
    assert run(engine) == []
    assert inquiry.is_over
    assert inquiry.proposal is not None
    assert not engine.is_busy
    assert engine.find_due() == work.now + RESYNC


def test_a_plan_that_a_pass_overtakes_is_made_anew_and_after_a_few_times_to_its_end(work: Work, engine: Engine) -> None:
    inquiry = engine.inquire(Inquiry(Intent()))
    for attempt in range(1, ATTEMPTS + 1):
        assert engine.advance() is BREATH
        assert (len(work.proposals), work.given_up) == (attempt, attempt - 1)
        engine.ask(Request(everything()))
        if attempt < ATTEMPTS:
            assert isinstance(engine.advance(), type(BREATH))
            assert isinstance(engine.advance(), Report)
    assert len(work.passes) == ATTEMPTS - 1
    while not inquiry.is_over:
        engine.advance()
    assert (len(work.passes), work.given_up) == (ATTEMPTS - 1, ATTEMPTS - 1)
    assert run(engine) == [Report]


def test_plans_are_made_one_after_another(work: Work, engine: Engine) -> None:
    inquiries = [engine.inquire(Inquiry(Intent(digest=str(number)))) for number in range(3)]
    run(engine)
    assert work.proposals == [inquiry.intent for inquiry in inquiries]
    assert [inquiry.attempts for inquiry in inquiries] == [1, 1, 1]


@pytest.mark.parametrize("error", [BUSY, ValueError("a bug")])
def test_a_plan_that_fails_is_a_matter_of_whoever_asked(work: Work, engine: Engine, error: Exception) -> None:
    work.errors = [error]
    inquiry = engine.inquire(Inquiry(Intent()))
    assert run(engine) == []
    assert (inquiry.is_over, inquiry.error, inquiry.proposal) == (True, error, None)
    assert work.unread == {}
    assert engine.find_due() == work.timetable.find(Deadline.RESYNC)


def test_events_that_fail_to_be_read_amid_a_plan_are_told(work: Work, engine: Engine) -> None:
    inquiry = engine.inquire(Inquiry(Intent()))
    engine.advance()
    work.deafness = BUSY
    assert [type(told) for told in engine.hear()] == [Aborted]
    assert run(engine) == []
    assert inquiry.proposal is not None


def test_at_rest_no_plan_is_made_and_none_stands_in_the_way_of_what_is_asked_for(work: Work, engine: Engine) -> None:
    inquiry = engine.inquire(Inquiry(Intent(), attempts=ATTEMPTS))
    engine.advance()
    engine.rest()
    assert work.given_up == 1
    assert engine.find_due() == work.timetable.find(Deadline.RESYNC)
    engine.ask(Request(everything(Look.STOP)))
    assert run(engine) == [Report]
    assert not inquiry.is_over


@pytest.mark.parametrize("name", sorted(PASSES))
def test_each_reason_for_a_pass_begins_one_at_its_moment(work: Work, engine: Engine, name: Deadline) -> None:
    work.timetable.cancel(Deadline.RESYNC)
    match name:
        case Deadline.KEYS:
            work.schedule.dirt.absorb(single())
            work.schedule.events, work.schedule.first_event, work.schedule.last_event = STORM + 1, 100.0, 100.0
        case Deadline.QUESTION:
            work.schedule.dirt.sources, work.schedule.facts_rest_until = {"link"}, 100.0 + QUIET
        case Deadline.EFFECT:
            work.schedule.dirt.rivals = Rivals()
            work.timetable.set(name, 100.0 + QUIET)
        case Deadline.DUMP:
            work.schedule.dirt.add_scopes([Scope(Kind.ROUTE, 2, 254)], Cause(0, LinkChange(LinkTurn.WENT_DOWN, "v0")))
            work.schedule.rest_until = 100.0 + QUIET
        case _:
            work.timetable.set(name, 100.0 + QUIET)
    assert run(engine) == []
    assert engine.find_due() == 100.0 + QUIET
    work.now = 100.0 + QUIET
    assert run(engine) == [Report]


def test_a_hold_that_ends_is_looked_at_again_and_a_pause_is_told(work: Work, engine: Engine) -> None:
    work.holds.pause("", "a test", until=110.0, now=work.now)
    assert engine.find_due() == 110.0
    work.now = 110.0
    assert run(engine) == [Resumed, Report]
    assert work.passes[-1][0].everything == Cause(None, Look.RETRY)


def test_the_neighbours_of_a_vip_are_told_at_their_moment(work: Work, engine: Engine) -> None:
    work.timetable.bring_forward(Deadline.ANNOUNCE, 101.0)
    assert engine.find_due() == 101.0
    assert run(engine) == []
    work.now = 101.0
    assert run(engine) == [Told]


@pytest.mark.parametrize("name", sorted(HANDED_ON))
def test_what_is_no_pass_is_handed_on_at_its_moment(work: Work, engine: Engine, name: Deadline) -> None:
    work.timetable.bring_forward(name, 101.0)
    assert engine.find_due() == 101.0
    assert run(engine) == []
    work.now = 101.0
    assert list(engine.run()) == [Due(name)]
    assert engine.find_due() == 160.0


def test_what_is_no_pass_does_not_wait_for_the_end_of_a_long_one(work: Work, engine: Engine) -> None:
    work.steps = [None, None]
    engine.ask(Request(everything()))
    assert engine.advance() is BREATH
    work.timetable.bring_forward(Deadline.STATUS, work.now)
    assert engine.advance() == Due(Deadline.STATUS)
    assert engine.is_busy


def test_at_rest_nothing_is_handed_on(work: Work, engine: Engine) -> None:
    work.timetable.bring_forward(Deadline.STATUS, work.now)
    engine.rest()
    assert list(engine.run()) == []
