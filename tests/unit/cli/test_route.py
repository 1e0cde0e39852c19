"""`routed route`: what it takes, and how its file gets to the disk."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from routed.cli.drop_in_file import lock_folder, put_file, read_file
from routed.cli.exits import Exit


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "--host is missing"),
        (("--gateway", "192.0.2.1"), "--host is missing"),
        (("add", "--gateway", "192.0.2.1"), "--host is missing"),
        (("del", "--gateway", "192.0.2.1"), "--host is missing"),
        (("--host", "192.0.2.2", "--gateway", "192.0.2.1"), "--gateway needs add or del"),
        (("add", "--host", "192.0.2.2"), "add needs --gateway"),
        (("del", "--host", "192.0.2.2"), "del needs --gateway"),
        (("change", "--host", "192.0.2.2"), '"change" is unknown'),
        (("--host", "node01"), '"node01" is not an IPv4 address; names are not looked up'),
        (("--host", ""), '"" is not an IPv4 address'),
        (("--host", "192.0.2.2/32"), "is not an IPv4 address"),
        (("--host", "192.0.2.256"), "is not an IPv4 address"),
        (("--host", "[fd00::1]"), "is not an IPv6 address"),
        (("--host", "fe80::1%eth0"), '"fe80::1%eth0" has a scope: write the address alone'),
        (("add", "--host", "192.0.2.2", "--gateway", "router"), '"router" is not an IPv4 address'),
    ],
)
def test_wrong_usage_is_said_on_stderr_and_nothing_is_answered(
    routed: Any, words: tuple[str, ...], complaint: str
) -> None:
    ended = routed("route", *words)
    assert (ended.returncode, ended.stdout) == (Exit.USAGE, "")
    assert complaint in ended.stderr


@pytest.mark.parametrize("words", [("-h",), ("add", "--help"), ("del", "--help")])
def test_help_says_what_can_be_asked_for_like_which_command_of_ip(routed: Any, words: tuple[str, ...]) -> None:
    shown = " ".join(routed("route", *words).stdout.split())
    assert "add, like ip route add IP via IP" in shown
    assert "del, like ip route del IP via IP" in shown


def test_the_question_imports_neither_the_reader_of_files_nor_the_loop() -> None:
    script = (
        "import sys; from routed.cli import main; main(['route', '--host', '192.0.2.2']);"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in ended.stderr.split()} & {"pydantic", "tomllib", "asyncio"} == set()


def test_a_file_is_replaced_whole_and_nothing_else_stays_in_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "50-route-x.toml"
    put_file(path, b"old")
    former = path.stat().st_ino
    put_file(path, b"new")
    assert (read_file(path), path.stat().st_ino != former) == (b"new", True)
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_taken_away_and_its_absence_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "50-route-x.toml"
    put_file(path, b"old")
    put_file(path, None)
    put_file(path, None)
    assert read_file(path) is None


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "50-route-x.toml"
    path.mkdir()
    with pytest.raises(IsADirectoryError, match="nothing was changed") as raised:
        put_file(path, b"new")
    assert raised.value.filename == str(path)
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_is_made_and_locked_and_no_lock_file_stays(tmp_path: Path) -> None:
    folder = tmp_path / "routed.toml.d"
    descriptor = -1
    with lock_folder(folder):
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    assert list(folder.iterdir()) == []
