"""Exit codes: the numbers that scripts rely on, what each means, and the error that carries one.

The table is the same for every command. Numbers from 64 are those of sysexits.h.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    DRIFT = 2
    TIMED_OUT = 3
    REFUSED = 4
    USAGE = 64
    UNAVAILABLE = 69
    NOT_PERMITTED = 77
    INVALID = 78
    INTERRUPTED = 130


class CommandError(Exception):
    """The command cannot go on. ``str`` is a sentence for a person."""

    def __init__(self, sentence: str, code: Exit) -> None:
        super().__init__(sentence)
        self.code = code


MEANINGS: Final[dict[Exit, str]] = {
    Exit.DONE: "done; all is in sync or waiting, and what waits is listed",
    Exit.FAILED: "an error, or in force but some objects failed or are shadowed",
    Exit.DRIFT: "the kernel differs from the files; only with --exit-code",
    Exit.TIMED_OUT: "timed out",
    Exit.REFUSED: "refused, or held by a guard",
    Exit.USAGE: "wrong usage",
    Exit.UNAVAILABLE: "the daemon is not running",
    Exit.NOT_PERMITTED: "not permitted",
    Exit.INVALID: "the configuration is invalid; nothing was changed",
    Exit.INTERRUPTED: "interrupted from the keyboard",
}
