"""The story of services whose state folder takes nothing any more: what their checks say still decides."""

from __future__ import annotations

from collections.abc import Iterator
from errno import ENOSPC
from pathlib import Path
from unittest.mock import patch

import pytest

from routed.core.troubles import State
from routed.daemon.claims import ClaimsFile
from tests.property.test_services import ONE, TWO, Scene, a_service, server


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Both servers are up, and from then on the disk is full."""
    scene = Scene(tmp_path)
    scene.rig.start(a_service(server(ONE, "one"), server(TWO, "two")))
    scene.tell(one=True, two=True)
    full = OSError(ENOSPC, "No space left on device")
    with patch.object(ClaimsFile, "append", side_effect=full), patch.object(ClaimsFile, "replace", side_effect=full):
        yield scene


def test_a_server_whose_check_is_down_gets_no_new_connections(scene: Scene) -> None:
    scene.tell(one=True, two=False)
    assert scene.weights() == {ONE: 1, TWO: 0}
    assert not scene.rig.host.ledger.troubles.has("service/a", State.FAILED)
    scene.tell(two=True)
    assert scene.weights() == {ONE: 1, TWO: 1}
    scene.tell(two=False)
    scene.rig.run(31.0)
    assert scene.weights() == {ONE: 1}


def test_a_new_server_waits_for_room_and_status_says_so(scene: Scene) -> None:
    scene.tell(one=True, two=False)
    scene.rig.run(31.0)
    scene.tell(two=True)
    assert scene.weights() == {ONE: 1}
    assert scene.rig.host.ledger.troubles.has("service/a", State.FAILED)
