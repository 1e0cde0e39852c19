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

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import inf
from typing import Final, NamedTuple, cast

from routed.core.desired import ObjectSet, Resolution, scope_of
from routed.core.dirt import STORM, Dirt
from routed.core.entries import find_needs, follow_needs
from routed.core.for_each import find_source
from routed.core.holds import Subject, Why
from routed.core.kinds import KINDS
from routed.core.needs import Needs
from routed.core.reasons import Identify, blame_lost_address, choose_cause, explain_facts, find_link_change
from routed.core.schedule import Schedule
from routed.core.sources import MEMBER, TOLD, ask_for, deliver, find_changed_facts
from routed.core.timetable import Deadline, Timetable
from routed.daemon.dataplane import Dataplanes
from routed.daemon.ledger import Ledger
from routed.daemon.ports import HostKernel
from routed.daemon.under_way import UnderWay
from routed.daemon.wanted import Wanted, make_whole
from routed.daemon.world import World
from routed.model.change import Cause, Nature, Want
from routed.model.entries import Intent
from routed.model.events import KERNEL, AddressEvent, LinkEvent, ObjectEvent, RequestEvent
from routed.model.facts import Fact, FactKey, Facts
from routed.model.objects import Key, Value, list_aliases
from routed.model.reasons import Flaw, Look, MembersChanged

NOTHING_TOLD: Final[Mapping[FactKey, Fact]] = {}


