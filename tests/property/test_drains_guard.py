"""The story of servers that leave: too many at once are held, also where what leaves would stay a while to drain."""

from __future__ import annotations

from pathlib import Path

import pytest

from routed.daemon.status import count_states
from routed.model import ipvs
from routed.model.entries import DEFAULT_DRAIN, Intent, Listen, ServerSpec, ServiceEntry, Settings
from tests.property.rig import ORIGIN, a_route, via
from tests.property.test_services import ONE, TWO, VIP, Scene, a_service, server


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def at(port: int, *servers: ServerSpec, drain: float = DEFAULT_DRAIN) -> ServiceEntry:
    listens = (Listen(ipvs.TCP, VIP, port),)
    name = f"service/{port}"
    return ServiceEntry(name=name, origin=ORIGIN, listens=listens, scheduler="rr", servers=servers, drain=drain)


def empty(scene: Scene, *, is_forced: bool = False) -> None:
    """The files are empty from now on."""
    scene.rig.enforce(Intent(Settings(), ()), is_forced=is_forced)


@pytest.mark.parametrize("weight", [0, 1])
@pytest.mark.parametrize("connected", [0, 1])
def test_files_that_got_empty_take_nothing_away_whether_anything_is_connected_or_not(
    scene: Scene, weight: int, connected: int
) -> None:
    scene.rig.start(*(at(port, server(ONE, weight=weight)) for port in range(1, 41)))
    scene.connect(ONE, active=connected)
    before = {key: dict(one.dests) for key, one in scene.peer.services.items()}
    empty(scene)
    scene.rig.run(60.0)
    assert {key: one.dests for key, one in scene.peer.services.items()} == before
    assert not scene.rig.host.ledger.drains
    empty(scene, is_forced=True)
    assert len(scene.rig.host.ledger.drains) == 40 * connected
    scene.rig.run(60.0)
    assert not scene.peer.services
    assert not scene.rig.host.ledger.troubles


def test_what_the_guard_holds_is_not_shown_as_draining_nor_is_the_way_to_it(scene: Scene) -> None:
    way = a_route("vip", "10.0.0.1/32", (via("192.0.2.2", "v0"),))
    scene.rig.start(*(at(port, server(ONE), server(TWO)) for port in range(1, 41)), way)
    scene.connect(ONE, active=1)
    empty(scene)
    assert not count_states(scene.rig.host).get("draining")
    scene.rig.run(60.0)
    assert not count_states(scene.rig.host).get("draining")
    assert len(scene.peer.services) == 40


def test_what_drains_already_goes_on_while_something_else_is_held(scene: Scene) -> None:
    many = [server(bytes([10, 0, 0, number])) for number in range(11, 71)]
    scene.rig.start(a_service(*many))
    for one in many:
        scene.connect(one.address, active=1)
    scene.rig.enforce(Intent(Settings(), (a_service(*many[1:]),)))
    scene.set_weight(many[0].address, 1)  # somebody else
    scene.rig.enforce(Intent(Settings(), (a_service(*many[50:]),)))
    assert {address for address, weight in scene.weights().items() if not weight} == {many[0].address}
    scene.rig.run(31.0)
    assert len(scene.weights()) == 59


@pytest.mark.parametrize(("drain", "draining"), [(0.0, set()), (600.0, {600.0})])
def test_what_was_held_drains_for_as_long_as_its_own_service_said(
    scene: Scene, drain: float, draining: set[float]
) -> None:
    scene.rig.start(*(at(port, server(ONE), drain=drain) for port in range(1, 41)))
    scene.connect(ONE, active=1)
    empty(scene)
    empty(scene)
    empty(scene, is_forced=True)
    assert {one.until - one.since for one in scene.rig.host.ledger.drains.values()} == draining
    scene.rig.run(601.0)
    assert not scene.peer.services
    empty(scene)
    assert not scene.rig.host.wanted.patience


def test_a_pause_over_two_reloads_changes_nothing_of_that(scene: Scene) -> None:
    scene.rig.start(at(1, server(ONE), drain=600.0))
    scene.connect(ONE, active=1)
    scene.rig.host.ledger.holds.pause("", "x", scene.rig.now + 60.0, scene.rig.now)
    empty(scene)
    empty(scene)
    scene.rig.host.ledger.holds.resume("")
    scene.rig.resync()
    assert {one.until - one.since for one in scene.rig.host.ledger.drains.values()} == {600.0}
