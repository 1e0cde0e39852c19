"""Direct server return, as the example has it: clients ask the director, and the servers answer them directly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.vm import hosts
from tests.vm.host import Host
from tests.vm.hosts import Wire

VIP: Final = "192.0.2.80"
EXAMPLE: Final = "/opt/checkout/examples/service-direct.toml"
SERVERS: Final = {"server1": "192.0.2.11", "server2": "192.0.2.12"}


@pytest.fixture(autouse=True)
def _network(host: Host) -> Iterator[None]:
    """All on one network, this host in the middle, the servers as the example says."""
    links = ["ip link add lan type bridge", "ip addr add 192.0.2.10/24 dev lan", "ip link set lan up"]
    at = {"client": "192.0.2.9", **SERVERS}
    hosts.make(host, links, [Wire(name, f"{address}/24", "192.0.2.10", "lan") for name, address in at.items()])
    for name in SERVERS:
        quiet = "net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"
        host.do(f"ip -n {name} addr add {VIP}/32 dev lo && ip netns exec {name} sysctl -qw {quiet}")
    hosts.serve(host, dict.fromkeys(SERVERS, "0.0.0.0"), 80)  # noqa: S104 -- of a namespace
    yield
    hosts.clear(host, at)


def test_clients_ask_the_director_and_the_servers_answer_directly(host: Host) -> None:
    host.do(f"cp {EXAMPLE} /etc/routed.toml && systemctl start routed")
    wanted = [
        f"-A -t {VIP}:80 -s wrr",
        f"-a -t {VIP}:80 -r 192.0.2.11:80 -g -w 3",
        f"-a -t {VIP}:80 -r 192.0.2.12:80 -g -w 1",
    ]
    host.wait_until("[ $(ipvsadm -Sn | wc -l) = 3 ]")
    assert [line.strip() for line in sorted(host.do("ipvsadm -Sn").splitlines())] == wanted
    assert hosts.ask(host, VIP, 80, 4) == ["server1"] * 3 + ["server2"]
    [link] = host.ask("ip -j link show dev lan")
    [neighbour] = host.ask(f"ip -j -n client neigh show {VIP}")
    assert neighbour["lladdr"] == link["address"]  # nobody else said that the VIP is there
    packets = "ipvsadm -Ln --stats | awk '$2 == \"192.0.2.80:80\" { print $4, $5 }'"
    host.wait_until(f'{packets} | grep -q "^[1-9][0-9]* 0$"')  # packets of clients, and no answer to one
    host.do("systemctl kill --signal=KILL server1")
    host.wait_until("ipvsadm -Sn | grep -q -- '-r 192.0.2.11:80 -g -w 0'")
    assert hosts.ask(host, VIP, 80, 3) == ["server2"] * 3
