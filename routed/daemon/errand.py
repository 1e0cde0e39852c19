"""An errand: a piece of a pass that waits for the kernel and needs nothing else, so that a thread can run it.

Whoever drives a pass may have its errands done elsewhere, and serve others meanwhile; who does not finds them done all
the same. Here must never live: a thread, or a decision to take one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")


class Errand(Generic[T]):
    """Work to be done once, here or elsewhere."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Final = work
        self._results: list[T] = []
        self._error: BaseException | None = None

    def do(self) -> None:
        """Do it. What went wrong is kept for whoever asks for the result."""
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001  raised again by ``result``
            self._error = error

    @property
    def is_done(self) -> bool:
        """Was it done, well or badly?"""
        return bool(self._results) or self._error is not None

    def result(self) -> T:
        """What came of it; if nobody has done it, it is done now. Raises what the work raised."""
        if not self.is_done:
            self.do()
        if self._error is not None:
            raise self._error
        return self._results[0]
