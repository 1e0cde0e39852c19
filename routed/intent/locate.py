"""Locate: where in a TOML text each key stands.

``tomllib`` gives values without places. This scanner runs over a text that ``tomllib`` has already accepted, so it only
has to find keys, skip strings and balance brackets; it never decides whether a text is valid. Grammar: TOML 1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import NamedTuple

from routed.intent.problems import KeyPath

_BASIC = r'"(?:[^"\\\n]++|\\.)*+"'
_LITERAL = r"'[^'\n]*+'"
_PART = rf"(?:[A-Za-z0-9_-]++|{_BASIC}|{_LITERAL})"
_SKIP = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
_KEY_PART = re.compile(_PART)
_DOT = re.compile(r"[ \t]*+\.[ \t]*+")
_EQUALS = re.compile(r"[ \t]*+=[ \t]*+")
# A value without brackets: both multi-line strings (which may end in up to five quotes), strings, and all the rest.
_SCALAR = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+""""{0,2}'
    r"|'''(?:[^']++|'(?!''))*+''''{0,2}"
    rf"|{_BASIC}|{_LITERAL}|[^,\]}}#\n]++",
    re.DOTALL,
)
# The line that files are made of: a bare key and a plain value. One match for it keeps ten thousand tables quick.
_PLAIN_LINE = re.compile(
    r"""([A-Za-z0-9_-]++)[ \t]*+=[ \t]*+(?:"[^"\\\n]++"|[A-Za-z0-9_+.:-]++)[ \t]*+(?:#[^\n]*+)?(?=\n|\Z)"""
)


_TO_VALUE = re.compile(rf"{_PART}[ \t]*+=[ \t]*+")


class Places(NamedTuple):
    """The offsets of all keys, tables and array elements of one text."""

    text: str
    offsets: dict[KeyPath, int]
    line_starts: list[int]

    def find(self, path: KeyPath) -> tuple[int, int]:
        """The line and column (both from 1) of a key, or of the nearest table around it that is written down."""
        while path and path not in self.offsets:
            path = path[:-1]
        return self.place_of(self.offsets.get(path, 0))

    def find_value(self, path: KeyPath) -> tuple[int, int]:
        """The same of the value behind a key; of what has none, such as a table under a header, as ``find``."""
        key = _TO_VALUE.match(self.text, self.offsets[path]) if path in self.offsets else None
        return self.place_of(key.end()) if key else self.find(path)

    def place_of(self, offset: int) -> tuple[int, int]:
        """The line and column (both from 1) of a character."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1


def locate(text: str) -> Places:
    r"""Find the place of everything in a text that ``tomllib`` accepted, its line ends already ``\\n``."""
    scanner = _Scanner(text)
    scanner.scan_document()
    return Places(text, scanner.offsets, [0, *(match.end() for match in re.finditer("\n", text))])


class _Scanner:
    """One pass over one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.offsets: dict[KeyPath, int] = {(): 0}
        self.lengths: dict[KeyPath, int] = {}  # of the arrays of tables

    def scan_document(self) -> None:
        text = self.text
        table: KeyPath = ()
        while True:
            self._skip(_SKIP)
            if plain := _PLAIN_LINE.match(text, self.position):
                self.offsets[(*table, plain[1])] = self.position
                self.position = plain.end()
            elif self.position >= len(text):
                return
            elif text[self.position] == "[":
                table = self._scan_header()
            else:
                self._scan_pair(table)

    def _scan_header(self) -> KeyPath:
        start = self.position
        is_array = self.text.startswith("[[", start)
        self.position += 2 if is_array else 1
        self._skip(_SKIP)
        parts = [part for part, _ in self._scan_key()]
        self._skip(_SKIP)
        self.position += 2 if is_array else 1
        path: KeyPath = ()
        for part in parts[:-1] if is_array else parts:
            path = (*path, part)
            self.offsets.setdefault(path, start)
            if path in self.lengths:
                path = (*path, self.lengths[path] - 1)
        if is_array:
            path = (*path, parts[-1])
            self.offsets.setdefault(path, start)
            index = self.lengths.get(path, 0)
            self.lengths[path] = index + 1
            path = (*path, index)
        self.offsets.setdefault(path, start)
        return path

    def _scan_key(self) -> list[tuple[str, int]]:
        """The parts of a dotted key, each with its offset."""
        parts = []
        while True:
            start = self.position
            self._skip(_KEY_PART)
            parts.append((_unquote(self.text[start : self.position]), start))
            if not (dot := _DOT.match(self.text, self.position)):
                return parts
            self.position = dot.end()

    def _scan_pair(self, path: KeyPath) -> None:
        for part, start in self._scan_key():
            path = (*path, part)
            self.offsets.setdefault(path, start)
        self._skip(_EQUALS)
        self._scan_value(path)

    def _scan_value(self, path: KeyPath) -> None:
        opening = self.text[self.position]
        if opening not in "[{":
            self._skip(_SCALAR)
            return
        closing = "]" if opening == "[" else "}"
        self.position += 1
        index = 0
        while True:
            self._skip(_SKIP)
            if self.text[self.position] == closing:
                self.position += 1
                return
            if self.text[self.position] == ",":
                self.position += 1
            elif opening == "{":
                self._scan_pair(path)
            else:
                element = (*path, index)
                self.offsets[element] = self.position
                self._scan_value(element)
                index += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.position)
        if match is None:
            raise ValueError(f"offset {self.position}: this text is not one that tomllib accepts")
        self.position = match.end()


def _unquote(part: str) -> str:
    """A part of a key without its quotes and escapes."""
    if part[0] not in "\"'":
        return part
    return str(tomllib.loads(f"part = {part}")["part"])
