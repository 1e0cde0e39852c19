"""Routes on links that a development kernel may lack: dummy, VRF, VLAN, bond; and a cable that is pulled."""

from __future__ import annotations

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


def test_a_pulled_cable_is_no_drift(host: Host) -> None:
    host.start('[[route]]\nname = "storage-lan"\nto = "10.40.0.0/16"\nvia = "10.20.0.1"\n')
    before = len(host.journal())
    host.machine.plug(LAN, is_in=False)
    host.wait_until("ip route show 10.40.0.0/16 | grep linkdown")
    assert host.routes() == [f"10.40.0.0/16 10.20.0.1 {LAN}"]
    host.machine.plug(LAN, is_in=True)
    host.wait_until("! ip route show 10.40.0.0/16 | grep linkdown")
    assert len(host.journal()) == before
