"""Discretion: the text of files goes to root, to the daemon's own user and to the group of the control socket only.

A file may be readable for root alone, and what is wrong with it is told by quoting it. So everybody else learns where
something is wrong, but not what stands there. Pure: documents in, documents out. Who asks is the control socket's
knowledge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from routed.audit.catalogue import Message
from routed.intent.problems import Problem
from routed.model.documents import FilesDocument, OutcomeDocument, ProblemDocument, StatusDocument

WITHHELD: Final = "only root and the group of the control socket may read what is wrong here"


def withhold_text(problems: Iterable[ProblemDocument]) -> list[ProblemDocument]:
    """The same problems by their places alone."""
    return [
        ProblemDocument(
            file=problem["file"],
            line=problem["line"],
            column=problem["column"],
            message=WITHHELD,
            source_line="",
            hint="",
        )
        for problem in problems
    ]


def withhold_from_status(status: StatusDocument) -> StatusDocument:
    """The status without the text of files."""
    files = FilesDocument(state=status["files"]["state"], problems=withhold_text(status["files"]["problems"]))
    return {**status, "files": files}


def withhold_from_outcome(outcome: OutcomeDocument) -> OutcomeDocument:
    """A record of the audit without the text of files: one kind of record quotes them."""
    if outcome["fields"].get("ROUTED_EVENT") != Message.CONFIG_REJECTED:
        return outcome
    fields = {name: value for name, value in outcome["fields"].items() if name != "ROUTED_REASON"}
    message = f"the files are invalid and change nothing: {WITHHELD}"
    return {**outcome, "message": message, "fields": fields}


def name_places(problems: Sequence[Problem]) -> str:
    """A clause for a sentence that everybody reads: the first place, and how many others there are."""
    place, others = problems[0].place, len(problems) - 1
    if not others:
        return f"{place} is wrong, so the files are not in force"
    return f"{place} and {others} more place{'' if others == 1 else 's'} are wrong, so the files are not in force"
