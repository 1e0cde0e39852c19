"""Memory after the start: what is alive stays out of the collector's way, and the collector is at work."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from routed.daemon import memory


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_after_the_start_the_collector_is_at_work_and_leaves_alone_what_is_there() -> None:
    gc.disable()
    memory.settle_down()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000
