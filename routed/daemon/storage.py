"""How state is kept on disk: whole or not at all, and on the disk when the call returns.

Every file has a format number, under ``version``. A file in a format that we do not know yet was written by a newer
routed: it is left alone, and said. A file that cannot be read just now is not damaged either, and nothing replaces it.

Here must never live what is kept: that is ``revisions``, ``record`` and ``marks``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

NEW: Final = ".new"  # the name, or its end, of what is not whole yet
# What reading a file may raise whose bytes are anything at all.
DAMAGES: Final = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


T = TypeVar("T")


class StateError(Exception):
    """The state cannot be written; its text is a sentence for a person. The caller goes on without."""


class NewerFormatError(ValueError):
    """A file is in a format that we do not know yet; its text says so."""

    def __init__(self) -> None:
        super().__init__("a newer routed wrote it")


def read_document(content: bytes, version: int) -> dict[str, Any]:
    """A JSON object in our format, ``version``. Raises NewerFormatError, and one of ``DAMAGES`` for anything else."""
    loaded = json.loads(content)
    document: dict[str, Any] = loaded if isinstance(loaded, dict) else {}
    number = document.get("version")
    if type(number) is not int:
        raise ValueError("it has no format number")
    if number > version:
        raise NewerFormatError
    if number != version:
        raise ValueError(f"it is not of format {version}")
    return document


def load_kept(
    path: Path, version: int, decode: Callable[[dict[str, Any]], T], unknown: str, complain: Callable[[str], None]
) -> T | None:
    """What a file keeps; None where it is not there, or says nothing that we can read, of which ``complain`` is told.

    ``unknown`` is what is not known then. Raises StateError where it cannot be read just now: then nothing may take its
    place.
    """
    try:
        return decode(read_document(path.read_bytes(), version))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except NewerFormatError as error:
        complain(f"{path} says nothing to us and is left alone: {error}")
    except DAMAGES as error:
        what = f"{unknown}, {path}"
        if is_passing(error):
            raise StateError(f"{what} cannot be read: {describe_damage(error)}") from None
        complain(f"{what} is damaged: {describe_damage(error)}")
    return None


def leave_newer(path: Path, version: int) -> None:
    """Raises StateError where the file is, or may be, of a newer format than ``version``: nobody must replace it."""
    try:
        read_document(path.read_bytes(), version)
    except NewerFormatError as error:
        raise StateError(f"{path} is left alone: {error}") from None
    except DAMAGES as error:
        if is_passing(error):
            raise StateError(f"{path} is left alone, it cannot be read: {describe_damage(error)}") from None


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


def is_passing(error: Exception) -> bool:
    """May the same file be read another time? What is not there, or is something else, is not that."""
    return isinstance(error, OSError) and not isinstance(error, (FileNotFoundError, NotADirectoryError))


def describe_damage(error: Exception) -> str:
    """What is wrong with a file, in words."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, ValueError) else repr(error)


@contextmanager
def told_as_state_error(what: str) -> Iterator[None]:
    """An OSError within becomes a StateError that begins with ``what``."""
    try:
        yield
    except OSError as error:
        raise StateError(f"{what}: {error.strerror or error}") from error
