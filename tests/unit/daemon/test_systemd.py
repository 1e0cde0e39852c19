from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from routed.daemon import systemd


@pytest.fixture(params=["by systemd's library", "by the socket"], autouse=True)
def notify(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The function that speaks to the manager, by its name: each test runs with the library and without it."""
    if request.param == "by systemd's library":
        return "systemd.daemon.notify"
    monkeypatch.setitem(sys.modules, "systemd.daemon", None)
    return "routed.audit.systemd_sockets.notify"


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end of the notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield end


def test_ready_comes_with_its_status(manager: socket.socket) -> None:
    systemd.notify_ready("10 routes in sync")
    assert manager.recv(4096) == b"READY=1\nSTATUS=10 routes in sync"


def test_reloading_carries_the_monotonic_moment_in_the_same_message(manager: socket.socket) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    systemd.notify_reloading("reading the files")
    reloading, moment, status = manager.recv(4096).decode().split("\n")
    assert (reloading, status) == ("RELOADING=1", "STATUS=reading the files")
    name, _, value = moment.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_stopping_status_and_watchdog_are_told(manager: socket.socket) -> None:
    systemd.notify_stopping("bye")
    systemd.notify_status("well")
    systemd.notify_watchdog()
    assert [manager.recv(4096) for _ in range(3)] == [b"STOPPING=1\nSTATUS=bye", b"STATUS=well", b"WATCHDOG=1"]


def test_a_status_cannot_smuggle_in_another_assignment(manager: socket.socket) -> None:
    systemd.notify_status("bad file:\nREADY=1")
    assert manager.recv(4096) == b"STATUS=bad file: READY=1"


def test_a_manager_that_is_gone_is_no_error(manager: socket.socket) -> None:
    manager.close()
    assert systemd.notify_ready("nobody hears it")


def test_ready_that_could_not_be_told_for_want_of_memory_is_to_be_told_again(
    manager: socket.socket, notify: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([OSError(105, "No buffer space available"), OSError(11, "try again"), MemoryError()])

    def fail(_state: str) -> None:
        raise next(errors)

    with monkeypatch.context() as patched:
        patched.setattr(notify, fail)
        assert [systemd.notify_ready("10 routes in sync") for _ in range(3)] == [False] * 3
    assert systemd.notify_ready("10 routes in sync")


def test_without_a_manager_nothing_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from routed.daemon import systemd;"
        "systemd.notify_ready(''); systemd.notify_watchdog(); assert systemd.watchdog_interval() is None;"
        "sys.exit('systemd' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment | {"WATCHDOG_USEC": "1000000"})


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_of_what_the_unit_allows(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], interval: float | None
) -> None:
    if "WATCHDOG_PID" in variables and interval:
        variables = variables | {"WATCHDOG_PID": str(os.getpid())}  # a worker of pytest-xdist has another pid
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert systemd.watchdog_interval() == interval
