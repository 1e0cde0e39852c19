"""From drift to a plan: which operations, in which order, and what is left alone and why.

Make before break: what others stand on comes first, what nobody wants any more goes last, in reverse order. The word of
the entry (observe, once, refuse), what is held, and the guard are asked before an operation enters the plan.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from routed.core.drain import begin_drains
from routed.core.guard import Limits, LineKey, find_lifeline, find_stuck_lines, limit_deletions, line_of
from routed.core.kinds import KINDS
from routed.core.kinds.cures import find_reason
from routed.core.kinds.lines import Line
from routed.core.used import Users, find_used, split_used
from routed.model.change import Drift, Nature, Operation, Plan, Refusal, Verb
from routed.model.drain import NOTHING_LEAVES, Leaving, Stay
from routed.model.entries import Enforce, Entry, OnConflict
from routed.model.lifetime import ENDLESS, BootTime, Passing
from routed.model.objects import Key, Kind, Member, Slot, Value
from routed.model.owner import Stamps
from routed.model.reasons import Drained, Flaw, LeftAlone, Observed, Reason

NO_BOOT: Final = BootTime("", 0.0)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a plan is made under."""

    stamps: Stamps
    limits: Limits = field(default_factory=Limits)
    owned: int = 0  # objects in the kernel that carry our mark
    new_entries: Container[str] = field(default_factory=frozenset)  # not in force yet since start or reload
    why_surplus_stays: Reason | None = None  # while what no entry wants must not go
    why_unsettled: Reason | None = None  # while it is not known who is no member: what nobody is known for stays
    is_undecided: bool = False  # an interface of the files could be several: whose objects are surplus is not known
    is_held: Callable[[Key, Drift], bool] | None = None  # is an object in this drift left alone for now?
    displaced: Mapping[Key, Value] = field(default_factory=dict)  # what our objects took the place of; see ``Passing``
    # (kind, slot, members that nobody wants) → these by the entries that they belong to all the same
    share_out: Callable[[Kind, Slot, Sequence[Member]], Iterable[tuple[Entry | None, Sequence[Member]]]] | None = None
    # why the entry that it belongs to does not want it just now
    find_withdrawal: Callable[[Drift], Reason | None] = lambda _drift: None
    find_moment: Callable[[], BootTime] = lambda: NO_BOOT  # by which lifetimes are counted
    taken: Mapping[Slot, Mapping[Member, Value]] = field(default_factory=dict)  # gone even where somebody else made it
    is_place_wanted: Callable[[Kind, Slot, Hashable], bool] = lambda *_: False  # of something that stands in a line
    find_conflict: Callable[[Key], Reason | None] = lambda _key: None  # why somebody else has the place of ours
    leaving: Leaving = NOTHING_LEAVES  # what no entry wants, and stays for now
    users: Users = field(default_factory=dict)  # what stands on what is to go
    find_absent: Callable[[Key], Reason | None] = lambda _key: None  # why something that others stand on is not there


def make_plan(drifts: Iterable[Drift], notes: Iterable[Drift], policy: Policy) -> Plan:
    """The operations that bring the kernel to what the entries say."""
    operations: list[Operation] = []
    refusals: list[Refusal] = []
    left_alone: list[Drift] = []
    draining: list[Refusal] = []
    given = [part for drift in split_used(drifts, policy.users) for part in _split_by_entry(drift, policy)]
    stuck = find_stuck_lines(given, partial(_is_left, policy), policy.limits, policy.stamps)
    wholes: dict[Key, Reason | None] = {}  # what others stand in, if it is in drift itself: why it is left alone
    absent = _find_absent(given, policy)
    for drift in sorted(given, key=_stands_in_another):
        remaining, held = _split_held(drift, policy)
        if held is not None:
            left_alone.append(held)
        refusal = remaining and (
            _find_stuck(remaining, stuck)
            or _find_refusal(remaining, policy)
            or _refuse_part(remaining, wholes, policy)
            or _refuse_to_take(remaining, policy)
            or _refuse_without_base(remaining, absent, policy)
        )
        if KINDS[drift.kind].has_parts:
            wholes |= {Key(drift.kind, drift.slot, one): refusal and refusal.reason for one in drift.members}
        if refusal is not None:
            refusals.append(refusal)
        elif remaining is not None and remaining.nature is Nature.SURPLUS:
            staying, going = _split_leaving(remaining, policy.leaving)
            draining += staying
            for part in going:
                _take_up(part, _let_go(part, policy), operations, refusals, policy)
        elif remaining is not None and remaining.nature is Nature.TAKEN:
            operations += _give_back(remaining, policy)
        elif remaining is not None:
            _take_up(remaining, _cure(remaining, policy), operations, refusals, policy)
    operations = list(_give_back_once(operations)) if any(map(_gives_back, operations)) else operations
    beginning = [one for one in draining if _begins(one.drift, policy.leaving)]
    allowed, kept = limit_deletions(operations, policy.owned, policy.limits, [one.drift for one in beginning])
    if kept:
        draining = [one for one in draining if not _begins(one.drift, policy.leaving)]
    return Plan(
        _sort([*begin_drains(draining, policy.leaving), *allowed]),
        (*refusals, *kept),
        tuple(left_alone),
        tuple(notes),
        draining=tuple(draining),
        leaving=policy.leaving,
    )


