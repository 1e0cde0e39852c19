"""What a plan says would happen if a check came to another verdict is what happens when it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernel.netns import ip_json, wait_until
from tests.system.daemon import Daemon
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
    assert answer.out.splitlines()[0] == "Assumed: check:wan1=down"
    assert answer.out.splitlines()[-1] == "Plan: 1 to remove, 1 waiting."
    assert daemon.ask("plan", "--if", "check:wan1=up", "--exit-code").code == 0


@pytest.mark.parametrize(
    ("assumption", "said"),
    [
        ("check:wan9=down", "there is wan1"),
        ("check:wan1=gone", "up or down"),
        ("link:v0=down", "write check:NAME=up or"),
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
