"""Requests of others to IPVS that a tap shows: looked at at once, once for many, and with the name of who asks."""

from __future__ import annotations

from pathlib import Path
from socket import AF_INET
from struct import pack

import pytest

from routed.core.holds import Why
from routed.daemon.ipvs import SeldomIpvs
from routed.model.change import Cause
from routed.model.entries import Settings
from routed.model.events import RequestEvent, Touched
from routed.model.ipvs import SCHEDULER_2, ServerMember, ServerSlot, ServiceSlot
from routed.model.net import IPV4
from routed.model.objects import Key, Kind
from routed.model.process import Process
from routed.model.reasons import Deed, Fought, Look
from tests.property.fake_kernel import STRANGER
from tests.property.test_services import BOTH, KEY, MEMBER, ONE, PORT, TWO, Scene, a_service, server

WRITER = Process(STRANGER, "stranger")
IN_A = ServerSlot(IPV4, MEMBER)
SERVICE_A = Key(Kind.SERVICE, ServiceSlot(IPV4), MEMBER)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def ask(scene: Scene, *touched: Touched, under: Key | None, deed: Deed = Deed.CHANGED, times: int = 1) -> None:
    """A tap shows that somebody asks for this; ``daemon.following`` does the same."""
    plane = scene.rig.reconciler.dataplanes.by_kind[Kind.SERVER]
    assert isinstance(plane, SeldomIpvs)
    if under is not None:
        plane.suspect(under)
    event = RequestEvent(touched, under, deed, WRITER.pid)
    scene.rig.host.hear_requests([event] * times, scene.rig.kernel.identify, scene.rig.now)


def at(address: bytes) -> Touched:
    return Touched(Kind.SERVER, IN_A, ServerMember(address, PORT))


def test_a_request_of_somebody_is_looked_at_within_milliseconds_and_he_is_blamed(scene: Scene) -> None:
    scene.rig.start(BOTH)
    scene.set_weight(ONE, 7)
    ask(scene, at(ONE), under=SERVICE_A)
    [report] = [one for one in scene.rig.run(0.01) if one.outcomes]
    assert scene.weights() == {ONE: 1, TWO: 3}
    assert report.outcomes[0].cause == Cause(WRITER.pid, Deed.CHANGED, WRITER)


def test_each_writer_is_blamed_for_what_he_asked_for_alone(scene: Scene) -> None:
    scene.rig.start(BOTH)
    scene.set_weight(ONE, 7)
    scene.set_weight(TWO, 7)
    ask(scene, at(ONE), under=SERVICE_A)
    reports = scene.rig.run(0.01)
    causes = {member: one.cause for report in reports for one in report.outcomes for member in one.operation.members}
    assert causes[ServerMember(ONE, PORT)].process == WRITER
    assert causes[ServerMember(TWO, PORT)] == Cause(None, Look.COMPARISON)


@pytest.mark.parametrize("threshold", [5, 6])
def test_what_the_list_of_the_kernel_does_not_show_is_asked_for_where_somebody_touched_it(
    scene: Scene, threshold: int
) -> None:
    scene.rig.start(BOTH)
    scene.rig.run(10.0)
    servers, one = scene.peer.services[KEY].dests, (int(AF_INET), ONE, PORT)
    servers[one][threshold] = pack("=I", 1)
    ask(scene, at(ONE), under=SERVICE_A)
    scene.rig.run(0.01)
    assert servers[one][threshold] == bytes(4)


def test_a_deletion_of_a_service_is_blamed_for_its_servers_too_and_a_flush_for_all(scene: Scene) -> None:
    scene.rig.start(BOTH)
    for touched, under in (
        ((Touched(*SERVICE_A), Touched(Kind.SERVER, IN_A)), SERVICE_A),
        ((Touched(Kind.SERVICE), Touched(Kind.SERVER)), None),
    ):
        scene.peer.clear()
        ask(scene, *touched, under=under, deed=Deed.DELETED)
        outcomes = [one for report in scene.rig.run(0.05) for one in report.outcomes]
        assert {one.cause for one in outcomes} == {Cause(WRITER.pid, Deed.DELETED, WRITER)}
        assert {one.operation.kind for one in outcomes} == {Kind.SERVICE, Kind.SERVER}
        assert scene.weights() == {ONE: 1, TWO: 3}


