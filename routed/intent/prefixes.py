"""Prefixes: plain files of prefixes, one a line.

Here lives one tight loop: these files may have a million lines. A prefix or a bare host a line; ``#`` and ``;`` begin a
comment; a prefix that comes twice counts once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby, repeat
from operator import add, itemgetter
from socket import AF_INET, inet_pton
from typing import Final, NamedTuple

from routed.intent.problems import Problem
from routed.model.entries import Source
from routed.model.net import FAMILIES, IPV4, IPV6, parse_prefix
from routed.model.prefixes import PrefixSet, to_order

MAXIMUM_COMPLAINTS: Final = 20  # a file of another kind has as many errors as lines

_COMMENT = re.compile(r"[#;][^\n]*")
# By the text of a prefix length: its byte in PrefixSet's order, and the host bits that it leaves.
_LENGTHS: Final = {
    str(length): (to_order(bytes((0, 0, 0, 0, length)))[4:], (1 << (32 - length)) - 1) for length in range(33)
}
_HOST: Final = _LENGTHS["32"][0]
_PIECE: Final = 1 << 16  # characters
# Prefixes by their first bytes, each once and as the file has them: what is in order already is sorted quickly.
_Shelf = defaultdict[bytes, dict[bytes, None]]
_SHELF_V4: Final = 2  # first bytes
_SHELF_V6: Final = 6


class PrefixFile(NamedTuple):
    """What one file says."""

    prefixes: dict[int, PrefixSet]  # by family
    duplicates: int
    problems: tuple[Problem, ...] = ()


def parse_prefixes(source: Source) -> PrefixFile:
    """Parse a prefix file. What is wrong comes back as problems, each with its line."""
    original = source.content.decode("utf-8-sig", "replace")
    shelves = {family: _Shelf(dict) for family in FAMILIES}
    count, bad = 0, list[tuple[int, str]]()
    for first_line, piece in _cut(original):
        text = _COMMENT.sub("", piece) if "#" in piece or ";" in piece else piece
        lines = text.split("\n")
        count += _read_hosts(lines, shelves[IPV4]) or _read_lines(lines, first_line, shelves[IPV4], shelves[IPV6], bad)
    prefixes = {family: _put_in_order(shelves[family]) for family in FAMILIES if shelves[family]}
    duplicates = count - len(bad) - sum(map(len, prefixes.values()))
    return PrefixFile(prefixes, duplicates, _problems(source.path, original, bad) if bad else ())


def _cut(text: str) -> Iterator[tuple[int, str]]:
    """Pieces of whole lines with the number of their first: no step of the work on one keeps other threads waiting."""
    start, line = 0, 1
    while start < len(text):
        end = text.find("\n", start + _PIECE)
        piece = text[start:] if end < 0 else text[start:end]
        yield line, piece
        line += piece.count("\n") + 1
        start += len(piece) + 1


def _read_hosts(lines: list[str], v4: _Shelf) -> int:
    """What ``_read_lines`` does, in a third of the time, for nothing but bare IPv4 hosts; else nothing, and 0."""
    try:
        hosts = list(map(inet_pton, repeat(AF_INET), lines))
    except (OSError, ValueError):
        return 0
    for start, alike in groupby(hosts, itemgetter(slice(_SHELF_V4))):
        v4[start].update(dict.fromkeys(map(add, alike, repeat(_HOST))))
    return len(hosts)


def _read_lines(lines: list[str], first: int, v4: _Shelf, v6: _Shelf, bad: list[tuple[int, str]]) -> int:
    """Put each prefix on its shelf, in the form of PrefixSet's order. Returns how many lines say something."""
    lengths, from_bytes, count = _LENGTHS, int.from_bytes, 0
    for line_number, line in enumerate(map(str.strip, lines), first):
        if not line:
            continue
        count += 1
        try:
            if ":" in line:
                packed = parse_prefix(line)
                v6[packed[:_SHELF_V6]][packed] = None
                continue
            # The common case, inlined: calling parse_prefix costs more than twice as much.
            address, slash, length = line.partition("/")
            packed = inet_pton(AF_INET, address)
            if not slash:
                v4[packed[:_SHELF_V4]][packed + _HOST] = None
                continue
            length_byte, host_bits = lengths[length]
            if from_bytes(packed, "big") & host_bits:
                bad.append((line_number, line))
            else:
                v4[packed[:_SHELF_V4]][packed + length_byte] = None
        except (OSError, ValueError, KeyError):
            bad.append((line_number, line))
    return count


def _put_in_order(shelves: _Shelf) -> PrefixSet:
    """Sorted shelf by shelf: one sort of a million would keep every other thread waiting for a second."""
    width = len(next(iter(next(iter(shelves.values())))))
    return PrefixSet(b"".join(b"".join(sorted(shelves[start])) for start in sorted(shelves)), width)


def _problems(path: str, original: str, bad: list[tuple[int, str]]) -> tuple[Problem, ...]:
    lines = original.split("\n")
    problems = []
    for line_number, text in bad[:MAXIMUM_COMPLAINTS]:
        source_line = lines[line_number - 1].rstrip("\r")
        column = source_line.find(text) + 1
        problems.append(Problem(path, line_number, max(column, 1), _complaint(text), source_line[:200]))
    if len(bad) > MAXIMUM_COMPLAINTS:
        problems.append(Problem(path, 0, 0, f"{len(bad) - MAXIMUM_COMPLAINTS} more lines are not prefixes"))
    return tuple(problems)


def _complaint(text: str) -> str:
    try:
        parse_prefix(text)
    except ValueError as error:
        return str(error)[:200]
    return f'"{text[:100]}" is not a prefix'
