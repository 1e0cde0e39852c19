"""The story of servers in a service that somebody else made just as it is written: what a check says holds there too.

What is taken from him for that is his again when the entry goes, or when no check says it any more and he had it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from routed.core.dirt import Dirt
from routed.daemon.reconcile import STOPPED
from routed.model.entries import Enforce, Intent, OnConflict, OnFail, ServiceEntry, Settings, WhenAllDown
from tests.property.test_drains import say
from tests.property.test_services import (
    CHANGES,
    KEY,
    ONE,
    TWO,
    Scene,
    a_service,
    put_by_another,
    server,
)

WAYS: dict[str, tuple[dict[str, Any], dict[bytes, int]]] = {  # of the entry → what stands of ONE, which is down
    "removed": ({"on_fail": OnFail.REMOVE}, {}),
    "drained": ({"on_fail": OnFail.DRAIN, "remove_after": 1e6}, {ONE: 0}),
    "drained, then removed": ({"on_fail": OnFail.DRAIN, "remove_after": 0.0}, {}),
    "hashed": ({"scheduler": "sh"}, {}),
}
HIS = {ONE: 1, TWO: 1}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def an_entry(**more: Any) -> ServiceEntry:
    return a_service(server(ONE, "one"), server(TWO, "two"), **{"on_conflict": OnConflict.REFUSE, **more})


def begin(scene: Scene, entry: ServiceEntry) -> None:
    """His service does its work, and nothing in it was touched."""
    put_by_another(scene, ONE, TWO, scheduler=entry.scheduler)
    scene.rig.start(entry)
    scene.tell(one=True, two=True)
    assert scene.take_changes() == []


def enforce(scene: Scene, *entries: ServiceEntry) -> None:
    scene.rig.enforce(Intent(Settings(), entries))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_killed", [False, True])
def test_one_that_is_down_gets_no_new_connections_and_is_his_again_when_the_entry_goes(
    scene: Scene, way: str, is_killed: bool
) -> None:
    more, left = WAYS[way]
    begin(scene, an_entry(**more))
    scene.tell(one=False)
    assert scene.weights() == left | {TWO: 1}
    assert scene.states() == ["in-sync"]
    assert scene.rig.plan_is_empty()
    if is_killed:
        scene.begin()
        scene.rig.start()
    else:
        enforce(scene)
    assert scene.weights() == HIS
    assert scene.rig.plan_is_empty()
    assert not scene.rig.host.ledger.displaced
    del scene.peer.services[KEY].dests[next(iter(scene.peer.services[KEY].dests))]  # it is his to take away
    scene.rig.resync()
    assert len(scene.weights()) == 1


@pytest.mark.parametrize("way", WAYS)
def test_one_that_is_up_again_is_as_written_and_stays_his(scene: Scene, way: str) -> None:
    begin(scene, an_entry(**WAYS[way][0]))
    for _ in range(3):
        scene.tell(one=False)
        scene.tell(one=True)
        assert scene.weights() == HIS
        assert scene.rig.plan_is_empty()
    scene.begin()
    scene.rig.start(an_entry(**WAYS[way][0]))
    scene.take_changes()
    enforce(scene)
    assert scene.weights() == HIS
    assert scene.take_changes() == []  # whose it is is a matter of the claim


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_carried_out", [False, True])
@pytest.mark.parametrize("fatal", [1, 2, 3])
def test_a_kill_at_any_request_takes_nothing_from_him(scene: Scene, way: str, is_carried_out: bool, fatal: int) -> None:
    entry = an_entry(**WAYS[way][0])
    begin(scene, entry)
    seen: list[int] = []

    def die(command: int) -> None:
        if command in CHANGES:
            seen.append(command)

    def die_after() -> None:
        if len(seen) >= fatal:
            raise KeyboardInterrupt

    def die_before(command: int) -> None:
        die(command)
        if len(seen) >= fatal:
            raise KeyboardInterrupt

    scene.peer.before, scene.peer.after = (die, die_after) if is_carried_out else (die_before, lambda: None)
    try:
        scene.tell(one=False)
        scene.tell(one=True)
        scene.tell(one=False)
        enforce(scene)
    except KeyboardInterrupt:
        pass
    scene.peer.before, scene.peer.after = (lambda _: None), (lambda: None)
    scene.begin()
    scene.rig.start()
    assert scene.weights() == HIS
    assert not scene.rig.host.ledger.displaced


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_leaves_the_file_while_it_is_down_is_his_again(scene: Scene, way: str) -> None:
    more = WAYS[way][0]
    begin(scene, an_entry(**more))
    scene.tell(one=False)
    enforce(scene, a_service(server(TWO, "two"), on_conflict=OnConflict.REFUSE, **more))
    assert scene.weights() == HIS


@pytest.mark.parametrize("way", WAYS)
def test_what_he_has_otherwise_than_it_is_written_is_not_touched(scene: Scene, way: str) -> None:
    begin(scene, an_entry(**WAYS[way][0]))
    scene.set_weight(ONE, 7)
    scene.rig.run(5.1)
    assert scene.states() == ["conflict"]
    scene.tell(one=False)
    assert scene.weights() == {ONE: 7, TWO: 1}
    assert scene.states() == ["conflict"]
    scene.set_weight(ONE, 1)
    scene.rig.run(5.1)
    assert scene.weights() == WAYS[way][1] | {TWO: 1}


@pytest.mark.parametrize("way", WAYS)
def test_in_a_service_that_differs_nothing_is_touched(scene: Scene, way: str) -> None:
    put_by_another(scene, ONE, TWO, scheduler="wlc")
    scene.rig.start(an_entry(**WAYS[way][0]))
    scene.tell(one=False, two=True)
    assert scene.weights() == HIS
    assert scene.states() == ["conflict"]
    assert scene.take_changes() == []


def test_one_that_he_puts_again_is_removed_again(scene: Scene) -> None:
    begin(scene, an_entry(on_fail=OnFail.REMOVE))
    scene.tell(one=False)
    dests = scene.peer.services[KEY].dests
    dests[2, ONE, KEY[3]] = dict(next(iter(dests.values())))
    scene.rig.run(5.1)
    assert scene.weights() == {TWO: 1}
    enforce(scene)
    assert scene.weights() == HIS


@pytest.mark.parametrize("way", WAYS)
def test_a_service_that_he_took_away_is_ours_from_then_on_and_nothing_is_given_back_into_it(
    scene: Scene, way: str
) -> None:
    begin(scene, an_entry(**WAYS[way][0]))
    scene.tell(one=False)
    scene.peer.clear()
    scene.rig.run(5.1)
    assert TWO in scene.weights()
    assert not scene.rig.host.ledger.displaced
    enforce(scene)
    assert scene.peer.services == {}


@pytest.mark.parametrize("way", WAYS)
def test_a_service_that_he_took_away_while_no_daemon_ran_is_not_waited_for(scene: Scene, way: str) -> None:
    begin(scene, an_entry(**WAYS[way][0]))
    scene.tell(one=False)
    scene.peer.clear()
    scene.begin()
    scene.rig.start()
    scene.rig.run(60.0)
    assert scene.peer.services == {}
    assert not scene.rig.host.ledger.displaced
    assert not scene.rig.host.ledger.troubles


@pytest.mark.parametrize("way", WAYS)
def test_without_a_server_that_is_up_his_service_is_as_he_made_it_where_ours_would_go(scene: Scene, way: str) -> None:
    begin(scene, an_entry(when_all_down=WhenAllDown.REMOVE, **WAYS[way][0]))
    scene.tell(one=False)
    scene.tell(two=False)
    assert scene.weights() == HIS
    assert scene.states() == ["withheld"]


@pytest.mark.parametrize("way", WAYS)
def test_when_the_daemon_stops_and_takes_away_what_is_its_own_he_has_his(scene: Scene, way: str) -> None:
    begin(scene, an_entry(**WAYS[way][0]))
    scene.tell(one=False)
    scene.rig.host.enforce(Intent(Settings(), ()), scene.rig.now)
    for _ in scene.rig.reconciler.reconcile(Dirt(everything=STOPPED)):
        pass
    assert scene.weights() == HIS


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("enforced", [Enforce.OBSERVE, Enforce.ONCE])
def test_what_is_only_looked_at_is_not_touched(scene: Scene, way: str, enforced: Enforce) -> None:
    begin(scene, an_entry(enforce=enforced, **WAYS[way][0]))
    scene.tell(one=False)
    assert scene.weights() == HIS
    assert scene.states() == ["drift"]


def test_with_replace_all_is_ours_and_nothing_is_given_back(scene: Scene) -> None:
    entry = an_entry(on_conflict=OnConflict.REPLACE, on_fail=OnFail.REMOVE)
    put_by_another(scene, ONE, TWO)
    scene.rig.start(entry)
    scene.tell(one=False, two=True)
    assert scene.weights() == {TWO: 1}
    assert not scene.rig.host.ledger.displaced
    enforce(scene)
    assert scene.peer.services == {}


@pytest.mark.parametrize("way", WAYS)
def test_so_it_is_with_one_that_the_operator_drains(scene: Scene, way: str) -> None:
    begin(scene, an_entry(**WAYS[way][0]))
    say(scene, "service/a[10.0.0.11:443]", 3600.0)
    assert scene.weights() == ({} if way == "hashed" else {ONE: 0}) | {TWO: 1}
    enforce(scene)
    assert scene.weights() == HIS
