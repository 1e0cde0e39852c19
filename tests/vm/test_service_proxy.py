"""What kube-router's service proxy does for a Service, kept by one file: the lists that its users know, line by line.

The lists are those of a node 172.26.6.3 whose master is 172.26.6.1 and whose pod is 10.254.11.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.vm import hosts
from tests.vm.host import Host
from tests.vm.hosts import Wire

HEAD: Final = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
"""
KUBERNETES: Final = """\
TCP  10.254.0.1:443 rr persistent 10800
  -> 172.26.6.1:6443              Masq    1      0          0
"""
# Where the kernel keeps no persistence it prints no seconds either.
CLUSTER_IP: Final = f"""{HEAD}{KUBERNETES}\
TCP  10.254.116.179:80 rr
  -> 10.254.11.2:80               Masq    1      0          0
"""
SESSION_AFFINITY: Final = f"""{HEAD}{KUBERNETES}\
TCP  10.254.191.234:80 rr persistent 10800
  -> 10.254.11.2:80               Masq    1      0          0
"""
NODE_PORT: Final = f"""{HEAD}\
TCP  172.26.6.3:31117 rr
  -> 10.254.11.2:80               Masq    1      0          0
{KUBERNETES}\
TCP  10.254.102.188:80 rr
  -> 10.254.11.2:80               Masq    1      0          0
"""
NODE: Final = """
[[interface]]
name = "node"
match = [{ cidr = "172.26.6.0/24" }]

[[vip]]
name = "kubernetes"
address = "10.254.0.1"
dev = "kube-dummy-if"
create = "dummy"

[[service]]
name = "kubernetes"
listen = "10.254.0.1:443"
scheduler = "rr"
persistence = "10800s"
servers = ["172.26.6.1:6443"]
"""
CLIENT, MASTER, POD = "client", "master", "pod"
SMALL: Final = (
    Wire(MASTER, "172.26.6.1/24", "172.26.6.3", "lan"),
    Wire(POD, "10.254.11.2/24", "10.254.11.1"),
    Wire(CLIENT, "192.0.2.9/24", "192.0.2.1"),
)


def nginx(cluster_ip: str, *listens: str, scheduler: str = "rr", more: str = "") -> str:
    places = ", ".join(f'"{one}"' for one in (f"{cluster_ip}:80", *listens))
    return (
        f'{NODE}\n[[vip]]\nname = "nginx"\naddress = "{cluster_ip}"\ndev = "kube-dummy-if"\ncreate = "dummy"\n\n'
        f'[[service]]\nname = "nginx"\nlisten = [{places}]\nscheduler = "{scheduler}"\n{more}\n'
        'servers = ["10.254.11.2:80"]\n'
    )


@pytest.fixture(autouse=True)
def _node(host: Host) -> Iterator[None]:
    hosts.make(host, ["ip link add lan type bridge", "ip addr add 172.26.6.3/24 dev lan", "ip link set lan up"], SMALL)
    host.do(
        "ip addr add 10.254.11.1/24 dev pod && ip addr add 192.0.2.1/24 dev client && sysctl -q net.ipv4.ip_forward=1"
    )
    hosts.serve(host, {POD: "10.254.11.2"}, 80)
    hosts.serve(host, {MASTER: "172.26.6.1"}, 6443)
    yield
    hosts.clear(host, (CLIENT, MASTER, POD))


def held(host: Host) -> set[str]:
    """The addresses on the interface of the Services."""
    [link] = host.ask("ip -j addr show dev kube-dummy-if")
    return {one["local"] for one in link["addr_info"] if one["family"] == "inet"}


def put(host: Host, toml: str) -> None:
    host.configure(toml)
    assert host.reload().code == 0


def test_each_list_of_a_service_proxy_comes_from_one_file(host: Host) -> None:
    host.start(nginx("10.254.116.179"))
    hosts.wait_for_list(host, CLUSTER_IP)
    assert host.do("ipvsadm -Ln").startswith(HEAD)
    assert held(host) == {"10.254.0.1", "10.254.116.179"}
    assert hosts.ask(host, "10.254.116.179", 80) == [POD] * 2
    assert hosts.ask(host, "10.254.0.1", 443) == [MASTER] * 2
    put(host, nginx("10.254.191.234", more='persistence = "3h"'))
    hosts.wait_for_list(host, SESSION_AFFINITY)
    assert held(host) == {"10.254.0.1", "10.254.191.234"}
    put(host, nginx("10.254.102.188", "@node:31117"))
    hosts.wait_for_list(host, NODE_PORT)
    assert hosts.ask(host, "172.26.6.3", 31117) == [POD] * 2
    put(host, nginx("10.254.102.188", "@node:31117", scheduler="dh"))
    hosts.wait_for_list(host, NODE_PORT.replace("31117 rr", "31117 dh").replace("188:80 rr", "188:80 dh"))
    assert hosts.ask(host, "10.254.102.188", 80) == [POD] * 2
    assert "Nothing to do" in host.do("routed plan")


@pytest.mark.long
def test_a_node_port_is_on_every_own_address_and_on_no_vip(host: Host) -> None:
    host.start(nginx("10.254.102.188", "@local:31117"))
    own = {"10.20.0.11", "10.30.0.11", "172.26.6.3", "10.254.11.1", "192.0.2.1"}
    ports = r"ipvsadm -Ln | grep -oP '^TCP +\K[0-9.]+(?=:31117)' | sort | tr '\n' ' '"
    host.wait_until(f"[ \"$({ports})\" = '{' '.join(sorted(own))} ' ]")
    assert hosts.ask(host, "172.26.6.3", 31117) == [POD] * 2
    host.do("ip addr add 198.51.100.3/24 dev lan")
    host.wait_until("ipvsadm -Ln | grep -q '^TCP *198.51.100.3:31117 rr'")
    host.do("ip addr del 198.51.100.3/24 dev lan")
    host.wait_until("! ipvsadm -Ln | grep -q 198.51.100.3")
