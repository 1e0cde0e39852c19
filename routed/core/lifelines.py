"""Lifelines: what would decide after a pass, for the few addresses that the host lives by?

These are the peers of live SSH sessions, the gateways of our own routes, and the default route. The kernel says what
decides now; what the operations of a plan add and take away is laid over it here, by the kernel's own rules: policy
rules in their order, the longest prefix, the lowest metric. What would drop the packets of a lifeline, or would leave
them no way, is held back. That an object merely contains such an address is no reason: a more specific route decides.

As in ``core.effect`` each question is yielded and answered by what is sent back: ``Decision`` of a ``Question``, the
default routes of a table of an ``Exact``, and what stands in a table for an address of ``Around``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeAlias

from routed.core.guard import is_dead_end
from routed.core.rules import DEAD_ENDS, RULE_ERRORS, selects
from routed.model import names
from routed.model.change import Drift, Nature, Operation, Plan, Refusal, Verb, Want
from routed.model.lookup import PLAIN, Around, Decision, Exact, Flow, Lookup, Question
from routed.model.net import DEFAULT, family_of, is_inside, network_of
from routed.model.objects import Key, Kind, LinkMember, LinkSlot, Member, RouteSlot, RuleMember, Standing
from routed.model.prefixes import Packed
from routed.model.reasons import CutsOff, Lifeline, Reason

MOST: Final = 64  # addresses that are asked about
ROUNDS: Final = 40  # objects that are held back for one address: a list may have it in many lengths


class Lived(NamedTuple):
    """An address that the host lives by, packed, and why. The default route is the address of all zeros."""

    address: bytes
    why: Lifeline
    flow: Flow = PLAIN  # of the packets to it: those of a session have a source, which rules may select by


@dataclass(frozen=True, slots=True)
class Guarded:
    """What has to be known to tell what a plan would do to lifelines."""

    rules: Callable[[int], Sequence[RuleMember]]  # family → as they stand, in the kernel's order
    # (route's key, entry's name) → is it wanted by it? Cheaper than to look through very many members
    is_wanted: Callable[[Key, str], bool]
    origin_of: Callable[[Operation, Member], str] = lambda _operation, _member: ""  # the line that lists it, if known
    spared: Callable[[Key], bool] = lambda _key: False  # was it ours before, with this lifeline there?
    find_index: Callable[[str], int] = lambda _link: 0  # the ifindex of a link, 0 where there is none


Keeping: TypeAlias = Generator[Lookup, Any, Plan]
_Loss: TypeAlias = tuple[Operation, Member]  # by what a route goes: the route itself, or the link that it stands on


@dataclass(slots=True)
class _Draft:
    """A plan that is being cut back."""

    operations: list[Operation]
    refusals: list[Refusal] = field(default_factory=list)

    def hold_back(self, operation: Operation, member: Member, reason: Reason) -> None:
        """Leave one member of an operation out."""
        at = self.operations.index(operation)
        rest = leave_out(operation.members, member)
        self.operations[at : at + 1] = [operation._replace(members=rest)] if rest else []
        self.refusals.append(Refusal(_drift_of(operation, member), reason, by_guard=True))

    def finish(self, plan: Plan) -> Plan:
        """The plan as it is now."""
        if not self.refusals:
            return plan
        return replace(plan, operations=tuple(self.operations), refusals=(*plan.refusals, *self.refusals))


class _Candidate(NamedTuple):
    """A route that may decide, and the operation that puts it; None of what stands."""

    standing: Standing
    operation: Operation | None = None


class _Fate(NamedTuple):
    """What decides after a plan: a route or a rule, and the operation behind it. Neither: nothing does."""

    candidate: _Candidate | None = None
    rule: RuleMember | None = None
    operation: Operation | None = None


def keep_lifelines(plan: Plan, lived: Iterable[Lived], guarded: Guarded) -> Keeping:
    """The plan without what would cut off one of these."""
    draft = _Draft(list(plan.operations))
    for one in lived:
        for _ in range(ROUNDS):
            if not (yield from _hold_back_one(draft, one, guarded)):
                break
    return draft.finish(plan)


def find_flows(rules: Iterable[RuleMember], own: Iterable[bytes]) -> list[Flow]:
    """The packets of sessions as far as rules tell them apart by their source: it may be any address of this host.

    One stands for all that are alike; where no rule asks for a source, the plain one does.
    """
    sources = list(dict.fromkeys(rule.source for rule in rules if rule.source))
    alike: dict[tuple[bool, ...], Flow] = {}
    for address in own if sources else ():
        alike.setdefault(tuple(is_inside(address, source) for source in sources), Flow(address))
    return list(alike.values()) or [PLAIN]


def hold_back(plan: Plan, find_reason: Callable[[Key], Reason | None]) -> Plan:
    """The plan without the dead ends that there is a reason against."""
    draft = _Draft(list(plan.operations))
    for operation in [one for one in plan.operations if is_dead_end(one)]:
        for member in operation.members:
            reason = find_reason(Key(operation.kind, operation.slot, member))
            if reason is not None:
                at = next(one for one in draft.operations if one[1:3] == operation[1:3] and member in one.members)
                draft.hold_back(at, member, reason)
    return draft.finish(plan)


def leave_out(members: Sequence[Member], member: Member) -> Sequence[Member]:
    """The same without this one."""
    if isinstance(members, Packed):
        return members.without(member)
    return tuple(other for other in members if other != member)


def _hold_back_one(draft: _Draft, lived: Lived, guarded: Guarded) -> Generator[Lookup, Any, bool]:
    """Hold back what would cut off this lifeline. False: nothing would."""
    family = family_of(lived.address)
    prefixes = _prefixes_for(lived)
    added = list(_find_added(draft, family, prefixes, guarded))
    is_touched = any(is_dead_end(one.operation) for one in added if one.operation)
    rule_operations = list(of_kind(draft.operations, Kind.RULE, family))
    removals = [one for one in of_kind(draft.operations, Kind.ROUTE, family) if one.verb is Verb.DELETE]
    falling = dict(_find_falling(draft, guarded))
    if lived.why is not Lifeline.SESSION:
        removals, falling = [], {}
    if not (is_touched or rule_operations or removals or falling):
        return False
    now = yield from _find_present(lived)
    if now is None:
        return False  # there is no way that could be taken
    loss = _find_loss(removals, falling, now)
    standing = [] if loss or _is_replaced(now, added) else [_Candidate(now)]
    rules = _merge_rules(guarded.rules(family), rule_operations)
    if loss:
        for table in dict.fromkeys(rule.table for rule, _ in rules if rule.action == names.TO_TABLE):
            left: Sequence[Standing] = yield Around(lived.address, table)
            standing += [_Candidate(one) for one in left if one != now and not _find_loss(removals, falling, one)]
    fate = _decide(lived, rules, [*added, *standing])
    culprit = _find_culprit(fate, loss)
    if culprit is None:
        return False
    operation, member = culprit
    if culprit is not loss and guarded.spared(Key(operation.kind, operation.slot, member)):
        return False
    draft.hold_back(operation, member, CutsOff(lived.why, lived.address, guarded.origin_of(operation, member)))
    return True


def _find_present(lived: Lived) -> Generator[Lookup, Any, Standing | None]:
    """What decides for it now; None where nothing does."""
    if lived.why is not Lifeline.DEFAULT:
        decision: Decision = yield Question(lived.address, lived.flow)
        return decision.winner
    defaults: Sequence[Standing] = yield Exact(family_of(lived.address), names.TABLE_MAIN)
    best = min(
        (one for one in defaults if one.member == DEFAULT[family_of(lived.address)]), key=_metric_of, default=None
    )
    return None if best is None or best.value.type in DEAD_ENDS else best


def _metric_of(one: Standing) -> int:
    assert isinstance(one.slot, RouteSlot)
    return one.slot.metric


def _prefixes_for(lived: Lived) -> list[bytes]:
    """The prefixes of all routes that could decide for it, the longest first."""
    if lived.why is Lifeline.DEFAULT:
        return [DEFAULT[family_of(lived.address)]]
    return [network_of(lived.address, length) for length in range(len(lived.address) * 8, -1, -1)]


def _find_added(draft: _Draft, family: int, prefixes: Sequence[bytes], guarded: Guarded) -> Iterator[_Candidate]:
    """What the plan puts that could decide."""
    for operation in of_kind(draft.operations, Kind.ROUTE, family):
        if operation.verb is Verb.DELETE:
            continue
        name = operation.entry.name if operation.entry else ""
        for prefix in prefixes:
            key = Key(operation.kind, operation.slot, prefix)
            if (not name or guarded.is_wanted(key, name)) and prefix in operation.members:
                yield _Candidate(Standing(operation.slot, prefix, operation.value), operation)


def of_kind(operations: Iterable[Operation], kind: Kind, family: int) -> Iterator[Operation]:
    """Those about one kind of object of one family."""
    return (one for one in operations if one.kind is kind and one.slot.family == family)


def _find_falling(draft: _Draft, guarded: Guarded) -> Iterator[tuple[int, _Loss]]:
    """The links that the plan takes away, by ifindex: what stands on one goes with it."""
    for operation in of_kind(draft.operations, Kind.LINK, LinkSlot().family):
        for member in operation.members if operation.verb is Verb.DELETE else ():
            assert isinstance(member, LinkMember)
            if index := guarded.find_index(member.name):
                yield index, (operation, member)


def _find_loss(removals: Iterable[Operation], falling: Mapping[int, _Loss], standing: Standing) -> _Loss | None:
    """By what of a plan a route goes; the route itself first."""
    for operation in removals:
        is_it = operation.slot == standing.slot and operation.value == standing.value
        if is_it and standing.member in operation.members:
            return operation, standing.member
    fallen = [falling.get(hop.dev) for hop in standing.value.hops] if falling else []
    return fallen[0] if all(fallen) and fallen else None


def _is_replaced(now: Standing, added: Iterable[_Candidate]) -> bool:
    return any(one.standing[:2] == now[:2] for one in added)


def _merge_rules(
    standing: Sequence[RuleMember], operations: Sequence[Operation]
) -> list[tuple[RuleMember, Operation | None]]:
    """The rules after the plan, in their order: a new one goes behind its equals."""
    gone = {member for one in operations if one.verb is Verb.DELETE for member in one.members}
    merged: list[tuple[Any, Operation | None]] = [(rule, None) for rule in standing if rule not in gone]
    merged += [(rule, one) for one in operations if one.verb is not Verb.DELETE for rule in one.members]
    return sorted(merged, key=lambda pair: pair[0].priority)


def _decide(
    lived: Lived, rules: Sequence[tuple[RuleMember, Operation | None]], candidates: Sequence[_Candidate]
) -> _Fate:
    """What the kernel would do: fib_rules_lookup in net/core/fib_rules.c, fib_table_lookup in net/ipv4/fib_trie.c."""
    question, jump = Question(lived.address, lived.flow), 0
    for rule, operation in rules:
        if rule.priority < jump or rule.l3mdev or not selects(rule, question):
            continue
        if rule.action == names.GOTO:
            jump = rule.target
        elif rule.action in RULE_ERRORS:
            return _Fate(rule=rule, operation=operation)
        elif rule.action == names.TO_TABLE:
            best = _find_best(candidates, rule)
            if best is not None and best.standing.value.type != names.THROW:
                return _Fate(best, rule, best.operation)
    return _Fate()


def _find_best(candidates: Sequence[_Candidate], rule: RuleMember) -> _Candidate | None:
    best: _Candidate | None = None
    for one in candidates:
        slot, prefix, _ = one.standing
        assert isinstance(slot, RouteSlot)
        assert isinstance(prefix, bytes)
        if slot.table != rule.table or slot.tos or slot.source or prefix[-1] <= rule.suppress_prefixlength:
            continue
        if best is None or (-prefix[-1], slot.metric) < _rank(best):
            best = one
    return best


def _rank(one: _Candidate) -> tuple[int, int]:
    assert isinstance(one.standing.member, bytes)
    return -one.standing.member[-1], _metric_of(one.standing)


def _find_culprit(fate: _Fate, loss: _Loss | None) -> _Loss | None:
    """The operation, and the member of it, that would cut the lifeline off."""
    if fate.candidate is not None:
        is_dropped = fate.candidate.standing.value.type in DEAD_ENDS
        if is_dropped and fate.operation is not None:
            return fate.operation, fate.candidate.standing.member
        if not is_dropped:
            return None
    elif fate.rule is not None:
        return (fate.operation, fate.rule) if fate.operation is not None else None
    return loss


def _drift_of(operation: Operation, member: Member) -> Drift:
    if operation.verb is Verb.DELETE:
        return Drift(operation.nature, operation.kind, operation.slot, (member,), None, (operation.value,))
    want = Want(operation.entry, operation.value) if operation.entry else None
    standing = () if operation.before is None else (operation.before,)
    return Drift(
        operation.nature if want else Nature.SURPLUS, operation.kind, operation.slot, (member,), want, standing
    )