def _split_by_entry(drift: Drift, policy: Policy) -> Iterator[Drift]:
    """What nobody wants may belong to an entry all the same, whose word and whose pause hold for it."""
    if drift.want is not None or policy.share_out is None:
        yield drift
        return
    for entry, members in policy.share_out(drift.kind, drift.slot, drift.members):
        yield (
            drift
            if entry is None and len(members) == len(drift.members)
            else drift._replace(whose=entry, members=members)
        )


def _take_up(
    drift: Drift, cure: list[Operation], operations: list[Operation], refusals: list[Refusal], policy: Policy
) -> None:
    """Have it done, unless it would do harm to what stands on it."""
    refusal = find_used(drift, cure, operations, policy.users) if policy.users else None
    if refusal is None:
        operations += cure
    else:
        refusals.append(refusal)


def _find_absent(drifts: Iterable[Drift], policy: Policy) -> dict[Key, Reason | None]:
    """What others stand on and is not ours yet: why these have to wait, or None where it is put in this pass."""
    absent: dict[Key, Reason | None] = {}
    for drift in sorted(drifts, key=_rank_base):
        why_absent = KINDS[drift.kind].why_absent
        if why_absent is None or drift.nature not in {Nature.MISSING, Nature.FOREIGN}:
            continue
        free, _ = _split_held(drift, policy)
        is_left = (
            free is None
            or _find_refusal(free, policy)
            or _refuse_without_base(free, absent, policy)
            or find_used(free, _cure(free, policy), (), policy.users)
        )
        put = () if is_left or free is None else free.members
        absent |= {
            Key(drift.kind, drift.slot, member): None if member in put else why_absent(member)
            for member in drift.members
        }
    return absent


def _rank_base(drift: Drift) -> int:
    """What others of its kind stand on comes first."""
    has_value = drift.want is not None and drift.want.value is not None
    return KINDS[drift.kind].rank_within(drift.members[0], drift.want.value) if has_value and drift.want else 0


def _refuse_without_base(drift: Drift, absent: Mapping[Key, Reason | None], policy: Policy) -> Refusal | None:
    """Nothing is put onto what is not there."""
    row = KINDS[drift.kind]
    if not row.has_bases or drift.want is None:
        return None
    bases = row.find_bases(drift.want.value)
    reasons = (absent[base] if base in absent else policy.find_absent(base) for base in bases)
    reason = next((reason for reason in reasons if reason is not None), None)
    return None if reason is None else Refusal(drift, reason, by_guard=False)


def _cure(drift: Drift, policy: Policy) -> list[Operation]:
    return KINDS[drift.kind].cure(drift, policy.stamps[drift.kind])


