"""The story itself: what comes before what in a pass, and what a plan leaves untouched."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from routed.core.dirt import Dirt
from routed.daemon.peers import SshSessions
from routed.daemon.reconcile import Proposal
from routed.daemon.report import Report
from routed.model import names
from routed.model.change import Cause, Nature, Operation, Verb
from routed.model.entries import Intent, Settings
from routed.model.lookup import Decision
from routed.model.net import IPV4, parse_address
from routed.model.objects import Key, Value
from routed.model.reasons import Look
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import OURS, THEIRS, Rig, a_host, a_route, hop, route_key, route_value

LAN, OTHER = route_key("10.30.0.0/16"), route_key("10.40.0.0/16")
ON_LINK = route_value(hop(1), protocol=OURS)._replace(scope=names.LINK)


class Story:
    """A rig that remembers in which order the kernel was changed and the state was kept."""

    def __init__(self) -> None:
        self.kernel = a_host()
        self.rig = Rig(self.kernel)
        self.told: list[tuple[str, Any]] = []
        self.rig.reconciler.save_displaced = self._save
        self.rig.kernel.inspect = self._change

    def _save(self, displaced: dict[Key, Value]) -> None:
        self.told.append(("kept", dict(displaced)))

    def _change(self, verb: Verb, key: Key, _: Value) -> None:
        self.told.append((verb, key))

    def give_foreign_route(self) -> None:
        self.kernel.request(Verb.ADD, LAN, route_value(hop(2), protocol=THEIRS))


@pytest.fixture
def story() -> Story:
    return Story()


def test_what_is_displaced_is_kept_before_anything_is_changed(story: Story) -> None:
    story.give_foreign_route()
    story.told.clear()
    story.rig.start(a_route())
    assert story.told[0] == ("kept", {LAN: route_value(hop(2), protocol=THEIRS)})
    assert {what for what, _ in story.told[1:]} <= set(Verb)


def test_what_was_put_back_is_kept_no_more(story: Story) -> None:
    story.give_foreign_route()
    story.rig.start(a_route())
    story.told.clear()
    story.rig.enforce(Intent(Settings()))
    assert story.told[-1] == ("kept", {})
    assert story.told[0][1] == LAN


def test_a_pass_that_displaces_nothing_keeps_nothing(story: Story) -> None:
    story.rig.start(a_route())
    assert "kept" not in {what for what, _ in story.told}


def test_a_pass_yields_its_report_last_and_once(story: Story) -> None:
    story.rig.start(a_route())
    assert story.kernel.request(Verb.DELETE, LAN, ON_LINK) == 0
    steps = list(story.rig.reconciler.reconcile(Dirt(everything=Cause(None, Look.REGULAR))))
    assert [isinstance(step, Report) for step in steps] == [False] * (len(steps) - 1) + [True]
    report = steps[-1]
    assert isinstance(report, Report)
    assert [outcome.operation.nature for outcome in report.outcomes] == [Nature.MISSING]


def test_a_single_key_is_looked_at_without_a_question_to_the_host(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.rig.start(a_route())
    asked: list[str] = []
    for name in ("read_links", "read_addresses", "locate_gateways", "look_up", "read_dump"):
        monkeypatch.setattr(FakeKernel, name, lambda *_, name=name: asked.append(name))
    assert story.kernel.request(Verb.DELETE, LAN, ON_LINK) == 0
    story.rig.run()
    assert story.kernel.standing(LAN) == (ON_LINK,)
    assert asked == []


def test_the_news_that_are_delivered_are_chosen_anew_only_when_something_else_is_wanted(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.rig.start(a_route())
    chosen: list[object] = []
    monkeypatch.setattr(FakeKernel, "listen_for", lambda _, interest: chosen.append(interest))
    story.rig.resync()
    assert chosen == []
    story.rig.enforce(Intent(Settings(), (a_route(), a_route("other", "10.40.0.0/16"))))
    assert len(chosen) == 1


def propose(rig: Rig, intent: Intent) -> Proposal:
    steps = rig.reconciler.propose(intent)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            proposal: Proposal = end.value
            return proposal


def test_a_plan_changes_neither_the_kernel_nor_the_state(story: Story) -> None:
    story.give_foreign_route()
    story.rig.start(a_route("other", "10.40.0.0/16"))
    story.told.clear()
    before = deepcopy(story.rig.host.wanted), deepcopy(story.rig.host.ledger)
    proposal = propose(story.rig, Intent(Settings(), (a_route(),)))
    assert {(one.verb, Key(one.kind, one.slot, member)) for one, member in _members(proposal)} == {
        (Verb.REPLACE, LAN),
        (Verb.DELETE, OTHER),
    }
    assert story.told == []
    assert (story.rig.host.wanted, story.rig.host.ledger) == before
    assert story.rig.run() == []


def _members(proposal: Proposal) -> list[tuple[Operation, Any]]:
    return [(operation, member) for operation in proposal.plan.operations for member in operation.members]


def test_a_plan_lets_go_what_stays_while_files_on_disk_are_not_in_force(story: Story) -> None:
    story.rig.start(a_route())
    story.rig.host.wanted.leave_surplus(Look.PLAN)
    proposal = propose(story.rig, Intent(Settings()))
    assert [one.verb for one in proposal.plan.operations] == [Verb.DELETE]
    assert story.rig.host.wanted.why_surplus_stays is Look.PLAN


PEER = "203.0.113.9"


def a_route_over_the_session() -> Rig:
    """The way to an SSH session is the default route; an entry would drop it, and is held."""
    kernel = a_host()
    gateway = hop(1, "192.0.2.9")
    assert kernel.request(Verb.ADD, route_key("0.0.0.0/0"), route_value(gateway, protocol=THEIRS)) == 0
    rig = Rig(kernel)
    rig.reconciler.find_ssh_sessions = lambda: SshSessions(frozenset({parse_address(PEER)}))
    rig.start(a_route(to=f"{PEER}/32", type_=names.BLACKHOLE))
    assert kernel.standing(route_key(f"{PEER}/32")) == ()
    return rig


def test_what_was_left_to_a_route_that_carried_the_session_is_held_when_that_one_is_gone_by_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig, key = a_route_over_the_session(), route_key(f"{PEER}/32")
    theirs = route_value(hop(1, "192.0.2.9"), protocol=THEIRS)
    assert rig.kernel.request(Verb.ADD, key, theirs) == 0
    rig.run()
    default = next(one for one in rig.kernel.read_default_routes() if one.slot.family == IPV4)
    monkeypatch.setattr(FakeKernel, "find_winner", lambda *_: Decision(default))  # it went; its event is yet to come
    assert rig.kernel.request(Verb.REPLACE, key, theirs._replace(scope=names.LINK)) == 0
    rig.run()
    assert rig.kernel.standing(key) == (theirs._replace(scope=names.LINK),)
