"""Whether an object may go on which others stand: with it the kernel would take away what is not ours, or is wanted."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from routed.core.kinds import KINDS
from routed.model.change import Drift, Nature, Operation, Refusal, Verb
from routed.model.entries import OnConflict
from routed.model.objects import Key, Kind, Member, Slot
from routed.model.reasons import LeftAlone, Reason, StoodOn
from routed.model.text import differs_in_mark


class Dependents(NamedTuple):
    """Objects that stand on another one, and would go with it."""

    kind: Kind
    slot: Slot
    members: Sequence[Member]
    is_ours: bool


Users: TypeAlias = Mapping[Key, tuple[Dependents, ...] | None]  # by what they stand on; None: they could not be seen


def split_used(drifts: Iterable[Drift], users: Users) -> Iterator[Drift]:
    """The same, but that what others stand on is each by itself, and comes last: groups before their members."""
    last: list[Drift] = []
    for drift in drifts:
        if users and KINDS[drift.kind].why_absent is not None:
            last += [drift._replace(members=(member,)) for member in drift.members]
        else:
            yield drift
    yield from sorted(last, key=_rank)


def _rank(drift: Drift) -> int:
    standing = drift.standing[0] if drift.standing else None
    return 0 if standing is None else -KINDS[drift.kind].rank_within(drift.members[0], standing)


def find_used(drift: Drift, cure: Iterable[Operation], planned: Iterable[Operation], users: Users) -> Refusal | None:
    """Why this drift is left alone: its cure would do harm to what stands on it, and does not go before.

    ``planned`` are the operations on everything else.
    """
    for operation in cure:
        if not _does_harm(drift, operation):
            continue
        key = Key(drift.kind, drift.slot, drift.members[0])
        if key not in users:
            continue
        reason = _explain(users[key], planned, is_deletion=operation.verb is Verb.DELETE)
        if reason is not None:
            is_guard = drift.want is not None and drift.want.entry.on_conflict is not OnConflict.REFUSE
            return Refusal(drift, reason, by_guard=is_guard)
    return None


def _does_harm(drift: Drift, operation: Operation) -> bool:
    """Does what stands on it go with it, or another way because ours takes the place of somebody else's?"""
    if operation.verb in {Verb.DELETE, Verb.CHANGE}:
        return True
    if operation.before is not None and differs_in_mark(operation.kind, operation.before, operation.value):
        return False
    is_asked_for = drift.want is not None and drift.want.entry.on_conflict is OnConflict.REPLACE
    return drift.nature is Nature.FOREIGN and not is_asked_for


def _explain(users: tuple[Dependents, ...] | None, planned: Iterable[Operation], *, is_deletion: bool) -> Reason | None:
    """Who is left. What is ours comes back where only another one is put in the place of what it stood on."""
    if users is None:
        return LeftAlone.NOT_KNOWN
    taken = {
        (operation.kind, operation.slot, member)
        for operation in planned
        if operation.verb in {Verb.DELETE, Verb.REPLACE, Verb.CHANGE}
        for member in operation.members
    }
    left = [key for user in users if is_deletion or not user.is_ours for key in _list_left(user, taken)]
    return StoodOn(min(left), len(left)) if left else None


def _list_left(user: Dependents, taken: Container[tuple[Kind, Slot, Member]]) -> Iterator[Key]:
    for member in user.members:
        if (user.kind, user.slot, member) not in taken:
            yield Key(user.kind, user.slot, member)
