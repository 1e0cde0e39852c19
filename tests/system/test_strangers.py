"""What is not ours is never touched, and what is ours does not go by accident."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.daemon import Daemon
from tests.system.host import OURS, addresses, routes, rules
from tests.system.monitor import Monitor
from tests.system.worlds import GATEWAY, STRANGERS, WORLD, blackholes


def strangers(wanted: tuple[str, ...] = ("10.20.0.11", "2001:db8:20::1", "10.0.0.1", "fd00::1")) -> dict[str, Any]:
    """Everything that is not ours: an `ip` of 6.1 does not print the protocol of an address, so ours go by name."""
    return {
        "routes": [route for route in routes("") if route["protocol"] not in {OURS, "2"}],
        "rules": [rule for rule in rules("") if rule["protocol"] != OURS],
        "addresses": [address for address in addresses() if address["local"] not in wanted],
    }


@pytest.fixture
def theirs(network: None) -> dict[str, Any]:
    """Strangers beside ours, and how they stand."""
    for stranger in STRANGERS:
        ip(stranger)
    there = strangers()
    assert len(there["routes"]) == 6
    assert len(there["addresses"]) == 7  # two of lo, two of v1, three of the strangers
    return there


def test_strangers_survive_a_start_a_repair_a_reload_and_a_stop(daemon: Daemon, theirs: dict[str, Any]) -> None:
    daemon.start(WORLD)
    assert strangers() == theirs
    ip("route flush proto 114")
    wait_until(lambda: len(routes()) == 10)
    assert strangers() == theirs
    assert daemon.ask("apply").code == 1  # one of them has a lower metric than ours
    daemon.signal(signal.SIGHUP)
    assert daemon.stop() == 0
    assert strangers() == theirs


def test_strangers_survive_a_kill_and_a_restart(daemon: Daemon, theirs: dict[str, Any]) -> None:
    daemon.start(WORLD)
    daemon.kill()
    assert strangers() == theirs
    daemon.start()
    assert strangers() == theirs


def test_strangers_survive_when_every_entry_goes(daemon: Daemon, theirs: dict[str, Any]) -> None:
    daemon.start(WORLD)
    daemon.apply("", force=True)
    assert (routes(), rules()) == ([], [])
    assert strangers() == theirs


def test_objects_stay_when_the_daemon_stops(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    monitor.heard()
    assert daemon.stop() == 0
    assert monitor.heard() == []
    assert "its objects stay" in daemon.wait_for("stopped")["message"]


def test_objects_go_with_the_daemon_where_the_file_says_so(daemon: Daemon, theirs: dict[str, Any]) -> None:
    daemon.start(WORLD, daemon='on_stop = "remove"')
    assert len(routes()) == 10
    assert daemon.stop() == 0
    assert (routes(), rules()) == ([], [])
    assert strangers() == theirs
    assert not [one for one in addresses() if one["local"] in {"10.20.0.11", "2001:db8:20::1"}]


def test_a_file_whose_entries_all_went_is_held_by_the_guard_until_it_is_forced(
    daemon: Daemon, monitor: Monitor
) -> None:
    daemon.start(blackholes(20))
    monitor.heard()
    daemon.write("")

    answer = daemon.ask("apply")
    assert answer.code == 4
    assert "20 of 20" in answer.out
    assert monitor.heard() == []
    assert "apply --force" in daemon.wait_for("guard-held")["message"]
    (leftover,) = daemon.ask_json("status")["leftovers"]
    assert leftover["count"] == 20

    assert daemon.ask("apply", "--force").code == 0
    assert routes() == []
    assert daemon.ask_json("status")["leftovers"] == []


def test_the_guard_holds_across_a_restart(daemon: Daemon) -> None:
    daemon.start(blackholes(20))
    daemon.stop()
    daemon.start("")
    assert len(routes()) == 20
    daemon.wait_for("guard-held")


def test_the_guard_lets_additions_through(daemon: Daemon) -> None:
    daemon.start(blackholes(20))
    assert [refusal["count"] for refusal in daemon.apply(GATEWAY)["refusals"]] == [20]
    assert len(routes()) == 21


def test_ten_objects_may_always_go(daemon: Daemon) -> None:
    daemon.start(blackholes(10))
    assert daemon.apply("")["refusals"] == []
    assert routes() == []


@pytest.mark.parametrize("content", [b"", b"\0", b"version = 1\n[[route", b"\xff\xfe", b"[daemon]\n"])
def test_a_file_that_is_empty_or_broken_changes_nothing(daemon: Daemon, monitor: Monitor, content: bytes) -> None:
    daemon.start(WORLD)
    monitor.heard()
    daemon.config.write_bytes(content)
    assert daemon.ask("apply").code == 78
    assert daemon.ask("apply", "--force").code == 78
    daemon.stop()
    daemon.start()
    assert monitor.heard() == []
    assert daemon.ask_json("status")["files"]["state"] == "invalid"
    ip("route del 192.0.2.0/24")
    daemon.wait_for("repaired", "route/gateway")


def test_a_config_that_is_gone_changes_nothing(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    monitor.heard()
    daemon.config.unlink()
    assert daemon.ask("apply").code == 78
    daemon.stop()
    daemon.start()
    assert monitor.heard() == []


def test_a_plan_says_what_it_leaves_alone_even_when_there_is_nothing_to_do(daemon: Daemon) -> None:
    ip("route add default via 10.0.0.9 proto dhcp")
    daemon.write('[[route]]\nname = "out"\nto = "default"\nvia = "10.0.0.2"\n')
    plan = daemon.ask_json("plan")
    assert (plan["steps"], [refusal["entry"] for refusal in plan["refusals"]]) == ([], ["route/out"])
    answer = daemon.ask("plan")
    assert answer.code == 4
    assert "as the files say" not in answer.out
    assert "first contact" in answer.out
