"""The files on disk against what is in force: which intent to start with, and what a change on disk means.

Decisions about files only; putting an intent in force is the service's part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from routed.core.deployment import Act, Deployment, Move, begin, is_over
from routed.daemon.handover import ReadFiles
from routed.daemon.pauses import PausesFile
from routed.daemon.reading import Reader, Reading
from routed.daemon.record import RecordFile, read_boot
from routed.daemon.revisions import Revision, Revisions
from routed.intent.problems import IntentError
from routed.model.entries import LISTS, Intent, Source


class Start(NamedTuple):
    """What to enforce from the start on."""

    intent: Intent
    reading: Reading  # of the files on disk
    step: Move  # the deployment that it comes to, and what is to be done
    recorded: Deployment = Deployment()  # as the record on disk has it
    former_protocols: frozenset[int] = frozenset()  # numbers that marked our objects when we last ran


class TooSlowError(IntentError):
    """The files could not be read in time. They may be another time."""


@dataclass(frozen=True, slots=True)
class Files:
    """The operator's files and the revisions kept of them."""

    config: Path
    revisions: Revisions
    record: RecordFile
    pauses: PausesFile
    healths: Path  # what checks found
    compiled: Path  # what the files mean, for the next start

    def read(self, reader: Reader, current: Intent) -> Reading:
        """Read and check everything, unless it is what ``current`` was made from. Never raises: faults are problems.

        For a file that is being written stands what ``current`` was made from.
        """
        reader.ask_for_files(ReadFiles(str(self.config), current.digest, compiled=str(self.compiled)))
        return reader.take_answer(find_content_in(current.sources), current)

    def choose_start(self, reader: Reader) -> Start:
        """The files on disk, or the revision that stands in for them. Raises IntentError where there is neither.

        ``reader`` was asked for the files before, so that it reads them while the daemon is still being imported.
        """
        newest = self.revisions.newest()
        reading = reader.take_answer(find_content_in(newest.sources if newest else ()))
        recorded = self.record.load()
        digest, written = (reading.intent.digest, reading.intent.written) if reading.intent else (None, "")
        step = begin(recorded, digest, written, is_over=recorded.is_trial and is_over(recorded, *read_boot()))
        start = None
        if step.act is not Act.FILES:
            start = self._find_stand_in(reader, reading, step)
        if start is None and reading.intent is not None:  # even barred ones, where nothing else can be enforced
            is_kept = newest is not None and newest.digest == reading.intent.digest
            revision = newest.number if newest and is_kept else 0
            after = step.after if step.act is Act.FILES else Deployment()
            after = after._replace(revision=revision, digest=reading.intent.digest, written=reading.intent.written)
            start = Start(reading.intent, reading, Move(after, Act.FILES))
        if start is None:
            raise TooSlowError(reading.problems) if reading.is_too_slow else IntentError(reading.problems)
        former = frozenset[int]()
        if newest and newest.digest != start.intent.digest and (before := read_kept(reader, newest)):
            former = before.settings.numbers
        return start._replace(recorded=recorded, former_protocols=former)

    def _find_stand_in(self, reader: Reader, reading: Reading, step: Move) -> Start | None:
        found = self.find_revision(reader, step)
        if found is None or (reading.intent is not None and found[0].digest == reading.intent.digest):
            return None
        return Start(found[0], reading, found[1])

    def find_revision(self, reader: Reader, step: Move) -> tuple[Intent, Move] | None:
        """The revision that the step names, else the best one that can be understood; and the step that enforces it."""
        named = self.revisions.read(step.after.revision) if step.act is not Act.BEST else None
        for kept in chain([named] if named else [], self.revisions.rank(step.after.barred)):
            if intent := read_kept(reader, kept):
                after = step.after._replace(revision=kept.number, digest=intent.digest, written=intent.written)
                return intent, step._replace(after=after)
        return None

    def watched(self, intent: Intent, being_written: Iterable[str] = ()) -> tuple[set[Path], set[Path]]:
        """The files and the folders whose change may change the intent."""
        files = {self.config, *(Path(source.path) for source in intent.sources if source.role != "names")}
        files |= set(map(Path, being_written))
        folders = {Path(f"{self.config}.d")}
        if self.config == Path("/etc/routed.toml"):
            folders |= {Path("/run/routed.toml.d"), Path("/usr/lib/routed.toml.d")}
        return files, folders


def read_kept(reader: Reader, revision: Revision) -> Intent | None:
    """What a revision means. None where it means nothing: it was written by a version that allowed more."""
    reader.ask_for_kept(revision.sources)
    return reader.take_answer().intent


def find_content_in(sources: Iterable[Source]) -> Callable[[str], bytes | None]:
    """What a file held when these were read, by its path."""
    return {source.path: source.content for source in sources}.get


def find_changed_files(before: Intent, after: Intent) -> tuple[list[str], bool]:
    """The files that differ between two intents, and whether only lists do."""
    old, new = set(before.sources), set(after.sources)
    changed: set[Source] = old ^ new
    return sorted({source.path for source in changed}), all(source.role in LISTS for source in changed)
