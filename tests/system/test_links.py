"""Links and addresses come and go; what stands on them is there whenever it can be, and the audit names the cause."""

from __future__ import annotations

import pytest

from tests.kernel.netns import index_of, ip, ip_batch, veth, wait_until
from tests.system.daemon import Daemon, cpu_seconds
from tests.system.host import everything, route, routes, shown
from tests.system.monitor import Monitor
from tests.system.worlds import GATEWAY, GATEWAY6, LAN, WORLD

TO, TO6 = "192.0.2.0/24", "2001:db8::/48"


def was_announced(monitor: Monitor, to: str) -> bool:
    """Did the kernel itself tell that a route has gone?"""
    return any(change.what == "route gone" and change.to == to and change.port == 0 for change in monitor.heard())


def test_what_a_link_drops_in_silence_when_it_goes_down_is_back_when_it_is_up(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    wanted = everything()
    monitor.heard()

    ip("link set v0 down")
    assert not was_announced(monitor, TO)
    assert shown(TO) == []
    ip("link set v0 up")

    wait_until(lambda: everything() == wanted)
    record = daemon.wait_for("repaired", "route/gateway")
    assert "v0" in record["fields"]["ROUTED_CAUSE"]
    for entry in ("route/device", "route/storage", "route/gateway6", "address/home6", "address/storage6"):
        daemon.wait_for("repaired", entry)


def test_a_route_waits_while_its_link_is_down(daemon: Daemon) -> None:
    daemon.start(f'{LAN}dev = "v0"')
    ip("link set v0 down")
    wait_until(lambda: daemon.entry("route/lan")["state"] == "waiting")
    assert daemon.entry("route/lan")["reason"] == "link v0 is down"
    assert daemon.records("failed") == []


def test_after_a_link_was_deleted_every_reason_says_that_it_does_not_exist(daemon: Daemon) -> None:
    held = '[[address]]\nname = "held"\naddress = "10.9.0.1/24"\ndev = "v0"\n'
    more = '[[route]]\nname = "far"\nto = "198.51.100.0/24"\nvia = "10.0.0.3"\n'
    daemon.start(f'{LAN}dev = "v0"\n{held}{more}')
    ip("link del v0")
    told = {
        "route/lan": "link v0 does not exist",
        "address/held": "link v0 does not exist",
        "route/far": "gateway 10.0.0.3 is on no network of this host",
    }
    wait_until(lambda: {entry: daemon.entry(entry)["reason"] for entry in told} == told)
    wait_until(lambda: {record["fields"]["ROUTED_ENTRY"] for record in daemon.records("waiting")} == told.keys())
    assert {record["fields"]["ROUTED_REASON"] for record in daemon.records("waiting")} <= set(told.values())


@pytest.mark.parametrize("entry", [GATEWAY, GATEWAY6, f'{LAN}dev = "v0"'])
def test_a_lost_carrier_changes_nothing(daemon: Daemon, monitor: Monitor, entry: str) -> None:
    daemon.start(entry)
    wanted = routes()
    monitor.heard()

    ip("link set v0p down")
    assert daemon.ask("apply").code == 0
    assert routes() == wanted
    ip("link set v0p up")
    assert daemon.ask("apply").code == 0

    assert routes() == wanted
    assert daemon.records("repaired") == []
    assert not [change for change in monitor.heard() if change.to in {TO, TO6}]


@pytest.mark.parametrize("entry", [GATEWAY, f'{GATEWAY}dev = "v0"', f'{LAN}dev = "v0"'])
def test_a_route_is_back_with_the_last_address_of_its_link(daemon: Daemon, monitor: Monitor, entry: str) -> None:
    daemon.start(entry)
    wanted = routes()
    monitor.heard()

    ip("addr del 10.0.0.1/24 dev v0")
    assert not was_announced(monitor, TO)
    ip("addr add 10.0.0.1/24 dev v0")

    wait_until(lambda: routes() == wanted)
    daemon.wait_for("repaired", "route/lan")


def test_an_ipv6_route_is_back_with_the_address_of_its_link(daemon: Daemon) -> None:
    daemon.start(GATEWAY6)
    wanted = routes()
    ip("addr del fd00::1/64 dev v0")
    ip("addr add fd00::1/64 dev v0 nodad")
    wait_until(lambda: routes() == wanted)
    assert daemon.ask("plan", "--exit-code").code == 0


@pytest.mark.parametrize(
    ("entry", "src"), [(GATEWAY, "10.7.7.7/32"), (GATEWAY6, "fd77::7/128")], ids=["IPv4", "IPv6"]
)  # fmt: skip
def test_a_route_waits_for_its_source_and_is_back_with_it(
    daemon: Daemon, monitor: Monitor, entry: str, src: str
) -> None:
    daemon.start(f'{entry}src = "{src.partition("/")[0]}"')
    assert routes() == []
    assert "(src) is not on this host" in daemon.entry("route/lan")["reason"]

    for _ in range(2):
        ip(f"addr add {src} dev v1 {'nodad' if ':' in src else ''}")
        wait_until(lambda: len(routes()) == 1)
        assert routes()[0]["prefsrc"] == src.partition("/")[0]
        ip(f"addr del {src} dev v1")
        wait_until(lambda: daemon.entry("route/lan")["state"] == "waiting")
    assert daemon.records("failed") == []


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        (f'{LAN}via = "203.0.113.1"', "203.0.113.2/24"),
        (f'{LAN}via = "203.0.113.1"\ndev = "v1"', "203.0.113.2/24"),
        (f'{LAN.replace(TO, TO6)}via = "fd99::1"', "fd99::2/64"),
        (f'{LAN.replace(TO, TO6)}via = "fd99::1"\ndev = "v1"', "fd99::2/64"),
    ],
)
def test_a_gateway_that_comes_into_reach_is_used_at_once(daemon: Daemon, entry: str, address: str) -> None:
    daemon.start(entry)
    assert routes() == []
    assert daemon.entry("route/lan")["state"] == "waiting"

    ip(f"addr add {address} dev v1 {'nodad' if ':' in address else ''}")

    wait_until(lambda: len(routes()) == 1)
    assert routes()[0]["dev"] == "v1"
    cause = daemon.wait_for("added", "route/lan")["fields"]["ROUTED_CAUSE"]
    assert cause not in {"tried again", "found by the regular comparison"}


