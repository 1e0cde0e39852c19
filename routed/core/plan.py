"""From drift to a plan: which operations, in which order, and what is left alone and why.

Make before break: what others stand on comes first, what nobody wants any more goes last, in reverse order. The word of
the entry (observe, once, refuse), what is held, and the guard are asked before an operation enters the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from routed.core.guard import Limits, LineKey, find_lifeline, find_stuck_lines, limit_deletions, line_of
from routed.core.kinds import KINDS
from routed.core.kinds.cures import find_reason
from routed.core.kinds.lines import Line
from routed.model.change import Drift, Nature, Operation, Plan, Refusal, Verb
from routed.model.entries import Enforce, OnConflict
from routed.model.lifetime import BootTime, Passing
from routed.model.objects import Key, Kind, Member, Slot, Value
from routed.model.owner import Stamps
from routed.model.reasons import Flaw, LeftAlone, Observed, Reason

NO_BOOT: Final = BootTime("", 0.0)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a plan is made under."""

    stamps: Stamps
    limits: Limits = field(default_factory=Limits)
    owned: int = 0  # objects in the kernel that carry our mark
    new_entries: Container[str] = field(default_factory=frozenset)  # not in force yet since start or reload
    why_surplus_stays: Reason | None = None  # while what no entry wants must not go
    is_undecided: bool = False  # an interface of the files could be several: whose objects are surplus is not known
    is_held: Callable[[Key, Drift], bool] | None = None  # is an object in this drift left alone for now?
    displaced: Mapping[Key, Value] = field(default_factory=dict)  # what our objects took the place of; see ``Passing``
    # (kind, slot, members) → which entry of the files does not want them just now, and why
    find_withdrawal: Callable[[Kind, Slot, Sequence[Member]], Reason | None] = lambda _kind, _slot, _members: None
    find_moment: Callable[[], BootTime] = lambda: NO_BOOT  # by which lifetimes are counted
    is_place_wanted: Callable[[Kind, Slot, Hashable], bool] = lambda *_: False  # of something that stands in a line
    find_conflict: Callable[[Key], Reason | None] = lambda _key: None  # why somebody else has the place of ours


def make_plan(drifts: Iterable[Drift], notes: Iterable[Drift], policy: Policy) -> Plan:
    """The operations that bring the kernel to what the entries say."""
    operations: list[Operation] = []
    refusals: list[Refusal] = []
    left_alone: list[Drift] = []
    given = list(drifts)
    stuck = find_stuck_lines(given, partial(_is_left, policy), policy.limits, policy.stamps)
    for drift in given:
        remaining, held = _split_held(drift, policy)
        if held is not None:
            left_alone.append(held)
        if remaining is None:
            continue
        refusal = _find_stuck(remaining, stuck) or _find_refusal(remaining, policy)
        refusal = refusal or _refuse_part(remaining, given, refusals, policy)
        if refusal is not None:
            refusals.append(refusal)
        elif remaining.nature is Nature.SURPLUS:
            operations += _let_go(remaining, policy)
        else:
            operations += _cure(remaining, policy)
    allowed, kept = limit_deletions(operations, policy.owned, policy.limits)
    return Plan(tuple(sorted(allowed, key=_rank)), (*refusals, *kept), tuple(left_alone), tuple(notes))


def _cure(drift: Drift, policy: Policy) -> list[Operation]:
    return KINDS[drift.kind].cure(drift, policy.stamps[drift.kind])


def _rank(operation: Operation) -> tuple[bool, int, int]:
    """Additions before deletions; kinds in their order, and each kind's own within it; deletions in reverse.

    What others would go with is taken away before any of its kind is put. What has one rank stays as it is given.
    """
    is_deletion = operation.verb is Verb.DELETE
    if is_deletion and operation.nature is Nature.OUT_OF_ORDER:
        return (False, KINDS[operation.kind].rank, -1)
    sign = -1 if is_deletion else 1
    row = KINDS[operation.kind]
    return (is_deletion, sign * row.rank, sign * row.rank_within(operation.members[0], operation.value))


def _split_held(drift: Drift, policy: Policy) -> tuple[Drift | None, Drift | None]:
    """The part of a drift that may be touched now, and the part that is held."""
    if policy.is_held is None:
        return drift, None
    held = {member for member in drift.members if policy.is_held(Key(drift.kind, drift.slot, member), drift)}
    if not held:
        return drift, None
    free = tuple(member for member in drift.members if member not in held)
    return (
        drift._replace(members=free) if free else None,
        drift._replace(members=tuple(member for member in drift.members if member in held)),
    )


