"""Documents: plans and records as the JSON documents of ``model.documents``.

Pure builders, for the commands and for the control socket alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

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
from routed.model.objects import Key, Kind, Member, Slot, Value
from routed.model.text import Vocabulary, differs_in_mark, format_key, format_object, to_json

FEW: Final = 3  # larger groups are one step with a count
MANY: Final = 16  # more groups than this that are left alone for one reason are one
MORE: Final = " and "  # between the first of many and the count of the others
BESIDE: Final = "a stranger stands beside it, and stays"


class Waits(NamedTuple):
    """An entry and what it, or a part of it, waits for."""

    entry: Entry
    reason: str


class _Group(Protocol):
    """Objects in one slot."""

    @property
    def kind(self) -> Kind: ...
    @property
    def slot(self) -> Slot: ...
    @property
    def members(self) -> Collection[Member]: ...


def make_plan_document(
    plan: Plan, waiting: Iterable[Waits], vocabulary: Vocabulary, held: Iterable[tuple[Drift, str]] = ()
) -> PlanDocument:
    """What would be done, in its order, what is left alone and why, and what waits.

    ``held`` is what the plan holds, with the reasons.
    """
    return PlanDocument(
        schema="routed.plan/1",
        steps=[step for operation in plan.operations for step in _make_steps(operation, vocabulary)],
        refusals=fold_refusals(
            [
                *(make_refusal_document(r.drift, r.reason, vocabulary, by_guard=r.by_guard) for r in plan.refusals),
                *(make_refusal_document(drift, why, vocabulary, by_guard=False) for drift, why in held),
            ]
        ),
        waiting=[make_waiting_document(wait) for wait in waiting],
        notes=fold_refusals(make_refusal_document(drift, BESIDE, vocabulary, by_guard=False) for drift in plan.notes),
    )


def make_refusal_document(drift: Drift, reason: str, vocabulary: Vocabulary, *, by_guard: bool) -> RefusalDocument:
    """A group of objects that is left alone."""
    entry = drift.want.entry if drift.want else None
    key = Key(drift.kind, drift.slot, drift.members[0])
    return RefusalDocument(
        entry=entry.name if entry else "",
        origin=str(entry.origin) if entry else "",
        kind=drift.kind,
        object=name_members(drift, vocabulary),
        count=len(drift.members),
        reason=reason,
        by_guard=by_guard,
        standing="; ".join(format_object(key, value, vocabulary) for value in drift.standing),
    )


def fold_refusals(refusals: Iterable[RefusalDocument]) -> list[RefusalDocument]:
    """The same, with very many of one entry, kind and reason as one; what stands there may differ and is left out."""
    alike: dict[tuple[object, ...], list[RefusalDocument]] = {}
    for refusal in refusals:
        key = (refusal["entry"], refusal["kind"], refusal["reason"], refusal["by_guard"])
        alike.setdefault(key, []).append(refusal)
    folded: list[RefusalDocument] = []
    for group in alike.values():
        if len(group) <= MANY:
            folded += group
            continue
        count = sum(refusal["count"] for refusal in group)
        first = group[0]["object"].partition(MORE)[0]
        folded.append({**group[0], "object": f"{first}{MORE}{count - 1} more", "count": count, "standing": ""})
    return folded


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
        kind=operation.kind,
        entry=entry.name if entry else "",
        origin=str(entry.origin) if entry else "",
        reason=operation.reason,
        object=name_members(operation._replace(members=members), vocabulary),
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
    is_adoption = differs_in_mark(operation.kind, operation.before, operation.value)
    return "!" if operation.nature is Nature.FOREIGN and not is_adoption else "~"


def name_members(group: _Group, vocabulary: Vocabulary) -> str:
    """The one object of a group, or the first of many and how many more there are."""
    first = format_key(Key(group.kind, group.slot, next(iter(group.members))), vocabulary)
    return first if len(group.members) == 1 else f"{first}{MORE}{len(group.members) - 1} more"
