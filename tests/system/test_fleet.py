"""Hosts of a fleet register themselves in etcd, and each has a route to the pod network of each other one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel import netns
from tests.kernel.netns import wait_until
from tests.members import etcds
from tests.system import etcd_fleet as fleet
from tests.system.etcd_fleet import Fleet

pytestmark = pytest.mark.skipif(not etcds.PROGRAMS, reason="no etcd here: contrib/bootstrap brings it")


@pytest.fixture
def network() -> None:
    """Each host has its own."""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Fleet, etcds.Cluster]]:
    with fleet.running(tmp_path) as running:
        yield running


def test_hosts_come_and_go_and_everybody_reaches_everybody(hosts: tuple[Fleet, etcds.Cluster]) -> None:
    some, _ = hosts
    some.add(1, 2, 3, on_stop="remove")
    some.wait_until_whole()
    some.assert_everybody_reaches_everybody()
    some.add(4, 5, on_stop="remove")
    some.wait_until_whole()
    some.assert_everybody_reaches_everybody()
    some.remove(4)
    some.wait_until_whole()
    some.assert_everybody_reaches_everybody()


@pytest.mark.long
def test_a_host_that_dies_keeps_its_routes_until_its_time_is_over_and_one_that_comes_back_changes_nothing(
    hosts: tuple[Fleet, etcds.Cluster],
) -> None:
    some, _ = hosts
    first, second, third = some.add(1, 2, 3)
    some.wait_until_whole()
    second.daemon.kill()
    assert some.is_whole()
    with netns.inside(second.namespace):
        second.daemon.start()
    some.wait_until_whole()
    assert first.daemon.records("members-changed")[-1]["message"].endswith("3 members now")
    third.daemon.kill()
    del some.hosts[3]
    some.wait_until_whole(40)


def test_while_etcd_is_away_everything_stays_also_over_a_restart(hosts: tuple[Fleet, etcds.Cluster]) -> None:
    some, cluster = hosts
    first, *_ = some.add(1, 2, 3)
    some.wait_until_whole()
    kept = first.daemon.state / "members/fleet.json"
    wait_until(lambda: all(f"node{number}" in kept.read_text() for number in some.hosts))
    (server,) = cluster.servers
    server.kill()
    wait_until(lambda: "says nothing" in str(first.daemon.records("source-failed")), 30)
    first.daemon.kill()
    with netns.inside(first.namespace):
        for route in first.routes():
            netns.ip(f"route del {route}")  # as after a boot
        first.daemon.start()
    some.wait_until_whole()
    some.assert_everybody_reaches_everybody()
    assert first.daemon.status()["state"].startswith("source/fleet: ")
    with netns.inside(some.middle):
        server.start()
    some.add(4)
    some.wait_until_whole(30)


@pytest.mark.long
def test_a_host_that_joins_is_reached_soon(hosts: tuple[Fleet, etcds.Cluster]) -> None:
    some, _ = hosts
    first, *_ = some.add(1, 2, 3)
    some.wait_until_whole()
    began = time.monotonic()
    some.add(9)
    wait_until(lambda: "10.5.9.0/24" in first.routes(), 10)
    assert time.monotonic() - began < 60  # how soon is measured elsewhere
    assert first.list_unreached([some.hosts[9]]) == {}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_three_hosts_become_fifty_and_three_again(hosts: tuple[Fleet, etcds.Cluster]) -> None:
    """Twice: the second time etcd is away at first, and the hosts know each other from before a boot."""
    some, cluster = hosts
    (server,) = cluster.servers
    some.add(1, 2, 3, on_stop="remove", ttl="60s")
    for group in fleet.spread(range(4, 51), 8):
        some.add(*group, on_stop="remove", ttl="60s")
    some.wait_until_whole(60)
    some.assert_everybody_reaches_everybody()
    server.kill()
    for host in some.hosts.values():
        host.daemon.kill()
        with netns.inside(host.namespace):
            netns.ip("route flush proto 114")
            host.daemon.launch()
    some.wait_until_whole(60)
    with netns.inside(some.middle):
        server.start()
    wait_until(lambda: all("says" not in host.daemon.status()["state"] for host in some.hosts.values()), 60)
    for number in range(4, 51):
        some.remove(number)
    rest = list(some.hosts.values())
    wait_until(lambda: all("members would go" in host.daemon.status()["state"] for host in rest), 60)
    assert len(rest[0].routes()) > len(rest)  # nobody goes before the operator says so

    def let_go() -> bool:
        for host in rest:
            with netns.inside(host.namespace):
                host.daemon.ask("apply", "--force")
        return some.is_whole()

    wait_until(let_go, 60)
    some.assert_everybody_reaches_everybody()
