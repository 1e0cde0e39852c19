"""What must outlive the daemon, and what of that could not be kept on disk.

That is: which revision is in force (``core.deployment``), the revisions, what our objects displaced, and the protocol
numbers that mark what is ours. What cannot be kept is said, remembered as long as it lasts, and tried again a little
later, and after each full pass; routed goes on meanwhile.

Here must never live: what is in force next, or how anything is written (``revisions``, ``record``, ``marks``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from routed.audit import notices
from routed.audit.records import Record
from routed.core.deployment import Deployment
from routed.daemon.drains import DrainsFile, KeptDrains
from routed.daemon.host import Host
from routed.daemon.ownership import Ownership
from routed.daemon.pauses import PausesFile, list_kept, take_up
from routed.daemon.record import RecordFile, read_boot
from routed.daemon.revisions import UNTOLD, Provenance, Revisions
from routed.daemon.storage import StateError, told_as_state_error
from routed.model.drain import Drain
from routed.model.entries import Intent
from routed.model.objects import Key, Value
from routed.model.reasons import LeftAlone

if TYPE_CHECKING:  # only files with sources have any
    from routed.model.members import Snapshot

NOBODY: Final[Mapping[str, Snapshot]] = {}  # is a member of any source
Moments = Mapping[str, Mapping[str, float]]  # entry → part → when it came


class Keeper:
    """The state of one daemon on disk. ``say`` gets what there is to tell."""

    def __init__(
        self,
        revisions: Revisions,
        record: RecordFile,
        pauses: PausesFile,
        deployment: Deployment,
        recorded: Deployment,
        ownership: Ownership,
        host: Host,
        say: Callable[[Record], None],
        on_lost: Callable[[], None],
    ) -> None:
        """``recorded`` is the deployment as the record on disk has it, ``deployment`` what a start makes of it.

        ``on_lost`` is called when something could not be kept; ``keep_again`` should follow.
        """
        self.deployment = deployment
        self._revisions = revisions
        self._record = record
        self._pauses = pauses
        self._drains = DrainsFile(ownership.state_dir)
        self._recorded: Deployment | None = recorded.record
        self._ownership = ownership
        self._host = host
        self._say = say
        self._on_lost = on_lost
        self._lost: dict[str, str] = {}  # what could not be kept → why
        self._origin = UNTOLD  # of what is enforced: it may have to be kept again
        self._verified = 0  # the last revision that was marked …
        self._members: Mapping[str, Snapshot] = NOBODY  # … and with whom
        self._knows_displaced = False
        self._knows_pauses = False

    @property
    def revision(self) -> int:
        """The number of what is enforced; 0 while it could not be kept."""
        return self.deployment.revision

    @property
    def unsaved(self) -> str:
        """Why a restart would not know what is in force now, or what it displaced; empty where it would."""
        return "; ".join(dict.fromkeys(self._lost.values()))

    def move_to(self, after: Deployment) -> None:
        """This is what is to be enforced from now on. Call it before anything is done about it."""
        self.deployment = after
        self._keep_record()
        self._judge_surplus()

    def promise(self, after: Deployment, intent: Intent | None = None, origin: Provenance = UNTOLD) -> None:
        """The same for a state that promises a way back, with its files where it is of new ones.

        Raises StateError where it cannot be kept on disk, and then nothing has changed.
        """
        if intent is not None:
            spared = (after.base, self.deployment.base, self.deployment.revision)
            number = self._revisions.save(intent.sources, intent.digest, is_trial=True, spared=spared, origin=origin)
            after = after._replace(revision=number)
        self._record.save(after.record)
        self._recorded, self._origin = after.record, origin
        self.deployment = after
        self._judge_surplus()

    def foretell(self, deployment: Deployment) -> None:
        """Have a restart begin with this one, should there be one before the next word about the record."""
        with suppress(StateError):  # then the word that has to be kept is refused
            self._record.save(deployment.record)
            self._recorded = deployment.record

    def keep_record(self) -> None:
        """Have a restart begin with what is enforced."""
        self._keep_record()

    def save_revision(self, intent: Intent, origin: Provenance = UNTOLD, *, is_trial: bool = False) -> int:
        """Keep the files. Returns their number, 0 where that failed.

        Before the pass: it may displace something, which the revision has to remember.
        """
        spared = (self.deployment.base, self.deployment.revision)
        self._origin = origin
        self.deployment = self.deployment._replace(revision=0)  # unless it is kept, it has no number
        with self._keeping("revision"):
            number = self._revisions.save(
                intent.sources, intent.digest, is_trial=is_trial, spared=spared, origin=origin
            )
            self.deployment = self.deployment._replace(revision=number)
        return self.revision

    def mark_verified(self, members: Mapping[str, Snapshot] = NOBODY) -> None:
        """Remember that a full pass over what is enforced came to its end, and nothing failed, with these members."""
        if not self.revision or (self._verified, self._members) == (self.revision, members):
            return
        try:
            if members:
                self._save_members(members)
            self._revisions.mark_verified(self.revision)
        except StateError as error:  # a restart knows what is in force all the same; the next full pass tries again
            self._say(notices.note_state_lost(str(error)))
        else:
            self._verified, self._members = self.revision, members

    def _save_members(self, members: Mapping[str, Snapshot]) -> None:
        from routed.members.document import format_document  # noqa: PLC0415  only files with sources pay for it

        self._revisions.save_members(self.revision, {name: format_document(name, one) for name, one in members.items()})

    def mark_confirmed(self) -> None:
        """Remember that somebody wants to keep what is enforced."""
        try:
            self._revisions.mark_confirmed(self.revision)
        except StateError as error:  # it lasts all the same; only as a fallback it comes after confirmed ones
            self._say(notices.note_state_lost(str(error)))

    def keep_marks(self) -> None:
        """Keep the protocol numbers."""
        with self._keeping("marks"):
            self._ownership.keep()

    def load_displaced(self) -> None:
        """Learn what our objects displaced when we last ran. While that is not known, nothing of ours is surplus."""
        with self._keeping("displaced"):
            self._host.ledger.take_up_displaced(self._revisions.load_displaced())
            self._knows_displaced = True
        self._judge_surplus()

    def load_pauses(self, now: float) -> None:
        """Take up the pauses of this boot. Those whose time is over meanwhile are forgotten, and said."""
        with self._keeping("pauses"):
            with told_as_state_error("what is paused is not known"):
                boot, booted = read_boot()
            kept = self._pauses.load(boot)
            self._knows_pauses = True
            for subject in take_up(kept, self._host.ledger.holds, now, booted):
                self._say(notices.note_resumed(subject, is_over=True))

    def save_pauses(self, now: float) -> None:
        """Keep what is paused; never in place of what could not be read. It outlives the daemon, and not the boot."""
        if not self._knows_pauses:
            self.load_pauses(now)
        if not self._knows_pauses:
            return
        with self._keeping("pauses"):
            with told_as_state_error("what is paused cannot be kept"):
                boot, booted = read_boot()
            self._pauses.save(list_kept(self._host.ledger.holds, booted - now), boot)

    def load_drains(self, now: float) -> None:
        """Learn since when servers drain, or begin slowly."""
        with self._keeping("drains"):
            with told_as_state_error("since when servers drain is not known"):
                boot, booted = read_boot()
            kept = self._drains.load(boot)
            self._host.ledger.note_drains(kept.drains)
            self._host.world.note(risen=_shift(kept.risen, now - booted))

    def save_drains(self, drains: Mapping[Key, Drain], risen: Moments) -> None:
        """Keep since when servers drain, or begin slowly. A restart begins anew with those that could not be kept."""
        with self._keeping("drains"):
            with told_as_state_error("since when servers drain cannot be kept"):
                boot, booted = read_boot()
            self._drains.save(KeptDrains(drains, _shift(risen, booted - time.monotonic())), boot)

    def save_displaced(self, displaced: dict[Key, Value]) -> None:
        """Keep what our objects displaced; never in place of a list that could not be read."""
        if not self._knows_displaced:
            self.load_displaced()
        if self._knows_displaced:
            with self._keeping("displaced"):
                self._revisions.save_displaced(displaced)

    def keep_again(self, intent: Intent) -> None:
        """Try again what could not be kept, and keep again what somebody took away."""
        self.keep_marks()
        if "pauses" in self._lost:
            self.save_pauses(time.monotonic())
        if "drains" in self._lost:
            self.save_drains(self._host.ledger.drains, self._host.world.facts.risen)
        if not self._knows_displaced:
            self.load_displaced()
        if not self.deployment.is_as_wanted:
            return
        if not self._revisions.has(self.revision):
            self._recorded = None
            number = self.save_revision(intent, self._origin, is_trial=self.deployment.is_trial)
            self.move_to(self.deployment._replace(revision=number))
            if self._host.ledger.displaced and self.revision:
                self.save_displaced(self._host.ledger.displaced)
        elif "displaced" in self._lost:
            self.save_displaced(self._host.ledger.displaced)
        if "record" in self._lost:
            self._keep_record()

    def _keep_record(self) -> None:
        record = self.deployment.record
        if record != self._recorded:
            with self._keeping("record"):
                self._record.save(record)
                self._recorded = record

    def _judge_surplus(self) -> None:
        if not self.deployment.is_as_wanted:
            self._host.wanted.leave_surplus(LeftAlone.NOT_ON_DISK)
        elif not self._knows_displaced:
            self._host.wanted.leave_surplus(LeftAlone.NOT_KNOWN)
        else:
            self._host.wanted.let_surplus_go()

    @contextmanager
    def _keeping(self, what: str) -> Iterator[None]:
        """Say, and remember as long as it lasts, that something could not be kept on disk."""
        try:
            yield
        except StateError as error:
            self._lost[what] = str(error)
            self._say(notices.note_state_lost(self.unsaved))
            self._on_lost()
        else:
            if self._lost.pop(what, "") and not self._lost:
                self._say(notices.note_state_kept(self.revision))


def _shift(moments: Moments, by: float) -> dict[str, dict[str, float]]:
    """The same by another clock, which is so far ahead."""
    return {entry: {part: since + by for part, since in parts.items()} for entry, parts in moments.items()}
