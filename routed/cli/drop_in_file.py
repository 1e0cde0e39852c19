"""The file of a drop-in on disk: one writer at a time, and whole or not at all.

Here live the lock on the folder and the replacing of a file. Here must never live: what a file says.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Final

MODE: Final = 0o644


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other commands out of the folder, which is made where it is missing. Waits for them. Raises OSError.

    The lock is on the folder itself (flock(2)), so that no file has to be left behind.
    """
    with _telling(folder):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_file(path: Path) -> bytes | None:
    """The content, None where there is no file. Raises OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def put_file(path: Path, content: bytes | None) -> None:
    """Make the file have this content, or be gone (None). Raises OSError that names ``path``; then all is as before.

    Written under another name, flushed and renamed, so that a reader, or a machine that loses its power, finds the file
    from before or the one from after.
    """
    with _telling(path):
        if content is None:
            path.unlink(missing_ok=True)
        else:
            _replace(path, content)
        _flush_folder(path.parent)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Name the file that was meant, and not the one beside it that was being written."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; nothing was changed", str(path)) from error


def _replace(path: Path, content: bytes) -> None:
    descriptor, temporary = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
            os.fchmod(descriptor, MODE)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).rename(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
