"""What would be if something happened: the passes that would follow, on a host in memory, until nothing more comes.

The same look, comparison and plan as of any pass; instead of the kernel ``imagined`` carries them out, since what one
pass does is what the next one finds. Here must never live: what can be assumed (``core.assumptions``), or words.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from routed.core.assumptions import check_facts
from routed.core.dirt import Dirt
from routed.core.linux.state import Change, LinuxState, compare
from routed.core.linux.suppose import suppose
from routed.daemon.aftermath import note_outcomes, note_troubles
from routed.daemon.effect import look_at_effect
from routed.daemon.host import Host
from routed.daemon.imagined import imagine, read_state
from routed.daemon.report import Report
from routed.model.assumption import Assumptions
from routed.model.change import Cause, Failure, Operation, Outcome, Plan
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey
from routed.model.objects import Key
from routed.model.reasons import Look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routed.daemon.reconcile import Reconciler

MOST_PASSES: Final = 5  # what goes on after so many never comes to rest
SUPPOSED: Final = Cause(None, Look.PLAN)


class Denied(NamedTuple):
    """Something that routed would try in vain."""

    operation: Operation
    failure: Failure


class Attempts(NamedTuple):
    """What all passes came to."""

    plan: Plan  # of what was carried out, and of what the last of them left alone
    refused: tuple[Denied, ...]


@dataclass(frozen=True, slots=True)
class Supposed:
    """What was assumed, and what came of it beside the plan."""

    assumptions: Assumptions
    before: Host  # as it is now, with the troubles of each object
    present: LinuxState  # of the kernel: as it is now …
    happened: LinuxState  # … when all that is assumed has happened …
    settled: LinuxState  # … and when all of the plan was carried out
    refused: tuple[Denied, ...]  # what the kernel would say no to: no step of the plan

    @property
    def changes(self) -> list[Change]:
        """What the kernel does by itself when it happens."""
        return list(compare(self.present, self.happened))

    def list_later(self, plan: Plan) -> list[Change]:
        """What the kernel does by itself when this plan is carried out."""
        touched = {Key(one.kind, one.slot, member) for one in plan.operations for member in one.members}
        return [change for change in compare(self.happened, self.settled) if change.key not in touched]


def propose(
    reconciler: Reconciler, host: Host, intent: Intent, assumptions: Assumptions, told: Mapping[FactKey, Fact]
) -> Generator[None, None, tuple[Plan, Host, Supposed]]:
    """The plan of all passes that would follow, and the state after them. ``host`` is a copy.

    Where something is assumed and the files are in force already, it is what an event would bring about; else they are
    put in force as well.
    Raises AssumptionError, TooMuchError and OSError.
    """
    clock = reconciler.clock
    is_in_force = bool(host.wanted.desired.resolutions) and intent.digest == host.wanted.intent.digest
    is_new = not (is_in_force and assumptions.given)
    present = yield from read_state(reconciler.kernel, reconciler.dataplanes, reconciler.most_imagined)
    happened = suppose(present, assumptions.happenings)
    if is_new:
        before = host.copy()
        wanted = reconciler.host.wanted.intent if assumptions.file else intent
        yield from before.enforce_in_slices(wanted, clock(), told)
        host.wanted.let_surplus_go()
        yield from host.enforce_in_slices(intent, clock(), told)
        yield from _settle(reconciler, before, present.copy(), is_new=True, is_looked_at_only=True)
    else:
        before = reconciler.host.copy()
    check_facts(host.world.facts, assumptions.facts)
    host.world.start_from(host.world.facts, ())  # no choice of an interface waits for its time
    host.world.assume(assumptions.facts)
    settled = happened.copy()
    plan, refused = yield from _settle(reconciler, host, settled, is_new=is_new)
    return plan, host, Supposed(assumptions, before, present, happened, settled, refused)


def _settle(
    reconciler: Reconciler, host: Host, state: LinuxState, *, is_new: bool, is_looked_at_only: bool = False
) -> Generator[None, None, Attempts]:
    """Passes over this state until nothing more is to be done. All of their plans as one."""
    kernel, dataplanes = imagine(reconciler.kernel, reconciler.dataplanes, state)
    observer = replace(
        reconciler,
        kernel=kernel,
        dataplanes=dataplanes,
        host=host,
        save_displaced=lambda _: None,
        save_drains=lambda *_: None,
        hear_others=Dirt,
    )
    tried: list[Outcome] = []
    done: list[Operation] = []
    refused: list[Denied] = []
    plan = Plan()
    for number in range(1 if is_looked_at_only else MOST_PASSES):
        dirt, began = Dirt(everything=SUPPOSED), observer.clock()
        comparison, plan = yield from observer.decide(dirt, began, is_initial=is_new and not number)
        in_vain = [one for one in tried if one.operation in plan.operations]  # which is no news, and still so
        asked = [one.operation for one in in_vain]
        operations = [] if is_looked_at_only else [one for one in plan.operations if one not in asked]
        outcomes = [_carry_out(observer, one) for one in operations]
        told = [*in_vain, *outcomes]
        report = Report(dirt, began, plan=plan, outcomes=told, scopes=comparison.scopes, unread=comparison.unread)
        note_outcomes(host, report, kernel.port, began, 0.0)
        note_troubles(host, report, comparison, began)
        host.world.note_absent(comparison.absent)
        tried += outcomes
        done += [one.operation._replace(members=one.done) for one in outcomes if one.done]
        refused += [Denied(one.operation, failure) for one in outcomes for failure in one.failures]
        if not operations:
            break
        yield
    yield from look_at_effect(kernel, dataplanes, host, Dirt(everything=SUPPOSED), observer.clock)
    stands = {(one.kind, one.slot, member) for one in done for member in one.members}
    vain = (one for one in refused if (*one.operation[1:3], one.failure.member) not in stands)  # not even later
    return Attempts(replace(plan, operations=tuple(done)), tuple(vain))


def _carry_out(reconciler: Reconciler, operation: Operation) -> Outcome:
    dataplane = reconciler.dataplanes.by_kind[operation.kind]
    failures = [failure for batch in dataplane.apply(operation) for failure in batch]
    return Outcome(operation, SUPPOSED, tuple(failures))
