"""Servers: plain files of servers, one a line: ``10.0.0.11:443``, or ``10.0.0.11:443 weight 3``.

``#`` and ``;`` begin a comment, and a line that comes twice counts once, as in files of prefixes. Here must never live:
what a server may be within its service (``service_table``).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from routed.intent import words
from routed.intent.prefixes import MAXIMUM_COMPLAINTS
from routed.intent.problems import Problem
from routed.intent.schema_service import HEAVIEST
from routed.model.entries import Source

_COMMENT: Final = re.compile(r"[#;].*")


class ListedServer(NamedTuple):
    """One line."""

    line: int  # from 1
    address: bytes
    port: int  # 0 where none is written
    weight: int


class ServersFile(NamedTuple):
    """What one file says."""

    servers: tuple[ListedServer, ...]
    duplicates: int
    problems: tuple[Problem, ...]


def parse_servers(source: Source) -> ServersFile:
    """Parse a file of servers. What is wrong comes back as problems, each with its line.

    A file without any is wrong as well: it would have all clients of its services refused, and more often it is one
    that somebody has not filled yet.
    """
    found: dict[tuple[bytes, int, int], int] = {}
    problems: list[Problem] = []
    count = bad = 0
    for number, original in enumerate(source.content.decode("utf-8-sig", "replace").split("\n"), 1):
        text = _COMMENT.sub("", original).strip()
        if not text:
            continue
        count += 1
        try:
            found.setdefault(_read_line(text), number)
        except ValueError as error:
            bad += 1
            if bad <= MAXIMUM_COMPLAINTS:
                column = original.find(text) + 1
                message, shown = str(error)[:200], original.rstrip("\r")[:200]
                problems.append(Problem(source.path, number, column, message, shown, getattr(error, "hint", "")))
    if bad > MAXIMUM_COMPLAINTS:
        problems.append(Problem(source.path, 0, 0, f"{bad - MAXIMUM_COMPLAINTS} more lines are not servers"))
    if not count:
        hint = "write `servers = []` in place of `servers_file` where none is meant"
        problems.append(Problem(source.path, 0, 0, "the file has no server", hint=hint))
    servers = tuple(ListedServer(number, *server) for server, number in found.items())
    return ServersFile(servers, count - bad - len(servers), tuple(problems))


def _read_line(text: str) -> tuple[bytes, int, int]:
    """Address, port and weight. Raises ValueError."""
    place, *more = text.split()
    address, port = words.address_and_port(place)
    if not more:
        return address, port, 1
    if len(more) != 2 or more[0] != "weight":
        raise ValueError(f'"{text[:100]}" is no server: write "10.0.0.11:443", or "10.0.0.11:443 weight 3"')
    return address, port, words.number(more[1], HEAVIEST, "a weight")
