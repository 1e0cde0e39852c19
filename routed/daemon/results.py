"""What came of putting files in force, as the document that ``routed apply`` and Reload answer with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from routed.audit.documents import Waits, make_refusal_document, make_waiting_document
from routed.audit.notices import describe_failure
from routed.daemon.engine import Request
from routed.daemon.host import Host, State
from routed.daemon.report import Report
from routed.daemon.status import count_states, vocabulary_of
from routed.intent.problems import Problem
from routed.model.change import Refusal
from routed.model.documents import ApplyDocument, FailureDocument, ProblemDocument
from routed.model.objects import Key
from routed.model.text import format_key

SCHEMA = "routed.apply/1"
MOST = 100  # failures and refusals of one kind that are spelled out


def describe_result(
    host: Host, request: Request, revision: int, notices: Iterable[str] = (), unsaved: str = ""
) -> ApplyDocument:
    """The verified result of what was asked for: what was changed, and what is not as the file says.

    ``unsaved`` is why a restart would not know of it.
    """
    vocabulary = vocabulary_of(host)
    changed = sum(len(outcome.done) for report in request.reports for outcome in report.outcomes)
    refusals = list(_last_refusals(request.reports))
    failures = [
        FailureDocument(
            entry=want.entry.name,
            origin=str(want.entry.origin),
            object=format_key(subject, vocabulary),
            reason=trouble.reason,
        )
        for subject, trouble in host.troubles.items()
        if isinstance(subject, Key) and trouble.state is State.FAILED and (want := host.desired.get(subject))
    ]
    document = ApplyDocument(
        schema=SCHEMA,
        revision=revision,
        changed=changed,
        in_sync=count_states(host)[0],
        problems=[],
        failures=failures[:MOST],
        refusals=[
            make_refusal_document(refusal.drift, refusal.reason, vocabulary, by_guard=refusal.by_guard)
            for refusal in refusals[:MOST]
        ],
        waiting=[make_waiting_document(wait) for wait in islice(find_waiting(host), MOST)],
        notices=list(notices),
    )
    if request.error is not None:
        document["unknown"] = describe_failure(request.error)
    if unsaved:
        document["unsaved"] = unsaved
    return document


def find_waiting(host: Host) -> Iterator[Waits]:
    """What cannot be in the kernel yet: entries whose facts are not there, and objects that the kernel put off."""
    for resolution in host.desired.resolutions.values():
        for one in resolution.waiting:
            yield Waits(resolution.entry, one.reason)
    vocabulary = vocabulary_of(host)
    for subject, trouble in host.troubles.items():
        if isinstance(subject, Key) and trouble.state is State.WAITING and (want := host.desired.get(subject)):
            yield Waits(want.entry, f"{format_key(subject, vocabulary)}: {trouble.reason}")


def describe_rejection(problems: Iterable[Problem], revision: int) -> ApplyDocument:
    """The files are invalid: nothing was changed, and here is why."""
    return ApplyDocument(
        schema=SCHEMA,
        revision=revision,
        changed=0,
        in_sync=0,
        problems=[describe_problem(problem) for problem in problems],
        failures=[],
        refusals=[],
        waiting=[],
    )


def describe_problem(problem: Problem) -> ProblemDocument:
    """One error of a file."""
    return ProblemDocument(
        file=problem.file,
        line=problem.line,
        column=problem.column,
        message=problem.message,
        source_line=problem.source_line,
        hint=problem.hint,
    )


def _last_refusals(reports: Sequence[Report]) -> Iterable[Refusal]:
    """The refusals of the last pass that looked at everything, and of those after it."""
    seen: dict[tuple[object, ...], Refusal] = {}
    for report in reports:
        if report.dirt.everything:
            seen.clear()
        for refusal in report.plan.refusals:
            seen[refusal.drift.kind, refusal.drift.slot, refusal.drift.members[0]] = refusal
    return seen.values()
