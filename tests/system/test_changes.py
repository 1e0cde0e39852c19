"""What is changed behind our back becomes again what the file says; what only stands beside it stays."""

from __future__ import annotations

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.host import OURS, addresses, everything, route, routes, rules, shown
from tests.system.monitor import Monitor
from tests.system.worlds import GATEWAY, GATEWAY6, LAN, WORLD

TO, TO6 = "192.0.2.0/24", "2001:db8::/48"
STATIC = "4"

MULTIPATH = f'{LAN}hops = [ {{ via = "10.0.0.2", weight = 2 }}, {{ via = "10.1.0.2", weight = 3 }} ]\n'
MULTIPATH6 = LAN.replace(TO, TO6) + 'hops = [ { via = "fd00::2", weight = 2 }, { via = "fd01::2", weight = 3 } ]\n'

# what changes: (the entry, what replaces it, what the record says of it)
CHANGES = {
    "gateway": (GATEWAY, "via 10.0.0.3", "gateway 10.0.0.3 instead of 10.0.0.2"),
    "gateway6": (GATEWAY6, "via fd00::3", "gateway fd00::3 instead of fd00::2"),
    "link": (GATEWAY, "via 10.1.0.2", "dev v1 instead of v0"),
    "mtu": (f"{GATEWAY}mtu = 1400", "via 10.0.0.2 mtu 1300", "mtu 1300 instead of 1400"),
    "mtu6": (f"{GATEWAY6}mtu = 1400", "via fd00::2 mtu 1300", "mtu 1300 instead of 1400"),
    "mtu-too-much": (GATEWAY, "via 10.0.0.2 mtu 1300", "mtu 1300"),
    "lock": (f"{GATEWAY}mtu = 1400", "via 10.0.0.2 mtu lock 1400", ""),
    "advmss": (f"{GATEWAY}advmss = 1000", "via 10.0.0.2 advmss 900", "advmss 900 instead of 1000"),
    "initcwnd": (f"{GATEWAY}initcwnd = 20", "via 10.0.0.2 initcwnd 10", "initcwnd 10 instead of 20"),
    "congctl": (f'{GATEWAY}congctl = "cubic"', "via 10.0.0.2 congctl reno", "congctl reno instead of"),
    "src": (f'{GATEWAY}src = "10.0.0.1"', "via 10.0.0.2 src 10.1.0.1", "prefsrc 10.1.0.1 instead of"),
    "src6": (f'{GATEWAY6}src = "fd00::1"', "via fd00::2 src fd01::1", "prefsrc fd01::1 instead of fd00::1"),
    "scope": (f'{LAN}dev = "v0"', "dev v0 scope global", "scope global instead of link"),
    "onlink": (GATEWAY, "via 10.0.0.2 dev v0 onlink", "onlink"),
    "weight": (MULTIPATH, "nexthop via 10.0.0.2 weight 2 nexthop via 10.1.0.2 weight 9", "weight 9"),
    "weight6": (MULTIPATH6, "nexthop via fd00::2 weight 2 nexthop via fd01::2 weight 9", "weight 9"),
    "one-leg": (MULTIPATH, "via 10.0.0.2", "10.0.0.2"),
    "one-leg6": (MULTIPATH6, "via fd00::2", "fd00::2"),
    "realms": (GATEWAY, "via 10.0.0.2 realms 5", ""),
}  # fmt: skip


@pytest.mark.parametrize("protocol", [OURS, STATIC])
@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_route_becomes_again_what_the_file_says(daemon: Daemon, what: str, protocol: str) -> None:
    entry, change, said = CHANGES[what]
    daemon.start(entry)
    wanted = everything()
    to = TO6 if "6" in what else TO

    ip(f"route replace {to} proto {protocol} {change}")

    wait_until(lambda: everything() == wanted)
    assert len(shown(to)) == 1
    record = daemon.wait_for("repaired", "route/lan", said)
    assert record["fields"]["ROUTED_CAUSE"] == "replaced"
    assert record["fields"]["ROUTED_BEFORE"]


