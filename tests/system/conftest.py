"""Fixtures of the tests that run the daemon as a process, each in a network namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel import netns
from tests.system.daemon import Daemon
from tests.system.monitor import Monitor


@pytest.fixture
def network() -> Iterator[None]:
    """Two veth pairs: v0 with 10.0.0.1/24 and fd00::1/64, v1 with 10.1.0.1/24 and fd01::1/64."""
    with netns.private_network():
        netns.veth("v0", "10.0.0.1/24", "fd00::1/64")
        netns.veth("v1", "10.1.0.1/24", "fd01::1/64")
        netns.wait_until_quiet(links=4)
        yield


@pytest.fixture
def daemon(network: None, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that a test starts; it is gone afterwards."""
    daemon = Daemon(tmp_path)
    try:
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def monitor(network: None) -> Iterator[Monitor]:
    """Hears every change of addresses, routes and rules."""
    monitor = Monitor()
    yield monitor
    monitor.close()
