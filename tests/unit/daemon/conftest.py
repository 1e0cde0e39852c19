"""A loop with work whose passes are what a test says."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.unit.daemon.work import Work


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def events() -> Iterator[tuple[int, int]]:
    """The two ends of what stands for the event socket: where events are read, and where they are written."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)
