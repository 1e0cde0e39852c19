"""Default routes, ways and drivers as the kernel knows them."""

from __future__ import annotations

import pytest

from routed.kernel.dump import finish
from routed.kernel.kernel import Kernel
from routed.model.names import LOCAL, UNICAST
from routed.model.net import format_prefix
from routed.model.objects import RouteSlot
from tests.kernel.conftest import Network
from tests.kernel.netns import ip, ip_batch, ip_json
from tests.kernel.objects import packed


def prefixes(kernel: Kernel) -> list[str]:
    return [format_prefix(route.member) for route in kernel.read_default_routes() if isinstance(route.member, bytes)]


def test_default_routes_come_in_the_order_of_the_kernel_with_those_of_a_vpn(network: Network, kernel: Kernel) -> None:
    ip("route add default via 10.0.0.2 metric 100")
    ip("route add 0.0.0.0/1 via 10.1.0.2")
    ip("route add default via 10.1.0.2 metric 50")
    ip("route add default via 10.1.0.2 table 7")
    ip("route add 10.9.0.0/16 via 10.1.0.2")
    ip("-6 route add default via fd00::2")
    ip("-6 route add ::/96 via fd01::2")
    found = kernel.read_default_routes()
    assert prefixes(kernel) == ["0.0.0.0/1", "0.0.0.0/0", "0.0.0.0/0", "::/96", "::/0"]
    assert [route.value.hops[0].dev for route in found] == [network.v1, network.v1, network.v0, network.v1, network.v0]


def test_without_a_default_route_there_is_none(kernel: Kernel) -> None:
    assert kernel.read_default_routes() == ()


def test_a_large_table_is_not_read_to_its_end(network: Network, kernel: Kernel) -> None:
    ip_batch("".join(f"route add 20.{n >> 8}.{n & 255}.0/24 via 10.0.0.2\n" for n in range(2000)))
    ip("route add default via 10.0.0.2")
    assert prefixes(kernel) == ["0.0.0.0/0"]
    assert finish(kernel.read_addresses())  # and nothing is left behind


def test_a_way_is_what_ip_route_get_says(network: Network, kernel: Kernel) -> None:
    ip("route add default via 10.0.0.2")
    ip("route add 203.0.113.0/24 dev v1 src 10.1.0.1 metric 7")
    wanted = ["10.1.0.9", "192.0.2.1", "203.0.113.5", "fd01::9", "10.0.0.1"]
    ways = kernel.look_up(map(packed, wanted))
    for address, way in zip(wanted, ways.values(), strict=True):
        (shown,) = ip_json(f"route get {address}")
        assert way.source == packed(shown["prefsrc"])
        assert way.gateway == (packed(shown["gateway"]) if "gateway" in shown else b"")
        assert way.type == (LOCAL if address == "10.0.0.1" else UNICAST)
    winner = ways[packed("203.0.113.5")].winner
    assert winner is not None
    assert isinstance(winner.member, bytes)
    assert format_prefix(winner.member) == "203.0.113.0/24"


@pytest.mark.parametrize(("address", "source"), [("192.0.2.1", "10.1.0.1"), ("2001:db8::1", "fd01::1")])
def test_the_route_that_wins_is_told_with_its_table(
    network: Network, kernel: Kernel, address: str, source: str
) -> None:
    family = "-6" if ":" in address else "-4"
    ip(f"{family} route add default dev v1 src {source} table 200")
    ip(f"{family} rule add priority 100 to {address} lookup 200")
    way = kernel.look_up([packed(address)])[packed(address)]
    assert way.winner is not None
    assert isinstance(way.winner.slot, RouteSlot)
    assert (way.winner.slot.table, way.source) == (200, packed(source))


def test_what_is_not_reached_has_no_way(kernel: Kernel) -> None:
    ip("route add unreachable 192.0.2.0/24")
    ip("route add blackhole 2001:db8::/32")
    assert kernel.look_up(map(packed, ["192.0.2.1", "198.51.100.1", "2001:db8::1", "2001:db9::1"])) == {}


def test_drivers_are_those_of_ethtool(network: Network, kernel: Kernel) -> None:
    drivers = kernel.read_drivers(finish(kernel.read_links()).values())
    assert drivers[network.v0] == "veth"
    assert 1 not in drivers
