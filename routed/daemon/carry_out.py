"""Carrying out a plan, and seeing that the kernel shows what it was asked for.

Here belongs everything between a plan and its outcomes. What the outcomes mean stands in ``aftermath``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias

from routed.core.desired import scope_of
from routed.core.dirt import Dirt
from routed.core.kinds import KINDS, Aliases
from routed.core.reasons import find_fitting
from routed.core.waiting import LOOK_AGAIN, find_gone
from routed.daemon.dataplane import Dataplane, Dataplanes
from routed.daemon.errand import Errand
from routed.daemon.host import Host
from routed.daemon.observe import observe
from routed.daemon.ports import HostKernel
from routed.daemon.record import find_moment
from routed.daemon.report import Attempt
from routed.daemon.under_way import UnderWay, hearing
from routed.model.change import Cause, Drift, Failure, Nature, Operation, Outcome, Plan, Verb
from routed.model.entries import OnConflict
from routed.model.lifetime import ENDLESS, BootTime, Lifetime, Passing
from routed.model.objects import Key, Kind, Member, Scope, Value
from routed.model.owner import Stamps
from routed.model.reasons import Draining, Flaw, Look, Reason, Withdrawn

BREATH: Final = 8192  # members that are looked at between two breaths of the loop
LONG: Final = 512  # the kernel may take longer for so many members than others should wait
NOTHING_LEFT: Final = Lifetime(0, 0)
SLICE: Final = 32768  # members of an operation after which it is known how far it is
SINGLE: Final = 8  # so many changed objects are verified by their echo, more by a dump …
MOST_SINGLE: Final = 128  # … but where it would show so many others that each echo costs less: up to so many
OTHERS: Final = 50  # that a dump shows in the time of an echo

_Home: TypeAlias = tuple[Scope, Key | None]  # a dump, and within it the object that others stand in


def remember_displaced(
    dataplanes: Dataplanes, host: Host, plan: Plan, find_moment: Callable[[], BootTime] = find_moment
) -> bool:
    """Note what objects of new entries take the place of, before they do. True when there is something new.

    Only of new entries: what a stranger puts in the place of an object that was in force is drift, and goes; but what
    is taken from somebody in whose object it stands is always given back. Of what goes by itself it is noted what is
    left of its time. Raises OSError.
    """
    new_entries = host.wanted.new_entries
    stamps = dataplanes.stamps(host.wanted.marks)
    taken: dict[Key, Value] = {}
    for operation in plan.operations:
        if _takes_a_part(operation, stamps):
            boot, seconds = find_moment()
            part = Passing(operation.before, *ENDLESS, boot, seconds)
            taken |= {Key(operation.kind, operation.slot, member): part for member in operation.members}
        if (
            operation.nature is Nature.FOREIGN
            and KINDS[operation.kind].is_given_back
            and _takes_a_place(operation)
            and operation.before is not None
            and not stamps[operation.kind](operation.before).is_ours
            and operation.entry is not None
            and operation.entry.name in new_entries
        ):
            taken |= _take_place(dataplanes.by_kind[operation.kind], operation, find_moment)
    return host.ledger.note_displaced(taken)


def _takes_a_part(operation: Operation, stamps: Stamps) -> bool:
    """Is that changed for now, or taken away, which somebody else put into what is his?"""
    before, entry = operation.before, operation.entry
    is_his = KINDS[operation.kind].is_part and before is not None and not stamps[operation.kind](before).is_ours
    is_taken_over = entry is not None and entry.on_conflict is OnConflict.REPLACE
    return is_his and operation.verb is not Verb.ADD and not is_taken_over


def _takes_a_place(operation: Operation) -> bool:
    """Does what stood there go? Where it has a key of its own it is taken away, else the request for ours does it."""
    has_key_of_its_own = KINDS[operation.kind].aliases is Aliases.BESIDE
    return operation.verb is Verb.DELETE if has_key_of_its_own else operation.takes_a_place


def _take_place(dataplane: Dataplane, operation: Operation, find_moment: Callable[[], BootTime]) -> dict[Key, Value]:
    """What an operation takes the place of, with what is left of it where it goes by itself."""
    kind, slot, members, before = operation.kind, operation.slot, operation.members, operation.before
    if not dataplane.has_lifetime(kind, before):
        return {Key(kind, slot, member): before for member in members}
    left = dataplane.read_lifetimes(scope_of(kind, slot), slot, frozenset(members))
    boot, seconds = find_moment()
    return {
        Key(kind, slot, member): Passing(before, *left.get(member, NOTHING_LEFT), boot, seconds) for member in members
    }


def carry_out(
    kernel: HostKernel,
    dataplanes: Dataplanes,
    plan: Plan,
    dirt: Dirt,
    under_way: UnderWay,
    began: float,
    clock: Callable[[], float],
    *,
    few: int = SINGLE,
) -> Generator[Errand[Any] | None, None, Attempt]:
    """Do what the plan says, in its order. What nobody wants stays while something that is wanted could not be put.

    So ``few`` operations are heard of. Of what was put ahead of it, it is known what the kernel said.
    """
    count, ahead = count_members(plan.operations), under_way.ahead
    if ahead is not None and len(plan.operations) == 1 and ahead.is_all_of(plan.operations[0]):
        under_way.take_ahead()
        [operation] = plan.operations
        cause = dirt.cause_of(Key(operation.kind, operation.slot, operation.members[0]), operation.nature)
        failures = tuple(_explain(operation, failure) for failure in ahead.failures)
        outcome = Outcome(operation, find_fitting(cause, operation.nature), failures, clock() - began)
        attempt = Attempt(plan, dirt, [outcome], set())
    elif count <= few:
        attempt = yield from _carry_out(dataplanes, plan, dirt, under_way, began, clock)
    else:
        with hearing(kernel, wanted=False), under_way.counting(count):
            attempt = yield from _carry_out(dataplanes, plan, dirt, under_way, began, clock)
    if dataplanes.flows:
        attempt = attempt._replace(outcomes=(yield from dataplanes.flows.follow(attempt.outcomes)))
    if not dirt.distinct:
        return attempt
    return attempt._replace(outcomes=(yield from _split_by_cause(attempt.outcomes, dirt)))


def _carry_out(
    dataplanes: Dataplanes, plan: Plan, dirt: Dirt, under_way: UnderWay, began: float, clock: Callable[[], float]
) -> Generator[Errand[Any] | None, None, Attempt]:
    outcomes: list[Outcome] = []
    postponed: set[Scope] = set()
    failed: set[tuple[_Home, Member]] = set()  # what is wanted and could not be put
    unmade: set[Key] = set()  # likewise, of what others stand on
    for planned in plan.operations:
        operation = _leave_what_stays(planned, failed) if failed else planned
        if len(operation.members) < len(planned.members):
            postponed.add(scope_of(operation.kind, operation.slot))
        if not operation.members:
            continue
        failures = _find_unfounded(operation, unmade) if unmade else []
        failures = failures or (yield from _apply(dataplanes.by_kind[operation.kind], operation, under_way))
        if failures and operation.nature is not Nature.SURPLUS:
            if KINDS[operation.kind].why_absent is not None:
                unmade |= {Key(operation.kind, operation.slot, failure.member) for failure in failures}
            home = _find_home(operation)
            failed.update((home, failure.member) for failure in failures)
        cause = dirt.cause_of(Key(operation.kind, operation.slot, operation.members[0]), operation.nature)
        cause = find_fitting(cause, operation.nature)
        outcomes.append(Outcome(operation, cause, tuple(failures), clock() - began))
    return Attempt(plan, dirt, outcomes, postponed)


def _find_unfounded(operation: Operation, unmade: AbstractSet[Key]) -> list[Failure]:
    """What is not even asked for, since it would stand on what could not be put."""
    lacking = next((base for base in _list_bases(operation) if base in unmade), None)
    why_absent = lacking and KINDS[lacking.kind].why_absent
    if lacking is None or why_absent is None:
        return []
    why = why_absent(lacking.member)
    return [Failure(member, errno.ENODEV, "", why) for member in operation.members]


def _list_bases(operation: Operation) -> Iterable[Key]:
    """What it would put something onto."""
    return KINDS[operation.kind].find_bases(operation.value) if operation.verb is not Verb.DELETE else ()


def _apply(
    dataplane: Dataplane, operation: Operation, under_way: UnderWay
) -> Generator[Errand[Any] | None, None, list[Failure]]:
    """Have it done, batch by batch. Returns what was refused."""
    failures: list[Failure] = []
    for part in _slice(operation):
        batches = dataplane.apply(part)
        while True:
            errand = Errand(partial(next, batches, None))
            if len(operation.members) >= LONG:
                yield errand
            try:
                refused = errand.result()
            except OSError as error:
                if dataplane.poll_interval is None:
                    raise
                return _fail_all(operation, error)
            if refused is None:
                break
            failures += [_explain(operation, failure) for failure in refused]
            yield None
        under_way.note_answered(len(part.members))
    return failures


def _slice(operation: Operation) -> Iterable[Operation]:
    members = operation.members
    if len(members) <= SLICE:
        return (operation,)
    starts = range(0, len(members), SLICE)
    return (operation._replace(members=members[start : start + SLICE]) for start in starts)


def _explain(operation: Operation, failure: Failure) -> Failure:
    return failure._replace(why=failure.why or find_gone(operation.entry, failure.errno))


def _leave_what_stays(operation: Operation, failed: AbstractSet[tuple[_Home, Member]]) -> Operation:
    """The operation without what may have to do the work of something that could not be put.

    What its own entry does not want just now goes all the same, unless its very place is to be taken by another one.
    """
    if not operation.takes_away or operation.nature not in {Nature.SURPLUS, Nature.FOREIGN}:
        return operation
    if not isinstance(operation.reason, Withdrawn):
        return operation._replace(members=())
    home = _find_home(operation)
    free = tuple(member for member in operation.members if (home, member) not in failed)
    return operation if len(free) == len(operation.members) else operation._replace(members=free)


def _find_home(operation: Operation) -> _Home:
    """Where members do each other's work: in one table, whatever their metrics, and in one service."""
    find_whole = KINDS[operation.kind].find_whole
    return scope_of(operation.kind, operation.slot), find_whole(operation.slot) if find_whole else None


