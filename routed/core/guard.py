"""What routed refuses to do unasked: take over a lifeline, or take away too much at once.

Only decisions about safety belong here. A refusal is a value with a reason; nothing is ever dropped in silence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from routed.core.kinds import KINDS
from routed.model.change import Drift, Nature, Operation, Plan, Refusal, Verb
from routed.model.entries import OnConflict
from routed.model.objects import Key, Kind, Member, Slot
from routed.model.owner import Owner, Stamp, Stamps
from routed.model.reasons import (
    CarriesSession,
    Drained,
    FirstContact,
    Flaw,
    LeftAlone,
    Reason,
    TooMany,
    Withdrawn,
    WouldFall,
    is_by_check,
)
from routed.model.text import differs_in_mark

LineKey = tuple[Kind, Slot, Hashable]

FEW: Final = 10  # so many deletions are always allowed


@dataclass(frozen=True, slots=True)
class Limits:
    """What the guard goes by in one pass."""

    max_deletes: float = 0.5  # share of the owned objects
    is_forced: bool = False  # ``apply --force``: the deletions were asked for by name
    ssh_peers: frozenset[bytes] = frozenset()
    # peer → the routes that carry it; None: what contains it counts
    carriers: Mapping[bytes, Container[Key]] | None = None
    contacted: Container[Key] = field(default_factory=frozenset)  # keys that were ours before
    ssh_addresses: frozenset[bytes] = frozenset()  # of this host, on which SSH sessions are
    # (kind, slot, members that nobody wants) → how many of them which entry wanted before
    count_former: Callable[[Kind, Slot, Sequence[Member]], Mapping[str, int]] = lambda *_: {}


def find_lifeline(drift: Drift, limits: Limits, stamp: Stamp) -> Reason | None:
    """Why a foreign object in our place must not be displaced unasked, None when it may be."""
    if drift.nature not in {Nature.FOREIGN, Nature.BEHIND} or drift.want is None:
        return None
    if drift.want.entry.on_conflict is OnConflict.REPLACE:
        return None
    first = drift.standing[0]
    if drift.want.entry.on_conflict is OnConflict.REFUSE:
        return None if first == drift.want.theirs else LeftAlone.REFUSED
    if stamp(first) is Owner.KERNEL:
        return LeftAlone.KERNELS_OWN
    lifelines = KINDS[drift.kind].list_lifelines(drift.slot, limits.ssh_peers)
    if not lifelines or differs_in_mark(drift.kind, first, drift.want.value):
        return None
    for member in drift.members:
        key = Key(drift.kind, drift.slot, member)
        why = lifelines.get(member) if key not in limits.contacted else None
        if why and (why := _find_carried(key, why, limits)):
            return why
    return None


def line_of(drift: Drift) -> LineKey:
    """The line that the first object of a drift stands in."""
    line = KINDS[drift.kind].line
    assert line is not None
    return drift.kind, drift.slot, line.of(drift.members[0])


def find_stuck_lines(
    drifts: Iterable[Drift], is_left: Callable[[Drift], bool], limits: Limits, stamps: Stamps
) -> dict[LineKey, Reason]:
    """The lines that stay out of order, and why. A line is put in order as a whole, or what moves would move for ever.

    Unasked nothing goes that is not ours, and nothing over which the operator may be logged in.
    """
    wrong = [drift for drift in drifts if drift.nature is Nature.OUT_OF_ORDER]
    if not wrong:
        return {}
    lines: defaultdict[LineKey, list[Drift]] = defaultdict(list)
    for drift in wrong:
        lines[line_of(drift)].append(drift)
    return {where: why for where, some in lines.items() if (why := _find_why_stuck(some, is_left, limits, stamps))}


def _find_why_stuck(
    drifts: Sequence[Drift], is_left: Callable[[Drift], bool], limits: Limits, stamps: Stamps
) -> Reason | None:
    kind, line = drifts[0].kind, KINDS[drifts[0].kind].line
    assert line is not None
    if any(map(is_left, drifts)):
        return Flaw.OUT_OF_ORDER
    if limits.is_forced:
        return None
    others = drifts[0].others
    foreign = tuple(line.address(one.member) for one in others if not stamps[kind](one.value).is_ours)
    if foreign:
        return WouldFall(foreign)
    moved = {line.address(member) for drift in drifts for member in drift.members}
    carrying = sorted(moved & limits.ssh_addresses)
    return CarriesSession(carrying[0]) if carrying else None


def _find_carried(key: Key, why: Reason, limits: Limits) -> Reason | None:
    """Whose packets go by this route, where it is known: to contain an address is not to carry it."""
    if limits.carriers is None or why == FirstContact():
        return why
    carried = (peer for peer in sorted(limits.ssh_peers) if key in limits.carriers.get(peer, ()))
    return next(map(FirstContact, carried), None)


def may_cut_off(plan: Plan) -> bool:
    """Does a plan put anything that drops packets, or take anything away? Else no lifeline is in danger."""
    return any(operation.verb is Verb.DELETE or is_dead_end(operation) for operation in plan.operations)


def is_dead_end(operation: Operation) -> bool:
    """Does an operation put something that drops packets?"""
    return operation.verb is not Verb.DELETE and KINDS[operation.kind].drops(operation.members[0], operation.value)


def limit_deletions(
    operations: Sequence[Operation], owned: int, limits: Limits, beginning: Sequence[Drift] = ()
) -> tuple[list[Operation], list[Refusal]]:
    """Hold back the deletions of what no entry wants when they are too many for one pass.

    What begins to drain counts as deleted, and so does what stays for its sake: nothing asks again when it is over.
    Counted net: an entry that exchanges a hundred prefixes for a hundred others deletes nothing. Additions always pass,
    and so does what goes because a check said so: a failover must not be held.
    """
    surplus = [op for op in operations if _removes_surplus(op) and not _is_by_check(op)]
    allowed = max(FEW, int(owned * limits.max_deletes))
    leaving: list[Operation | Drift] = [*surplus, *beginning]
    total = sum(len(one.members) for one in leaving)
    if limits.is_forced or total <= allowed or _count_net(operations, leaving, limits) <= allowed:
        return list(operations), []
    reason = TooMany(total, owned, allowed)
    refusals = [
        Refusal(
            Drift(Nature.SURPLUS, operation.kind, operation.slot, operation.members, None, (operation.value,)),
            reason,
            by_guard=True,
        )
        for operation in surplus
    ]
    refusals += [Refusal(drift, reason, by_guard=True) for drift in beginning]
    held = set(map(id, surplus))
    return [operation for operation in operations if id(operation) not in held], refusals


def _removes_surplus(operation: Operation) -> bool:
    if operation.nature is not Nature.SURPLUS or operation.verb is not Verb.DELETE:
        return False
    return not isinstance(operation.reason, Drained)  # that was counted when its drain began


def _is_by_check(operation: Operation) -> bool:
    return isinstance(operation.reason, Withdrawn) and is_by_check(operation.reason.why)


def _count_net(operations: Iterable[Operation], leaving: Iterable[Operation | Drift], limits: Limits) -> int:
    """Deletions less the additions of the same entry; where the entry is not known, of the same slot."""
    removed: Counter[object] = Counter()
    for one in leaving:
        counts = Counter(limits.count_former(one.kind, one.slot, one.members))
        removed.update(counts)
        removed[one.slot] += len(one.members) - counts.total()
    added: Counter[object] = Counter()
    for operation in operations:
        if operation.verb is Verb.ADD and operation.entry is not None:
            bucket = operation.entry.name if operation.entry.name in removed else operation.slot
            added[bucket] += len(operation.members)
    return sum(max(0, count - added[bucket]) for bucket, count in removed.items())
