"""Checks that run commands: the daemon as a process, and real commands that hang, leave children and have secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.netns import wait_until
from tests.probes.programs import LEAVES_MANY, a_folder, a_mark, a_program, find_children, find_processes
from tests.system.daemon import Daemon
from tests.system.host import shown
from tests.system.test_checks import TO, a_route

SECRET = "hunter2"  # noqa: S105  it is looked for where it must not be


@pytest.fixture
def folder() -> Iterator[Path]:
    with a_folder() as folder:
        yield folder


def a_command(*words: object, keys: str = "", name: str = "web", every: str = "200ms") -> str:
    command = json.dumps([str(word) for word in words])
    keys = f'user = "nobody"\n{keys}'
    return f'[[check]]\nname = "{name}"\ntype = "exec"\ncommand = {command}\nevery = "{every}"\nfall = 2\n{keys}\n'


def the_check(daemon: Daemon) -> dict[str, str]:
    (check,) = daemon.status()["checks"]
    assert isinstance(check, dict)
    return check


def test_a_route_is_there_while_a_command_ends_with_0(daemon: Daemon, folder: Path) -> None:
    program = a_program(folder, f"cat {folder}/state; exec test ! -e {folder}/bad")
    (folder / "state").write_text("OK - 3 of 3\n")
    daemon.start(a_command(program, "--password", SECRET) + a_route())
    wait_until(lambda: shown(TO) != [])
    (folder / "state").write_text("CRITICAL - 0 of 3\n")
    (folder / "bad").touch()
    wait_until(lambda: shown(TO) == [])
    down = daemon.wait_for("check-down", "check/web")
    assert down["fields"]["ROUTED_REASON"].startswith("exec: exit code 1: CRITICAL - 0 of 3")
    details = daemon.ask("status", "check/web").out
    assert f"{program}  down" in details
    assert "exec: exit code 1: CRITICAL - 0 of 3" in details
    (folder / "state").write_text("OK - 2 of 3\n")
    (folder / "bad").unlink()
    wait_until(lambda: shown(TO) != [])
    wait_until(lambda: "exec: answered OK - 2 of 3" in daemon.ask("status", "check/web").out)
    said = "".join(map(str, daemon.records())) + json.dumps(daemon.status()) + daemon.ask("--json", "plan").out
    assert SECRET not in said + daemon.ask("plan").out + daemon.ask("status").out + details


def test_no_complaint_repeats_the_arguments(daemon: Daemon, folder: Path) -> None:
    daemon.start(a_command(a_program(folder, "exit 0")) + a_route())
    program = a_program(folder, "exit 0", "open", mode=0o777)
    for wrong in (a_command(program, SECRET), a_command("sh", "-c", SECRET), a_command("/home/x", SECRET)):
        daemon.write(wrong + a_route())
        answer = daemon.ask("apply")
        assert answer.code == 78
        assert "`command`" in answer.err
        assert SECRET not in answer.err + daemon.ask("check").err + str(daemon.status())
    assert SECRET not in str(daemon.records())
    assert daemon.records("config-rejected")


def test_no_command_runs_while_nothing_requires_its_check(daemon: Daemon, folder: Path) -> None:
    program = a_program(folder, f"touch {folder}/was-run")
    (folder / "was-run").touch()
    (folder / "was-run").chmod(0o666)
    (folder / "was-run").unlink()
    free = a_route().replace("requires", "# requires").replace("when", "# when")
    daemon.start(a_command(program) + free)
    assert daemon.ask("apply").code == 0
    assert the_check(daemon)["reason"] == "no entry requires it, so it is not asked"
    assert find_children(daemon.pid, "--user") == []  # that is the helper
    daemon.apply(a_command(program) + a_route())
    wait_until(lambda: find_children(daemon.pid, "--user") != [])
    daemon.apply(free)
    wait_until(lambda: find_children(daemon.pid, "--user") == [])


@pytest.mark.long
def test_a_hundred_checks_that_hang_leave_no_process_and_are_late_not_down_before_their_turn(
    daemon: Daemon, folder: Path
) -> None:
    mark = a_mark()
    program = a_program(folder, f"{LEAVES_MANY}exec sleep {{mark}}".format(mark=mark))
    checks = "".join(a_command(program, keys='timeout = "1s"', name=f"c{one}", every="1s") for one in range(100))
    requires = ", ".join(f'"@c{number}"' for number in range(100))
    daemon.start(checks + a_route().replace('"@web"', f"[{requires}]"))
    wait_until(lambda: len(find_processes(mark)) >= 16)
    wait_until(lambda: any(one["late"] > 1.0 for one in daemon.status()["checks"]))
    assert {one["state"] for one in daemon.status()["checks"]} <= {"unknown", "down"}
    assert daemon.stop() == 0
    wait_until(lambda: find_processes(mark) == [])


def test_a_daemon_that_is_killed_leaves_no_command_and_no_helper(daemon: Daemon, folder: Path) -> None:
    mark = a_mark()
    program = a_program(folder, f"{LEAVES_MANY}exec sleep {{mark}}".format(mark=mark))
    daemon.start(a_command(program, keys='timeout = "60s"', every="60s") + a_route())
    wait_until(lambda: len(find_processes(mark)) >= 5)
    (helper,) = find_children(daemon.pid, "--user")
    daemon.kill()
    wait_until(lambda: find_processes(mark) == [] and helper not in find_processes("--user"))
    daemon.start()
    wait_until(lambda: len(find_processes(mark)) >= 5)  # and it goes on


def test_a_command_that_others_may_write_later_is_not_run_any_more_and_changes_nothing(
    daemon: Daemon, folder: Path
) -> None:
    program = a_program(folder, "exit 0")
    daemon.start(a_command(program) + a_route())
    wait_until(lambda: shown(TO) != [])
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o777)
    wait_until(lambda: the_check(daemon)["state"] == "failed")
    assert the_check(daemon)["reason"] == (
        f"exec: somebody else than root may write {program}: chown -h root and chmod go-w"
    )
    failed = daemon.wait_for("check-failed", "check/web")
    assert "cannot be made: exec: somebody else than root may write" in failed["message"]
    assert shown(TO) != []
    program.chmod(0o755)
    wait_until(lambda: shown(TO) == [])
    assert the_check(daemon)["state"] == "down"
    assert len(daemon.records("check-failed")) == 1


def test_what_was_known_of_a_check_that_cannot_be_made_any_more_outlives_a_kill(daemon: Daemon, folder: Path) -> None:
    program = a_program(folder, "exit 0")
    daemon.start(a_command(program) + a_route())
    wait_until(lambda: shown(TO) != [])
    program.unlink()
    daemon.wait_for("check-failed", "check/web")
    daemon.kill()
    daemon.forget()
    daemon.start()
    daemon.wait_for("check-failed", "check/web")
    assert the_check(daemon)["state"] == "failed"
    assert shown(TO) != []
    a_program(folder, "exit 1")
    wait_until(lambda: shown(TO) == [])


def test_what_waits_for_a_command_that_is_not_there_says_so(daemon: Daemon, folder: Path) -> None:
    daemon.start(a_command(folder / "check") + a_route())
    wait_until(lambda: the_check(daemon)["state"] == "failed")
    assert shown(TO) == []
    wait_until(lambda: "does not exist: install it" in daemon.entry("route/lan")["reason"])
    assert daemon.entry("route/lan")["state"] == "waiting"
    assert daemon.ask("apply").code == 0  # as for all that waits
    assert "check/web  failed" in daemon.ask("status").out
    checked = daemon.ask("check")
    assert checked.code == 0
    assert "does not exist, so check/web cannot be made" in checked.out + checked.err
    a_program(folder, "exit 0")
    wait_until(lambda: shown(TO) != [])


def test_a_command_that_prints_something_else_each_time_is_told_once(daemon: Daemon, folder: Path) -> None:
    program = a_program(folder, "cat /proc/sys/kernel/random/uuid; exit 1")
    daemon.start(a_command(program, every="50ms") + a_route())
    daemon.wait_for("check-down", "check/web")
    before = the_check(daemon)["reason"]
    for _ in range(5):
        wait_until(lambda before=before: the_check(daemon)["reason"] != before)  # type: ignore[misc]
        before = the_check(daemon)["reason"]
    assert len([one for one in daemon.records() if "exec:" in one["message"]]) == 1
