from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from routed.daemon import lock
from routed.daemon.lock import AlreadyRunningError, acquire, wait_for

# Numbers that no routed on this host has: the lock of one is a word longer than a protocol number can be.
PROTOCOL = 1_000_000 + os.getpid()
HOLD = """
import sys
from pathlib import Path
from routed.daemon.lock import acquire
lock = acquire(int(sys.argv[1]), Path(sys.argv[2]))
print('held', flush=True)
input()
"""


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def first(run_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock until it reads a line."""
    command = [sys.executable, "-c", HOLD, str(PROTOCOL), str(run_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def listen(name: str, backlog: int = 1) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"\0routed/{name}")
    listener.listen(backlog)
    return listener


def fill(name: str) -> ExitStack:
    """Connect until there is no room; the connections last as long as what is returned."""
    held = ExitStack()
    while True:
        client = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        try:
            client.connect(f"\0routed/{name}")
        except BlockingIOError:
            return held


@pytest.mark.parametrize("folder", ["run", "another"])
def test_a_second_daemon_is_told_who_the_first_one_is(
    first: subprocess.Popen[bytes], tmp_path: Path, folder: str
) -> None:
    for _ in range(3):  # asking does not use the answer up
        with pytest.raises(AlreadyRunningError, match=f"another routed \\(pid {first.pid}\\)") as error:
            acquire(PROTOCOL, tmp_path / folder)
        assert error.value.holder == (first.pid, os.geteuid())
    first.communicate(b"\n")
    acquire(PROTOCOL, tmp_path / folder).close()


def test_two_protocol_numbers_are_two_locks(run_dir: Path) -> None:
    with acquire(PROTOCOL, run_dir), acquire(PROTOCOL + 1, run_dir):
        pass


def test_the_lock_is_free_again_once_it_is_closed(run_dir: Path) -> None:
    for _ in range(2):
        acquire(PROTOCOL, run_dir).close()


def test_a_process_that_was_killed_leaves_no_lock_behind(first: subprocess.Popen[bytes], run_dir: Path) -> None:
    first.kill()
    first.wait()
    acquire(PROTOCOL, run_dir).close()


def test_the_file_is_for_its_owner_alone_and_names_namespace_and_protocol(run_dir: Path) -> None:
    mask = os.umask(0o077)
    with acquire(PROTOCOL, run_dir):
        os.umask(mask)
        (file,) = run_dir.iterdir()
        namespace = Path("/proc/self/ns/net").stat().st_ino
        assert file.name == f"lock-{namespace}-{PROTOCOL}"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o755, "the control socket is for everybody"


def test_a_link_in_place_of_the_file_is_not_followed(run_dir: Path, tmp_path: Path) -> None:
    acquire(PROTOCOL, run_dir).close()
    (file,) = run_dir.iterdir()
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        acquire(PROTOCOL, run_dir)
    assert not (tmp_path / "elsewhere").exists()


def test_the_file_alone_keeps_a_second_daemon_away(
    run_dir: Path, first: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_ask", lambda _: None)  # as if all names were others', and the holder behind them
    with pytest.raises(AlreadyRunningError, match=f"pid {first.pid}"):
        acquire(PROTOCOL, run_dir)


def test_a_name_that_nobody_listens_to_is_passed_over(run_dir: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        bound.bind(f"\0routed/{PROTOCOL}")
        with acquire(PROTOCOL, run_dir), pytest.raises(AlreadyRunningError):
            acquire(PROTOCOL, tmp_path / "another")


def test_a_root_holder_of_any_name_counts_also_behind_the_first_free_one(run_dir: Path) -> None:
    with listen(f"{PROTOCOL}/{lock.NAMES - 1}"), pytest.raises(AlreadyRunningError, match=f"pid {os.getpid()}"):
        acquire(PROTOCOL, run_dir)


def test_where_all_names_are_taken_the_file_is_the_lock(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lock, "NAMES", 2)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other,
    ):
        one.bind(f"\0routed/{PROTOCOL}")
        other.bind(f"\0routed/{PROTOCOL}/1")
        with acquire(PROTOCOL, run_dir):
            assert "other users hold all names of the lock" in caplog.text
            with pytest.raises(AlreadyRunningError):
                acquire(PROTOCOL, run_dir)


def test_a_holder_that_makes_no_room_is_not_waited_for_long(run_dir: Path) -> None:
    with listen(str(PROTOCOL), backlog=0), fill(str(PROTOCOL)):
        acquire(PROTOCOL, run_dir).close()


def test_a_holder_that_makes_room_is_found_though_its_backlog_was_full(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BACKLOG", 0)

    async def ask() -> None:
        with acquire(PROTOCOL, run_dir) as held, fill(str(PROTOCOL)):
            held.answer_on(asyncio.get_running_loop())
            with pytest.raises(AlreadyRunningError, match=f"pid {os.getpid()}"):
                await asyncio.to_thread(acquire, PROTOCOL, tmp_path / "another")

    asyncio.run(ask())


def test_a_lock_that_was_answering_is_free_again_once_it_is_closed(run_dir: Path) -> None:
    async def ask() -> None:
        with acquire(PROTOCOL, run_dir) as held:
            held.answer_on(asyncio.get_running_loop())
            for _ in range(lock.ANSWERED):
                with pytest.raises(AlreadyRunningError):
                    await asyncio.to_thread(acquire, PROTOCOL, run_dir)
        acquire(PROTOCOL, run_dir).close()

    asyncio.run(ask())


def test_whoever_waits_gets_the_lock_when_its_holder_goes(run_dir: Path, first: subprocess.Popen[bytes]) -> None:
    waiting = [sys.executable, "-c", HOLD.replace("acquire", "wait_for").replace("sys.argv[2])", "sys.argv[2]), 60")]
    with subprocess.Popen(
        [*waiting, str(PROTOCOL), str(run_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as second:
        first.communicate(b"\n")
        assert second.communicate(b"\n")[0] == b"held\n"


def test_whoever_waits_in_vain_is_told_who_holds_it(run_dir: Path, first: subprocess.Popen[bytes]) -> None:
    with pytest.raises(AlreadyRunningError, match=f"pid {first.pid}"):
        wait_for(PROTOCOL, run_dir, 0.0)
