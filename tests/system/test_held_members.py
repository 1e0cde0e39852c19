"""Members that stay since too many would go at once: what the commands say of them until the operator lets them go."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.daemon import Daemon
from tests.system.fleet import PODS, Fleet, node, pods, source

EVERYBODY = [node(number) for number in range(1, 9)]
HELD = [f"node{number}" for number in range(5, 9)]
THEIR_PODS = {f"10.244.{number}.0/24" for number in range(5, 9)}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def hold(daemon: Daemon, fleet: Fleet, *rest: dict[str, Any], options: str = "") -> None:
    """All members come, and then only these are told of."""
    fleet.tell(*EVERYBODY)
    daemon.start(source(options))
    fleet.tell(*rest)
    daemon.wait_for("members-held")


def find_age(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def is_same(told: list[dict[str, Any]], held: dict[str, Any]) -> bool:
    """Is it all that is told, at the same moment but for what two clocks differ in?"""
    (one,) = told
    return one | {"since": ""} == held | {"since": ""} and abs(find_age(one["since"]) - find_age(held["since"])) < 0.1


def test_a_plan_says_who_is_held_why_since_when_and_what_goes_with_them(daemon: Daemon, fleet: Fleet) -> None:
    hold(daemon, fleet, *EVERYBODY[:4])
    plan = daemon.ask_json("plan")
    (held,) = plan["held"]
    assert (held["entry"], held["members"]) == ("route/pods", HELD)
    assert held["reason"] == "4 of 8 members would go within a minute"
    assert 0 <= find_age(held["since"]) < 30
    assert plan["steps"] == []
    assert {step["object"] for step in plan["held_steps"]} == THEIR_PODS
    assert {step["symbol"] for step in plan["held_steps"]} == {"-"}
    assert len(pods()) == 8  # and nothing was done
    # a second plan says the same of the same moment
    assert is_same(daemon.ask_json("plan")["held"], held)
    answer = daemon.ask("plan")
    assert answer.code == 4
    assert "Held, until routed apply --force lets them go:" in answer.out
    assert "4 of 8 members would go within a minute: node5 node6 node7 node8 for " in answer.out
    assert "- route/pods[node5]  10.244.5.0/24 via 10.0.0.105 dev v0" in answer.out
    assert answer.out.endswith("Nothing to do: 1 held.\n")


def test_what_was_said_of_the_held_is_what_force_does_and_then_nothing_is_said(daemon: Daemon, fleet: Fleet) -> None:
    hold(daemon, fleet, *EVERYBODY[:4])
    before, said = pods(), {step["object"] for step in daemon.ask_json("plan")["held_steps"]}
    assert daemon.ask("apply", "--force").code == 0
    wait_until(lambda: before.keys() - pods().keys() == said)
    plan = daemon.ask_json("plan")
    assert "held" not in plan
    assert "held_steps" not in plan
    assert daemon.ask("plan").code == 0
    assert "held" not in daemon.entry("route/pods")


def test_nobody_at_all_is_held_by_a_plan_as_well(daemon: Daemon, fleet: Fleet) -> None:
    hold(daemon, fleet, options='max_loss = "off"')
    answer = daemon.ask("plan", "--exit-code")
    assert answer.code == 4
    assert "it tells of no member at all any more: node1 node2 node3 node4 node5 and 3 more" in answer.out


def test_apply_status_why_and_members_tell_of_the_same(daemon: Daemon, fleet: Fleet) -> None:
    hold(daemon, fleet, *EVERYBODY[:4])
    (held,) = daemon.ask_json("plan")["held"]
    assert is_same(daemon.ask_json("apply")["held"], held)
    entry = daemon.entry("route/pods")
    assert (entry["state"], entry["held"]) == ("held", HELD)
    assert abs(find_age(entry["since"]) - find_age(held["since"])) < 0.1
    assert "held until routed apply --force lets them go: node5 node6" in daemon.ask("status", "route/pods").out
    assert "4 of 8 members would go within a minute" in daemon.ask("why", "route/pods").out
    shown = daemon.ask("members").out
    assert shown.startswith("source/fleet  held for ")
    assert shown.count("held: its source does not tell of it") == 4


def test_a_claim_that_another_member_takes_over_is_a_change_and_no_loss(daemon: Daemon, fleet: Fleet) -> None:
    first, second = node(1), node(2, prefixes=["10.244.1.0/24", "10.244.2.0/24"])
    fleet.tell(first, node(3))
    daemon.start(source())
    fleet.tell(first, node(3), second)
    daemon.wait_for("members-changed", saying="node2 came")
    fleet.tell(second)
    daemon.wait_for("members-held")
    steps = {(step["symbol"], step["object"]) for step in daemon.ask_json("plan")["held_steps"]}
    assert steps == {("~", "10.244.1.0/24"), ("-", "10.244.3.0/24")}


def test_who_is_held_is_told_without_a_daemon_too(daemon: Daemon, fleet: Fleet) -> None:
    """By what was kept when the daemon ended."""
    fleet.tell(*EVERYBODY)
    daemon.start(source())
    kept = daemon.state / "members/fleet.json"
    wait_until(lambda: kept.exists() and "node8" in kept.read_text())
    daemon.stop()
    ip("route flush proto 114")
    fleet.tell(*EVERYBODY[:2])
    plan = daemon.ask_json("plan")
    assert plan["held"][0]["reason"] == "6 of 8 members would go within a minute"
    assert len(plan["held_steps"]) == 6
    assert len(plan["steps"]) == 8  # they come as if nobody went
    assert daemon.ask("plan").code == 4


def test_a_source_that_nobody_follows_any_more_holds_nothing(daemon: Daemon, fleet: Fleet) -> None:
    hold(daemon, fleet, *EVERYBODY[:4])
    daemon.write(source().replace(PODS, ""))
    plan = daemon.ask_json("plan")
    assert "held" not in plan
    assert plan["steps"]
