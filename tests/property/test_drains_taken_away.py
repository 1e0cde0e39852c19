"""The story of a service that leaves, amid which somebody else takes away what drains, or only a part is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from routed.core.dirt import Dirt
from routed.daemon.status import count_states
from routed.model.change import Cause, Verb
from routed.model.entries import Intent, Requirement, Settings
from routed.model.net import IPV4
from routed.model.objects import Kind, Scope
from routed.model.reasons import Look
from tests.property.rig import a_route, route_key, via
from tests.property.test_drains import BOTH, DRAINS, begin, reload
from tests.property.test_drains_guard import at
from tests.property.test_services import CHANGES, KEY, ONE, TWO, Scene, a_service, server

WAY = a_route("vip", "10.0.0.1/32", (via("192.0.2.2", "v0"),))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def leave(scene: Scene) -> list[str]:
    """The service leaves with the way to it, and TWO drains. What is asked of the kernel from now on."""
    scene.rig.start(a_service(*BOTH, drain=600.0), WAY)
    scene.connect(TWO, active=1)
    reload(scene)
    scene.rig.run(3.0)
    assert scene.weights() == {TWO: 0}
    order: list[str] = []
    scene.peer.before = lambda command: order.append("ipvs") if command in CHANGES else None
    scene.rig.kernel.inspect = lambda verb, *_: order.append("route") if verb is Verb.DELETE else None
    return order


def look_at_servers(scene: Scene) -> None:
    """And at nothing else."""
    dirt = Dirt()
    dirt.add_scopes([Scope(Kind.SERVER, IPV4)], Cause(None, Look.POLLED))
    scene.rig.settle(dirt)
    scene.rig.run()


def drop_servers(scene: Scene) -> None:
    """``ipvsadm -d``."""
    scene.peer.services[KEY].dests.clear()


def drop_service(scene: Scene) -> None:
    """``ipvsadm -D``."""
    del scene.peer.services[KEY]


@pytest.mark.parametrize(("take", "asked"), [(drop_servers, ["route", "ipvs"]), (drop_service, ["route"])])
def test_what_somebody_else_took_away_is_over_and_the_way_goes_before_the_service(
    scene: Scene, take: Callable[[Scene], None], asked: list[str]
) -> None:
    order = leave(scene)
    take(scene)
    scene.rig.run(10.0)
    assert order == asked
    assert not scene.peer.services
    assert not scene.rig.host.ledger.troubles
    assert not (scene.folder / DRAINS).exists()
    scene.rig.run(600.0)
    assert order == asked


def test_of_many_services_that_somebody_emptied_none_stays(scene: Scene) -> None:
    scene.rig.start(*(at(port, server(ONE)) for port in range(1, 41)))
    scene.connect(ONE, active=1)
    scene.rig.enforce(Intent(Settings(), (at(1, server(ONE)),)), is_forced=True)
    scene.rig.run(3.0)
    for service in scene.peer.services.values():
        service.dests.clear()
    scene.rig.run(10.0)
    assert len(scene.peer.services) == 1
    assert "draining" not in count_states(scene.rig.host)


def test_a_server_taken_away_from_a_service_that_stays_is_simply_gone(scene: Scene) -> None:
    begin(scene)
    reload(scene, a_service(server(ONE)))
    for place in [place for place in scene.peer.services[KEY].dests if place[1] == TWO]:
        del scene.peer.services[KEY].dests[place]
    scene.take_changes()
    scene.rig.run(60.0)
    assert scene.take_changes() == []
    assert not scene.rig.host.ledger.drains


def test_where_servers_alone_are_looked_at_the_way_goes_first_all_the_same(scene: Scene) -> None:
    order = leave(scene)
    scene.connect(TWO)
    look_at_servers(scene)
    scene.rig.run(20.0)
    assert order == ["route", "ipvs", "ipvs"]
    assert not scene.peer.services


def test_where_servers_alone_are_looked_at_the_services_go_too(scene: Scene) -> None:
    scene.rig.start(*(at(port, server(ONE)) for port in range(1, 41)))
    scene.connect(ONE, active=1)
    scene.rig.enforce(Intent(Settings(max_deletes=0.2), (at(1, server(ONE)),)), is_forced=True)
    scene.rig.run(10.0)
    scene.connect(ONE)
    look_at_servers(scene)
    scene.rig.run(20.0)
    assert len(scene.peer.services) == 1
    assert not scene.rig.host.ledger.troubles


def test_a_way_that_its_check_takes_away_waits_for_no_drain_since_it_stands_elsewhere_by_then(scene: Scene) -> None:
    way = replace(WAY, requires=(Requirement("alive"),))
    scene.rig.start(a_service(*BOTH, drain=600.0), way)
    scene.tell(alive=True)
    scene.connect(TWO, active=1)
    scene.rig.enforce(Intent(Settings(), (way,)))
    assert scene.weights() == {TWO: 0}
    scene.tell(alive=False)
    assert not scene.rig.kernel.standing(route_key("10.0.0.1/32"))
    assert scene.weights() == {TWO: 0}
