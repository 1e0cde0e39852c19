"""Problems of the files, as every command shows them: text with a caret on stderr, or documents.

Only how they are shown belongs here; ``routed.intent.problems`` says what they are.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from routed.audit.figures import format_count
from routed.audit.printable import make_lines_printable, make_printable
from routed.cli.terminal import BOLD, CYAN, RED, YELLOW, paint, wants_color
from routed.intent.problems import Problem, ProblemPart
from routed.model.documents import ProblemDocument

MOST: Final = 20  # of one file are shown, unless more is asked for
COLORS: Final = {
    "problem": {ProblemPart.PLACE: BOLD, ProblemPart.MESSAGE: RED, ProblemPart.CARET: RED, ProblemPart.HINT: CYAN},
    "notice": {ProblemPart.PLACE: BOLD, ProblemPart.MESSAGE: YELLOW, ProblemPart.CARET: YELLOW, ProblemPart.HINT: CYAN},
}


def show_problems(problems: Iterable[Problem], options: Namespace, what: str = "problem") -> None:
    """Every problem with its line and a caret, on stderr; of very many in one file the first.

    ``what`` they are is a key of ``COLORS``.
    """
    is_colored = wants_color(options, sys.stderr)
    for line in render_problems(tuple(problems), what, is_colored=is_colored, is_folded=not options.verbose):
        sys.stderr.write(f"{line}\n")


def render_problems(
    problems: tuple[Problem, ...], what: str, *, is_colored: bool, is_folded: bool = True
) -> Iterator[str]:
    """The same as text. Where there are several, the last line counts them."""
    colors = COLORS[what]

    def dress(part: ProblemPart, text: str) -> str:
        # a tab stays: the caret below counts on it
        return paint(make_lines_printable(text), colors.get(part, ""), is_colored=is_colored)

    totals = Counter(problem.file for problem in problems)
    seen: Counter[str] = Counter()
    for problem in problems:
        seen[problem.file] += 1
        if is_folded and seen[problem.file] > MOST:
            left_out = totals[problem.file] - MOST
            if seen[problem.file] == totals[problem.file]:
                yield make_printable(f"{problem.file}: {format_count(left_out, f'more {what}')}, which -v shows")
            continue
        yield problem.show(dress)
    if len(problems) > 1:
        yield paint(
            f"{format_count(len(problems), what)} in {format_count(len(totals), 'file')}", BOLD, is_colored=is_colored
        )


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
