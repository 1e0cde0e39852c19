"""Reloads: many at once end in the last file, and what the service manager is told is true."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from routed.cli.client import call
from tests.kernel.netns import wait_until
from tests.system.daemon import PATIENCE, Daemon
from tests.system.host import routes
from tests.system.monitor import Monitor
from tests.system.worlds import GATEWAY


def metric(number: int) -> str:
    return f"{GATEWAY}metric = {number}\n"


def metrics() -> list[int]:
    return [route.get("metric", 0) for route in routes()]


def statuses(notes: list[str]) -> list[str]:
    """The sentences for `systemctl status` among what the service manager was told."""
    lines = [line for note in notes for line in note.splitlines()]
    return [line.removeprefix("STATUS=") for line in lines if line.startswith("STATUS=")]


def reload_by_signal(daemon: Daemon) -> None:
    daemon.signal(signal.SIGHUP)


def reload_by_command(daemon: Daemon) -> None:
    daemon.ask("apply")


@pytest.mark.parametrize("watch", ["check", "apply"])
def test_a_storm_of_reloads_by_all_ways_ends_in_the_last_file(daemon: Daemon, watch: str) -> None:
    settings = f'watch = "{watch}"'
    daemon.start(metric(1000), daemon=settings)
    run = f"{daemon.folder}/run"
    with ThreadPoolExecutor(4) as clients:
        answers = []
        for number in range(1, 101):
            daemon.write(metric(number), daemon=settings)
            daemon.signal(signal.SIGHUP)
            answers.append(clients.submit(call, run, "Reload", {"force": False}, PATIENCE))
        last = daemon.ask_json("apply")
        problems = [problem for answer in answers for problem in answer.result()["problems"]]
    assert last["problems"] == []
    assert metrics() == [100]
    # A file that is being written may be met half done. Then nothing changes, and the next reload finds it whole.
    assert all(problem["file"] == str(daemon.config) for problem in problems)
    wait_until(lambda: daemon.ask_json("status")["files"]["state"] == "in force")
    assert metrics() == [100]


def test_a_hundred_signals_at_once_come_to_few_reloads_and_the_last_word_is_ready(daemon: Daemon) -> None:
    daemon.start(metric(1))
    daemon.write(metric(2))
    for _ in range(100):
        daemon.signal(signal.SIGHUP)
    wait_until(lambda: metrics() == [2])
    told: list[str] = []

    def is_over() -> bool:
        told.extend(daemon.read_notifications())
        return bool(told) and "READY=1" in told[-1]

    wait_until(is_over, PATIENCE)
    assert told[-1] == "READY=1\nSTATUS=revision 2 in force: 1 object in sync"


@pytest.mark.parametrize("reload", [reload_by_signal, reload_by_command])
def test_the_status_tells_the_first_place_until_the_file_is_good_again(
    daemon: Daemon, monitor: Monitor, reload: Callable[[Daemon], None]
) -> None:
    daemon.start(metric(1))
    daemon.read_notifications()
    monitor.heard()

    daemon.write(f"{metric(2)}colour = 5\nsize = 1\n")
    reload(daemon)
    bad = wait_for_status(daemon, f"{daemon.config}:9:1")
    assert bad == (
        f"{daemon.config}:9:1 and 1 more place are wrong, so the files are not in force; "
        "revision 1 in force: 1 object in sync"
    )
    assert monitor.heard() == []

    daemon.write(metric(2))
    reload(daemon)
    assert wait_for_status(daemon, "revision 2") == "revision 2 in force: 1 object in sync"
    assert metrics() == [2]


def wait_for_status(daemon: Daemon, beginning: str) -> str:
    """The first sentence from now on that begins so."""
    found: list[str] = []

    def is_told() -> bool:
        found.extend(one for one in statuses(daemon.read_notifications()) if one.startswith(beginning))
        return bool(found)

    wait_until(is_told)
    return found[0]


def test_the_status_says_that_a_file_was_changed_and_not_put_in_force(daemon: Daemon) -> None:
    daemon.start(metric(1))
    daemon.read_notifications()
    daemon.write(metric(2))
    assert (
        wait_for_status(daemon, "files changed") == "files changed, not in force; revision 1 in force: 1 object in sync"
    )
    daemon.write(metric(1))
    assert wait_for_status(daemon, "revision 1") == "revision 1 in force: 1 object in sync"


def test_after_a_start_with_a_bad_file_the_status_names_the_place(daemon: Daemon) -> None:
    daemon.start(metric(1))
    daemon.stop()
    daemon.read_notifications()
    daemon.write("nonsense")
    daemon.launch()
    assert "revision 1 in force" in wait_for_status(daemon, f"{daemon.config}:4:")


def test_a_daemon_that_is_aborted_says_where_it_was(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(metric(7))
    stat = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/stat")
    wait_until(
        lambda: stat.read_text().rpartition(")")[2].split()[0] == "S"
    )  # a running stack can be shown as a torn one
    daemon.signal(signal.SIGABRT)
    assert daemon.wait() == -signal.SIGABRT
    log = (tmp_path / "log").read_text()
    assert "Fatal Python error: Aborted" in log
    assert "in run_forever" in log
    assert metrics() == [7]
