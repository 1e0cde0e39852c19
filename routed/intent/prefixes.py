"""Prefixes: plain files of prefixes, one a line.

Here lives one tight loop: these files may have a million lines. A prefix or a bare host a line; ``#`` and ``;`` begin a
comment; a prefix that comes twice counts once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import groupby, repeat
from operator import add, itemgetter
from socket import inet_pton
from typing import Final, NamedTuple

from routed.intent.problems import Problem
from routed.model.entries import Source
from routed.model.net import ADDRESS_LENGTH, FAMILIES, IPV4, IPV6, family_of, parse_prefix
from routed.model.prefixes import PrefixSet, to_order

MAXIMUM_COMPLAINTS: Final = 20  # a file of another kind has as many errors as lines

_COMMENT = re.compile(r"[#;][^\n]*")
_PIECE: Final = 1 << 16  # characters


class _Length(NamedTuple):
    """A prefix length: its byte in PrefixSet's order, and what the bytes of an address may hold behind so many bits."""

    mark: bytes
    clean: tuple[tuple[int, bytes], ...]  # (which byte, the values without a bit of the host)


@cache
def _lengths_of(family: int) -> dict[str, _Length]:
    """By what stands behind the address: nothing for a host, or ``/`` and a number."""
    width = ADDRESS_LENGTH[family]
    without = [bytes(value for value in range(256) if not value & (0xFF >> bits)) for bits in range(8)]
    lengths = {}
    for bits in range(width * 8 + 1):
        whole, rest = divmod(bits, 8)
        clean = tuple((at, without[rest if at == whole else 0]) for at in range(whole, width))
        lengths[f"/{bits}"] = _Length(to_order(bytes(width) + bytes((bits,)))[-1:], clean)
    return lengths | {"": lengths[f"/{width * 8}"]}


# Prefixes by their first bytes, each once and as the file has them: what is in order already is sorted quickly.
_Shelf = defaultdict[bytes, dict[bytes, None]]
_SHELF: Final = {IPV4: 2, IPV6: 6}  # first bytes


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
        lines = list(map(str.strip, text.split("\n")))
        prefixes = list(filter(None, lines))
        count += len(prefixes)
        if prefixes and not _put_all(prefixes, shelves):
            bad += _put_one_by_one(lines, first_line, shelves)
    ordered = {family: _put_in_order(shelf) for family, shelf in shelves.items() if shelf}
    duplicates = count - len(bad) - sum(map(len, ordered.values()))
    return PrefixFile(ordered, duplicates, _problems(source.path, original, bad) if bad else ())


def _cut(text: str) -> Iterator[tuple[int, str]]:
    """Pieces of whole lines with the number of their first: no step of the work on one keeps other threads waiting."""
    start, line = 0, 1
    while start < len(text):
        end = text.find("\n", start + _PIECE)
        piece = text[start:] if end < 0 else text[start:end]
        yield line, piece
        line += piece.count("\n") + 1
        start += len(piece) + 1


def _put_all(prefixes: list[str], shelves: dict[int, _Shelf]) -> bool:
    """Put them on their shelves, in a third of the time that it takes one by one. False where one is wrong.

    Also where some are of the other family than the first.
    """
    family = IPV6 if ":" in prefixes[0] else IPV4
    width, shelf, lengths = ADDRESS_LENGTH[family], shelves[family], _lengths_of(family)
    try:
        for text, addresses in _sort_by_length(prefixes).items():
            mark, clean = lengths[text]
            packed = list(map(inet_pton, repeat(family), addresses))
            joined = b"".join(packed)
            if any(joined[at::width].translate(None, values) for at, values in clean):
                return False
            for start, same in groupby(packed, itemgetter(slice(_SHELF[family]))):
                shelf[start].update(dict.fromkeys(map(add, same, repeat(mark))))
    except (OSError, ValueError, KeyError):
        return False
    return True


def _sort_by_length(prefixes: list[str]) -> dict[str, list[str]]:
    """The addresses by what stands behind them."""
    if "/" not in "".join(prefixes):
        return {"": prefixes}
    alike = defaultdict[str, list[str]](list)
    for prefix in prefixes:
        address, slash, length = prefix.partition("/")
        alike[slash + length].append(address)
    return alike


def _put_one_by_one(lines: list[str], first: int, shelves: dict[int, _Shelf]) -> Iterator[tuple[int, str]]:
    """The same for lines that may be anything: what is wrong comes back with its number."""
    for line_number, line in enumerate(lines, first):
        if not line:
            continue
        try:
            packed = to_order(parse_prefix(line))
        except ValueError:
            yield line_number, line
        else:
            family = family_of(packed)
            shelves[family][packed[: _SHELF[family]]][packed] = None


def _put_in_order(shelves: _Shelf) -> PrefixSet:
    """Sorted shelf by shelf: one sort of a million would keep every other thread waiting for a second."""
    width = len(next(iter(next(iter(shelves.values())))))
    return PrefixSet(b"".join(b"".join(sorted(shelves[start])) for start in sorted(shelves)), width)


def _problems(path: str, original: str, bad: list[tuple[int, str]]) -> tuple[Problem, ...]:
    from routed.intent.hints import find_hint  # noqa: PLC0415  only who is wrong waits for it

    lines = original.split("\n")
    problems = []
    for line_number, text in bad[:MAXIMUM_COMPLAINTS]:
        source_line = lines[line_number - 1].rstrip("\r")
        column = source_line.find(text) + 1
        hint = find_hint(text, {"prefix"})
        problems.append(Problem(path, line_number, max(column, 1), _complaint(text), source_line[:200], hint))
    if len(bad) > MAXIMUM_COMPLAINTS:
        problems.append(Problem(path, 0, 0, f"{len(bad) - MAXIMUM_COMPLAINTS} more lines are not prefixes"))
    return tuple(problems)


def _complaint(text: str) -> str:
    try:
        parse_prefix(text)
    except ValueError as error:
        return str(error)[:200]
    return f'"{text[:100]}" is not a prefix'
