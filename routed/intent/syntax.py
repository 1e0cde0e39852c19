"""Syntax: what is wrong with a text that is no TOML, in words, by a look at the line that ``tomllib`` points to.

A row is a slip of the pen: what such a line looks like, what is wrong with it, and what to write. Where no row fits,
``tomllib``'s own words have to do; they are never looked into but for the place. Here must never live what a table or
a key means.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from routed.intent.problems import Problem

LONGEST: Final = 1000  # characters of a line that a person has written

_PLACE_IN_MESSAGE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_KEY: Final = r'(?:[A-Za-z0-9_.-]+|"[^"]*")'
_PAIR = re.compile(rf"\s*({_KEY})\s*=")
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?")
_BLANK = re.compile(r"\s*(?:#.*)?")
# A value without quotes, in which tomllib gave up: from the sign before it to the next one.
_BEFORE = re.compile(r".*[=\[,]\s*", re.DOTALL)
_TOKEN = re.compile(r"[^\s,\[\]{}#]+")


class Spot(NamedTuple):
    """The place at which a text stops being TOML."""

    lines: list[str]
    line: int  # from 1
    column: int  # from 1

    @property
    def text(self) -> str:
        """The line."""
        return self.lines[self.line - 1]

    @property
    def rest(self) -> str:
        """What follows of it."""
        return self.text[self.column - 1 :]

    @property
    def token(self) -> tuple[int, str]:
        """The value without quotes around the place, and where it begins (from 1); empty where there is none."""
        head = _BEFORE.match(self.text[: self.column - 1]) or _BEFORE.match(self.text[: self.column])
        found = _TOKEN.match(self.text, head.end()) if head else None
        is_there = found and found.end() >= self.column
        return (found.start() + 1, found[0]) if found and is_there else (0, "")


class Slip(NamedTuple):
    """One row."""

    look_at: Callable[[Spot], tuple[int, str]]  # what of the spot, with the column at which it begins
    pattern: re.Pattern[str]
    message: str  # a template of the match
    hint: str  # likewise


def _line(spot: Spot) -> tuple[int, str]:
    return 1, spot.text


def _rest(spot: Spot) -> tuple[int, str]:
    return spot.column, spot.rest


def _token(spot: Spot) -> tuple[int, str]:
    return spot.token


def _row(look_at: Callable[[Spot], tuple[int, str]], pattern: str, message: str, hint: str) -> Slip:
    return Slip(look_at, re.compile(pattern), message, hint)


_END: Final = r"\s*(?:#.*)?"
_BARE: Final = r"(?:true|false|[0-9][0-9_]*)"  # what has no quotes in TOML
_SWITCH: Final = "a switch is true or false, in small letters"
_NO_COMMENT: Final = "this is no comment, and nothing else stands behind a value"
# What stands before the place in question, with whole strings skipped.
_SKIPPED: Final = r"""(?:[^"'#{]|"[^"]*"|'[^']*')*"""
_SKIPPED_INSIDE: Final = r"""(?:[^"'#}]|"[^"]*"|'[^']*')*"""
_COMMAND: Final = r"ip (?:-\S+ )?(?:r|ro|route|ru|rule|a|addr|address|l|link)\b.*"

# The first that fits is said. A group named ``at`` is what the caret stands under, otherwise all of it.
SLIPS: Final = (
    _row(
        _line,
        r".*?(?P<at>[\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb]).*",
        "these quotes are not those of TOML",
        'write straight ones: "',
    ),
    _row(
        _line,
        rf"\s*(?:sudo )?(?:/\S*/)?(?P<at>{_COMMAND})",
        "this is a command, and a file says what is to be there",
        "write a table, such as [[route]], with its words as keys",
    ),
    _row(_line, r"\s*(?P<at>-)(?:\s.*)?", "no line begins with a dash", "each entry is a table: write [[route]]"),
    _row(
        _line,
        rf"\s*(?P<key>{_KEY})\s*(?P<at>:=|:|==|=>|->)\s*(?P<value>(?!{_BARE}{_END}$)[^\s#\"'\[{{][^\"'#]*?){_END}",
        "`=` stands between a key and its value",
        r'write \g<key> = "\g<value>"',
    ),
    _row(
        _line,
        rf"\s*(?P<key>{_KEY})\s*(?P<at>:=|:|==|=>|->)\s*(?P<value>[^\s#].*)",
        "`=` stands between a key and its value",
        r"write \g<key> = \g<value>",
    ),
    _row(_line, rf"\s*{_KEY}\s*(?P<at>:){_END}", "a table has a header in brackets", "write it so: [[route]]"),
    _row(_line, rf"\s*(?P<at>\[\[)\s*(?P<name>[\w.-]+)\s*\]?{_END}", "the header has no end", r"write [[\g<name>]]"),
    _row(_line, rf"\s*(?P<at>\[)\s*(?P<name>[\w.-]+){_END}", "the header has no end", r"write [\g<name>]"),
    _row(_line, rf"\s*(?P<at>\[)\s*(?P<name>[\w.-]+)\s*\]\]{_END}", "a bracket is missing", r"write [[\g<name>]]"),
    _row(
        _line,
        r"\s*(?P<at>\[\[?[^\[\]]+\]\]?)\s*[^\s#].*",
        "the header of a table stands alone on its line",
        "write its keys on lines of their own",
    ),
    _row(_token, r"(?i:true|yes|on)", _SWITCH, "write true"),
    _row(_token, r"(?i:false|no|off)", _SWITCH, "write false"),
    _row(_token, r"(?i:none|null|nil)", "TOML has no word for nothing", "leave the key out"),
    _row(_token, r"0+(?P<number>[0-9]+)", "a number has no zero in front", r"write \g<number>"),
    _row(_token, r"""(?P<value>[^"']+)["']""", "the quote before the value is missing", r'write "\g<value>"'),
    _row(
        _token,
        r"""[A-Za-z0-9@!+:.][^"'=;]*""",
        "the value has no quotes",
        r'strings need quotes: write "\g<0>"',
    ),
    _row(_rest, r"(?P<at>;|//)\s*.*", _NO_COMMENT, "comments begin with #"),
    _row(_rest, rf"(?P<at>,){_END}", "nothing stands behind a value", "leave the comma out"),
    _row(
        _line,
        r"""(?:[^"'#]|"[^"]*"|'[^']*')*,\s*(?P<at>\}).*""",
        "no comma stands before } of an inline table",
        "leave the comma out",
    ),
    _row(
        _line,
        rf"{_SKIPPED}(?P<at>\{{){_SKIPPED_INSIDE}(?:#.*)?",
        "an inline table ends where its line does",
        "write all of { … } on one line",
    ),
    _row(
        _line,
        r"""(?:[^"'#]|"[^"]*"|'[^']*')*(?P<at>"[^"]*|'[^']*)""",
        "the string has no end on its line",
        "close its quote",
    ),
    _row(_line, rf"\s*{_KEY}\s*(?P<at>=){_END}", "the value is missing", "write it behind `=`, or leave the key out"),
    _row(_line, rf"\s*(?P<key>{_KEY})\s+(?P<at>[\"\[{{0-9].*)", "`=` is missing", r"write \g<key> = \g<at>"),
    _row(_line, rf"\s*(?P<at>{_KEY}){_END}", "the key has no value", r'write \g<at> = "…"'),
)


def explain_syntax(path: str, text: str, complaint: str) -> Problem:
    """What is wrong with a text; ``complaint`` is what ``tomllib`` said of it."""
    lines = text.split("\n")
    match = _PLACE_IN_MESSAGE.fullmatch(complaint)
    if match is None:
        return Problem(path, 0, 0, f"not valid TOML: {complaint}")
    line = int(match[2]) if match[2] else len(text.rstrip("\n").split("\n"))
    column = int(match[3]) if match[3] else len(lines[line - 1]) + 1
    spot = Spot(lines, line, column)
    if text.startswith("\ufeff"):
        hint = "the file begins with a byte order mark: save it as UTF-8 without one"
        return _complain(path, spot, match[1], hint)
    return _find_twice(path, spot) or _find_slip(path, spot) or _complain(path, spot, match[1], "")


def _complain(path: str, spot: Spot, message: str, hint: str) -> Problem:
    return Problem(path, spot.line, spot.column, f"not valid TOML: {message}", spot.text, hint)


def _find_slip(path: str, spot: Spot) -> Problem | None:
    for slip in SLIPS if len(spot.text) <= LONGEST else ():
        start, part = slip.look_at(spot)
        match = slip.pattern.fullmatch(part) if part else None
        if match:
            at = match.start("at") if "at" in slip.pattern.groupindex else 0
            message, hint = match.expand(slip.message), match.expand(slip.hint)
            return _complain(path, spot._replace(column=start + at), message, hint)
    return None


def _find_twice(path: str, spot: Spot) -> Problem | None:
    """A key of one table, or a table, that stands there already: the text ended well, and yet it is not taken."""
    if not _BLANK.fullmatch(spot.rest) and not _HEADER.match(spot.text):
        return None
    if header := _HEADER.match(spot.text):
        earlier = next(
            (n for n, line in enumerate(spot.lines[: spot.line - 1], 1) if _is_header_of(line, header[2])), 0
        )
        if not earlier:
            return None
        spot = spot._replace(column=header.start(1) + 1)
        brackets = _HEADER.match(spot.lines[earlier - 1])
        hint = f"write [[{header[2]}]]" if brackets and brackets[1] == "[[" else "put its keys there"
        return _complain(path, spot, f"`{header[2]}` stands at line {earlier} already", hint)
    number, pair = _find_pair(spot)
    for earlier in range(number - 1, 0, -1):
        line = spot.lines[earlier - 1]
        if _HEADER.match(line):
            return None
        other = _PAIR.match(line)
        if pair and other and other[1] == pair[1]:
            spot = spot._replace(line=number, column=pair.start(1) + 1)
            return _complain(path, spot, f"`{pair[1]}` stands at line {earlier} already", "keep one of the two")
    return None


def _is_header_of(line: str, name: str) -> bool:
    header = _HEADER.match(line)
    return header is not None and header[2] == name


def _find_pair(spot: Spot) -> tuple[int, re.Match[str] | None]:
    """The line at which the value before the place begins, with its key; one may go over several lines."""
    for number in range(spot.line, 0, -1):
        if pair := _PAIR.match(spot.lines[number - 1]):
            return number, pair
    return 1, None
