"""FILE: up while it exists, unless its first word is ``down``: for maintenance, and for what another program knows."""

from __future__ import annotations

import os
import stat
from typing import Final

from routed.model.checks import Check, Target
from routed.model.reasons import Finding
from routed.model.trust import find_writable
from routed.probes.ask import BadAnswerError
from routed.probes.sockets import Path

MOST: Final = 256  # bytes in which the first word stands


async def probe(check: Check, target: Target, path: Path) -> None:
    """Look once. Raises BadAnswerError and OSError."""
    del target, path
    look_at(check.file)  # a few bytes, of a file system of this host: nothing to wait for


def look_at(path: str) -> None:
    """Raises BadAnswerError and OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        raise BadAnswerError(Finding.ABSENT, path) from None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(0, f"{path} is no ordinary file")
        if writable := find_writable(path, os.lstat, os.readlink, {0, os.geteuid()}):
            raise BadAnswerError(Finding.WRITABLE, writable)
        words = os.read(descriptor, MOST).split(maxsplit=1)
    finally:
        os.close(descriptor)
    if words and words[0].lower() == b"down":
        raise BadAnswerError(Finding.SAYS_DOWN, path)
