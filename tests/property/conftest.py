"""Fixtures of the tests of IPVS."""

from __future__ import annotations

import pytest

from routed.model.change import Verb
from tests.property.ipvs_scene import (
    IN_WEB,
    ONE,
    RR,
    SLOT,
    TWO,
    UP,
    WEB,
    Scene,
)


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def web(scene: Scene) -> Scene:
    """A service of ours with two servers, read once."""
    assert scene.do(Verb.ADD, SLOT, [WEB], RR) == []
    assert scene.do(Verb.ADD, IN_WEB, [ONE, TWO], UP) == []
    assert scene.services() == {WEB: RR}
    assert scene.servers() == {ONE: UP, TWO: UP}
    scene.peer.asked.clear()
    return scene
