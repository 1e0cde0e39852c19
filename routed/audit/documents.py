"""Documents: plans and records as the JSON documents of ``model.documents``.

Pure builders, for the commands and for the control socket alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from routed.audit.records import Record
from routed.model.change import Drift, Nature, Operation, Plan, Verb
from routed.model.documents import (
    OutcomeDocument,
    PlanDocument,
    RefusalDocument,
    StepDocument,
    WaitingDocument,
)
from routed.model.entries import Entry
from routed.model.objects import Key, Member, Value
from routed.model.text import Vocabulary, find_differing, format_key, format_object, to_json

FEW: Final = 3  # larger groups are one step with a count
HELD: Final = "left alone for a while"
BESIDE: Final = "a stranger stands beside it, and stays"


class Waits(NamedTuple):
    """An entry and what it, or a part of it, waits for."""

    entry: Entry
    reason: str


def make_plan_document(plan: Plan, waiting: Iterable[Waits], vocabulary: Vocabulary) -> PlanDocument:
    """What would be done, in its order, what is left alone and why, and what waits."""
    return PlanDocument(
        schema="routed.plan/1",
        steps=[step for operation in plan.operations for step in _make_steps(operation, vocabulary)],
        refusals=[
            *(make_refusal_document(r.drift, r.reason, vocabulary, by_guard=r.by_guard) for r in plan.refusals),
            *(make_refusal_document(drift, HELD, vocabulary, by_guard=False) for drift in plan.held),
        ],
        waiting=[make_waiting_document(wait) for wait in waiting],
        notes=[make_refusal_document(drift, BESIDE, vocabulary, by_guard=False) for drift in plan.notes],
    )


def make_refusal_document(drift: Drift, reason: str, vocabulary: Vocabulary, *, by_guard: bool) -> RefusalDocument:
    """A group of objects that is left alone."""
    entry = drift.want.entry if drift.want else None
    key = Key(drift.kind, drift.slot, drift.members[0])
    return RefusalDocument(
        entry=entry.name if entry else "",
        origin=str(entry.origin) if entry else "",
        kind=drift.kind.value,
        object=_name_members(drift, drift.members, vocabulary),
        count=len(drift.members),
        reason=reason,
        by_guard=by_guard,
        standing="; ".join(format_object(key, value, vocabulary) for value in drift.standing),
    )


def make_waiting_document(wait: Waits) -> WaitingDocument:
    """An entry that cannot be in the kernel yet."""
    return WaitingDocument(entry=wait.entry.name, origin=str(wait.entry.origin), reason=wait.reason)


def make_outcome_document(record: Record, moment: datetime) -> OutcomeDocument:
    """One audit record; ``moment`` must know its offset from UTC."""
    return OutcomeDocument(
        time=moment.isoformat(timespec="milliseconds"),
        message=record.message,
        priority=record.priority,
        fields=record.fields,
    )


def _make_steps(operation: Operation, vocabulary: Vocabulary) -> Iterator[StepDocument]:
    groups = [(m,) for m in operation.members] if len(operation.members) <= FEW else [operation.members]
    for members in groups:
        yield _make_step(operation, members, vocabulary)


def _make_step(operation: Operation, members: Sequence[Member], vocabulary: Vocabulary) -> StepDocument:
    entry = operation.entry
    key = Key(operation.kind, operation.slot, members[0])
    is_deletion = operation.verb is Verb.DELETE

    def whole(value: Value | None) -> str:
        return "" if value is None else format_object(key, value, vocabulary)

    return StepDocument(
        symbol=choose_symbol(operation),
        verb=operation.verb.value,
        kind=operation.kind.value,
        entry=entry.name if entry else "",
        origin=str(entry.origin) if entry else "",
        reason=operation.reason,
        object=_name_members(operation, members, vocabulary),
        count=len(members),
        before=whole(operation.value if is_deletion else operation.before),
        after="" if is_deletion else whole(operation.value),
        ip=to_json(key, operation.value, vocabulary),
    )


def choose_symbol(operation: Operation) -> str:
    """``!`` undoes what a stranger did in our place, ``-`` takes away, ``+`` adds, ``~`` changes what stays."""
    if operation.nature in {Nature.BEHIND, Nature.EXTRA}:
        return "!"
    if operation.verb is Verb.DELETE:
        return "-"
    if operation.before is None:
        return "+"
    is_adoption = find_differing(operation.before, operation.value) == ["protocol"]
    return "!" if operation.nature is Nature.FOREIGN and not is_adoption else "~"


def _name_members(group: Drift | Operation, members: Sequence[Member], vocabulary: Vocabulary) -> str:
    first = format_key(Key(group.kind, group.slot, members[0]), vocabulary)
    return first if len(members) == 1 else f"{first} and {len(members) - 1} more"
