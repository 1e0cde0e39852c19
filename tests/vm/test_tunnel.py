"""Hosts of other subnets by IPIP: packets go from pod to pod, whatever becomes of the tunnel; no router knows a pod.

This host is node1, with the package. The other node is made by `ip` alone, and so is all that lies between them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.vm import hosts
from tests.vm.host import SLOW, Host
from tests.vm.hosts import Wire

LOCAL, GATEWAY, PEER = "192.0.2.10", "192.0.2.1", "198.51.100.7"
POD1, POD3 = "10.244.1.2", "10.244.3.2"
NAMES: Final = ("pod1", "router", "node3", "pod3")
SMALL: Final = (Wire("pod1", f"{POD1}/24", "10.244.1.1"), Wire("router", f"{GATEWAY}/24", LOCAL))
FAR: Final = (  # behind the router
    "ip netns add node3",
    "ip netns add pod3",
    "ip -n router link add node3 type veth peer name eth0 netns node3",
    "ip -n router route del default",  # it knows no pod, nor who does
    "ip -n router addr add 198.51.100.1/24 dev node3",
    "ip -n router link set node3 up",
    f"ip -n node3 addr add {PEER}/24 dev eth0",
    "ip -n node3 link set eth0 up",
    "ip -n node3 route add default via 198.51.100.1",
    "ip -n node3 link add pod3 type veth peer name eth0 netns pod3",
    "ip -n node3 addr add 10.244.3.1/24 dev pod3",
    "ip -n node3 link set pod3 up",
    f"ip -n pod3 addr add {POD3}/24 dev eth0",
    "ip -n pod3 link set eth0 up",
    "ip -n pod3 route add default via 10.244.3.1",
    *(f"ip netns exec {name} sysctl -qw net.ipv4.ip_forward=1" for name in ("router", "node3")),
)
CONNECTED: Final = (
    f"ip -n node3 link add ipip1 type ipip local {PEER}",
    "ip -n node3 link set ipip1 up",
    f"ip -n node3 route add 10.244.1.0/24 via {LOCAL} dev ipip1 onlink",
)
TUNNEL: Final = f'[[tunnel]]\nname = "overlay"\ndev = "routed-ipip"\nmode = "ipip"\nlocal = "{LOCAL}"\n'
ROUTE: Final = (
    f'[[route]]\nname = "pods"\nto = "10.244.3.0/24"\nvia = "{PEER}"\ndev = "routed-ipip"\nonlink = true\n'
    f'[[route]]\nname = "underlay"\nto = "198.51.100.0/24"\nvia = "{GATEWAY}"\n'
)
ANSWERS: Final = f"ip netns exec pod1 {hosts.ASK} {POD3} 80 1 | grep -q pod3"
OF_ENTRY: Final = "ROUTED_ENTRY=tunnel/overlay"


@pytest.fixture(autouse=True)
def _fleet(host: Host) -> Iterator[None]:
    host.do("modprobe -r ipip; rm -f /etc/modprobe.d/no-ipip.conf; true")
    hosts.make(host, [], SMALL)
    host.do(
        f"ip addr add {LOCAL}/24 dev router && ip addr add 10.244.1.1/24 dev pod1 && sysctl -q net.ipv4.ip_forward=1"
    )
    host.do(" && ".join(FAR), within=SLOW)
    hosts.serve(host, {"pod3": POD3}, 80)
    yield
    hosts.clear(host, NAMES)


def connect(host: Host) -> None:
    """Give the other node its end: from now on it answers."""
    host.do(" && ".join(CONNECTED))


def stands(host: Host, name: str = "routed-ipip") -> dict[str, Any]:
    """What `ip` says of the tunnel."""
    [link] = host.ask(f"ip -j -d link show {name}")
    told: dict[str, Any] = {key: link[key] for key in ("ifindex", "mtu", "ifalias") if key in link}
    return told | {"is_up": "UP" in link["flags"], **link["linkinfo"]["info_data"]}


def state(host: Host) -> tuple[str, str]:
    """What status says of the tunnel, and why."""
    [one] = json.loads(host.do("routed status --json tunnel/overlay"))["entries"]
    return one["state"], one["reason"]


def wait_for_state(host: Host, wanted: str) -> None:
    host.wait_until(f'routed status --json tunnel/overlay | grep -q \'"state": *"{wanted}"\'', within=SLOW)


def test_packets_go_through_it_and_the_unit_needs_no_right_to_load_the_module(host: Host) -> None:
    assert host.run("grep -q ^ipip /proc/modules").code == 1
    host.start(TUNNEL + ROUTE)
    assert host.run("grep -q ^ipip /proc/modules").code == 0
    assert "cap_sys_module" not in host.show("CapabilityBoundingSet")
    connect(host)
    made = stands(host)
    assert (made["local"], made["remote"], made["mtu"]) == (LOCAL, "any", 1480)
    assert (made["ifalias"], made["is_up"], made["pmtudisc"]) == ("routed:114", True, True)
    host.wait_until(ANSWERS, within=SLOW)
    assert host.run(f"ip -n router route get {POD3} from {POD1} iif eth0").code != 0
    assert host.routes() == ["10.244.3.0/24 198.51.100.7 routed-ipip", f"198.51.100.0/24 {GATEWAY} router"]
    assert "Nothing to do" in host.do("routed plan")
    assert 'dev = "routed-ipip"\nmode = "ipip"\nlocal = "192.0.2.10"\n' in host.do("routed import")

    # the fallback device of the module is nobody's, and the tunnel leaves without it
    host.do("ip link set tunl0 alias routed:114 && systemctl reload routed", within=SLOW)
    assert state(host)[0] == "in-sync"
    host.configure("")
    assert host.reload().code == 0
    assert [one["ifname"] for one in host.ask("ip -j link show type ipip")] == ["tunl0"]
    assert host.routes() == []


def test_whatever_is_done_to_it_packets_go_through_it_again(host: Host) -> None:
    host.start(TUNNEL + ROUTE)
    connect(host)
    host.wait_until(ANSWERS, within=SLOW)
    made = stands(host)
    others = "ttl 9 tos 0x10 fwmark 0x5"
    for harm in (
        "ip tunnel change routed-ipip mode ipip local 192.0.2.99",
        f"ip link set routed-ipip type ipip local {LOCAL} {others}",
        "ip link set routed-ipip mtu 1300",
        "ip link set routed-ipip down",
    ):
        before = len(host.journal("ROUTED_EVENT=repaired", OF_ENTRY))
        host.do(harm)
        record = host.wait_for_records(before + 1, "ROUTED_EVENT=repaired", OF_ENTRY)[-1]
        assert stands(host) == made, (harm, record["MESSAGE"])  # the same interface: it was changed in place
        host.wait_until(ANSWERS, within=SLOW)
    said = host.messages("ROUTED_EVENT=repaired", OF_ENTRY)
    assert "local 192.0.2.99 instead of 192.0.2.10" in said[0]
    assert "ttl 9 instead of 0" in said[1]

    host.do("ip link delete routed-ipip")
    host.wait_until(ANSWERS, within=SLOW)
    assert stands(host) | {"ifindex": 0} == made | {"ifindex": 0}
    host.do("routed pause tunnel/overlay --for 1h --reason rename; ip link set routed-ipip down")
    host.do("ip link set routed-ipip name other")
    host.do("routed resume tunnel/overlay")
    host.wait_until(ANSWERS, within=SLOW)
    assert [one["ifname"] for one in host.ask("ip -j link show type ipip") if one["ifname"] != "tunl0"] == [
        "routed-ipip"
    ]


def test_without_a_daemon_packets_still_go_and_a_start_changes_nothing(host: Host) -> None:
    host.start(TUNNEL + ROUTE)
    connect(host)
    host.wait_until(ANSWERS, within=SLOW)
    made = stands(host)
    host.do("systemctl stop routed", within=SLOW)
    host.wait_until(ANSWERS, within=SLOW)
    before = len(host.journal(OF_ENTRY))
    host.do("systemctl start routed", within=SLOW)
    assert (stands(host), host.journal(OF_ENTRY)[before:]) == (made, [])
    pid = host.main_pid()
    host.do(f"kill -9 {pid}")
    host.wait_until(
        f"[ $(systemctl show --value -p MainPID routed) != {pid} ] && routed status >/dev/null", within=SLOW
    )
    assert (stands(host), host.journal(OF_ENTRY)[before:]) == (made, [])
    host.do("systemctl stop routed && ip link delete routed-ipip && systemctl start routed", within=SLOW)
    host.wait_until(ANSWERS, within=SLOW)


def test_when_the_address_goes_it_waits_and_stays_and_another_one_is_followed_in_place(host: Host) -> None:
    internal = '[[interface]]\nname = "internal"\nmatch = [{ name = "router" }]\nhold = "100ms"\n'
    host.start(internal + TUNNEL.replace(f'"{LOCAL}"', '"@internal"') + ROUTE)
    connect(host)
    host.wait_until(ANSWERS, within=SLOW)
    made = stands(host)
    host.do(f"ip addr del {LOCAL}/24 dev router")
    wait_for_state(host, "waiting")
    why = state(host)[1]
    assert why.startswith("link router (@internal) has no address that stands for this host; until then routed-ipip")
    assert stands(host) == made
    host.do(f"ip addr add {LOCAL}/24 dev router")
    wait_for_state(host, "in-sync")
    host.wait_until(ANSWERS, within=SLOW)
    host.do(f"ip addr del {LOCAL}/24 dev router && ip addr add 192.0.2.20/24 dev router")
    host.do("ip -n node3 route replace 10.244.1.0/24 via 192.0.2.20 dev ipip1 onlink")
    host.wait_until("ip -d link show routed-ipip | grep -q 'local 192.0.2.20'", within=SLOW)
    assert stands(host) == made | {"local": "192.0.2.20"}
    host.wait_until(ANSWERS, within=SLOW)


def test_a_module_that_may_not_be_loaded_is_named_and_tried_again(host: Host) -> None:
    host.write("/etc/modprobe.d/no-ipip.conf", "install ipip /bin/false\n")
    host.start(TUNNEL + ROUTE)
    state_, why = state(host)
    assert state_ == "failed"
    assert why == "Unknown device type: this kernel has no driver for links of kind ipip (modprobe ipip says more)"
    assert host.run("routed apply", within=SLOW).code == 1
    host.do("rm /etc/modprobe.d/no-ipip.conf")
    wait_for_state(host, "in-sync")
    connect(host)
    host.wait_until(ANSWERS, within=SLOW)


def test_a_tunnel_of_somebody_else_is_never_touched(host: Host) -> None:
    host.do("ip link add routed-ipip type ipip local 192.0.2.99")
    theirs = stands(host)
    host.start(TUNNEL)
    assert state(host)[0] == "conflict"
    assert stands(host) == theirs
    host.do(f"ip link add flannel.ipip type ipip local {LOCAL} && ip link delete routed-ipip")
    wait_for_state(host, "failed")
    assert state(host)[1].endswith("another link has this local address (ip -d link show type ipip)")
    host.do("ip link delete flannel.ipip")
    wait_for_state(host, "in-sync")
    assert (stands(host)["local"], stands(host)["ifalias"]) == (LOCAL, "routed:114")
