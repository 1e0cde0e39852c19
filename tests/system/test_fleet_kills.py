"""A fleet whose etcd is a cluster of three, while kill -9 takes servers and daemons, and a cable is cut.

Every host can ping every pod network after each change. How hosts come and go is in ``test_fleet``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from routed.daemon.memberships import ASKED
from routed.members.lines import read_kept
from tests.kernel import netns
from tests.kernel.netns import SLOWNESS, wait_until
from tests.members import etcds
from tests.system import etcd_fleet as fleet
from tests.system.etcd_fleet import FAR, NEAR, Fleet, Host, Seat

pytestmark = [
    pytest.mark.skipif(not etcds.PROGRAMS, reason="no etcd here: contrib/bootstrap brings it"),
    pytest.mark.long,
    pytest.mark.timeout(1800 * SLOWNESS),
]

MANY = int(os.environ.get("ROUTED_FLEET", "50"))
MISSED = ("node3", "node6")  # those of the first six who are far
AT_ONCE = 4  # daemons that start together
PATIENCE = 120.0  # seconds; half a hundred daemons share two processors
TTL = "120s"  # longer than anything here lasts, but for those who are to be missed


@pytest.fixture
def network() -> None:
    """Each host has its own."""


@pytest.fixture
def some(tmp_path: Path) -> Iterator[Fleet]:
    with fleet.network(tmp_path) as made:
        made.options = 'max_loss = "off"'  # hosts leave one after another, and soon
        made.seat_servers()
        yield made


def add(some: Fleet, numbers: Iterable[int], ttl: str = TTL) -> None:
    for group in fleet.spread(numbers, AT_ONCE):
        some.add(*group, on_stop="remove", ttl=ttl)


def assert_whole(some: Fleet) -> None:
    """Each host has a way to each other one, and an answer comes back."""
    some.wait_until_whole(PATIENCE)
    some.assert_everybody_reaches_everybody()


def kill_while_a_host_joins(some: Fleet, seat: Seat, number: int) -> None:
    """And it leaves when that server is there again."""
    seat.server.kill()
    assert_whole(some)  # nothing goes for it
    add(some, [number])
    assert_whole(some)
    seat.start()
    some.wait_for_servers()
    some.remove(number)
    assert_whole(some)


def find_leader(some: Fleet) -> Seat:
    (leader,) = [seat for seat in some.seats if seat.leads()]
    return leader


def kill_daemons(some: Fleet, hosts: Iterable[Host], meanwhile: Callable[[], None] = lambda: None) -> None:
    """They know the way as long as they are away, and when they are back; with what is done meanwhile."""
    killed = list(hosts)
    before = {host.number: host.routes() for host in killed}
    for host in killed:
        host.daemon.kill()
    assert {host.number: host.routes() for host in killed} == before
    some.assert_everybody_reaches_everybody()
    meanwhile()
    start(killed)
    assert_whole(some)


def start(hosts: Iterable[Host]) -> None:
    numbered = {host.number: host for host in hosts}
    for numbers in fleet.spread(numbered, AT_ONCE):
        group = [numbered[number] for number in numbers]
        for host in group:
            with netns.inside(host.namespace):
                host.daemon.launch()
        for host in group:
            host.daemon.wait_until_ready()


def cut_the_cable(some: Fleet, newcomer: int) -> None:
    """The far side has one server of three, and so no quorum: it keeps what it knows, and the other side goes on."""
    before = {host.number: host.routes() for host in some.hosts.values()}
    some.cut()
    far, near = some.list_side(FAR), some.list_side(NEAR)
    wait_until(lambda: all("says nothing" in str(host.daemon.records("source-failed")) for host in far), PATIENCE)
    add(some, [newcomer])
    joined = some.hosts[newcomer]
    wait_until(lambda: all(f"10.5.{newcomer}.0/24" in host.routes() for host in near), PATIENCE)
    assert {host.number: host.routes() for host in far} == {host.number: before[host.number] for host in far}
    some.assert_everybody_reaches_everybody(far)
    some.assert_everybody_reaches_everybody([*near, joined])
    some.mend()
    some.wait_for_servers()
    assert_whole(some)
    some.remove(newcomer)
    assert_whole(some)


def boot_without_etcd(some: Fleet) -> None:
    """All hosts at once, and no server answers until they know each other by what they kept."""
    hosts = list(some.hosts.values())
    wait_until(lambda: all(has_kept(host, hosts) for host in hosts), PATIENCE)
    for seat in some.seats:
        seat.server.kill()
    for host in hosts:
        host.daemon.kill()
        with netns.inside(host.namespace):
            netns.ip("route flush proto 114")
    assert not any(host.routes() for host in hosts)
    start(hosts)
    assert_whole(some)
    for seat in some.seats:
        seat.start()
    some.wait_for_servers()
    wait_until(lambda: all("says" not in host.daemon.status()["state"] for host in hosts), PATIENCE)
    assert_whole(some)


def has_kept(host: Host, everybody: Iterable[Host]) -> bool:
    """These and nobody else? A second may pass until a change is on disk."""

    def parse(text: str) -> dict[str, Any]:
        return {key: value for key, value in json.loads(text).items() if key != ASKED}

    kept = read_kept((host.daemon.state / "members/fleet.json").read_bytes(), parse)
    return {member.name for member in kept.members} == {f"node{one.number}" for one in everybody}


def go_through_all(some: Fleet, newcomers: Iterator[int]) -> None:
    """Every kill there is, and a boot of all."""
    for seat in some.seats:
        kill_while_a_host_joins(some, seat, next(newcomers))
    kill_while_a_host_joins(some, find_leader(some), next(newcomers))
    hosts = list(some.hosts.values())
    kill_daemons(some, hosts[::3])
    kill_daemons(some, hosts[1::3], lambda: add(some, [next(newcomers)]))
    kill_daemons(some, hosts)
    cut_the_cable(some, next(one for one in newcomers if fleet.find_side(one) == NEAR))
    boot_without_etcd(some)


def test_six_hosts_and_every_kill_there_is(some: Fleet) -> None:
    add(some, range(1, 7))
    assert_whole(some)
    go_through_all(some, iter(range(101, 200)))


def test_fifty_hosts_and_every_kill_there_is_twice(some: Fleet) -> None:
    add(some, range(1, MANY + 1))
    assert_whole(some)
    newcomers = iter(range(101, 200))
    for _ in range(2):
        go_through_all(some, newcomers)


def test_a_side_that_is_away_for_longer_than_its_lease_stays_as_long_as_the_file_says(some: Fleet) -> None:
    some.options = 'max_loss = "off"\ngone_after = "10m"'
    add(some, range(1, 7), ttl="10s")
    assert_whole(some)
    before = {host.number: host.routes() for host in some.hosts.values()}
    near, far = some.list_side(NEAR), some.list_side(FAR)
    some.cut()

    def are_missed() -> bool:
        shown = [host.daemon.ask("members").out for host in near]
        return all(line.endswith("going") for text in shown for line in text.splitlines() if line[:5] in MISSED)

    wait_until(are_missed, PATIENCE)
    assert {host.number: host.routes() for host in some.hosts.values()} == before
    some.mend()
    some.wait_for_servers()
    wait_until(lambda: not any("going" in host.daemon.ask("members").out for host in near), PATIENCE)
    assert all(host.daemon.entry("route/pods")["state"] == "in-sync" for host in (*near, *far))
    assert {host.number: host.routes() for host in some.hosts.values()} == before
    some.assert_everybody_reaches_everybody()
