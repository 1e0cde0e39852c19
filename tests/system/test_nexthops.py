"""``[[nexthop]]`` and ``nhid`` with the daemon as a process; `ip -j nexthop` is the judge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.monitor import Monitor

FILE = """
[[nexthop]]
name = "left"
id = 1
via = "10.0.0.2"

[[nexthop]]
name = "right"
id = 2
via = "10.1.0.2"
dev = "v1"

[[nexthop]]
name = "both"
id = 10
group = [{ id = 1, weight = 3 }, { id = 2 }]

[[nexthop]]
name = "steady"
id = 11
group = [{ id = 1 }, { id = 2 }]
type = "resilient"
buckets = 16
idle_timer = "10s"

[[nexthop]]
name = "six"
id = 6
via = "fd00::2"
dev = "v0"

[[route]]
name = "left"
to = "192.0.2.0/24"
nhid = 1

[[route]]
name = "both"
prefixes = ["198.51.100.0/24", "203.0.113.0/24"]
nhid = 10

[[route]]
name = "steady"
to = "192.0.3.0/24"
nhid = 11

[[route]]
name = "six"
to = "2001:db8::/48"
nhid = 6
"""
ROUTES = {"192.0.2.0/24": 1, "198.51.100.0/24": 10, "203.0.113.0/24": 10, "192.0.3.0/24": 11, "2001:db8::/48": 6}


def nexthops() -> dict[int, Any]:
    """What each is, by its number: gateway, or the numbers and weights of its legs."""
    return {
        one["id"]: [(leg["id"], leg.get("weight", 1)) for leg in one["group"]]
        if "group" in one
        else one.get("gateway", "")
        for one in ip_json("nexthop show")
        if one["protocol"] == "114"
    }


def routes() -> dict[str, int]:
    """The next hop of each route of ours."""
    shown = [*ip_json("route show proto 114"), *ip_json("-6 route show proto 114")]
    return {one["dst"]: one["nhid"] for one in shown if "nhid" in one}


NEXTHOPS = {1: "10.0.0.2", 2: "10.1.0.2", 6: "fd00::2", 10: [(1, 3), (2, 1)], 11: [(1, 1), (2, 1)]}


def is_whole() -> bool:
    return nexthops() == NEXTHOPS and routes() == ROUTES


def test_they_are_put_before_groups_and_groups_before_routes_and_nothing_is_left_to_do(daemon: Daemon) -> None:
    daemon.start(FILE)
    assert is_whole()
    assert daemon.ask_json("plan")["steps"] == []
    assert daemon.status()["counts"] == {"in-sync": 10}


@pytest.mark.parametrize(
    "harm",
    [
        "nexthop del id 1",
        "nexthop del id 10",
        "nexthop del id 6",
        "nexthop flush",
        "nexthop replace id 1 via 10.0.0.99 dev v0",
        "nexthop replace id 10 group 2",
        "nexthop replace id 11 group 1/2 type resilient buckets 16 idle_timer 99",
        "route del 192.0.2.0/24",
        "route replace 192.0.2.0/24 via 10.0.0.9",
        "-6 route del 2001:db8::/48",
        "link set v0 down",
        "addr flush dev v0",
    ],
)
def test_whatever_is_done_to_them_all_is_as_the_file_says_again(daemon: Daemon, harm: str) -> None:
    daemon.start(FILE)
    ip(harm)
    if harm.startswith("link"):
        wait_until(lambda: routes() == {one: id_ for one, id_ in ROUTES.items() if id_ in {10, 11}})
        assert nexthops() == {2: "10.1.0.2", 10: [(2, 1)], 11: [(2, 1)]}
        ip("link set v0 up")
    if harm.startswith(("link", "addr")):
        ip("addr replace 10.0.0.1/24 dev v0")
        ip("-6 addr replace fd00::1/64 dev v0 nodad")
    wait_until(lambda: is_whole() and daemon.status()["counts"] == {"in-sync": 10}, 10)
    wait_until(lambda: daemon.ask_json("plan")["steps"] == [])


def test_who_deleted_one_is_named_for_the_routes_that_went_with_it_in_silence(daemon: Daemon) -> None:
    daemon.start(FILE)
    ip("nexthop del id 1")
    record = daemon.wait_for("repaired", "route/left")
    assert record["message"].startswith("route/left 192.0.2.0/24 deleted by ")
    wait_until(is_whole)


def test_a_lost_carrier_takes_them_and_it_is_told_why_they_are_waited_for(daemon: Daemon) -> None:
    daemon.start(FILE)
    ip("link set v0p down")
    wait_until(lambda: daemon.entry("nexthop/left")["state"] == "waiting")
    assert daemon.entry("nexthop/left")["reason"] == "link v0 has no carrier"
    assert daemon.entry("route/left")["reason"] == "link v0 has no carrier"
    ip("link set v0p up")
    wait_until(is_whole, 10)


def test_one_that_cannot_be_put_keeps_its_routes_waiting_until_it_can(daemon: Daemon) -> None:
    off = '[[nexthop]]\nname = "off"\nid = 1\nvia = "10.9.0.2"\ndev = "v0"\n[[route]]\nto = "192.0.2.0/24"\nnhid = 1\n'
    daemon.start(off)
    assert daemon.entry("nexthop/off")["state"] == "waiting"
    route = daemon.entry("route/192.0.2.0/24")
    assert (route["state"], route["reason"]) == ("waiting", "next hop 1 is not as it is written")
    assert daemon.ask("apply").code == 0
    ip("route add 10.9.0.0/24 dev v0")
    wait_until(lambda: routes() == {"192.0.2.0/24": 1}, 20)


def test_a_restart_adopts_them_without_a_write(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(FILE)
    daemon.kill()
    monitor.heard()
    before = ip_json("nexthop show")
    daemon.start()
    assert monitor.heard() == []
    assert ip_json("nexthop show") == before
    assert daemon.records("repaired") == []


def test_who_was_killed_between_the_next_hops_and_their_routes_goes_on_where_it_was(daemon: Daemon) -> None:
    ip("nexthop add id 1 via 10.0.0.2 dev v0 proto 114")
    ip("nexthop add id 7 via 10.0.0.7 dev v0 proto 114")
    daemon.start(FILE)
    assert is_whole()


def test_what_leaves_the_file_goes_routes_first(daemon: Daemon) -> None:
    daemon.start(FILE)
    daemon.apply('[[nexthop]]\nid = 2\nvia = "10.1.0.2"\ndev = "v1"\n')
    assert (nexthops(), routes()) == ({2: "10.1.0.2"}, {})
    daemon.apply("")
    assert nexthops() == {}


def test_one_that_a_foreign_route_uses_is_never_deleted(daemon: Daemon) -> None:
    daemon.start(FILE)
    ip("route add 192.0.9.0/24 nhid 1")
    daemon.apply("", force=True)
    assert (nexthops(), routes()) == ({1: "10.0.0.2"}, {})
    assert [one["nhid"] for one in ip_json("route show 192.0.9.0/24")] == [1]
    (left,) = daemon.status()["leftovers"]
    assert left["reason"] == "route 192.0.9.0/24 stands on it"
    ip("route del 192.0.9.0/24")
    daemon.apply("")
    assert nexthops() == {}


def test_one_that_a_foreign_group_uses_is_never_deleted(daemon: Daemon) -> None:
    daemon.start(FILE)
    ip("nexthop add id 77 group 1/2 proto static")
    daemon.apply("")
    assert nexthops() == {1: "10.0.0.2", 2: "10.1.0.2"}
    assert [one["id"] for one in ip_json("nexthop show") if one["protocol"] == "4"] == [77]


def test_one_that_must_be_made_anew_is_left_while_a_foreign_route_uses_it(daemon: Daemon) -> None:
    daemon.start('[[nexthop]]\nname = "one"\nid = 1\nvia = "10.0.0.2"\n')
    ip("route add 192.0.9.0/24 nhid 1")
    daemon.apply('[[nexthop]]\nname = "one"\nid = 1\nblackhole = true\n')
    assert ip_json("route show 192.0.9.0/24")[0]["gateway"] == "10.0.0.2"
    assert daemon.entry("nexthop/one")["state"] == "conflict"
    ip("route del 192.0.9.0/24")
    daemon.apply('[[nexthop]]\nname = "one"\nid = 1\nblackhole = true\n')
    assert "blackhole" in ip_json("nexthop show id 1")[0]


def test_one_that_is_made_anew_gets_its_own_routes_back(daemon: Daemon) -> None:
    daemon.start(FILE)
    changed = FILE.replace("buckets = 16", "buckets = 32")
    daemon.apply(changed)
    wait_until(is_whole)
    assert ip_json("nexthop show id 11")[0]["resilient_args"]["buckets"] == 32
    wait_until(lambda: daemon.ask_json("plan")["steps"] == [])


def test_another_gateway_is_one_request_however_many_routes_use_it(daemon: Daemon) -> None:
    daemon.start(FILE)
    daemon.apply(FILE.replace("10.0.0.2", "10.0.0.3"))
    assert nexthops()[1] == "10.0.0.3"
    assert len(daemon.records("changed")) + len(daemon.records("applied", "nexthop/left")) <= 1
    assert routes() == ROUTES


@pytest.mark.parametrize("word", ["replace", "refuse"])
def test_a_foreign_one_of_that_number_is_replaced_or_left_as_the_entry_says(daemon: Daemon, word: str) -> None:
    ip("nexthop add id 1 via 10.0.0.50 dev v0 proto static")
    daemon.start(f'[[nexthop]]\nname = "one"\nid = 1\nvia = "10.0.0.2"\non_conflict = "{word}"\n')
    (stands,) = ip_json("nexthop show")
    assert (stands["gateway"], stands["protocol"]) == {
        "replace": ("10.0.0.2", "114"),
        "refuse": ("10.0.0.50", "4"),
    }[word]
    daemon.apply("")
    assert [(one["gateway"], one["protocol"]) for one in ip_json("nexthop show")] == [("10.0.0.50", "4")]


def test_a_foreign_one_that_foreign_routes_use_is_replaced_only_where_the_entry_says_so(daemon: Daemon) -> None:
    ip("nexthop add id 1 via 10.0.0.50 dev v0 proto static")
    ip("route add 192.0.9.0/24 nhid 1 proto static")
    mine = '[[nexthop]]\nname = "one"\nid = 1\nvia = "10.0.0.2"\n'
    use = '[[route]]\nname = "use"\nto = "192.0.2.0/24"\nnhid = 1\n'
    daemon.start(mine + use)
    assert daemon.entry("nexthop/one")["state"] == "conflict"
    assert daemon.entry("route/use")["state"] == "waiting"
    assert daemon.ask("apply").code == 4
    assert ip_json("route show 192.0.9.0/24")[0]["gateway"] == "10.0.0.50"
    daemon.apply(mine + 'on_conflict = "replace"\n' + use)
    assert ip_json("route show 192.0.9.0/24")[0]["gateway"] == "10.0.0.2"
    assert routes() == {"192.0.2.0/24": 1}


def test_what_is_imported_is_what_makes_it(daemon: Daemon) -> None:
    daemon.start(FILE)
    ip("nexthop add id 20 blackhole proto static")
    ip("nexthop add id 21 dev v0 proto static")
    ip("-6 nexthop add id 22 dev v0 proto static")
    ip("-6 route add 2001:db8:7::/48 nhid 22 proto static")
    imported = daemon.ask("import")
    assert "word for" not in imported.err
    daemon.write(imported.out.removeprefix("version = 1\n"))
    daemon.ask_json("apply")
    wait_until(lambda: daemon.ask_json("plan")["steps"] == [])
    assert nexthops() == NEXTHOPS | {20: "", 21: "", 22: ""}


def test_status_tells_each_as_ip_writes_it(daemon: Daemon) -> None:
    daemon.start(FILE)
    told = json.dumps(daemon.ask_json("status", "nexthop/both"))
    assert "in-sync" in told
    assert "id 10" in daemon.ask("status", "nexthop/both").out
