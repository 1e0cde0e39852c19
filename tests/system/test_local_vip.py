"""A VIP that this host answers for itself, without holding it: packets and `ip` are the judges."""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

import pytest

from tests.kernel.netns import ip, ip_json, veth, wait_until
from tests.system.daemon import Daemon

LOCAL = "2"  # as `ip -N` writes it


class Family(NamedTuple):
    """The same case in a family of addresses."""

    option: str
    vip: str
    node: str
    length: int
    far: str
    number: socket.AddressFamily

    @property
    def file(self) -> str:
        return f'[[vip]]\nname = "a"\naddress = "{self.vip}"\nnode = "{self.node}"\nlocal = true\n'

    def ip(self, command: str) -> None:
        ip(f"{self.option} {command}")

    def hold(self) -> None:
        """Have NODE as an address of this host."""
        ip(f"addr add {self.node}/{self.length} dev v0" + (" nodad" if self.number == socket.AF_INET6 else ""))

    def routes(self) -> list[dict[str, Any]]:
        """Ours in table local."""
        found: list[dict[str, Any]] = ip_json(f"{self.option} route show table local proto 114")
        return found

    def connect(self) -> str:
        """The source by which a client of this host comes to a listener at every address, asked at the VIP."""
        wide = "::" if self.number == socket.AF_INET6 else ""
        with socket.create_server((wide, 0), family=self.number) as listener:
            asked = socket.create_connection((self.vip, listener.getsockname()[1]), timeout=3)
            with asked, listener.accept()[0] as accepted:
                return str(accepted.getpeername()[0])


FAMILIES = [
    pytest.param(Family("-4", "10.103.97.2", "192.0.2.1", 24, "198.51.100.9", socket.AF_INET), id="IPv4"),
    pytest.param(Family("-6", "fd99::2", "fd00::1", 64, "fd77::1", socket.AF_INET6), id="IPv6"),
]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture(autouse=True)
def _no_addresses(daemon: Daemon) -> None:
    del daemon
    for address in ip_json("addr show dev v0")[0]["addr_info"]:
        if not address["local"].startswith("fe80"):
            ip(f"addr del {address['local']}/{address['prefixlen']} dev v0")


def test_this_host_answers_for_it_from_its_own_address_also_when_somebody_adds_a_rule(
    daemon: Daemon, family: Family
) -> None:
    family.hold()
    daemon.start(family.file)
    (route,) = family.routes()
    assert (route["type"], route["dst"], route["dev"], route["prefsrc"]) == (LOCAL, family.vip, "lo", family.node)
    assert daemon.entry("vip/a")["state"] == "in-sync"
    assert family.connect() == family.node
    family.ip(f"rule add pref 100 from {family.far} lookup 100")
    assert family.connect() == family.node


def test_it_goes_with_the_address_of_the_node_and_comes_back_with_it(daemon: Daemon, family: Family) -> None:
    daemon.start(family.file)
    assert family.routes() == []
    assert daemon.entry("vip/a")["state"] == "waiting"
    family.hold()
    wait_until(lambda: len(family.routes()) == 1)
    assert family.connect() == family.node
    ip(f"addr del {family.node}/{family.length} dev v0")
    wait_until(lambda: family.routes() == [])
    assert "(node) is not on this host" in daemon.entry("vip/a")["reason"]
    family.hold()
    wait_until(lambda: len(family.routes()) == 1)


def test_it_is_put_back_when_somebody_deletes_it_and_goes_with_the_entry(daemon: Daemon, family: Family) -> None:
    family.hold()
    daemon.start(family.file, daemon='resync = "1s"')
    family.ip(f"route del local {family.vip} dev lo table local")
    wait_until(lambda: len(family.routes()) == 1)
    family.ip("addr flush dev lo")  # it takes an IPv4 one along, and says nothing
    wait_until(lambda: len(family.routes()) == 1)
    daemon.apply("")
    assert family.routes() == []


def test_a_restart_over_it_changes_nothing(daemon: Daemon, family: Family) -> None:
    family.hold()
    daemon.start(family.file)
    daemon.kill()
    daemon.forget()
    daemon.start()
    assert daemon.entry("vip/a")["state"] == "in-sync"
    assert daemon.records("added") == daemon.records("repaired") == []


def test_that_the_vip_is_also_an_address_of_this_host_is_said(daemon: Daemon, family: Family) -> None:
    family.hold()
    veth("v9")
    ip(f"addr add {family.vip}/{32 if family.number == socket.AF_INET else 128} dev v9")
    daemon.start(family.file)
    assert daemon.entry("vip/a")["state"] == ("conflict" if family.number == socket.AF_INET else "shadowed")