@pytest.mark.parametrize(("entry", "type_"), [(GATEWAY, "blackhole"), (GATEWAY6, "unreachable")])
def test_a_route_of_another_type_in_our_place_is_replaced(daemon: Daemon, entry: str, type_: str) -> None:
    daemon.start(entry)
    wanted = everything()

    ip(f"route replace {type_} {TO6 if '2001' in entry else TO} proto static")

    wait_until(lambda: everything() == wanted)
    daemon.wait_for("repaired", "route/lan", f"type {type_} instead of unicast")


def test_legs_in_another_order_are_put_back_in_that_of_the_file(daemon: Daemon) -> None:
    daemon.start(MULTIPATH)
    legs = ip_json(f"route show {TO}")[0]["nexthops"]

    ip(f"route replace {TO} proto 114 nexthop via 10.1.0.2 weight 3 nexthop via 10.0.0.2 weight 2")

    wait_until(lambda: ip_json(f"route show {TO}")[0]["nexthops"] == legs)
    daemon.wait_for("repaired", "route/lan")
    assert daemon.ask("plan", "--exit-code").code == 0


@pytest.mark.parametrize(("entry", "to"), [(GATEWAY, TO), (GATEWAY6, TO6)])
def test_a_route_moved_to_another_table_under_our_number_comes_back_and_the_other_goes(
    daemon: Daemon, entry: str, to: str
) -> None:
    daemon.start(entry)
    wanted = everything()
    gateway = wanted["routes"][0]["gateway"]

    ip(f"route add {to} via {gateway} table 99 proto 114")
    ip(f"route del {to}")

    wait_until(lambda: everything() == wanted)
    daemon.wait_for("repaired", "route/lan")
    assert daemon.wait_for("removed")["fields"]["ROUTED_CAUSE"] == "added under our protocol number"


