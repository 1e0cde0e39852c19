"""The story of servers that the operator drains, and of drains that he pauses."""

from __future__ import annotations

from pathlib import Path

import pytest

from routed.daemon.checking import Checking
from routed.daemon.clients import Peer
from routed.daemon.control import Refused
from routed.daemon.orders import Orders
from routed.model.change import Cause
from routed.model.entries import Enforce, WhenAllDown
from routed.model.reasons import Look
from tests.property.test_drains import BOTH, begin, reload, say
from tests.property.test_services import KEY, ONE, TWO, Scene, a_service, server

FIRST, SECOND = "service/a[10.0.0.11:443]", "service/a[10.0.0.12:443]"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_what_the_operator_drains_takes_no_service_away(scene: Scene) -> None:
    scene.rig.start(a_service(*BOTH, when_all_down=WhenAllDown.REMOVE, min_healthy=2))
    scene.connect(ONE, active=3)
    say(scene, FIRST, 3600.0)
    assert scene.weights() == {ONE: 0, TWO: 3}
    say(scene, SECOND, 3600.0)
    assert scene.weights() == {ONE: 0, TWO: 0}
    assert scene.states() == ["in-sync"]


def test_checks_take_it_away_all_the_same_also_that_of_a_server_that_he_drains(scene: Scene) -> None:
    scene.rig.start(a_service(server(ONE, "one"), server(TWO, "two"), when_all_down=WhenAllDown.REMOVE))
    scene.tell(one=True, two=True)
    say(scene, FIRST, 3600.0)
    scene.tell(one=True, two=False)
    assert scene.weights() == {ONE: 0, TWO: 0}
    scene.tell(one=False)
    assert KEY not in scene.peer.services
    assert scene.states() == ["withheld"]


def pause(scene: Scene, seconds: float) -> None:
    scene.rig.host.ledger.holds.pause("service/a", "x", scene.rig.now + seconds, scene.rig.now)


def end_pause(scene: Scene) -> None:
    scene.rig.host.ledger.holds.resume("service/a")
    scene.rig.host.look_at_everything(Cause(None, Look.RESUMED))
    scene.rig.run()


def test_a_server_that_leaves_amid_a_pause_has_all_of_its_time_after_it(scene: Scene) -> None:
    begin(scene)
    pause(scene, 3600.0)
    reload(scene, a_service(server(ONE)))
    scene.rig.run(25.0)
    assert scene.weights() == {ONE: 1, TWO: 3}
    end_pause(scene)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(29.0)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(1.1)
    assert scene.weights() == {ONE: 1}


def test_one_that_drains_already_keeps_its_deadline_over_a_pause(scene: Scene) -> None:
    begin(scene)
    reload(scene, a_service(server(ONE)))
    scene.rig.run(10.0)
    pause(scene, 3600.0)
    scene.rig.run(10.0)
    end_pause(scene)
    scene.rig.run(9.0)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(1.1)
    assert scene.weights() == {ONE: 1}


def make_orders(scene: Scene) -> Orders:
    host, nothing = scene.rig.host, lambda *_: None
    checking = Checking(scene.folder / "checks.json", host, nothing, nothing)
    return Orders(host, checking, nothing, nothing, lambda: None)


@pytest.mark.parametrize(
    ("enforce", "paused", "why"),
    [
        (Enforce.REPAIR, ["service/a"], "paused: x"),
        (Enforce.REPAIR, [""], "paused: x"),
        (Enforce.OBSERVE, [], "observed only"),
        (Enforce.ONCE, [], "installed once, then left alone"),
    ],
)
def test_where_nothing_would_come_of_it_he_is_told_so(
    scene: Scene, enforce: Enforce, paused: list[str], why: str
) -> None:
    scene.rig.start(a_service(*BOTH, enforce=enforce))
    for subject in paused:
        scene.rig.host.ledger.holds.pause(subject, "x", scene.rig.now + 60.0, scene.rig.now)
    with pytest.raises(Refused) as refused:
        make_orders(scene).drain(SECOND, 60.0, "", Peer(0, 0, frozenset()))
    assert refused.value.parameters["reason"] == f"service/a is left alone: {why}"
    assert [one for one in scene.rig.host.ledger.holds.list_pauses() if "[" in one] == []
