"""``encap`` with the daemon as a process: what `ip route` shows, what packets look like, and what the kernel lacks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kernel.netns import has_module, ip, wait_until
from tests.system.daemon import Daemon
from tests.system.monitor import Monitor

FILE = """
[[route]]
name = "tunnel"
to = "192.0.2.0/24"
via = "10.0.0.2"
encap = { type = "ip", id = 7, dst = "10.9.9.9", ttl = 9, key = true }

[[route]]
name = "paths"
to = "198.51.100.0/24"
hops = [
    { via = "10.0.0.2", weight = 3, encap = { type = "seg6", segs = ["fd00::a", "fd00::b"] } },
    { via = "10.0.0.2", encap = { type = "seg6", mode = "l2encap", segs = ["fd00::c"] } },
]

[[route]]
name = "inline"
to = "2001:db8:1::/48"
via = "fd00::2"
encap = { type = "seg6", mode = "inline", segs = ["fd00::a"] }

[[route]]
name = "segment"
to = "2001:db8:2::1"
dev = "v0"
encap = { type = "seg6local", action = "End.X", nh6 = "fd00::2" }

[[nexthop]]
name = "shared"
id = 7
via = "10.1.0.2"
encap = { type = "ip6", id = 8, dst = "fd01::9", hoplimit = 3 }

