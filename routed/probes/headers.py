"""Headers that stand in a file of their own, because they are secret: read at each question, and never told.

A line is ``Name: value``; empty lines, and lines that begin with ``#``, are left out. What is wrong with a file is told
by its name and the number of a line, so that nothing of it comes into a status or a journal.
"""

from __future__ import annotations

import re
from typing import Final

from routed import secrets
from routed.model.reasons import Finding
from routed.probes.ask import BadAnswerError

MOST: Final = 16384  # bytes
# The form of RFC 9110 5.1 and 5.5. What ends a line or a text is in no value.
_LINE: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)[ \t]*"
)
_OURS: Final = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding"})  # the question says these

Headers = list[tuple[bytes, bytes]]


def read_headers(word: str) -> Headers:
    """The headers in a file, or in a credential of the unit where it is no path. Raises BadAnswerError."""
    if not word:
        return []
    try:
        content, path = secrets.read_secret(word, MOST), secrets.locate(word)
    except secrets.SecretError as error:
        raise _fail(str(error)) from None
    lines = (line.removesuffix(b"\r") for line in content.split(b"\n"))
    return [_parse(line, number, path) for number, line in enumerate(lines, 1) if _counts(line)]


def _counts(line: bytes) -> bool:
    return bool(line.strip()) and not line.startswith(b"#")


def _parse(line: bytes, number: int, path: str) -> tuple[bytes, bytes]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise _fail(f'line {number} of {path} is not "Name: value"')
    if found[1].lower() in _OURS:
        raise _fail(f"line {number} of {path}: this header is made from the check itself")
    return found[1], found[2]


def _fail(sentence: str) -> BadAnswerError:
    return BadAnswerError(Finding.NO_HEADERS, sentence)
