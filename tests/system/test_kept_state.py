"""What is in force and could not be kept on disk is said as long as that lasts. Needs root, to mount a small disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")

ONE = '[[route]]\nto = "192.0.2.0/24"\nvia = "10.0.0.2"\n'
TWO = ONE + '[[route]]\nto = "192.0.3.0/24"\nvia = "10.0.0.2"\n'
RESYNC = 'resync = "1s"'


@pytest.fixture
def disk(daemon: Daemon) -> Iterator[Path]:
    """The state of the daemon on a small disk."""
    daemon.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", daemon.state], check=True)
    try:
        yield daemon.state
    finally:
        subprocess.run(["umount", "--lazy", daemon.state], check=True)


def fill(disk: Path) -> Path:
    filling = disk / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filling


def test_a_revision_that_cannot_be_kept_is_said_by_apply_and_status_until_it_is(daemon: Daemon, disk: Path) -> None:
    daemon.start(ONE, daemon=RESYNC)
    filling = fill(disk)
    daemon.write(TWO, RESYNC)
    answer = daemon.ask("apply")
    assert answer.code == 1
    assert "No space left on device" in answer.err
    assert "Revision" not in answer.out
    assert [route["dst"] for route in ip_json("route show proto 114")] == ["192.0.2.0/24", "192.0.3.0/24"]
    status = daemon.ask_json("status")
    assert "No space left on device" in status["unsaved"]
    assert "No space left on device" in status["state"]
    assert status["revision"] == 0
    assert len(daemon.records("state-lost")) == 1
    filling.unlink()
    wait_until(lambda: daemon.ask_json("status")["unsaved"] == "", within=10.0)
    assert daemon.ask_json("status")["revision"] == 2
    assert len(daemon.records("state-kept")) == 1
    assert daemon.ask("apply").code == 0


def test_what_could_not_be_kept_is_kept_later_with_who_wanted_it_and_has_a_way_back_till_then(
    daemon: Daemon, disk: Path
) -> None:
    daemon.start(ONE, daemon=RESYNC)
    filling = fill(disk)
    daemon.write(TWO, RESYNC)
    assert daemon.ask("apply", "--comment", "change 4711").code == 1
    assert "not kept on disk" in daemon.ask("graph", "--format", "dot").out
    refused = daemon.ask("rollback")
    assert (refused.code, "No space left on device" in refused.err) == (4, True)
    filling.unlink()
    wait_until(lambda: daemon.ask_json("status")["revision"] == 2, within=10.0)
    newest = daemon.ask_json("revisions")["revisions"][0]
    assert (newest["revision"], newest["by"], newest["comment"]) == (2, "root", "change 4711")


def test_a_disk_that_is_read_only_is_said_likewise(daemon: Daemon, disk: Path) -> None:
    daemon.start(ONE, daemon=RESYNC)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    daemon.write(TWO, RESYNC)
    answer = daemon.ask("apply")
    assert answer.code == 1
    assert "Read-only file system" in answer.err


def test_state_that_somebody_takes_away_is_kept_again_with_what_was_displaced(daemon: Daemon) -> None:
    ip("route add 192.0.2.0/24 via 10.0.0.3 proto static")
    daemon.start(ONE, daemon=RESYNC)
    (displaced,) = daemon.state.glob("revisions/*/displaced.json")
    before = displaced.read_bytes()
    shutil.rmtree(daemon.state / "revisions")
    wait_until(lambda: displaced.exists() and displaced.read_bytes() == before, within=10.0)
    daemon.kill()
    daemon.start("", daemon=RESYNC)
    wait_until(lambda: [route["gateway"] for route in ip_json("route show 192.0.2.0/24")] == ["10.0.0.3"], within=10.0)


def test_nothing_is_removed_while_it_is_not_known_what_it_displaced(daemon: Daemon) -> None:
    ip("route add 192.0.2.0/24 via 10.0.0.3 proto static")
    daemon.start(ONE, daemon=RESYNC)
    (displaced,) = daemon.state.glob("revisions/*/displaced.json")
    before = displaced.read_bytes()
    daemon.kill()
    displaced.write_text('{"version": 99}')

    daemon.start("", daemon=RESYNC)

    assert [route["gateway"] for route in ip_json("route show 192.0.2.0/24")] == ["10.0.0.2"]
    status = daemon.ask_json("status")
    assert "a newer routed wrote it" in status["unsaved"]
    assert ["the list of that cannot be read" in one["reason"] for one in status["leftovers"]] == [True]
    newest = max(daemon.state.glob("revisions/*/displaced.json"))
    assert newest.read_text() == '{"version": 99}'
    newest.write_bytes(before)
    wait_until(lambda: [route["gateway"] for route in ip_json("route show 192.0.2.0/24")] == ["10.0.0.3"], within=10.0)
    assert daemon.ask_json("status")["unsaved"] == ""
