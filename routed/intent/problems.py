"""Problems: what is wrong with a file, as a value that a person can act on.

Here lives the form of a complaint and how it is printed. Which complaints there are stands where they are found.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple, TypeAlias, TypeVar

KeyPath: TypeAlias = tuple[str | int, ...]

_T = TypeVar("_T")


class Fault(NamedTuple):
    """Something wrong inside one table of the file, before its place is known."""

    path: KeyPath  # from the table downwards; () is the table itself
    message: str
    hint: str = ""
    is_about_key: bool = False  # the key itself does not belong there; otherwise its value is meant


class WrongValueError(ValueError):
    """A value cannot be what its key holds. ``str`` is a sentence for a person."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint  # what to write instead, where somebody knows

    def __str__(self) -> str:
        return self.message


class ProblemPart(Enum):
    """The parts of a problem that is shown."""

    PLACE = auto()
    MESSAGE = auto()
    SOURCE = auto()
    CARET = auto()
    HINT = auto()


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
        return self.show(lambda _, text: text)

    def show(self, dress: Callable[[ProblemPart, str], str]) -> str:
        """All of it as text, in which each part is as ``dress`` has it."""
        lines = [f"{dress(ProblemPart.PLACE, self.place)}: {dress(ProblemPart.MESSAGE, self.message)}"]
        if self.source_line:
            # Tabs stay tabs, so that the caret stands right in every terminal.
            before = self.source_line[: self.column - 1]
            pad = "".join(character if character == "\t" else " " for character in before)
            lines += [f"    {dress(ProblemPart.SOURCE, self.source_line)}", f"    {pad}{dress(ProblemPart.CARET, '^')}"]
        if self.hint:
            lines.append(f"    {dress(ProblemPart.HINT, f'help: {self.hint}')}")
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
