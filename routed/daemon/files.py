"""The files on disk against what is in force: which intent to start with, and what a change on disk means.

Decisions about files only; putting an intent in force is the service's part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from routed.daemon.handover import ReadFiles
from routed.daemon.reading import Reader, Reading
from routed.daemon.revisions import Revisions
from routed.intent.problems import IntentError
from routed.model.entries import Intent, Source


class Start(NamedTuple):
    """What to enforce from the start on."""

    intent: Intent
    reading: Reading  # of the files on disk
    revision: int  # 0: not stored yet
    former_protocols: frozenset[int] = frozenset()  # numbers that marked our objects when we last ran


@dataclass(frozen=True, slots=True)
class Files:
    """The operator's files and the revisions kept of them."""

    config: Path
    revisions: Revisions

    def read(self, reader: Reader, current: Intent) -> Reading:
        """Read and check everything, unless it is what ``current`` was made from. Never raises: faults are problems.

        For a file that is being written stands what ``current`` was made from.
        """
        reader.ask_for_files(ReadFiles(str(self.config), current.digest))
        return reader.take_answer(find_content_in(current.sources), current)

    def choose_start(self, reader: Reader) -> Start:
        """The files on disk, or the last good revision when they are bad. Raises IntentError when there is neither.

        ``reader`` was asked for the files before, so that it reads them while the daemon is still being imported.
        """
        kept = self.revisions.last_good()
        reading = reader.take_answer(find_content_in(kept.sources if kept else ()))
        if reading.intent is not None and (kept is None or kept.digest == reading.intent.digest):
            return Start(reading.intent, reading, kept.number if kept else 0)
        if kept is None:
            raise IntentError(reading.problems)
        reader.ask_for_kept(kept.sources)
        former = reader.take_answer().intent  # none: written by a version that allowed more
        if reading.intent is not None:
            return Start(reading.intent, reading, 0, frozenset({former.settings.protocol} if former else ()))
        if former is None:
            raise IntentError(reading.problems)
        return Start(former, reading, kept.number)

    def watched(self, intent: Intent, being_written: Iterable[str] = ()) -> tuple[set[Path], set[Path]]:
        """The files and the folders whose change may change the intent."""
        files = {self.config, *(Path(source.path) for source in intent.sources if source.role != "names")}
        files |= set(map(Path, being_written))
        folders = {Path(f"{self.config}.d")}
        if self.config == Path("/etc/routed.toml"):
            folders |= {Path("/run/routed.toml.d"), Path("/usr/lib/routed.toml.d")}
        return files, folders


def find_content_in(sources: Iterable[Source]) -> Callable[[str], bytes | None]:
    """What a file held when these were read, by its path."""
    return {source.path: source.content for source in sources}.get


def find_changed_files(before: Intent, after: Intent) -> tuple[list[str], bool]:
    """The files that differ between two intents, and whether only prefix files do."""
    old, new = set(before.sources), set(after.sources)
    changed: set[Source] = old ^ new
    return sorted({source.path for source in changed}), all(source.role == "prefixes" for source in changed)
