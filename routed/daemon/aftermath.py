"""After a pass: what it means for the next one, and for the state that ``routed status`` shows.

Failures become holds with a next try, repairs against other processes are counted, and every object that is not in sync
gets a reason. Nothing here touches the kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from routed.core.desired import scope_of
from routed.core.holds import GROUP, Hold, Subject, Why
from routed.core.kinds import KINDS
from routed.core.troubles import State, Trouble, Troubled
from routed.core.vip import find_unproved, key_of
from routed.core.waiting import PASSING, is_waiting
from routed.daemon.host import Host
from routed.daemon.observe import Comparison
from routed.daemon.report import Ended, Fight, Report
from routed.daemon.status import vocabulary_of
from routed.model.change import Cause, Drift, Failure, Nature, Operation, Outcome, Plan, Refusal, Verb
from routed.model.entries import Enforce
from routed.model.objects import Key, Kind, Member, Scope, Slot, Value
from routed.model.reasons import Draining, Flaw, LeftAlone, Look, NoNexthop, Observed, Reason, Sign, Withdrawn
from routed.model.text import differs_in_mark

MOST_POLLED: Final = 6  # repairs that are a fight where only looks find changes: a look misses most of them
LAST_ATTEMPT: Final = 8  # to put something back: half a minute after the first
STATE_OF = {Why.FAILED: State.FAILED, Why.WAITING: State.WAITING, Why.FIGHT: State.HELD, Why.PAUSED: State.PAUSED}


def subjects_of(operation: Operation, members: Sequence[Member], entry: str) -> list[Subject]:
    """What is held: the objects of a group one by one, or their entry when they are very many."""
    if len(members) > GROUP and entry:
        return [entry]
    return [Key(operation.kind, operation.slot, member) for member in members]


def note_outcomes(host: Host, report: Report, mine: int, now: float, jitter: float) -> list[Fight]:
    """Holds for what failed and for what is fought over. Returns the fights that began."""
    fights: list[Fight] = []
    most = host.wanted.intent.settings.fight_limit
    for outcome in report.outcomes:
        operation = outcome.operation
        limit = None if most is None else min(most, MOST_POLLED) if outcome.cause.reason is Look.POLLED else most
        entry = operation.entry.name if operation.entry else ""
        forgotten = _forget_displaced(host, outcome, report.postponed)
        if isinstance(operation.reason, Withdrawn) and outcome.done:
            host.wanted.note_withdrawn(operation.reason.entry)
        if host.ledger.holds.active:  # whatever was held and touched all the same: the reason of its hold is over
            for subject in (entry, *subjects_of(operation, operation.members, entry)):
                host.ledger.holds.end_fight(subject, now)
        for failure in outcome.failures:
            key = Key(operation.kind, operation.slot, failure.member)
            waits = is_waiting(operation.kind, failure.errno)
            if key not in forgotten:
                cause = outcome.cause if operation.nature is Nature.MISSING else None
                host.ledger.holds.note_failure(key, failure.reason, now, is_waiting=waits, jitter=jitter, cause=cause)
        done = outcome.done
        if operation.verb is Verb.CHANGE:
            _wake_above(host, operation.kind, operation.slot, done)
        is_against_somebody = _is_against_somebody(outcome, mine)
        is_counted = limit is not None and is_against_somebody
        for subject in subjects_of(operation, done, entry) if is_counted or host.ledger.holds.active else ():
            host.ledger.holds.note_success(subject)
            if limit is not None and is_against_somebody:
                count = host.ledger.holds.note_adoption if _is_adoption(operation) else host.ledger.holds.note_repair
                hold = count(subject, outcome.cause, limit, now)
                fights += [Fight(entry, subject, hold)] if hold else []
    return fights


def _wake_above(host: Host, kind: Kind, slot: Slot, members: Collection[Member]) -> None:
    """Something was put on which others stand: what went with it, or had to wait for it, is looked at again."""
    scopes = host.wanted.find_scopes_above(kind, slot, members)
    if not scopes:
        return
    host.schedule.dirt.add_scopes(scopes, Cause(None, Sign.PUT_UNDER))
    for subject in list(host.ledger.holds.active):
        if isinstance(subject, Key) and scope_of(subject.kind, subject.slot) in scopes:
            host.ledger.holds.note_success(subject)


def _is_against_somebody(outcome: Outcome, mine: int) -> bool:
    """Does this undo what somebody else did? Where no event tells of changes, only other processes make any."""
    operation, cause = outcome.operation, outcome.cause
    if cause.reason is Look.POLLED:
        return operation.verb is not Verb.DELETE or not isinstance(operation.reason, Withdrawn)
    return cause.port not in {None, 0, mine} and operation.nature is not Nature.SURPLUS


def _is_adoption(operation: Operation) -> bool:
    before = operation.before
    return before is not None and differs_in_mark(operation.kind, before, operation.value)


def forget_former(host: Host, report: Report) -> None:
    """Where this pass left nothing that nobody wants, nobody needs to know who wanted it."""
    left = [*report.plan.held, *(refusal.drift for refusal in (*report.plan.refusals, *report.plan.draining))]
    scopes = {scope_of(drift.kind, drift.slot) for drift in left if drift.want is None}
    scopes |= {scope_of(o.operation.kind, o.operation.slot) for o in report.outcomes if o.failures}
    looked_at = host.wanted.former.find_scopes() if report.dirt.everything else report.scopes
    host.wanted.forget_former(looked_at - scopes - report.postponed - host.schedule.dirt.scopes.keys())


def forget_marks(host: Host, report: Report, found: set[int]) -> None:
    """A former protocol number is ours until a full pass found nothing that carries it.

    What a pass found it may have changed, removed, failed at or left to the guard: only another pass can tell. That one
    comes at once where something was done.
    """
    if not host.wanted.former_protocols or not report.dirt.everything:
        return
    if found and report.outcomes and report.dirt.everything.reason is not Look.SEARCH:
        host.look_at_everything(Cause(None, Look.SEARCH))
    if not host.schedule.dirt:  # else something has not been looked at, or has changed meanwhile
        host.wanted.forget_marks(found)


def note_troubles(host: Host, report: Report, comparison: Comparison, now: float) -> list[Ended]:
    """Bring the list of what is not in sync up to date for everything that this pass looked at.

    Returns the troubles that are over.
    """
    dirt, scopes = report.dirt, set(comparison.scopes)
    if dirt.everything:  # then everything that carries our mark was looked at, also where nothing is wanted
        scopes |= host.ledger.troubles.find_scopes() - host.wanted.desired.scopes()
    left_out = host.under_way.overtaken - dirt.keys.keys()  # another pass knew these better
    over = host.ledger.note_troubles(_find_troubles(host, report, now), scopes, dirt.keys, left_out)
    for troubled in over:
        _wake_above(host, troubled.kind, troubled.slot, troubled.members)
    ended = {(one.entry, one.subject): one for troubled in over for one in _end(host, troubled)}  # an entry once
    host.ledger.forget_shadowed(host.wanted.desired.get)
    _note_vips(host, now)
    if dirt.needs_dump:  # single keys may be put right before anybody has looked at the others
        host.note_in_order()
    elif host.wanted.new_entries:
        again = host.schedule.dirt.scopes  # where the kernel said that something else stands there
        host.note_keys_in_order({key for key in dirt.keys if scope_of(key.kind, key.slot) not in again})
    return list(ended.values())


def _note_vips(host: Host, now: float) -> None:
    """The proof of every VIP whose route is in order: does the kernel take the node's address for a source?"""
    vips = host.wanted.needs.vips
    if vips:
        found = find_unproved(vips, host.wanted.desired.resolutions, host.world.facts, vocabulary_of(host))
        in_order = {key: why for key, why in found.items() if key not in host.ledger.troubles}
        host.ledger.note_shadowed({key_of(vip) for vip in vips}, in_order, now)


