"""Suggest: which of the known words somebody meant who wrote another one.

Only this one question belongs here. It is asked when something is wrong already, so nobody else waits for ``difflib``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

LIKENESS: Final = 0.6  # from 0 to 1, as difflib measures it


def suggest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like this one, whatever is written in capitals; empty where none is like it."""
    from difflib import get_close_matches  # noqa: PLC0415  only who is wrong waits for it

    by_lower = {one.lower(): one for one in known}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=LIKENESS)
    return by_lower[close[0]] if close else ""
