"""How state is kept on disk: whole or not at all, and on the disk when the call returns.

Here must never live what is kept: that is ``revisions`` and ``marks``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

NEW: Final = ".new"  # the name, or its end, of what is not whole yet
# What reading a file may raise whose bytes are anything at all.
DAMAGES: Final = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


class StateError(Exception):
    """The state cannot be written; its text is a sentence for a person. The caller goes on without."""


def write(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it. Raises OSError."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes, new: Path) -> None:
    """Put a file in place of what is there, in one step; ``new`` is its path until it is whole. Raises OSError."""
    try:
        write(new, content)
        new.rename(path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power: they are not part of a file's own fsync (fsync(2))."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def describe_damage(error: Exception) -> str:
    """What is wrong with a file, in words."""
    return str(error) if isinstance(error, (OSError, ValueError)) else repr(error)


@contextmanager
def told_as_state_error(what: str) -> Iterator[None]:
    """An OSError within becomes a StateError that begins with ``what``."""
    try:
        yield
    except OSError as error:
        raise StateError(f"{what}: {error.strerror or error}") from error