def test_a_gateway_that_comes_into_reach_by_a_route_is_used_at_once(daemon: Daemon) -> None:
    daemon.start(f'{LAN}via = "203.0.113.1"')
    ip("route add 203.0.113.0/24 dev v1")
    wait_until(lambda: [one["dev"] for one in routes()] == ["v1"])


def test_a_gateway_that_moves_to_another_link_takes_the_route_along(daemon: Daemon) -> None:
    daemon.start(f'{LAN}via = "203.0.113.1"')
    for dev in ("v0", "v1"):
        ip(f"addr add 203.0.113.2/24 dev {dev}")
        wait_until(lambda dev=dev: [one["dev"] for one in routes()] == [dev])  # type: ignore[misc]
        if dev == "v0":
            ip(f"addr del 203.0.113.2/24 dev {dev}")


LATE = """
[[route]]
name = "lan"
to = "192.0.2.0/24"
via = "10.9.0.2"
[[route]]
name = "dev"
to = "192.0.3.0/24"
dev = "w0"
[[route]]
name = "dev6"
to = "2001:db8::/48"
dev = "w0"
[[address]]
name = "late"
address = "10.9.0.1/24"
dev = "w0"
"""


def appear() -> None:
    veth("w0")


def test_a_link_that_appears_late_gets_its_addresses_and_routes_at_once(daemon: Daemon) -> None:
    daemon.start(LATE)
    assert routes() == []
    assert daemon.entry("route/dev")["reason"] == "link w0 does not exist"

    appear()

    wait_until(lambda: len(routes()) == 3)
    for entry in ("route/lan", "route/dev", "route/dev6", "address/late"):
        assert daemon.wait_for("added", entry)["fields"]["ROUTED_CAUSE"] != "tried again"
    assert daemon.records("failed") == []


def test_a_link_that_is_deleted_and_made_again_under_another_index_carries_the_routes(
    daemon: Daemon, monitor: Monitor
) -> None:
    appear()
    daemon.start(LATE)
    wanted, index = everything(), index_of("w0")
    assert len(wanted["routes"]) == 3
    monitor.heard()

    ip("link del w0")
    assert not was_announced(monitor, TO)
    ip("link add spare type veth peer name sparep")
    appear()

    assert index_of("w0") != index
    wait_until(lambda: routes() == wanted["routes"])
    daemon.wait_for("repaired", "route/lan")
    daemon.wait_for("repaired", "address/late")


def test_a_route_follows_the_name_of_its_link(daemon: Daemon) -> None:
    appear()
    daemon.start(LATE)
    wanted = everything()

    ip_batch("link set w0 down\nlink set w0 name other0\nlink set other0 up\n")
    wait_until(lambda: daemon.entry("route/dev")["reason"] == "link w0 does not exist")
    wait_until(lambda: routes() == [])
    ip_batch("link set other0 down\nlink set other0 name w0\nlink set w0 up\n")

    wait_until(lambda: everything() == wanted)


def test_the_name_of_a_link_may_pass_to_another_one(daemon: Daemon) -> None:
    appear()
    daemon.start(LATE)
    wanted = routes()
    ip("link add heir type veth peer name heirp")
    ip_batch("link set w0 down\nlink set w0 name old\nlink set heir name w0\nlink set w0 up\nlink set heirp up\n")
    wait_until(lambda: routes() == wanted)
    assert route("192.0.3.0/24")["dev"] == "w0"


