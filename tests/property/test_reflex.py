"""The reflex is the same decision, sooner: with it and without it a host and its journal are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routed.core.dirt import Dirt
from routed.core.timetable import SENTENCES, Deadline
from routed.daemon.engine import Engine, Inquiry, Request
from routed.model import names
from routed.model.change import Cause, Verb
from routed.model.entries import Enforce, Entry, Settings
from routed.model.reasons import Deed, Look
from tests.property.fake_kernel import STRANGER, FakeKernel
from tests.property.rig import Rig, a_host, a_route, give_address, hop, route_key, route_value, via
from tests.property.test_invariants import ERRNOS
from tests.property.worlds import Act, acts, files, outsiders, place

Course = list[tuple[Act, float, int]]  # what a stranger does, seconds until the next, the errno of our requests
LONG = Settings(resync=1e9)
RIVAL: Final = Cause(STRANGER, Deed.DELETED)


def tell(rig: Rig) -> list[object]:
    """What became of the host, and what the journal has of it."""
    done = [
        (one.operation[:5], one.operation.reason, one.cause, one.failures)
        for report in rig.reports
        for one in report.outcomes
    ]
    ledger = rig.host.ledger
    return [
        rig.kernel.objects,
        done,
        ledger.holds.active,
        ledger.holds.repairs,
        [one.trouble for one in ledger.troubles],
        rig.kernel.writes,
        rig.errors,
    ]


def play(entries: tuple[Entry, ...], course: Course, *, has_reflex: bool) -> Rig:
    """A host in the course of time."""
    kernel = a_host()
    kernel.can_be_peeked = has_reflex
    place(kernel, outsiders())
    rig = Rig(kernel)
    rig.start(*entries, settings=Settings(max_deletes=1.0))
    with patch.object(Engine, "_look_after_reflex", expect_nothing):
        for act, seconds, error in course:
            kernel.mischief.refuse = lambda _operation, _member, error=error: error  # type: ignore[misc]
            act.do(kernel)
            rig.run(seconds)
    return rig


def expect_nothing(engine: Engine) -> None:
    """What was put ahead was asked for by the pass that followed."""
    assert engine.reconciler.host.under_way.ahead is None


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    files(),
    st.lists(
        st.tuples(acts(), st.sampled_from([0.0, 0.0, 0.02, 1.0, 61.0]), st.sampled_from((0, 0, 0, 0, *ERRNOS))),
        max_size=20,
    ),
)
def test_with_the_reflex_and_without_it_everything_is_the_same(entries: tuple[Entry, ...], course: Course) -> None:
    told = [tell(play(entries, course, has_reflex=one)) for one in (True, False)]
    assert told[0] == told[1]


def delete(kernel: FakeKernel, to: str = "10.30.0.0/16") -> None:
    key = route_key(to)
    assert kernel.request(Verb.DELETE, key, kernel.standing(key)[0], STRANGER) == 0


def test_a_route_that_was_deleted_is_put_ahead_and_told_as_ever() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(), settings=LONG)
    delete(kernel)
    rig.engine.hear()
    assert kernel.reflexes == 1
    assert kernel.standing(route_key())
    [report] = rig.run()
    [outcome] = report.outcomes
    assert (outcome.operation.verb, outcome.cause.port, outcome.failures) == (Verb.ADD, STRANGER, ())
    assert kernel.reflexes == 1
    assert [verb for verb, _, _ in kernel.requested].count(Verb.ADD) == 2  # when it began, and now


def test_one_after_another_is_put_ahead_each_time() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route("one", "10.30.0.0/16"), a_route("other", "2001:db8:7::/48"), settings=LONG)
    for to in ("10.30.0.0/16", "2001:db8:7::/48", "10.30.0.0/16"):
        delete(kernel, to)
        rig.run(1.0)
        assert kernel.standing(route_key(to))
    assert kernel.reflexes == 3


@pytest.mark.parametrize("error", [0, *ERRNOS])
@pytest.mark.parametrize("to", ["10.30.0.0/16", "2001:db8:7::/48"])
def test_what_the_kernel_says_no_to_means_the_same(to: str, error: int) -> None:
    told = []
    for has_reflex in (True, False):
        kernel = a_host()
        kernel.can_be_peeked = has_reflex
        rig = Rig(kernel)
        rig.start(a_route(to=to), settings=LONG)
        kernel.mischief.refuse = lambda _operation, _member: error
        delete(kernel, to)
        rig.run(0.05)
        assert kernel.reflexes == has_reflex
        told.append(tell(rig))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda rig: rig.engine.ask(Request(Dirt(everything=Cause(None, Look.RELOAD)))),
        lambda rig: rig.host.timetable.set(Deadline.RESYNC, rig.now),
        lambda rig: rig.host.look_at_everything(Cause(None, Look.REGULAR)),
    ],
    ids=["somebody waits for a pass", "a resync is due", "all is to be looked at"],
)
def test_what_was_put_ahead_is_told_whatever_comes_due_before_its_pass(meanwhile: Callable[[Rig], object]) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(), settings=LONG)
    delete(kernel)
    rig.engine.hear()
    assert kernel.reflexes == 1
    meanwhile(rig)
    [outcome] = [outcome for report in rig.run() for outcome in report.outcomes]
    assert (outcome.operation.verb, outcome.cause.port, outcome.failures) == (Verb.ADD, STRANGER, ())


@pytest.mark.parametrize("call", ["apply", "apply answered", "read_events"])
def test_where_the_kernel_gives_no_answer_amid_it_all_that_is_told_is_heard_and_all_is_looked_at(call: str) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(), a_route("other", "10.31.0.0/16"), settings=LONG)

    def fail(name: str) -> None:
        if name == call and kernel.reflexes:
            raise OSError(105, "No buffer space available")

    kernel.mischief.fail = fail
    delete(kernel)
    rig.engine.hear()
    kernel.mischief.fail = lambda _call: None
    assert rig.host.timetable.retry_at
    delete(kernel, "10.31.0.0/16")
    for _ in range(2):  # as often as the socket can be read
        rig.engine.hear()
    assert [*kernel._peeked, *kernel._events] == []
    outcomes = [outcome for report in rig.run(2.0) for outcome in report.outcomes]
    assert all(outcome.cause.port == STRANGER for outcome in outcomes)
    assert {key for key in (route_key(), route_key("10.31.0.0/16")) if not kernel.standing(key)} == set()


THOUGHT: list[tuple[str, dict[str, Any], Callable[[Rig], object]]] = [
    ("its entry puts it once", {"enforce": Enforce.ONCE}, lambda _: None),
    ("it is there to drop packets", {"type_": names.BLACKHOLE}, lambda _: None),
    ("its entry is paused", {}, lambda rig: rig.host.ledger.holds.pause("route/lan", "", 1e9, rig.now)),
    ("everything is paused", {}, lambda rig: rig.host.ledger.holds.pause("", "", 1e9, rig.now)),
    ("it is fought over", {}, lambda rig: rig.host.ledger.holds.note_repair(route_key(), RIVAL, 1, rig.now)),
    ("all is to be looked at", {}, lambda rig: rig.host.look_at_everything(Cause(None, Look.REGULAR))),
    ("a resync is due", {}, lambda rig: rig.host.timetable.set(Deadline.RESYNC, rig.now)),
    ("a pass has failed", {}, lambda rig: setattr(rig.host.timetable, "retry_at", rig.now + 1)),
    ("somebody waits for a pass", {}, lambda rig: rig.engine.ask(Request(Dirt(everything=RIVAL)))),
    ("somebody waits for a plan", {}, lambda rig: rig.engine.inquire(Inquiry(rig.host.wanted.intent))),
    ("we stop", {}, lambda rig: rig.engine.rest()),
    (
        "a fact is told of what it leads to",
        {},
        lambda rig: setattr(rig.host.schedule, "watched", frozenset({route_key().member})),
    ),
    (
        "something else is told too",
        {},
        lambda rig: give_address(rig.kernel, "192.0.2.9/24", 1, "v0"),
    ),
]


@pytest.mark.parametrize(("entry", "prepare"), [row[1:] for row in THOUGHT], ids=[row[0] for row in THOUGHT])
def test_nothing_is_put_ahead_where(entry: dict[str, Any], prepare: Callable[[Rig], object]) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(hops=(via("192.0.2.2"),), **entry), settings=LONG)
    prepare(rig)
    delete(kernel)
    rig.engine.hear()
    assert kernel.reflexes == 0


@pytest.mark.parametrize("due", list(Deadline))
def test_a_sentence_that_is_due_keeps_it_from_nothing_and_a_deed_does(due: Deadline) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(), settings=LONG)
    rig.host.timetable.set(due, rig.now)
    delete(kernel)
    rig.engine.hear()
    assert kernel.reflexes == (due in SENTENCES)


def test_what_was_not_as_written_is_not_put_ahead() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(hops=(via("192.0.2.2"),)), settings=LONG)
    kernel.request(Verb.APPEND, route_key(), route_value(hop(2)))
    rig.run()
    kernel.request(Verb.DELETE, route_key(), route_value(hop(2)))
    rig.engine.hear()
    assert kernel.reflexes == 0


def test_what_was_put_ahead_and_no_pass_asked_for_is_looked_at() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(), settings=LONG)
    delete(kernel)
    rig.engine.hear()
    rig.host.schedule.dirt.keys.clear()  # as no code does
    rig.engine._end()
    assert rig.host.schedule.dirt.scopes
    assert rig.host.under_way.ahead is None
