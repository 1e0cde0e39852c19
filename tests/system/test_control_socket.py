"""What other local users, a shortage of descriptors and a removed file do to the control socket of a running daemon."""

from __future__ import annotations

import ast
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from routed.cli.client import call
from tests.kernel.netns import wait_until
from tests.system import callers
from tests.system.callers import NOBODY, call_as
from tests.system.daemon import PATIENCE, PROJECT, Daemon, cpu_seconds
from tests.system.host import routes
from tests.system.worlds import GATEWAY

SECRET = "hunter2"  # noqa: S105  a word to look for
READING = ("io.routed.GetStatus", "io.routed.Plan")


@pytest.fixture
def open_daemon(network: None) -> Iterator[Daemon]:
    """A daemon whose control socket everybody can reach."""
    with callers.open_folder() as folder:
        daemon = Daemon(folder)
        try:
            yield daemon
        finally:
            daemon.close()


def socket_of(daemon: Daemon) -> Path:
    return daemon.folder / "run" / "io.routed"


def log_of(daemon: Daemon) -> list[str]:
    return (daemon.folder / "log").read_text().splitlines()


def first_free_descriptor(pid: int) -> int:
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in count() if number not in taken)


@pytest.mark.long
def test_who_asks_two_thousand_times_about_an_invalid_file_writes_no_log_and_learns_no_word_of_it(
    open_daemon: Daemon,
) -> None:
    daemon = open_daemon
    daemon.config.touch(mode=0o600)
    daemon.start(GATEWAY)
    daemon.write(f"{GATEWAY}{SECRET} = 1\n")
    assert daemon.ask("apply").code == 78
    before = len(log_of(daemon))

    replies = call_as(socket_of(daemon), NOBODY, [], *(READING * 1000))

    assert len(log_of(daemon)) == before
    assert len(replies) == 2000
    assert SECRET not in json.dumps(replies)
    assert replies[1]["error"] == "io.routed.InvalidConfiguration"
    for problems in (replies[0]["parameters"]["document"]["files"]["problems"], replies[1]["parameters"]["problems"]):
        [problem] = problems
        assert (problem["file"], problem["line"]) == (str(daemon.config), 8)
    for reply in call_as(socket_of(daemon), 0, [], *READING):
        assert SECRET in json.dumps(reply)
    said = [note for note in daemon.read_notifications() if "STATUS=" in note]
    assert any("are not in force" in note for note in said)
    assert not any(SECRET in note for note in said)


def test_a_shortage_of_descriptors_costs_one_line_and_no_time_and_clients_are_served_when_it_is_over(
    daemon: Daemon,
) -> None:
    daemon.write(GATEWAY)
    daemon.launch(options=["--no-watch"])  # the look at the files after a start takes descriptors as well
    daemon.wait_until_ready()
    daemon.ask("status")
    before = log_of(daemon)
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (first_free_descriptor(daemon.pid), limits[1]))
    with ThreadPoolExecutor(3) as clients:
        answers = [clients.submit(call, f"{daemon.folder}/run", "GetStatus", None, PATIENCE) for _ in range(3)]
        wait_until(lambda: len(log_of(daemon)) > len(before))
        spent = cpu_seconds(daemon.pid)
        time.sleep(3)  # that nothing happens takes its time to see
        assert cpu_seconds(daemon.pid) - spent < 0.5
        assert not any(answer.done() for answer in answers)
        [line] = log_of(daemon)[len(before) :]
        assert "Too many open files" in line
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
        for answer in answers:
            assert answer.result()["schema"] == "routed.status/1"


@pytest.mark.parametrize("event", ["resync", "SIGHUP", "SIGHUP with an invalid file"])
def test_a_socket_file_that_was_removed_comes_back(daemon: Daemon, event: str) -> None:
    daemon.start(GATEWAY, daemon='resync = "1s"' if event == "resync" else "")
    if event == "SIGHUP with an invalid file":
        daemon.write("nonsense")
    socket_of(daemon).unlink()
    assert daemon.ask("status").code == 69
    if event != "resync":
        daemon.signal(signal.SIGHUP)
    wait_until(socket_of(daemon).exists)
    assert daemon.ask("status").code == 0
    assert [line for line in log_of(daemon) if "was gone; it was made again" in line] != []
    daemon.stop()
    assert not socket_of(daemon).exists()


def is_hangup_blocked(pid: int) -> bool:
    """Does the process, or one of its threads, keep SIGHUP waiting (SigBlk of proc_pid_status(5))?"""
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        blocked = next(line for line in status.read_text().splitlines() if line.startswith("SigBlk:"))
        if int(blocked.split()[1], 16) >> (signal.SIGHUP - 1) & 1:
            return True
    return False


@pytest.mark.parametrize("moment", ["before the files are read", "in the first pass"])
def test_a_hangup_at_the_start_does_not_kill_and_the_file_is_read_again_after_the_first_pass(
    daemon: Daemon, moment: str
) -> None:
    prefixes = daemon.folder / "prefixes"
    prefixes.write_text("".join(f"10.{number >> 8}.{number & 255}.0/24\n" for number in range(20_000)))
    many = f'[[route]]\nname = "many"\nprefixes_file = "{prefixes}"\ntype = "blackhole"\n'
    daemon.write(many + GATEWAY)
    later = daemon.config.rename(daemon.folder / "later")
    daemon.write(many)
    daemon.launch(options=["--no-watch"])
    if moment == "in the first pass":
        wait_until(socket_of(daemon).exists)
    else:
        wait_until(lambda: is_hangup_blocked(daemon.pid))
    later.replace(daemon.config)  # at once: a start with half a file would fail
    daemon.signal(signal.SIGHUP)
    assert not any("READY=1" in note for note in daemon.read_notifications())

    daemon.wait_until_ready()
    wait_until(lambda: any(route["type"] != "blackhole" for route in routes()), PATIENCE)
    assert not is_hangup_blocked(daemon.pid)  # nor in what it starts
    daemon.signal(signal.SIGHUP)
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("options", "variable", "may"),
    [(["--group", "root"], "", True), ([], "root", True), ([], "", False), (["--group", "no-such-group"], "", False)],
)
def test_the_unit_can_give_a_group_the_right_to_give_orders(
    open_daemon: Daemon, monkeypatch: pytest.MonkeyPatch, options: list[str], variable: str, may: bool
) -> None:
    monkeypatch.setenv("ROUTED_GROUP", variable)
    open_daemon.write(GATEWAY)
    open_daemon.launch(options=options)
    open_daemon.wait_until_ready()
    [reply] = call_as(socket_of(open_daemon), NOBODY, [0], "io.routed.Resume")
    assert ("error" not in reply) is may
    is_unknown = "no-such-group" in options
    assert [one["message"] for one in open_daemon.records("remark")] == [
        'there is no group "no-such-group": only root may give orders'
    ][:is_unknown]


def test_a_program_asks_in_the_few_lines_that_the_reference_shows(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    page = (PROJECT / "docs/reference/varlink.md").read_text(encoding="utf-8")
    program = page.partition("```python\n")[2].partition("```")[0]
    assert "/run/routed/io.routed" in program
    program = program.replace("/run/routed/io.routed", str(socket_of(daemon)))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [entry["entry"] for entry in ast.literal_eval(done.stdout)] == [
        entry["entry"] for entry in daemon.status()["entries"]
    ]
