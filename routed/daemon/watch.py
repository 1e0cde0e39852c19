"""News of the files: something that the configuration is read from may have changed.

The only importer of ``watchdog``. Here must never live: reading a file's content, or deciding what a change means. News
may be spurious, so the caller compares contents; and inotify(7) may lose some when its queue runs over, so the caller
also looks again by itself from time to time.

A path is followed name by name, through every symbolic link, to the places ``(folder, name)`` that decide what it leads
to; the folders of these places are watched. That is one rule for a file that is written in place or replaced, a link
that is turned (as Kubernetes turns ``..data``), and a folder that comes, goes, or comes back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer, inotify_c
from watchdog.observers.api import BaseObserver, ObservedWatch

from routed.daemon.worker import Job, Worker

SETTLE: Final = 0.2  # seconds of silence that end a burst
FIRST_PAUSE: Final = 1.0  # seconds until a watch that could not be had is tried again …
LONGEST_PAUSE: Final = 60.0  # … twice as long each time, up to this
LAST_WAIT: Final = 1.0  # seconds for the worker at the end; it may hang
LONGEST_BURST: Final = 2.0  # seconds; then the news goes out even if files keep changing

# Nothing that a reader causes, and writes only when the writer closes the file: half a file is no news.
_EVENTS: Final[list[type[FileSystemEvent]]] = [
    FileCreatedEvent, FileClosedEvent, FileMovedEvent, FileDeletedEvent,
    DirCreatedEvent, DirMovedEvent, DirDeletedEvent,
]  # fmt: skip
# What editors leave beside a file: vim's swap, test and backup files, Emacs's locks and autosaves.
_DROPPINGS: Final = re.compile(r"4913|.*~|\.#.*|#.*#|.*\.sw[a-z]")
_MOST_LINKS: Final = 40  # MAXSYMLINKS, include/linux/namei.h


class FileWatch(FileSystemEventHandler):
    """Calls ``on_change`` on the loop, once for each burst of changes, shortly after it.

    The folders are armed before ``on_change`` is called: whatever is read there and later is either seen or announced.
    Paths are looked at, and watched, by a worker: one of them may lie on a mount that hangs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_change: Callable[[], None]) -> None:
        self.blind: tuple[str, ...] = ()  # a sentence about each folder that cannot be watched
        self._loop = loop
        self._on_change = on_change
        self._files: frozenset[Path] = frozenset()
        self._folders: frozenset[Path] = frozenset()
        self._places: dict[Path, frozenset[str] | None] = {}  # folder → names that matter in it; None: all of them
        self._armed: dict[Path, tuple[ObservedWatch, tuple[int, int]]] = {}  # folder → its watch, its device and inode
        self._stale: set[Path] = set()  # folders that went away or came, whatever stands there now
        self._burst: float | None = None  # when it began
        self._timer: asyncio.TimerHandle | None = None
        self._before_us = threading.excepthook
        threading.excepthook = self._on_thread_end
        self._observer: BaseObserver | None = None  # None while none can be had
        self._again: asyncio.TimerHandle | None = None
        self._pause = FIRST_PAUSE
        self._is_closed = False
        self._worker = Worker("the watch over the files")
        self._do(self._open)

    def update(self, paths: Iterable[Path], folders: Iterable[Path]) -> None:
        """Watch these files and everything in these folders, and nothing else. None of them has to exist."""
        self._files = frozenset(_absolute(path) for path in paths)
        self._folders = frozenset(_absolute(folder) for folder in folders)
        self._do(self._arm)

    def look(self) -> None:
        """Tell of a change without having seen one; as after any other, not while somebody is still writing."""
        self._note([])

    def close(self) -> None:
        """Stop; ``on_change`` is not called any more."""
        if self._timer:
            self._timer.cancel()
        self._places = {}
        self._is_closed = True
        threading.excepthook = self._before_us
        self._do(self._stop)
        self._worker.end(LAST_WAIT)

    def _do(self, job: Job, then: Job | None = None) -> None:
        """Have the worker do it, and then something on the loop."""

        def work() -> None:
            try:
                job()
            except Exception as error:  # noqa: BLE001  whatever it was, watchdog is left with half of its work
                self._call(self._fail, error)
            else:
                if then is not None:
                    self._call(then)

        try:
            self._worker.put(work)
        except RuntimeError as error:  # no thread can be had
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._report((f"changes of the files are not seen for now: {error}",))
        self._try_again()

    def _call(self, work: Callable[..., None], *arguments: object) -> None:
        """On the loop, which may be closed while the last events come in."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work, *arguments)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by watchdog, in a thread of its own."""
        touched = [Path(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
        if any(self._matters(path) for path in touched):
            self._call(self._note, touched)

    def _on_thread_end(self, end: threading.ExceptHookArgs) -> None:
        """Called in a thread that an exception ends. One of watchdog's tells of no change any more: begin anew."""
        if not type(end.thread).__module__.startswith("watchdog"):
            self._before_us(end)
            return
        logging.getLogger(__name__).warning("the watch over the files ended (%s): it begins anew", end.exc_value)
        self._call(self._try_again)

    def _try_again(self) -> None:
        """Begin anew a little later, and later each time."""
        if self._again is None and not self._is_closed:
            self._again = self._loop.call_later(self._pause, self._begin_anew)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _begin_anew(self) -> None:
        self._again = None
        if not self._is_closed:
            self._do(self._exchange, self.look)  # what changed meanwhile was not seen

    def _exchange(self) -> None:
        self._stop()
        # watchdog 7 has one thread that reads inotify for the whole process, and keeps it also when that has ended.
        shared = getattr(inotify_c, "InotifyFD", None)
        if shared is not None:
            shared._instance = None  # noqa: SLF001
        self._armed.clear()
        self._open()
        self._arm()

    def _open(self) -> None:
        observer = Observer()
        observer.start()
        self._observer = observer

    def _stop(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()

    def _matters(self, path: Path) -> bool:
        places = self._places
        if path in places:
            return True
        names = places.get(path.parent, frozenset())
        return not _DROPPINGS.fullmatch(path.name) if names is None else path.name in names

    def _note(self, touched: list[Path]) -> None:
        self._stale.update(self._places.keys() & set(touched))
        now = self._loop.time()
        if self._burst is None:
            self._burst = now
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(min(now + SETTLE, self._burst + LONGEST_BURST), self._tell)

    def _tell(self) -> None:
        self._burst = self._timer = None
        self._do(self._arm, self._on_change)

    def _arm(self) -> None:
        """Watch the folders that decide now. They may change between being found and being watched: find them again."""
        for _ in range(_MOST_LINKS):
            self._places = find_places(self._files, self._folders)
            if not self._watch(self._places):
                return

    def _watch(self, wanted: Iterable[Path]) -> bool:
        """Put a watch on each folder and take the others away. True if they have to be found again."""
        observer = self._observer
        if observer is None:
            return False
        standing = {folder: _identify(folder) for folder in wanted}
        stale, self._stale = self._stale, set()
        for folder, (watch, identity) in list(self._armed.items()):
            if folder in stale or standing.get(folder) != identity:
                del self._armed[folder]
                observer.unschedule(watch)
        errors: dict[Path, Exception] = {}
        fresh = False
        for folder, identity_now in standing.items():
            if folder in self._armed or identity_now is None:
                continue
            try:
                if not os.access(folder, os.R_OK):
                    raise PermissionError("no permission to read it")
                watch = observer.schedule(self, str(folder), event_filter=_EVENTS)
            except (OSError, RuntimeError) as error:  # no descriptor, no memory, no thread
                errors[folder] = error
            else:
                self._armed[folder] = (watch, identity_now)
                fresh = True
        return self._judge(errors) or fresh

    def _judge(self, errors: dict[Path, Exception]) -> bool:
        """Tell what could not be watched, and try again unless that is for good. True if it has to be found again."""
        gone = {folder for folder, error in errors.items() if isinstance(error, FileNotFoundError)}  # meanwhile
        self._report(
            tuple(
                f"cannot watch {folder} for changes: {getattr(error, 'strerror', None) or error}"
                for folder, error in errors.items()
                if folder not in gone
            )
        )
        if not errors:
            self._pause = FIRST_PAUSE
        elif not gone and any(not isinstance(error, PermissionError) for error in errors.values()):
            self._call(self._try_again)
        return bool(gone)

    def _report(self, blind: tuple[str, ...]) -> None:
        for sentence in blind:
            if sentence not in self.blind:
                logging.getLogger(__name__).warning(sentence)
        self.blind = blind


def find_places(files: Iterable[Path], folders: Iterable[Path]) -> dict[Path, frozenset[str] | None]:
    """The existing folders that decide what these absolute paths lead to; with the names that matter, None for all."""
    followed = {path: _follow(path) for path in (*files, *folders)}
    whole = {end for end in (followed[path].end for path in folders) if end and os.path.isdir(end)}  # noqa: PTH112
    # What stands in a whole folder may be a link; then what it leads to matters too.
    linked = [_follow(link) for folder in whole for link in _list_links(folder)]
    names: dict[Path, set[str]] = {folder: set() for folder in whole}
    for folder, name in chain.from_iterable(route.places for route in (*followed.values(), *linked)):
        names.setdefault(folder, set()).add(name)
    return {folder: None if folder in whole else frozenset(names[folder]) for folder in names}


class _Route(NamedTuple):
    places: list[tuple[Path, str]]  # on the way to a path, up to the first missing name
    end: Path | None  # what the path leads to, free of links; None if it leads nowhere


def _follow(path: Path) -> _Route:
    """Follow an absolute path name by name.

    A folder that stands further above the end than its parent, or in the root, is taken for granted: /etc itself is not
    expected to be replaced, and every watched folder costs a thread.
    """
    places = []
    rest = list(path.parts[1:])
    at = Path("/")
    links = 0
    while rest:
        name = rest.pop(0)
        if name == "..":
            at = at.parent
            continue
        link = _read_link(at / name)
        # os.path says False where it may not look; Path raises PermissionError.
        exists = os.path.exists(at / name)  # noqa: PTH110
        if link is not None or not exists or not rest or (len(rest) == 1 and at != at.parent):
            places.append((at, name))
        if link is not None and links < _MOST_LINKS:
            links += 1
            at = Path("/") if link.startswith("/") else at
            rest = [part for part in Path(link).parts if part != "/"] + rest
        elif not exists or (rest and not os.path.isdir(at / name)):  # noqa: PTH112
            return _Route(places, None)
        else:
            at /= name
    return _Route(places, at)


def _read_link(path: Path) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115  a link may hold what Path would tidy up
    except OSError:
        return None


def _list_links(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_symlink()]
    except OSError:
        return []


def _identify(folder: Path) -> tuple[int, int] | None:
    """Which folder stands there now."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _absolute(path: Path) -> Path:
    # Not resolve(): the links on the way are what is watched.
    return Path.cwd() / path