class Before(NamedTuple):
    """What was wanted before members made some entries otherwise."""

    names: frozenset[str]  # of these
    wants: Mapping[Key, Want]  # what they had


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

    def enforce(self, intent: Intent, now: float, told: Mapping[FactKey, Fact] = NOTHING_TOLD) -> None:
        """Put other files in force: everything is resolved anew, and every hold but a pause is let go.

        ``told`` is what is known already of what they ask for.
        """
        for _ in self.enforce_in_slices(intent, now, told):
            pass

    def enforce_in_slices(
        self, intent: Intent, now: float, told: Mapping[FactKey, Fact] = NOTHING_TOLD
    ) -> Iterator[None]:
        """The same where others may have their turn between two slices: for a state that nobody else has yet."""
        needs, since = find_needs(intent), self.world.find_asked_since(now)
        facts = ask_for(self.world.facts, needs, since)
        if told:
            facts = deliver(facts, told, now)
        unfolded = self.wanted.unfold(intent, facts)
        whole = make_whole(intent, unfolded) if unfolded.expansions else intent
        if unfolded.expansions:
            needs = find_needs(whole)
            facts = ask_for(facts, needs, since)
        # first of all: should it fail, nothing of what is wanted has changed
        other = yield from self.wanted.find_other(whole, facts)
        names = {entry.name for entry in whole.entries} if facts.risen else set()
        facts = facts.put(risen={name: one for name, one in facts.risen.items() if name in names})
        facts, other = self.wanted.begin_slowly(other, replace(facts, moment=now), intent.settings.protocol)
        self.ask_for(intent, needs, facts)
        self.schedule.resync = intent.settings.resync
        self.ledger.note_enforced([entry.name for entry in whole.entries], now)
        self.world.forget_all_dumps()
        yield from self.wanted.enforce(intent, other, facts, unfolded)

    # --- what is heard ----------------------------------------------------------------------------------------------

    def listen(self, kernel: HostKernel, dataplanes: Dataplanes, clock: Callable[[], float]) -> None:
        """Take in every event that waits: what it makes dirty, what it tells of the host and of our own changes."""
        events, now, stamps = kernel.read_events(), clock(), dataplanes.stamps(self.wanted.marks)
        facts, desired, schedule, mine = self.world.hear(events), self.wanted.desired, self.schedule, kernel.port
        is_waited = bool(self.ledger.troubles or self.wanted.gone)
        for event in events:
            if is_waited and isinstance(event, LinkEvent | AddressEvent):
                self._hear_loss(event, mine, kernel.identify, now)
            schedule.note(event, facts, desired, stamps, mine, now, kernel.identify)
            if isinstance(event, ObjectEvent) and event.port == mine:
                self.under_way.hear(event)

    def hear_requests(self, events: Iterable[RequestEvent], identify: Identify, now: float) -> None:
        """Take in what others ask for: what it makes dirty."""
        for event in events:
            self.schedule.note_request(event, self.wanted.desired, now, identify)

    def _hear_loss(self, event: LinkEvent | AddressEvent, mine: int, identify: Identify, now: float) -> None:
        """What stands in place of what is wanted may go with its link or address, of which that need not know.

        And what entries that wait came to may have gone with it.
        """
        facts = self.world.facts
        if isinstance(event, AddressEvent):
            if not event.is_removal:
                return
            dev, cause = event.member.dev, blame_lost_address(event, facts, mine, identify)
        else:
            if event.link.is_up and not event.is_removal:
                return
            dev = event.link.ifindex
            cause = Cause(KERNEL, find_link_change(facts.links.get(dev), None if event.is_removal else event.link))
        self.schedule.look_behind(self.ledger.find_scopes_of_others(dev), cause, now)
        self.wanted.hear_loss(dev, event, cause)

    def deliver(self, told: Mapping[FactKey, Fact], now: float) -> None:
        """A source told this: who reads it is resolved again, unless it is what was told before."""
        if self.world.deliver(told, now):
            self.ask_again(TOLD)
            self.timetable.bring_forward(Deadline.QUESTION, now)

    def follow_members(self, dirt: Dirt, now: float) -> None:
        """Take in who is a member now, and ask the host what the entries need to know that this makes."""
        moved = self.wanted.follow_members(self.world.facts) if self.wanted.unfolded.expansions else []
        if not moved:
            return
        others = [entry for one in moved for entry in (one.before, one.after) if entry is not None]
        needs = follow_needs(self.wanted.needs, self.wanted.find_whole, len(self.wanted.desired.resolutions), others)
        if needs != self.wanted.needs:
            since = self.world.find_asked_since(now)
            self.ask_for(self.wanted.intent, needs, ask_for(self.world.facts, needs, since))
            dirt.sources |= {MEMBER}
        self.ledger.note_moved(moved, now)

    def _resolve_moved(self, dirt: Dirt) -> None:
        """Put what members make otherwise in place of what they made."""
        noted = (dirt.scopes, self.schedule.dirt.scopes)
        before = Before(frozenset(self.wanted.moved), self.wanted.find_wants(self.wanted.moved))
        for former, found in self.wanted.resolve_moved(self.world.facts):
            now = self._begin_slowly(found) if found else None
            cause = Cause(None, MembersChanged(find_source(former.entry, self.wanted.unfolded.expansions)))
            why = self.wanted.replace(former, now, cause, noted) if now else cause
            for group in (*former.sets, *(now.sets if now else ())):
                self._look_at_group(dirt, group, why, before)

    def _look_at_group(self, dirt: Dirt, group: ObjectSet, cause: Cause, before: Before) -> None:
        """Objects that members made otherwise are to be compared.

        What stood under a key was seen, and of a change the kernel would have told: so it is known where it was in
        order. Where nothing was wanted the kernel refuses to put something in the place of another. A dump shows all
        the rest.
        """
        kind, slot = group.kind, group.slot
        scope = scope_of(kind, slot)
        self.world.forget_dumps([scope])
        is_known = KINDS[kind].is_followed and self.world.find_unread(kind, slot) is None
        members = tuple(islice(group.members, STORM + 1)) if is_known else ()
        standing = {member: self._find_standing(Key(kind, slot, member), before) for member in members}
        if not is_known or len(members) > STORM or None in standing.values() or scope in self.ledger.postponed:
            dirt.add_scopes([scope], cause)
            return
        for member, values in standing.items():
            assert values is not None
            key = Key(kind, slot, member)  # of which an event may have told since
            heard = self.schedule.dirt.keys.get(key, dirt.keys.get(key, values))
            dirt.add_keys(kind, slot, (member,), heard, cause)

    def _find_standing(self, key: Key, before: Before) -> tuple[Value, ...] | None:
        """All that stands under a key; None where that is not known."""
        want, now = before.wants.get(key), self.wanted.desired.get(key)
        if want is None and now is not None and now.entry.name not in before.names:
            want = now
        if key in self.ledger.troubles or (want and (want.value is None or want.also)):
            return None
        standing = list_aliases(want.value) if want else ()
        return standing if len(standing) < 2 else None  # of an order no event tells

    def resolve_changed(self, dirt: Dirt) -> None:
        """Resolve again the entries that read a changed fact or whose time has come; make dirty where they lead."""
        wanted = self.wanted
        resolved = frozenset(wanted.moved)  # by these facts, so they are not resolved again
        if resolved:
            self._resolve_moved(dirt)
        facts = self.world.facts
        before = wanted.note_resolved(facts)
        changed = find_changed_facts(before, facts) if facts.revision != before.revision else set()
        due = {name for name, moment in wanted.desired.again.items() if moment <= facts.moment}
        if not changed and not due:
            return
        cause = explain_facts(changed, before, facts) if changed else Cause(None, Look.TIME)
        noted = (dirt.scopes, self.schedule.dirt.scopes)
        refused = self._list_refused()
        for former, found in wanted.resolve_again(due, changed, facts, resolved):
            now = self._begin_slowly(found)
            why = wanted.replace(former, now, cause, noted, refused.get(now.entry.name, ()))
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
        self.make_dirty(dirt, again, cause)
        holds.let_go(again)

    def _begin_slowly(self, found: Resolution) -> Resolution:
        """The same, where what begins its work does so slowly, which is noted."""
        after, [slow] = self.wanted.begin_slowly([found], self.world.facts, self.wanted.intent.settings.protocol)
        if after is not self.world.facts:
            self.world.note(risen=after.risen)
        return slow

    def _list_refused(self) -> dict[str, list[Cause]]:
        """Why the objects of each entry had gone that could not be put back until now."""
        refused: dict[str, list[Cause]] = {}
        for subject, hold in self.ledger.holds.active.items():
            want = self.wanted.desired.get(subject) if hold.cause and isinstance(subject, Key) else None
            if want is not None and hold.cause is not None:
                refused.setdefault(want.entry.name, []).append(hold.cause)
        return refused

    def _reads(self, subject: Subject, changed: set[FactKey]) -> bool:
        """Did something change that the entry of this object stands on?"""
        want = self.wanted.desired.get(subject) if isinstance(subject, Key) else None
        resolution = self.wanted.desired.resolutions.get(want.entry.name if want else str(subject))
        return resolution is not None and not resolution.reads.isdisjoint(changed)

    # --- what is to be looked at ------------------------------------------------------------------------------------

    def make_dirty(self, dirt: Dirt, subjects: Iterable[Subject], cause: Cause) -> None:
        """Look again where these objects or entries live, and where surplus waits for them.

        What could not be put back is not there for another cause than that for which it is tried again.
        """
        resolutions, active = self.wanted.desired.resolutions, self.ledger.holds.active
        for subject in subjects:
            dirt.add_scopes(self.ledger.postponed, cause)
            if isinstance(subject, Key):
                dirt.add_scopes([scope_of(subject.kind, subject.slot)], cause)
                known = active[subject].cause if subject in active else None
                if known and choose_cause(cause, known, Nature.MISSING) is known:
                    dirt.note_cause(subject.kind, subject.slot, (subject.member,), known)
            elif subject in resolutions:
                sets = [group for name in self.wanted.list_with_parts(subject) for group in resolutions[name].sets]
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
        """Listen for new on-link routes while an entry waits for a gateway, or is withheld for want of one."""
        desired = self.wanted.desired
        noted = (desired.resolutions[name] for name in desired.notable)
        awaited = (one.reads for one in noted if one.waiting or one.withheld)
        gateways = {cast("bytes", key.which) for reads in awaited for key in reads if key.what == "gateway"}
        known = self.world.facts.gateways
        self.schedule.is_reach_awaited = not all(one in known and known[one].is_onlink for one in gateways)

    def plan_polls(self, polled: Sequence[tuple[str, bool, float]], now: float, *, is_all_read: bool) -> None:
        """When these have to be read again: a name, whether anything is wanted of it, and an interval in seconds.

        Of each the interval begins where it was read; a shorter one than before begins now.
        """
        polls = self.schedule.polls
        for name, is_wanted, interval in polled:
            if not is_wanted:
                polls.pop(name, None)
            elif is_all_read or polls.get(name, inf) > now + interval:
                polls[name] = now + interval
        self.schedule.arm_polls()

    def hasten_poll(self, name: str, moment: float) -> None:
        """This dataplane has to be read again by then."""
        polls = self.schedule.polls
        polls[name] = min(moment, polls.get(name, moment))
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

    def note_keys_in_order(self, keys: Collection[Key]) -> None:
        """The same of the entries of which these are all that there is."""
        desired, new = self.wanted.desired, self.wanted.new_entries
        wants = (desired.get(key) for key in keys)
        names = {want.entry.name for want in wants if want is not None and want.entry.name in new}
        whole = {name for name in names if desired.resolutions[name].count_objects() <= len(keys)}
        seen = {name for name in whole if all(key in keys for key in desired.keys_of(name))}
        if seen:
            self.wanted.note_in_force({one.trouble.entry for one in self.ledger.troubles}, seen)
