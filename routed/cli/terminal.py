"""The terminal: colour, tables, and where words go.

Data goes to stdout, everything else to stderr. No command prints in another way.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

from routed.audit.printable import dump_json, make_printable

# SGR codes of ECMA-48.
BOLD: Final = "1"
DIM: Final = "2"
RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
MAGENTA: Final = "35"
CYAN: Final = "36"
BLUE: Final = "34"


def say(text: str) -> None:
    """Data, on stdout. It may be coloured, so what comes from outside was made printable before."""
    sys.stdout.write(text + "\n")


def say_json(document: Mapping[str, Any]) -> None:
    """A JSON document, on stdout."""
    say(dump_json(document, indent=2))


def complain(text: str) -> None:
    """A message of one line, on stderr, whatever the arguments or the daemon put into it."""
    sys.stderr.write(f"routed: {make_printable(text)}\n")


def wants_color(options: Namespace, stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Shall output be coloured? ``auto`` is: on a terminal, unless NO_COLOR is set (no-color.org) or TERM is dumb."""
    if options.color != "auto":
        return bool(options.color == "always")
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def paint(text: str, code: str, *, is_colored: bool) -> str:
    """The text in a colour, where there is colour. It must say the same without."""
    return f"\x1b[{code}m{text}\x1b[0m" if is_colored and code else text


def make_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns, two spaces apart; the last one is not filled up."""
    clean = [list(heads), *([make_printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in clean) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in clean]