[[route]]
name = "by-number"
to = "203.0.113.0/24"
nhid = 7
"""
SHOWN = [
    "192.0.2.0/24 encap ip id 7 src 0.0.0.0 dst 10.9.9.9 ttl 9 tos 0 key via 10.0.0.2 dev v0",
    "198.51.100.0/24",
    "203.0.113.0/24 nhid 7 encap ip6 id 8 src :: dst fd01::9 hoplimit 3 tc 0 via 10.1.0.2 dev v1",
    "nexthop encap seg6 mode encap segs 2 [ fd00::a fd00::b ] via 10.0.0.2 dev v0 weight 3",
    "nexthop encap seg6 mode l2encap segs 1 [ fd00::c ] via 10.0.0.2 dev v0 weight 1",
    "2001:db8:1::/48 encap seg6 mode inline segs 2 [ fd00::a :: ] via fd00::2 dev v0 metric 1024 pref medium",
    "2001:db8:2::1 encap seg6local action End.X nh6 fd00::2 dev v0 metric 1024 pref medium",
]


def routes() -> list[str]:
    """What `ip` says of each route of ours, and of each hop; its JSON has some keys twice."""
    text = ip("route show proto 114") + ip("-6 route show proto 114")
    return [" ".join(line.split()) for line in text.splitlines()]


def test_they_stand_as_ip_shows_them_and_nothing_is_left_to_do(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(FILE)
    assert sorted(routes()) == sorted(SHOWN)
    assert daemon.ask_json("plan")["steps"] == []
    assert daemon.status()["counts"] == {"in-sync": 6}
    imported = daemon.ask("import")
    assert "has no word for" not in imported.err
    assert 'encap = { type = "ip", id = 7, dst = "10.9.9.9", ttl = 9, key = true }' in imported.out

    daemon.kill()
    monitor.heard()
    daemon.start()
    assert monitor.heard() == []
    assert daemon.records("repaired") == []


@pytest.mark.parametrize(
    "harm",
    [
        "route replace 192.0.2.0/24 via 10.0.0.2 proto 114",
        "route replace 192.0.2.0/24 encap ip id 7 dst 10.9.9.9 ttl 8 key via 10.0.0.2 proto 114",
        "route prepend 192.0.2.0/24 encap ip id 8 dst 10.9.9.9 via 10.0.0.2",
        "route prepend 192.0.2.0/24 via 10.0.0.2",
        "route replace 198.51.100.0/24 proto 114 nexthop via 10.0.0.2 weight 3 nexthop via 10.0.0.3",
        "-6 route replace 2001:db8:1::/48 encap seg6 mode encap segs fd00::a via fd00::2 proto 114",
        "-6 route append 2001:db8:1::/48 encap seg6 mode encap segs fd00::d via fd00::2",
        "-6 route replace 2001:db8:2::1 dev v0 proto 114",
        "nexthop replace id 7 via 10.1.0.2 dev v1 proto 114",
    ],
)
def test_another_encapsulation_is_drift(daemon: Daemon, harm: str) -> None:
    daemon.start(FILE, daemon='resync = "1s"')
    ip(harm)

    def is_whole() -> bool:
        return sorted(routes()) == sorted(SHOWN) and daemon.status()["counts"] == {"in-sync": 6}

    wait_until(lambda: is_whole() and daemon.records("repaired") != [], 20)
    wait_until(lambda: daemon.ask_json("plan")["steps"] == [], 10)
    assert is_whole()


def test_what_changes_is_said_and_changed_in_place(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(FILE)
    daemon.write(FILE.replace("ttl = 9", "ttl = 10").replace('["fd00::c"]', '["fd00::e"]'))
    plan = daemon.ask("plan").out
    assert "~ route/tunnel  192.0.2.0/24 encap ip id 7 dst 10.9.9.9 ttl 10 key via 10.0.0.2 dev v0" in plan
    assert "was: 192.0.2.0/24 encap ip id 7 dst 10.9.9.9 ttl 9 key via 10.0.0.2 dev v0" in plan
    assert "segs fd00::e" in plan
    monitor.heard()
    assert daemon.ask("apply").code == 0
    assert {change.what for change in monitor.heard()} == {"route"}
    assert "ttl 10" in ip("route show 192.0.2.0/24")


def test_what_the_kernel_does_not_have_is_an_error_of_that_entry_alone(daemon: Daemon) -> None:
    vrf = (
        '[[route]]\nname = "vrf"\nto = "2001:db8:3::1"\ndev = "v0"\n'
        'encap = { type = "seg6local", action = "End.DT4", vrftable = 77 }\n'
    )
    daemon.start(FILE + vrf)
    entry = daemon.entry("route/vrf")
    assert entry["state"] == "failed"
    assert "vrftable 77: a VRF has to have this table, with sysctl net.vrf.strict_mode = 1" in str(entry)
    assert daemon.status()["counts"] == {"in-sync": 6, "failed": 1}
    assert daemon.ask("apply").code == 1
    assert sorted(routes()) == sorted(SHOWN)


def test_mpls_stands_or_says_what_it_lacks(daemon: Daemon) -> None:
    mpls = (
        '[[route]]\nname = "labels"\nto = "192.0.3.0/24"\nvia = "10.0.0.2"\n'
        'encap = { type = "mpls", labels = "100/200" }\n'
    )
    daemon.start(FILE + mpls)
    entry = daemon.entry("route/labels")
    if has_module("mpls_iptunnel"):
        assert entry["state"] == "in-sync"
        assert "encap mpls 100/200 via 10.0.0.2" in " ".join(ip("route show 192.0.3.0/24").split())
        return
    assert entry["state"] == "failed"
    assert "encap mpls: its module mpls_iptunnel is not there" in str(entry)
    assert sorted(routes()) == sorted(SHOWN)


@contextmanager
def listening(link: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD)) as packets:
        packets.bind((link, 0x86DD))
        packets.settimeout(5)
        yield packets


def test_packets_leave_with_the_segments_that_the_file_has(daemon: Daemon) -> None:
    daemon.start(FILE.replace('mode = "inline", segs = ["fd00::a"]', 'segs = ["fd00::a", "fd00::b"]'))
    for address in ("fd00::2", "fd00::a"):
        ip(f"-6 neigh replace {address} lladdr 02:00:00:00:00:02 dev v0 nud permanent")
    with listening("v0p") as packets, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", ("2001:db8:1::1", 7))
        packet = packets.recv(2000)
        while packet[6] != socket.IPPROTO_ROUTING:  # whatever else an IPv6 host sends
            packet = packets.recv(2000)
    outer, header = packet[24:40], packet[40:]
    segments = [header[at : at + 16] for at in (8, 24)]  # the last one first
    assert socket.inet_ntop(socket.AF_INET6, outer) == "fd00::a"
    assert [socket.inet_ntop(socket.AF_INET6, one) for one in segments] == ["fd00::b", "fd00::a"]
    assert packet.endswith(b"hello")
