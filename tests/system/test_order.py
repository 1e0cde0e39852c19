"""The order of the files in the kernel, and rules of others at a priority of ours. ``ip -j`` is the judge."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.kernel.netns import ip, ip_batch, ip_json, wait_until
from tests.system.daemon import Daemon

FAMILIES = pytest.mark.parametrize("family", ["4", "6"], ids=["IPv4", "IPv6"])
FROM = {"4": "192.0.2.1", "6": "2001:db8::1"}
NET = {"4": "203.0.113.{}/24", "6": "2001:db8:1::{}/64"}
FAR = {"4": "203.0.113.99", "6": "2001:db8:1::99"}
OTHER = {"4": "198.18.0.0/16", "6": "2001:db8:9::/48"}


def rule(name: str, table: int, family: str, source: str = "", more: str = "") -> str:
    words = f'from = "{source}"\n' if source else f'family = "ipv{family}"\n'
    return f'[[rule]]\nname = "{name}"\npriority = 1000\n{words}table = {table}\n{more}\n'


def rules(family: str, *tables: int) -> str:
    return "".join(rule(f"r{table}", table, family, FROM[family]) for table in tables)


def addresses(family: str, *numbers: int) -> str:
    return "".join(
        f'[[address]]\nname = "a{number}"\naddress = "{NET[family].format(number)}"\ndev = "v0"\n' for number in numbers
    )


def tables(family: str) -> list[str]:
    return [one["table"] for one in ip_json(f"-{family} rule show") if one["priority"] == 1000]


def numbers(family: str) -> list[int]:
    """The addresses of our network in the kernel's order, by their last number."""
    found = [one["local"] for link in ip_json("address show dev v0") for one in link["addr_info"]]
    start, mark = NET[family].split("{")[0], ":" if family == "6" else "."
    return [int(one.rpartition(mark)[2]) for one in found if one.startswith(start)]


def source(family: str) -> str:
    """The address from which the host speaks into that network."""
    (way,) = ip_json(f"-{family} route get {FAR[family]}")
    return str(way["prefsrc"])


@pytest.fixture(params=["0", "1"], ids=["secondaries go", "secondaries are promoted"])
def promotion(network: None, request: pytest.FixtureRequest) -> None:
    Path("/proc/sys/net/ipv4/conf/all/promote_secondaries").write_text(request.param)
    Path("/proc/sys/net/ipv4/conf/v0/promote_secondaries").write_text(request.param)


@FAMILIES
def test_rules_of_one_priority_stand_as_the_file_has_them(daemon: Daemon, family: str) -> None:
    order = [205, 201, 204, 202, 203]
    daemon.start(rules(family, *order))
    assert tables(family) == [str(table) for table in order]
    daemon.apply(rules(family, *reversed(order)))
    assert tables(family) == [str(table) for table in reversed(order)]
    assert daemon.ask("plan", "--exit-code").code == 0


@FAMILIES
@pytest.mark.parametrize("gone", [[205], [204, 203], [205, 201, 204, 202, 203]], ids=["one", "two", "all"])
def test_rules_that_come_back_stand_as_the_file_has_them(daemon: Daemon, family: str, gone: list[int]) -> None:
    order = [205, 201, 204, 202, 203]
    daemon.start(rules(family, *order))
    ip_batch("\n".join(f"rule del priority 1000 from {FROM[family]} table {table}" for table in gone), f"-{family}")
    wait_until(lambda: tables(family) == [str(table) for table in order])
    wait_until(lambda: {entry["state"] for entry in daemon.ask_json("status")["entries"]} == {"in-sync"})


@FAMILIES
def test_a_rule_that_somebody_put_behind_its_equals_comes_first_again(daemon: Daemon, family: str) -> None:
    daemon.start(rules(family, 205, 201))
    one = f"priority 1000 from {FROM[family]} table 205"
    ip_batch(f"rule del {one}\nrule add {one} protocol 114", f"-{family}", is_forced=True)  # we may be faster
    wait_until(lambda: tables(family) == ["205", "201"])
    record = daemon.wait_for("repaired", "rule/r201")
    assert "out of order" in record["message"]
    assert "in order again" in record["message"]


def test_an_order_that_was_broken_while_the_daemon_was_away_is_made_at_its_start(daemon: Daemon) -> None:
    daemon.start(rules("4", 205, 201, 204))
    daemon.kill()
    one = f"priority 1000 from {FROM['4']} table 205"
    ip_batch(f"rule del {one}\nrule add {one} protocol 114")
    assert tables("4") == ["201", "204", "205"]
    steps = daemon.ask("plan").out
    assert "out of order" in steps
    daemon.start()
    assert tables("4") == ["205", "201", "204"]


