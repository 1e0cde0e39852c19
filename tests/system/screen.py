"""A command on a terminal whose screen is read as a person reads it.

Knows the few sequences of ECMA-48 that our commands write, and fails at any other, so that nothing unseen is written.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.system.daemon import PATIENCE, PROJECT, Daemon

COLUMNS = 80
SEQUENCE = re.compile(r"\x1b\[\??([0-9;]*)([A-Za-z])")
KEYS = {"interrupt": "\x03", "stop": "\x1a"}


class Screen:
    """What is on the screen, line by line, and everything that was ever written to it."""

    def __init__(self, command: list[str], rows: int, environment: Mapping[str, str], *, is_ours: bool) -> None:
        self._is_ours = is_ours
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
        surroundings = {name: value for name, value in os.environ.items() if name not in {"PAGER", "LESS", "NO_COLOR"}}
        self.process = subprocess.Popen(
            # so that Ctrl-C is a signal, and one that counts, whoever runs the tests
            ["env", "--default-signal=INT,TSTP,PIPE", "setsid", "--ctty", *command],
            cwd=PROJECT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**surroundings, "TERM": "xterm", **environment},
        )
        os.close(slave)
        self.written = ""
        self.frames: list[list[str]] = []  # after each home of the cursor, what was there before
        self._lines = [""]
        self._row = self._column = 0
        self._rest = ""

    @property
    def text(self) -> str:
        """What a person sees."""
        return "\n".join(line.rstrip() for line in self._lines).rstrip("\n")

    def wait_until(self, is_so: Callable[[str], bool], what: str = "") -> str:
        """Read on until the screen is so. Returns its text."""
        end = time.monotonic() + PATIENCE
        while not is_so(self.text):
            assert time.monotonic() < end, f"the screen is never so {what}:\n{self.text}"
            self.read()
        return self.text

    def wait_for(self, words: str) -> str:
        """Read on until these words stand on it."""
        return self.wait_until(lambda text: words in text, words)

    def read(self) -> bool:
        """Take in what was written, if anything is within a moment. Is there more to come?"""
        if not select.select([self.master], [], [], 0.1)[0]:
            return True
        try:
            part = os.read(self.master, 65536).decode()
        except OSError:  # nobody has the other end any more
            return False
        self.written += part
        if self._is_ours:
            self._show(self._rest + part)
        return bool(part)

    def press(self, key: str) -> None:
        """A key, or one of KEYS."""
        os.write(self.master, KEYS.get(key, key).encode())

    def end(self) -> int:
        """Wait for its end, and take in the rest; the exit code."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
            self.read()
        while self.read():  # the end of its session hangs the terminal up, after what was written to it
            assert time.monotonic() < end, f"its terminal is never hung up:\n{self.text}"
        return self.process.returncode

    def _show(self, text: str) -> None:
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = SEQUENCE.match(text, at)
                if not found:
                    assert len(text) - at < 12, f"no known sequence: {text[at : at + 20]!r}"
                    break
                self._obey(found[0], found[1], found[2])
                at = found.end()
                continue
            self._put(text[at])
            at += 1
        self._rest = text[at:]

    def _put(self, character: str) -> None:
        if character == "\n":
            self._row += 1
            if self._row == len(self._lines):
                self._lines.append("")
            self._column = 0
        elif character == "\r":
            self._column = 0
        else:
            line, column = self._lines[self._row], self._column
            self._lines[self._row] = line[:column].ljust(column) + character + line[column + 1 :]
            self._column = column + 1

    def _obey(self, whole: str, number: str, letter: str) -> None:
        if letter == "H":
            self.frames.append(self.text.split("\n"))
            self._row = self._column = 0
        elif letter == "K":
            self._lines[self._row] = self._lines[self._row][: self._column]
        elif letter == "J":
            assert not number, f"the whole screen is wiped: {whole!r}"
            self._lines = self._lines[: self._row + 1]
        else:
            assert letter == "m" or whole[2] == "?", f"no known sequence: {whole!r}"
            if whole == "\x1b[?1049h":
                self._lines, self._row, self._column = [""], 0, 0


@contextmanager
def on_a_screen(
    daemon: Daemon, *words: str, rows: int = 24, is_ours: bool = True, environment: Mapping[str, str] | None = None
) -> Iterator[Screen]:
    """A command of ``routed`` on a terminal; it is gone afterwards. What a pager writes is not ours, and not read."""
    folders = (f"--config={daemon.config}", f"--state-dir={daemon.state}", f"--runtime-dir={daemon.folder}/run")
    screen = Screen([sys.executable, "-m", "routed", *folders, *words], rows, environment or {}, is_ours=is_ours)
    try:
        yield screen
    finally:
        if screen.process.poll() is None:
            screen.process.send_signal(signal.SIGKILL)
            screen.process.wait()
        os.close(screen.master)
