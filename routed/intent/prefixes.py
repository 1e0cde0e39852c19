"""Prefixes: plain files of prefixes, one a line.

Here lives one tight loop: these files may have a million lines. A prefix or a bare host a line; ``#`` and ``;`` begin a
comment; a prefix that comes twice counts once.
"""

from __future__ import annotations

import re
from socket import AF_INET, inet_pton
from typing import Final, NamedTuple

from routed.intent.problems import Problem
from routed.model.entries import Source
from routed.model.net import FAMILIES, IPV4, IPV6, parse_prefix

MAXIMUM_COMPLAINTS: Final = 20  # a file of another kind has as many errors as lines

_COMMENT = re.compile(r"[#;][^\n]*")
# By the text of a prefix length: its byte, and the host bits that it leaves.
_LENGTHS: Final = {str(length): (bytes((length,)), (1 << (32 - length)) - 1) for length in range(33)}
_HOST: Final = bytes((32,))


class PrefixFile(NamedTuple):
    """What one file says."""

    prefixes: dict[int, frozenset[bytes]]  # family → packed prefixes
    duplicates: int
    problems: tuple[Problem, ...] = ()


def parse_prefixes(source: Source) -> PrefixFile:
    """Parse a prefix file. What is wrong comes back as problems, each with its line."""
    original = source.content.decode("utf-8-sig", "replace")
    text = _COMMENT.sub("", original) if "#" in original or ";" in original else original
    seen: dict[int, set[bytes]] = {IPV4: set(), IPV6: set()}
    add_v4, add_v6 = seen[IPV4].add, seen[IPV6].add
    lengths, from_bytes = _LENGTHS, int.from_bytes
    count, bad = 0, []
    for line_number, line in enumerate(map(str.strip, text.split("\n")), 1):
        if not line:
            continue
        count += 1
        try:
            if ":" in line:
                add_v6(parse_prefix(line))
                continue
            # The common case, inlined: calling parse_prefix costs more than twice as much.
            address, slash, length = line.partition("/")
            packed = inet_pton(AF_INET, address)
            if not slash:
                add_v4(packed + _HOST)
                continue
            length_byte, host_bits = lengths[length]
            if from_bytes(packed, "big") & host_bits:
                bad.append((line_number, line))
            else:
                add_v4(packed + length_byte)
        except (OSError, ValueError, KeyError):
            bad.append((line_number, line))
    prefixes = {family: frozenset(seen[family]) for family in FAMILIES if seen[family]}
    duplicates = count - len(bad) - sum(map(len, prefixes.values()))
    return PrefixFile(prefixes, duplicates, _problems(source.path, original, bad) if bad else ())


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