@FAMILIES
def test_two_addresses_of_one_network_stand_as_the_file_has_them_and_so_does_the_source(
    daemon: Daemon, promotion: None, family: str
) -> None:
    order = [9, 2, 7, 4]
    daemon.start(addresses(family, *order))
    assert numbers(family) == order
    assert source(family) == NET[family].format(9).partition("/")[0]
    ip(f"address del {NET[family].format(9)} dev v0")
    wait_until(lambda: numbers(family) == order)
    # of IPv6 none is a source before duplicates were looked for
    wait_until(lambda: source(family) == NET[family].format(9).partition("/")[0])
    daemon.apply(addresses(family, *reversed(order)))
    assert numbers(family) == order[::-1]
    assert source(family) == NET[family].format(4).partition("/")[0]
    assert daemon.ask("plan", "--exit-code").code == 0


def test_an_address_of_others_that_would_go_along_keeps_ours_out_of_order_until_that_is_forced(daemon: Daemon) -> None:
    Path("/proc/sys/net/ipv4/conf/all/promote_secondaries").write_text("0")
    Path("/proc/sys/net/ipv4/conf/v0/promote_secondaries").write_text("0")
    daemon.start(addresses("4", 9, 2))
    ip("address add 203.0.113.77/24 dev v0")
    result = daemon.apply(addresses("4", 2, 9))
    assert numbers("4") == [9, 2, 77]
    assert [refusal["by_guard"] for refusal in result["refusals"]] == [True, True]
    entry = daemon.entry("address/a2")
    assert entry["state"] == "drift"
    assert entry["reason"].startswith("out of order, and 203.0.113.77 could go")
    assert daemon.ask("apply").code == 4
    assert daemon.ask("apply", "--force").code == 0
    assert numbers("4") == [2, 9]
    assert daemon.entry("address/a2")["state"] == "in-sync"


def test_an_address_to_which_an_ssh_session_goes_is_moved_only_when_that_is_forced(daemon: Daemon) -> None:
    daemon.start(addresses("4", 9, 2))
    with socket.create_server(("203.0.113.9", 22)) as server, socket.create_connection(server.getsockname()):
        daemon.apply(addresses("4", 2, 9))
        assert numbers("4") == [9, 2]
        assert "to which an SSH session goes" in daemon.entry("address/a9")["reason"]
        assert daemon.ask("apply", "--force").code == 0
    assert numbers("4") == [2, 9]


@FAMILIES
def test_the_legs_of_a_multipath_route_stand_as_the_file_has_them(daemon: Daemon, family: str) -> None:
    ways = ["10.1.0.2", "10.0.0.2", "10.0.0.3"] if family == "4" else ["fd01::2", "fd00::2", "fd00::3"]

    def route(gateways: list[str]) -> str:
        hops = ", ".join(f'{{ via = "{gateway}" }}' for gateway in gateways)
        return f'[[route]]\nname = "m"\nto = "{OTHER[family]}"\nhops = [{hops}]\n'

    def legs() -> list[str]:
        return [leg["gateway"] for leg in ip_json(f"-{family} route show {OTHER[family]}")[0]["nexthops"]]

    daemon.start(route(ways))
    assert legs() == ways
    assert daemon.ask("plan", "--exit-code").code == 0
    other = " ".join(f"nexthop via {gateway}" for gateway in sorted(ways))
    assert sorted(ways) != ways
    ip(f"-{family} route replace {OTHER[family]} proto 114 {other}")
    wait_until(lambda: legs() == ways)
    daemon.apply(route(ways[::-1]))
    assert legs() == ways[::-1]


@FAMILIES
def test_a_rule_of_others_in_our_place_gives_way_and_comes_back_with_the_end_of_ours(
    daemon: Daemon, family: str
) -> None:
    ip(f"-{family} rule add priority 1000 from {FROM[family]} table 900 protocol 77")
    daemon.start(rules(family, 100))
    assert tables(family) == ["100"]
    assert daemon.entry("rule/r100")["state"] == "in-sync"
    daemon.kill()
    daemon.start()  # what was displaced is on disk
    daemon.apply("", force=True)
    assert tables(family) == ["900"]
    assert [one["protocol"] for one in ip_json(f"-{family} rule show") if one["priority"] == 1000] == ["77"]


