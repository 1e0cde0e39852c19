"""Headers that stand in a file of their own, because they are secret: read at each question, and never told.

A line is ``Name: value``; empty lines, and lines that begin with ``#``, are left out. What is wrong with a file is told
by its name and the number of a line, so that nothing of it comes into a status or a journal.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Final

from routed.model.reasons import Finding
from routed.probes.ask import BadAnswerError

MOST: Final = 16384  # bytes
CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"  # where systemd puts them, systemd.exec(5)
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
    path, cure = _locate(word)
    try:
        content = _read(path, cure)
    except OSError as error:
        raise _fail(f"{path}: {os.strerror(error.errno or 0)}: {cure}") from None
    if len(content) > MOST:
        raise _fail(f"{path} is longer than {MOST} bytes")
    lines = (line.removesuffix(b"\r") for line in content.split(b"\n"))
    return [_parse(line, number, path) for number, line in enumerate(lines, 1) if _counts(line)]


def _locate(word: str) -> tuple[str, str]:
    """The path, and what to do where nothing good is there."""
    if word.startswith("/"):
        return word, "it has to be there, of root alone (chmod 600)"
    cure = f"routed.service needs LoadCredential={word}:PATH, and a restart"
    folder = os.environ.get(CREDENTIALS)
    if folder is None:
        raise _fail(f"there is no credential {word}: {cure}")
    return f"{folder}/{word}", cure


def _read(path: str, cure: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise _fail(f"{path} is no ordinary file: {cure}")
        is_of_ours = about.st_gid in {0, os.getegid()}
        if about.st_uid not in {0, os.geteuid()} or about.st_mode & 0o022:
            raise _fail(f"somebody else than root may write {path}: {cure}")
        if about.st_mode & (0o004 if is_of_ours else 0o044):
            raise _fail(f"others than root may read {path}: {cure}")
        return os.read(descriptor, MOST + 1)
    finally:
        os.close(descriptor)


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
