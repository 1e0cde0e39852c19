"""``status --watch`` and the pager, on terminals and elsewhere, beside a real daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel import netns
from tests.system.daemon import PATIENCE, PROJECT, Daemon
from tests.system.screen import on_a_screen

ROUTES = "".join(f'[[route]]\nname = "r{at}"\nto = "10.{at}.0.0/16"\ndev = "v0"\nmetric = 7\n' for at in range(20, 60))
FEW = """
[[route]]
name = "lan"
to = "10.30.0.0/16"
dev = "v1"
[[route]]
name = "other"
to = "10.40.0.0/16"
dev = "v0"
"""
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"


@pytest.fixture
def running(daemon: Daemon) -> Daemon:
    daemon.start(FEW)
    return daemon


def line_of(text: str, name: str) -> list[str]:
    return next((line.split() for line in text.splitlines() if line.startswith(name)), [])


def test_what_changes_is_shown_at_once_in_place_of_what_was_there(running: Daemon) -> None:
    with on_a_screen(running, "status", "--watch") as screen:
        screen.wait_for("route/other")
        assert line_of(screen.text, "route/lan")[1] == "in-sync"
        netns.ip("link set v1 down")
        screen.wait_until(lambda text: line_of(text, "route/lan")[1:2] == ["waiting"])
        netns.ip("link set v1 up")
        screen.wait_until(lambda text: line_of(text, "route/lan")[1:2] == ["in-sync"])
        assert screen.text.count("route/lan") == 1
        frames = [frame for frame in screen.frames if any(frame)]
        assert all(any(line.startswith("route/other") for line in frame) for frame in frames), "a frame was not whole"


def test_it_is_the_stream_that_says_when_to_look(running: Daemon) -> None:
    trace = running.folder / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=sendto", "-s", "100", "-o", str(trace)]
    folders = (f"--config={running.config}", f"--runtime-dir={running.folder}/run")
    with subprocess.Popen(
        [*command, sys.executable, "-m", "routed", *folders, "status", "--watch"],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        assert any("route/other" in line for line in lines)
        netns.ip("link set v1 down")
        assert any("waiting" in line for line in lines)
        process.terminate()
    asked = trace.read_text().count("GetStatus")
    assert asked <= 4, trace.read_text()


def test_ctrl_c_gives_the_terminal_back(running: Daemon) -> None:
    with on_a_screen(running, "status", "--watch") as screen:
        screen.wait_for("route/other")
        screen.press("interrupt")
        assert screen.end() == 130
        assert screen.written.endswith(LEAVE)
        assert "Traceback" not in screen.written


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_gives_the_terminal_back(running: Daemon, number: signal.Signals) -> None:
    with on_a_screen(running, "status", "--watch") as screen:
        screen.wait_for("route/other")
        screen.process.send_signal(number)
        assert screen.end() == 128 + number
        assert screen.written.endswith(LEAVE)


def test_a_terminal_is_given_back_while_it_is_stopped(running: Daemon) -> None:
    with on_a_screen(running, "status", "--watch") as screen:
        screen.wait_for("route/other")
        screen.process.send_signal(signal.SIGTSTP)
        state = Path(f"/proc/{screen.process.pid}/stat")
        screen.wait_until(lambda _: state.read_text().split(")")[1].split()[0] == "T")
        screen.wait_until(lambda _: screen.written.endswith(LEAVE), "as before")  # what it wrote may still be unread
        screen.process.send_signal(signal.SIGCONT)
        before = len(screen.frames)
        screen.wait_until(lambda _: len(screen.frames) > before)
        screen.wait_for("route/other")


def test_a_daemon_that_goes_and_comes_again_is_waited_for(running: Daemon) -> None:
    with on_a_screen(running, "status", "--watch") as screen:
        screen.wait_for("route/other")
        running.stop()
        text = screen.wait_for("the daemon is not running")
        assert "what was said before" in text
        assert line_of(text, "route/lan")[1] == "in-sync"
        running.start()
        screen.wait_until(lambda text: "not running" not in text and line_of(text, "route/lan")[1:2] == ["in-sync"])
        netns.ip("link set v1 down")  # and the stream of the new one is heard
        screen.wait_until(lambda text: line_of(text, "route/lan")[1:2] == ["waiting"])
        assert screen.process.poll() is None


def test_a_screen_that_is_too_small_says_how_much_there_is_more(daemon: Daemon) -> None:
    daemon.start(ROUTES)
    with on_a_screen(daemon, "status", "--watch", rows=10) as screen:
        screen.wait_until(lambda text: re.search(r"and \d+ lines more$", text) is not None)
        assert len(screen.text.splitlines()) == 10


def test_a_terminal_that_does_not_tell_its_size_is_shown_everything(running: Daemon) -> None:
    with on_a_screen(running, "status", "--watch", rows=0) as screen:
        screen.wait_for("route/other")
        assert "lines more" not in screen.written


@pytest.mark.parametrize("words", [("--failed",), ("route/l*",), ("10.30.0.1",)])
def test_what_is_picked_is_watched(running: Daemon, words: tuple[str, ...]) -> None:
    with on_a_screen(running, "status", "--watch", *words) as screen:
        screen.wait_for("Nothing has failed." if words == ("--failed",) else "route/lan")
        assert "route/other" not in screen.text


def test_without_a_daemon_it_does_not_begin(daemon: Daemon) -> None:
    answer = daemon.ask("status", "--watch")
    assert answer.code == 69
    assert "the daemon is not running" in answer.err


def test_elsewhere_each_status_follows_the_one_before_and_a_reader_who_leaves_ends_it(running: Daemon) -> None:
    folders = (f"--config={running.config}", f"--runtime-dir={running.folder}/run")
    with subprocess.Popen(
        [sys.executable, "-m", "routed", *folders, "--json", "status", "--watch"],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        first = json.loads(process.stdout.readline())
        assert {entry["state"] for entry in first["entries"]} == {"in-sync"}
        netns.ip("link set v1 down")
        states: list[str] = []
        while "waiting" not in states:
            states = [entry["state"] for entry in json.loads(process.stdout.readline())["entries"]]
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr
        assert process.stderr.read() == ""


def write_pager(folder: Path) -> Path:
    """A pager that says that it is one."""
    program = folder / "pager"
    program.write_text(f'#!/bin/sh\necho "PAGED $*"\nenv > {folder}/environment\ncat\necho END\n')
    program.chmod(0o755)
    return program


def test_what_is_longer_than_the_terminal_goes_through_the_pager(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(ROUTES)
    pager = str(write_pager(tmp_path))
    for words in (("status",), ("-v", "plan", "--no-pager"), ("diff",), ("revisions",)):
        with on_a_screen(daemon, *words, environment={"ROUTED_PAGER": f"{pager} -x 'a b'"}) as screen:
            assert screen.end() == 0
            assert ("PAGED -x a b" in screen.written) == (words == ("status",)), words
            if words == ("status",):
                assert screen.written.count("route/r") == 40
                assert "\x1b[32min-sync\x1b[0m" in screen.written  # colours are kept


def test_a_plan_and_a_history_are_paged_by_the_same_way(daemon: Daemon, tmp_path: Path) -> None:
    daemon.write(ROUTES)
    with on_a_screen(daemon, "plan", "--exit-code", environment={"PAGER": str(write_pager(tmp_path))}) as screen:
        assert screen.end() == 2
        assert "PAGED" in screen.written
        assert "40 to add" in screen.written


@pytest.mark.parametrize("words", [("--json", "status"), ("--no-pager", "status"), ("status", "route/r20")])
def test_json_what_is_short_and_who_wants_none_get_no_pager(
    daemon: Daemon, tmp_path: Path, words: tuple[str, ...]
) -> None:
    daemon.start(ROUTES)
    with on_a_screen(daemon, *words, environment={"PAGER": str(write_pager(tmp_path))}) as screen:
        assert screen.end() == 0
        assert "PAGED" not in screen.written
        assert "route/r20" in screen.written


def test_what_is_short_needs_no_pager_where_the_terminal_does_not_tell_its_size(
    running: Daemon, tmp_path: Path
) -> None:
    with on_a_screen(running, "status", rows=0, environment={"PAGER": str(write_pager(tmp_path))}) as screen:
        screen.wait_for("route/other")
        assert screen.end() == 0
        assert "PAGED" not in screen.text


@pytest.mark.parametrize("pager", ["", "cat", "/nowhere/to/be/found"])
def test_no_pager_or_one_that_is_not_there_loses_nothing(daemon: Daemon, pager: str) -> None:
    daemon.start(ROUTES)
    with on_a_screen(daemon, "status", environment={"ROUTED_PAGER": pager}) as screen:
        assert screen.end() == 0
        assert screen.written.count("route/r") == 40


def test_where_stdout_is_no_terminal_there_is_no_pager(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(ROUTES)
    done = subprocess.run(
        [sys.executable, "-m", "routed", f"--runtime-dir={daemon.folder}/run", "status"],
        cwd=PROJECT, capture_output=True, text=True, check=True, env=os.environ | {"PAGER": str(write_pager(tmp_path))},
    )  # fmt: skip
    assert "PAGED" not in done.stdout


@pytest.mark.parametrize("chosen", [{}, {"PAGER": "less"}, {"PAGER": "'"}, {"ROUTED_PAGER": "less -R", "PAGER": "cat"}])
def test_less_shows_a_screen_and_q_ends_it_with_the_code_of_the_command(daemon: Daemon, chosen: dict[str, str]) -> None:
    daemon.write(ROUTES)
    with on_a_screen(daemon, "plan", "--exit-code", is_ours=False, environment=chosen) as screen:
        while screen.written.count("route/r") < 8:
            assert screen.read()
        assert "40 to add" not in screen.written
        screen.press("interrupt")  # is for less
        while screen.process.poll() is None:
            screen.press("q")  # again: the terminal drops what is typed behind Ctrl-C until less has seen that
            screen.read()
        assert screen.end() == 2
        assert "Traceback" not in screen.written


def test_under_sudo_it_is_less_and_less_starts_no_other_program(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(ROUTES)
    folder = tmp_path / "bin"
    folder.mkdir()
    write_pager(folder).rename(folder / "less")
    path = f"{folder}:{os.environ['PATH']}"
    with on_a_screen(daemon, "status", environment={"PAGER": "/bin/sh", "SUDO_UID": "1000", "PATH": path}) as screen:
        assert screen.end() == 0
        assert "PAGED -FRSX" in screen.written
    assert "LESSSECURE=1" in (folder / "environment").read_text()
    with on_a_screen(daemon, "status", environment={"PATH": path}) as screen:
        assert screen.end() == 0
    assert "LESSSECURE" not in (folder / "environment").read_text()
    assert "LESS=FRSX" in (folder / "environment").read_text()
