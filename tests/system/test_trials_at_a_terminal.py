"""A trial at a terminal: the countdown, the word that keeps it, and what Ctrl-C leads to."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kernel.netns import wait_until
from tests.system.daemon import PATIENCE, PROJECT, Daemon
from tests.system.host import routes
from tests.system.worlds import GATEWAY, blackholes


class Terminal:
    """A command with a terminal of its own."""

    def __init__(self, daemon: Daemon, *words: str) -> None:
        self.master, slave = pty.openpty()
        folders = (f"--config={daemon.config}", f"--state-dir={daemon.state}", f"--runtime-dir={daemon.folder}/run")
        self.process = subprocess.Popen(
            # so that Ctrl-C is a signal, and one that counts, whoever runs the tests
            ["env", "--default-signal=INT", "setsid", "--ctty", sys.executable, "-m", "routed", *folders, *words],
            cwd=PROJECT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.shown = ""

    def wait_for(self, words: str) -> None:
        end = time.monotonic() + PATIENCE
        while not re.search(words, self.shown):
            assert time.monotonic() < end, f"not shown: {words}\n{self.shown}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.shown += os.read(self.master, 4096).decode()

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def hang_up(self) -> None:
        """As when SSH is cut off and sshd notices: the kernel sends SIGHUP (pty(7))."""
        os.close(self.master)
        self.master = -1

    def end(self) -> int:
        return self.process.wait(PATIENCE)


@contextmanager
def at_a_terminal(daemon: Daemon, *words: str) -> Iterator[Terminal]:
    terminal = Terminal(daemon, *words)
    try:
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.wait()
        if terminal.master >= 0:
            os.close(terminal.master)


@pytest.fixture
def changed(daemon: Daemon) -> Daemon:
    """A host whose file was changed after the start."""
    daemon.start(f"{GATEWAY}metric = 1\n")
    daemon.write(f"{GATEWAY}metric = 2\n")
    return daemon


def metrics() -> list[int]:
    return [route.get("metric", 0) for route in routes()]


def phase(daemon: Daemon) -> str:
    return str(daemon.ask_json("status")["deployment"])


def test_the_word_confirm_keeps_it(changed: Daemon) -> None:
    with at_a_terminal(changed, "apply", "--confirm", "5m") as terminal:
        terminal.wait_for("then revision 1 comes back")
        terminal.wait_for(r"\d+ min left")
        terminal.type("confirm\n")
        terminal.wait_for("It is confirmed")
        assert terminal.end() == 0
    assert (metrics(), phase(changed)) == ([2], "in force")


def test_any_other_word_leaves_it_on_trial_and_says_so(changed: Daemon) -> None:
    with at_a_terminal(changed, "apply", "--confirm", "5m") as terminal:
        terminal.wait_for("left")
        terminal.type("yes\n")
        terminal.wait_for("It stays on trial")
        assert terminal.end() == 0
    assert (metrics(), phase(changed)) == ([2], "pending")


def test_ctrl_c_asks_and_can_roll_back_at_once(changed: Daemon) -> None:
    with at_a_terminal(changed, "apply", "--confirm", "5m") as terminal:
        terminal.wait_for("left")
        terminal.type("\x03")
        terminal.wait_for(
            r"If you leave, it stays on trial until [-0-9]{10} [:0-9]{8}\.\s+Then revision 1 comes back, unless"
        )
        terminal.wait_for("rollback to end it now, or Enter to leave")
        terminal.type("rollback\n")
        terminal.wait_for("The revision before is in force again")
        assert terminal.end() == 0
    assert (metrics(), phase(changed)) == ([1], "rolled back")


def test_a_terminal_that_goes_away_changes_nothing_about_the_deadline(changed: Daemon) -> None:
    with at_a_terminal(changed, "apply", "--confirm", "4s") as terminal:
        terminal.wait_for("left")
    assert phase(changed) == "pending"
    wait_until(lambda: metrics() == [1], within=20.0)


def test_whoever_leaves_by_ctrl_c_leaves_it_on_trial_and_is_told(changed: Daemon) -> None:
    with at_a_terminal(changed, "apply", "--confirm", "5m") as terminal:
        terminal.wait_for("left")
        terminal.type("\x03")
        terminal.wait_for("or Enter to leave")
        terminal.type("\x03")
        terminal.wait_for("It stays on trial: routed confirm keeps it")
        assert terminal.end() == 0
    assert (metrics(), phase(changed)) == ([2], "pending")


def test_a_connection_that_breaks_ends_the_command_alone_and_another_may_confirm(changed: Daemon) -> None:
    with at_a_terminal(changed, "apply", "--confirm", "5m") as terminal:
        terminal.wait_for("left")
        terminal.hang_up()
        assert terminal.end() == -signal.SIGHUP
    assert (metrics(), phase(changed)) == ([2], "pending")
    assert changed.ask("confirm").code == 0
    assert (metrics(), phase(changed)) == ([2], "in force")


def test_what_is_shown_fits_a_terminal_of_eighty_columns(changed: Daemon) -> None:
    with at_a_terminal(changed, "apply", "--confirm", "5m") as terminal:
        terminal.wait_for("left")
        terminal.type("confirm\n")
        assert terminal.end() == 0
    assert max(len(line) for line in re.split(r"\r|\n|\x1b\[K", terminal.shown)) <= 80


def test_the_end_of_the_time_is_said_and_is_no_success(changed: Daemon) -> None:
    with at_a_terminal(changed, "apply", "--confirm", "1s") as terminal:
        terminal.wait_for("It is in force no more: revision 1 is, rejected")
        assert terminal.end() == 1
    wait_until(lambda: metrics() == [1])


def test_a_word_from_another_connection_ends_the_countdown_and_is_told(changed: Daemon) -> None:
    with at_a_terminal(changed, "apply", "--confirm", "5m") as terminal:
        terminal.wait_for("left")
        assert changed.ask("confirm").code == 0
        terminal.wait_for("It is on trial no more, and stays in force")
        assert terminal.end() == 0
    assert (metrics(), phase(changed)) == ([2], "in force")


def test_a_way_back_that_the_guard_holds_is_no_success(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.write(GATEWAY + blackholes(30))
    with at_a_terminal(daemon, "apply", "--confirm", "5m") as terminal:
        terminal.wait_for("left. Type")
        terminal.type("\x03")
        terminal.wait_for("or Enter to leave")
        terminal.type("rollback\n")
        terminal.wait_for("30 left alone")
        assert terminal.end() == 4


def test_an_apply_of_somebody_else_that_gives_it_more_time_is_told(changed: Daemon) -> None:
    with at_a_terminal(changed, "apply", "--confirm", "4s") as terminal:
        terminal.wait_for("left")
        assert changed.ask("apply", "--confirm", "5m").code == 0
        terminal.wait_for("Another apply gave it more time: revision 2 is on trial until")
        assert terminal.end() == 0
    assert phase(changed) == "pending"
