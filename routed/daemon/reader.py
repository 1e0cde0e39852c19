"""The process that reads the files: what may hang, crash or eat memory over an operator's file does so here.

It is asked on stdin and answers on stdout (``daemon.handover``), one request after another, until nobody asks. Here
must never live: anything that the daemon imports.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final

from routed.daemon.compiled import keep_compiled, may_be_kept
from routed.daemon.handover import (
    HEAD,
    Answer,
    At,
    HandoverMessage,
    ReadFiles,
    ReadKept,
    StandIn,
    StandInWanted,
    expect,
    get_codec,
    read_head,
    take_apart,
    write_message,
)
from routed.intent.digest import digest_of
from routed.intent.disk import BeingWrittenError, read_closed
from routed.intent.load import Loaded, gather_files, load_gathered, load_kept
from routed.intent.problems import IntentError, Problem, attempt
from routed.model.entries import Source

POLITENESS: Final = 10  # how much nicer than the daemon a long reading is
SHORT: Final = 0.5  # seconds of processor time; what takes more is long
LONGEST: Final = 600  # seconds for one answer: whoever asked is gone, or does not listen
POLL: Final = 0.02  # seconds between two looks whether a file is closed
MOST_PROBLEMS: Final = 1000
LONGEST_TEXT: Final = 1000  # characters: a file may be one line

BEING_WRITTEN: Final = "is being written: what is in force of it stays until it is closed"


def main() -> None:
    """Serve until stdin ends."""
    gc.disable()  # a reading is over before its garbage is worth a search
    gc.freeze()
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # somebody waits to write a file that we are reading
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells it to the daemon, too
    signal.signal(signal.SIGPROF, lambda *_: be_polite())
    signal.setitimer(signal.ITIMER_PROF, SHORT)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")  # rather us than the daemon
    stdin, stdout = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else comes between the answers
    with suppress(EOFError, OSError):  # nobody asks any more, or a pipe fails: whoever asked tells of that
        Conversation(stdin, stdout).serve()
    os._exit(0)  # what is not sent yet, nobody wants any more


def be_polite() -> None:
    """A reading that takes long must not keep the daemon waiting with a repair.

    A short one does not, and somebody waits for it, on a busy host too: at a start the routes do.
    """
    with suppress(OSError):  # the service may not be allowed to
        os.nice(POLITENESS)


class Conversation:
    """One end of the pipes."""

    def __init__(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._file = ""  # that the work is at

    def serve(self) -> None:
        """Answer requests. Raises EOFError when there are no more."""
        while True:
            request = self._receive()
            signal.alarm(LONGEST)
            for part in self._answer(request):
                self._stdout.write(part)
            self._stdout.flush()
            signal.alarm(0)
            gc.collect()  # while nobody waits

    def note(self, file: str) -> None:
        """Tell which file the work is at, in case that it is the last that is heard of us."""
        if file != self._file:
            self._file = file
            self._send(At(file))

    def find_stand_in(self, file: str) -> bytes | None:
        """What is in force of a file that is being written."""
        self._send(StandInWanted(file))
        stand_in: StandIn = expect(StandIn, self._receive())
        return stand_in.content

    def _answer(self, request: Any) -> list[bytes]:
        """All of the answer as bytes, before any of it is sent."""
        self._file = ""
        sentences: list[str] = []
        parts = attempt(partial(self._work, request), sentences.append)
        if parts is None:
            problems = tuple(Problem(self._file, 0, 0, sentence) for sentence in sentences)
            parts = write_message(Answer(problems=problems))
        return parts

    def _work(self, request: Any) -> list[bytes]:
        if isinstance(request, ReadKept):
            sources: list[Source] = [expect(Source, self._receive()) for _ in range(request.sources)]
            return [part for message in take_apart(read_kept(tuple(sources))) for part in write_message(message)]
        asked: ReadFiles = expect(ReadFiles, request)
        answer = read_files(asked, self.note, self.find_stand_in)
        written = [(message, write_message(message)) for message in take_apart(answer)]
        if asked.compiled and answer.intent and not answer.being_written and may_be_kept(answer.intent):
            bare = expect(Answer, written[0][0])._replace(sources=0)
            rest = (parts for message, parts in written[1:] if not isinstance(message, Source))
            keep_compiled(Path(asked.compiled), answer.intent, chain(write_message(bare), *rest))
        return [part for _, parts in written for part in parts]

    def _send(self, message: HandoverMessage) -> None:
        for part in write_message(message):
            self._stdout.write(part)
        self._stdout.flush()

    def _receive(self) -> Any:
        text, beside = read_head(self._take(HEAD.size))
        return get_codec().load(self._take(text), self._take(beside))

    def _take(self, length: int) -> bytes:
        content = self._stdin.read(length)
        if len(content) < length:
            raise EOFError
        return content


def read_kept(sources: tuple[Source, ...]) -> Answer:
    """The answer for bytes in memory."""
    try:
        return _accept(load_kept(sources), ())
    except IntentError as error:
        return reject(error.problems)


def read_files(request: ReadFiles, note: Callable[[str], None], find_stand_in: Callable[[str], bytes | None]) -> Answer:
    """The answer for the files on disk."""
    being_written: list[str] = []
    stood_in: list[Problem] = []

    def read(path: Path, role: str) -> bytes:
        note(str(path))
        try:
            return read_closed(path, role)
        except BeingWrittenError:
            content = find_stand_in(str(path))
        if content is None:
            try:
                return wait_and_read(path, role, request.patience)
            except BeingWrittenError:
                being_written.append(str(path))
                raise
        being_written.append(str(path))
        stood_in.append(Problem(str(path), 0, 0, BEING_WRITTEN))
        return content

    try:
        gathered = gather_files(Path(request.config), read=read)
        is_whole = not gathered.unread + gathered.unread_prefixes
        if is_whole and digest_of(gathered.sources) == request.digest:
            return Answer(notices=tuple(stood_in), being_written=tuple(being_written))
        loaded = load_gathered(gathered, note)
    except IntentError as error:
        return reject(error.problems, being_written)
    return _accept(loaded._replace(notices=(*stood_in, *loaded.notices)), being_written)


def wait_and_read(path: Path, role: str, patience: float) -> bytes:
    """Read the file as soon as it is closed. Raises BeingWrittenError if that is not in time (seconds), and OSError."""
    end = time.monotonic() + patience
    while True:
        try:
            return read_closed(path, role)
        except BeingWrittenError:
            if time.monotonic() >= end:
                raise
        time.sleep(POLL)


def reject(problems: tuple[Problem, ...], being_written: list[str] | None = None) -> Answer:
    """What is wrong, cut to what a person reads: a file of another kind may have as many errors as lines."""
    told = [*map(shorten, problems[:MOST_PROBLEMS])]
    if len(problems) > MOST_PROBLEMS:
        told.append(Problem(problems[-1].file, 0, 0, f"{len(problems) - MOST_PROBLEMS} more problems are not listed"))
    return Answer(problems=tuple(told), being_written=tuple(being_written or ()))


def shorten(problem: Problem) -> Problem:
    """A problem of a line that nobody could read is told without that line."""
    line = problem.source_line
    return problem._replace(
        message=problem.message[:LONGEST_TEXT], source_line=line if len(line) <= LONGEST_TEXT else ""
    )


def _accept(loaded: Loaded, being_written: list[str] | tuple[str, ...]) -> Answer:
    notices = tuple(map(shorten, loaded.notices[:MOST_PROBLEMS]))
    return Answer(intent=loaded.intent, notices=notices, being_written=tuple(being_written))
