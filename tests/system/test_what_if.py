"""What a plan says would happen if a check came to another verdict is what happens when it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.fleet import Fleet, node, pods, source
from tests.system.monitor import Monitor
from tests.system.test_failover import FAMILIES, a_file, metrics, with_both_checked
from tests.system.uplinks import Uplinks, two_lines

DOWN = ("plan", "--if", "check:wan1=down")


@pytest.fixture
def uplinks(network: None) -> Iterator[Uplinks]:
    with two_lines() as uplinks:
        yield uplinks


def steps(plan: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(step["symbol"], step["entry"], step["object"]) for step in plan["steps"]]


@FAMILIES
def test_a_plan_shows_what_a_fall_would_do_and_the_fall_does_just_that(
    daemon: Daemon, uplinks: Uplinks, monitor: Monitor, family: int
) -> None:
    daemon.start(a_file(family))
    wait_until(lambda: metrics() == [100, 200])
    assert daemon.ask("apply").code == 0
    before, status = ip_json(f"-{family} route show table all"), daemon.status()
    monitor.heard()
    plan = daemon.ask_json(*DOWN)
    assert plan["assumed"] == ["check:wan1=down"]
    assert steps(plan) == [("-", "", "default metric 100")]
    assert plan["steps"][0]["reason"] == "route/first is not wanted: check/wan1 is down (assumed)"
    assert [(one["entry"], one["reason"]) for one in plan["waiting"]] == [
        ("route/first", "check/wan1 is down (assumed)")
    ]
    # nothing came of it: not in the kernel, not in what the daemon knows
    assert ip_json(f"-{family} route show table all") == before
    assert monitor.heard() == []
    assert daemon.status()["checks"][0]["state"] == status["checks"][0]["state"] == "up"
    assert daemon.entry("route/first")["state"] == "in-sync"
    assert daemon.ask_json("plan")["steps"] == []
    assert daemon.ask_json("plan", "--if", "check:wan1=up")["steps"] == []
    uplinks.cut(0)
    wait_until(lambda: metrics() == [200])
    assert [(change.what, change.to) for change in monitor.heard() if change.port == daemon.pid] == [
        ("route gone", "default")
    ]
    assert daemon.ask_json(*DOWN)["steps"] == []
    back = daemon.ask_json("plan", "--if", "check:wan1=up")
    assert steps(back) == [("+", "route/first", "default metric 100")]


def test_several_assumptions_count_together(daemon: Daemon, uplinks: Uplinks) -> None:
    daemon.start(with_both_checked(4))
    wait_until(lambda: metrics() == [100, 200])
    both = daemon.ask_json(*DOWN, "--if", "check:wan2=down")
    assert steps(both) == [("-", "", "default metric 200")]  # the preferred one is rather kept
    assert both == daemon.ask_json("plan", "--if", "check:wan1=down,check:wan2=down")
    assert ("route/first", "check/wan1 is down (assumed)") in [(one["entry"], one["reason"]) for one in both["waiting"]]


def test_the_text_says_what_is_assumed_and_the_exit_codes_are_those_of_a_plan(daemon: Daemon, uplinks: Uplinks) -> None:
    daemon.start(a_file(4))
    wait_until(lambda: metrics() == [100, 200])
    answer = daemon.ask(*DOWN, "--exit-code")
    assert answer.code == 2
    assert answer.out.splitlines()[0] == "If check/wan1 is down:"
    assert answer.out.splitlines()[-1] == "Plan: 1 to remove, 1 waiting."
    assert daemon.ask("plan", "--if", "check:wan1=up", "--exit-code").code == 0


@pytest.mark.parametrize(
    ("assumption", "said"),
    [
        ("check:wan9=down", "there is wan1"),
        ("member:node9=gone", "there is none"),
        ("check:wan1=gone", "up or down"),
        ("link:nowhere=down", "nothing here has this name"),
        ("address:203.0.113.7=gone", "nothing here has this name"),
        ("nat:x=down", "check:NAME=up or"),
    ],
)
def test_what_cannot_be_assumed_is_wrong_usage(daemon: Daemon, uplinks: Uplinks, assumption: str, said: str) -> None:
    daemon.start(a_file(4))
    answer = daemon.ask("plan", "--if", assumption)
    assert (answer.code, answer.out) == (64, "")
    assert said in answer.err


def test_without_a_daemon_it_is_what_apply_direct_would_do_then(daemon: Daemon, uplinks: Uplinks) -> None:
    daemon.start(a_file(4))
    wait_until(lambda: metrics() == [100, 200])
    daemon.stop()
    assert steps(daemon.ask_json(*DOWN)) == [("-", "", "default metric 100")]
    assert metrics() == [100, 200]


def test_of_a_check_that_is_not_in_force_yet_it_is_what_the_files_would_come_to(
    daemon: Daemon, uplinks: Uplinks
) -> None:
    daemon.start("")
    daemon.write(a_file(4))
    for word, added in (("up", {"route/first", "route/second"}), ("down", {"route/second"})):
        plan = daemon.ask_json("plan", "--if", f"check:wan1={word}")
        assert {entry for symbol, entry, _ in steps(plan) if symbol == "+"} - {
            "check/wan1[route]",
            "check/wan1[rule]",
        } == added
    assert metrics() == []


def test_a_link_that_goes_down_takes_routes_and_routed_waits(daemon: Daemon) -> None:
    daemon.start('[[route]]\nname = "lan"\nto = "10.30.0.0/16"\nvia = "10.0.0.9"')
    before = ip_json("route show table all")
    answer = daemon.ask("plan", "--if", "link:v0=down")
    assert answer.out.splitlines()[0] == "If v0 is down:"
    assert "x route/lan  10.30.0.0/16 via 10.0.0.9 dev v0 proto routed" in answer.out.splitlines()
    assert "  route/lan: in-sync -> waiting: link v0, towards gateway 10.0.0.9, is down" in answer.out.splitlines()
    assert ip_json("route show table all") == before
    both = daemon.ask("plan", "--if", "link:v0=down,link:v0=up")
    assert (both.code, both.out) == (64, "")
    ip("link set v0 down")
    wait_until(lambda: daemon.entry("route/lan")["state"] == "waiting")
    plan = daemon.ask_json("plan", "--if", "link:v0=up")
    assert plan["case"] == "if v0 is up and has a carrier"
    assert steps(plan) == [("+", "route/lan", "10.30.0.0/16")]


def test_a_member_that_goes_takes_its_routes(daemon: Daemon, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.tell(node(1), node(2))
    daemon.start(source('max_loss = "off"'))
    plan = daemon.ask_json("plan", "--if", "member:node2=gone")
    assert steps(plan) == [("-", "", "10.244.2.0/24")]
    assert {one["entry"]: one["after"] for one in plan["changes"]} == {"route/pods[node2]": ""}
    assert daemon.ask_json("plan", "--if", "member:fleet/node2=gone")["steps"] == plan["steps"]
    fleet.tell(node(1))
    wait_until(lambda: list(pods()) == ["10.244.1.0/24"])


def test_other_files_are_put_in_place_of_those_in_force_whoever_makes_the_plan(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start('[[route]]\nname = "old"\nto = "10.30.0.0/16"\nvia = "10.0.0.9"')
    other = tmp_path / "other.toml"
    other.write_text('version = 1\n[[route]]\nname = "new"\nto = "10.31.0.0/16"\nvia = "10.0.0.9"\n')
    plan = daemon.ask_json("plan", "--if", f"file:{other}")
    assert steps(plan) == [("+", "route/new", "10.31.0.0/16"), ("-", "", "10.30.0.0/16")]
    assert [(one["entry"], one["before"], one["after"]) for one in plan["changes"]] == [
        ("route/old", "in-sync", ""),
        ("route/new", "", "in-sync"),
    ]
    both = daemon.ask_json("plan", "--if", f"file:{other},link:v0=down")
    assert [(one["entry"], one["after"]) for one in both["changes"]] == [("route/old", ""), ("route/new", "waiting")]
    daemon.stop()
    assert daemon.ask_json("plan", "--if", f"file:{other}") == plan


def test_without_a_daemon_a_link_may_be_assumed_as_well(daemon: Daemon) -> None:
    daemon.start('[[route]]\nname = "lan"\nto = "10.30.0.0/16"\nvia = "10.0.0.9"')
    told = daemon.ask_json("plan", "--if", "link:v0=gone")
    daemon.stop()
    assert daemon.ask_json("plan", "--if", "link:v0=gone") == told


LINES = (
    '[[route]]\nname = "out"\nto = "default"\nvia = "10.0.0.2"\nmetric = 50\n'
    '[[route]]\nname = "backup"\nto = "default"\nvia = "10.1.0.2"\nmetric = 200\n'
)


def ways(plan: dict[str, Any]) -> dict[str, list[tuple[str, list[dict[str, str]], str]]]:
    """By address: what comes of a packet there, by which hops, and whose route it is, now and then."""
    return {
        way["address"]: [
            (side["decision"]["outcome"], side["decision"]["hops"], side["decision"]["route"]["entry"])
            for side in (way["now"], way["then"])
        ]
        for way in plan["ways"]
    }


def test_whoever_makes_the_plan_says_how_packets_go_now_and_then(daemon: Daemon) -> None:
    daemon.start(LINES)
    asked = ("plan", "--if", "link:v0=down", "--why", "198.51.100.7,10.1.0.9")
    plan = daemon.ask_json(*asked)
    assert ways(plan) == {
        "198.51.100.7": [
            ("sent", [{"dev": "v0", "gateway": "10.0.0.2"}], "route/out"),
            ("sent", [{"dev": "v1", "gateway": "10.1.0.2"}], "route/backup"),
        ],
        "10.1.0.9": [("sent", [{"dev": "v1", "gateway": ""}], "")] * 2,
    }
    assert [way["differs"] for way in plan["ways"]] == [["hops", "route", "owner", "source"], []]
    assert [way["now"]["kernel"]["agrees"] for way in plan["ways"]] == [True, True]
    assert "then" not in plan
    lines = daemon.ask(*asked).out.splitlines()
    assert "198.51.100.7 goes another way then:" in lines
    assert "10.1.0.9 goes dev v1 from 10.1.0.1, then as now:" in lines
    daemon.stop()
    alone = daemon.ask_json(*asked)
    assert ways(alone) == ways(plan)
    assert "the daemon does not run" in alone["ways"][0]["now"]["unknown"][0]
    ip("link set v0 down")
    daemon.start()
    (shown,) = ip_json("route get 198.51.100.7")
    assert (shown["dev"], shown["gateway"]) == ("v1", "10.1.0.2")


def test_without_an_assumption_it_is_what_the_files_on_disk_would_change(daemon: Daemon) -> None:
    daemon.start(LINES, daemon='watch = "check"')
    assert daemon.ask_json("plan", "--why", "198.51.100.7")["ways"][0]["differs"] == []
    daemon.write(LINES.replace("10.0.0.2", "10.0.0.3"), daemon='watch = "check"')
    plan = daemon.ask_json("plan", "--why", "198.51.100.7")
    assert steps(plan) == steps(daemon.ask_json("plan")) == [("~", "route/out", "default metric 50")]
    assert [side[1] for side in ways(plan)["198.51.100.7"]] == [
        [{"dev": "v0", "gateway": gateway}] for gateway in ("10.0.0.2", "10.0.0.3")
    ]
    assert "case" not in plan
    assert daemon.ask("apply").code == 0
    assert ip_json("route get 198.51.100.7")[0]["gateway"] == "10.0.0.3"


def test_other_files_may_send_packets_another_way(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(LINES)
    other = tmp_path / "other.toml"
    rule = '[[rule]]\npriority = 1200\nfamily = "ipv4"\nfwmark = "0x7"\ntable = 120\n'
    rule += '[[route]]\nname = "marked"\nto = "default"\ntable = 120\nvia = "10.1.0.7"\n'
    other.write_text(f"version = 1\n{LINES}{rule}")
    asked = ("plan", "--if", f"file:{other}", "--why", "198.51.100.7")
    assert daemon.ask_json(*asked)["ways"][0]["differs"] == []
    (marked,) = daemon.ask_json(*asked, "--mark", "7")["ways"]
    assert marked["differs"] == ["hops", "route", "rule", "owner", "source"]
    assert marked["then"]["decision"]["hops"] == [{"dev": "v1", "gateway": "10.1.0.7"}]
    assert marked["then"]["decision"]["rule"]["origin"].startswith(str(other))


def test_a_packet_needs_its_link_and_its_address(daemon: Daemon) -> None:
    daemon.start(LINES)
    for words, assumed, lacks in (
        (("--oif", "v1"), "link:v1=gone", "link v1"),
        (("--from", "10.1.0.1"), "address:10.1.0.1=gone", "address 10.1.0.1"),
    ):
        (way,) = daemon.ask_json("plan", "--if", assumed, "--why", "198.51.100.7", *words)["ways"]
        assert (way["lacks"], way["differs"], "then" in way) == (lacks, ["packet"], False)
    answer = daemon.ask("plan", "--why", "198.51.100.7", "--oif", "v9")
    assert (answer.code, answer.out) == (1, "")
    assert "there is no link v9" in answer.err
    assert daemon.ask("plan", "--mark", "7").code == 64