def test_a_look_that_comes_before_the_deed_finds_nothing_and_the_next_poll_does(scene: Scene) -> None:
    scene.rig.start(BOTH)
    ask(scene, at(ONE), under=SERVICE_A)
    assert not [one for one in scene.rig.run(0.01) if one.outcomes]
    scene.set_weight(ONE, 7)
    ask(scene, at(ONE), under=SERVICE_A)  # the second look
    assert [one for one in scene.rig.run(0.01) if one.outcomes]


def test_a_flood_of_requests_is_a_few_reads(scene: Scene) -> None:
    scene.rig.start(BOTH)
    scene.take_changes()
    before = scene.peer.looks
    for _ in range(100):
        ask(scene, at(ONE), under=SERVICE_A, times=100)
        scene.rig.now += 0.001
        scene.rig.engine.hear()
    scene.rig.run(1.0)
    assert scene.peer.looks - before <= 4


def test_what_concerns_nothing_of_ours_is_not_looked_at(scene: Scene) -> None:
    scene.rig.start(BOTH)
    scene.rig.run(1.0)
    before = scene.peer.looks
    other = Key(Kind.SERVICE, ServiceSlot(IPV4), MEMBER._replace(port=PORT + 1))
    event = RequestEvent((Touched(*other),), other, Deed.ADDED, WRITER.pid)
    scene.rig.host.hear_requests([event], scene.rig.kernel.identify, scene.rig.now)
    assert scene.rig.run(0.5) == []
    assert scene.peer.looks == before


def test_who_does_not_say_who_he_is_is_not_taken_for_the_kernel(scene: Scene) -> None:
    scene.rig.start(BOTH)
    scene.set_weight(ONE, 7)
    event = RequestEvent((at(ONE),), SERVICE_A, Deed.CHANGED, 0)
    scene.rig.host.hear_requests([event], scene.rig.kernel.identify, scene.rig.now)
    [report] = [one for one in scene.rig.run(0.01) if one.outcomes]
    assert report.outcomes[0].cause == Cause(None, Deed.CHANGED)


def test_one_who_undoes_it_again_and_again_is_held_by_name(scene: Scene) -> None:
    scene.rig.start(BOTH, settings=Settings(fight_limit=3))
    for _ in range(5):
        scene.set_weight(ONE, 7)
        ask(scene, at(ONE), under=SERVICE_A)
        scene.rig.run(0.5)
    [hold] = [hold for hold in scene.rig.host.ledger.holds.active.values() if hold.why is Why.FIGHT]
    assert isinstance(hold.reason, Fought)
    assert hold.reason.process == WRITER


def test_other_settings_of_ipvs_make_its_poll_due(scene: Scene) -> None:
    scene.rig.start(BOTH)
    scene.set_weight(ONE, 7)
    event = RequestEvent((), None, Deed.CHANGED, WRITER.pid)
    scene.rig.host.hear_requests([event], scene.rig.kernel.identify, scene.rig.now)
    scene.rig.run(0.01)
    assert scene.weights() == {ONE: 1, TWO: 3}


def test_a_flag_of_a_scheduler_that_somebody_sets_is_put_right(scene: Scene) -> None:
    scene.rig.start(a_service(server(ONE), scheduler="sh"))
    scene.rig.run(10.0)
    scene.peer.services[KEY].flags |= SCHEDULER_2
    ask(scene, Touched(*SERVICE_A), under=SERVICE_A)
    [report] = [one for one in scene.rig.run(0.01) if one.outcomes]
    assert report.outcomes[0].cause.process == WRITER
    assert not scene.peer.services[KEY].flags & SCHEDULER_2


def test_who_asks_for_other_settings_without_end_puts_no_poll_off(scene: Scene) -> None:
    scene.rig.start(BOTH, settings=Settings(resync=1e9))
    scene.set_weight(TWO, 7)
    for _ in range(6000):
        ask(scene, under=None)
        scene.rig.now += 0.001
        scene.rig.run()
    assert scene.weights() == {ONE: 1, TWO: 3}
