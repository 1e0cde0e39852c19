"""Documents: one TOML file, parsed, with the places of its keys.

Here lives the step from bytes to plain tables. What the tables mean is no concern of this module.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from routed.intent.locate import Places, locate
from routed.intent.problems import Fault, IntentError, KeyPath, Problem
from routed.model.entries import Origin, Source

UNQUOTED: Final = frozenset({"command"})  # keys whose values may hold secrets, which no complaint repeats


@dataclass(frozen=True)
class Document:
    """One file that is valid TOML."""

    source: Source
    text: str  # with line ends as tomllib sees them
    data: dict[str, Any]

    @cached_property
    def places(self) -> Places:
        """Where everything stands."""
        return locate(self.text)

    @cached_property
    def lines(self) -> list[str]:
        """The text line by line."""
        return self.text.split("\n")

    def origin(self, path: KeyPath) -> Origin:
        """Where a table stands."""
        return Origin(self.source.path, self.places.find(path)[0])

    def problem(self, path: KeyPath, message: str, hint: str = "", *, is_about_key: bool = False) -> Problem:
        """A complaint about what stands at ``path``: the value there, or the key itself."""
        line, column = self.places.find(path) if is_about_key else self.places.find_value(path)
        quoted = "" if UNQUOTED.intersection(path) else self.lines[line - 1]
        return Problem(self.source.path, line, column, message, quoted, hint)

    def problem_of(self, table: KeyPath, fault: Fault) -> Problem:
        """A complaint about something inside ``table``."""
        return self.problem(table + fault.path, fault.message, fault.hint, is_about_key=fault.is_about_key)


def parse_document(source: Source) -> Document:
    """Parse one file. Raises IntentError with the one problem that TOML itself has with it."""
    content = source.content
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line_start = before.rfind(b"\n") + 1
        line, column = before.count(b"\n") + 1, len(before[line_start:].decode("utf-8")) + 1
        line_end = content.find(b"\n", error.start)
        raw = content[line_start : line_end if line_end >= 0 else len(content)].rstrip(b"\r")
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        hint = "save the file as UTF-8"
        problem = Problem(source.path, line, column, message, raw.decode("utf-8", "replace"), hint)
        raise IntentError((problem,)) from None
    try:
        return Document(source, text, tomllib.loads(text))
    except RecursionError:
        problem = Problem(source.path, 0, 0, "arrays or tables are nested too deeply")
    except ValueError as error:  # TOMLDecodeError, and int() on a number of thousands of digits
        from routed.intent.syntax import explain_syntax  # noqa: PLC0415  only who is wrong waits for it

        problem = explain_syntax(source.path, text, str(error))
    raise IntentError((problem,))
