"""The service: one daemon's life, and what its clients may ask of it.

It holds the parts together: the files, the loop, the audit, the control socket, systemd. Each decision lives elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from routed import __version__
from routed.audit import notices
from routed.audit.reasons import describe_reason
from routed.audit.sinks import Sink
from routed.core.assumptions import AssumptionError, read_assumptions
from routed.core.reasons import find_failure
from routed.core.timetable import Deadline
from routed.daemon import discretion, memory, peers, systemd
from routed.daemon.askers import name_asker
from routed.daemon.carry_out import count_members
from routed.daemon.checking import Checking
from routed.daemon.clients import Peer
from routed.daemon.control import Control, Refused, UnknownEntry
from routed.daemon.dataplane import find_dataplanes
from routed.daemon.deployment import Deployer
from routed.daemon.engine import Engine, Inquiry
from routed.daemon.files import Files, Start
from routed.daemon.host import Host
from routed.daemon.ipvs import SeldomIpvs
from routed.daemon.keeper import Keeper
from routed.daemon.loop import Loop
from routed.daemon.ownership import Ownership
from routed.daemon.readings import Readings
from routed.daemon.reconcile import Reconciler
from routed.daemon.report import Aborted, Due, News, Recovered, Report, Resumed, Told
from routed.daemon.results import (
    describe_phase,
    describe_plan,
    describe_revision,
    describe_sources,
    describe_trial,
)
from routed.daemon.revisions import Provenance
from routed.daemon.status import (
    count_leftovers,
    count_states,
    describe_absent,
    describe_entries,
    describe_leftovers,
    describe_pauses,
    summarise,
    summarise_absent,
    summarise_pauses,
)
from routed.daemon.storage import StateError
from routed.daemon.traffic import add_traffic
from routed.daemon.voice import Voice
from routed.daemon.wanted import Wanted
from routed.daemon.watch import FileWatch
from routed.intent.problems import IntentError
from routed.kernel.kernel import Kernel
from routed.model.change import Cause, Nature
from routed.model.documents import (
    ApplyDocument,
    EntryDocument,
    OutcomeDocument,
    PlanDocument,
    RevisionsDocument,
    SourcesDocument,
    StatusDocument,
)
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey
from routed.model.objects import Kind
from routed.model.reasons import Look, Paused

STATUS_DELAY: Final = 1.0  # seconds between a change and the sentence in ``systemctl status``
FIRST_KEEP: Final = 1.0  # seconds until it is tried again to keep what could not be kept …
LAST_KEEP: Final = 60.0  # … twice as long each time, up to this
READY_AGAIN: Final = 0.5  # seconds until it is told again that could not be told
EVERYTHING: Final = ""  # the subject of a pause of everything


class FirstPassError(Exception):
    """The first pass did not come to its end; the text says why."""


class Service:
    """One running daemon. Made inside its asyncio loop."""

    def __init__(self, kernel: Kernel, files: Files, start: Start, ownership: Ownership, sink: Sink) -> None:
        self.kernel = kernel
        self.files = files
        self.repairs = 0
        self.overruns = 0
        self.began_at = time.time()
        self.last_resync = 0.0
        self.readings = Readings(files.read, lambda: self.host.wanted.intent)
        self.host = Host(Wanted(start.intent, former_protocols=ownership.marks.former))
        self.host.world.note_enforcing(time.monotonic())
        self.timetable = self.host.timetable
        self.voice = Voice(sink, kernel.witness, self.timetable)
        self.ownership = ownership
        self.keeper = Keeper(
            files.revisions,
            files.record,
            files.pauses,
            start.step.after,
            start.recorded,
            ownership,
            self.host,
            self.voice.say,
            self._keep_later,
        )
        self.keep_pause = FIRST_KEEP
        self.reconciler = Reconciler(
            kernel,
            find_dataplanes(kernel, ownership.state_dir, may_write=True),
            self.host,
            time.monotonic,
            jitter=random.random,
            save_displaced=self.keeper.save_displaced,
            find_ssh_peers=peers.find_ssh_peers,
            find_ssh_addresses=peers.find_ssh_addresses,
        )
        self.engine = Engine(self.reconciler)
        self.loop = Loop(self.engine, kernel.events_fileno(), self._tell)
        self.checking = Checking(files.healths, self.host, self._take_rulings, self.voice.tell_check)
        self.deployer = Deployer(
            files,
            start,
            self.readings,
            self.keeper,
            self.host,
            ownership,
            self.loop,
            self.voice,
            tell_status=self._notify_status,
        )
        self.control: Control | None = None
        self.has_begun = asyncio.Event()  # is the first pass over?
        self.hangups = 0  # since a reload began that answers them
        self.status_said = ""
        self.is_large = False  # was there a pass that left holes in the heap?
        self.tasks: set[asyncio.Task[None]] = set()
        self.deeds: dict[Deadline, Callable[[], None]] = {
            Deadline.FLOOD: self.voice.sum_up,
            Deadline.WAITING: lambda: self.voice.tell_waiting(self.host),
            Deadline.STATUS: self._notify_status,
            Deadline.READY: self.tell_ready,
            Deadline.KEEP: self._keep_again,
            Deadline.PROBE: self.checking.advance,
            Deadline.HEALTHS: self.checking.save,
            Deadline.TRIAL: lambda: self._start(self.deployer.end_trial()),
        }

    # --- life -----------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """The first pass. Afterwards the host is as the files say, as far as it can be."""
        self.keeper.load_displaced()
        self.keeper.load_pauses(time.monotonic())
        for rival in self.ownership.rivals:
            self.voice.say(notices.note_protocol_lost(rival.protocol, str(rival)))
        self.keeper.keep_marks()
        self.reconciler.begin()
        self.loop.start()  # now: a first pass may take seconds, and single objects are not to wait for its end
        first = await self.deployer.begin()
        if first.error is not None:
            raise FirstPassError(describe_reason(find_failure(first.error))) from first.error
        memory.settle_down()
        self.voice.say(
            notices.note_started(__version__, str(self.files.config), self.host.wanted.intent.settings.protocol)
        )
        self.has_begun.set()

    def follow_files(self, watch: FileWatch) -> None:
        """Notice changes on disk from now on, and those since the files were read."""
        self.deployer.follow(watch)

    async def end(self) -> None:
        """Stop listening; take the objects away if the file says so."""
        await self.checking.stop()
        self.readings.stop()
        await self.loop.stop()
        settings = self.host.wanted.intent.settings
        is_keeping, left = settings.on_stop != "remove", 0
        if not is_keeping:
            empty = Intent(settings=settings)
            self.host.wanted.let_surplus_go()
            removal = await self.deployer.run_pass(empty, Cause(None, Look.STOP), is_forced=True)
            is_keeping = removal.error is not None
            left = 0 if is_keeping else count_leftovers(self.host)
        await self.voice.finish()
        self.voice.say(notices.note_stopped(is_keeping, left))

    def describe(self) -> str:
        """One sentence for ``systemctl status``, which anybody may read.

        It begins with what keeps the files on disk from being in force.
        """
        sentence, reading = self._summarise(), self.deployer.reading
        if reading.intent is None:
            return f"{discretion.name_places(reading.problems)}; {sentence}"
        if reading.intent.digest != self.host.wanted.intent.digest:
            return f"files changed, not in force; {sentence}"
        return sentence

    def _summarise(self) -> str:
        sentence, unsaved = summarise(self.host, self.keeper.revision), self.keeper.unsaved
        paused = summarise_pauses(self.host, _make_moment())
        sentence = f"{describe_phase(self.keeper.deployment)}{summarise_absent(self.host)}{paused}{sentence}"
        return f"{sentence}; not kept on disk: {unsaved}" if unsaved else sentence

    # --- what clients may ask: control.Service --------------------------------------------------------------------

    def status(self) -> StatusDocument:
        """Every entry and its objects, from memory."""
        moment = _make_moment()
        document = StatusDocument(
            schema="routed.status/1",
            version=__version__,
            pid=os.getpid(),
            since=_iso(self.began_at),
            config=str(self.files.config),
            protocol=self.host.wanted.intent.settings.protocol,
            former_protocols=sorted(self.host.wanted.former_protocols),
            revision=self.keeper.revision,
            files=self.deployer.describe_files(),
            state=self._summarise(),
            unsaved=self.keeper.unsaved,
            repairs=self.repairs,
            overruns=self.kernel.overruns,
            last_resync=moment(self.last_resync),
            entries=self._describe_entries(moment),
            leftovers=describe_leftovers(self.host, moment),
            counts=count_states(self.host),
            deployment=str(self.keeper.deployment.phase),
            pauses=describe_pauses(self.host, moment),
            checks=self.checking.describe(moment),
            absent=describe_absent(self.host),
        )
        if self.keeper.deployment.is_trial:
            document["trial"] = describe_trial(self.keeper.deployment)
        return document

    def _describe_entries(self, moment: Callable[[float], str]) -> list[EntryDocument]:
        documents = describe_entries(self.host, moment)
        plane = self.reconciler.dataplanes.by_kind[Kind.SERVER]
        if isinstance(plane, SeldomIpvs):
            add_traffic(documents, self.host, plane.read_traffic)
        return documents

    async def plan(self, assumed: Sequence[str]) -> PlanDocument:
        """What ``reload`` would do now, if these were so.

        Raises IntentError, Refused for what cannot be assumed, and whatever kept the plan from being made.
        """
        await self.has_begun.wait()
        intent, problems, *_ = (await self.readings.read()).reading
        if intent is None:
            raise IntentError(problems)
        try:
            inquiry = Inquiry(intent, read_assumptions(assumed, intent))
        except AssumptionError as error:
            raise Refused(reason=describe_reason(error.why)) from None
        await self.loop.make_plan(inquiry)
        if inquiry.proposal is None:
            raise inquiry.error or RuntimeError("no plan was made")
        document = await asyncio.to_thread(describe_plan, inquiry.proposal)  # what it is made from is nobody else's
        return {**document, "config": str(self.files.config.absolute()), "digest": intent.digest}

    async def reload(
        self, *, force: bool, confirm: float | None = None, comment: str = "", asker: Peer | None = None
    ) -> ApplyDocument:
        """Put the files on disk in force and wait for the verified result, or for the reasons why not."""
        await self.has_begun.wait()
        origin = Provenance(time.time(), name_asker(asker) if asker else "SIGHUP", comment)
        return await self.deployer.reload(is_forced=force, confirm=confirm, origin=origin)

    async def roll_back(
        self, *, revision: int | None, force: bool, confirm: float | None, asker: Peer
    ) -> ApplyDocument:
        """Put a revision in force, whatever the files say. Raises Refused."""
        await self.has_begun.wait()
        return await self.deployer.roll_back(revision, confirm=confirm, is_forced=force, by=name_asker(asker))

    async def confirm(self, asker: Peer) -> None:
        """What is on trial is to last. Raises Refused."""
        await self.has_begun.wait()
        await self.deployer.confirm(name_asker(asker))

    def list_revisions(self) -> RevisionsDocument:
        """Every revision that is kept, the newest first. Raises Refused."""
        try:
            kept = self.files.revisions.list_all()
        except StateError as error:
            raise Refused(reason=str(error)) from None
        revisions = [describe_revision(one, in_force=self.keeper.revision) for one in kept]
        return RevisionsDocument(schema="routed.revisions/1", revisions=revisions)

    def read_revision(self, revision: int) -> SourcesDocument:
        """The files of one. Raises Refused."""
        kept = self.files.revisions.read(revision)
        if kept is None:
            raise Refused(reason=f"there is no revision {revision}, or it cannot be read: see routed revisions")
        return describe_sources(kept)

    def pause(self, entry: str | None, seconds: float, reason: str, asker: Peer) -> None:
        """Stop enforcing an entry, or everything, for a while. Raises UnknownEntry."""
        self._pause(self._find_subject(entry), seconds, Paused(reason, name_asker(asker)))

    def override(self, check: str, seconds: float, reason: str, asker: Peer, *, is_up: bool) -> None:
        """Have a check count as up or down for a while, whatever it finds. Raises UnknownEntry."""
        if check not in self.checking.list_names():
            raise UnknownEntry(entry=check)
        self._pause(check, seconds, Paused(reason, name_asker(asker), is_up))

    def _pause(self, subject: str, seconds: float, reason: Paused) -> None:
        now = time.monotonic()
        self.host.ledger.holds.pause(subject, reason.words, now + seconds, now, reason.author, ruling=reason.ruling)
        self.keeper.save_pauses(now)
        self.voice.say(notices.note_paused(subject, seconds, reason))
        self.checking.judge_again()
        self.loop.pump()

    def resume(self, entry: str | None) -> None:
        """Enforce again, at once. Raises UnknownEntry."""
        subject = self._find_subject(entry)
        if self.host.ledger.holds.resume(subject):
            self.keeper.save_pauses(time.monotonic())
            self.voice.say(notices.note_resumed(subject, is_over=False))
            self.host.make_dirty(self.host.schedule.dirt, [subject], Cause(None, Look.RESUMED))
            self.checking.judge_again()
            self.loop.pump()

    def subscribe(self) -> asyncio.Queue[OutcomeDocument]:
        """A queue that gets every record from now on, until it is full."""
        return self.voice.subscribe()

    def unsubscribe(self, queue: asyncio.Queue[OutcomeDocument]) -> None:
        """No more of them."""
        self.voice.unsubscribe(queue)

    def on_hangup(self) -> None:
        """SIGHUP: reload, after the first pass, and tell systemd when it is done. Many at once come to one."""
        if self.control:
            self.control.ensure()
        self.hangups += 1
        if self.hangups == 1:
            self._start(self._reload_for_systemd())

    async def _reload_for_systemd(self) -> None:
        await self.has_begun.wait()  # READY comes first
        systemd.notify_reloading("reloading")
        answered = 0
        try:
            while answered < self.hangups:
                answered = self.hangups
                with suppress(Refused):  # the journal has it
                    await self.reload(force=False)
        finally:
            self.hangups = 0
            self.tell_ready()

    def tell_ready(self) -> None:
        """Tell the service manager that it need not wait any more; again and again until it was told."""
        if not systemd.notify_ready(self.describe()):
            self._remind(Deadline.READY, READY_AGAIN)

    def _take_rulings(self, told: Mapping[FactKey, Fact]) -> None:
        """Checks found this: whoever requires them is looked at, at once."""
        self.engine.deliver(told)
        self._remind(Deadline.STATUS, STATUS_DELAY)
        asyncio.get_running_loop().call_soon(self.loop.pump)  # it may be told amid the news of a pass

    def on_files_changed(self) -> None:
        """The watch saw something: look at it in a task of its own."""
        self._start(self._look_at_files())

    async def _look_at_files(self) -> None:
        await self.deployer.take_in()
        self._notify_status()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _find_subject(self, entry: str | None) -> str:
        if entry is None or entry == EVERYTHING:
            return EVERYTHING
        if entry not in self.host.wanted.desired.resolutions and entry not in self.checking.list_names():
            raise UnknownEntry(entry=entry)
        return entry

    # --- audit ----------------------------------------------------------------------------------------------------

    def _on_report(self, report: Report) -> None:
        if self.kernel.overruns > self.overruns:
            self.overruns = self.kernel.overruns
            self.voice.say(notices.note_overrun(self.overruns))
        if report.dirt.everything:
            self.last_resync = time.monotonic()
            self.ownership.forget(self.host.wanted.marks.numbers)
            self.keeper.keep_again(self.host.wanted.intent)
            self.deployer.note_pass(report)
            if self.control:
                self.control.ensure()
            self.checking.follow(self.host.wanted.intent)
        self.voice.tell(report, self.host)
        if not report.is_initial:
            self.repairs += sum(len(o.done) for o in report.outcomes if o.operation.nature is not Nature.SURPLUS)
        self.is_large |= count_members(report.plan.operations) > memory.LARGE
        is_news = report.outcomes or report.plan.refusals or report.plan.held or report.ended
        if is_news:
            self._remind(Deadline.STATUS, STATUS_DELAY)

    def _keep_later(self) -> None:
        """Something of the state could not be kept: try again in a moment."""
        if self.timetable.find(Deadline.KEEP) is None:
            self._remind(Deadline.KEEP, self.keep_pause)
            self.keep_pause = min(2 * self.keep_pause, LAST_KEEP)

    def _keep_again(self) -> None:
        self.keeper.keep_again(self.host.wanted.intent)
        if not self.keeper.unsaved:
            self.keep_pause = FIRST_KEEP
        self._notify_status()

    def _remind(self, deadline: Deadline, delay: float) -> None:
        """Do this in so many seconds, unless it will be done sooner."""
        self.timetable.bring_forward(deadline, time.monotonic() + delay)

    def _tell(self, step: News) -> None:
        """What the engine did, to the journal and to whoever watches."""
        match step:
            case Report():
                self._on_report(step)
            case Due():
                self.deeds[step.deadline]()
            case Told():
                self.voice.tell_announced(step.announced, self.host)
            case Resumed():
                for subject in step.subjects:
                    self.voice.say(notices.note_resumed(subject, is_over=True))
                self.keeper.save_pauses(time.monotonic())
                self.checking.judge_again()
            case Aborted():
                self._on_failure(step)
            case Recovered():
                self.voice.say(notices.note_recovered(step.reason))
                self._notify_status()

    def _on_failure(self, failed: Aborted) -> None:
        if failed.is_first and not isinstance(failed.error, OSError):
            logging.getLogger(__name__).error("a pass ended by a defect in routed", exc_info=failed.error)
        self.voice.say(notices.note_pass_failed(find_failure(failed.error)))
        self._notify_status()

    def _notify_status(self) -> None:
        """Off the path of a repair: the sentence counts all objects, and a deaf service manager blocks."""
        self.timetable.cancel(Deadline.STATUS)
        sentence = self.describe()
        if sentence != self.status_said:
            self.status_said = sentence
            systemd.notify_status(sentence)
        if self.is_large:
            self.is_large = False
            memory.give_back()


def _make_moment() -> Callable[[float], str]:
    """What writes a reading of the monotonic clock as ISO 8601; nothing where there is none."""
    offset = time.time() - time.monotonic()
    return lambda reading: _iso(reading + offset) if reading else ""


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