def _fail_all(operation: Operation, error: OSError) -> list[Failure]:
    """Nobody knows what was done of it; the next poll will show that."""
    number, text = error.errno or errno.EIO, error.strerror or str(error)
    return [Failure(member, number, text) for member in operation.members]


def _split_by_cause(outcomes: list[Outcome], dirt: Dirt) -> Generator[None, None, list[Outcome]]:
    """An operation is one for all members of a group, however many causes they had; an outcome has one cause."""
    split: list[Outcome] = []
    for outcome in outcomes:
        if len(outcome.operation.members) == 1:
            split.append(outcome)
            continue
        kind, slot, members = outcome.operation.kind, outcome.operation.slot, outcome.operation.members
        known, nature = dirt.causes_in(kind, slot), outcome.operation.nature
        alike: dict[int, tuple[Cause | None, list[Member]]] = {}  # by identity: equal causes are one value
        for start in range(0, len(members), BREATH):
            for member in members[start : start + BREATH]:
                own = known.get(member)
                alike.setdefault(id(own), (own, []))[1].append(member)
            yield None
        shares: dict[Cause, list[Member]] = {}
        for own, some in alike.values():
            shares.setdefault(find_fitting(dirt.weigh(kind, slot, own, nature), nature), []).extend(some)
        split += [_share(outcome, cause, tuple(share)) for cause, share in shares.items()]
    return split


