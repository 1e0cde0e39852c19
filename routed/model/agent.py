"""What the agent of a server says of its load: a line of words, as HAProxy's agent-check has them.

    75%             so much of the written weight
    up, ready       it takes connections: all of its weight where no share is told
    down, stopped, fail, maint, drain        it takes no new ones, whatever the share

Each line says everything: a word of an earlier one counts no more. Source of the words: "agent-check" in HAProxy's
configuration manual. Here must never live what follows from them (``core.agents``).
"""

from __future__ import annotations

import re
from typing import Final

WHOLE: Final = 100  # percent
MOST: Final = 100  # bytes of the words that are taken

_TAKES: Final = frozenset({"up", "ready"})
_TAKES_NONE: Final = frozenset({"down", "stopped", "fail", "maint", "drain"})
_SHARE: Final = re.compile(r"(100|[0-9]{1,2})%", re.ASCII)
_CONNECTIONS: Final = re.compile(r"maxconn:[0-9]{1,9}", re.ASCII)  # a limit of HAProxy's own, which says no share
_BETWEEN: Final = re.compile(r"[ \t,]+")


def read_words(line: str) -> str:
    """The words of a line as they are told, without whatever describes them. Raises ValueError where they are none."""
    words = [word for word in _BETWEEN.split(line.partition("#")[0].strip(" \t,\r\n")) if word]
    text = " ".join(words)
    if not words or len(text) > MOST or not all(map(_is_known, words)) or not any(map(_says_something, words)):
        raise ValueError("no word of an agent, such as 75% or drain")
    return text


def find_share(words: str) -> int:
    """How much of the written weight these words mean, in percent. ``words`` are those of ``read_words``."""
    each = words.lower().split()
    if not _TAKES_NONE.isdisjoint(each):
        return 0
    shares = [int(match[1]) for word in each if (match := _SHARE.fullmatch(word))]
    return shares[-1] if shares else WHOLE


def _is_known(word: str) -> bool:
    return _says_something(word) or bool(_CONNECTIONS.fullmatch(word.lower()))


def _says_something(word: str) -> bool:
    return word.lower() in _TAKES | _TAKES_NONE or bool(_SHARE.fullmatch(word))
