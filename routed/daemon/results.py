"""What came, or would come, of putting files in force: the documents of ``routed apply`` and ``routed plan``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

from routed.audit.documents import (
    Waits,
    make_plan_document,
    make_refusal_documents,
    make_waiting_document,
    name_members,
)
from routed.audit.reasons import describe_reason
from routed.core.deployment import Deployment, Phase
from routed.core.prospects import is_error
from routed.core.reasons import find_failure
from routed.core.troubles import State
from routed.daemon.aftermath import split_by_hold
from routed.daemon.engine import Request
from routed.daemon.host import Host
from routed.daemon.moments import make_moment
from routed.daemon.reconcile import Proposal
from routed.daemon.record import read_boot
from routed.daemon.report import Report
from routed.daemon.revisions import Listed, Revision
from routed.daemon.status import (
    count_leftovers,
    count_states,
    describe_absent,
    find_former,
    find_why_waiting,
    group_former,
    vocabulary_of,
)
from routed.intent.problems import Problem
from routed.model.change import Refusal
from routed.model.documents import (
    ApplyDocument,
    FailureDocument,
    PlanDocument,
    ProblemDocument,
    RefusalDocument,
    RevisionDocument,
    SourceDocument,
    SourcesDocument,
    TrialDocument,
)
from routed.model.reasons import Flaw
from routed.model.text import Vocabulary, format_key

SCHEMA = "routed.apply/1"
NOTHING_FORMER: Mapping[str, list[str]] = {}
MOST = 100  # failures and refusals of one kind that are spelled out


def describe_result(
    host: Host, request: Request, revision: int, notices: Iterable[str] = (), unsaved: str = ""
) -> ApplyDocument:
    """The verified result of what was asked for: what was changed, and what is not as the file says.

    ``unsaved`` is why a restart would not know of it.
    """
    vocabulary = vocabulary_of(host)
    changed = sum(len(outcome.done) for report in request.reports for outcome in report.outcomes)
    counts = count_states(host)
    document = ApplyDocument(
        schema=SCHEMA,
        revision=revision,
        changed=changed,
        in_sync=counts[State.IN_SYNC],
        problems=[],
        failures=list(islice(_find_failures(host, vocabulary), MOST)),
        refusals=make_refusal_documents(_last_refusals(request.reports), vocabulary)[:MOST],
        waiting=[make_waiting_document(wait) for wait in islice(find_waiting(host), MOST)],
        shadowed=list(islice(_find_shadowed(host, vocabulary), MOST)),
        notices=list(notices),
        counts=counts,
        leftovers=count_leftovers(host),
    )
    _add_held(document, host)
    if request.error is not None:
        document["unknown"] = describe_reason(find_failure(request.error))
    if unsaved:
        document["unsaved"] = unsaved
    return document


def describe_phase(deployment: Deployment) -> str:
    """The beginning of a headline where something else than the files is in force, or for a while only."""
    if deployment.is_trial:
        trial = describe_trial(deployment)
        return f"on trial until {trial['until']}, then revision {trial['base']} comes back; "
    return f"{deployment.phase}; " if deployment.phase in {Phase.REJECTED, Phase.ROLLED_BACK} else ""


def describe_trial(deployment: Deployment) -> TrialDocument:
    """Until when what is on trial is in force, and what comes back then."""
    _, now = read_boot()
    left = max(0.0, deployment.until - now)
    until = datetime.fromtimestamp(time.time() + left, UTC).isoformat(timespec="milliseconds")
    return TrialDocument(until=until, seconds=left, base=deployment.base)


def describe_revision(revision: Listed, *, in_force: int) -> RevisionDocument:
    """One revision that is kept, without the text of its files."""
    origin = revision.origin
    saved = datetime.fromtimestamp(origin.saved, UTC).isoformat(timespec="milliseconds") if origin.saved else ""
    return RevisionDocument(
        revision=revision.number,
        saved=saved,
        by=origin.by,
        comment=origin.comment,
        verified=revision.is_verified,
        confirmed=revision.is_confirmed,
        in_force=revision.number == in_force,
        files=revision.files,
        digest=revision.digest,
    )


def describe_sources(revision: Revision) -> SourcesDocument:
    """The files of a revision as text. What is no UTF-8 is escaped."""
    return SourcesDocument(
        schema="routed.sources/1",
        revision=revision.number,
        sources=[
            SourceDocument(path=one.path, role=one.role, text=one.content.decode(errors="backslashreplace"))
            for one in revision.sources
        ],
    )


def describe_plan(proposal: Proposal) -> PlanDocument:
    """What would be done, in its order; what is left alone, and why; what waits."""
    host = proposal.host
    vocabulary = vocabulary_of(host)
    waiting = find_unresolved(host, group_former(proposal.plan.former, vocabulary))
    document = make_plan_document(proposal.plan, waiting, vocabulary, _find_held(proposal))
    document["refusals"] += [_make_refusal_document(failure) for failure in _find_errors(host)]
    _add_held(document, host)
    if "held" in document:
        from routed.daemon.held_members import find_steps  # noqa: PLC0415  likewise

        document["held_steps"] = find_steps(host, proposal.moment)
    if absent := describe_absent(host):
        document["absent"] = absent
    if shadowed := list(islice(_find_shadowed(host, vocabulary_of(host)), MOST)):
        document["shadowed"] = shadowed
    if proposal.supposed is not None:
        from routed.daemon.supposed import add_supposed  # noqa: PLC0415  few plans need it

        add_supposed(document, proposal.supposed, proposal.plan, host)
    return document


def _find_held(proposal: Proposal) -> Iterator[Refusal]:
    """What a pause keeps from being touched. It is the one hold that outlives a reload."""
    for drift in proposal.plan.held:
        for hold, members in split_by_hold(proposal.host, drift, proposal.moment):
            yield Refusal(drift._replace(members=tuple(members)), hold.reason, by_guard=False)


def find_unresolved(host: Host, former: Mapping[str, list[str]] = NOTHING_FORMER) -> Iterator[Waits]:
    """What of the entries cannot be in the kernel now, by their own word or by the facts."""
    for name, resolution in host.wanted.desired.resolutions.items():
        awaited = () if is_error(find_why_waiting(resolution)) else resolution.waiting
        for number, waiting in enumerate(awaited):  # what stands is told once
            stays = tuple(former.get(name, ())) if not number else ()
            yield Waits(resolution.entry, waiting.reason, former=stays)
        for reason in (resolution.withheld, resolution.degraded):
            if reason is not None:
                yield Waits(resolution.entry, reason)


def find_waiting(host: Host) -> Iterator[Waits]:
    """What cannot be in the kernel yet: entries whose facts are not there, and objects that the kernel put off."""
    vocabulary = vocabulary_of(host)
    yield from find_unresolved(host, find_former(host, vocabulary))
    for one in host.ledger.troubles:
        whose = host.wanted.desired.resolutions.get(one.trouble.entry)
        if one.trouble.state is State.WAITING and whose and one.trouble.reason is not Flaw.FORMER:
            yield Waits(whose.entry, one.trouble.reason, name_members(one, vocabulary))


def _find_errors(host: Host) -> Iterator[FailureDocument]:
    """Entries that cannot be as the files have them, whatever comes."""
    for resolution in host.wanted.desired.resolutions.values():
        why, entry = find_why_waiting(resolution) if resolution.waiting else None, resolution.entry
        if is_error(why):
            name, origin = entry.name.partition("/")[2], str(entry.origin)
            yield FailureDocument(entry=entry.name, origin=origin, object=name, reason=describe_reason(why))


def _make_refusal_document(failure: FailureDocument) -> RefusalDocument:
    kind = failure["entry"].partition("/")[0]
    return RefusalDocument(**failure, kind=kind, count=1, by_guard=False, standing="")


def _find_failures(host: Host, vocabulary: Vocabulary) -> Iterator[FailureDocument]:
    """What cannot be, and what the kernel refused. Very many of one entry and reason are one."""
    yield from _find_errors(host)
    for one in host.ledger.troubles:
        resolution = host.wanted.desired.resolutions.get(one.trouble.entry)
        name = name_members(one, vocabulary)
        if one.trouble.state is State.FAILED:  # without an entry it is a leftover that could not be removed
            yield FailureDocument(
                entry=resolution.entry.name if resolution else "",
                origin=str(resolution.entry.origin) if resolution else "",
                object=name if resolution else f"{one.kind} {name}",
                reason=describe_reason(one.trouble.reason),
            )


def _add_held(document: PlanDocument | ApplyDocument, host: Host) -> None:
    """Add the entries whose members are held, if there are any."""
    if held := [one for one in host.wanted.desired.resolutions.values() if one.held]:
        from routed.daemon.held_members import describe_held  # noqa: PLC0415  members are rarely held

        document["held"] = list(describe_held(host, held, make_moment()))


def _find_shadowed(host: Host, vocabulary: Vocabulary) -> Iterator[FailureDocument]:
    """What stands, and something that is not ours decides."""
    for key, trouble in host.ledger.shadowed.items():
        want = host.wanted.desired.get(key)
        if want is not None and key not in host.ledger.troubles:
            yield FailureDocument(
                entry=want.entry.name,
                origin=str(want.entry.origin),
                object=format_key(key, vocabulary),
                reason=describe_reason(trouble.reason),
            )


def has_failed(host: Host, report: Report) -> bool:
    """Is there anything that the kernel refused, or that could not be read? What waits or is withheld is neither."""
    is_refused = any(one.trouble.state in {State.FAILED, State.UNKNOWN} for one in host.ledger.troubles)
    return bool(report.unread) or is_refused or any(_find_errors(host))


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