def _share(outcome: Outcome, cause: Cause, members: tuple[Member, ...]) -> Outcome:
    chosen = frozenset(members) if outcome.failures else frozenset()
    failures = tuple(failure for failure in outcome.failures if failure.member in chosen)
    return replace(outcome, operation=outcome.operation._replace(members=members), cause=cause, failures=failures)


def verify(
    kernel: HostKernel, dataplanes: Dataplanes, host: Host, attempt: Attempt, clock: Callable[[], float]
) -> Generator[None, None, tuple[list[Outcome], Mapping[Scope, Reason]]]:
    """An operation counts as done when its dataplane shows it: a few by their echo, all others by another dump.

    Returns what became of them, and which dumps could not be read for that, and why.
    """
    if not attempt.outcomes:
        return attempt.outcomes, {}
    outcomes, unread = yield from _verify(kernel, dataplanes, host, attempt, clock)
    return [_count_duplicates(outcome) for outcome in outcomes], unread


def _count_duplicates(outcome: Outcome) -> Outcome:
    """What failed duplicate detection was put anew, and the detection begins again: not done before that is over."""
    if outcome.operation.reason is not Flaw.DUPLICATE:
        return outcome
    failures = [Failure(member, errno.EADDRINUSE, "", Flaw.DUPLICATE) for member in outcome.done]
    return replace(outcome, failures=(*outcome.failures, *failures))


