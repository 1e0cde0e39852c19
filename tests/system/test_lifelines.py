"""Lifelines on the real kernel: a live SSH session, the gateways of our own routes, the default route.

The peer is a host of its own behind v0. What decides is told by ``ip route get``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kernel import netns
from tests.kernel.netns import ip, ip_json
from tests.system.daemon import Daemon
from tests.system.host import OURS

QUIET = 'resync = "1h"'


class Family(NamedTuple):
    """The same case in a family of addresses."""

    option: str
    gateway: str
    length: str
    own: str
    peer: str
    around: str  # contains the peer
    near: str  # likewise, and is more specific

    def ip(self, command: str) -> None:
        ip(f"{self.option}{command}")

    def stands(self, destination: str) -> bool:
        """Is a route of ours to this there?"""
        return any(one["dst"] == destination for one in ip_json(f"{self.option}route show proto {OURS}"))

    @property
    def number(self) -> socket.AddressFamily:
        return socket.AF_INET6 if self.option else socket.AF_INET


FAMILIES = [
    pytest.param(Family("", "10.0.0.2", "24", "10.0.0.1", "10.9.0.7", "10.0.0.0/8", "10.9.0.0/16"), id="IPv4"),
    pytest.param(Family("-6 ", "fd00::2", "64", "fd00::1", "fd09::7", "fc00::/7", "fd09::/16"), id="IPv6"),
]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, network: None) -> Family:
    found: Family = request.param
    return found


@pytest.fixture
def session(family: Family) -> Iterator[socket.socket]:
    """A session with the peer: it is behind the gateway, to which the default route leads."""
    with netns.new_namespace() as there:
        ip(f"link set v0p netns {there}")
        with netns.inside(there):
            Path("/proc/sys/net/ipv6/conf/v0p/accept_dad").write_text("0")
            ip("link set v0p up")
            nodad = " nodad" if family.option else ""
            ip(f"addr add {family.gateway}/{family.length} dev v0p{nodad}")
            ip(f"addr add {family.peer} dev lo{nodad}")
        family.ip(f"route add default via {family.gateway} dev v0 metric 500")
        with _connect(family, there) as connection:
            yield connection


@contextmanager
def _connect(family: Family, there: Path) -> Iterator[socket.socket]:
    with socket.create_server((family.own, 22), family=family.number) as sshd:
        with netns.inside(there):
            client = socket.socket(family.number)
            client.settimeout(10)
            client.bind((family.peer, 0))
            client.connect((family.own, 22))
        with client:
            served, _ = sshd.accept()
            with served:
                yield client


def blackholes(*prefixes: str, more: str = "") -> str:
    listed = ", ".join(f'"{prefix}"' for prefix in prefixes)
    return f'[[route]]\nname = "drop"\ntype = "blackhole"\nprefixes = [{listed}]\n{more}'


def test_a_list_that_takes_the_way_back_of_an_ssh_session_is_held_and_the_rest_of_it_is_put(
    daemon: Daemon, family: Family, session: socket.socket
) -> None:
    other = "192.0.2.0/24" if not family.option else "2001:db8::/32"
    daemon.write(blackholes(family.around, other), QUIET)
    planned = daemon.ask("plan")
    assert planned.code == 4
    daemon.start()
    applied = daemon.ask("apply")
    assert applied.code == 4
    assert f"the SSH session of {family.peer}: apply --force lets it" in applied.out
    assert "routed.toml:4" in applied.out
    assert family.stands(other)
    assert not family.stands(family.around)
    assert ip_json(f"{family.option}route get {family.peer}")[0]["dev"] == "v0"
    assert daemon.entry("route/drop")["state"] == "conflict"
    assert f"SSH session of {family.peer}" in daemon.wait_for("guard-held", "route/drop")["message"]
    assert session.fileno() >= 0


def test_force_does_it(daemon: Daemon, family: Family, session: socket.socket) -> None:
    daemon.start(blackholes(family.around), daemon=QUIET)
    assert not family.stands(family.around)
    assert daemon.ask("apply", "--force").code == 0
    assert family.stands(family.around)
    assert session.fileno() >= 0


def test_to_contain_the_peer_is_no_reason_where_something_more_specific_decides(
    daemon: Daemon, family: Family, session: socket.socket
) -> None:
    family.ip(f"route add {family.near} via {family.gateway} dev v0")
    daemon.start(blackholes(family.around), daemon=QUIET)
    assert daemon.ask("apply").code == 0
    assert family.stands(family.around)
    assert ip_json(f"{family.option}route get {family.peer}")[0]["dev"] == "v0"
    assert session.fileno() >= 0


def test_nor_where_the_same_file_has_a_way_to_it(daemon: Daemon, family: Family, session: socket.socket) -> None:
    way = f'[[route]]\nname = "way"\nto = "{family.near}"\nvia = "{family.gateway}"\ndev = "v0"\n'
    daemon.start(blackholes(family.around, more=way), daemon=QUIET)
    assert daemon.ask("apply").code == 0
    assert session.fileno() >= 0
    daemon.write(blackholes(family.around), QUIET)  # without it the list, which stands, would decide
    held = daemon.ask("apply")
    assert held.code == 4
    assert family.stands(family.near)


def test_a_list_with_the_peer_in_many_lengths_is_held_in_all_and_named_by_the_line_of_the_file(
    daemon: Daemon, family: Family, session: socket.socket
) -> None:
    prefixes = daemon.folder / "drop.txt"
    prefixes.write_text(f"# bad people\n{family.around}\n\n{family.peer} ; the worst\n{family.near}\n")
    daemon.start(f'[[route]]\nname = "drop"\ntype = "blackhole"\nprefixes_file = "{prefixes}"\n', daemon=QUIET)
    refusals = daemon.ask_json("apply")["refusals"]
    assert len(refusals) == 3
    assert sorted(one["reason"].partition(": ")[0] for one in refusals) == [f"{prefixes}:{line}" for line in (2, 4, 5)]
    assert session.fileno() >= 0


def test_a_rule_that_drops_the_packets_of_the_session_is_held(
    daemon: Daemon, family: Family, session: socket.socket
) -> None:
    rule = f'[[rule]]\nname = "drop"\npriority = 100\nto = "{family.around}"\ntype = "blackhole"\n'
    daemon.start(rule, daemon=QUIET)
    assert daemon.ask("apply").code == 4
    assert not [one for one in ip_json(f"{family.option}rule show") if one["priority"] == 100]
    assert session.fileno() >= 0


def test_a_list_in_a_table_that_only_the_packets_of_the_session_reach_is_held(
    daemon: Daemon, family: Family, session: socket.socket
) -> None:
    family.ip(f"rule add pref 100 from {family.own} lookup 77")
    family.ip(f"route add default via {family.gateway} dev v0 table 77")
    daemon.start(blackholes(family.around, more="table = 77\n"), daemon=QUIET)
    assert daemon.ask("apply").code == 4
    shown = ip_json(f"{family.option}route get {family.peer} from {family.own}")
    assert shown[0]["dev"] == "v0"
    assert session.fileno() >= 0


def test_what_is_held_stays_so_when_somebody_puts_it_and_takes_it_away(
    daemon: Daemon, family: Family, session: socket.socket
) -> None:
    daemon.start(blackholes(family.peer), daemon=QUIET)
    daemon.wait_for("guard-held")
    metric = "0" if not family.option else "1024"
    for _ in range(2):
        family.ip(f"route add {family.peer} via {family.gateway} dev v0 metric {metric}")
        family.ip(f"route del {family.peer} via {family.gateway} dev v0 metric {metric}")
    assert daemon.ask("apply").code == 4
    assert not family.stands(family.peer)
    assert session.fileno() >= 0


def test_a_foreign_route_that_only_contains_the_peer_is_displaced_and_that_which_carries_it_is_not(
    daemon: Daemon, family: Family, session: socket.socket
) -> None:
    family.ip(f"route add {family.around} via {family.gateway} dev v0")
    family.ip(f"route add {family.near} via {family.gateway} dev v0")
    wide, near = (
        f'[[route]]\nname = "{name}"\nto = "{to}"\ndev = "v1"\n'
        for name, to in (("wide", family.around), ("near", family.near))
    )
    daemon.start(wide + near, daemon=QUIET)
    answer = daemon.ask("apply")
    assert answer.code == 4
    assert family.stands(family.around)
    assert not family.stands(family.near)
    assert f"carries the SSH session of {family.peer}" in answer.out
    assert session.fileno() >= 0


def test_a_dead_end_for_a_gateway_of_our_own_is_held(daemon: Daemon, family: Family) -> None:
    far = "192.0.2.0/24" if not family.option else "2001:db8::/32"
    way = f'[[route]]\nname = "way"\nto = "{far}"\nvia = "{family.gateway}"\ndev = "v0"\n'
    daemon.start(way, daemon=QUIET)
    daemon.write(blackholes(family.gateway, family.around, more=way), QUIET)
    answer = daemon.ask("apply")
    assert answer.code == 4
    assert f"gateway {family.gateway} of a route of ours" in answer.out
    assert family.stands(family.around)  # which contains it, and decides nothing about it
    assert not family.stands(family.gateway)


def test_a_dead_end_that_would_take_the_place_of_the_default_route_is_held_and_one_behind_it_is_not(
    daemon: Daemon, family: Family
) -> None:
    family.ip(f"route add default via {family.gateway} dev v0 metric 500")
    both = '"ipv6"' if family.option else '"ipv4"'
    file = f'[[route]]\nname = "none"\nto = "default"\nfamily = {both}\ntype = "unreachable"\nmetric = 400\n'
    daemon.start(file.replace("400", "600"), daemon=QUIET)
    assert daemon.ask("apply").code == 1  # it stands by behind what is not ours
    daemon.write(file, QUIET)
    answer = daemon.ask("apply")
    assert answer.code == 4
    assert "all that only a default route is for" in answer.out
