"""Carrying out a plan, and seeing that the kernel shows what it was asked for.

Here belongs everything between a plan and its outcomes. What the outcomes mean stands in ``aftermath``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from routed.core.desired import scope_of
from routed.core.dirt import Dirt
from routed.core.waiting import LOOK_AGAIN
from routed.daemon.dataplane import Dataplanes
from routed.daemon.errand import Errand
from routed.daemon.host import Host
from routed.daemon.observe import Comparison, observe
from routed.daemon.ports import HostKernel
from routed.daemon.report import PassStep, Report
from routed.model.change import Cause, Failure, Nature, Operation, Outcome, Plan, Verb
from routed.model.objects import Key, Kind, Member
from routed.model.reasons import Look

BREATH: Final = 8192  # members that are looked at between two breaths of the loop
LONG: Final = 512  # the kernel may take longer for so many members than others should wait
SINGLE: Final = 8  # so many changed objects are verified by their echo, more by a dump


def remember_displaced(dataplanes: Dataplanes, host: Host, plan: Plan) -> bool:
    """Note what objects of new entries take the place of, before they do. True when there is something new.

    Only of new entries: what a stranger puts in the place of an object that was in force is drift, and goes.
    """
    stamps = dataplanes.stamps(host.marks)
    taken = {
        Key(operation.kind, operation.slot, member): operation.before
        for operation in plan.operations
        if operation.nature is Nature.FOREIGN
        and operation.verb in {Verb.REPLACE, Verb.CHANGE}
        and operation.before is not None
        and not stamps[operation.kind](operation.before).is_ours
        and operation.entry is not None
        and operation.entry.name in host.new_entries
        for member in operation.members
    }
    new = {key: value for key, value in taken.items() if key not in host.displaced}
    host.displaced |= new
    return bool(new)


@contextmanager
def hearing(kernel: HostKernel, *, wanted: bool) -> Iterator[None]:
    """Hear, or do not hear, of our own changes for a while."""
    before = kernel.hears_echo
    if before != wanted:
        kernel.hear_echo(wanted=wanted)
    try:
        yield
    finally:
        if before != wanted:
            kernel.hear_echo(wanted=before)


def carry_out(
    kernel: HostKernel, dataplanes: Dataplanes, report: Report, clock: Callable[[], float]
) -> Iterator[PassStep]:
    """Do what the plan says, in its order. What nobody wants stays while something that is wanted could not be put."""
    if count_members(report.plan.operations) <= SINGLE:
        yield from _carry_out(dataplanes, report, clock)
    else:
        with hearing(kernel, wanted=False):
            yield from _carry_out(dataplanes, report, clock)
    if report.dirt.distinct:
        yield from _split_by_cause(report)


def _carry_out(dataplanes: Dataplanes, report: Report, clock: Callable[[], float]) -> Iterator[PassStep]:
    has_failed = False
    for operation in report.plan.operations:
        if has_failed and operation.verb is Verb.DELETE and operation.nature is Nature.SURPLUS:
            report.postponed.add(scope_of(operation.kind, operation.slot))
            continue
        failures: list[Failure] = []
        dataplane = dataplanes.by_kind[operation.kind]
        batches = dataplane.apply(operation)
        while True:
            errand = Errand(partial(next, batches, None))
            if len(operation.members) >= LONG:
                yield errand
            try:
                refused = errand.result()
            except OSError as error:
                if dataplane.poll_interval is None:
                    raise
                failures = _fail_all(operation, error)
                break
            if refused is None:
                break
            failures += refused
            yield None
        has_failed = has_failed or (bool(failures) and operation.nature is not Nature.SURPLUS)
        cause = report.dirt.cause_of(Key(operation.kind, operation.slot, operation.members[0]))
        report.outcomes.append(Outcome(operation, cause, tuple(failures), clock() - report.began))


def _fail_all(operation: Operation, error: OSError) -> list[Failure]:
    """Nobody knows what was done of it; the next poll will show that."""
    number, text = error.errno or errno.EIO, error.strerror or str(error)
    return [Failure(member, number, text) for member in operation.members]


def _split_by_cause(report: Report) -> Iterator[None]:
    """An operation is one for all members of a group, however many causes they had; an outcome has one cause."""
    outcomes: list[Outcome] = []
    for outcome in report.outcomes:
        if len(outcome.operation.members) == 1:
            outcomes.append(outcome)
            continue
        kind, slot, members = outcome.operation.kind, outcome.operation.slot, outcome.operation.members
        rest, known = report.dirt.cause_of_rest(kind, slot), report.dirt.causes_in(kind, slot)
        shares: dict[int, tuple[Cause, list[Member]]] = {}  # by identity: equal causes are one value
        for start in range(0, len(members), BREATH):
            for member in members[start : start + BREATH]:
                cause = known.get(member, rest)
                shares.setdefault(id(cause), (cause, []))[1].append(member)
            yield None
        outcomes += [_share(outcome, cause, tuple(share)) for cause, share in shares.values()]
    report.outcomes = outcomes


def _share(outcome: Outcome, cause: Cause, members: tuple[Member, ...]) -> Outcome:
    chosen = frozenset(members) if outcome.failures else frozenset()
    failures = tuple(failure for failure in outcome.failures if failure.member in chosen)
    return replace(outcome, operation=outcome.operation._replace(members=members), cause=cause, failures=failures)


def verify(
    kernel: HostKernel, dataplanes: Dataplanes, host: Host, report: Report, clock: Callable[[], float]
) -> Iterator[None]:
    """An operation counts as done when its dataplane shows it: a few by their echo, all others by another dump."""
    if not report.outcomes:
        return
    host.listen(kernel, dataplanes, clock)
    _look_again_where_others_stand(host, report)
    report.outcomes = [outcome for outcome in _leave_out_surprises(host, report) if outcome.operation.members]
    is_few = count_members(report.plan.operations) <= SINGLE
    echoing = dataplanes.echoing
    if is_few:
        report.outcomes = list(_verify_by_echo(host, report, echoing))
    shown = [outcome.operation for outcome in report.outcomes if not (is_few and outcome.operation.kind in echoing)]
    if not shown:
        return
    scopes = {scope_of(operation.kind, operation.slot) for operation in shown}
    after = Comparison()
    yield from observe(dataplanes, host, Dirt(scopes=dict.fromkeys(scopes, Cause(None, Look.VERIFY))), after)
    report.unread |= after.unread
    wrong = {
        Key(drift.kind, drift.slot, member)
        for drift in after.drifts
        for member in drift.members
        # where there is an echo, the answer to a removal proves it: what stands there was put there since
        if drift.nature is not Nature.SURPLUS or drift.kind not in echoing
    }
    if wrong:
        host.listen(kernel, dataplanes, clock)  # what was taken away again meanwhile was put, and is dirty anew
        wrong = {key for key in wrong if not _is_dirty(key, host.schedule.dirt)}
        report.outcomes = [_without(outcome, wrong, echoing) for outcome in report.outcomes]


def count_members(operations: tuple[Operation, ...]) -> int:
    """How many objects operations are about."""
    return sum(len(operation.members) for operation in operations)


def _verify_by_echo(host: Host, report: Report, echoing: Container[Kind]) -> Iterator[Outcome]:
    """An object is proved when the kernel echoed it as we asked for it. All others are looked at again, in a dump.

    Where the echo says that we ourselves took it away, the second such time counts as a failure, or it would go on for
    ever. The kernel never says that a change of an IPv6 address was ours.
    """
    for outcome in report.outcomes:
        kind, slot = outcome.operation.kind, outcome.operation.slot
        keys = {Key(kind, slot, member) for member in outcome.done}
        wrong = {key for key in keys if host.echo.get(key) != outcome.operation.value}
        if not wrong or outcome.operation.verb is Verb.DELETE or kind not in echoing:
            yield outcome
        elif wrong <= host.echo.keys() and (
            outcome.cause.reason is Look.AGAIN or any(key in host.troubles for key in wrong)
        ):
            yield _without(outcome, wrong, echoing)
        else:
            host.schedule.dirt.add_scopes([scope_of(kind, slot)], outcome.cause._replace(reason=Look.AGAIN))
            yield outcome


def _look_again_where_others_stand(host: Host, report: Report) -> None:
    """Something else stands under the key as well: unknown to the event, or left behind ours. The dump will show it.

    Also after a removal of what was too much: the kernel compares less than we do when it removes, and may have met
    another alias than the one that was meant. Once is enough.
    """
    for outcome in report.outcomes:
        operation = outcome.operation
        is_removal = operation.verb is Verb.DELETE and operation.nature is not Nature.SURPLUS
        is_crowded = is_removal or operation.verb is Verb.PREPEND or operation.nature is Nature.BEHIND
        if outcome.done and is_crowded and outcome.cause.reason is not Look.AGAIN:
            again = Cause(outcome.cause.port, Look.AGAIN)
            host.schedule.dirt.add_scopes([scope_of(operation.kind, operation.slot)], again)


def _leave_out_surprises(host: Host, report: Report) -> Iterator[Outcome]:
    """The outcomes without what met another state than the events had told of: no failure, the dump will show it."""
    for outcome in report.outcomes:
        kind, slot = outcome.operation.kind, outcome.operation.slot
        surprises = {
            failure.member
            for failure in outcome.failures
            if failure.errno in LOOK_AGAIN and _is_on_the_move(Key(kind, slot, failure.member), host, report)
        }
        if not surprises:
            yield outcome
            continue
        host.schedule.dirt.add_scopes([scope_of(kind, slot), *report.postponed], outcome.cause)
        yield _share(outcome, outcome.cause, tuple(m for m in outcome.operation.members if m not in surprises))


def _is_on_the_move(key: Key, host: Host, report: Report) -> bool:
    """Did events tell of this object, before the pass or since it began?"""
    return key in report.dirt.keys or key in host.meanwhile or _is_dirty(key, host.schedule.dirt)


def _is_dirty(key: Key, dirt: Dirt) -> bool:
    return key in dirt.keys or key.member in dirt.causes_in(key.kind, key.slot)


def _without(outcome: Outcome, wrong: set[Key], echoing: Container[Kind]) -> Outcome:
    """The outcome with the members that were taken and are not shown counted as failed.

    Of an echoing dataplane a removal that was taken is done.
    """
    operation = outcome.operation
    unseen = [member for member in outcome.done if Key(operation.kind, operation.slot, member) in wrong]
    if not unseen or (operation.verb is Verb.DELETE and operation.kind in echoing):
        return outcome
    return replace(outcome, failures=(*outcome.failures, *(Failure(m, errno.EAGAIN, "") for m in unseen)))