def _find_refusal(drift: Drift, policy: Policy) -> Refusal | None:
    """Why this drift is left alone, None when it is to be cured."""
    if drift.want is None:
        if policy.why_surplus_stays is not None:
            return Refusal(drift, policy.why_surplus_stays, by_guard=False)
        return Refusal(drift, LeftAlone.UNDECIDED, by_guard=False) if policy.is_undecided else None
    enforce = drift.want.entry.enforce
    if enforce is Enforce.OBSERVE:
        return Refusal(drift, Observed(LeftAlone.OBSERVED, find_reason(drift)), by_guard=False)
    is_first_time = drift.want.entry.name in policy.new_entries and drift.nature is Nature.MISSING
    if enforce is Enforce.ONCE and not is_first_time:
        return Refusal(drift, Observed(LeftAlone.ONCE, find_reason(drift)), by_guard=False)
    lifeline = find_lifeline(drift, policy.limits, policy.stamps[drift.kind])
    if lifeline is None:
        return None
    return Refusal(drift, lifeline, by_guard=drift.want.entry.on_conflict is not OnConflict.REFUSE)


def _is_left(policy: Policy, drift: Drift) -> bool:
    """Is any of this held, or left alone by the word of its entry?"""
    return _split_held(drift, policy)[1] is not None or _find_refusal(drift, policy) is not None


def _refuse_part(drift: Drift, given: Iterable[Drift], refusals: Iterable[Refusal], policy: Policy) -> Refusal | None:
    """Nothing is put into what somebody else has in the place of ours."""
    find_whole = KINDS[drift.kind].find_whole
    if find_whole is None or drift.want is None:
        return None
    whole = find_whole(drift.slot)
    if any(_speaks_of(one, whole) for one in given):
        reason = next((one.reason for one in refusals if _speaks_of(one.drift, whole)), None)
    else:
        reason = policy.find_conflict(whole)
    return None if reason is None else Refusal(drift, reason, by_guard=False)


def _speaks_of(drift: Drift, key: Key) -> bool:
    return (drift.kind, drift.slot) == key[:2] and key.member in drift.members


def _find_stuck(drift: Drift, stuck: Mapping[LineKey, Reason]) -> Refusal | None:
    """Why what is out of order stays so."""
    reason = stuck.get(line_of(drift)) if stuck and drift.nature is Nature.OUT_OF_ORDER else None
    return None if reason is None else Refusal(drift, reason, by_guard=not isinstance(reason, Flaw))


def _let_go(drift: Drift, policy: Policy) -> list[Operation]:
    """What nobody wants goes; where an entry does not want it just now, that is the reason."""
    why = policy.find_withdrawal(drift.kind, drift.slot, drift.members)
    operations = _put_back_or_delete(drift, policy)
    if why is None:
        return operations
    return [one._replace(reason=why) if one.verb is Verb.DELETE else one for one in operations]


def _put_back_or_delete(drift: Drift, policy: Policy) -> list[Operation]:
    """What took the place of a foreign object gives it back; the rest goes."""
    if not policy.displaced:
        return _cure(drift, policy)
    if (line := KINDS[drift.kind].line) and line.can_be_overruled:
        return _put_back_in_line(drift, line, policy) + _cure(drift, policy)
    keys = (Key(drift.kind, drift.slot, member) for member in drift.members)
    operations = [
        operation
        for key in keys
        if (before := policy.displaced.get(key)) is not None
        and (operation := _put_back(key, before, drift.standing[0], policy)) is not None
    ]
    if not operations:
        return _cure(drift, policy)
    gone = {operation.members[0] for operation in operations}
    others = tuple(member for member in drift.members if member not in gone)
    return operations + (_cure(drift._replace(members=others), policy) if others else [])


def _put_back_in_line(drift: Drift, line: Line, policy: Policy) -> list[Operation]:
    """What has a key of its own and was taken away from in front of ours is put again, unless its place is wanted."""
    places = {line.place(member) for member in drift.members}
    places -= {place for place in places if policy.is_place_wanted(drift.kind, drift.slot, place)}
    back = [
        (key, value)
        for key, value in policy.displaced.items()
        if (key.kind, key.slot) == (drift.kind, drift.slot) and line.place(key.member) in places
    ]
    return [
        Operation(Verb.ADD, key.kind, key.slot, (key.member,), value, None, Flaw.PUT_BACK, None, Nature.SURPLUS)
        for key, value in back
    ]


def _put_back(key: Key, before: Value, standing: Value, policy: Policy) -> Operation | None:
    """What stood under a key takes the place of ours again; None where its time is over."""
    lifetime = None
    if isinstance(before, Passing):
        lifetime = before.find_left(policy.find_moment())
        if lifetime is None:
            return None
        before = before.value
    verb = KINDS[key.kind].choose_verb(standing, before)
    return Operation(
        verb, key.kind, key.slot, (key.member,), before, None, Flaw.PUT_BACK, standing, Nature.SURPLUS, lifetime
    )
