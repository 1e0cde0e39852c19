"""VIPs in route mode and chosen interfaces, on the real kernel: what the source of packets is, and what is said of it.

The host is that of the user's documents: 192.168.160.243/23 on ens33, 192.168.253.129/24 on ens32, and the default
route through one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kernel import netns
from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.host import OURS, route, routes, rules
from tests.system.monitor import Monitor

VIP = "10.103.97.2"
NODE = "192.168.253.129"
OUTER = "192.168.160.243"
ENTRY = "vip/apiserver"
STORY = {"vip-condition", "added", "removed", "repaired", "changed"}
FILE = f"""
[[vip]]
name = "apiserver"
address = "{VIP}"
node = "{NODE}"
"""


class Family(NamedTuple):
    """The same case in a family of addresses."""

    vip: str
    node: str
    outer: str
    outer_router: str

    @property
    def file(self) -> str:
        return FILE.replace(VIP, self.vip).replace(NODE, self.node)


FAMILIES = [
    pytest.param(Family(VIP, NODE, OUTER, "192.168.160.1"), id="IPv4"),
    pytest.param(Family("fd99::2", "fd32::129", "fd33::243", "fd33::1"), id="IPv6"),
]
INTERNAL = """
[[interface]]
name = "internal"
hold = "300ms"
match = [ { cidr = "192.168.253.0/24" } ]
"""


@pytest.fixture
def network() -> Iterator[None]:
    with netns.private_network():
        netns.veth("ens33", f"{OUTER}/23", "fd33::243/64")
        netns.veth("ens32", f"{NODE}/24", "fd32::129/64")
        yield


def default_over_outer() -> None:
    ip("route add default via 192.168.160.1 dev ens33")


def source(to: str = VIP) -> str:
    """The source address that the kernel picks."""
    return str(ip_json(f"route get {to}")[0].get("prefsrc", ""))


def vip_routes() -> list[dict[str, Any]]:
    return [one for one in routes() if one["dst"] == VIP]


def reason(daemon: Daemon, entry: str = ENTRY) -> str:
    return str(daemon.entry(entry)["reason"])


def test_traffic_to_the_vip_leaves_from_the_node_when_another_nic_has_the_default_route(daemon: Daemon) -> None:
    default_over_outer()
    assert source() == OUTER
    daemon.start(FILE)
    assert source() == NODE
    made = route(VIP)
    assert (made["gateway"], made["dev"], made["prefsrc"], made["protocol"]) == (NODE, "ens32", NODE, OURS)
    assert "metric" not in made
    assert daemon.entry(ENTRY)["state"] == "in-sync"
    assert reason(daemon) == f"needed: {OUTER} is the default-route address"
    assert daemon.records("vip-condition", ENTRY)[0]["message"].endswith(reason(daemon))


def test_nothing_is_done_where_the_node_has_the_default_route(daemon: Daemon) -> None:
    ip("route add default via 192.168.253.1 dev ens32")
    daemon.start(FILE)
    assert routes() == []
    assert reason(daemon) == f"not needed: {NODE} is the default-route address"


def test_the_condition_follows_the_default_route_from_nic_to_nic_and_back(daemon: Daemon) -> None:
    default_over_outer()
    daemon.start(FILE)
    for _ in range(2):
        ip("route replace default via 192.168.253.1 dev ens32")
        wait_until(lambda: vip_routes() == [])
        ip("route replace default via 192.168.160.1 dev ens33")
        wait_until(lambda: len(vip_routes()) == 1)
        assert source() == NODE
    daemon.wait_for("vip-condition", ENTRY, f"not needed: {NODE} is the default-route address")
    told = [event for record in daemon.records() if (event := record["fields"]["ROUTED_EVENT"]) in STORY]
    assert told == ["vip-condition", "added", *2 * ["vip-condition", "removed", "vip-condition", "added"]]


def test_without_a_default_route_the_vip_is_routed(daemon: Daemon) -> None:
    ip("route add default via 192.168.253.1 dev ens32")
    daemon.start(FILE)
    ip("route del default")
    wait_until(lambda: len(vip_routes()) == 1)
    assert reason(daemon) == "needed: this host has no default route"


def test_of_two_default_routes_the_first_in_the_kernels_order_counts(daemon: Daemon) -> None:
    ip("route add default via 192.168.160.1 dev ens33 metric 200")
    ip("route add default via 192.168.253.1 dev ens32 metric 100")
    daemon.start(FILE)
    assert routes() == []
    ip("route del default metric 100")
    wait_until(lambda: len(vip_routes()) == 1)
    ip("route add default via 192.168.253.1 dev ens32 metric 50")
    wait_until(lambda: vip_routes() == [])


@pytest.mark.parametrize("how", ["deleted", "flap"])
def test_a_lost_route_is_back_with_the_right_source(daemon: Daemon, how: str) -> None:
    default_over_outer()
    daemon.start(FILE)
    if how == "deleted":
        ip(f"route del {VIP}")
    else:
        ip("link set ens32 down")
        ip("link set ens32 up")
    wait_until(lambda: len(vip_routes()) == 1)
    assert source() == NODE
    daemon.wait_for("repaired", ENTRY)


def test_a_node_that_is_not_on_this_host_is_waited_for_and_said(daemon: Daemon) -> None:
    default_over_outer()
    ip(f"addr del {NODE}/24 dev ens32")
    daemon.start(FILE)
    assert routes() == []
    assert daemon.entry(ENTRY)["state"] == "waiting"
    assert reason(daemon) == f"address {NODE} (node) is not on this host"
    ip(f"addr add {NODE}/24 dev ens32")
    wait_until(lambda: len(vip_routes()) == 1)
    assert source() == NODE


def test_a_node_that_a_renewed_lease_took_away_is_waited_for_and_said(daemon: Daemon) -> None:
    default_over_outer()
    daemon.start(FILE)
    ip(f"addr del {NODE}/24 dev ens32")
    ip("addr add 192.168.253.77/24 dev ens32")
    daemon.wait_for("waiting", ENTRY, f"address {NODE} (node) is not on this host")
    assert vip_routes() == []
    ip(f"addr add {NODE}/24 dev ens32")
    wait_until(lambda: len(vip_routes()) == 1)
    assert source() == NODE


def test_the_secondary_address_of_a_subnet_is_the_source_when_it_is_the_node(daemon: Daemon) -> None:
    default_over_outer()
    ip("addr add 192.168.253.200/24 dev ens32")
    daemon.start(FILE.replace(NODE, "192.168.253.200"))
    assert source() == "192.168.253.200"


def test_an_ipv6_vip_is_routed_by_its_source(daemon: Daemon) -> None:
    ip("-6 route add default via fd33::1 dev ens33")
    daemon.start(FILE.replace(VIP, "fd99::2").replace(NODE, "fd32::129"))
    assert source("fd99::2") == "fd32::129"
    made = route("fd99::2")
    assert (made["dev"], made["prefsrc"], made.get("gateway")) == ("ens32", "fd32::129", None)
    ip("-6 route del default")
    ip("-6 route add default via fd32::1 dev ens32")
    wait_until(lambda: [one for one in routes() if one["dst"] == "fd99::2"] == [])


def test_each_family_is_judged_by_its_own_default_route(daemon: Daemon) -> None:
    default_over_outer()
    ip("-6 route add default via fd32::1 dev ens32")
    both = '[[vip]]\nname = "{}"\naddress = "{}"\nnode = "@internal"\n'
    named = INTERNAL.replace('cidr = "192.168.253.0/24"', 'name = "ens32"')
    daemon.start(named + both.format("four", VIP) + both.format("six", "fd99::2"))
    assert source() == NODE
    assert reason(daemon, "vip/four") == f"needed: {OUTER} is the default-route address"
    assert reason(daemon, "vip/six") == "not needed: fd32::129 is the default-route address"
    ip("-6 route add default via fd33::1 dev ens33 metric 1")
    wait_until(lambda: source("fd99::2") == "fd32::129")
    assert reason(daemon, "vip/six") == "needed: fd33::243 is the default-route address"
    ip("-6 route del default metric 1")
    wait_until(lambda: [one["dst"] for one in routes()] == [VIP])
    ip("-6 route del default")
    wait_until(lambda: {one["dst"] for one in routes()} == {VIP, "fd99::2"})


def test_who_wins_over_the_route_of_a_vip_is_said_and_that_it_does_no_more(daemon: Daemon) -> None:
    default_over_outer()
    ip(f"route add {VIP} via 192.168.160.1 dev ens33 proto static")
    daemon.start(FILE + "metric = 50\n")
    entry = daemon.entry(ENTRY)
    assert entry["state"] == "shadowed"
    said = f"packets to {VIP} leave from {OUTER}, since {VIP} via 192.168.160.1 dev ens33 proto static wins"
    assert entry["reason"] == said
    assert said in daemon.records("vip-bypassed", ENTRY)[0]["message"]
    ip(f"route del {VIP} via 192.168.160.1")
    wait_until(lambda: daemon.entry(ENTRY)["state"] == "in-sync")
    assert source() == NODE


def test_a_policy_rule_that_wins_over_the_route_of_a_vip_is_found_by_the_table_of_its_route(daemon: Daemon) -> None:
    default_over_outer()
    daemon.start(FILE)
    ip("route add default dev ens33 table 200")
    ip(f"rule add priority 100 to {VIP} lookup 200")
    wait_until(lambda: daemon.entry(ENTRY)["state"] == "shadowed")
    assert reason(daemon) == (
        f"packets to {VIP} leave from {OUTER}, since default dev ens33 table 200 proto boot scope link wins"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_foreign_route_in_the_very_place_of_ours_is_displaced_named_and_put_back(
    daemon: Daemon, family: Family
) -> None:
    ip(f"route add default via {family.outer_router} dev ens33")
    ip(f"route add {family.vip} via {family.outer_router} dev ens33 proto static")
    daemon.start(family.file)
    assert source(family.vip) == family.node
    displaced = daemon.records("displaced", ENTRY)[0]["message"]
    assert f"{family.vip} via {family.outer_router} dev ens33 proto static" in displaced
    daemon.apply("")
    assert source(family.vip) == family.outer


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vip_that_is_an_address_of_this_host_is_no_destination_until_it_goes(daemon: Daemon, family: Family) -> None:
    ip(f"route add default via {family.outer_router} dev ens33")
    ip(f"addr add {family.vip} dev ens33")
    daemon.start(family.file)
    assert daemon.entry(ENTRY)["state"] == "shadowed"
    said = f"{family.vip} is an address of this host, so no packet to it is routed"
    assert reason(daemon) == said
    assert said in daemon.records("vip-bypassed", ENTRY)[0]["message"]
    ip(f"addr del {family.vip} dev ens33")
    wait_until(lambda: daemon.entry(ENTRY)["state"] == "in-sync")
    assert source(family.vip) == family.node
    ip(f"addr add {family.vip} dev ens33")
    wait_until(lambda: reason(daemon) == said)


def test_source_differs_is_not_fooled_by_a_vpn_that_halves_the_default_route(daemon: Daemon) -> None:
    ip("route add default via 192.168.253.1 dev ens32")
    daemon.start(FILE + 'when = "source-differs"\n')
    assert reason(daemon) == f"not needed: the kernel by itself chooses {NODE} for {VIP}"
    ip("route add 0.0.0.0/1 via 192.168.160.1 dev ens33")
    wait_until(lambda: len(vip_routes()) == 1)
    assert source() == NODE
    assert reason(daemon) == f"needed: the kernel by itself chooses {OUTER} for {VIP}"
    ip("route del 0.0.0.0/1")
    wait_until(lambda: vip_routes() == [])


def test_source_differs_keeps_its_route_over_a_resync_and_a_restart(daemon: Daemon, monitor: Monitor) -> None:
    default_over_outer()
    daemon.start(FILE + 'when = "source-differs"\n', daemon='resync = "200ms"')
    assert len(vip_routes()) == 1
    monitor.heard()
    before = daemon.ask_json("status")["last_resync"]
    wait_until(lambda: daemon.ask_json("status")["last_resync"] > before)
    daemon.stop()
    daemon.start()
    assert monitor.heard() == []
    assert source() == NODE


def test_source_differs_does_not_swing_where_only_a_route_behind_ours_differs(daemon: Daemon, monitor: Monitor) -> None:
    ip("route add default via 192.168.253.1 dev ens32")
    ip(f"route add {VIP} via 192.168.160.1 dev ens33 metric 100")
    daemon.start(FILE + 'when = "source-differs"\n', daemon='resync = "200ms"')
    assert source() == NODE
    monitor.heard()
    daemon.stop()
    daemon.start()
    before = daemon.ask_json("status")["last_resync"]
    wait_until(lambda: daemon.ask_json("status")["last_resync"] > before)
    assert monitor.heard() == []


def test_what_is_not_needed_any_more_is_removed_and_said(daemon: Daemon) -> None:
    default_over_outer()
    daemon.start(FILE)
    ip("route replace default via 192.168.253.1 dev ens32")
    said = daemon.wait_for("removed")
    assert VIP in said["message"]


def test_a_vip_inside_a_connected_prefix_is_pinned_all_the_same(daemon: Daemon) -> None:
    daemon.start(FILE.replace(VIP, "192.168.161.7") + 'when = "source-differs"\n')
    assert source("192.168.161.7") == NODE


def test_a_vip_that_is_a_network_of_this_host_leaves_the_kernels_route_to_it_alone(
    daemon: Daemon, monitor: Monitor
) -> None:
    default_over_outer()
    monitor.heard()
    daemon.start(FILE.replace(VIP, "192.168.160.0/23"))
    assert [change for change in monitor.heard() if change.port] == []  # 0: the kernel itself
    assert daemon.entry(ENTRY)["state"] == "conflict"
    assert "the kernel's own object stands in its place" in reason(daemon)


@pytest.mark.parametrize("matcher", ['name = "ens32"', 'cidr = "192.168.253.0/24"'])
def test_a_selector_stands_for_the_address_and_follows_a_renewed_lease(daemon: Daemon, matcher: str) -> None:
    default_over_outer()
    chosen = INTERNAL.replace('cidr = "192.168.253.0/24"', matcher)
    daemon.start(chosen + FILE.replace(NODE, "@internal"))
    assert source() == NODE
    ip("addr add 192.168.253.77/24 dev ens32")
    wait_until(lambda: "has several addresses" in reason(daemon))
    assert source() == NODE
    ip(f"addr del {NODE}/24 dev ens32")
    ip("addr replace 192.168.253.77/24 dev ens32")
    wait_until(lambda: source() == "192.168.253.77")


def test_two_candidates_are_an_error_that_names_both(daemon: Daemon) -> None:
    default_over_outer()
    ambiguous = '[[interface]]\nname = "internal"\nmatch = [ { regex = "ens3[23]" } ]\n'
    daemon.start(ambiguous + FILE.replace(NODE, "@internal"))
    assert routes() == []
    assert daemon.entry(ENTRY)["state"] == "waiting"
    said = '@internal is ambiguous: ens33, ens32 all fit regex = "ens3[23]"'
    assert reason(daemon) == said
    daemon.apply(ambiguous.replace(" ]", ' ]\npick = "first"') + FILE.replace(NODE, "@internal"))
    assert reason(daemon) == f"not needed: {OUTER} is the default-route address"


def test_a_rename_of_the_nic_takes_nothing_away(daemon: Daemon, monitor: Monitor) -> None:
    default_over_outer()
    daemon.start(
        INTERNAL
        + FILE.replace(NODE, "@internal")
        + '[[rule]]\npriority = 7\nfamily = "ipv4"\niif = "@internal"\ntable = 9\n'
    )
    monitor.heard()
    ip("link property add dev ens32 altname was")
    ip("link set ens32 name lan0")
    wait_until(lambda: [one["iif"] for one in rules()] == ["lan0"])
    assert source() == NODE
    assert route(VIP)["dev"] == "lan0"
    assert [change for change in monitor.heard() if "route" in change.what] == []
    assert daemon.entry(ENTRY)["state"] == "in-sync"


def test_a_rename_away_from_the_name_that_was_chosen_is_said_and_takes_nothing_away(daemon: Daemon) -> None:
    default_over_outer()
    named = INTERNAL.replace('cidr = "192.168.253.0/24"', 'name = "ens32"')
    daemon.start(named + FILE.replace(NODE, "@internal"))
    ip("link property add dev ens32 altname was")
    ip("link set ens32 name lan0")
    daemon.wait_for("selector-changed", saying="@internal is no link, it was ens32")
    wait_until(lambda: reason(daemon).startswith("no interface of this host is @internal; until then "))
    assert source() == NODE
    ip("link set lan0 name ens32")
    wait_until(lambda: daemon.entry(ENTRY)["state"] == "in-sync")
    assert source() == NODE


def test_a_flap_does_not_make_a_selector_wander_but_a_lasting_loss_does(daemon: Daemon) -> None:
    two = '[[interface]]\nname = "lan"\nhold = "400ms"\nmatch = [ { name = "ens32" }, { name = "ens33" } ]\n'
    daemon.start(two + '[[route]]\nname = "lan"\nto = "10.9.0.0/16"\ndev = "@lan"\n')
    assert route("10.9.0.0/16")["dev"] == "ens32"
    ip("link set ens32 down")
    ip("link set ens32 up")
    wait_until(lambda: [one["dev"] for one in routes()] == ["ens32"])
    ip("link set ens32 down")
    wait_until(lambda: [one["dev"] for one in routes()] == ["ens33"])
    said = [record["message"] for record in daemon.records("selector-changed")]
    assert said == ["@lan is ens32: it is called ens32", "@lan is ens33, it was ens32: it is called ens33"]


def test_a_rule_from_an_interface_is_one_for_each_address_and_follows_them(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(INTERNAL + '[[rule]]\nname = "lan"\npriority = 7\nfamily = "ipv4"\nfrom = "@internal"\ntable = 9\n')
    assert [one["src"] for one in rules()] == [NODE]
    ip("addr add 192.168.253.200/24 dev ens32")
    wait_until(lambda: {one["src"] for one in rules()} == {NODE, "192.168.253.200"})
    ip("addr change 192.168.253.200/24 dev ens32 preferred_lft 0")
    wait_until(lambda: {one["src"] for one in rules()} == {NODE})


def test_the_source_of_a_route_is_the_address_in_the_gateways_network(daemon: Daemon) -> None:
    ip("addr add 172.16.0.9/24 dev ens32")
    daemon.start(INTERNAL + '[[route]]\nto = "10.9.0.0/16"\nvia = "172.16.0.1"\nsrc = "@internal"\n')
    assert route("10.9.0.0/16")["prefsrc"] == "172.16.0.9"


def test_what_can_be_reached_chooses_the_interface_without_a_packet(daemon: Daemon) -> None:
    default_over_outer()
    by_reach = INTERNAL.replace('cidr = "192.168.253.0/24"', 'can_reach = "{}"')
    text = '[[route]]\nname = "lan"\nto = "10.9.0.0/16"\ndev = "@internal"\n'
    daemon.start(by_reach.replace("{}", "192.168.253.7") + text)
    assert route("10.9.0.0/16")["dev"] == "ens32"
    daemon.apply(by_reach.replace("{}", "203.0.113.1") + text)
    assert "no interface of this host is @internal" in reason(daemon, "route/lan")
    daemon.apply(by_reach.replace('"{}"', '"203.0.113.1", gateway = true') + text)
    wait_until(lambda: route("10.9.0.0/16")["dev"] == "ens33")


def test_the_default_route_chooses_the_interface(daemon: Daemon) -> None:
    default_over_outer()
    by_default = INTERNAL.replace('cidr = "192.168.253.0/24"', "default = true")
    daemon.start(by_default + '[[address]]\naddress = "10.9.0.1/32"\ndev = "@internal"\n')
    assert [link["ifname"] for link in ip_json("address show to 10.9.0.1") if link.get("ifname")] == ["ens33"]
    ip("route replace default via 192.168.253.1 dev ens32")
    wait_until(
        lambda: [link["ifname"] for link in ip_json("address show to 10.9.0.1") if link.get("ifname")] == ["ens32"]
    )


def test_an_ambiguous_interface_takes_no_address_away(daemon: Daemon) -> None:
    text = INTERNAL + '[[address]]\naddress = "10.9.0.1/32"\ndev = "@internal"\n'
    daemon.start(text)
    ip("addr add 192.168.253.77/24 dev ens33")
    daemon.wait_for("selector-changed", saying="ambiguous")
    daemon.stop()
    daemon.start()
    held = [link["ifname"] for link in ip_json("address show to 10.9.0.1") if link.get("ifname")]
    assert held == ["ens32"]


def test_the_driver_is_asked_of_the_kernel(daemon: Daemon) -> None:
    by_driver = '[[interface]]\nname = "x"\nskip = ["ens33*", "*p"]\nmatch = [ { driver = "veth" } ]\n'
    daemon.start(by_driver + '[[route]]\nto = "10.9.0.0/16"\ndev = "@x"\n')
    assert route("10.9.0.0/16")["dev"] == "ens32"


def test_the_files_say_the_same_without_a_daemon(daemon: Daemon, tmp_path: Path) -> None:
    default_over_outer()
    daemon.write(INTERNAL + FILE.replace(NODE, "@internal"))
    assert daemon.ask("apply", "--direct").code == 0
    assert source() == NODE
    assert daemon.ask("plan", "--exit-code").code == 0


def test_select_shows_every_interface_and_why_it_won_or_lost(daemon: Daemon) -> None:
    ip("link set ens33 down")
    daemon.write(INTERNAL)
    answer = daemon.ask("select", "@internal")
    assert answer.code == 0
    assert [line.split(maxsplit=2) for line in answer.out.splitlines() if line.startswith("*")] == [
        ["*", "ens32", f"it has {NODE}, in 192.168.253.0/24"]
    ]
    why = {one["ifname"]: one["reason"] for one in daemon.ask_json("select", "@internal")["candidates"]}
    assert why["ens33"] == "it is down"
    assert why["lo"] == 'it is skipped ("lo")'


@pytest.mark.parametrize(
    ("expression", "code", "chosen"),
    [
        ("name=ens32", 0, "ens32"),
        ("regex=ens3", 1, ""),
        ("regex=ens3.", 1, ""),
        ("regex=ens3.p", 1, ""),
        ("cidr=192.168.253.0/24", 0, "ens32"),
        ("can_reach=192.168.161.1", 0, "ens33"),
        ("default", 0, "ens33"),
    ],
)
def test_select_judges_a_matcher_without_files(daemon: Daemon, expression: str, code: int, chosen: str) -> None:
    default_over_outer()
    answer = daemon.ask("select", "--json", expression)
    assert answer.code == code, answer.err
    assert json.loads(answer.out)["ifname"] == chosen


@pytest.mark.parametrize("expression", ["@nobody", "nonsense", "cidr=10.0.0.1/8", "regex=(", "mac=12"])
def test_select_refuses_what_says_nothing(daemon: Daemon, expression: str) -> None:
    daemon.write("")
    answer = daemon.ask("select", expression)
    assert (answer.code, answer.out) == (64, "")
    assert answer.err.startswith("routed: ")