def _verify(
    kernel: HostKernel, dataplanes: Dataplanes, host: Host, attempt: Attempt, clock: Callable[[], float]
) -> Generator[None, None, tuple[list[Outcome], Mapping[Scope, Reason]]]:
    host.listen(kernel, dataplanes, clock)
    _look_again_where_others_stand(host, attempt.outcomes)
    outcomes = [outcome for outcome in _leave_out_surprises(host, attempt) if outcome.operation.members]
    is_few = count_members(attempt.plan.operations) <= find_few(host)
    echoing = dataplanes.echoing
    if is_few:
        outcomes = list(_verify_by_echo(host, outcomes, echoing))
    shown = [outcome.operation for outcome in outcomes if not (is_few and _has_proof(outcome.operation, echoing))]
    if not shown:
        return outcomes, {}
    scopes = {scope_of(operation.kind, operation.slot) for operation in shown}
    dirt = Dirt(scopes=dict.fromkeys(scopes, Cause(None, Look.VERIFY)))
    after = yield from observe(dataplanes, host, dirt, is_afterwards=True)
    # where there is an echo, the answer to a removal proves it: what stands there was put there since
    wrong = _list_keys(one for one in after.drifts if one.nature is not Nature.SURPLUS or one.kind not in echoing)
    wrong -= _list_begun_drains(shown, after.drifts)
    if wrong:
        host.listen(kernel, dataplanes, clock)  # what was taken away again meanwhile was put, and is dirty anew
        wrong = {key for key in wrong if not _is_dirty(key, host.schedule.dirt)}
        there = wrong - _list_keys(one for one in after.drifts if one.nature is Nature.OUT_OF_ORDER)
        outcomes = [
            _without(outcome, wrong if outcome.operation.nature is Nature.OUT_OF_ORDER else there, echoing)
            for outcome in outcomes
        ]
    return outcomes, after.unread


def _list_keys(drifts: Iterable[Drift]) -> set[Key]:
    """What these say is not as wanted, but for what stands as wanted behind something foreign."""
    return {
        Key(drift.kind, drift.slot, member)
        for drift in drifts
        if not (drift.others and drift.nature is Nature.FOREIGN)
        for member in drift.members
    }


def _list_begun_drains(operations: Iterable[Operation], drifts: Iterable[Drift]) -> set[Key]:
    """What no entry wants and stands as it was asked to: it drains, and has not gone yet."""
    drains = [one for one in operations if isinstance(one.reason, Draining)]
    asked = {Key(one.kind, one.slot, member): one.value for one in drains for member in one.members}
    surplus = [one for one in drifts if asked and one.nature is Nature.SURPLUS]
    keys = ((Key(one.kind, one.slot, member), one.standing[0]) for one in surplus for member in one.members)
    return {key for key, standing in keys if asked.get(key) == standing}


def _has_proof(operation: Operation, echoing: Container[Kind]) -> bool:
    """Is the echo the proof of this? Of the order in a line, or under a key, it tells nothing."""
    is_order = operation.nature is Nature.OUT_OF_ORDER or operation.verb is Verb.ARRANGE
    return operation.kind in echoing and not is_order


