"""Problems: what is wrong with a file, as a value that a person can act on.

Here lives the form of a complaint and how it is printed. Which complaints there are stands where they are found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

KeyPath: TypeAlias = tuple[str | int, ...]

_T = TypeVar("_T")


class Fault(NamedTuple):
    """Something wrong inside one table of the file, before its place is known."""

    path: KeyPath  # from the table downwards; () is the table itself
    message: str
    hint: str = ""


class Problem(NamedTuple):
    """Something wrong at one place of one file."""

    file: str
    line: int  # from 1; 0: the file as a whole
    column: int  # from 1, in characters
    message: str
    source_line: str = ""
    hint: str = ""

    @property
    def place(self) -> str:
        """``file:line:column``, or the file alone."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        lines = [f"{self.place}: {self.message}"]
        if self.source_line:
            # Tabs stay tabs, so that the caret stands right in every terminal.
            before = self.source_line[: self.column - 1]
            pad = "".join(character if character == "\t" else " " for character in before)
            lines += [f"    {self.source_line}", f"    {pad}^"]
        if self.hint:
            lines.append(f"    help: {self.hint}")
        return "\n".join(lines)


class IntentError(Exception):
    """The files cannot be enforced. ``problems`` holds every error of every file, in the order of the files."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def attempt(work: Callable[[], _T], tell: Callable[[str], object]) -> _T | None:
    """What ``work`` returns. What goes wrong in it in a way that nobody thought of is told in a sentence.

    What the operator wrote is never a reason to end: not what is wrong in it, and not what is wrong in us.
    """
    try:
        return work()
    except IntentError:
        raise
    except Exception as error:  # noqa: BLE001  the purpose
        tell(describe_defect(error))
    return None


def describe_defect(error: Exception) -> str:
    """An exception that should not be, with where it came from, for who has to mend it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code.co_filename.rpartition("/")[2] if trace else "?"
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"this is a defect in routed: {said} ({code}:{trace.tb_lineno if trace else 0})"