@FAMILIES
def test_a_rule_of_others_in_our_place_stays_where_the_entry_refuses_a_conflict(daemon: Daemon, family: str) -> None:
    ip(f"-{family} rule add priority 1000 from {FROM[family]} table 900 protocol 77")
    daemon.start(rule("r", 100, family, FROM[family], 'on_conflict = "refuse"'))
    assert tables(family)[0] == "900"
    assert daemon.entry("rule/r")["state"] == "conflict"


@FAMILIES
def test_a_wider_rule_of_others_in_front_of_ours_is_left_and_told(daemon: Daemon, family: str) -> None:
    ip(f"-{family} rule add priority 1000 table 900 protocol 77")
    ip(f"-{family} route add default dev v0 table 100")
    ip(f"address add {FROM[family]} dev lo")  # the host forwards nothing: of others no packet asks the rules
    daemon.start(rules(family, 100))
    assert tables(family) == ["900", "100"]
    assert daemon.entry("rule/r100")["state"] == "in-sync"  # that table is empty: the next one has its turn
    ip(f"-{family} route add default dev v1 table 900")
    assert daemon.ask("apply").code == 1
    assert daemon.entry("rule/r100")["state"] == "shadowed"
    daemon.wait_for("shadowed", "rule/r100")
    ip(f"-{family} rule del priority 1000 table 900 protocol 77")
    wait_until(lambda: daemon.entry("rule/r100")["state"] == "in-sync")


@FAMILIES
def test_a_rule_swapped_for_a_strangers_in_one_batch_decides_again(daemon: Daemon, family: str) -> None:
    daemon.start(rules(family, 100), daemon='fight_limit = "off"')
    ours, theirs = (f"priority 1000 from {FROM[family]} table {table}" for table in (100, 200))
    for _ in range(20):
        ip_batch(f"rule del {ours}\nrule add {theirs}", f"-{family}")
        wait_until(lambda: tables(family)[:1] == ["100"])
        ip_batch(f"rule del {theirs}", f"-{family}", is_forced=True)  # it may stand behind ours
    wait_until(lambda: daemon.entry("rule/r100")["state"] == "in-sync")
    assert daemon.ask("plan", "--exit-code").code == 0


def test_of_rules_of_one_priority_that_may_select_the_same_packets_check_gives_a_notice(daemon: Daemon) -> None:
    daemon.write(
        rule("a", 100, "4", "10.0.0.0/8") + rule("b", 200, "4", "10.9.0.0/16") + rule("c", 200, "4", "11.0.0.0/8")
    )
    answer = daemon.ask("check")
    assert answer.code == 0
    assert "rule/b" not in answer.out
    assert "rule/a" in answer.err
    assert answer.err.count("priority 1000") == 1


@FAMILIES
def test_a_route_without_an_interface_is_on_the_first_of_two_networks_that_fit_its_gateway(
    daemon: Daemon, family: str
) -> None:
    def file(*devs: str) -> str:
        each = (
            f'[[address]]\nname = "on-{dev}"\naddress = "{NET[family].format(dev[1])}"\ndev = "{dev}"\n' for dev in devs
        )
        return "".join(each) + f'[[route]]\nname = "r"\nto = "{OTHER[family]}"\nvia = "{FAR[family]}"\n'

    def dev() -> str:
        found = ip_json(f"-{family} route show {OTHER[family]}")
        return str(found[0]["dev"]) if found else ""

    daemon.start(file("v1", "v0"))
    wait_until(lambda: dev() == "v1")
    ip(f"address del {NET[family].format(1)} dev v1")
    wait_until(lambda: dev() == "v1" and len(ip_json(f"-{family} address show to {NET[family].format(1)}")) > 0)
    daemon.apply(file("v0", "v1"))
    wait_until(lambda: dev() == "v0")
    assert daemon.ask("plan", "--exit-code").code == 0


@FAMILIES
def test_a_rule_that_the_kernel_takes_for_narrower_ones_comes_back_in_front_of_them(
    daemon: Daemon, family: str
) -> None:
    narrow = "".join(rule(f"r{number}", number, family, FROM[family]) for number in (100, 101, 102))
    daemon.start(narrow + rule("all", 101, family))
    order = ["100", "101", "101", "102"]
    assert tables(family) == order
    ip(f"-{family} rule del priority 1000 from all table 101")  # the kernel deletes the first that fits
    wait_until(lambda: tables(family) == order)
    wait_until(lambda: {entry["state"] for entry in daemon.ask_json("status")["entries"]} == {"in-sync"})
    assert daemon.ask("plan", "--exit-code").code == 0
