"""The pager: what a command prints, a screen at a time, where that is longer than the terminal.

As ``systemctl`` and ``git`` do: ``$ROUTED_PAGER``, ``$PAGER``, else ``less``. Only where a person looks on: stdout is a
terminal, and nobody asked for JSON, for what goes on by itself, or for no pager. Who may become root for this command
alone gets no other program than ``less``, and that without its commands that start others (``LESSSECURE``, less(1)).
Here must never live: what is printed.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from io import TextIOBase
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:  # few outputs are so long
    from subprocess import Popen

LESS: Final = ("less", "-FRSX")  # to end where it is short, with colours, lines cut, and what was shown stays
LONG: Final = frozenset(  # commands that may print more than a screen, for a person to read
    {"blame", "diff", "history", "import", "members", "plan", "revisions", "status"}
)
UNTOLD: Final = os.terminal_size((80, 24))  # where the terminal does not tell, as a serial line: less(1) takes the same
COLORS: Final = re.compile(r"\x1b\[[0-9;]*m")
NO_PAGER: Final = frozenset({"", "cat"})
LIVE: Final = ("watch", "follow")  # options with which a command goes on by itself


@contextmanager
def paging(options: Namespace) -> Iterator[None]:
    """What is said on stdout within the block goes through a pager, if the command may say much and it is wanted."""
    words = find_pager(os.environ) if wants_pager(options, sys.stdout) else []
    if not words:
        yield
        return
    size = os.get_terminal_size(sys.stdout.fileno())
    paged = Paged(sys.stdout, words, size.lines or UNTOLD.lines, size.columns or UNTOLD.columns)
    with redirect_stdout(paged):
        try:
            yield
        finally:
            paged.end()


def wants_pager(options: Namespace, out: TextIO) -> bool:
    """Does a person look on, who would lose what scrolls by?"""
    if options.verb not in LONG or options.no_pager or options.json or options.quiet:
        return False
    if any(getattr(options, live, False) for live in LIVE):
        return False
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def find_pager(environment: Mapping[str, str]) -> list[str]:
    """The words of the command; none where there is to be no pager."""
    chosen = environment.get("ROUTED_PAGER", environment.get("PAGER"))
    if chosen is None:
        return list(LESS)
    if chosen.strip() in NO_PAGER:
        return []
    from shlex import split  # few commands page

    try:
        words = split(chosen)
    except ValueError:  # a quote without its other half
        return list(LESS)
    return list(LESS) if words[0] != LESS[0] and "SUDO_UID" in environment else words


class Paged(TextIOBase):
    """A stdout that keeps what it gets until that is more than the terminal has lines, and then starts the pager."""

    def __init__(self, out: TextIO, words: list[str], lines: int, columns: int) -> None:
        self._out = out
        self._words = words
        self._room = lines  # the last line is the shell's
        self._columns = columns
        self._kept: list[str] = []
        self._pager: Popen[str] | None = None

    def isatty(self) -> bool:
        """It is shown on one in the end."""
        return True

    def fileno(self) -> int:
        """That of the terminal."""
        return self._out.fileno()

    def write(self, text: str) -> int:
        """Keep it, or hand it to the pager; what the reader has left unread is dropped."""
        self._kept.append(text)
        self._room -= sum(self._count_rows(line) for line in text.splitlines())
        if self._room <= 0 and self._words:
            self._start()
        if self._pager is not None or not self._words:
            self._hand_on()
        return len(text)

    def end(self) -> None:
        """Nothing more comes: show what was short, or wait until the reader has seen enough."""
        if self._pager is None:
            self._hand_on()
            return
        former = signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the pager now
        try:
            assert self._pager.stdin is not None
            with suppress(BrokenPipeError):
                self._pager.stdin.close()
            self._pager.wait()
        finally:
            signal.signal(signal.SIGINT, former)

    def _count_rows(self, line: str) -> int:
        """A line that is too long for one goes on in the next."""
        return max(1, -(-len(COLORS.sub("", line)) // self._columns))

    def _start(self) -> None:
        import subprocess  # few outputs are so long

        more = {"LESSCHARSET": "utf-8", "LESS": os.environ.get("LESS", LESS[1].strip("-"))}
        more |= {"LESSSECURE": "1"} if "SUDO_UID" in os.environ else {}
        words, self._words = self._words, []  # it is tried once
        try:
            self._pager = subprocess.Popen(  # noqa: S603  by the word of who looks on
                words, stdin=subprocess.PIPE, text=True, encoding="utf-8", errors="replace", env={**os.environ, **more}
            )
        except OSError:  # it is not there: then all of it scrolls by
            self._pager = None

    def _hand_on(self) -> None:
        text, self._kept = "".join(self._kept), []
        if self._pager is None:
            self._out.write(text)
            self._out.flush()
            return
        assert self._pager.stdin is not None
        try:
            self._pager.stdin.write(text)
            self._pager.stdin.flush()
        except (BrokenPipeError, ValueError):  # the reader has seen enough
            pass
