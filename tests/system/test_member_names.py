"""DNS as a source of members: the daemon as a process, and a real server that is away, errs, hangs and knows nobody."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.kernel.netns import wait_until
from tests.system.daemon import Daemon
from tests.system.host import shown
from tests.system.nameserver import ZONE, NameServer, host, target

ROUTE = """
[[route]]
name = "caches"
for_each = "@fleet"
to = "{address}/32"
via = "10.0.0.254"
"""
HOSTS = "hosts = [" + ", ".join(f'"c{number}.{ZONE}"' for number in range(2, 6)) + "]"
SRV = f'srv = "_cache._tcp.{ZONE}"'


@pytest.fixture
def server(daemon: Daemon) -> Iterator[NameServer]:
    """In the namespace of the daemon."""
    server = NameServer()
    try:
        yield server
    finally:
        server.stop()


def a_source(what: str, more: str = 'max_loss = "off"') -> str:
    return f"""
[[source]]
name = "fleet"
type = "dns"
{what}
servers = ["127.0.0.1"]
every = "1s"
timeout = "300ms"
addresses_within = ["10.9.0.0/24"]
{more}
{ROUTE}"""


def routes() -> set[int]:
    """The numbers of the members that have their route."""
    return {one for one in range(2, 6) if shown(f"10.9.0.{one}")}


def the_source(daemon: Daemon) -> str:
    return daemon.ask("members").out.splitlines()[0]


def test_nobody_goes_for_an_error_of_a_server_and_whoever_it_does_not_know_any_more_does(
    daemon: Daemon, server: NameServer
) -> None:
    server.serve(host(2), host(3), host(4))
    daemon.start(a_source(HOSTS))
    assert routes() == {2, 3, 4}
    server.serve(host(2), host(4), host(5))
    wait_until(lambda: routes() == {2, 4, 5})
    for fail, words in (
        (server.stop, "127.0.0.1 cannot be asked: Connection refused"),
        (server.refuse, "REFUSED from 127.0.0.1: see the log of that server"),
        (server.err, "SERVFAIL from 127.0.0.1: see the log of that server"),
        (server.hang, "no answer from 127.0.0.1 in 0.3 s"),
    ):
        fail()
        wait_until(lambda words=words: words in the_source(daemon))  # type: ignore[misc]
        assert "stale" in the_source(daemon)
        assert routes() == {2, 4, 5}
    assert "source/fleet: c2.example.internal: A of c2.example.internal: no answer" in daemon.status()["state"]
    server.serve(host(2))
    wait_until(lambda: routes() == {2})
    assert the_source(daemon).startswith("source/fleet  live for")


def test_when_a_server_knows_nobody_they_stay_until_the_operator_lets_them_go(
    daemon: Daemon, server: NameServer
) -> None:
    server.serve(host(2), host(3))
    daemon.start(a_source(HOSTS))
    assert routes() == {2, 3}
    server.serve()
    wait_until(lambda: the_source(daemon).startswith("source/fleet  held"))
    assert "it tells of no member at all any more" in the_source(daemon)
    assert routes() == {2, 3}
    assert daemon.ask("members").code == 4
    assert daemon.ask("apply", "--force").code == 0
    wait_until(lambda: routes() == set())


def test_where_the_file_says_so_nobody_is_nobody(daemon: Daemon, server: NameServer) -> None:
    server.serve(target(2), host(2))
    daemon.start(a_source(SRV, 'max_loss = "off"\non_empty = "apply"'))
    assert routes() == {2}
    server.serve()
    wait_until(lambda: routes() == set())


def test_the_targets_of_a_service_are_members_of_the_lowest_priority(daemon: Daemon, server: NameServer) -> None:
    hosts = [host(number) for number in range(2, 6)]
    server.serve(*hosts, target(2), target(3), target(4, priority=1), target(5, priority=2))
    daemon.start(a_source(SRV))
    assert routes() == {2, 3}
    told = json.loads(daemon.ask("members", "fleet", "--json").out)["members"]
    assert [(one["name"], one["port"], one["weight"]) for one in told] == [
        (f"c2.{ZONE}", 8080, 5),
        (f"c3.{ZONE}", 8080, 5),
    ]
    server.serve(*hosts, target(4, priority=1), target(5, priority=2))
    wait_until(lambda: routes() == {4})


def test_a_service_of_sixty_targets_does_not_fit_a_datagram_and_is_read_all_the_same(
    daemon: Daemon, server: NameServer
) -> None:
    numbers = range(2, 62)
    server.serve(*map(host, numbers), *map(target, numbers))
    daemon.start(a_source(SRV))
    wait_until(lambda: len(json.loads(daemon.ask("members", "fleet", "--json").out)["members"]) == 60)
    wait_until(lambda: bool(shown("10.9.0.61")))


@pytest.mark.parametrize("what", [HOSTS, SRV])
def test_after_a_boot_without_its_server_they_are_those_of_before(
    daemon: Daemon, server: NameServer, what: str
) -> None:
    server.serve(host(2), host(3), target(2), target(3))
    daemon.start(a_source(what))
    assert routes() == {2, 3}
    wait_until((daemon.state / "members" / "fleet.json").exists)
    daemon.kill()
    daemon.forget()
    server.hang()
    subprocess.run(["ip", "route", "flush", "proto", "114"], check=True)
    assert routes() == set()
    daemon.start()
    assert routes() == {2, 3}
    wait_until(lambda: "no answer from 127.0.0.1" in the_source(daemon))
    assert the_source(daemon).startswith("source/fleet  cached for")
    server.serve(host(3), target(3))
    wait_until(lambda: routes() == {3})
