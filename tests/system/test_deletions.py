"""What is deleted comes back, whatever it is and whoever did it, and the audit says so."""

from __future__ import annotations

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.daemon import Daemon
from tests.system.host import everything, routes
from tests.system.monitor import Monitor
from tests.system.worlds import GATEWAY, WORLD

# name of the entry: (the entry, the words by which `ip` deletes its object)
ROUTES = {
    "gateway": ('to = "192.0.2.0/24"\nvia = "10.0.0.2"\nsrc = "10.0.0.1"\nmtu = 1400', "route del 192.0.2.0/24"),
    "gateway6": ('to = "2001:db8::/48"\nvia = "fd00::2"\nmetric = 50', "-6 route del 2001:db8::/48"),
    "device": ('to = "192.0.2.0/24"\ndev = "v0"', "route del 192.0.2.0/24"),
    "device6": ('to = "2001:db8::/48"\ndev = "v0"', "-6 route del 2001:db8::/48"),
    "multipath": (
        'to = "192.0.2.0/24"\nhops = [ { via = "10.1.0.2", weight = 3 }, { via = "10.0.0.2", dev = "v0" } ]',
        "route del 192.0.2.0/24",
    ),
    "multipath6": (
        'to = "2001:db8::/48"\nhops = [ { via = "fd01::2", weight = 3 }, { via = "fd00::2", dev = "v0" } ]',
        "-6 route del 2001:db8::/48",
    ),
    "blackhole": ('to = "192.0.2.0/24"\ntype = "blackhole"', "route del blackhole 192.0.2.0/24"),
    "blackhole6": ('to = "2001:db8::/48"\ntype = "blackhole"', "-6 route del blackhole 2001:db8::/48"),
    "unreachable": ('to = "192.0.2.0/24"\ntype = "unreachable"', "route del unreachable 192.0.2.0/24"),
    "unreachable6": ('to = "2001:db8::/48"\ntype = "unreachable"', "-6 route del unreachable 2001:db8::/48"),
    "prohibit": ('to = "192.0.2.0/24"\ntype = "prohibit"', "route del prohibit 192.0.2.0/24"),
    "prohibit6": ('to = "2001:db8::/48"\ntype = "prohibit"', "-6 route del prohibit 2001:db8::/48"),
    "throw": ('to = "192.0.2.0/24"\ntype = "throw"', "route del throw 192.0.2.0/24"),
    "throw6": ('to = "2001:db8::/48"\ntype = "throw"', "-6 route del throw 2001:db8::/48"),
    "local": ('to = "192.0.2.0/24"\ntype = "local"\ndev = "lo"\ntable = 100', "route del local 192.0.2.0/24 table 100"),
    "local6": (
        'to = "2001:db8::/48"\ntype = "local"\ndev = "lo"\ntable = 100',
        "-6 route del local 2001:db8::/48 table 100",
    ),
    "v4-via-v6": ('to = "192.0.2.0/24"\nvia = "fd00::2"\ndev = "v0"', "route del 192.0.2.0/24"),
    "other-table": (
        'to = "default"\nvia = "10.0.0.2"\ntable = 120\nmetric = 7', "route del default table 120 metric 7"
    ),
    "other-table6": ('to = "default"\nvia = "fd00::2"\ntable = 120', "-6 route del default table 120"),
    "onlink": ('to = "192.0.2.0/24"\nvia = "198.51.100.1"\ndev = "v0"\nonlink = true', "route del 192.0.2.0/24"),
    "onlink6": ('to = "2001:db8::/48"\nvia = "fd99::1"\ndev = "v0"\nonlink = true', "-6 route del 2001:db8::/48"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROUTES)
def test_a_deleted_route_comes_back(daemon: Daemon, name: str) -> None:
    entry, deletion = ROUTES[name]
    daemon.start(f'[[route]]\nname = "{name}"\n{entry}')
    wanted = everything()
    assert len(wanted["routes"]) == 1

    ip(deletion)

    wait_until(lambda: everything() == wanted)
    record = daemon.wait_for("repaired", f"route/{name}")
    assert record["fields"]["ROUTED_CAUSE"] == "deleted"
    assert int(record["fields"]["ROUTED_ACTOR_PORT"]) > 0
    assert record["fields"]["ROUTED_ORIGIN"] == f"{daemon.config}:4"


@pytest.mark.parametrize(
    ("entry", "deletion"),
    [
        ("rule/from-storage", "rule del priority 1200"),
        ("rule/marked", "rule del priority 1300"),
        ("rule/marked", "-6 rule del priority 1300"),
        ("address/storage", "addr del 10.20.0.11/21 dev v0"),
        ("address/storage6", "addr del 2001:db8:20::1/64 dev v0"),
    ],
)
def test_a_deleted_rule_or_address_comes_back(daemon: Daemon, entry: str, deletion: str) -> None:
    daemon.start(WORLD)
    wanted = everything()

    ip(deletion)

    wait_until(lambda: everything() == wanted)
    cause = daemon.wait_for("repaired", entry)["fields"]["ROUTED_CAUSE"]
    # of an IPv6 address the kernel does not tell who deleted it (inet6_ifa_notify in net/ipv6/addrconf.c)
    told = "deleted; of an IPv6 address the kernel does not tell by whom"
    assert cause == (told if entry == "address/storage6" else "deleted")


@pytest.mark.parametrize(
    ("flush", "entries"),
    [
        ("route flush table 120", ["route/storage"]),
        ("-6 route flush table 120", ["route/storage6"]),
        ("route flush proto 114", ["route/gateway", "route/device", "route/multipath", "route/blackhole"]),
        ("-6 route flush proto 114", ["route/gateway6", "route/device6", "route/multipath6", "route/blackhole6"]),
        ("route flush root 192.0.0.0/16", ["route/gateway", "route/device", "route/multipath", "route/blackhole"]),
    ],
)
def test_flushed_routes_all_come_back(daemon: Daemon, flush: str, entries: list[str]) -> None:
    daemon.start(WORLD)
    wanted = everything()

    ip(flush)

    wait_until(lambda: everything() == wanted)
    for entry in entries:
        assert daemon.wait_for("repaired", entry)["fields"]["ROUTED_CAUSE"].startswith("deleted")


def test_after_a_flush_of_table_main_all_is_back_but_what_waits_for_a_network_that_the_kernel_made(
    daemon: Daemon,
) -> None:
    """Those of addresses of the file are put back, others come back with their link."""
    daemon.start(WORLD)
    wanted = [route for route in routes() if route["family"] == "4"]

    ip("route flush table main")

    rest = [route for route in wanted if route["dst"] != "192.0.4.0/24"]
    wait_until(lambda: [route for route in routes() if route["family"] == "4"] == rest)
    daemon.wait_for("waiting", "route/multipath")
    assert daemon.entry("route/multipath")["state"] == "waiting"
    for dev in ("v0", "v1"):
        ip(f"link set {dev} down")
        ip(f"link set {dev} up")
    wait_until(lambda: [route for route in routes() if route["family"] == "4"] == wanted)


@pytest.mark.parametrize(("family", "entry"), [("", "rule/from-storage"), ("-6 ", "rule/marked")])
def test_our_rules_come_back_after_a_flush_and_the_kernels_own_are_missed_aloud(
    daemon: Daemon, family: str, entry: str
) -> None:
    daemon.start(WORLD)
    wanted = everything()

    ip(f"{family}rule flush")

    wait_until(lambda: everything() == wanted)
    daemon.wait_for("repaired", entry)
    assert "32766" in daemon.wait_for("default-rules-missing")["message"]
    assert not [rule for rule in everything("2")["rules"] if family and rule["family"] == "6" and rule["priority"]]


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_a_local_rule_that_somebody_moved_is_not_missed(daemon: Daemon, family: str) -> None:
    ip(f"{family} rule add priority 5000 lookup local")
    ip(f"{family} rule del priority 0")
    daemon.start(GATEWAY, daemon='resync = "1s"')
    ip(f"{family} rule add priority 6000 lookup local")
    ip(f"{family} rule del priority 5000")
    daemon.wait_for_resync()
    assert daemon.records("default-rules-missing") == []
    ip(f"{family} rule del priority 6000")
    assert "0: from all lookup local" in daemon.wait_for("default-rules-missing")["message"]


@pytest.mark.parametrize(("family", "name"), [("-4", "IPv4"), ("-6", "IPv6")])
def test_status_and_plan_name_a_rule_of_the_kernel_that_is_missing(daemon: Daemon, family: str, name: str) -> None:
    daemon.start(GATEWAY)
    assert daemon.ask_json("status")["absent"] == []
    ip(f"{family} rule del priority 32766")
    daemon.wait_for("default-rules-missing")
    command = f"ip {family} rule add priority 32766 lookup main"
    wanted = [{"family": name, "missing": "32766: from all lookup main", "command": command}]
    status = daemon.ask_json("status")
    assert status["absent"] == wanted
    assert status["state"].startswith(f"the kernel's own {name} rules are missing (32766: from all lookup main); ")
    assert daemon.ask_json("plan")["absent"] == wanted
    assert f"{command} brings them back" in daemon.ask("plan").out
    ip(f"{family} rule add priority 32766 lookup main")
    assert daemon.ask("apply").code == 0
    assert daemon.ask_json("status")["absent"] == []
    assert "absent" not in daemon.ask_json("plan")


def test_kernel_rules_that_go_once_more_are_missed_aloud_once_more(daemon: Daemon) -> None:
    daemon.start(WORLD)
    for _ in range(2):
        ip("rule del priority 32766")
        daemon.wait_for("default-rules-missing")
        ip("rule add priority 32766 lookup main")
        assert daemon.ask("apply").code == 0
        daemon.forget()


def test_an_address_flush_brings_back_the_addresses_and_what_stands_on_them(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    wanted = everything()
    monitor.heard()

    ip("-4 addr flush dev v0")

    wait_until(lambda: everything() == wanted)
    for entry in ("address/storage", "address/home"):
        daemon.wait_for("repaired", entry)
    assert "address" in daemon.wait_for("repaired", "route/gateway")["fields"]["ROUTED_CAUSE"]
    assert not [change for change in monitor.heard() if change[:2] == ("route gone", "192.0.2.0/24")]


def test_an_address_flush_of_ipv6_brings_back_the_addresses_and_what_stands_on_them(daemon: Daemon) -> None:
    daemon.start(WORLD)
    wanted = everything()

    ip("-6 addr flush dev v0")

    wait_until(lambda: everything() == wanted)
    for entry in ("address/home6", "address/storage6"):
        daemon.wait_for("repaired", entry)
        causes = {record["fields"]["ROUTED_CAUSE"] for record in daemon.records("repaired", entry)}
        assert causes == {"deleted; of an IPv6 address the kernel does not tell by whom"}


def test_the_record_names_the_port_of_whoever_deleted(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(GATEWAY)
    monitor.heard()

    ip("route del 192.0.2.0/24")

    fields = daemon.wait_for("repaired", "route/lan")["fields"]
    (deleted,) = [change for change in monitor.heard() if change.what == "route gone"]
    assert fields["ROUTED_ACTOR_PORT"] == str(deleted.port)


def test_only_what_was_deleted_is_written(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    monitor.heard()

    ip("route del 192.0.2.0/24")

    daemon.wait_for("repaired", "route/gateway")
    assert [change[:2] for change in monitor.heard()] == [("route gone", "192.0.2.0/24"), ("route", "192.0.2.0/24")]


def test_an_entry_that_is_observed_is_reported_and_not_repaired(daemon: Daemon) -> None:
    daemon.start(f'{GATEWAY}enforce = "observe"')
    assert everything()["routes"] == []
    assert daemon.entry("route/lan")["state"] == "drift"
    assert "observed only" in daemon.wait_for("conflict", "route/lan")["message"]


def test_an_entry_that_is_installed_once_is_not_put_back(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(f'{GATEWAY}enforce = "once"')
    assert len(everything()["routes"]) == 1
    monitor.heard()

    ip("route del 192.0.2.0/24")

    daemon.wait_for("conflict", "route/lan")
    assert [change.what for change in monitor.heard()] == ["route gone"]


def test_what_stood_on_a_next_hop_that_is_gone_cannot_be_put_back_and_ours_goes_all_the_same(daemon: Daemon) -> None:
    ip("nexthop add id 7 via 10.0.0.9 dev v0")
    ip("route add 192.0.5.0/24 nhid 7")
    other = '[[route]]\nname = "other"\nto = "192.0.6.0/24"\nvia = "10.0.0.2"\n'
    daemon.start('[[route]]\nname = "mine"\nto = "192.0.5.0/24"\nvia = "10.0.0.2"\n' + other)
    ip("nexthop flush")
    daemon.apply("")
    wait_until(lambda: routes() == [])
    assert daemon.ask_json("status")["leftovers"] == []
    assert daemon.ask_json("plan")["steps"] == []
    assert "192.0.5.0/24" in daemon.wait_for("failed")["message"]
