"""What a plan says is what the next reload does, whatever happened before; and making it leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields, replace
from errno import EINVAL
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from routed.core.dirt import Dirt
from routed.core.linux.requests import STEPS
from routed.core.needs import Needs
from routed.daemon.engine import Inquiry, Request
from routed.daemon.host import Host
from routed.daemon.ledger import Ledger
from routed.daemon.peers import SshSessions
from routed.daemon.report import Report
from routed.daemon.wanted import Wanted
from routed.daemon.world import World
from routed.model import names
from routed.model.change import Cause, Nature, Operation, Verb
from routed.model.entries import Enforce, Entry, HopSpec, Intent, OnConflict, Settings
from routed.model.facts import Facts
from routed.model.net import IPV4, parse_address
from routed.model.objects import Key, Value
from routed.model.reasons import Look
from tests.property.fake_kernel import BATCH, FakeKernel
from tests.property.rig import OURS, Rig, a_host, a_route, address_key, an_address, hop, route_key, route_value
from tests.property.worlds import ROUTE_KEYS, Act, acts, all_that_stands, files, foreign_routes, heal

NEXT = 115
LONG = 1e6  # seconds; what lasts so long lasts
LONGEST_RETRY = 70.0
PEER = parse_address("10.1.2.3")

thorough = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def wanted_files() -> st.SearchStrategy[Intent]:
    """Any file under any settings that a plan may depend on, with any word on what is to be done about drift."""

    def vary(
        entries: tuple[Entry, ...], words: list[tuple[Enforce, OnConflict | None]], protocol: int, share: float
    ) -> Intent:
        varied = (
            replace(entry, enforce=enforce, on_conflict=on_conflict)
            for entry, (enforce, on_conflict) in zip(entries, words, strict=False)
        )
        return Intent(
            Settings(protocol=protocol, resync=LONG, fight_limit=2, max_deletes=share),
            (*varied, *entries[len(words) :]),
        )

    word = st.tuples(
        st.sampled_from((Enforce.REPAIR, Enforce.REPAIR, Enforce.REPAIR, Enforce.OBSERVE, Enforce.ONCE)),
        st.sampled_from((None, None, OnConflict.REPLACE, OnConflict.REFUSE)),
    )
    return st.builds(
        vary, files(), st.lists(word, max_size=12), st.sampled_from((OURS, OURS, NEXT)), st.sampled_from((0.0, 0.5))
    )


class Turn(NamedTuple):
    """Something that happens to a daemon between two moments."""

    what: str
    do: Callable[[Rig], object]

    def __repr__(self) -> str:
        return self.what


def turns() -> st.SearchStrategy[Turn]:
    """Strangers, files that are put in force, pauses, and a kernel that says no for a while."""
    files_in_force = wanted_files().map(lambda intent: Turn(f"reload {intent}", lambda rig: rig.enforce(intent)))
    strangers = acts().map(lambda act: Turn(str(act), partial(_let_happen, act)))
    pauses = st.sampled_from(("", "route/10.1.0.0/16", "route/drop", "rule/storage")).map(
        lambda name: Turn(
            f"pause {name}", lambda rig: rig.host.ledger.holds.pause(name, "a test", rig.now + LONG, rig.now)
        )
    )
    refusals = st.sampled_from((0, EINVAL)).map(lambda error: Turn(f"refuse with {error}", partial(_refuse, error)))
    rest = st.sampled_from((0.1, 100.0)).map(lambda seconds: Turn(f"{seconds} s", lambda rig: rig.run(seconds)))
    return st.one_of(files_in_force, strangers, strangers, pauses, refusals, rest)


def _let_happen(act: Act, rig: Rig) -> None:
    act.do(rig.kernel)
    rig.run()


def _refuse(error: int, rig: Rig) -> None:
    rig.kernel.mischief.refuse = lambda operation, _: error if operation.slot.family == IPV4 else 0


def strangers_at_home() -> st.SearchStrategy[list[tuple[Key, int]]]:
    """What stands in the places of entries before any daemon runs."""
    return st.lists(st.tuples(st.sampled_from(ROUTE_KEYS), st.integers(0, 2)), max_size=6, unique_by=lambda one: one[0])


def live(strangers: list[tuple[Key, int]], before: Intent, history: list[Turn]) -> Rig:
    """A daemon after all this; nothing is due any more."""
    rig = Rig(a_host_with(strangers))
    rig.reconciler.find_ssh_sessions = lambda: SshSessions(frozenset({PEER}))
    rig.start(settings=before.settings)
    for turn in (Turn("start", lambda rig: rig.enforce(before)), *history):
        turn.do(rig)
    rig.run()
    return rig


def a_host_with(strangers: list[tuple[Key, int]]) -> FakeKernel:
    """The host of ``rig.a_host``, where strangers were first."""
    kernel = a_host()
    for key, which in strangers:
        kernel.request(Verb.ADD, key, foreign_routes(kernel, key.slot.family)[which])
    return kernel


def expand(operations: tuple[Operation, ...]) -> Iterator[tuple[Verb, Key, Value]]:
    """The requests that operations come to, in their order."""
    for operation in chain.from_iterable(one.spread() or (one,) for one in operations):
        before = operation.value if operation.before is None else operation.before
        for start in range(0, len(operation.members), BATCH):
            for verb, is_of_before in STEPS[operation.verb]:
                for member in operation.members[start : start + BATCH]:
                    key = Key(operation.kind, operation.slot, member)
                    yield verb, key, before if is_of_before else operation.value


def assert_reload_does(rig: Rig, intent: Intent) -> None:
    """The plan for these files is that of the next reload, which sends just what the plan says."""
    rig.kernel.mischief.refuse = lambda _operation, _member: 0
    host, standing, asked = deepcopy(rig.host), all_that_stands(rig.kernel), len(rig.kernel.requested)
    plan = rig.plan(intent)
    assert rig.host == host, "the plan changed the daemon's state"
    assert all_that_stands(rig.kernel) == standing
    assert len(rig.kernel.requested) == asked
    (first, *_) = reload(rig, intent)
    assert first.plan == plan
    sent, planned = rig.kernel.requested[asked:], list(expand(plan.operations))
    if not first.outcomes or not any(outcome.failures for outcome in first.outcomes):
        assert sent[: len(planned)] == planned
    else:  # what nobody wants stays for now
        wishes = [one for one in planned if one[0] is not Verb.DELETE]
        assert [one for one in sent if one[0] is not Verb.DELETE][: len(wishes)] == wishes


def reload(rig: Rig, intent: Intent) -> list[Report]:
    """As ``routed apply`` does it."""
    request = Request(Dirt(everything=Cause(None, Look.RELOAD)), lambda: rig.host.enforce(intent, rig.now))
    rig.engine.ask(request)
    rig.run()
    assert request.error is None
    return request.reports


def told(reports: list[Report]) -> list[Any]:
    """What can be told of passes: what they did and left alone."""
    return [(report.plan, report.outcomes, report.fights, report.ended) for report in reports]


@given(strangers_at_home(), wanted_files(), st.lists(turns(), max_size=8), wanted_files())
@thorough
def test_a_plan_is_what_the_next_reload_does_whatever_a_daemon_went_through(
    strangers: list[tuple[Key, int]], before: Intent, history: list[Turn], intent: Intent
) -> None:
    assert_reload_does(live(strangers, before, history), intent)


@given(strangers_at_home(), wanted_files(), st.lists(turns(), max_size=4), wanted_files())
@thorough
def test_a_plan_without_a_daemon_is_what_a_direct_apply_does_with_what_is_kept_on_disk(
    strangers: list[tuple[Key, int]], before: Intent, history: list[Turn], intent: Intent
) -> None:
    former = live(strangers, before, history)
    fresh = Rig(former.kernel)
    fresh.reconciler.find_ssh_sessions = former.reconciler.find_ssh_sessions
    fresh.reconciler.host = Host(
        Wanted(intent, former_protocols=former.host.wanted.marks.numbers - {intent.settings.protocol}),
        ledger=Ledger(displaced=dict(former.host.ledger.displaced)),
    )
    fresh.reconciler.begin()
    assert_reload_does(fresh, intent)


@given(
    strangers_at_home(), wanted_files(), st.lists(turns(), max_size=6), wanted_files(), st.lists(turns(), max_size=4)
)
@thorough
def test_a_daemon_goes_on_with_plans_made_in_between_as_it_does_without(
    strangers: list[tuple[Key, int]], before: Intent, history: list[Turn], other: Intent, afterwards: list[Turn]
) -> None:
    asked, unasked = (live(strangers, before, history) for _ in range(2))
    for turn in afterwards:
        asked.plan(other)
        asked.plan()
        for rig in (asked, unasked):
            turn.do(rig)
    assert told(asked.reports) == told(unasked.reports)
    assert all_that_stands(asked.kernel) == all_that_stands(unasked.kernel)
    assert asked.host == unasked.host


@given(strangers_at_home(), wanted_files(), st.lists(turns(), max_size=6), wanted_files())
@thorough
def test_after_a_reload_the_plan_is_empty(
    strangers: list[tuple[Key, int]], before: Intent, history: list[Turn], intent: Intent
) -> None:
    rig = live(strangers, before, history)
    rig.kernel.mischief.refuse = lambda _operation, _member: 0
    heal(rig.kernel)
    rig.run(2 * LONGEST_RETRY)
    reload(rig, intent)
    # what the guard held may be few enough once more is ours
    assume(not any(refusal.by_guard for report in rig.reports for refusal in report.plan.refusals))
    rig.run(2 * LONGEST_RETRY)
    assert rig.plan(intent).operations == ()


def test_what_can_never_be_put_back_keeps_nothing_else_of_ours_from_going() -> None:
    key, address = route_key("2001:db8:1::/48"), address_key("2001:db8:20::1/64", 2)
    entries = (a_route("a", "2001:db8:1::/48", (HopSpec(dev="v1"),)), an_address("2001:db8:20::1/64", "v1"))
    rig = live([(key, 0)], Intent(Settings(resync=LONG), entries), [])
    assert rig.kernel.standing(address)
    rig.kernel.delete_link(1)  # over which the route led whose place ours took
    rig.run()
    reload(rig, Intent(Settings(resync=LONG)))
    assert not rig.kernel.standing(key)
    assert not rig.kernel.standing(address)
    assert rig.plan_is_empty()


def test_what_our_route_took_the_place_of_is_put_back_by_plan_and_by_apply() -> None:
    key = route_key("10.2.0.0/16")
    rig = live([(key, 0)], Intent(Settings(), (a_route("mine", "10.2.0.0/16"),)), [])
    (theirs,) = rig.host.ledger.displaced.values()
    (operation,) = rig.plan(Intent(Settings())).operations
    assert (operation.verb, operation.nature, operation.value) == (Verb.REPLACE, Nature.SURPLUS, theirs)
    assert_reload_does(rig, Intent(Settings()))
    assert rig.kernel.standing(key) == (theirs,)


def test_what_is_paused_is_left_alone_by_the_plan_and_what_is_fought_over_is_not() -> None:
    entries = (a_route("a", "10.1.0.0/16"), a_route("b", "10.2.0.0/16"))
    rig = live([], Intent(Settings(fight_limit=2), entries), [])
    rig.host.ledger.holds.pause("route/a", "a test", rig.now + LONG, rig.now)
    for key in (route_key("10.1.0.0/16"), *[route_key("10.2.0.0/16")] * 3):
        for value in rig.kernel.standing(key):
            rig.kernel.request(Verb.DELETE, key, value)
        rig.run()
    assert not rig.kernel.standing(route_key("10.2.0.0/16"))  # given up
    plan = rig.plan()
    assert [operation.entry.name for operation in plan.operations if operation.entry] == ["route/b"]
    assert [drift.want.entry.name for drift in plan.held if drift.want] == ["route/a"]


def test_a_lifeline_that_was_ours_before_is_no_first_contact_for_the_plan() -> None:
    rig = live([], Intent(Settings(), (a_route("a", "10.1.0.0/16"),)), [])
    rig.kernel.request(Verb.REPLACE, route_key("10.1.0.0/16"), route_value(hop(2), scope=names.LINK))
    rig.kernel.read_events()  # lost
    assert [operation.verb for operation in rig.plan().operations] == [Verb.REPLACE]
    assert_reload_does(rig, rig.host.wanted.intent)


def test_amid_a_plan_a_single_object_is_put_right_at_once_and_left_out_of_the_plan() -> None:
    keys = [route_key(to) for to in ("10.1.0.0/16", "10.2.0.0/16")]
    rig = live([], Intent(Settings(), (a_route("a", "10.1.0.0/16"), a_route("b", "10.2.0.0/16"))), [])
    inquiry = rig.engine.inquire(Inquiry(rig.host.wanted.intent))
    rig.engine.advance()
    for key in keys:
        rig.kernel.request(Verb.DELETE, key, rig.kernel.standing(key)[0])
        assert [type(step) for step in rig.engine.hear()] == [Report]
        assert rig.kernel.standing(key)
    rig.run()
    assert inquiry.attempts == 1
    assert inquiry.proposal is not None
    assert inquiry.proposal.plan.operations == ()


VALUES = (Intent, Facts, Needs, frozenset, tuple, str, bool, type(None))
PARTS: dict[str, type] = {"wanted": Wanted, "world": World, "ledger": Ledger}


@pytest.mark.parametrize(
    "path",
    [("timetable",), ("schedule",), *((part, one.name) for part, kind in PARTS.items() for one in fields(kind))],
    ids=".".join,
)
def test_a_copy_of_the_state_shares_nothing_that_may_change(path: tuple[str, ...]) -> None:
    rig = live([], Intent(Settings(), (a_route("a", "10.1.0.0/16"),)), [])
    find = attrgetter(".".join(path))
    if not isinstance(find(rig.host), VALUES):
        assert find(rig.host.copy()) is not find(rig.host)


def test_a_copy_of_the_state_shares_what_is_under_way_and_nothing_else() -> None:
    host = live([], Intent(Settings(), (a_route("a", "10.1.0.0/16"),)), []).host
    copy = host.copy()
    assert {one.name for one in fields(Host) if getattr(copy, one.name) is getattr(host, one.name)} == {"under_way"}
