"""The small file that the preloaded library shares with a test: what shall fail, and what was counted.

The layout is that of ``struct control`` in shim.c. Here must never live: what a fault is judged by.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
from pathlib import Path
from typing import Final, NamedTuple

MOST_CLASSES: Final = 64
FOREVER: Final = 0xFFFFFFFF
DAEMON, CHILDREN = 0, 1
_PID, _ARMED, _FIRST, _COUNT, _ERROR, _IS_DONE, _WHOM, _SPARES_CODE, _WAITS, _SEEN, _FAILED = range(11)
_WORDS: Final = 11 + 2 * MOST_CLASSES


class Fault(NamedTuple):
    """One fault: which calls fail, and how."""

    of: str  # the class
    error: int  # errno
    position: int = 0  # the call of that class that fails first, from 0
    in_a_row: int = 1  # how many fail in a row
    is_done: bool = False  # is the call done all the same? Of a receive: the message is lost
    whom: int = DAEMON

    def __str__(self) -> str:
        """As ``parse`` reads it."""
        words = [self.of, errno.errorcode[self.error], str(self.position)]
        words += ["for-good" if self.in_a_row == FOREVER else str(self.in_a_row)]
        words += ["done"] * self.is_done + ["in-a-child"] * self.whom
        return " ".join(words)

    @classmethod
    def parse(cls, words: str) -> Fault:
        """``CLASS ERRNO POSITION COUNT|for-good [done] [in-a-child]``. Raises ValueError and LookupError."""
        of, error, position, count, *rest = words.split()
        return cls(
            of,
            next(number for number, name in errno.errorcode.items() if name == error),
            int(position),
            FOREVER if count == "for-good" else int(count),
            is_done="done" in rest,
            whom=CHILDREN if "in-a-child" in rest else DAEMON,
        )


def read_classes(library: Path) -> list[str]:
    """The classes that the library knows, in its order."""
    words = (ctypes.c_char_p * (MOST_CLASSES + 1)).in_dll(ctypes.CDLL(str(library)), "fault_classes")
    names: list[str] = []
    for word in words:
        if word is None:
            break
        names.append(word.decode())
    return names


class Control:
    """One such file."""

    def __init__(self, path: Path, classes: list[str]) -> None:
        self.path = path
        self._classes = classes
        path.write_bytes(bytes(4 * _WORDS))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 4 * _WORDS)
        self._words = memoryview(self._shared).cast("I")

    def expect_start(self) -> None:
        """The next process that loads the library is the daemon; its calls count once it looks for its files."""
        self.disarm()
        self._words[_PID] = 0
        self._words[_SPARES_CODE] = self._words[_WAITS] = 1
        self.forget()

    def note_started(self) -> None:
        """It runs: from now on whatever it does counts."""
        self._words[_SPARES_CODE] = self._words[_WAITS] = 0

    def arm(self, fault: Fault) -> None:
        """Let it fail from now on."""
        self.disarm()
        self._words[_FIRST] = fault.position
        self._words[_COUNT] = fault.in_a_row
        self._words[_ERROR] = fault.error
        self._words[_IS_DONE] = fault.is_done
        self._words[_WHOM] = fault.whom
        self._words[_SEEN] = self._words[_FAILED] = 0
        self._words[_ARMED] = self._classes.index(fault.of) + 1

    def disarm(self) -> None:
        """Let nothing fail."""
        self._words[_ARMED] = 0

    @property
    def failed(self) -> int:
        """How many calls failed since ``arm``."""
        return self._words[_FAILED]

    def forget(self) -> None:
        """Count anew."""
        for index in range(_WORDS - 2 * MOST_CLASSES, _WORDS):
            self._words[index] = 0

    def counts(self, whom: int = DAEMON) -> dict[str, int]:
        """How many calls of each class there were."""
        start = _WORDS - 2 * MOST_CLASSES + whom * MOST_CLASSES
        return {name: self._words[start + index] for index, name in enumerate(self._classes)}

    def close(self) -> None:
        """Let go of the file."""
        self._words.release()
        self._shared.close()
