"""After a pass: what it means for the next one, and for the state that ``routed status`` shows.

Failures become holds with a next try, repairs against other processes are counted, and every object that is not in sync
gets a reason. Nothing here touches the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from routed.audit.wording import name_actor
from routed.core.desired import scope_of
from routed.core.holds import GROUP, Subject, Why
from routed.core.schedule import Dirt
from routed.core.vip import find_unproved
from routed.core.waiting import is_waiting
from routed.daemon.host import Host, State, Trouble
from routed.daemon.observe import Comparison
from routed.daemon.report import Ended, Fight, Report
from routed.daemon.status import vocabulary_of
from routed.model.change import Drift, Nature, Operation, Outcome, Verb
from routed.model.entries import Enforce
from routed.model.objects import Key, Member, Value

STATE_OF = {Why.FAILED: State.FAILED, Why.WAITING: State.WAITING, Why.FIGHT: State.HELD, Why.PAUSED: State.PAUSED}


def subjects_of(drift: Drift | Operation, members: Sequence[Member], entry: str) -> list[Subject]:
    """The objects of a group one by one, or their entry when they are very many."""
    if len(members) > GROUP and entry:
        return [entry]
    return [Key(drift.kind, drift.slot, member) for member in members]


def note_outcomes(host: Host, report: Report, mine: int, now: float, jitter: float) -> list[Fight]:
    """Holds for what failed and for what is fought over. Returns the fights that began."""
    fights: list[Fight] = []
    limit = host.intent.settings.fight_limit
    for outcome in report.outcomes:
        operation = outcome.operation
        entry = operation.entry.name if operation.entry else ""
        forgotten = _forget_displaced(host, outcome)
        for failure in outcome.failures:
            key = Key(operation.kind, operation.slot, failure.member)
            waits = is_waiting(operation.kind, failure.errno)
            if key not in forgotten:
                host.holds.note_failure(key, failure.text, now, is_waiting=waits, jitter=jitter)
        done = outcome.done
        is_against_somebody = outcome.cause.port not in {None, 0, mine} and operation.nature is not Nature.SURPLUS
        is_counted = limit is not None and is_against_somebody
        for subject in subjects_of(operation, done, entry) if is_counted or host.holds.held else ():
            host.holds.note_success(subject)
            if limit is not None and is_against_somebody:
                hold = host.holds.note_repair(subject, outcome.cause, limit, now)
                fights += [Fight(entry, subject, hold)] if hold else []
    return fights


def forget_former(host: Host, report: Report) -> None:
    """Where this pass left nothing that nobody wants, nobody needs to know who wanted it."""
    left = [*report.plan.held, *(refusal.drift for refusal in report.plan.refusals)]
    scopes = {scope_of(drift.kind, drift.slot) for drift in left if drift.want is None}
    scopes |= {scope_of(o.operation.kind, o.operation.slot) for o in report.outcomes if o.failures}
    looked_at = host.former.find_scopes() if report.dirt.everything else report.scopes
    host.former.forget(looked_at - scopes - report.postponed - host.schedule.dirt.scopes.keys())


def note_troubles(host: Host, report: Report, comparison: Comparison, now: float) -> list[Ended]:
    """Bring the list of what is not in sync up to date for everything that this pass looked at.

    Returns the troubles that are over.
    """
    ended: list[Ended] = []
    found = dict(_find_troubles(host, report, now))
    looked_at = comparison.scopes
    for subject in list(host.troubles):
        if subject not in found and _was_looked_at(host, subject, looked_at, report.dirt):
            want = host.desired.get(subject) if isinstance(subject, Key) else None
            entry = want.entry.name if want else subject if isinstance(subject, str) else ""
            ended.append(Ended(entry, subject, host.troubles.pop(subject)))
            host.holds.note_success(subject)  # somebody else put it right, or nobody wants it any more
    for subject, trouble in found.items():
        former = host.troubles.get(subject)
        is_same = former is not None and (former.state, former.reason) == (trouble.state, trouble.reason)
        host.troubles[subject] = trouble._replace(since=former.since) if former and is_same else trouble
    _note_unproved(host, now)
    host.note_established()
    host.note_in_force()
    return ended


def _note_unproved(host: Host, now: float) -> None:
    """The proof of every VIP whose route is in order: does the kernel take the node's address for a source?"""
    found = find_unproved(host.needs.vips, host.desired.resolutions, host.facts, vocabulary_of(host))
    former = host.unproved
    host.unproved = {
        key: former[key] if key in former and former[key].reason == why else Trouble(State.CONFLICT, why, now)
        for key, why in found.items()
        if key not in host.troubles
    }


def _find_troubles(host: Host, report: Report, now: float) -> Iterator[tuple[Subject, Trouble]]:
    plan, outcomes = report.plan, report.outcomes
    for refusal in plan.refusals:
        drift = refusal.drift
        if drift.want is None:
            state = State.HELD
        else:
            state = State.CONFLICT if drift.want.entry.enforce is Enforce.REPAIR else State.DRIFT
        name = drift.want.entry.name if drift.want else ""
        for subject in subjects_of(drift, drift.members, name):
            yield subject, Trouble(state, refusal.reason, now, drift.standing)
    for drift in plan.held:
        name = drift.want.entry.name if drift.want else ""
        for member in drift.members:
            key = Key(drift.kind, drift.slot, member)
            hold = host.holds.find(key, name, report.began)  # it kept the object from being touched, if it ended since
            if hold is not None:
                by = f", last by {name_actor(hold.rival).words}" if hold.rival else ""
                yield key, Trouble(STATE_OF[hold.why], hold.reason + by, hold.since, drift.standing)
    for outcome in outcomes:
        for failure in outcome.failures:
            key = Key(outcome.operation.kind, outcome.operation.slot, failure.member)
            state = State.WAITING if is_waiting(key.kind, failure.errno) else State.FAILED
            yield key, Trouble(state, failure.text, now, _standing(outcome.operation.before))


def _was_looked_at(host: Host, subject: Subject, scopes: set[object] | Iterable[object], dirt: Dirt) -> bool:
    if isinstance(subject, Key):
        if subject in dirt.keys or subject in host.meanwhile:  # the latter was left out: another pass knew it better
            return subject in dirt.keys
        is_unwanted = host.desired.get(subject) is None and dirt.everything is not None
        return is_unwanted or scope_of(subject.kind, subject.slot) in scopes
    resolution = host.desired.resolutions.get(subject)
    return resolution is None or all(scope_of(group.kind, group.slot) in scopes for group in resolution.sets)


def _forget_displaced(host: Host, outcome: Outcome) -> set[Key]:
    """What was put back is displaced no more. Returns what can never be put back, for what it stood on is gone.

    The kernel would have dropped that with its link. Ours, which nobody wants, has to go all the same.
    """
    kind, slot = outcome.operation.kind, outcome.operation.slot
    if outcome.operation.nature is not Nature.SURPLUS or outcome.operation.verb is Verb.DELETE:
        return set()
    lost = {Key(kind, slot, failure.member) for failure in outcome.failures if is_waiting(kind, failure.errno)}
    if lost:
        host.schedule.dirt.add_scopes([scope_of(kind, slot)], outcome.cause)
    for key in lost.union(Key(kind, slot, member) for member in outcome.done):
        host.displaced.pop(key, None)
    return lost


def _standing(before: Value | None) -> tuple[Value, ...]:
    return () if before is None else (before,)