def test_a_route_is_back_when_its_link_returns_from_another_namespace(daemon: Daemon) -> None:
    appear()
    daemon.start(LATE)
    wanted = routes()
    ip(f"link set w0 netns {daemon.pid}")  # its own: nothing may happen
    ip("netns add routed-elsewhere")
    try:
        ip("link set w0 netns routed-elsewhere")
        wait_until(lambda: daemon.entry("route/dev")["state"] == "waiting")
        ip(f"-n routed-elsewhere link set w0 netns {daemon.pid}")
        ip("link set w0 up")
        wait_until(lambda: routes() == wanted)
    finally:
        ip("netns del routed-elsewhere")


def legs(to: str) -> set[str]:
    """The gateways of a multipath route that are alive."""
    found = shown(to)
    hops = [hop for one in found for hop in one.get("nexthops", [one])]
    return {hop["gateway"] for hop in hops if "dead" not in hop["flags"]}


@pytest.mark.parametrize(
    ("to", "gateways"), [(TO, ("10.0.0.2", "10.1.0.2")), (TO6, ("fd00::2", "fd01::2"))], ids=["IPv4", "IPv6"]
)  # fmt: skip
def test_a_multipath_route_keeps_the_legs_that_can_be_and_gets_the_others_back(
    daemon: Daemon, monitor: Monitor, to: str, gateways: tuple[str, str]
) -> None:
    hops = ", ".join(f'{{ via = "{gateway}", dev = "v{number}" }}' for number, gateway in enumerate(gateways))
    home = '[[address]]\naddress = "fd01::1/64"\ndev = "v1"\nnodad = true\n'
    daemon.start(f"{LAN.replace(TO, to)}hops = [ {hops} ]\n{home}")
    wanted = routes()
    assert legs(to) == set(gateways)
    monitor.heard()

    ip("link set v1 down")
    wait_until(lambda: legs(to) == {gateways[0]})
    wait_until(lambda: "link v1 is down" in daemon.entry("route/lan")["reason"])
    assert legs(to) == {gateways[0]}
    ip("link set v1 up")

    wait_until(lambda: legs(to) == set(gateways))
    wait_until(lambda: routes() == wanted)
    assert daemon.records("failed") == []


@pytest.mark.xdist_group("timing")
def test_a_thousand_flaps_end_right_with_few_writes(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    wanted = everything()
    monitor.heard()
    before = cpu_seconds(daemon.pid)

    ip_batch("link set v0 down\nlink set v0 up\n" * 1000)

    wait_until(lambda: everything() == wanted, within=20)
    assert daemon.ask("plan", "--exit-code").code == 0
    writes = [change for change in monitor.heard() if change.port not in {0, 2**32}]
    assert len(writes) < 1000 * len(wanted["routes"])
    assert cpu_seconds(daemon.pid) - before < 10
    assert daemon.records("failed") == []


def test_an_address_and_a_route_that_has_it_as_source_come_together_in_a_large_file(daemon: Daemon) -> None:
    many = "".join(f'[[route]]\nto = "10.{number}.0.0/16"\ntype = "blackhole"\n' for number in range(100, 120))
    address = '[[address]]\naddress = "10.9.0.1/24"\ndev = "v0"\n'
    daemon.start(f'{address}[[route]]\nto = "10.77.0.0/16"\nvia = "10.9.0.2"\nsrc = "10.9.0.1"\n{many}')
    assert len(routes()) == 21


def test_a_vpn_that_takes_everything_draws_neither_a_route_nor_an_interface_into_its_tunnel(daemon: Daemon) -> None:
    lan = '[[interface]]\nname = "lan"\nmatch = [ { can_reach = "10.0.0.2" } ]\nhold = "100ms"\n'
    at_lan = '[[route]]\nname = "at-lan"\nto = "192.0.3.0/24"\nvia = "10.0.0.2"\ndev = "@lan"\n'
    daemon.start(GATEWAY + lan + at_lan, daemon='resync = "1s"')
    wanted = [(route["dst"], route["dev"]) for route in routes()]
    assert {dev for _, dev in wanted} == {"v0"}
    ip("tuntap add vpn0 mode tun")
    ip("link set vpn0 up")
    ip("address add 100.64.0.7/32 dev vpn0")
    ip("route add default dev vpn0 table 52")
    ip("rule add pref 5270 lookup 52")
    for _ in range(2):  # by then the hold is over many times
        daemon.wait_for_resync()
    assert [(route["dst"], route["dev"]) for route in routes()] == wanted
    assert daemon.records("selector-changed") == daemon.records("selector-changed")[:1]
    assert {entry["state"] for entry in daemon.ask_json("status")["entries"]} == {"shadowed"}
