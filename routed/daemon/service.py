"""The service: one daemon's life, and what its clients may ask of it.

It holds the parts together: the files, the loop, the audit, the control socket, systemd. Each decision lives elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from routed import __version__
from routed.audit import notices
from routed.audit.reasons import describe_reason
from routed.audit.records import Record
from routed.audit.sinks import Sink
from routed.core.reasons import find_failure
from routed.core.timetable import Deadline
from routed.daemon import discretion, memory, systemd
from routed.daemon.askers import name_asker
from routed.daemon.carry_out import count_members
from routed.daemon.checking import Checking
from routed.daemon.clients import Peer
from routed.daemon.control import Control, Refused
from routed.daemon.dataplane import find_dataplanes
from routed.daemon.deployment import Deployer
from routed.daemon.engine import Engine
from routed.daemon.files import Files, Start
from routed.daemon.host import Host
from routed.daemon.ipvs import SeldomIpvs
from routed.daemon.keeper import Keeper
from routed.daemon.loop import Loop
from routed.daemon.moments import make_moment
from routed.daemon.orders import Orders
from routed.daemon.ownership import Ownership
from routed.daemon.peers import find_ssh_sessions
from routed.daemon.readings import Readings
from routed.daemon.reconcile import Reconciler
from routed.daemon.report import Aborted, Due, News, Recovered, Report, Resumed, Told
from routed.daemon.results import (
    describe_phase,
)
from routed.daemon.revisions import Provenance
from routed.daemon.status import (
    count_leftovers,
    summarise,
    summarise_absent,
    summarise_pauses,
)
from routed.daemon.tally import Tally
from routed.daemon.tuning import Tuning
from routed.daemon.voice import Voice
from routed.daemon.wanted import Wanted
from routed.daemon.watch import FileWatch
from routed.kernel.kernel import Kernel
from routed.model.change import Cause
from routed.model.documents import (
    ApplyDocument,
)
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey
from routed.model.objects import Kind
from routed.model.reasons import Look

if TYPE_CHECKING:  # imported when it is asked for
    from routed.daemon.following import Following
    from routed.daemon.memberships import Memberships
    from routed.daemon.metrics_server import MetricsServer

STATUS_DELAY: Final = 1.0  # seconds between a change and the sentence in ``systemctl status``
FIRST_KEEP: Final = 1.0  # seconds until it is tried again to keep what could not be kept …
LAST_KEEP: Final = 60.0  # … twice as long each time, up to this
READY_AGAIN: Final = 0.5  # seconds until it is told again that could not be told

MOST_IMAGINED: Final = 100_000  # objects: 25 MB while a plan under an assumption is made


class FirstPassError(Exception):
    """The first pass did not come to its end; the text says why."""


class Service:
    """One running daemon. Made inside its asyncio loop."""

    def __init__(self, kernel: Kernel, files: Files, start: Start, ownership: Ownership, sink: Sink) -> None:
        self.kernel = kernel
        self.files = files
        self.tally = Tally()
        self.overruns = 0
        self.began_at = time.time()
        self.last_resync = 0.0
        self.readings = Readings(files.read, lambda: self.host.wanted.intent)
        self.host = Host(Wanted(start.intent, former_protocols=ownership.marks.former))
        self.host.world.note_enforcing(time.monotonic())
        self.tuning = Tuning(self.host)
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
            save_drains=self.keeper.save_drains,
            find_ssh_sessions=find_ssh_sessions,
            most_imagined=MOST_IMAGINED,
        )
        plane = self.reconciler.dataplanes.by_kind[Kind.SERVER]
        if isinstance(plane, SeldomIpvs):
            self.reconciler.count = plane.read_traffic
        self.engine = Engine(self.reconciler)
        self.loop = Loop(self.engine, kernel.events_fileno(), self._tell)
        self.checking = Checking(files.healths, self.host, self._take_rulings, self.voice.tell_check)
        self.memberships: Memberships | None = None  # where entries follow members
        self.orders = Orders(self.host, self.checking, self.keeper.save_pauses, self.voice.say, self.loop.pump)
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
            find_members=self._find_members,
            list_members=lambda: self.memberships.list_kept() if self.memberships else {},
        )
        self.following: Following | None = None  # where that is asked for
        self.metrics: MetricsServer | None = None  # likewise
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
            Deadline.SETTLED: lambda: self.following.settle() if self.following else None,
            Deadline.READ_AGAIN: self.on_files_changed,
            Deadline.TRIAL: lambda: self._start(self.deployer.end_trial()),
        }

    # --- life -----------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """The first pass. Afterwards the host is as the files say, as far as it can be."""
        self.keeper.load_displaced()
        self.keeper.load_pauses(time.monotonic())
        self.keeper.load_drains(time.monotonic())
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
        if self.memberships:
            await self.memberships.stop()
        if self.following:
            await self.following.stop()
        if self.metrics:
            await self.metrics.stop()
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
        sentence, reading = self.summarise_all(), self.deployer.reading
        if reading.intent is None:
            return f"{discretion.name_places(reading.problems)}; {sentence}"
        if reading.intent.digest != self.host.wanted.intent.digest:
            return f"files changed, not in force; {sentence}"
        return sentence

    def summarise_all(self) -> str:
        """One sentence of all that is in force, and of what keeps it from being so."""
        sentence, unsaved = summarise(self.host, self.keeper.revision), self.keeper.unsaved
        paused = summarise_pauses(self.host, make_moment())
        lacks = f"{summarise_absent(self.host)}{self.tuning.summarise()}"
        sentence = f"{describe_phase(self.keeper.deployment)}{lacks}{paused}{sentence}"
        if self.is_coming:
            sentence = f"about to be enforced: {sentence}"
        if self.memberships:
            sentence = f"{self.memberships.summarise()}{sentence}"
        if self.metrics:
            sentence = f"{self.metrics.summarise()}{sentence}"
        return f"{sentence}; not kept on disk: {unsaved}" if unsaved else sentence

    @property
    def is_coming(self) -> bool:
        """Are other files to be in force than those that entries are judged by? Until the pass for them has begun."""
        return self.keeper.deployment.digest not in {"", self.host.wanted.intent.digest}

    @property
    def is_on_disk(self) -> bool:
        """Are the files on disk those that are in force?"""
        on_disk = self.deployer.reading.intent
        return on_disk is not None and on_disk.digest == self.host.wanted.intent.digest

    async def reload(
        self, *, force: bool, confirm: float | None = None, comment: str = "", asker: Peer | None = None
    ) -> ApplyDocument:
        """Put the files on disk in force and wait for the verified result, or for the reasons why not."""
        await self.has_begun.wait()
        origin = Provenance(time.time(), name_asker(asker) if asker else "SIGHUP", comment)
        before = self.tally.changes
        if self.memberships:  # who wrote the members wants them in force as well
            self.memberships.look()
            await self.memberships.settle()
            if force:
                self.memberships.let_go()
        document = await self.deployer.reload(is_forced=force, confirm=confirm, origin=origin)
        if self.memberships:  # they may have been followed before the pass of the files
            document["changed"] = max(document["changed"], self.tally.changes - before)
        return document

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
        if self.memberships:
            self.memberships.look()
        await self.deployer.take_in()
        self._notify_status()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def make_memberships(self, intent: Intent) -> Memberships | None:
        """Who follows the sources of these files; None where they have none."""
        if self.memberships is None and intent.member_sources:
            from routed.daemon.memberships import Memberships  # noqa: PLC0415  only files with sources pay for it

            folder = self.ownership.state_dir / "members"
            self.memberships = Memberships(
                folder,
                self._take_rulings,
                self.voice.tell_members,
                time.monotonic,
                lease_helpers=self.checking.lease_helpers,
                find_facts=lambda: self.host.world.facts,
                tell_registration=self.voice.tell_registration,
            )
        return self.memberships

    async def _find_members(self, intent: Intent, revision: int) -> Mapping[FactKey, Fact]:
        """Who is a member of the sources of these files, which come into force now."""
        memberships = self.make_memberships(intent)
        return await memberships.prepare(intent, self.files.revisions.load_members(revision)) if memberships else {}

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
            self.checking.follow(self.host.wanted.find_whole())
            self._follow_metrics()
            if self.memberships:
                self.memberships.follow(self.host.wanted.intent)
            if self.following:
                self.following.follow()
        elif report.dirt.sources & {"address", "selector"}:
            self._follow_metrics()
            if self.memberships:
                self.memberships.note_facts()
        if self.host.wanted.asks_members and not report.dirt.everything:
            self.checking.follow(self.host.wanted.find_whole())
        self.voice.tell(report, self.host)
        self.tally.note(report)
        self.is_large |= count_members(report.plan.operations) > memory.LARGE
        is_news = report.outcomes or report.plan.refusals or report.plan.held or report.ended
        if is_news:
            self._remind(Deadline.STATUS, STATUS_DELAY)

    def _follow_metrics(self) -> None:
        """Serve them where the files say, as soon as that can be."""
        wanted = self.host.wanted.intent.settings.metrics
        if self.metrics is None and wanted:
            from routed.daemon.metrics import describe_metrics, look_at  # noqa: PLC0415  only who wants it pays for it
            from routed.daemon.metrics_server import MetricsServer  # noqa: PLC0415  likewise

            self.metrics = MetricsServer(lambda: describe_metrics(look_at(self)), self._say_of_metrics)
        if self.metrics:
            self.metrics.follow(wanted)

    def _say_of_metrics(self, record: Record) -> None:
        self.voice.say(record)
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
                self.orders.note_ended(step.subjects)
            case Aborted():
                self._on_failure(step)
            case Recovered():
                self.voice.say(notices.note_recovered(step.reason))
                self._notify_status()

    def _on_failure(self, failed: Aborted) -> None:
        self.tally.failures += 1
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
