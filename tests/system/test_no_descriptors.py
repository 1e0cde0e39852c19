"""A daemon that is out of descriptors: it goes on with what it can do, says so once, obeys, and recovers."""

from __future__ import annotations

import resource

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon, cpu_seconds

FILE = """
[[route]]
to = "192.0.2.0/24"
via = "10.0.0.2"
[[route]]
to = "192.0.3.0/24"
via = "10.0.0.2"
[[vip]]
address = "10.103.97.2"
node = "10.1.0.1"
when = "always"
"""


TAKEN = 4  # by stdin and its like, and what is opened first: below it there is none to be had any more


def limit(daemon: Daemon, most: int) -> None:
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (most, hard))


def destinations() -> list[str]:
    return [route["dst"] for route in ip_json("route show proto 114")]


def test_a_daemon_out_of_descriptors_repairs_goes_to_rest_and_recovers(daemon: Daemon) -> None:
    daemon.start('[[interface]]\nname = "out"\nmatch = [ { default = true } ]\n' + FILE, daemon='resync = "1s"')
    wanted = destinations()
    assert len(wanted) == 3
    limit(daemon, TAKEN)
    daemon.wait_for("netlink-failed", saying="Too many open files")
    before = cpu_seconds(daemon.pid)
    for number in range(4):
        ip(f"route del {wanted[number % 2]}")
        wait_until(lambda: destinations() == wanted)
    wait_until(lambda: len(daemon.records("repaired")) >= 4)
    assert cpu_seconds(daemon.pid) - before < 1.0
    limit(daemon, 1024)
    daemon.wait_for("recovered")
    assert daemon.entry("vip/10.103.97.2")["state"] == "in-sync"
    assert len(daemon.records("netlink-failed")) == 1


def test_a_daemon_out_of_descriptors_stops_when_it_is_told(daemon: Daemon) -> None:
    daemon.start('[[interface]]\nname = "out"\nmatch = [ { default = true } ]\n' + FILE, daemon='resync = "1s"')
    limit(daemon, TAKEN)
    daemon.wait_for("netlink-failed")
    assert daemon.stop() == 0
