"""Documents: plans and records as the JSON documents of ``model.documents``.

Pure builders, for the commands and for the control socket alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from routed.audit.reasons import describe_reason
from routed.audit.records import Record
from routed.audit.wording import describe_left_alone, describe_step, list_standing
from routed.model.change import Nature, Operation, Plan, Refusal, Verb
from routed.model.documents import (
    OutcomeDocument,
    PlanDocument,
    RefusalDocument,
    StepDocument,
    WaitingDocument,
)
from routed.model.entries import Entry
from routed.model.objects import Key, Kind, Member, Slot, Value
from routed.model.reasons import LeftAlone, OtherMark, Reason
from routed.model.text import Vocabulary, format_key, format_object, to_json

FEW: Final = 3  # larger groups are one step with a count
MANY: Final = 16  # more groups than this that are left alone for one reason are one


class Waits(NamedTuple):
    """An entry and what it, or a part of it, waits for."""

    entry: Entry
    reason: Reason | None
    part: str = ""  # what waits, where it is not the entry
    former: tuple[str, ...] = ()  # what of the entry is still there as it was before, as ``ip`` writes it


class _Group(Protocol):
    """Objects in one slot."""

    @property
    def kind(self) -> Kind: ...
    @property
    def slot(self) -> Slot: ...
    @property
    def members(self) -> Collection[Member]: ...


def make_plan_document(
    plan: Plan, waiting: Iterable[Waits], vocabulary: Vocabulary, held: Iterable[Refusal] = ()
) -> PlanDocument:
    """What would be done, in its order, what is left alone and why, and what waits.

    ``held`` is what the plan holds, with the reasons.
    """
    beside = (Refusal(drift, LeftAlone.BESIDE, by_guard=False) for drift in plan.notes)
    return PlanDocument(
        schema="routed.plan/1",
        steps=[step for operation in plan.operations for step in _make_steps(operation, vocabulary)],
        refusals=make_refusal_documents([*plan.refusals, *held], vocabulary),
        waiting=[make_waiting_document(wait) for wait in waiting],
        notes=make_refusal_documents(beside, vocabulary),
    )


def make_refusal_documents(refusals: Iterable[Refusal], vocabulary: Vocabulary) -> list[RefusalDocument]:
    """What is left alone. Very many of one entry, kind and reason are one, and what stands there is left out of it."""
    alike: dict[tuple[object, ...], list[Refusal]] = {}
    for refusal in refusals:
        drift = refusal.drift
        key = (drift.entry_name, drift.kind, refusal.reason, refusal.by_guard)
        alike.setdefault(key, []).append(refusal)
    documents: list[RefusalDocument] = []
    for group in alike.values():
        if len(group) <= MANY:
            documents += [_make_refusal_document(refusal, vocabulary) for refusal in group]
            continue
        count = sum(len(refusal.drift.members) for refusal in group)
        name = _name_first(group[0].drift, count, vocabulary)
        documents.append(
            {**_make_refusal_document(group[0], vocabulary), "object": name, "count": count, "standing": ""}
        )
    return documents


def _make_refusal_document(refusal: Refusal, vocabulary: Vocabulary) -> RefusalDocument:
    drift, entry = refusal.drift, refusal.drift.want.entry if refusal.drift.want else None
    key, wanted = Key(drift.kind, drift.slot, drift.members[0]), drift.want.value if drift.want else None
    return RefusalDocument(
        entry=entry.name if entry else "",
        origin=str(entry.origin) if entry else "",
        kind=drift.kind,
        object=name_members(drift, vocabulary),
        count=len(drift.members),
        reason=describe_left_alone(refusal.reason, key, drift.standing, wanted, vocabulary),
        by_guard=refusal.by_guard,
        standing=list_standing(drift, vocabulary)
        or "; ".join(format_object(key, value, vocabulary) for value in drift.standing),
    )


def make_waiting_document(wait: Waits) -> WaitingDocument:
    """An entry that cannot be in the kernel yet."""
    reason = describe_reason(wait.reason)
    if wait.part:
        reason = f"{wait.part}: {reason}"
    document = WaitingDocument(
        entry=wait.entry.name, origin=str(wait.entry.origin), reason=add_former(reason, wait.former)
    )
    if wait.former:
        document["former"] = list(wait.former)
    return document


def add_former(reason: str, former: Sequence[str]) -> str:
    """Why an entry waits, and what of it still does its work meanwhile as it was before."""
    return f"{reason}; until then {'; '.join(former)} stays" if former else reason


def describe_former(group: _Group, standing: Sequence[Value], vocabulary: Vocabulary) -> str:
    """What of an entry that waits is still there as it was before; of many the first."""
    key = Key(group.kind, group.slot, next(iter(group.members)))
    first = format_object(key, standing[0], vocabulary) if standing else format_key(key, vocabulary)
    return first if len(group.members) == 1 else f"{first} and {len(group.members) - 1} more"


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
        reason=describe_step(operation, key, vocabulary),
        object=name_members(operation._replace(members=members), vocabulary),
        count=len(members),
        before=whole(operation.value if is_deletion else operation.before),
        after="" if is_deletion else whole(operation.value),
        ip=to_json(key, operation.value, vocabulary),
    )


def choose_symbol(operation: Operation) -> str:
    """``!`` undoes what a stranger did in our place, ``-`` takes away, ``+`` adds, ``~`` changes what stays.

    ``=`` stands for what is as it shall be, and gets our mark: nothing that packets meet becomes another.
    """
    if isinstance(operation.reason, OtherMark):
        return "="
    if operation.nature in {Nature.BEHIND, Nature.EXTRA}:
        return "!"
    if operation.verb is Verb.DELETE:
        return "-"
    if operation.before is None:
        return "+"
    return "!" if operation.nature is Nature.FOREIGN else "~"


def name_members(group: _Group, vocabulary: Vocabulary) -> str:
    """The one object of a group, or the first of many and how many more there are."""
    return _name_first(group, len(group.members), vocabulary)


def _name_first(group: _Group, count: int, vocabulary: Vocabulary) -> str:
    first = format_key(Key(group.kind, group.slot, next(iter(group.members))), vocabulary)
    return first if count == 1 else f"{first} and {count - 1} more"
