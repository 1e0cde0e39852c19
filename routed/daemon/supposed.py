"""What would be if something happened, as the documents that ``routed plan --if`` shows beside the plan."""

from __future__ import annotations

from collections.abc import Iterator

from routed.audit.reasons import describe_reason
from routed.audit.suppositions import describe_case, make_kernel_steps
from routed.daemon.host import Host
from routed.daemon.status import describe_entries, vocabulary_of
from routed.daemon.supposing import Supposed
from routed.daemon.then import describe_then
from routed.model.change import Plan
from routed.model.documents import EntryDocument, FailureDocument, PlanDocument, StateChangeDocument
from routed.model.objects import Key
from routed.model.text import format_key


def add_supposed(document: PlanDocument, supposed: Supposed, plan: Plan, after: Host) -> None:
    """What is assumed, what the kernel does by itself then, and which entries come into another state."""
    if supposed.assumptions.given:
        document["case"] = describe_case(supposed.assumptions.given)
        vocabulary = vocabulary_of(supposed.before)
        document["kernel"] = list(make_kernel_steps(supposed.changes, supposed.before.wanted.desired.get, vocabulary))
        document["changes"] = list(_list_changes(supposed.before, after))
    later = make_kernel_steps(supposed.list_later(plan), after.wanted.desired.get, vocabulary_of(after))
    document["afterwards"] = list(later)
    if supposed.refused:
        document["refused"] = list(_list_refused(supposed, after))
    if supposed.assumptions.asked:
        document["then"] = describe_then(supposed, after)


def _list_refused(supposed: Supposed, after: Host) -> Iterator[FailureDocument]:
    vocabulary = vocabulary_of(after)
    for operation, failure in supposed.refused:
        entry, key = operation.entry, Key(operation.kind, operation.slot, failure.member)
        yield FailureDocument(
            entry=entry.name if entry else "",
            origin=str(entry.origin) if entry else "",
            object=format_key(key, vocabulary),
            reason=describe_reason(failure.reason),
        )


def _list_changes(before: Host, after: Host) -> Iterator[StateChangeDocument]:
    old, new = _describe(before), _describe(after)
    for name in dict.fromkeys([*old, *new]):
        left, right = old.get(name), new.get(name)
        was, now = left["state"] if left else "", right["state"] if right else ""
        if was != now:
            shown = right or left
            assert shown is not None
            yield StateChangeDocument(
                entry=name, origin=shown["origin"], before=was, after=now, reason=right["reason"] if right else ""
            )


def _describe(host: Host) -> dict[str, EntryDocument]:
    return {one["entry"]: one for one in describe_entries(host, lambda _: "")}