def _sort(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    claims = {_find_claim(operation) for operation in operations if operation.verb is not Verb.DELETE} - {None}
    return tuple(sorted(operations, key=partial(_rank, claims)))


def _find_claim(operation: Operation) -> Hashable:
    """What nothing else of its kind may have beside it."""
    claim = KINDS[operation.kind].find_claim(operation.value)
    return None if claim is None else (operation.kind, claim)


def _rank(claims: Container[Hashable], operation: Operation) -> tuple[bool, int, int]:
    """Additions before deletions; kinds in their order, and each kind's own within it; deletions in reverse.

    What others would go with is taken away before any of its kind is put, and so is what has what one of these
    ``claims``. What has one rank stays as it is given.
    """
    is_deletion = operation.takes_away
    if is_deletion and (operation.nature is Nature.OUT_OF_ORDER or _find_claim(operation) in claims):
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
        if policy.why_unsettled is not None and not _is_known(drift, policy):
            return Refusal(drift, policy.why_unsettled, by_guard=False)
        if policy.is_undecided:
            return Refusal(drift, LeftAlone.UNDECIDED, by_guard=False)
        return _find_word(drift)
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


def _is_known(drift: Drift, policy: Policy) -> bool:
    """Is it known which entries wanted all of this before?"""
    former = policy.limits.count_former(drift.kind, drift.slot, drift.members)
    return sum(former.values()) == len(drift.members)


def _find_word(drift: Drift) -> Refusal | None:
    """What the entry says of a surplus that belongs to it. To take away what it put once is no repair."""
    if drift.whose is None:
        return None
    if drift.whose.enforce is Enforce.OBSERVE:
        return Refusal(drift, Observed(LeftAlone.OBSERVED, find_reason(drift)), by_guard=False)
    if drift.whose.enforce is Enforce.ONCE and _stands_in_another(drift):
        return Refusal(drift, Observed(LeftAlone.ONCE, find_reason(drift)), by_guard=False)
    return None


def _is_left(policy: Policy, drift: Drift) -> bool:
    """Is any of this held, or left alone by the word of its entry?"""
    return _split_held(drift, policy)[1] is not None or _find_refusal(drift, policy) is not None


def _stands_in_another(drift: Drift) -> bool:
    return KINDS[drift.kind].find_whole is not None


def _refuse_part(drift: Drift, wholes: Mapping[Key, Reason | None], policy: Policy) -> Refusal | None:
    """Nothing is put into what somebody else has in the place of ours."""
    find_whole = KINDS[drift.kind].find_whole
    if find_whole is None or (drift.want is None and not _is_foreign(drift, policy)):
        return None
    whole = find_whole(drift.slot)
    reason = wholes[whole] if whole in wholes else policy.find_conflict(whole)
    return None if reason is None else Refusal(drift, reason, by_guard=False)


def _refuse_to_take(drift: Drift, policy: Policy) -> Refusal | None:
    """What somebody else made goes for a while only where it is just as it is written."""
    if drift.nature is not Nature.SURPLUS or not _is_foreign(drift, policy):
        return None
    taken = policy.taken.get(drift.slot, {})
    is_as_written = all(taken.get(member) == drift.standing[0] for member in drift.members)
    return None if is_as_written else Refusal(drift, LeftAlone.REFUSED, by_guard=False)


def _is_foreign(drift: Drift, policy: Policy) -> bool:
    return any(not policy.stamps[drift.kind](value).is_ours for value in drift.standing)


def _find_stuck(drift: Drift, stuck: Mapping[LineKey, Reason]) -> Refusal | None:
    """Why what is out of order stays so."""
    reason = stuck.get(line_of(drift)) if stuck and drift.nature is Nature.OUT_OF_ORDER else None
    return None if reason is None else Refusal(drift, reason, by_guard=not isinstance(reason, Flaw))


def _let_go(drift: Drift, policy: Policy) -> list[Operation]:
    """What nobody wants goes; where an entry does not want it just now, that is the reason."""
    why = _find_end(drift, policy) or policy.find_withdrawal(drift)
    operations = _put_back_or_delete(drift, policy)
    if why is None:
        return operations
    return [one._replace(reason=why) if one.verb is Verb.DELETE else one for one in operations]


def _split_leaving(drift: Drift, leaving: Leaving) -> tuple[list[Refusal], list[Drift]]:
    """What stays for now, by why it does, and what goes, by why it does not stay any longer."""
    if not (leaving.stays or leaving.over):
        return [], [drift]
    staying: defaultdict[Stay, list[Member]] = defaultdict(list)
    going: defaultdict[bool | None, list[Member]] = defaultdict(list)
    for member in drift.members:
        key = Key(drift.kind, drift.slot, member)
        stay = leaving.stays.get(key)
        (going[leaving.over.get(key)] if stay is None else staying[stay._replace(value=None)]).append(member)
    parts = (Refusal(drift._replace(members=tuple(some)), one.reason, by_guard=False) for one, some in staying.items())
    return list(parts), [drift._replace(members=tuple(some)) for some in going.values()]


def _begins(drift: Drift, leaving: Leaving) -> bool:
    """Does what stays begin to leave only now? All members of a drift do, or none."""
    return leaving.stays[Key(drift.kind, drift.slot, drift.members[0])].is_new


def _find_end(drift: Drift, policy: Policy) -> Reason | None:
    """That it was drained; all members of a drift were, or none."""
    is_empty = policy.leaving.over.get(Key(drift.kind, drift.slot, drift.members[0])) if policy.leaving.over else None
    return None if is_empty is None else Drained(is_empty)


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


def _give_back(drift: Drift, policy: Policy) -> list[Operation]:
    """What was taken from somebody else stands again."""
    keys = (Key(drift.kind, drift.slot, member) for member in drift.members)
    found = (_put_back(key, policy.displaced[key], None, policy) for key in keys)
    return [operation for operation in found if operation is not None]


def _give_back_once(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Where several of ours stood under one key, what comes back takes the place of the first, and all others go."""
    keys = [Key(one.kind, one.slot, one.members[0]) for one in operations if _gives_back(one)]
    several, given = {key for key, count in Counter(keys).items() if count > 1}, set[Key]()
    for one in operations:
        key = Key(one.kind, one.slot, one.members[0])
        if not (key in several and _gives_back(one)):
            yield one
            continue
        if key not in given:
            yield one
        given.add(key)
        yield one._replace(verb=Verb.DELETE, value=one.before, reason=Flaw.UNWANTED, lifetime=None)


def _gives_back(operation: Operation) -> bool:
    return operation.reason is Flaw.PUT_BACK and operation.before is not None


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


def _put_back(key: Key, before: Value, standing: Value | None, policy: Policy) -> Operation | None:
    """What stood under a key takes the place of ours again; None where its time is over."""
    lifetime = None
    if isinstance(before, Passing):
        lifetime = before.find_left(policy.find_moment())
        if lifetime is None:
            return None
        before, lifetime = before.value, None if lifetime == ENDLESS else lifetime
    verb = Verb.ADD if standing is None else KINDS[key.kind].choose_verb(standing, before)
    return Operation(
        verb, key.kind, key.slot, (key.member,), before, None, Flaw.PUT_BACK, standing, Nature.SURPLUS, lifetime
    )
