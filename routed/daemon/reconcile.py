"""The story: look at the host, resolve the entries, compare, plan, apply, verify, report.

Written as generators: every ``yield`` is a place where the loop may serve somebody else. Without a loop (``apply
--direct``) the same generators are simply run to their end.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from routed.core.desired import scope_of
from routed.core.guard import Limits
from routed.core.plan import Policy, make_plan
from routed.core.schedule import Dirt
from routed.core.waiting import LOOK_AGAIN
from routed.daemon.aftermath import Fight, note_outcomes, note_troubles
from routed.daemon.host import Host
from routed.daemon.observe import Comparison, observe
from routed.daemon.ports import Kernel
from routed.model.change import Cause, Failure, Nature, Operation, Outcome, Plan, Verb
from routed.model.events import ObjectEvent
from routed.model.objects import Key, Member, Scope, Slot, Value

SINGLE: Final = 8  # so many changed objects are verified by their echo, more by a dump
ROUNDS: Final = 16  # passes that may follow each other at once before the loop gets its turn


@dataclass(slots=True)
class Report:
    """What one pass did."""

    dirt: Dirt
    plan: Plan = field(default_factory=Plan)
    outcomes: list[Outcome] = field(default_factory=list)
    scopes: set[Scope] = field(default_factory=set)
    fights: list[Fight] = field(default_factory=list)  # that began
    absent: dict[Slot, frozenset[Member]] = field(default_factory=dict)  # of what the kernel makes itself
    is_initial: bool = False
    elapsed: float = 0.0


@dataclass(slots=True)
class Reconciler:
    """Keeps one network namespace as its intent says."""

    kernel: Kernel
    host: Host
    clock: Callable[[], float]
    jitter: Callable[[], float] = lambda: 0.0
    save_displaced: Callable[[dict[Key, Value]], None] = lambda _: None
    find_ssh_peers: Callable[[], frozenset[bytes]] = frozenset

    def begin(self) -> None:
        """Read the facts for the first time. Events must be open already, so that nothing falls in between."""
        self._refresh_facts(Dirt(everything=Cause(None, "start")))

    def listen(self, began: float) -> None:
        """Take in every event that waits."""
        host = self.host
        for event in self.kernel.read_events():
            host.facts = host.schedule.note(event, host.facts, host.desired, host.ours, self.kernel.port, began)

    def settle(self, dirt: Dirt, *, is_initial: bool = False, is_forced: bool = False) -> Iterator[Report | None]:
        """Passes until nothing is dirty: what one pass adds, the next one may stand on. Yields a report after each."""
        for _ in range(ROUNDS):
            for step in self.reconcile(dirt, is_initial=is_initial, is_forced=is_forced):
                yield step
            self.listen(self.clock())
            if not self.host.schedule.dirt:
                return
            dirt, self.host.schedule.dirt = self.host.schedule.dirt, Dirt()
        self.host.schedule.dirt = dirt

    def reconcile(self, dirt: Dirt, *, is_initial: bool = False, is_forced: bool = False) -> Iterator[Report | None]:
        """One pass over what is dirty. Yields None to let the loop breathe, and the report last."""
        began = self.clock()
        report = Report(dirt, is_initial=is_initial)
        self._refresh_facts(dirt)
        comparison = None
        for comparison in observe(self.kernel, self.host, dirt):
            yield None
        assert comparison is not None
        report.scopes, report.absent = comparison.scopes, comparison.absent
        report.plan = make_plan(comparison.drifts, comparison.notes, self._policy(comparison, is_initial, is_forced))
        yield from self._apply(report, began, is_initial)
        yield from self._verify(report)
        displaced = len(self.host.displaced)
        report.fights = note_outcomes(self.host, report.outcomes, self.kernel.port, self.clock(), self.jitter())
        if len(self.host.displaced) != displaced:
            self.save_displaced(self.host.displaced)
        note_troubles(self.host, report.plan, report.outcomes, comparison, dirt, self.clock())
        report.elapsed = self.clock() - began
        self.host.schedule.note_pass(dirt, began, began + report.elapsed)
        yield report

    def propose(self) -> Iterator[Plan | None]:
        """The plan of a full pass, without carrying it out."""
        dirt = Dirt(everything=Cause(None, "asked for"))
        self._refresh_facts(dirt)
        comparison = None
        for comparison in observe(self.kernel, self.host, dirt):
            yield None
        assert comparison is not None
        yield make_plan(comparison.drifts, comparison.notes, self._policy(comparison, is_initial=True, is_forced=False))

    def _refresh_facts(self, dirt: Dirt) -> None:
        """Ask again what events do not tell, all of it on a full pass, and resolve what depends on what changed."""
        host = self.host
        if not (dirt.everything or dirt.has_new_facts):
            return
        if dirt.everything:  # an event that was lost may have been that of a link or an address
            host.facts = replace(
                host.facts,
                links=self.kernel.read_links(),
                addresses=self.kernel.read_addresses(),
                ssh_peers=self.find_ssh_peers(),
            )
        located = self.kernel.locate_gateways(host.gateways())
        # a link that was not heard of yet will be news, and then the gateways are asked for again
        known = {gateway: where for gateway, where in located.items() if where.dev in host.facts.links}
        host.facts = replace(host.facts, gateways=known)
        host.resolve_changed(dirt)
        host.schedule.is_reach_awaited = any(r.waiting for r in host.desired.resolutions.values())

    def _policy(self, comparison: Comparison, is_initial: bool, is_forced: bool) -> Policy:
        host, now = self.host, self.clock()
        limits = Limits(
            max_deletes=host.intent.settings.max_deletes,
            is_forced=is_forced,
            ssh_peers=host.facts.ssh_peers,
            contacted=host.established | host.displaced.keys(),
            former_entry=host.former.get,
        )
        return Policy(
            ours=host.ours,
            limits=limits,
            owned=host.owned_after(comparison.count(Nature.MISSING), comparison.count(Nature.SURPLUS)),
            is_initial=is_initial,
            may_delete=host.is_current,
            is_held=(lambda key, entry: host.holds.find(key, entry, now) is not None) if host.holds.held else None,
            displaced=host.displaced,
        )

    def _apply(self, report: Report, began: float, is_initial: bool) -> Iterator[None]:
        """Carry out the plan in its order. What nobody wants stays while something that is wanted could not be put."""
        if is_initial:
            self._remember_displaced(report.plan)
        is_large = _count(report.plan.operations) > SINGLE
        if is_large:
            self.kernel.hear_echo(False)
        has_failed = False
        for operation in report.plan.operations:
            if has_failed and operation.verb is Verb.DELETE and operation.nature is Nature.SURPLUS:
                continue
            failures: list[Failure] = []
            for refused in self.kernel.apply(operation):
                failures += refused
                if is_large:
                    yield None
            has_failed = has_failed or bool(failures)
            cause = report.dirt.cause_of(Key(operation.kind, operation.slot, operation.members[0]))
            report.outcomes.append(Outcome(operation, cause, tuple(failures), self.clock() - began))
        if is_large:
            self.kernel.hear_echo(True)

    def _verify(self, report: Report) -> Iterator[None]:
        """An operation counts as done when the kernel shows it: one by its echo, many by another dump."""
        if not report.outcomes:
            return
        self._look_again_where_others_stand(report)
        if _count(report.plan.operations) <= SINGLE:
            self._verify_by_echo(report)
            return
        scopes = {scope_of(outcome.operation.kind, outcome.operation.slot) for outcome in report.outcomes}
        after = None
        for after in observe(self.kernel, self.host, Dirt(scopes=dict.fromkeys(scopes, Cause(None, "verifying")))):
            yield None
        assert after is not None
        wrong = {Key(d.kind, d.slot, m) for d in after.drifts for m in d.members if d.nature is not Nature.SURPLUS}
        if wrong:
            report.outcomes = [_without(outcome, wrong) for outcome in report.outcomes]

    def _verify_by_echo(self, report: Report) -> None:
        host = self.host
        shown: dict[Key, Value | None] = {}
        for event in self.kernel.read_events():
            if isinstance(event, ObjectEvent) and event.port == self.kernel.port:
                shown[Key(event.kind, event.slot, event.member)] = None if event.is_removal else event.value
            host.facts = host.schedule.note(
                event, host.facts, host.desired, host.ours, self.kernel.port, self.clock()
            )  # fmt: skip
        for outcome in report.outcomes:
            operation = outcome.operation
            for member in outcome.done:
                key = Key(operation.kind, operation.slot, member)
                if operation.verb is not Verb.DELETE and shown.get(key) != operation.value:
                    host.schedule.dirt.add_scopes([scope_of(key.kind, key.slot)], outcome.cause)

    def _look_again_where_others_stand(self, report: Report) -> None:
        """Something else stands under the key as well: unknown to the event, or left behind ours. The dump will show it."""
        for outcome in report.outcomes:
            operation = outcome.operation
            if outcome.done and (operation.nature is Nature.BEHIND or operation.verb is Verb.PREPEND):
                self.host.schedule.dirt.add_scopes([scope_of(operation.kind, operation.slot)], outcome.cause)
            for failure in outcome.failures:
                key = Key(operation.kind, operation.slot, failure.member)
                if failure.errno in LOOK_AGAIN and key in report.dirt.keys:
                    self.host.schedule.dirt.add_scopes([scope_of(key.kind, key.slot)], outcome.cause)

    def _remember_displaced(self, plan: Plan) -> None:
        """Write down what our objects take the place of, before they do."""
        host = self.host
        taken = {
            Key(operation.kind, operation.slot, member): operation.before
            for operation in plan.operations
            if operation.nature is Nature.FOREIGN and operation.verb in {Verb.REPLACE, Verb.CHANGE}
            for member in operation.members
        }
        if taken.keys() - host.displaced.keys():
            host.displaced |= {key: value for key, value in taken.items() if key not in host.displaced}
            self.save_displaced(host.displaced)


def _count(operations: tuple[Operation, ...]) -> int:
    return sum(len(operation.members) for operation in operations)


def _without(outcome: Outcome, wrong: set[Key]) -> Outcome:
    """The outcome with the members that the kernel took and does not show counted as failed."""
    operation = outcome.operation
    unseen = [member for member in outcome.done if Key(operation.kind, operation.slot, member) in wrong]
    if not unseen or operation.verb is Verb.DELETE:
        return outcome
    text = f"{os.strerror(errno.EAGAIN)}: the kernel took it and does not show it"
    return replace(outcome, failures=(*outcome.failures, *(Failure(m, errno.EAGAIN, text) for m in unseen)))
