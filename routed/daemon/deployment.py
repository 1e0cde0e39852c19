"""From the files to what is enforced: a reading becomes an input of the table, and what the table says is done.

Here belongs whoever reads the files and puts them, or a revision, in force. Here must never live: which revision that
is (``core.deployment``), how it is kept (``keeper``), or what a pass does (``reconcile``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

from routed.audit import notices
from routed.core.deployment import (
    NEEDS_RECORD,
    NOTHING_GIVEN,
    Act,
    Deployment,
    Given,
    Input,
    Move,
    advance,
    foretell,
    is_over,
    judge_saved,
)
from routed.core.dirt import Dirt
from routed.core.timetable import Deadline
from routed.daemon.control import Refused
from routed.daemon.engine import Request
from routed.daemon.files import Files, Start, find_changed_files, read_kept
from routed.daemon.host import Host
from routed.daemon.keeper import Keeper
from routed.daemon.lock import AlreadyRunningError
from routed.daemon.loop import Loop
from routed.daemon.ownership import Ownership
from routed.daemon.reading import Reader, Reading
from routed.daemon.readings import Readings
from routed.daemon.record import read_boot
from routed.daemon.report import Report
from routed.daemon.results import describe_problem, describe_rejection, describe_result, describe_trial, has_failed
from routed.daemon.revisions import UNTOLD, Provenance, Revision
from routed.daemon.storage import StateError
from routed.daemon.voice import Voice
from routed.daemon.watch import FileWatch
from routed.model.change import Cause
from routed.model.documents import ApplyDocument, FilesDocument
from routed.model.entries import LISTS, Intent
from routed.model.facts import Fact, FactKey
from routed.model.reasons import FileChanged, Look, RolledBack

if TYPE_CHECKING:  # only files with sources have any
    from routed.model.members import Snapshot

TRY_AGAIN: Final = 30.0  # seconds until it is tried again to end a trial
READ_AGAIN: Final = 60.0  # seconds until files are read again that took too long
REFUSALS: Final = {
    Input.CONFIRMED: "nothing is on trial that could be confirmed",
    Input.TRY_ROLL_BACK: "revision {revision} is on trial: keep it (routed confirm) or end it (routed rollback) first",
}


class Deployer:
    """Puts files in force, one reading at a time."""

    def __init__(
        self,
        files: Files,
        start: Start,
        readings: Readings,
        keeper: Keeper,
        host: Host,
        ownership: Ownership,
        loop: Loop,
        voice: Voice,
        tell_status: Callable[[], None],
        find_members: Callable[[Intent, int], Awaitable[Mapping[FactKey, Fact]]],
        list_members: Callable[[], Mapping[str, Snapshot]],
    ) -> None:
        """``tell_status`` is called when the sentence for ``systemctl status`` may be another.

        ``find_members`` is called before files come into force, with the number of their revision, and tells who is a
        member of their sources. ``list_members`` tells who is now, of each source that is kept over a restart.
        """
        self.reading = start.reading
        self._start = start
        self._files = files
        self._readings = readings
        self._keeper = keeper
        self._host = host
        self._ownership = ownership
        self._loop = loop
        self._voice = voice
        self._tell_status = tell_status
        self._find_members = find_members
        self._list_members = list_members
        self._watch: FileWatch | None = None
        self._is_starting = start.reading.is_too_slow  # are the files still to be put in force that the start is for?
        self._is_loading = asyncio.Lock()  # held while files are put in force, never while they are read

    # --- what comes into force --------------------------------------------------------------------------------------

    async def begin(self) -> Request:
        """Enforce what the start came to."""
        origin = Provenance(time.time(), "start")
        step = self._start.step
        recorded = self._start.recorded
        if recorded.is_trial and not step.after.is_trial and step.act is not Act.FILES:
            self._voice.say(notices.note_trial_over(recorded.revision, step.after.revision))
        request = await self._enforce(step, self._start.intent, Cause(None, Look.START), origin=origin)
        for problem in self.reading.problems[:1]:
            self._reject(problem.file)
        self._tell_being_written(Reading(None))
        self._read_again()
        self._await_end_of_trial()
        return request

    async def reload(
        self, *, is_forced: bool, confirm: float | None = None, origin: Provenance = UNTOLD
    ) -> ApplyDocument:
        """Enforce the files on disk; the verified result, or what is wrong with them. Raises Refused.

        ``confirm`` is after how many seconds it undoes itself unless it is confirmed; without it the files say.
        """
        async with self._foretelling(confirm or self._host.wanted.intent.settings.confirm), self._take_reading():
            intent, keeper = self.reading.intent, self._keeper
            if intent is None:
                self._reject(self.reading.problems[0].file)
                return describe_rejection(self.reading.problems, keeper.revision)
            if why := await self._take_protocol(intent):
                raise Refused(reason=why)
            before, seconds = keeper.deployment, confirm or self._find_trial(intent)
            what = Input.TRIED if seconds else Input.ASKED
            given = Given(intent.digest, written=intent.written, is_forced=is_forced)
            step = self._decide(what, given, seconds, origin, intent)
            if step.after.is_trial:
                left = describe_trial(step.after)["seconds"]
                self._voice.say(notices.note_trial_begun(self._keeper.revision, step.after.base, left, origin.by))
            cause = Cause(None, Look.RELOAD)
            done = await self._enforce(step, intent, cause, before, origin=origin)
            self._update_watch()
            return self._conclude(done, [str(notice) for notice in self.reading.notices])

    async def roll_back(self, number: int | None, *, confirm: float | None, is_forced: bool, by: str) -> ApplyDocument:
        """Enforce a revision, whatever the files say: the verified result. Raises Refused.

        None is the one before the one that is enforced, or before the trial that is under way.
        """
        revision = self._find_revision(number)
        intent = await asyncio.to_thread(self._read_kept, revision)
        if intent is None:
            raise Refused(reason=f"revision {revision.number} was written by a version that allowed more")
        async with self._take_reading():
            if why := await self._take_protocol(intent):
                raise Refused(reason=why)
            on_disk = self.reading.intent or Intent()
            what = Input.TRY_ROLL_BACK if confirm else Input.ROLL_BACK
            given = Given(
                revision.digest,
                revision.number,
                on_disk.digest,
                written=intent.written,
                on_disk_written=on_disk.written,
                is_forced=is_forced,
            )
            before, cause = self._keeper.deployment, Cause(None, RolledBack(revision.number))
            step = self._decide(what, given, confirm)
            self._voice.say(notices.note_rolled_back(revision.number, by))
            done = await self._enforce(step, intent, cause, before)
            if not confirm and self._keeper.revision == revision.number:
                self._keeper.mark_confirmed()  # whoever asks for it for good wants it, be it that nobody did before
            self._update_watch()
            return self._conclude(done)

    async def confirm(self, by: str) -> None:
        """What is on trial is to last. Raises Refused."""
        async with self._is_loading:
            self._decide(Input.CONFIRMED, NOTHING_GIVEN)
            self._keeper.mark_confirmed()
            self._await_end_of_trial()
            self._voice.say(notices.note_confirmed(self._keeper.revision, by))
            self._tell_status()

    @asynccontextmanager
    async def _foretelling(self, seconds: float | None) -> AsyncIterator[None]:
        """Within, files are read that are to be tried for so long: who kills us meanwhile shall find a way back."""
        async with self._is_loading:
            before = self._keeper.deployment
            if seconds and before.revision and not before.is_trial:
                boot, now = read_boot()
                self._keeper.foretell(foretell(before, now + seconds, boot))
        try:
            yield
        finally:
            self._keeper.keep_record()

    def _find_trial(self, intent: Intent) -> float | None:
        """For how long these files want to be tried; not where they are in force already."""
        deployment = self._keeper.deployment
        is_new = intent.digest != deployment.digest or deployment.is_trial
        return intent.settings.confirm if is_new else None

    def _decide(
        self,
        what: Input,
        given: Given,
        seconds: float | None = None,
        origin: Provenance = UNTOLD,
        intent: Intent | None = None,
    ) -> Move:
        """What this input comes to. What promises a way back is on disk when this returns. Raises Refused."""
        before = self._keeper.deployment
        if seconds:
            if not before.revision:
                raise Refused(reason="what is in force is not kept on disk, so there is no way back to it")
            if before.digest == given.digest and not before.is_trial:
                raise Refused(reason=f"revision {before.revision} is in force already: there is nothing to try")
            boot, now = read_boot()
            given = given._replace(until=now + seconds, boot=boot)
        move = advance(before, what, given)
        if move.act is Act.REFUSE:
            raise Refused(reason=REFUSALS[what].format(revision=before.revision))
        if what in NEEDS_RECORD:
            try:
                self._keeper.promise(move.after, intent, origin)
            except StateError as error:
                raise Refused(reason=f"there would be no way back: {error}") from None
        return move

    def _find_revision(self, number: int | None) -> Revision:
        """The one of this number, or the one before. Raises Refused."""
        deployment, revisions = self._keeper.deployment, self._files.revisions
        if number is None and deployment.is_trial:
            number = deployment.base
        if number is None:
            try:
                kept = revisions.list_all()
            except StateError as error:
                raise Refused(reason=str(error)) from None
            before = deployment.revision or inf  # that in force could not be kept: then every one is before it
            former = [n for n, digest, *_ in kept if n < before and digest != deployment.digest]
            if not former:
                raise Refused(reason="there is no revision before the one in force")
            number = max(former)
        revision = revisions.find(number)
        if revision is None:
            raise Refused(reason=f"there is no revision {number}, or it cannot be read: see routed revisions")
        return revision

    @staticmethod
    def _read_kept(revision: Revision) -> Intent | None:
        with Reader() as reader:
            return read_kept(reader, revision)

    def _conclude(self, done: Request, told: Iterable[str] = ()) -> ApplyDocument:
        self._tell_status()
        document = describe_result(self._host, done, self._keeper.revision, told, self._keeper.unsaved)
        document["deployment"] = str(self._keeper.deployment.phase)
        if self._keeper.deployment.is_trial:
            document["trial"] = describe_trial(self._keeper.deployment)
        return document

    async def take_in(self) -> None:
        """The files may have changed: follow them, or tell what keeps them from it."""
        async with self._take_reading() as before:
            reading, deployment = self.reading, self._keeper.deployment
            if reading.intent is None:
                self._reject(reading.problems[0].file)
                return
            changed, only_prefixes = find_changed_files(self._host.wanted.intent, reading.intent)
            watch, is_starting = self._host.wanted.intent.settings.watch, self._is_starting
            self._is_starting = False
            is_followed = only_prefixes or is_starting or watch != "check"
            digest, written = reading.intent.digest, reading.intent.written
            what = judge_saved(deployment, digest, written, is_followed=is_followed)
            step = advance(deployment, what, Given(digest, deployment.revision, written=written))
            if step.act is Act.BAR:
                self._keeper.move_to(step.after)
            if what is Input.SAME and before.problems:
                self._voice.forget("")
            origin = Provenance(time.time(), f"{changed[0]} changed" if changed else "")
            if step.act is Act.KEEP:
                self._keep(step, reading.intent, origin)
            elif step.act is Act.FILES:
                if not await self._take_protocol(reading.intent):
                    if step.after.is_trial and only_prefixes:
                        step = await self._carry_lists(step, reading.intent)
                    await self._enforce(step, reading.intent, Cause(None, FileChanged(changed[0])), origin=origin)
                    self._update_watch()
            elif what is not Input.SAME:
                self._voice.say(notices.note_files_changed(changed))

    async def _carry_lists(self, step: Move, intent: Intent) -> Move:
        """Lists that changed amid a trial are no part of it: what comes back has them too, if it can be read so."""
        base = self._files.revisions.read(step.after.base)
        known = set(self._host.wanted.intent.sources)
        new = {one.path: one for one in intent.sources if one.role in LISTS and one not in known}
        sources = tuple(new.get(one.path, one) if one.role in LISTS else one for one in base.sources) if base else ()
        if base is None or sources == base.sources:
            return step
        carried = await asyncio.to_thread(self._read_kept, base._replace(sources=sources))
        if carried is None:
            return step
        origin = Provenance(time.time(), f"{next(iter(new))} changed")
        try:
            revisions, spared = self._files.revisions, (base.number, self._keeper.revision)
            number = revisions.save(sources, carried.digest, spared=spared, origin=origin)
            if members := revisions.load_members(base.number):
                revisions.save_members(number, members)
        except StateError as error:
            self._voice.say(notices.note_state_lost(str(error)))
            return step
        return step._replace(after=step.after._replace(base=number))

    def note_pass(self, report: Report) -> None:
        """A full pass came to its end. Where nothing failed, what it was made for is verified."""
        deployment = self._keeper.deployment
        self._await_end_of_trial()
        if self._host.wanted.intent.digest != deployment.digest:
            return  # other files were kept meanwhile, whose turn comes next
        what = Input.FAILED if has_failed(self._host, report) else Input.VERIFIED
        move = advance(deployment, what)
        if move.act is Act.MARK_VERIFIED:
            self._keeper.mark_verified(self._list_members())
        if move.after != deployment:
            self._keeper.move_to(move.after)

    async def end_trial(self) -> None:
        """The time of a trial is over: unless somebody confirmed it, the revision before comes back."""
        async with self._is_loading:
            before = self._keeper.deployment
            if not is_over(before, *read_boot()):
                self._await_end_of_trial()
                return
            found = await asyncio.to_thread(self._find_base, advance(before, Input.EXPIRED))
            if found is None or found[1].after.revision == before.revision:  # no other can be enforced: this stays
                self._keeper.move_to(Deployment(revision=before.revision, digest=before.digest, written=before.written))
                self._voice.say(notices.note_trial_over(before.revision, 0))
                self._tell_status()
                return
            intent, step = found
            if not await self._take_protocol(intent):
                self._voice.say(notices.note_trial_over(before.revision, step.after.revision))
                await self._enforce(step, intent, Cause(None, Look.UNCONFIRMED))
                self._update_watch()
            self._tell_status()
            if self._keeper.deployment.is_trial:
                self._host.timetable.bring_forward(Deadline.TRIAL, time.monotonic() + TRY_AGAIN)

    def _find_base(self, step: Move) -> tuple[Intent, Move] | None:
        with Reader() as reader:
            return self._files.find_revision(reader, step)

    def _await_end_of_trial(self) -> None:
        """Its clock goes on while the host sleeps, and that of the timetable does not: so look after each full pass."""
        deployment, timetable = self._keeper.deployment, self._host.timetable
        timetable.cancel(Deadline.TRIAL)
        if deployment.is_trial:
            boot, now = read_boot()
            left = max(0.0, deployment.until - now) if deployment.boot == boot else 0.0
            timetable.bring_forward(Deadline.TRIAL, time.monotonic() + left)

    async def run_pass(self, intent: Intent, cause: Cause, *, is_forced: bool) -> Request:
        """A full pass that begins with enforcing ``intent``."""
        told = await self._find_members(intent, self._keeper.revision)

        def enforce() -> None:
            self._host.enforce(intent, time.monotonic(), told)

        request = Request(Dirt(everything=cause), enforce, is_forced=is_forced)
        await self._loop.run_pass(request)
        return request

    async def _enforce(
        self,
        step: Move,
        intent: Intent,
        cause: Cause,
        before: Deployment | None = None,
        *,
        origin: Provenance = UNTOLD,
    ) -> Request:
        """Do what the table says of these files, or of this revision.

        ``before`` is the deployment that still is where nothing comes into force; where none is given, the present one.
        """
        before, host = before or self._keeper.deployment, self._host
        is_other = intent.digest != host.wanted.intent.digest or not before.revision
        if step.act is Act.FILES:
            self._keep(step, intent, origin)
        else:
            self._keeper.move_to(step.after)
        done = await self.run_pass(intent, cause, is_forced=step.after.is_forced)
        if host.wanted.intent.digest != intent.digest:  # the pass failed before it put anything in force
            self._keeper.move_to(before)
        self._voice.tell_waiting(host)
        if is_other:
            counts = len(intent.entries), host.wanted.desired.count()
            self._voice.say(notices.note_config_loaded(str(self._files.config), *counts, self._keeper.revision))
        return done

    def _keep(self, step: Move, intent: Intent, origin: Provenance = UNTOLD) -> None:
        number = self._keeper.save_revision(intent, origin, is_trial=step.after.is_trial)
        self._keeper.move_to(step.after._replace(revision=number))

    async def _take_protocol(self, intent: Intent) -> str:
        """Before anything is changed under a number of these files it must be ours. Returns why it cannot be."""
        settings = intent.settings
        try:
            await self._ownership.move_to(settings.protocol, settings.protocols)
        except (AlreadyRunningError, OSError) as error:
            protocol = error.protocol if isinstance(error, AlreadyRunningError) else settings.protocol
            self._voice.say(notices.note_protocol_refused(str(self._files.config), protocol, str(error)))
            self._tell_status()
            return str(error)
        for number in settings.numbers:
            self._voice.forget("", notices.name_protocol(number))
        self._keeper.keep_marks()
        return ""

    # --- the files on disk ------------------------------------------------------------------------------------------

    def follow(self, watch: FileWatch) -> None:
        """Notice changes on disk from now on, and those since the files were read."""
        self._watch = watch
        self._update_watch()
        watch.look()

    def describe_files(self) -> FilesDocument:
        """The files on disk against what is enforced."""
        if self.reading.intent is None:
            state = "invalid"
        else:
            is_same = self.reading.intent.digest == self._host.wanted.intent.digest
            state = "in force" if is_same else "changed, not in force"
        return FilesDocument(state=state, problems=[describe_problem(problem) for problem in self.reading.problems])

    @asynccontextmanager
    async def _take_reading(self) -> AsyncIterator[Reading]:
        """Read the files, and hold the lock that lets one reading come into force. Gives the reading before."""
        while True:
            found = await self._readings.read()
            async with self._is_loading:
                if not self._readings.take(found):
                    continue
                before, self.reading = self.reading, found.reading
                self._tell_being_written(before)
                self._read_again()
                yield before
                return

    def _read_again(self) -> None:
        """What was given up for its time alone is tried again: nothing else would tell that it can be read by now."""
        if self.reading.is_too_slow:
            self._host.timetable.bring_forward(Deadline.READ_AGAIN, time.monotonic() + READ_AGAIN)
        else:
            self._host.timetable.cancel(Deadline.READ_AGAIN)

    def _tell_being_written(self, before: Reading) -> None:
        if self.reading.being_written != before.being_written:
            self._update_watch()
            if self.reading.intent is None and self._watch is not None:
                self._watch.look()  # a file that was not watched before may be closed by now
        for notice in self.reading.notices:
            if notice.file in set(self.reading.being_written) - set(before.being_written):
                self._voice.say(notices.note_being_written(notice.file))

    def _update_watch(self) -> None:
        if self._watch is not None:
            intent = self._host.wanted.intent
            files, folders = self._files.watched(intent, self.reading.being_written)
            self._watch.update(
                files | {Path(one) for source in intent.member_sources for one in source.options.watched}, folders
            )

    def _reject(self, file: str) -> None:
        self._voice.say(notices.note_config_rejected(file, [str(problem) for problem in self.reading.problems]))
        self._tell_status()
