"""The words of a statement while it is read, and why one cannot be said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Words = dict[str, Any]


class UnsaidError(Exception):
    """This cannot be said, or not understood. ``str`` is the reason."""


class KeptError(UnsaidError):
    """Something else keeps this."""


def number(word: str) -> int | str:
    """A number where it is one, decimal or hexadecimal; else the word, which may be a name."""
    try:
        return int(word, 0) if not word.isdecimal() else int(word)
    except ValueError:
        return word


class Rest:
    """The words that are not read yet."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)

    def __iter__(self) -> Iterator[str]:
        while self._words:
            yield self._words.pop(0)

    def take(self, after: str) -> str:
        """The word that has to follow."""
        if not self._words:
            raise UnsaidError(f"nothing follows `{after}`")
        return self._words.pop(0)

    def skips(self, *words: str) -> bool:
        """Is the next word one of these? Then it is taken."""
        if self._words and self._words[0] in words:
            self._words.pop(0)
            return True
        return False

    def skip_to(self, word: str) -> None:
        """Pass over everything that stands before this word."""
        while self._words and self._words[0] != word:
            self._words.pop(0)

    def peek(self) -> str:
        """The next word; empty where there is none."""
        return self._words[0] if self._words else ""
