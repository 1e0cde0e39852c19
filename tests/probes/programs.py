"""Programs that checks run: good ones, and ones that leave processes behind in each way that there is."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_marks = itertools.count(1)

# Children in the group, in a session of their own, and of those; each sleeps so long as the mark says.
LEAVES_MANY = """
sleep {mark} &
setsid sleep {mark} &
setsid sh -c 'sleep {mark} & setsid sleep {mark}' &
"""


@contextmanager
def a_folder() -> Iterator[Path]:
    """A folder that root alone may write, and everybody sees: no /tmp, and no /dev/shm, where nothing may be run."""
    with TemporaryDirectory(dir="/var/lib", prefix="routed-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def a_program(folder: Path, body: str, name: str = "check", mode: int = 0o755) -> Path:
    """A script of sh."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


def a_mark() -> str:
    """Seconds to sleep that nobody else sleeps: by them a process is found again."""
    return f"100{os.getpid()}.{next(_marks)}"


def find_children(parent: int, word: str) -> list[int]:
    """Those of a process that have this among their arguments."""
    return [pid for pid in find_processes(word) if _find_parent(pid) == parent]


def _find_parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0  # it has ended


def find_processes(word: str) -> list[int]:
    """The processes that have this among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if word.encode() in words:
            found.append(int(path.parent.name))
    return found
