"""The files on disk against what is in force: which intent to start with, and what a change on disk means.

Decisions about files only; putting an intent in force is the service's part.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from routed.daemon.revisions import Revisions
from routed.intent.load import digest_of, load, load_sources, read_sources
from routed.intent.problems import IntentError, Problem
from routed.model.entries import Intent, Source


class Reading(NamedTuple):
    """What the files say now: an intent, or the problems that keep them from being one."""

    intent: Intent | None
    problems: tuple[Problem, ...] = ()
    notices: tuple[Problem, ...] = ()


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

    def read(self, current: Intent | None = None) -> Reading:
        """Read and check everything, unless it is what ``current`` was made from. Never raises: faults are problems."""
        try:
            if current is not None and digest_of(read_sources(self.config)) == current.digest:
                return Reading(current)
            loaded = load(self.config)
        except IntentError as error:
            return Reading(None, error.problems)
        return Reading(loaded.intent, (), loaded.notices)

    def choose_start(self) -> Start:
        """The files on disk, or the last good revision when they are bad. Raises IntentError when there is neither."""
        reading = self.read()
        kept = self.revisions.last_good()
        if reading.intent is None:
            if kept is None:
                raise IntentError(reading.problems)
            return Start(load_sources(kept.sources), reading, kept.number)
        if kept is None or kept.digest == reading.intent.digest:
            return Start(reading.intent, reading, kept.number if kept else 0)
        try:
            former = frozenset({load_sources(kept.sources).settings.protocol})
        except IntentError:  # written by a version that allowed more
            former = frozenset()
        return Start(reading.intent, reading, 0, former)

    def watched(self, intent: Intent) -> tuple[set[Path], set[Path]]:
        """The files and the folders whose change may change the intent."""
        files = {self.config, *(Path(source.path) for source in intent.sources if source.role != "names")}
        folders = {Path(f"{self.config}.d")}
        if self.config == Path("/etc/routed.toml"):
            folders |= {Path("/run/routed.toml.d"), Path("/usr/lib/routed.toml.d")}
        return files, folders


def find_changed_files(before: Intent, after: Intent) -> tuple[list[str], bool]:
    """The files that differ between two intents, and whether only prefix files do."""
    old, new = set(before.sources), set(after.sources)
    changed: set[Source] = old ^ new
    return sorted({source.path for source in changed}), all(source.role == "prefixes" for source in changed)