def _end(host: Host, over: Troubled) -> Iterator[Ended]:
    """Somebody else put it right, or nobody wants it any more. Of very many only that the last of them is over."""
    kind, slot, members, trouble = over
    if host.ledger.holds.active:
        for member in members:
            host.ledger.holds.note_success(Key(kind, slot, member))
    if len(members) <= GROUP:
        for key in (Key(kind, slot, member) for member in members):
            want = host.wanted.desired.get(key)
            yield Ended(want.entry.name if want else "", key, trouble)
    elif trouble.entry and not host.ledger.troubles.has(trouble.entry, trouble.state):
        yield Ended(trouble.entry, trouble.entry, trouble)


def _find_undetected(host: Host) -> Iterator[Troubled]:
    """Addresses that failed duplicate detection, were put anew, and are being probed: that is no success yet.

    The kernel tells of a new IPv6 address when that is over (addrconf_dad_completed in net/ipv6/addrconf.c).
    """
    for key, hold in host.ledger.holds.active.items():
        if hold.reason is Flaw.DUPLICATE and isinstance(key, Key):
            fact = host.world.facts.addresses.get(key.member)  # type: ignore[call-overload]
            want = host.wanted.desired.get(key)
            if (fact is None or fact.is_tentative or fact.has_failed_dad) and want is not None:
                trouble = Trouble(State.FAILED, hold.reason, hold.since, (), want.entry.name)
                yield Troubled(key.kind, key.slot, (key.member,), trouble)


