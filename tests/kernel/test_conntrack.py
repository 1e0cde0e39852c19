"""Tracked flows to servers that are gone, with the connection tracking of this kernel. NAT does what IPVS would do."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

import pytest

from routed.kernel.conntrack import count_flows, end_flows
from routed.model.ipvs import UDP, ServerMember, ServerSlot, ServiceMember
from routed.model.net import FAMILY_OF_LENGTH, parse_address
from tests.kernel import netns
from tests.kernel.ipvsadm import NO_IPVS, restore

TABLE = Path("/proc/thread-self/net/nf_conntrack")
VIPS = {4: "10.9.9.9", 6: "fd00:9::9"}
SERVERS = {4: ("10.0.0.11", "10.0.0.12"), 6: ("fd00::11", "fd00::12")}
CLIENTS = {4: "10.0.0.1", 6: "fd00::1"}

NAT = """
table ip{v} t {{
  chain nat {{
    type nat hook output priority -100;
    ip{v} daddr {vip} udp dport {port} udp sport {{ 20001, 20011 }} dnat to {one}
    ip{v} daddr {vip} udp dport {port} udp sport 20002 dnat to {two}
    ip{v} daddr {vip} tcp dport {port} dnat to {one}
  }}
}}
"""


def server(address: str, version: int, *, port: int = 5353, listen: int = 53) -> tuple[ServerSlot, ServerMember]:
    vip = parse_address(VIPS[version])
    return ServerSlot(FAMILY_OF_LENGTH[len(vip)], ServiceMember(UDP, vip, listen)), ServerMember(
        parse_address(address), port
    )


def load(version: int) -> None:
    one, two = (f"[{one}]:5353" if version == 6 else f"{one}:5353" for one in SERVERS[version])
    rules = NAT.format(v="6" if version == 6 else "", vip=VIPS[version], one=one, two=two, port=53)
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def flows() -> set[tuple[str, str, int]]:
    """Protocol, where its answers come from, and the port of the client, as /proc shows them."""
    found = set()
    for line in TABLE.read_text().splitlines():
        words = line.split()
        pairs = [word.partition("=")[::2] for word in words if "=" in word]
        sources = [value for name, value in pairs if name == "src"]
        ports = [int(value) for name, value in pairs if name == "sport"]
        if ports:
            found.add((words[2], str(ip_address(sources[1])), ports[0]))
    return found


def send(version: int, source_port: int, to: tuple[str, int], kind: int = socket.SOCK_DGRAM) -> None:
    with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, kind) as client:
        client.setblocking(False)
        client.bind((CLIENTS[version], source_port))
        client.connect_ex(to)
        if kind == socket.SOCK_DGRAM:
            client.send(b"?")


def prepare(version: int) -> None:
    """A link to servers that nobody answers for."""
    netns.veth("v0", "10.0.0.1/24", "fd00::1/64")
    lines = [f"neigh add {one} lladdr 02:00:00:00:00:01 dev v0" for one in SERVERS[version]]
    netns.ip_batch("\n".join([*lines, f"route add {VIPS[version]} dev v0"]))


@pytest.fixture(params=[4, 6])
def version(request: pytest.FixtureRequest) -> Iterator[int]:
    """A host that tracks, with flows to two servers of one address, and some that have nothing to do with it."""
    version: int = request.param
    if not shutil.which("nft"):
        pytest.skip("no nft here: what IPVS itself does is tried instead")
    with netns.private_network():
        prepare(version)
        load(version)
        one, _ = SERVERS[version]
        for port in (20001, 20011, 20002):
            send(version, port, (VIPS[version], 53))
        send(version, 20021, (one, 5353))  # to the server itself
        send(version, 30001, (VIPS[version], 53), kind=socket.SOCK_STREAM)
        yield version


def test_the_flows_to_a_server_that_is_gone_end_and_no_others(version: int) -> None:
    one, two = SERVERS[version]
    all_ = {("udp", one, 20001), ("udp", one, 20011), ("udp", two, 20002), ("udp", one, 20021), ("tcp", one, 30001)}
    assert flows() >= all_
    ended = end_flows([server(one, version)])
    assert ended == ({server(one, version): 2}, None)
    assert flows() & all_ == all_ - {("udp", one, 20001), ("udp", one, 20011)}


def test_many_servers_share_one_dump_and_ports_may_be_any(version: int) -> None:
    """Of a service of every port the server is known without its port, too."""
    one, two = SERVERS[version]
    every = [server(one, version), server(two, version, port=0, listen=0)]
    ended = end_flows(every)
    assert ended == (dict(zip(every, (2, 1), strict=True)), None)


def test_a_flow_of_another_service_stays(version: int) -> None:
    before = flows()
    assert end_flows([server(SERVERS[version][0], version, listen=54)]) == ({}, None)
    assert end_flows([server(SERVERS[version][0], version, port=5354)]) == ({}, None)
    assert flows() == before


def test_where_nothing_tracks_nothing_is_asked() -> None:
    def connect() -> NoReturn:
        raise AssertionError("a question would load the module")

    with netns.private_network():
        assert count_flows() == 0
        assert end_flows([server("10.0.0.11", 4)], connect=connect) == ({}, None)


@pytest.fixture
def director() -> Iterator[None]:
    """IPVS that takes part in connection tracking, with two servers of UDP."""
    with netns.private_network():
        if (
            not shutil.which("ipvsadm")
            or subprocess.run(["ipvsadm", "-Sn"], capture_output=True, check=False).returncode
        ):
            pytest.skip(NO_IPVS)
        prepare(4)
        netns.ip(f"addr add {VIPS[4]}/32 dev lo")
        Path("/proc/sys/net/ipv4/vs/conntrack").write_text("1")
        ftp = ["-A -t 10.9.9.9:21 -s rr", "-a -t 10.9.9.9:21 -r 10.0.0.11:21 -m"]  # for it IPVS has all tracked
        restore([*ftp, "-A -u 10.9.9.9:53 -s rr", *(f"-a -u 10.9.9.9:53 -r {one}:5353 -m" for one in SERVERS[4])])
        yield
        restore(["-D -u 10.9.9.9:53", "-D -t 10.9.9.9:21"])


PORTS = range(20001, 20005)


def ask_ipvs() -> None:
    for port in PORTS:
        with suppress(PermissionError):  # IPVS drops it
            send(4, port, (VIPS[4], 53))


def answering() -> list[str]:
    """The servers to which the flows of the clients of IPVS lead."""
    return sorted(source for _, source, port in flows() if port in PORTS)


def test_the_flows_of_ipvs_end_though_it_goes_on_to_drop_what_its_own_entry_leads_astray(director: None) -> None:
    Path("/proc/sys/net/ipv4/vs/expire_nodest_conn").write_text("0")
    one, two = SERVERS[4]
    ask_ipvs()
    assert answering() == [one, one, two, two]
    restore([f"-d -u 10.9.9.9:53 -r {one}:5353"])
    assert end_flows([server(one, 4)]) == ({server(one, 4): 2}, None)
    assert answering() == [two, two]
    ask_ipvs()
    assert answering() == [two, two]


def test_where_ipvs_forgets_its_entries_the_clients_get_another_server(director: None) -> None:
    """Since Linux 5.9 it ends their flows with them, a little after the server is gone: there may be nothing left."""
    Path("/proc/sys/net/ipv4/vs/expire_nodest_conn").write_text("1")
    one, two = SERVERS[4]
    ask_ipvs()
    assert answering() == [one, one, two, two]
    restore([f"-d -u 10.9.9.9:53 -r {one}:5353"])
    assert end_flows([server(one, 4)]).error is None
    assert answering() == [two, two]

    def are_served() -> bool:
        ask_ipvs()
        return answering() == [two] * 4

    netns.wait_until(are_served)
