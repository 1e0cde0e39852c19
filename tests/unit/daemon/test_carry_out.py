"""Carrying out and verifying: what proves an operation, by the dataplane of its kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EAGAIN, EINVAL, EPIPE
from pathlib import Path
from types import SimpleNamespace

import pytest

from routed.core.dirt import Dirt
from routed.core.entries import resolve
from routed.daemon.carry_out import SINGLE, carry_out, remember_displaced, verify
from routed.daemon.dataplane import Dataplanes
from routed.daemon.host import Host
from routed.daemon.report import Report
from routed.daemon.under_way import UnderWay
from routed.daemon.wanted import Wanted
from routed.kernel.dump import finish
from routed.model.change import Cause, Failure, Nature, Operation, Plan, Verb
from routed.model.entries import Entry, Intent
from routed.model.events import Event
from routed.model.facts import Facts, Link
from routed.model.ipvs import ServerMember, ServerSlot, ServerValue, ServiceMember
from routed.model.net import IPV4
from routed.model.objects import Key, Kind, Value
from routed.model.reasons import Look, Reason, Required, Unreadable, Withdrawn
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import OURS, THEIRS, a_host, a_route, hop, route_key, route_value
from tests.property.toy import Lamps, LampValue, a_lamp, lamp_key, lamps_known

FACTS = Facts(links={1: Link(1, "v0", is_up=True, has_carrier=True)})
FEW = tuple(f"10.{number}.0.0/16" for number in range(SINGLE))
MANY = (*FEW, "10.99.0.0/16")


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with lamps_known():
        yield


@dataclass
class Pass:
    """As much of a pass as comes after its plan."""

    lamps: Lamps
    kernel: FakeKernel = field(default_factory=a_host)
    dumps: int = 0

    def __post_init__(self) -> None:
        self.dataplanes = Dataplanes(self.kernel, self.lamps)
        self.host = Host(Wanted(Intent()))
        self.kernel.mischief.fail = self._note

    def do(self, *operations: Operation, cause: Reason = Look.PLAN) -> Report:
        plan, dirt = Plan(operations), Dirt(everything=Cause(4242, cause))
        attempt = finish(carry_out(self.kernel, self.dataplanes, plan, dirt, UnderWay(), 0.0, lambda: 1.0))
        self.dumps = self.lamps.dumps = 0
        outcomes, unread = finish(verify(self.kernel, self.dataplanes, self.host, attempt, lambda: 1.0))
        return Report(dirt, 0.0, plan=plan, outcomes=outcomes, unread=dict(unread), postponed=attempt.postponed)

    def want(self, entry: Entry) -> Entry:
        self.host.wanted.desired.put(resolve(entry, FACTS, OURS))
        return entry

    def _note(self, call: str) -> None:
        self.dumps += call == "read_dump"


@pytest.fixture
def work(tmp_path: Path) -> Pass:
    return Pass(Lamps(tmp_path / "claims.json"))


def put(key: Key, value: Value, entry: Entry | None, verb: Verb = Verb.ADD, *members: object) -> Operation:
    return Operation(verb, key.kind, key.slot, members or (key.member,), value, entry, "missing")  # type: ignore[arg-type]


def routes(work: Pass, *to: str) -> Operation:
    entry = work.want(a_route(to=to))
    (group,) = work.host.wanted.desired.resolutions[entry.name].sets
    return put(route_key(), group.value, entry, Verb.ADD, *sorted(group.members))


def lamp(work: Pass, name: str = "a") -> Operation:
    return put(lamp_key(name), LampValue(40, True), work.want(a_lamp(name)))


def failures_of(report: Report) -> list[int]:
    return [failure.errno for outcome in report.outcomes for failure in outcome.failures]


def lose(events: list[Event]) -> list[Event]:
    del events
    return []


def test_a_few_changes_that_echo_are_proved_by_their_echo_alone(work: Pass) -> None:
    report = work.do(routes(work, *FEW))
    assert failures_of(report) == []
    assert work.dumps == 0
    assert not work.host.schedule.dirt


def test_an_echo_that_does_not_come_has_the_place_looked_at_again(work: Pass) -> None:
    work.kernel.mischief.deliver = lose
    report = work.do(routes(work, FEW[0]))
    assert failures_of(report) == []
    assert [cause.reason for cause in work.host.schedule.dirt.scopes.values()] == [Look.AGAIN]


def test_many_changes_are_proved_by_one_dump_and_are_not_listened_for(work: Pass) -> None:
    heard = len(work.kernel.read_events())
    report = work.do(routes(work, *MANY))
    assert failures_of(report) == []
    assert work.dumps == 1
    assert (heard, work.kernel.read_events()) == (0, [])
    assert work.kernel.hears_echo


def test_a_change_among_many_that_the_dump_does_not_show_has_failed(work: Pass) -> None:
    lost = routes(work, *MANY)
    taken = route_key(FEW[0])

    def lose_one(call: str) -> None:
        if call == "read_dump":
            work.kernel.objects[taken.kind][taken.slot].pop(taken.member)

    work.kernel.mischief.fail = lose_one
    assert failures_of(work.do(lost)) == [EAGAIN]


@pytest.mark.parametrize("is_losing", [False, True])
def test_one_change_without_an_echo_is_proved_by_a_dump(work: Pass, is_losing: bool) -> None:
    work.lamps.is_losing = is_losing
    report = work.do(lamp(work))
    assert work.lamps.dumps == 1
    assert failures_of(report) == ([EAGAIN] if is_losing else [])


@pytest.mark.parametrize("is_losing", [False, True])
def test_so_is_its_removal(work: Pass, is_losing: bool) -> None:
    work.do(lamp(work))
    work.host.wanted.desired.drop("lamp/hall")
    work.host.world.verified.clear()  # as files that are put in force do
    work.lamps.is_losing = is_losing
    gone = put(lamp_key("a"), LampValue(40, True), None, Verb.DELETE)._replace(nature=Nature.SURPLUS)
    assert failures_of(work.do(gone)) == ([EAGAIN] if is_losing else [])


def test_in_one_plan_each_is_proved_in_the_way_of_its_dataplane(work: Pass) -> None:
    work.lamps.is_losing = True
    report = work.do(routes(work, FEW[0]), lamp(work))
    assert (work.dumps, work.lamps.dumps) == (0, 1)
    assert [bool(outcome.failures) for outcome in report.outcomes] == [False, True]


def test_what_cannot_be_read_to_prove_it_is_said_to_be_unknown(work: Pass) -> None:
    work.lamps.unreadable = EINVAL
    report = work.do(lamp(work))
    assert failures_of(report) == []
    assert list(report.unread.values()) == [Unreadable("Invalid argument")]


def test_a_polled_dataplane_that_is_out_of_order_fails_alone(work: Pass) -> None:
    work.lamps.broken = EPIPE
    report = work.do(lamp(work), routes(work, FEW[0]))
    assert [[failure.errno for failure in outcome.failures] for outcome in report.outcomes] == [[EPIPE], []]


def test_an_error_of_a_dataplane_with_events_ends_the_pass(work: Pass) -> None:
    def fail(call: str) -> None:
        if call == "apply":
            raise OSError(EPIPE, "broken")

    work.kernel.mischief.fail = fail
    with pytest.raises(OSError, match="broken"):
        work.do(routes(work, FEW[0]))


def test_what_nobody_wants_stays_while_something_that_is_wanted_could_not_be_put(work: Pass) -> None:
    work.lamps.refuse = lambda _: EINVAL
    key, ours = route_key(), route_value(hop(1), protocol=OURS)
    work.kernel.request(Verb.ADD, key, ours)
    gone = put(key, ours, None, Verb.DELETE)._replace(nature=Nature.SURPLUS)
    report = work.do(lamp(work), gone)
    assert work.kernel.standing(key) == (ours,)
    assert [scope.kind for scope in report.postponed] == [key.kind]


def test_only_what_is_not_ours_is_remembered_as_displaced(work: Pass) -> None:
    entries = (a_route(), a_lamp("a"))
    work.host.wanted.new_entries = frozenset(entry.name for entry in entries)

    def take_over(key: Key, before: Value, after: Value, entry: Entry) -> Plan:
        operation = put(key, after, entry, Verb.REPLACE)
        return Plan((operation._replace(before=before, nature=Nature.FOREIGN),))

    wanted, lit = route_value(hop(1), protocol=OURS), LampValue(40, True)
    for before in (wanted._replace(type=6), wanted._replace(protocol=THEIRS)):
        is_theirs = remember_displaced(work.dataplanes, work.host, take_over(route_key(), before, wanted, entries[0]))
        assert is_theirs is (before.protocol == THEIRS)
    for claimed in (True, False):
        plan = take_over(lamp_key("a"), LampValue(100, claimed), lit, entries[1])
        assert remember_displaced(work.dataplanes, work.host, plan) is not claimed
    assert work.host.ledger.displaced.keys() == {route_key(), lamp_key("a")}


@pytest.mark.parametrize("service", [1, 2])
def test_a_server_that_cannot_be_put_keeps_its_like_in_the_same_service_alone(work: Pass, service: int) -> None:
    def refuse_to_add(operation: Operation) -> Iterator[tuple[Failure, ...]]:
        is_add = operation.verb is Verb.ADD
        yield tuple(Failure(member, EINVAL, "no") for member in operation.members if is_add)

    servers = SimpleNamespace(kinds=(Kind.SERVER,), has_echo=False, poll_interval=5.0, apply=refuse_to_add)
    slots = [ServerSlot(IPV4, ServiceMember(fwmark=mark)) for mark in (1, service)]
    refused, gone = (Key(Kind.SERVER, slot, ServerMember(b"\x0a\0\0\x01", 0)) for slot in slots)
    reason = Withdrawn("service/b", Required("dc", is_up=False, why=None))
    let_go = put(gone, ServerValue(OURS), None, Verb.DELETE)._replace(nature=Nature.SURPLUS, reason=reason)
    plan = Plan((put(refused, ServerValue(OURS), a_route()), let_go))
    dirt = Dirt(everything=Cause(None, Look.PLAN))
    attempt = finish(carry_out(work.kernel, Dataplanes(servers), plan, dirt, UnderWay(), 0.0, lambda: 1.0))
    assert bool(attempt.postponed) is (service == 1)
