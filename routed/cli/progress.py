"""Progress: one line of a terminal that says how far something is, and is gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

ERASE = "\r\x1b[K"  # EL of ECMA-48


@contextmanager
def shown(stream: TextIO) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Gives what shows a document of progress in place of the one before."""
    is_dirty = False

    def tell(progress: Mapping[str, Any]) -> None:
        nonlocal is_dirty
        done, total = progress.get("done"), progress.get("total")
        if isinstance(done, int) and isinstance(total, int) and total:
            is_dirty = True
            stream.write(f"{ERASE}{done} of {total} objects, {done * 100 // total} %")
            stream.flush()

    try:
        yield tell
    finally:
        if is_dirty:
            stream.write(ERASE)
            stream.flush()
