"""Problems of the files, as every command shows them: text with a caret on stderr, or documents.

Only how they are shown belongs here; ``routed.intent.problems`` says what they are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from routed.audit.printable import make_lines_printable
from routed.intent.problems import Problem
from routed.model.documents import ProblemDocument


def show_problems(problems: Iterable[Problem]) -> None:
    """Every problem with its line and a caret, on stderr."""
    for problem in problems:
        sys.stderr.write(f"{make_lines_printable(str(problem))}\n")  # a tab stays: the caret below counts on it


def describe_problems(problems: Iterable[Problem]) -> list[ProblemDocument]:
    """The same as documents."""
    return [
        ProblemDocument(
            file=problem.file,
            line=problem.line,
            column=problem.column,
            message=problem.message,
            source_line=problem.source_line,
            hint=problem.hint,
        )
        for problem in problems
    ]


def read_problems(documents: Iterable[ProblemDocument]) -> list[Problem]:
    """Problems from documents, as the daemon sends them."""
    return [Problem(**document) for document in documents]