def find_troubles_of_plan(host: Host, plan: Plan, began: float, now: float) -> Iterator[Troubled]:
    """What a plan does nothing about, and why."""
    for drift, reason, _ in plan.draining:
        yield Troubled(drift.kind, drift.slot, drift.members, Trouble(State.DRAINING, reason, now, drift.standing))
    for refusal in plan.refusals:
        drift = refusal.drift
        state = _find_state(refusal)
        name = "" if state is State.HELD else drift.entry_name
        trouble = Trouble(state, refusal.reason, now, drift.standing, name)
        yield Troubled(drift.kind, drift.slot, drift.members, trouble)
    for drift in plan.held:
        yield from _find_held(host, drift, began)
    for drift in plan.former:
        trouble = Trouble(State.WAITING, Flaw.FORMER, now, drift.standing, drift.entry_name)
        yield Troubled(drift.kind, drift.slot, drift.members, trouble)


def _find_troubles(host: Host, report: Report, now: float) -> Iterator[Troubled]:
    yield from _find_undetected(host)
    yield from find_troubles_of_plan(host, report.plan, report.began, now)
    for outcome in report.outcomes:
        operation, alike = outcome.operation, defaultdict[tuple[State, Reason], list[Failure]](list)
        for failure in outcome.failures:
            state = State.WAITING if is_waiting(operation.kind, failure.errno) else State.FAILED
            alike[state, failure.reason].append(failure)
        name = operation.entry.name if operation.entry else ""
        for (state, reason), failures in alike.items():
            trouble = Trouble(state, reason, now, _standing(operation.before), name)
            yield Troubled(operation.kind, operation.slot, [failure.member for failure in failures], trouble)


def _find_state(refusal: Refusal) -> State:
    drift = refusal.drift
    if isinstance(refusal.reason, Observed):
        return State.DRIFT
    if isinstance(refusal.reason, NoNexthop):
        return State.WAITING
    if drift.want is None:
        return State.CONFLICT if refusal.reason is LeftAlone.REFUSED else State.HELD
    is_conflict = drift.want.entry.enforce is Enforce.REPAIR and drift.nature is not Nature.OUT_OF_ORDER
    return State.CONFLICT if is_conflict else State.DRIFT


def split_by_hold(host: Host, drift: Drift, began: float) -> Iterator[tuple[Hold, list[Member]]]:
    """The objects that a hold kept from being touched, if it ended since, too; together where it is the same one."""
    alike: defaultdict[Hold, list[Member]] = defaultdict(list)
    for member in drift.members:
        hold = host.ledger.holds.find(Key(drift.kind, drift.slot, member), drift.entry_name, began)
        if hold is not None:
            alike[hold].append(member)
    yield from alike.items()


def _find_held(host: Host, drift: Drift, began: float) -> Iterator[Troubled]:
    for hold, members in split_by_hold(host, drift, began):
        if hold.why is Why.YIELDED:  # it does its work
            continue
        trouble = Trouble(STATE_OF[hold.why], hold.reason, hold.since, drift.standing, drift.entry_name)
        yield Troubled(drift.kind, drift.slot, members, trouble)


def _forget_displaced(host: Host, outcome: Outcome, postponed: set[Scope]) -> set[Key]:
    """What was put back is displaced no more, nor is that whose place is free. Returns what can never be put back.

    For what it stood on is gone (a link, an address, a next hop object), or it was refused again and again.
    Ours, which nobody wants, has to go all the same.
    """
    kind, slot = outcome.operation.kind, outcome.operation.slot
    if KINDS[kind].has_parts and host.ledger.displaced:  # in what is ours now, or gone, nobody else has anything
        host.ledger.forget_displaced(_list_parts_of(host, {Key(kind, slot, member) for member in outcome.done}))
    is_gone = outcome.operation.nature is Nature.SURPLUS and not isinstance(outcome.operation.reason, Draining)
    if not is_gone or not host.ledger.displaced:
        return set()
    lost: set[Key] = set()
    if outcome.operation.verb is not Verb.DELETE:
        is_last = outcome.cause.reason is Look.STOP
        keys = ((Key(kind, slot, failure.member), failure.errno) for failure in outcome.failures)
        lost = {key for key, errno in keys if is_last or errno not in PASSING or _was_refused_for_long(host, key)}
    if lost:
        host.schedule.dirt.add_scopes([scope_of(kind, slot), *postponed], outcome.cause)
    for_now = host.wanted.desired.find_removed(kind).get(slot, {})
    host.ledger.forget_displaced(lost.union(Key(kind, slot, one) for one in outcome.done if one not in for_now))
    return lost


def _list_parts_of(host: Host, wholes: AbstractSet[Key]) -> list[Key]:
    """What of the displaced stood in one of these."""
    found = ((key, KINDS[key.kind].find_whole) for key in host.ledger.displaced)
    return [key for key, find_whole in found if find_whole is not None and find_whole(key.slot) in wholes]


def _was_refused_for_long(host: Host, key: Key) -> bool:
    hold = host.ledger.holds.active.get(key)
    return hold is not None and hold.why is Why.FAILED and hold.attempts >= LAST_ATTEMPT


def _standing(before: Value | None) -> tuple[Value, ...]:
    return () if before is None else (before,)