def find_few(host: Host) -> int:
    """Of how many changes it is cheaper to hear than to read all that is there."""
    return min(MOST_SINGLE, max(SINGLE, host.wanted.desired.total // OTHERS))


def count_members(operations: tuple[Operation, ...]) -> int:
    """How many objects operations are about."""
    return sum(len(operation.members) for operation in operations)


def _verify_by_echo(host: Host, outcomes: list[Outcome], echoing: Container[Kind]) -> Iterator[Outcome]:
    """An object is proved when the kernel echoed it as we asked for it. All others are looked at again, in a dump.

    Where the echo says that we ourselves took it away, the second such time counts as a failure, or it would go on for
    ever. The kernel never says that a change of an IPv6 address was ours.
    """
    echo = host.under_way.echo
    for outcome in outcomes:
        if not _has_proof(outcome.operation, echoing):
            yield outcome
            continue
        kind, slot = outcome.operation.kind, outcome.operation.slot
        keys = {Key(kind, slot, member) for member in outcome.done}
        wrong = {key for key in keys if echo.get(key) != outcome.operation.value}
        if not wrong or outcome.operation.verb is Verb.DELETE or kind not in echoing:
            yield outcome
        elif wrong <= echo.keys() and (
            outcome.cause.reason is Look.AGAIN or any(key in host.ledger.troubles for key in wrong)
        ):
            yield _without(outcome, wrong, echoing)
        else:
            host.schedule.dirt.add_scopes([scope_of(kind, slot)], outcome.cause._replace(reason=Look.AGAIN))
            yield outcome


def _look_again_where_others_stand(host: Host, outcomes: list[Outcome]) -> None:
    """Something else stands under the key as well: unknown to the event, or left behind ours. The dump will show it.

    Also after a removal of what was too much: the kernel compares less than we do when it removes, and may have met
    another alias than the one that was meant. Once is enough.
    """
    for outcome in outcomes:
        operation = outcome.operation
        is_removal = operation.verb is Verb.DELETE and operation.nature is not Nature.SURPLUS
        is_crowded = is_removal or operation.verb is Verb.PREPEND or operation.nature is Nature.BEHIND
        if not is_crowded and KINDS[operation.kind].line:
            is_crowded = _may_be_out_of_line(host, operation)
        if outcome.done and is_crowded and outcome.cause.reason is not Look.AGAIN:
            again = Cause(outcome.cause.port, Look.AGAIN)
            host.schedule.dirt.add_scopes([scope_of(operation.kind, operation.slot)], again)


def _may_be_out_of_line(host: Host, operation: Operation) -> bool:
    """Was this put behind or in front of others without that this was reckoned with?"""
    if operation.nature in {Nature.SURPLUS, Nature.OUT_OF_ORDER}:
        return False
    if operation.nature is Nature.MISSING and not host.ledger.holds.active:
        return False
    return host.wanted.desired.stands_in_line(operation.kind, operation.slot, operation.members)


def _leave_out_surprises(host: Host, attempt: Attempt) -> Iterator[Outcome]:
    """The outcomes without what met another state than the events had told of: no failure, the dump will show it."""
    for outcome in attempt.outcomes:
        kind, slot = outcome.operation.kind, outcome.operation.slot
        is_ground_moving = any(_is_dirty(base, host.schedule.dirt) for base in _list_bases(outcome.operation))
        surprises = {
            failure.member
            for failure in outcome.failures
            if is_ground_moving
            or (failure.errno in LOOK_AGAIN and _is_on_the_move(Key(kind, slot, failure.member), host, attempt.dirt))
        }
        if not surprises:
            yield outcome
            continue
        host.schedule.dirt.add_scopes([scope_of(kind, slot), *attempt.postponed], outcome.cause)
        yield _share(outcome, outcome.cause, tuple(m for m in outcome.operation.members if m not in surprises))


def _is_on_the_move(key: Key, host: Host, dirt: Dirt) -> bool:
    """Did events tell of this object, before the pass or since it began?"""
    return key in dirt.keys or key in host.under_way.overtaken or _is_dirty(key, host.schedule.dirt)


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
