"""Links, addresses and gateways as the kernel knows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from routed.kernel.dump import finish
from routed.kernel.kernel import Kernel
from routed.model.facts import GatewayLink
from routed.model.objects import AddressMember
from tests.kernel.conftest import Network
from tests.kernel.netns import ip, ip_json
from tests.kernel.objects import packed


def test_links_are_those_that_ip_shows(network: Network, kernel: Kernel) -> None:
    ip("link add br0 type bridge")
    ip("link set v1 master br0")
    ip("link set v0p down")
    while True:  # what becomes of a carrier the kernel says a moment later
        before, links, after = ip_json("link show"), finish(kernel.read_links()), ip_json("link show")
        if before == after:
            break
    shown = {link["ifindex"]: link for link in before}
    assert links.keys() == shown.keys()
    for ifindex, link in links.items():
        judge = shown[ifindex]
        assert link.name == judge["ifname"]
        if judge["link_type"] in {"ether", "loopback"}:  # the address of a tunnel is an IP address
            assert link.mac.hex(":") == judge["address"]
        assert link.is_up == ("UP" in judge["flags"])
        assert link.has_carrier == ("LOWER_UP" in judge["flags"])
        assert link.kind == judge.get("linkinfo", {}).get("info_kind", "")
        assert link.master == (next(i for i, s in shown.items() if s["ifname"] == "br0") if "master" in judge else 0)


def test_altnames_are_those_that_ip_shows(network: Network, kernel: Kernel) -> None:
    for name in ("lan0", "enp0s31f6-of-the-board-in-the-rack", "x" * 127):
        ip(f"link property add dev v0 altname {name}")
    links, shown = finish(kernel.read_links()), ip_json("link show")
    assert {link.name: list(link.altnames) for link in links.values()} == {
        one["ifname"]: one.get("altnames", []) for one in shown
    }
    assert len(links[network.v0].altnames) == 3


def test_addresses_are_those_that_ip_shows(network: Network, kernel: Kernel) -> None:
    ip("addr add 198.51.100.1/24 dev v0 preferred_lft 0")
    ip("addr add 198.51.100.7 peer 198.51.100.9 dev v0")
    addresses = finish(kernel.read_addresses())
    shown = {
        AddressMember(link["ifindex"], packed(a["local"]), 32 if "address" in a else a["prefixlen"])
        for link in ip_json("addr show")
        for a in link["addr_info"]
    }
    assert addresses.keys() == shown
    assert addresses[AddressMember(network.v0, packed("198.51.100.1"), 24)].is_deprecated
    assert not addresses[AddressMember(network.v0, packed("10.0.0.1"), 24)].is_deprecated


def test_an_address_whose_duplicate_was_not_yet_looked_for_is_tentative(network: Network, kernel: Kernel) -> None:
    Path("/proc/sys/net/ipv6/conf/v0/accept_dad").write_text("1")
    ip("link set v0p down")
    ip("addr add 2001:db8::1/64 dev v0")
    assert finish(kernel.read_addresses())[AddressMember(network.v0, packed("2001:db8::1"), 64)].is_tentative


def own(kernel: Kernel) -> dict[bytes, int]:
    """The addresses of this host and their links."""
    return {fact.address: fact.dev for fact in finish(kernel.read_addresses()).values()}


def test_a_gateway_in_a_connected_prefix_is_on_that_link(network: Network, kernel: Kernel) -> None:
    wanted = [packed("10.0.0.2"), packed("10.1.0.2"), packed("fd00::2"), packed("fd01::2")]
    links = [network.v0, network.v1, network.v0, network.v1]
    assert kernel.locate_gateways(wanted, own(kernel), []) == {
        gateway: GatewayLink(dev, is_onlink=True) for gateway, dev in zip(wanted, links, strict=True)
    }


def test_a_gateway_that_nothing_reaches_is_absent(kernel: Kernel) -> None:
    ip("route add blackhole 192.0.2.0/24")
    ip("route add unreachable 2001:db8::/48")
    wanted = ["203.0.113.1", "2001:db8:1::1", "192.0.2.1", "2001:db8::1", "fe80::1", "255.255.255.255", "127.0.0.5"]
    assert kernel.locate_gateways(map(packed, wanted), own(kernel), []) == {}


def test_a_gateway_behind_the_default_route_is_not_on_link(network: Network, kernel: Kernel) -> None:
    ip("route add default via 10.0.0.2")
    ip("-6 route add default via fd01::2")
    assert kernel.locate_gateways([packed("203.0.113.1"), packed("2001:db8::1")], own(kernel), []) == {
        packed("203.0.113.1"): GatewayLink(network.v0, is_onlink=False),
        packed("2001:db8::1"): GatewayLink(network.v1, is_onlink=False),
    }


TUNNELS = {
    "a default": ["route add default dev v1 table 52", "-6 route add default dev v1 table 52"],
    "two halves": [
        *(f"route add {half} dev v1 table 52" for half in ("0.0.0.0/1", "128.0.0.0/1")),
        *(f"-6 route add {half} dev v1 table 52" for half in ("::/1", "8000::/1")),
    ],
}


@pytest.mark.parametrize("routes", TUNNELS.values(), ids=TUNNELS.keys())
def test_a_tunnel_into_which_a_rule_leads_everything_has_no_gateway_of_others(
    network: Network, kernel: Kernel, routes: list[str]
) -> None:
    ip("route add 203.0.113.1 dev v0")  # as the gateway of a rented host is
    for command in (*routes, "rule add pref 100 lookup 52", "-6 rule add pref 100 lookup 52"):
        ip(command)
    wanted = [packed(text) for text in ("10.0.0.2", "fd00::2", "203.0.113.1")]
    assert kernel.locate_gateways([*wanted, packed("198.51.100.1")], own(kernel), [network.v0, network.v1]) == {
        gateway: GatewayLink(network.v0, is_onlink=True) for gateway in wanted
    }


def test_an_address_of_this_host_is_on_the_link_that_holds_it(network: Network, kernel: Kernel) -> None:
    assert kernel.locate_gateways([packed("10.1.0.1"), packed("fd00::1")], own(kernel), []) == {
        packed("10.1.0.1"): GatewayLink(network.v1, is_onlink=True),
        packed("fd00::1"): GatewayLink(network.v0, is_onlink=True),
    }


def test_a_closed_kernel_may_be_closed_again(network: Network) -> None:
    kernel = Kernel()
    kernel.open_events()
    kernel.close()
    kernel.close()
