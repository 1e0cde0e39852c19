"""Names: the numbers behind the names of tables, protocols and types of service.

Here lives the reading of iproute2's name files and the look-up. iproute2 reads /etc/iproute2 after its own directory
under /usr, and in each the ``.d`` folder after the file (rtnl_tab_initialize and its like, lib/rt_names.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from routed.intent.problems import WrongValueError
from routed.model.entries import Source
from routed.model.names import PROTOCOLS, TABLE_MAIN, TABLES
from routed.model.suggest import suggest

DIRECTORIES: Final = ("usr/share/iproute2", "usr/lib/iproute2", "etc/iproute2")
DATABASES: Final = ("rt_tables", "rt_protos", "rt_dsfield")

_LINE = re.compile(r"\s*(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})\s+(\S+)\s*(?:#.*)?", re.ASCII)


class Names(NamedTuple):
    """The host's names."""

    tables: Mapping[str, int]
    protocols: Mapping[str, int]
    services: Mapping[str, int]  # types of service
    is_complete: bool = True  # False: a file that may name more tables has errors of its own

    def table(self, word: str | int) -> int:
        """The number of a table. Raises ValueError, unless the name may stand in a file that could not be read."""
        if not self.is_complete and word not in self.tables and isinstance(word, str):
            return TABLE_MAIN
        return _look_up(self.tables, word, "table", "name it in [[table]] or write its number")

    def protocol(self, word: str | int) -> int:
        """The number of a route protocol. Raises ValueError."""
        return _look_up(self.protocols, word, "protocol", "write its number")

    def dscp(self, word: str | int) -> int:
        """A DSCP: the upper six bits of a type of service, by whose names it goes. Raises ValueError."""
        return word if isinstance(word, int) else self.tos(word) >> 2

    def tos(self, word: str | int) -> int:
        """The number of a type of service. Raises ValueError."""
        return _look_up(self.services, word, "type of service", 'write its number, such as "0x10"')


def _look_up(numbers: Mapping[str, int], word: str | int, what: str, otherwise: str) -> int:
    if isinstance(word, int):
        return word
    if word not in numbers:
        close = suggest(word, numbers)
        raise WrongValueError(f'unknown {what} "{word}"', f'did you mean "{close}"?' if close else otherwise)
    return numbers[word]


def find_name_files(root: Path) -> list[Path]:
    """The name files of this host, in the order in which a later one wins."""
    found = []
    for directory in DIRECTORIES:
        for database in DATABASES:
            found.append(root / directory / database)
            found += sorted((root / directory / f"{database}.d").glob("*.conf"))
    return [path for path in found if path.is_file()]


def read_names(sources: Iterable[Source]) -> Names:
    """The names of the sources whose role is ``names``."""
    numbers: dict[str, dict[str, int]] = {database: {} for database in DATABASES}
    numbers["rt_tables"] |= {name: number for number, name in TABLES.items()}
    numbers["rt_protos"] |= {name: number for number, name in PROTOCOLS.items()}
    for source in sources:
        if source.role == "names":
            path = PurePosixPath(source.path)
            database = path.parent.name.removesuffix(".d") if path.parent.name.endswith(".d") else path.name
            if database in numbers:
                numbers[database] |= parse_names(source.content)
    return Names(numbers["rt_tables"], numbers["rt_protos"], numbers["rt_dsfield"])


def parse_names(content: bytes) -> dict[str, int]:
    """Name → number. Lines that are no such pair are passed over, as iproute2 does."""
    matches = (_LINE.fullmatch(line) for line in content.decode("utf-8", "replace").splitlines())
    return {match[2]: int(match[1], 16 if match[1][1:2] in {"x", "X"} else 10) for match in matches if match}
