"""Files that hang, crash or fill their reader, and files that are half written: the daemon goes on all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from routed.cli.client import call
from tests.kernel.netns import ip, wait_until
from tests.system.daemon import PATIENCE, Daemon
from tests.system.host import routes
from tests.system.worlds import GATEWAY, prefixes

TYPO = '[[vip]]\naddress = "10.0.0.80"\ndev = "v0"\nannounce = { cuont = 3 }\n'


def count() -> int:
    return len(routes())


def list_of(name: str, path: Path) -> str:
    return f'[[route]]\nname = "{name}"\ntype = "blackhole"\nprefixes_file = "{path}"\n'


def test_a_mistyped_key_in_an_inner_table_ends_a_first_start_with_its_place(daemon: Daemon) -> None:
    daemon.write(TYPO)
    answer = daemon.ask("run", "--log-format", "json")
    assert answer.code == 78
    assert f"{daemon.config}:7:14: unknown key `cuont`" in answer.err
    assert "did you mean `count`?" in answer.err


def test_a_mistyped_key_in_an_inner_table_leaves_the_last_good_files_in_force(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.write(GATEWAY + TYPO)

    answer = daemon.ask("apply")

    assert answer.code == 78
    assert "unknown key `cuont`" in answer.err
    assert daemon.ask_json("status")["files"]["state"] == "invalid"
    assert count() == 1
    daemon.stop()
    ip("route del 192.0.2.0/24")
    daemon.start()
    assert count() == 1
    assert daemon.ask_json("status")["files"]["state"] == "invalid"


def put_a_pipe(path: Path) -> None:
    os.mkfifo(path)


def put_a_device(path: Path) -> None:
    os.mknod(path, 0o600 | 0o20000, os.makedev(1, 5))


def put_two_hundred_megabytes(path: Path) -> None:
    path.write_text("version = 1\n" + f"[[route]]\nto = '{'x' * 1000}'\n" * 200_000)


def put_the_log_of_the_kernel(path: Path) -> None:
    path.symlink_to("/proc/kmsg")


@pytest.mark.parametrize("put", [put_a_pipe, put_a_device, put_two_hundred_megabytes, put_the_log_of_the_kernel])
def test_a_file_that_would_hang_its_reader_is_refused_at_once_and_the_next_good_one_taken(
    daemon: Daemon, put: Callable[[Path], None]
) -> None:
    daemon.start(GATEWAY)
    daemon.config.unlink()
    put(daemon.config)
    ip("route del 192.0.2.0/24")

    answer = daemon.ask("apply")

    assert answer.code == 78
    assert str(daemon.config) in answer.err
    wait_until(lambda: count() == 1, PATIENCE)
    daemon.config.unlink()
    assert daemon.apply(f"{GATEWAY}metric = 7\n")["problems"] == []
    assert [route["metric"] for route in routes()] == [7]


def test_a_reader_that_hangs_keeps_no_reload_waiting_and_no_end(daemon: Daemon) -> None:
    """What hangs is stopped here from outside, as a file on a mount that is gone would do it."""
    daemon.start(GATEWAY)
    readers = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
    daemon.write(f"{GATEWAY}metric = 7\n")
    daemon.signal(signal.SIGHUP)
    stop_the_next_reader(daemon)
    assert daemon.ask("apply").code == 0
    assert [route["metric"] for route in routes()] == [7]
    assert readers_of(daemon)
    assert daemon.stop() == 0
    assert not readers.exists()


def readers_of(daemon: Daemon) -> list[int]:
    """The processes that read files for it, of all its threads."""
    found = []
    for task in Path(f"/proc/{daemon.pid}/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def stop_the_next_reader(daemon: Daemon) -> None:
    """Once it runs: whoever starts a process waits for its exec(2), and that is not what is tried here."""
    wait_until(lambda: bool(running_readers_of(daemon)))
    os.kill(running_readers_of(daemon)[0], signal.SIGSTOP)


def running_readers_of(daemon: Daemon) -> list[int]:
    return [pid for pid in readers_of(daemon) if b"routed.daemon.reader" in Path(f"/proc/{pid}/cmdline").read_bytes()]


AS_THE_UNIT = ("setpriv", "--bounding-set=-all,+net_admin,+net_raw", "--inh-caps=-all", "--")


@pytest.mark.parametrize("before", [(), AS_THE_UNIT], ids=["root", "unit"])
def test_a_list_that_is_being_written_waits_and_the_others_do_not(
    daemon: Daemon, tmp_path: Path, before: tuple[str, ...]
) -> None:
    long, short = tmp_path / "long.txt", tmp_path / "short.txt"
    long.write_text(prefixes(500))
    short.write_text("203.0.113.0/24\n")
    daemon.start(list_of("long", long) + list_of("short", short), before=before)
    assert count() == 501
    with long.open("w") as writer:
        writer.write(prefixes(300))
        writer.flush()
        short.write_text("203.0.113.0/24\n198.51.100.0/24\n")
        wait_until(lambda: count() == 502, PATIENCE)
        assert f"{long} is being written" in daemon.wait_for("file-being-written")["message"]
        answer = daemon.ask("apply")
        assert answer.code == 0
        assert f"{long}: is being written: what is in force of it stays until it is closed" in answer.err
        assert count() == 502
        assert len(daemon.records("file-being-written")) == 1
    wait_until(lambda: count() == 302, PATIENCE)
    assert daemon.records("removed", "route/short") == []


def test_a_new_list_that_is_being_written_comes_into_force_when_it_is_closed(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(GATEWAY, daemon='watch = "apply"')
    fresh = tmp_path / "lists" / "fresh.txt"
    fresh.parent.mkdir()
    with fresh.open("w") as writer:
        writer.write(prefixes(3))
        writer.flush()
        daemon.write(GATEWAY + list_of("fresh", fresh), daemon='watch = "apply"')
        answer = daemon.ask("apply")
        assert answer.code == 78
        assert f"{fresh}: is being written" in answer.err
        assert count() == 1
    wait_until(lambda: count() == 4, PATIENCE)


def test_a_list_that_is_being_written_at_a_start_is_what_it_was_before(daemon: Daemon, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(prefixes(50))
    daemon.start(list_of("list", listed))
    daemon.stop()
    ip("route flush proto 114")
    with listed.open("w") as writer:
        writer.write(prefixes(30))
        writer.flush()
        daemon.start()
        assert count() == 50
        assert daemon.wait_for("file-being-written")
    wait_until(lambda: count() == 30, PATIENCE)


def test_a_crash_of_the_reader_is_a_problem_and_the_next_reading_is_as_any(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.write(f"{GATEWAY}metric = 7\n")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: bool(readers_of(daemon)))
    os.kill(readers_of(daemon)[0], signal.SIGSEGV)
    assert "was killed by SIGSEGV" in daemon.wait_for("config-rejected")["message"]
    assert daemon.ask("apply").code == 0
    assert [route["metric"] for route in routes()] == [7]


def test_the_daemon_itself_never_loads_what_parses_files(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    assert daemon.ask("apply").code == 0
    assert daemon.ask("status").code == 0
    assert call(f"{daemon.folder}/run", "Plan", {}, PATIENCE)["steps"] == []
    maps = Path(f"/proc/{daemon.pid}/maps").read_text()
    assert "libc.so" in maps
    assert "pydantic" not in maps