def test_a_route_moved_to_another_table_by_another_program_comes_back_and_the_other_stays(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    wanted = everything()

    ip(f"route add {TO} via 10.0.0.2 table 99 proto static")
    ip(f"route del {TO}")

    wait_until(lambda: everything() == wanted)
    assert len(routes(STATIC)) == 1


def test_a_foreign_route_of_another_metric_stays(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(GATEWAY)
    monitor.heard()
    ip(f"route add {TO} via 10.0.0.3 metric 50 proto static")
    assert daemon.ask("apply").code == 0
    assert [change.what for change in monitor.heard()] == ["route"]


def test_ours_is_first_again_after_a_foreign_prepend_which_stays_and_is_reported(daemon: Daemon) -> None:
    daemon.start(GATEWAY)

    ip(f"route prepend {TO} via 10.0.0.3 proto static")

    wait_until(lambda: [alias["gateway"] for alias in shown(TO)] == ["10.0.0.2", "10.0.0.3"])
    assert [alias["protocol"] for alias in shown(TO)] == [OURS, STATIC]
    fields = daemon.wait_for("repaired", "route/lan")["fields"]
    assert fields["ROUTED_CAUSE"] == "an alias was added under its key"
    assert "10.0.0.3" in daemon.wait_for("stranger-beside", "route/lan")["message"]


def test_a_foreign_alias_that_is_appended_stays_and_is_reported(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(GATEWAY)
    monitor.heard()

    ip(f"route append {TO} via 10.0.0.3 proto static")

    assert "10.0.0.3" in daemon.wait_for("stranger-beside", "route/lan")["message"]
    assert [alias["gateway"] for alias in shown(TO)] == ["10.0.0.2", "10.0.0.3"]
    assert [change.what for change in monitor.heard()] == ["route"]


@pytest.mark.parametrize("verb", ["prepend", "append"])
def test_an_alias_under_our_number_is_taken_away(daemon: Daemon, verb: str) -> None:
    daemon.start(GATEWAY)
    wanted = everything()

    ip(f"route {verb} {TO} via 10.0.0.3 proto 114")

    daemon.wait_for("repaired", "route/lan")
    wait_until(lambda: everything() == wanted)


@pytest.mark.parametrize("protocol", [OURS, STATIC])
@pytest.mark.parametrize("verb", ["prepend", "append"])
@pytest.mark.parametrize("entry", [GATEWAY6, MULTIPATH6])
def test_a_leg_that_is_merged_into_our_ipv6_route_is_taken_out(
    daemon: Daemon, entry: str, verb: str, protocol: str
) -> None:
    daemon.start(entry)
    wanted = everything()

    ip(f"route {verb} {TO6} via fd01::9 proto {protocol}")

    daemon.wait_for("repaired", "route/lan")
    wait_until(lambda: everything() == wanted)
    assert len(shown(TO6)) == 1


def test_an_ipv6_alias_that_cannot_be_merged_stays_behind_ours_and_is_reported(daemon: Daemon) -> None:
    daemon.start(GATEWAY6)

    ip(f"route append {TO6} dev v1 proto static")

    daemon.wait_for("stranger-beside", "route/lan")
    assert [alias["protocol"] for alias in shown(TO6)] == [OURS, STATIC]


def test_a_twin_of_our_rule_under_another_number_stays_beside_it(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    monitor.heard()
    ip("rule add priority 1200 from 10.20.0.0/21 lookup 120 protocol static")
    assert daemon.ask("apply").code == 0
    assert len(rules(STATIC)) == 1
    assert [change.what for change in monitor.heard()] == ["rule"]
    assert "1200" in daemon.wait_for("stranger-beside", "rule/from-storage")["message"]


def test_a_rule_under_our_number_that_no_entry_wants_goes(daemon: Daemon) -> None:
    daemon.start(WORLD)
    wanted = everything()
    ip("rule add priority 1201 from 10.20.0.0/21 lookup 120 protocol 114")
    wait_until(lambda: everything() == wanted)
    daemon.wait_for("removed", saying="1201")


@pytest.mark.parametrize(
    ("address", "change"),
    [
        ("10.20.0.11/21", "change 10.20.0.11/21 dev v0 metric 77"),
        ("10.20.0.11/21", "change 10.20.0.11/21 dev v0 valid_lft 1000 preferred_lft 500"),
        ("10.20.0.11/21", "change 10.20.0.11/21 dev v0 preferred_lft 0"),
        ("2001:db8:20::1/64", "change 2001:db8:20::1/64 dev v0 metric 77"),
        ("2001:db8:20::1/64", "change 2001:db8:20::1/64 dev v0 preferred_lft 0"),
    ],
)
def test_a_changed_address_becomes_again_what_the_file_says(daemon: Daemon, address: str, change: str) -> None:
    daemon.start(WORLD)
    wanted = everything()
    entry = "address/storage6" if ":" in address else "address/storage"

    ip(f"addr {change}")

    daemon.wait_for("repaired", entry)
    wait_until(lambda: everything() == wanted)
    (found,) = [one for one in addresses("v0") if one["local"] == address.partition("/")[0]]
    assert not found.get("dynamic")


def test_an_address_with_another_prefix_length_is_another_one_and_stays(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    ip("addr add 10.20.0.11/32 dev v0")
    monitor.heard()
    assert daemon.ask("apply").code == 0
    assert monitor.heard() == []


@pytest.mark.parametrize(("entry", "to", "gateway"), [(GATEWAY, TO, "10.0.0.9"), (GATEWAY6, TO6, "fd00::9")])
def test_a_foreign_route_in_our_place_is_displaced_and_put_back_when_our_entry_goes(
    daemon: Daemon, entry: str, to: str, gateway: str
) -> None:
    ip(f"route add {to} via {gateway} proto static mtu 1300")
    foreign = routes(STATIC)

    daemon.start(entry)

    assert routes(STATIC) == []
    assert route(to)["protocol"] == OURS
    assert gateway in daemon.wait_for("displaced", "route/lan")["message"]

    daemon.stop()
    daemon.start()
    assert daemon.apply("")["changed"] == 1
    assert routes(STATIC) == foreign
    assert routes() == []
    assert gateway in daemon.wait_for("put-back")["message"]


def test_the_same_content_under_another_number_is_adopted_in_place(daemon: Daemon, monitor: Monitor) -> None:
    ip(f"route add {TO} via 10.0.0.2 proto static")
    monitor.heard()
    daemon.start(GATEWAY)
    assert [alias["protocol"] for alias in shown(TO)] == [OURS]
    assert [change.what for change in monitor.heard()] == ["route"]
    daemon.wait_for("adopted", "route/lan")


@pytest.mark.parametrize(("family", "gateway", "ours"), [("", "10.0.0.9", "10.0.0.2"), ("-6 ", "fd00::9", "fd00::2")])
def test_a_foreign_default_route_is_not_taken_over_unless_the_entry_says_so(
    daemon: Daemon, family: str, gateway: str, ours: str
) -> None:
    ip(f"{family}route add default via {gateway} proto static")
    foreign = routes(STATIC)
    entry = f'[[route]]\nname = "up"\nto = "default"\nvia = "{ours}"\n'

    daemon.start(entry)

    assert routes(STATIC) == foreign
    assert "first contact" in daemon.wait_for("guard-held", "route/up")["message"]
    assert daemon.entry("route/up")["state"] == "conflict"
    assert daemon.ask("apply").code == 4

    assert daemon.apply(f'{entry}on_conflict = "replace"')["refusals"] == []
    assert [one["gateway"] for one in routes()] == [ours]
    assert routes(STATIC) == []


def test_a_default_route_that_was_ours_is_taken_back_unasked(daemon: Daemon) -> None:
    daemon.start('[[route]]\nname = "up"\nto = "default"\nvia = "10.0.0.2"\n')
    wanted = everything()
    ip("route replace default via 10.0.0.9 proto dhcp")
    wait_until(lambda: everything() == wanted)
    daemon.wait_for("repaired", "route/up")


def test_ours_is_alone_where_two_strangers_that_ipv6_cannot_merge_stood_in_its_place(daemon: Daemon) -> None:
    ip(f"route add unreachable {TO6} proto static")
    ip(f"route append {TO6} via fd00::9 proto static")
    daemon.start(GATEWAY6)
    assert [alias["protocol"] for alias in shown(TO6)] == [OURS]
    assert daemon.ask("plan", "--exit-code").code == 0


def test_an_entry_that_refuses_leaves_the_stranger_in_its_place(daemon: Daemon) -> None:
    ip(f"route add {TO} via 10.0.0.9 proto static")
    daemon.start(f'{GATEWAY}on_conflict = "refuse"')
    assert [one["gateway"] for one in shown(TO)] == ["10.0.0.9"]
    assert daemon.entry("route/lan")["state"] == "conflict"

    ip(f"route del {TO}")
    wait_until(lambda: [one["gateway"] for one in shown(TO)] == ["10.0.0.2"])


def test_another_metric_in_the_file_is_there_before_the_old_one_goes(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(f"{GATEWAY}metric = 50")
    monitor.heard()
    daemon.apply(f"{GATEWAY}metric = 60")
    assert [change.what for change in monitor.heard()] == ["route", "route gone"]
    assert [one["metric"] for one in routes()] == [60]


def test_another_table_in_the_file_moves_the_rule(daemon: Daemon, monitor: Monitor) -> None:
    rule = '[[rule]]\nname = "r"\npriority = 1200\nfrom = "10.20.0.0/21"\ntable = '
    daemon.start(f"{rule}120")
    monitor.heard()
    daemon.apply(f"{rule}121")
    assert [change.what for change in monitor.heard()] == ["rule", "rule gone"]
    assert [one["table"] for one in rules()] == ["121"]


def test_a_rule_for_a_link_that_does_not_exist_yet_is_there(daemon: Daemon) -> None:
    daemon.start('[[rule]]\nname = "r"\npriority = 1200\niif = "late0"\nfamily = "ipv4"\ntable = 120')
    assert [one["iif"] for one in rules()] == ["late0"]
