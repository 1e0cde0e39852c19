"""The daemon's voice: what a pass has to say, said once, to the journal and to whoever watches.

Which sentence fits what is decided in ``audit``; here it is only put together with the state it speaks of.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Final

from routed.audit import notices
from routed.audit.catalogue import Message
from routed.audit.documents import make_outcome_document
from routed.audit.flood import Flood
from routed.audit.reasons import describe_reason
from routed.audit.records import Context, Record, record_pass
from routed.audit.repeat import Repeat
from routed.audit.sinks import Sink
from routed.audit.wording import WORDS
from routed.core.holds import Subject, Why
from routed.core.membership import find_roster
from routed.core.prospects import is_error
from routed.core.services import list_vips
from routed.core.timetable import Deadline, Timetable
from routed.core.waiting import is_waiting
from routed.daemon.control import OUTCOMES_QUEUED
from routed.daemon.host import Host
from routed.daemon.report import Announced, Ended, Report
from routed.daemon.status import vocabulary_of
from routed.kernel.witness import Witness
from routed.model.change import Cause
from routed.model.checks import Check, Ruling
from routed.model.documents import OutcomeDocument, is_asked
from routed.model.facts import Fact, Freshness
from routed.model.members import MemberSource, Roster
from routed.model.net import family_of
from routed.model.objects import AddressSlot, Key, Kind
from routed.model.reasons import Fought, Probed, Reason, join_reasons
from routed.model.text import Vocabulary, format_key

if TYPE_CHECKING:  # only who asks etcd pays for it
    from routed.model.etcd import Registered, Unregistered

TURNS: Final = 4  # of one check that are told …
MINUTE: Final = 60.0  # … within so many seconds
CALM: Final = frozenset({Message.WEIGHED})  # goes on as long as a load does: one of an entry a minute is told
GRACE: Final = 1.0  # seconds that an entry may wait before it is said


class Voice:
    """Writes records, unless they were said already and nothing changed since."""

    def __init__(self, sink: Sink, witness: Witness, timetable: Timetable) -> None:
        """What is to be said later stands in the timetable: ``sum_up`` and ``tell_waiting`` follow when it is due."""
        self._sink = sink
        self._timetable = timetable
        self._witness = witness
        self._untold: deque[tuple[Report, Host]] = deque()  # passes that wait for the name of somebody
        self._naming: asyncio.Task[None] | None = None
        self._repeat = Repeat()
        self._floods = {False: Flood(), True: Flood(interval=MINUTE, few=1)}  # by whether they hold what is CALM
        self._sources: dict[str, Freshness] = {}  # of members → how they were
        self._queues: dict[asyncio.Queue[OutcomeDocument], str] = {}  # and of which entry it is to get what is said
        self._waiting: dict[str, Reason | None] = {}  # entry → the reason that was said
        self._conditions: dict[str, Reason | None] = {}  # entry of a VIP → what was said
        self._chosen: dict[str, str] = {}  # [[interface]] → its link
        self._shadowed: dict[Key, Reason | None] = {}
        self._turns: dict[str, deque[float]] = {}  # check → when its last turns were told

    def say(self, *records: Record) -> None:
        """Write these records, as far as they are news."""
        now, news = time.monotonic(), self._repeat.filter(records)
        for is_calm, flood in self._floods.items():
            self._write(flood.filter([one for one in news if (one.fields["ROUTED_EVENT"] in CALM) is is_calm], now))
        self._arm()

    def sum_up(self, *, is_last: bool = False) -> None:
        """Say how many records were left out of a flood of them, where it is time to; or of any, at the end."""
        now = time.monotonic()
        for flood in self._floods.values():
            due = flood.find_due()
            if due is not None and (is_last or due <= now):
                self._write(flood.take(now))
        self._arm()

    def _arm(self) -> None:
        for due in (flood.find_due() for flood in self._floods.values()):
            if due is not None:
                self._timetable.bring_forward(Deadline.FLOOD, due)

    def _write(self, records: Iterable[Record]) -> None:
        for news in records:
            self._sink(news)
            if self._queues:
                document, subject = make_outcome_document(news, datetime.now(UTC)), news.fields.get("ROUTED_ENTRY", "")
                for queue, entry in self._queues.items():
                    if not queue.full() and (not entry or is_asked(subject, entry)):  # its reader is told of the rest
                        queue.put_nowait(document)

    def forget(self, entry: str, object_: str = "") -> None:
        """What was said of this no longer holds: it would be news again."""
        self._repeat.resolve(entry, object_)

    def tell(self, report: Report, host: Host) -> None:
        """Everything that one pass has to say; a moment later, and in turn, where it takes a search to say who."""
        if not self._untold and not self._find_unnamed(report):
            self._tell(report, host)
            return
        self._untold.append((report, host))
        if self._naming is None:
            self._naming = asyncio.get_running_loop().create_task(self._tell_in_turn())

    async def finish(self) -> None:
        """Wait until all is told."""
        if self._naming:
            await self._naming
        self._timetable.cancel(Deadline.FLOOD)
        self.sum_up(is_last=True)

    async def _tell_in_turn(self) -> None:
        while self._untold:
            report, host = self._untold[0]
            for port in self._find_unnamed(report):
                await asyncio.to_thread(self._witness.search, port)
            self._untold.popleft()
            self._tell(report, host)
        self._naming = None

    def _find_unnamed(self, report: Report) -> set[int]:
        """The port ids in a report that a search might tell more of."""
        causes = chain((outcome.cause for outcome in report.outcomes), report.dirt.distinct)
        unnamed = {cause.port for cause in causes if cause.port and cause.process is None}
        return {port for port in unnamed if self._witness.is_worth_a_search(port)}

    def _complete(self, cause: Cause) -> Cause:
        """The cause with what a search found out."""
        if not cause.port or cause.process:
            return cause
        return cause._replace(process=self._witness.find_searched(cause.port))

    def _tell(self, report: Report, host: Host) -> None:
        self._tell_vips(host)
        self._tell_shadowed(host)
        plan, ends = report.plan, (*report.ended, *report.calmed)
        if report.outcomes or plan.refusals or plan.notes or report.fights or ends:
            vocabulary = vocabulary_of(host)
            for ended in report.ended:
                self._tell_ended(ended, vocabulary)
            context = Context(
                vocabulary,
                report.is_initial,
                report.new_entries,
                cause_of=lambda key: self._complete(report.dirt.cause_of(key)),
                is_waiting=is_waiting,
            )
            outcomes = [replace(outcome, cause=self._complete(outcome.cause)) for outcome in report.outcomes]
            self.say(*record_pass(report.plan, outcomes, context))
            for subject in report.calmed:
                self._tell_calmed(subject, host)
            for entry, subject, hold in report.fights:
                key = _name(subject, vocabulary)
                assert isinstance(hold.reason, Fought)
                rival = self._complete(Cause(hold.reason.port, hold.reason, hold.reason.process))
                fight = Fought(hold.reason.times, hold.reason.seconds, rival.port, rival.process)
                if hold.why is Why.YIELDED:
                    self.say(notices.note_yielded(entry, key, hold.until - hold.since, fight))
                else:
                    vips = list_vips(host.wanted.desired, subject)
                    self.say(notices.note_fight_held(entry, key, hold.until - hold.since, fight, vips))
        for (kind, slot), members in report.absent.items():
            describe = WORDS[kind].describe_absent
            if describe and members:
                self.say(notices.note_default_rules_missing(describe(slot, members)))
            elif describe:
                self._repeat.resolve("", describe(slot, ()).subject)
        if report.dirt.asks_for_facts:
            self._tell_waiting_soon()

    def tell_announced(self, announced: Iterable[Announced], host: Host) -> None:
        """Whose neighbours were told, once for each burst; and where they could not be, until they can."""
        vocabulary = vocabulary_of(host)
        for entry, member, why, is_first, error in announced:
            key = format_key(Key(Kind.ADDRESS, AddressSlot(family_of(member.address)), member), vocabulary)
            link = vocabulary.link(member.dev)
            if error is not None:
                self.say(notices.note_not_announced(entry, key, link, error))
            else:
                self._repeat.resolve(entry, key)
                if is_first:
                    self.say(notices.note_announced(entry, key, link, why))

    def tell_check(self, check: Check, found: Ruling | Probed) -> None:
        """A check turned, or cannot be made. One that flaps is told a few times a minute."""
        told, now = self._turns.setdefault(check.name, deque(maxlen=TURNS)), time.monotonic()
        if len(told) == TURNS and told[0] > now - MINUTE:
            self.say(notices.note_check_flapping(check.entry, str(check.origin)))
            return
        told.append(now)
        if isinstance(found, Ruling):
            self.say(notices.note_check_turned(check.entry, str(check.origin), found))
        else:
            self.say(notices.note_check_failed(check.entry, str(check.origin), found))

    def tell_members(self, source: MemberSource, before: Roster, fact: Fact) -> None:
        """Who is a member now, and how the source is, as far as that is news."""
        from routed.audit import members  # noqa: PLC0415  only files with sources pay for it

        roster, last = find_roster(fact), self._sources.get(source.name)
        self._sources[source.name] = fact.state
        records = members.note_members_changed(source, before, roster)
        if fact.state is Freshness.LIVE and last is not Freshness.LIVE:
            records.insert(0, members.note_source_live(source, len(roster.present)))
        if roster.why and (roster.why, roster.held) != (before.why, before.held):
            records.append(members.note_members_held(source, describe_reason(roster.why), roster.held))
        if roster.failure and roster.failure != before.failure:
            count = len(roster.present)
            records.append(members.note_source_failed(source, describe_reason(roster.failure), count))
        known = set(before.broken)
        records += [members.note_member_broken(source, one) for one in roster.broken if one not in known]
        self.say(*records)

    def tell_registration(self, source: MemberSource, state: Registered | Unregistered) -> None:
        """Is this host a member itself?"""
        from routed.audit import members  # noqa: PLC0415  likewise

        why = getattr(state, "why", None)
        self.say(members.note_unregistered(source, describe_reason(why)) if why else members.note_registered(source))

    def subscribe(self, entry: str = "") -> asyncio.Queue[OutcomeDocument]:
        """A queue that gets every record from now on, or those of one entry and its parts, until it is full."""
        queue: asyncio.Queue[OutcomeDocument] = asyncio.Queue(OUTCOMES_QUEUED)
        self._queues[queue] = entry
        return queue

    def unsubscribe(self, queue: asyncio.Queue[OutcomeDocument]) -> None:
        """No more of them."""
        self._queues.pop(queue, None)

    def _tell_ended(self, ended: Ended, vocabulary: Vocabulary) -> None:
        key = _name(ended.subject, vocabulary)
        self._repeat.resolve(ended.entry, key)

    def _tell_calmed(self, subject: Subject, host: Host) -> None:
        """Nobody has undone it for a while; said where it is as the file says by now."""
        if isinstance(subject, Key):
            want = host.wanted.desired.get(subject)
            if want and want.value is not None and subject not in host.ledger.troubles:
                self.say(notices.note_fight_over(want.entry.name, _name(subject, vocabulary_of(host))))
        elif subject in host.wanted.desired.resolutions and not host.ledger.troubles.has_any(subject):
            self.say(notices.note_fight_over(subject, ""))

    def _tell_vips(self, host: Host) -> None:
        """What the interfaces of the files come to, and which VIPs need their route."""
        chosen = {name: choice.name for name, choice in host.world.facts.chosen.items()}
        for name, choice in host.world.facts.chosen.items():
            if self._chosen.get(name) != choice.name:
                before = self._chosen.get(name, "")
                self.say(notices.note_selector_changed(name, before, choice.name, choice.reason))
        self._chosen = chosen
        vips = (*host.wanted.needs.vips, *host.wanted.needs.held)
        notes = {vip.name: (vip, host.wanted.desired.resolutions[vip.name].note) for vip in vips}
        for name, (vip, note) in notes.items():
            if note and self._conditions.get(name) != note:
                self.say(notices.note_vip_condition(name, str(vip.origin), note))
        held = {vip.name for vip in host.wanted.needs.held}  # of these no note says that it is over, not that it waits
        for name in held:
            if self._conditions.get(name) and not notes[name][1]:
                self._repeat.resolve(name)
        self._conditions = {
            name: note or (None if name in held else self._conditions.get(name)) for name, (_, note) in notes.items()
        }

    def _tell_shadowed(self, host: Host) -> None:
        """What stands, and something else decides. Said when it begins, and once more when that is something else."""
        if not (host.ledger.shadowed or self._shadowed):
            return
        shadowed = {key: one.reason for key, one in host.ledger.shadowed.items() if key not in host.ledger.troubles}
        if shadowed == self._shadowed:
            return
        vocabulary, vips = vocabulary_of(host), {vip.name for vip in host.wanted.needs.vips}
        for key in self._shadowed.keys() - shadowed.keys():
            want = host.wanted.desired.get(key)
            self._repeat.resolve(want.entry.name if want else "", format_key(key, vocabulary))
        for key, reason in shadowed.items():
            want = host.wanted.desired.get(key)
            if want and self._shadowed.get(key) != reason:
                note = notices.note_vip_bypassed if want.entry.name in vips else notices.note_shadowed
                self.say(note(want.entry.name, format_key(key, vocabulary), reason))
        self._shadowed = shadowed

    def _tell_waiting_soon(self) -> None:
        """What waits for a moment only, as in a flap, is not worth a word."""
        self._timetable.bring_forward(Deadline.WAITING, time.monotonic() + GRACE)

    def tell_waiting(self, host: Host) -> None:
        """Entries that wait for a link, a gateway or an address, and those that wait no more."""
        self._timetable.cancel(Deadline.WAITING)
        now = {
            resolution.entry.name: join_reasons(waiting.reason for waiting in resolution.waiting)
            for resolution in host.wanted.desired.list_notable()
            if resolution.waiting
        }
        for entry in self._waiting.keys() - now.keys():
            self._repeat.resolve(entry)
        for entry, reason in now.items():
            if self._waiting.get(entry) != reason:
                origin = str(host.wanted.desired.resolutions[entry].entry.origin)
                note = notices.note_impossible if is_error(reason) else notices.note_waiting
                self.say(note(entry, origin, reason))
        self._waiting = now


def _name(subject: Key | str, vocabulary: Vocabulary) -> str:
    return format_key(subject, vocabulary) if isinstance(subject, Key) else ""
