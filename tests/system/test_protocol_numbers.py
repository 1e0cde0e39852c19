"""A change of `protocol`: what carries a former number stays ours until it is gone, through restarts and kills."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from routed.daemon.lock import acquire
from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.host import addresses, routes, rules
from tests.system.monitor import Monitor
from tests.system.worlds import GATEWAY, WORLD, blackholes, prefixes

MANY, FEW = blackholes(30), blackholes(5)
NEXT = "protocol = 115"


def count(*protocols: str) -> list[int]:
    """How many routes, rules and addresses carry each number, as `ip` tells."""
    return [
        len(routes(number)) + len(rules(number)) + sum(a.get("protocol") == number for a in addresses())
        for number in protocols
    ]


def marks(daemon: Daemon) -> dict[str, Any]:
    found = json.loads((daemon.state / "marks.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture
def moved(daemon: Daemon) -> Daemon:
    """Thirty routes under the former number, then five under the next one: the guard holds the others."""
    daemon.start(MANY)
    daemon.write(FEW, NEXT)
    assert daemon.ask("apply").code == 4
    assert count("114", "115") == [25, 5]
    return daemon


@pytest.mark.parametrize("end", ["stop", "kill -9"])
def test_a_restart_does_not_forget_what_the_guard_holds_under_a_former_number(moved: Daemon, end: str) -> None:
    moved.stop() if end == "stop" else moved.kill()
    assert marks(moved) == {"version": 1, "protocol": 115, "former": [114]}
    for is_running in (False, True):
        if is_running:
            moved.start()
        (refusal,) = moved.ask_json("plan")["refusals"]
        assert (refusal["count"], refusal["by_guard"]) == (25, True)
    assert count("114", "115") == [25, 5]
    status = moved.ask_json("status")
    assert status["former_protocols"] == [114]
    assert sum(thing["count"] for thing in status["leftovers"]) == 25
    assert "former protocol 114" in moved.ask("status").out

    assert moved.ask("apply", "--force").code == 0

    assert count("114", "115") == [0, 5]
    assert marks(moved) == {"version": 1, "protocol": 115, "former": []}
    status = moved.ask_json("status")
    assert (status["former_protocols"], status["leftovers"]) == ([], [])
    assert moved.ask("plan", "--exit-code").code == 0
    assert "former protocol" not in moved.ask("status").out


def test_a_direct_apply_knows_and_keeps_the_former_number(moved: Daemon) -> None:
    moved.stop()
    assert moved.ask("apply", "--direct").code == 4
    assert marks(moved)["former"] == [114]
    assert moved.ask("apply", "--direct", "--force").code == 0
    assert (count("114", "115"), marks(moved)["former"]) == ([0, 5], [])
    moved.write(FEW, "protocol = 116")
    assert moved.ask("apply", "--direct").code == 0
    assert (count("115", "116"), marks(moved)) == ([0, 5], {"version": 1, "protocol": 116, "former": []})


def test_a_plan_that_cannot_read_the_state_asks_the_daemon(moved: Daemon, tmp_path: Path) -> None:
    elsewhere = f"--state-dir={tmp_path}/nothing"
    assert [refusal["count"] for refusal in moved.ask_json("plan", elsewhere)["refusals"]] == [25]
    moved.stop()
    assert moved.ask_json("plan", elsewhere)["refusals"] == []


def test_a_plan_for_another_number_is_what_apply_then_does(daemon: Daemon) -> None:
    daemon.start(FEW)
    daemon.write(blackholes(3), NEXT)
    plan = daemon.ask_json("plan")
    assert daemon.ask_json("apply")["changed"] == sum(step["count"] for step in plan["steps"]) == 5
    assert count("114", "115") == [0, 3]
    assert marks(daemon)["former"] == []


def test_the_whole_world_takes_another_number_and_nothing_of_the_former_one_is_left(daemon: Daemon) -> None:
    daemon.start(WORLD)
    before = count("114")
    daemon.apply(WORLD, daemon=NEXT)
    assert marks(daemon)["former"] == []
    assert count("114", "115") == [0, *before]


def test_a_former_number_goes_when_others_take_away_what_carried_it(moved: Daemon) -> None:
    ip("route flush table all proto 114")
    assert moved.ask("apply").code == 0
    assert marks(moved)["former"] == []


def test_a_former_number_that_another_daemon_took_meanwhile_is_left_to_it(moved: Daemon, tmp_path: Path) -> None:
    moved.stop()
    with acquire(114, tmp_path / "elsewhere"):
        moved.start()
        moved.wait_for("protocol-taken", saying="protocol 114 is not ours: another routed")
        assert (count("114", "115"), marks(moved)["former"]) == ([25, 5], [])
        assert moved.ask("apply", "--force").code == 0
        assert count("114", "115") == [25, 5]


def test_without_the_file_the_last_revision_tells_the_number(daemon: Daemon) -> None:
    daemon.start(FEW)
    daemon.stop()
    (daemon.state / "marks.json").unlink()
    daemon.start(FEW, daemon=NEXT)
    assert (count("114", "115"), marks(daemon)["former"]) == ([0, 5], [])


def test_numbers_that_cannot_be_kept_are_said_and_the_change_goes_on(daemon: Daemon) -> None:
    daemon.start(FEW)
    newer = json.dumps({"version": 2})
    (daemon.state / "marks.json").write_text(newer)
    assert daemon.apply(FEW, daemon=NEXT)["changed"] == 5
    daemon.wait_for("state-lost", saying="a newer routed wrote it")
    assert (count("114", "115"), (daemon.state / "marks.json").read_text()) == ([0, 5], newer)


def test_a_start_that_finds_its_number_on_disk_writes_nothing(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    before = (daemon.state / "marks.json").stat()
    daemon.stop()
    daemon.start()
    assert daemon.ask("apply").code == 0
    after = (daemon.state / "marks.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_kill_at_any_moment_of_a_change_of_number_leaves_nothing_of_the_former_one(
    daemon: Daemon, monitor: Monitor, tmp_path: Path
) -> None:
    chance = random.Random(7)  # noqa: S311  no secret
    listed = tmp_path / "drop.txt"
    listed.write_text(prefixes(2000))
    text = f'[[route]]\nname = "drop"\nprefixes_file = "{listed}"\ntype = "blackhole"\n'
    daemon.start(text, daemon='watch = "apply"')
    numbers = [114, 115, 116, 114, 117]
    for number in numbers[1:]:
        moment = chance.choice([0, 1, chance.randrange(2, 2000), chance.randrange(2, 4000)])
        monitor.heard()
        daemon.write(text, f'protocol = {number}\nwatch = "apply"')
        wait_until(lambda number=number: marks(daemon)["protocol"] == number)  # type: ignore[misc]
        heard = 0
        while heard < moment and len(ip_json(f"route show table all proto {number}")) < 2000:
            heard += len(monitor.heard())
        daemon.kill()

        daemon.start()
        assert count(*map(str, {*numbers} - {number}), str(number)) == [0, 0, 0, 2000]
        assert marks(daemon) == {"version": 1, "protocol": number, "former": []}
        assert daemon.ask("plan", "--exit-code").code == 0


def test_a_kill_right_after_the_number_is_on_disk_and_another_file_at_the_next_start_leave_nothing(
    daemon: Daemon,
) -> None:
    daemon.start(FEW, daemon='watch = "apply"')
    for number in (115, 116, 117):
        daemon.write(FEW, f'protocol = {number}\nwatch = "apply"')
        wait_until(lambda number=number: marks(daemon)["protocol"] == number)  # type: ignore[misc]
        daemon.kill()
        daemon.start(blackholes(2), daemon='protocol = 118\nwatch = "apply"')
        assert count("114", "115", "116", "117", "118") == [0, 0, 0, 0, 2]
        assert marks(daemon)["former"] == []
