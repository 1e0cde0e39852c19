"""The story of servers that begin slowly, where a check has to say first that they are up."""

from __future__ import annotations

from pathlib import Path

import pytest

from routed.model.entries import Intent, ServerSpec, Settings
from tests.property.test_services import ONE, TWO, Scene, a_service, server


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def reload(scene: Scene, *servers: ServerSpec) -> None:
    scene.rig.enforce(Intent(Settings(), (a_service(*servers, slow_start=40.0),)))


ALONE = server(ONE, weight=100)
CHECKED = server(TWO, "two", weight=100)


def test_a_new_server_with_a_check_begins_slowly_as_any_other(scene: Scene) -> None:
    reload(scene, ALONE)
    reload(scene, ALONE, CHECKED)
    assert scene.weights() == {ONE: 100}  # nobody knows yet
    scene.tell(two=True)
    assert scene.weights() == {ONE: 100, TWO: 20}
    scene.rig.run(40.1)
    assert scene.weights() == {ONE: 100, TWO: 100}


def test_so_does_one_of_which_its_check_says_nothing_at_all(scene: Scene) -> None:
    reload(scene, ALONE)
    reload(scene, ALONE, CHECKED)
    scene.rig.run(6.0)
    assert scene.weights() == {ONE: 100, TWO: 20}


def test_one_that_was_down_when_it_came_begins_when_it_is_up(scene: Scene) -> None:
    reload(scene, ALONE)
    reload(scene, ALONE, CHECKED)
    scene.tell(two=False)
    scene.rig.run(60.0)
    scene.tell(two=True)
    assert scene.weights() == {ONE: 100, TWO: 20}


def test_a_check_that_a_server_gets_later_changes_nothing_of_its_weight(scene: Scene) -> None:
    reload(scene, ALONE, server(TWO, weight=100))
    scene.rig.run(60.0)
    reload(scene, ALONE, CHECKED)
    assert scene.weights() == {ONE: 100, TWO: 100}
    scene.tell(two=True)
    assert scene.weights() == {ONE: 100, TWO: 100}
