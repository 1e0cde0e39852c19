"""The state between two passes: a frame of parts, each written by nobody but itself.

* ``wanted``: the files in force, and what they come to.
* ``world``: what is known of the host.
* ``ledger``: what became of what is wanted.
* ``schedule`` and ``timetable``: what is to be looked at, and when something is due.
* ``under_way``: what dies with the pass or the plan that is under way.

Here stands what happens to several of them at once, and what the schedule is told. ``tests/unit/test_owners.py`` reads
from the syntax trees that nobody else writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from routed.core.desired import scope_of
from routed.core.dirt import Dirt
from routed.core.entries import find_needs
from routed.core.holds import Subject, Why
from routed.core.needs import Needs
from routed.core.reasons import explain_facts, find_link_change
from routed.core.schedule import Schedule
from routed.core.sources import TOLD, ask_for, find_changed_facts
from routed.core.timetable import Deadline, Timetable
from routed.daemon.dataplane import Dataplanes
from routed.daemon.ledger import Ledger
from routed.daemon.ports import HostKernel
from routed.daemon.under_way import UnderWay
from routed.daemon.wanted import Wanted
from routed.daemon.world import World
from routed.model.change import Cause
from routed.model.entries import Intent
from routed.model.events import KERNEL, AddressEvent, LinkEvent, ObjectEvent
from routed.model.facts import Fact, FactKey, Facts
from routed.model.objects import Key
from routed.model.reasons import AddressChange, AddressTurn, Flaw, Look, Reason


@dataclass(slots=True)
class Host:
    """Everything the daemon knows of one network namespace."""

    wanted: Wanted
    world: World = field(default_factory=World)
    ledger: Ledger = field(default_factory=Ledger)
    timetable: Timetable = field(default_factory=Timetable)
    schedule: Schedule = field(default_factory=Schedule)
    under_way: UnderWay = field(default_factory=UnderWay, compare=False)  # no state: it dies with a pass

    def __post_init__(self) -> None:
        self.schedule.timetable = self.timetable
        self.ledger.count_by(self.timetable)

    def copy(self) -> Host:
        """The same at this moment, for a plan. What becomes of it the original never sees, nor the other way round.

        What the next pass need not know of the one before starts anew: what was heard, seen, shown and told. Shared is
        what is under way, which is the plan then.
        """
        return Host(self.wanted.copy(), self.world.copy(), self.ledger.copy(), under_way=self.under_way)

    # --- other files ------------------------------------------------------------------------------------------------

    def ask_for(self, intent: Intent, needs: Needs, facts: Facts) -> None:
        """From now on the facts are those that these files need, beginning with these."""
        self.world.start_from(facts, self.wanted.find_same_selectors(intent))
        self.wanted.note_needs(needs)
        self.schedule.watched, self.schedule.follows_addresses = needs.watched, needs.has_addresses
        self.schedule.behind = needs.behind

    def enforce(self, intent: Intent, now: float) -> None:
        """Put other files in force: everything is resolved anew, and every hold but a pause is let go."""
        for _ in self.enforce_in_slices(intent, now):
            pass

    def enforce_in_slices(self, intent: Intent, now: float) -> Iterator[None]:
        """The same where others may have their turn between two slices: for a state that nobody else has yet."""
        needs = find_needs(intent)
        facts = ask_for(self.world.facts, needs, now)
        # first of all: should it fail, nothing of what is wanted has changed
        other = yield from self.wanted.find_other(intent, facts)
        self.ask_for(intent, needs, facts)
        self.schedule.resync = intent.settings.resync
        self.ledger.note_enforced([entry.name for entry in intent.entries], now)
        self.world.forget_all_dumps()
        yield from self.wanted.enforce(intent, other, facts)

    # --- what is heard ----------------------------------------------------------------------------------------------

    def listen(self, kernel: HostKernel, dataplanes: Dataplanes, clock: Callable[[], float]) -> None:
        """Take in every event that waits: what it makes dirty, what it tells of the host and of our own changes."""
        events, now, stamps = kernel.read_events(), clock(), dataplanes.stamps(self.wanted.marks)
        facts, desired, schedule, mine = self.world.hear(events), self.wanted.desired, self.schedule, kernel.port
        is_troubled = bool(self.ledger.troubles)
        for event in events:
            if is_troubled and isinstance(event, LinkEvent | AddressEvent):
                self._look_at_others(event, now)
            schedule.note(event, facts, desired, stamps, mine, now, kernel.identify)
            if isinstance(event, ObjectEvent) and event.port == mine:
                self.under_way.hear(event)

    def _look_at_others(self, event: LinkEvent | AddressEvent, now: float) -> None:
        """What stands in place of what is wanted may go with its link or address, of which that need not know."""
        facts = self.world.facts
        if isinstance(event, AddressEvent):
            member, dev, is_loss = event.member, event.member.dev, event.is_removal
            turn = AddressTurn.REMOVED
            reason: Reason = AddressChange(turn, member.address, member.prefixlen, facts.name_of(dev))
        else:
            dev, is_loss = event.link.ifindex, event.is_removal or not event.link.is_up
            reason = find_link_change(facts.links.get(dev), None if event.is_removal else event.link)
        if is_loss:
            self.schedule.look_behind(self.ledger.find_scopes_of_others(dev), Cause(KERNEL, reason), now)

    def deliver(self, told: Mapping[FactKey, Fact], now: float) -> None:
        """A source told this: who reads it is resolved again, unless it is what was told before."""
        if self.world.deliver(told, now):
            self.ask_again(TOLD)
            self.timetable.bring_forward(Deadline.QUESTION, now)

    def resolve_changed(self, dirt: Dirt) -> None:
        """Resolve again the entries that read a changed fact or whose time has come; make dirty where they lead."""
        facts, wanted = self.world.facts, self.wanted
        before = wanted.note_resolved(facts)
        changed = find_changed_facts(before, facts) if facts.revision != before.revision else set()
        due = {name for name, moment in wanted.desired.again.items() if moment <= facts.moment}
        if not changed and not due:
            return
        cause = explain_facts(changed, before, facts) if changed else Cause(None, Look.TIME)
        noted = (dirt.scopes, self.schedule.dirt.scopes)
        for former, now in wanted.resolve_again(due, changed, facts):
            why = wanted.replace(former, now, cause, noted)
            scopes = [scope_of(group.kind, group.slot) for group in (*former.sets, *now.sets)]
            self.world.forget_dumps(scopes)
            dirt.add_scopes(scopes, why)
        if not changed:
            return
        holds = self.ledger.holds
        again = [
            subject
            for subject, hold in holds.active.items()
            if hold.why is Why.WAITING
            or (hold.why is Why.FAILED and hold.reason is not Flaw.DUPLICATE and self._reads(subject, changed))
        ]
        holds.let_go(again)
        self.make_dirty(dirt, again, cause)

    def _reads(self, subject: Subject, changed: set[FactKey]) -> bool:
        """Did something change that the entry of this object stands on?"""
        want = self.wanted.desired.get(subject) if isinstance(subject, Key) else None
        resolution = self.wanted.desired.resolutions.get(want.entry.name if want else str(subject))
        return resolution is not None and not resolution.reads.isdisjoint(changed)

    # --- what is to be looked at ------------------------------------------------------------------------------------

    def make_dirty(self, dirt: Dirt, subjects: Iterable[Subject], cause: Cause) -> None:
        """Look again where these objects or entries live, and where surplus waits for them."""
        resolutions = self.wanted.desired.resolutions
        for subject in subjects:
            dirt.add_scopes(self.ledger.postponed, cause)
            if isinstance(subject, Key):
                dirt.add_scopes([scope_of(subject.kind, subject.slot)], cause)
            elif subject in resolutions:
                sets = resolutions[subject].sets
                dirt.add_scopes((scope_of(group.kind, group.slot) for group in sets), cause)
            elif not subject:
                dirt.everything = dirt.everything or cause

    def look_at_everything(self, cause: Cause) -> None:
        """All is dirty; the first cause stays."""
        self.schedule.dirt.everything = self.schedule.dirt.everything or cause

    def ask_again(self, source: str) -> None:
        """Something is new of this source of facts."""
        self.schedule.dirt.sources.add(source)

    def take_dirt(self) -> Dirt:
        """Hand over all that is dirty, due or not."""
        taken, self.schedule.dirt = self.schedule.dirt, Dirt()
        return taken

    def await_reach(self) -> None:
        """Listen for new on-link routes while an entry waits for a gateway."""
        waiting = (one.reads for one in self.wanted.desired.resolutions.values() if one.waiting)
        self.schedule.is_reach_awaited = any(key.what == "gateway" for reads in waiting for key in reads)

    def plan_polls(self, polled: Sequence[tuple[str, bool, float]], now: float, *, is_all_read: bool) -> None:
        """When these have to be read again: a name, whether anything is wanted of it, and an interval in seconds.

        Of each the interval begins where it was read.
        """
        polls = self.schedule.polls
        for name, is_wanted, interval in polled:
            if not is_wanted:
                polls.pop(name, None)
            elif is_all_read or name not in polls:
                polls[name] = now + interval
        self.schedule.arm_polls()

    # --- what a pass has shown --------------------------------------------------------------------------------------

    def owned_after(self, plan_missing: int, surplus: int) -> int:
        """How many objects in the kernel carry our mark, from what a comparison found."""
        return max(0, self.wanted.desired.count() - plan_missing) + surplus

    def note_in_order(self) -> None:
        """What is not in trouble is in order: entries were in force, and lifelines were ours."""
        self.ledger.note_established(self.wanted.find_lifelines(self.world.facts.ssh_peers))
        if self.wanted.new_entries:
            self.wanted.note_in_force({one.trouble.entry for one in self.ledger.troubles})
