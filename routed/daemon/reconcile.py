"""The story: look at the host, resolve the entries, compare, plan, carry out, verify, report.

Written as generators: every ``yield`` is a place where somebody else may have his turn, and an errand may be done
elsewhere. Which pass is due, and what follows when one fails, is decided by the ``engine``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from routed.core.dirt import Dirt
from routed.core.drain import Count, Counted, Outlook, find_leaving, find_next, list_places
from routed.core.entries import find_needs
from routed.core.for_each import find_unsettled
from routed.core.guard import Limits, may_cut_off
from routed.core.interest import find_interest, widen
from routed.core.plan import Policy, make_plan
from routed.core.sources import ROUTE, ask_for
from routed.core.used import Users
from routed.daemon.aftermath import forget_former, forget_marks, note_outcomes, note_troubles
from routed.daemon.carry_out import carry_out, find_few, remember_displaced, verify
from routed.daemon.dataplane import Dataplanes
from routed.daemon.effect import look_at_effect
from routed.daemon.facts import arm, gather, prove
from routed.daemon.host import NOTHING_TOLD, Host
from routed.daemon.observe import Comparison, find_all_scopes, observe
from routed.daemon.peers import SshSessions
from routed.daemon.ports import HostKernel
from routed.daemon.record import find_moment
from routed.daemon.reflex import react
from routed.daemon.report import Announced, PassStep, Report
from routed.daemon.spectator import Spectator
from routed.daemon.users import find_users
from routed.model.assumption import NOTHING_ASSUMED, Assumptions
from routed.model.change import Cause, Nature, Plan
from routed.model.drain import NOTHING_LEAVES, Drain, Leaving
from routed.model.entries import Intent
from routed.model.events import Interest
from routed.model.facts import Fact, FactKey
from routed.model.lifetime import BootTime
from routed.model.objects import Key, Kind, Slot, Value
from routed.model.reasons import FirstContact, Look

if TYPE_CHECKING:  # imported when a plan needs it
    from routed.daemon.supposing import Supposed

STOPPED: Final = Cause(None, Look.STOP)
COUNTED: Final = 32  # services whose connections are counted between two breaths of the loop
MARGIN: Final = 0.01  # seconds by which two clocks may differ when a drain is over
POLLED: Final = Cause(None, Look.POLLED)


class Proposal(NamedTuple):
    """What putting files in force would do, and the state that the plan was made from."""

    plan: Plan
    host: Host
    moment: float  # when it was begun
    supposed: Supposed | None = None  # what would happen first


@dataclass(slots=True)
class Reconciler:
    """Keeps one network namespace as its intent says."""

    kernel: HostKernel
    dataplanes: Dataplanes
    host: Host
    clock: Callable[[], float]
    jitter: Callable[[], float] = lambda: 0.0
    save_displaced: Callable[[dict[Key, Value]], None] = lambda _: None
    find_ssh_sessions: Callable[[], SshSessions] = SshSessions
    find_moment: Callable[[], BootTime] = find_moment
    find_time: Callable[[], float] = time.time
    # what is connected to the servers of a service; raises OSError. None: nobody is here to see the end of a drain
    count: Count | None = None
    save_drains: Callable[[Mapping[Key, Drain], dict[str, dict[str, float]]], None] = lambda *_: None
    # what others asked for a moment ago of what tells of no changes: it may say who did what was just found
    hear_others: Callable[[], Dirt] = Dirt
    most_imagined: int | None = None  # objects of a host that a plan may hold in memory; None: any number
    kept_risen: dict[str, dict[str, float]] = field(default_factory=dict)
    interest_inputs: tuple[object, ...] | None = None  # what the present interest in news was found by

    def begin(self) -> None:
        """Read the facts for the first time. Events must be open already, so that nothing falls in between."""
        host, needs = self.host, find_needs(self.host.wanted.intent)
        host.ask_for(host.wanted.intent, needs, ask_for(host.world.facts, needs, self.clock()))
        for _ in self._refresh_facts(Dirt(everything=Cause(None, Look.START)), is_initial=False):
            pass
        self.host.take_dirt()  # what was heard meanwhile: the first pass looks at everything

    def listen(self) -> None:
        """Take in every event that waits."""
        self.host.listen(self.kernel, self.dataplanes, self.clock)

    def react(self, not_before: float) -> None:
        """Put back at once what needs no thought. When no pass is under way, none was asked for, and one may begin."""
        if (now := self.clock()) >= not_before:
            react(self.kernel, self.host, now)

    def deliver(self, told: Mapping[FactKey, Fact]) -> None:
        """What a source of facts has to tell, whenever it likes."""
        self.host.deliver(told, self.clock())
        arm(self.host)

    def reconcile(self, dirt: Dirt, *, is_initial: bool = False, is_forced: bool = False) -> Iterator[PassStep]:
        """One pass over what is dirty. Yields the report last, and before it where the loop may breathe."""
        kernel, dataplanes, host, clock = self.kernel, self.dataplanes, self.host, self.clock
        began, ledger = clock(), host.ledger
        displaced = len(ledger.displaced)
        comparison, plan = yield from self.decide(dirt, began, is_initial=is_initial, is_forced=is_forced)
        new_entries = host.wanted.new_entries
        if remember_displaced(dataplanes, host, plan, self.find_moment) or len(ledger.displaced) != displaced:
            self.save_displaced(ledger.displaced)
        self._note_drains(plan)
        displaced = len(ledger.displaced)
        attempt = yield from carry_out(kernel, dataplanes, plan, dirt, host.under_way, began, clock, few=find_few(host))
        outcomes, unread = yield from verify(kernel, dataplanes, host, attempt, clock)
        report = Report(
            dirt,
            began,
            is_initial,
            new_entries,
            plan,
            outcomes,
            comparison.scopes,
            {**comparison.unread, **unread},
            attempt.postponed,
            absent=comparison.absent,
        )
        self._draw_conclusions(report, comparison)
        if len(ledger.displaced) != displaced:  # some were put back
            self.save_displaced(ledger.displaced)
        yield from look_at_effect(kernel, dataplanes, host, dirt, clock)
        yield report

    def propose(
        self,
        intent: Intent,
        assumed: Assumptions = NOTHING_ASSUMED,
        told: Mapping[FactKey, Fact] = NOTHING_TOLD,
    ) -> Generator[None, None, Proposal]:
        """The plan of the first pass if these files, read from the disk, were put in force now.

        Where anything is assumed, or asked beside it, the plan of all passes that would follow: see ``supposing``.

        ``told`` is what is known already of what these files ask for.
        Neither the kernel nor the host is changed. May be abandoned, and may be interrupted by passes that look at
        single keys: see ``under_way``.
        """
        host = self.host.copy()
        if not assumed.is_plain:
            from routed.daemon import supposing  # noqa: PLC0415  few plans need it

            began = self.clock()
            plan, host, supposed = yield from supposing.propose(self, host, intent, assumed, told)
            return Proposal(plan, host, began, supposed)
        host.wanted.let_surplus_go()
        yield from host.enforce_in_slices(intent, self.clock(), told)
        dirt, began = Dirt(everything=Cause(None, Look.PLAN)), self.clock()
        observed = replace(
            self,
            kernel=Spectator(self.kernel),
            dataplanes=self.dataplanes.observed(),
            host=host,
            hear_others=Dirt,
        )
        comparison, plan = yield from observed.decide(dirt, began, is_initial=True)
        host.world.note_absent(comparison.absent)
        yield from look_at_effect(observed.kernel, observed.dataplanes, host, dirt, self.clock)
        return Proposal(plan, host, began)

    def poll(self) -> None:
        """Make dirty what no event tells of and has to be read again by now."""
        schedule, now = self.host.schedule, self.clock()
        due = schedule.take_polls([(name, interval) for name, _, interval in self._list_polls(now)], now)
        for dataplane, _ in self.dataplanes.polled:
            if dataplane.name in due:
                schedule.dirt.add_scopes(find_all_scopes(self.dataplanes, self.host, dataplane.kinds), POLLED)

    def announce(self) -> list[Announced]:
        """Tell the neighbours of those VIPs whose turn it is."""
        host, told = self.host, []
        for member, burst in host.ledger.announcements.take_due(host.wanted.desired, self.clock()):
            link, error = host.world.facts.links.get(member.dev), None
            if link and link.is_up:
                try:
                    self.kernel.announce(link, member.address)
                except OSError as refused:
                    error = refused
                is_first = burst.left == burst.entry.announcements
                told.append(Announced(burst.entry.name, member, burst.why, is_first, error))
        return told

    def decide(
        self, dirt: Dirt, began: float, *, is_initial: bool = False, is_forced: bool = False
    ) -> Generator[None, None, tuple[Comparison, Plan]]:
        """Look, resolve, compare, plan. Nothing of the plan is carried out."""
        host = self.host
        if dirt.asks_for_facts:
            with host.under_way.asking():
                yield from self._refresh_facts(dirt, is_initial=is_initial)
            host.schedule.note_questions(began, self.clock())
            self._choose_news(is_full=dirt.everything is not None)
        self.kernel.follow(host.wanted.desired.list_kinds())
        comparison = yield from observe(self.dataplanes, host, dirt)
        dirt.learn(self.hear_others(), comparison.scopes)
        dirt.learn(host.schedule.dirt, comparison.scopes)  # what was heard since it was begun, or is not due yet
        leaving = yield from self._find_leaving(comparison, dirt)
        users = yield from find_users(self.dataplanes, comparison.drifts, self.dataplanes.stamps(host.wanted.marks))
        policy = self._policy(comparison, dirt, leaving, users, is_forced=is_forced)
        plan = make_plan(comparison.drifts, comparison.notes, policy)
        is_by_containment = any(isinstance(one.reason, FirstContact) and one.reason.peer for one in plan.refusals)
        if not is_by_containment and (is_forced or not may_cut_off(plan)):
            return comparison, _with_former(plan, comparison)
        from routed.daemon import lifelines  # noqa: PLC0415  nearly no plan needs it

        if is_by_containment:
            carriers = yield from lifelines.find_carriers(self.kernel, self.dataplanes, plan, policy.limits)
            policy = replace(policy, limits=replace(policy.limits, carriers=carriers))
            plan = make_plan(comparison.drifts, comparison.notes, policy)
        if not is_forced:
            plan = yield from lifelines.guard_lifelines(self.kernel, self.dataplanes, host, plan, dirt, policy.limits)
        return comparison, _with_former(plan, comparison)

    def _refresh_facts(self, dirt: Dirt, *, is_initial: bool) -> Iterator[None]:
        """Ask again what events do not tell, all of it on a full pass, and resolve what depends on what changed."""
        host = self.host
        is_full = dirt.everything is not None
        host.follow_members(dirt, self.clock())
        # all of it: an event that was lost may have been that of a link or an address
        yield from gather(self.kernel, self.dataplanes, host, dirt.sources, self.clock(), is_full=is_full)
        if is_initial:  # that is when a foreign route is first met; reading all sockets is too slow for every pass
            sessions = self.find_ssh_sessions()
            host.world.note(ssh_peers=sessions.peers, ssh_addresses=sessions.addresses)
        self.listen()  # the answers may be ahead of the events, and those say why
        host.resolve_changed(dirt)
        arm(host)
        host.await_reach()

    def _choose_news(self, *, is_full: bool) -> None:
        """Hear of what may matter now, before it is dumped, and of nothing else.

        What is wanted besides is heard of besides; a full pass finds all of it anew.
        """
        host, wanted, known = self.host, self.host.wanted, self.kernel.interest
        is_everything_news = host.schedule.is_reach_awaited
        asked = (is_everything_news, wanted.needs.watched, wanted.needs.behind, wanted.marks)
        interest_inputs = (*asked, wanted.desired.changes)
        if interest_inputs == self.interest_inputs:
            return
        put, before = wanted.take_put(), self.interest_inputs
        interest: Interest | None = None
        if put is not None and known is not None and not is_full and before is not None and before[:-1] == asked:
            interest = widen(known, put)
        is_wider = interest is not None
        if interest is None and not is_everything_news:
            needs = wanted.needs
            interest = find_interest(wanted.desired, needs.watched | needs.behind, wanted.marks.numbers)
        if is_full or not is_wider:
            self.interest_inputs = interest_inputs
        if interest != known:
            self.kernel.listen_for(interest)
            if (wanted.needs.gateways or wanted.needs.watched) and not is_wider:
                host.ask_again(ROUTE)  # these were asked for while the news of them was not heard

    def _find_leaving(self, comparison: Comparison, dirt: Dirt) -> Generator[None, None, Leaving]:
        """Which servers that no entry wants stay until nothing is connected. When we stop, nobody sees the end."""
        ledger, wanted, is_last = self.host.ledger, self.host.wanted, dirt.everything == STOPPED
        places = list_places(comparison.drifts) if self.count and not is_last else []
        if not (places or (ledger.drains and not is_last)) or not (moment := self.find_moment()).boot:
            return NOTHING_LEAVES
        counted: dict[Slot, Counted] = {}
        for number, place in enumerate(places):
            with suppress(OSError):  # it stays until its time is over
                assert self.count is not None
                counted[place] = self.count(place)[1]
            if not number % COUNTED:
                yield
        outlook = Outlook(
            booted=moment.seconds,
            unix=self.find_time(),
            is_full=dirt.everything is not None,
            drains=ledger.drains,
            counted=counted,
            scopes=frozenset(comparison.scopes),
            unread=frozenset(comparison.unread),
            find_want=wanted.desired.get,
            find_patience=wanted.patience.get,
            is_withdrawn=wanted.is_withdrawn,
            displaced=ledger.displaced,
        )
        return find_leaving(comparison.drifts, outlook)

    def _note_drains(self, plan: Plan) -> None:
        """What drains, or begins slowly, before the kernel is asked for it. What is left alone does not begin to."""
        begun, alone = self.host.ledger.drains, [*(one.drift for one in plan.refusals), *plan.held]
        left = {Key(drift.kind, drift.slot, member) for drift in alone for member in drift.members} - begun.keys()
        is_news = self.host.ledger.note_drains({k: one for k, one in plan.leaving.drains.items() if k not in left})
        if is_news or self.kept_risen != self.host.world.facts.risen:
            self.kept_risen = self.host.world.facts.risen
            self.save_drains(self.host.ledger.drains, self.kept_risen)

    def _policy(self, comparison: Comparison, dirt: Dirt, leaving: Leaving, users: Users, *, is_forced: bool) -> Policy:
        host, wanted, ledger, now = self.host, self.host.wanted, self.host.ledger, self.clock()
        surplus = comparison.count(Nature.SURPLUS)  # without any, nobody asks how many are owned
        limits = Limits(
            max_deletes=wanted.intent.settings.max_deletes,
            is_forced=is_forced,
            ssh_peers=host.world.facts.ssh_peers,
            ssh_addresses=host.world.facts.ssh_addresses,
            contacted=ledger.established | ledger.displaced.keys(),
            count_former=wanted.former.count,
        )
        return Policy(
            stamps=self.dataplanes.stamps(wanted.marks),
            limits=limits,
            owned=host.owned_after(comparison.count(Nature.MISSING), surplus) if surplus else 0,
            new_entries=wanted.new_entries,
            why_surplus_stays=wanted.why_surplus_stays,
            why_unsettled=find_unsettled(wanted.unfolded.expansions.values(), host.world.facts),
            is_undecided=host.world.is_undecided,
            is_held=(lambda key, drift: ledger.holds.keeps_back(key, drift, dirt.cause_of(key, drift.nature), now))
            if ledger.holds.active
            else None,
            displaced=wanted.find_given_back(ledger.displaced),
            taken=wanted.desired.find_removed(Kind.SERVER),
            is_place_wanted=wanted.desired.is_place_wanted,
            find_conflict=ledger.find_conflict,
            find_absent=ledger.find_absent,
            users=users,
            share_out=wanted.share_out_surplus,
            find_withdrawal=wanted.find_withdrawal,
            find_moment=self.find_moment,
            leaving=leaving,
        )

    def _draw_conclusions(self, report: Report, comparison: Comparison) -> None:
        """What the outcomes mean for the next pass and for the state that is shown."""
        host, ledger, now = self.host, self.host.ledger, self.clock()
        if report.outcomes:
            prove(self.kernel, host)
        report.fights = note_outcomes(host, report, self.kernel.port, now, self.jitter())
        report.ended = note_troubles(host, report, comparison, now)
        if report.dirt.everything:
            report.calmed = ledger.holds.forget_old_repairs(now)
        ledger.note_postponed(report.scopes, report.postponed)
        host.world.note_unread(report.scopes - report.unread.keys(), report.unread, now)
        host.world.note_absent(report.absent)
        forget_former(host, report)
        forget_marks(host, report, comparison.former)
        desired, facts = host.wanted.desired, host.world.facts
        ledger.announcements.note(report.outcomes, report.dirt.regained, desired, facts, now)
        report.elapsed = now - report.began
        host.schedule.note_pass(report.dirt, report.began, now)
        if self.dataplanes.polled:
            self._plan_polls(report, now)

    def _plan_polls(self, report: Report, now: float) -> None:
        """A dataplane without events is read again after a while, as long as anything is wanted of it."""
        changed = {outcome.operation.kind for outcome in report.outcomes if not report.is_initial}
        for one, _ in self.dataplanes.polled:
            if changed.intersection(one.kinds):
                self.host.schedule.note_busy(one.name, now)
        self.host.plan_polls(self._list_polls(now), now, is_all_read=report.dirt.everything is not None)
        drains = self.host.ledger.drains
        soon = find_next(drains, self.find_moment().seconds) if drains else None
        for name in {self.dataplanes.by_kind[key.kind].name for key in drains} if soon is not None else ():
            self.host.hasten_poll(name, now + (soon or 0.0) + MARGIN)
        if report.plan.leaving.is_held_up:
            self.host.look_at_everything(Cause(None, Look.TIME))

    def _list_polls(self, now: float) -> list[tuple[str, bool, float]]:
        """Each dataplane that is polled: its name, is anything of ours there, and the interval in seconds."""
        polls = self.host.wanted.intent.settings.polls
        kinds = {kind for kind, slots in self.host.wanted.desired.wants.items() if slots}
        kinds |= {key.kind for key in self.host.ledger.drains}
        return [
            (
                one.name,
                not kinds.isdisjoint(one.kinds),
                self.host.schedule.find_interval(one.name, polls.get(one.name, interval), now),
            )
            for one, interval in self.dataplanes.polled
        ]


def _with_former(plan: Plan, comparison: Comparison) -> Plan:
    return replace(plan, former=tuple(comparison.stays)) if comparison.stays else plan
