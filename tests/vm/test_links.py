"""Routes on links that a development kernel may lack: dummy, VRF, VLAN, bond; and a cable that is pulled."""

from __future__ import annotations

import json

import pytest

from tests.vm.host import LAN, SPARE, Host

MAKE = {
    "dummy": "ip link add name type dummy",
    "vlan": f"ip link set {SPARE} up; ip link add name link {SPARE} type vlan id 7",
    "bond": f"ip link add name type bond mode active-backup; ip link set {SPARE} down; ip link set {SPARE} master name",
    "vrf": "ip link add name type vrf table 700",
}


def make(kind: str, name: str) -> str:
    return f"{MAKE[kind]}; ip link set name up; ip addr add 10.70.0.1/24 dev name".replace("name", name)


@pytest.mark.parametrize("kind", ["dummy", "vlan", "bond"])
def test_routes_follow_a_link_that_is_deleted_made_again_and_renamed(host: Host, kind: str) -> None:
    host.do(make(kind, "lnk0"))
    host.start(
        '[[route]]\nto = "10.71.0.0/16"\nvia = "10.70.0.2"\n[[route]]\nto = "10.72.0.0/16"\ndev = "lnk0"\n'
        '[[route]]\nto = "10.73.0.0/16"\nvia = "10.70.0.2"\ndev = "lnk1"\n'
    )
    host.wait_for_routes("10.71.0.0/16 10.70.0.2 lnk0", "10.72.0.0/16 - lnk0")
    host.do("ip link set lnk0 down; ip link set lnk0 up")
    host.wait_for_routes("10.71.0.0/16 10.70.0.2 lnk0", "10.72.0.0/16 - lnk0")
    host.do("ip link del lnk0")
    host.wait_for_routes()
    host.do(make(kind, "lnk0"))
    host.wait_for_routes("10.71.0.0/16 10.70.0.2 lnk0", "10.72.0.0/16 - lnk0")
    host.do("ip link set lnk0 down; ip link set lnk0 name lnk1; ip link set lnk1 up")
    host.wait_for_routes("10.71.0.0/16 10.70.0.2 lnk1", "10.73.0.0/16 10.70.0.2 lnk1")


def test_routes_in_the_table_of_a_vrf_come_back(host: Host) -> None:
    host.do(make("vrf", "red"))
    host.do(f"ip link set {SPARE} master red; ip link set {SPARE} up; ip addr add 10.80.0.1/24 dev {SPARE}")
    host.start(f'[[route]]\nto = "10.81.0.0/16"\nvia = "10.80.0.2"\ndev = "{SPARE}"\ntable = 700\n')
    there = f"10.81.0.0/16 10.80.0.2 {SPARE}"
    host.wait_for_routes(there, selection="vrf red proto routed")
    host.do("ip route flush vrf red proto routed")
    host.wait_for_routes(there, selection="vrf red proto routed")
    host.do(f"ip link set {SPARE} nomaster; ip link set {SPARE} master red")
    host.wait_for_routes(there, selection="vrf red proto routed")


def test_why_and_the_plan_follow_packets_into_a_vrf_as_ip_route_get_does(host: Host) -> None:
    host.do(make("vrf", "red"))
    host.do(f"ip link set {SPARE} master red; ip link set {SPARE} up; ip addr add 10.80.0.1/24 dev {SPARE}")
    host.do("sysctl -w net.ipv4.ip_forward=1")
    host.start(f'[[route]]\nname = "in"\nto = "10.81.0.0/16"\nvia = "10.80.0.2"\ndev = "{SPARE}"\ntable = 700\n')
    for words, asked in (
        ("--oif red", "vrf red"),
        (f"--oif {SPARE}", f"oif {SPARE}"),
        (f"--iif {SPARE} --from 10.80.0.9", f"from 10.80.0.9 iif {SPARE}"),
        ("--iif red --from 10.80.0.9", "from 10.80.0.9 iif red"),
    ):
        (shown,) = host.ask(f"ip -j route get 10.81.0.9 {asked}")
        way = json.loads(host.do(f"routed why 10.81.0.9 {words} --json"))
        assert way["kernel"]["agrees"], way
        assert way["decision"]["hops"] == [{"dev": shown["dev"], "gateway": shown["gateway"]}]
        assert way["decision"]["route"]["entry"] == "route/in"
        assert "l3mdev" in way["decision"]["rule"]["object"]
    assert json.loads(host.do("routed why 10.81.0.9 --json"))["outranked"]  # what is bound to nothing goes elsewhere

    plan = json.loads(host.do(f"routed plan --if link:{SPARE}=down --why 10.81.0.9 --oif red --json"))
    gone = {f"{one['ip'].get('dst')} {one['ip'].get('table')}" for one in plan["kernel"] if one["kind"] == "route"}
    assert "10.80.0.0/24 700" in gone, plan["kernel"]
    (way,) = plan["ways"]
    assert (way["now"]["decision"]["source"], way["then"]["decision"]["outcome"]) == ("10.80.0.1", "lost")
    host.do(f"ip link set {SPARE} down")
    assert host.run("ip route get 10.81.0.9 vrf red").code != 0
    assert not [one for one in host.routes("vrf red proto kernel") if one.startswith("10.80.")]


def test_a_pulled_cable_is_no_drift(host: Host) -> None:
    host.start('[[route]]\nname = "storage-lan"\nto = "10.40.0.0/16"\nvia = "10.20.0.1"\n')
    before = len(host.journal())
    host.machine.plug(LAN, is_in=False)
    host.wait_until("ip route show 10.40.0.0/16 | grep linkdown")
    assert host.routes() == [f"10.40.0.0/16 10.20.0.1 {LAN}"]
    host.machine.plug(LAN, is_in=True)
    host.wait_until("! ip route show 10.40.0.0/16 | grep linkdown")
    assert len(host.journal()) == before
