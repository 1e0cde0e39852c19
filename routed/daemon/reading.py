"""Reading: the files as they are now, read and checked by a process of its own.

Whatever a file does to its reader (a crash, a hang, memory without end) it does to that process, and comes out here as
a problem. Here must never live: the loader itself, or a decision about what was read.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from signal import Signals
from typing import Any, Final, NamedTuple, Self

from routed.daemon.child import read_work, start_reader
from routed.daemon.compiled import Compiled
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
    put_together,
    read_head,
    read_messages,
    write_message,
)
from routed.intent.problems import Problem
from routed.model.entries import Entry, Intent, Source
from routed.model.handover import HandoverError

DEADLINE: Final = 30.0  # seconds that a reading may do nothing
MOST_WORK: Final = 300.0  # seconds of a processor that it may work
PATIENCE_AT_START: Final = 2.0  # seconds for a file that is being written and that nothing of before stands in for
LAST_WAIT: Final = 1.0  # seconds; a process that hangs in the kernel is not waited for longer
NOBODY: Final = -1


class Reading(NamedTuple):
    """What the files say now: an intent, or the problems that keep them from being one."""

    intent: Intent | None
    problems: tuple[Problem, ...] = ()
    notices: tuple[Problem, ...] = ()
    being_written: tuple[str, ...] = ()  # files that somebody had open for writing
    is_too_slow: bool = False  # it was given up for its time: the same files may be read another time


class _GivenUpError(Exception):
    """The process gives no answer; the text is a sentence about the file that it was at."""


class _TooSlowError(_GivenUpError):
    """Its time is over."""


class Reader:
    """One process that reads files. It is asked, then its answer is taken; as often as one likes, then it is closed."""

    def __init__(
        self, process: subprocess.Popen[bytes] | None = None, *, deadline: float = DEADLINE, stop: int = NOBODY
    ) -> None:
        """``stop`` is a descriptor that ends the waiting as soon as it can be read; ``deadline`` is in seconds."""
        self._process = process
        self._deadline = deadline
        self._stop = stop
        self._ends_at = 0.0
        self._work = 0.0  # seconds of a processor that the process had used when it was looked at last
        self._began_at_work = 0.0  # likewise when it was asked
        self._file = ""  # that the process is at
        self._failure = ""
        self._known: Reading | None = None  # what was asked for, where nobody has to be asked

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask_for_start(self, config: str, compiled: str = "", found: Compiled | None = None) -> None:
        """Ask for the files on disk, when nothing is in force yet.

        ``compiled`` is where what they mean is kept, ``found`` what is kept of these very files. Raises HandoverError
        where that cannot be understood; the files are asked for then.
        """
        try:
            self._known = read_compiled(found) if found else None
        finally:
            if self._known is None:
                self.ask_for_files(ReadFiles(config, patience=PATIENCE_AT_START, compiled=compiled))

    def ask_for_files(self, request: ReadFiles) -> None:
        """Ask for the files on disk. Never raises: what goes wrong is in the answer."""
        self._ask(request.config, [request])

    def ask_for_kept(self, sources: tuple[Source, ...]) -> None:
        """Ask for what these bytes mean. Never raises: what goes wrong is in the answer."""
        self._ask(sources[0].path if sources else "", [ReadKept(len(sources)), *sources])

    def take_answer(
        self, find_stand_in: Callable[[str], bytes | None] = lambda _: None, basis: Intent | None = None
    ) -> Reading:
        """Wait for the answer to what was asked. Never raises.

        ``find_stand_in`` gives what is in force of a file that is being written; ``basis`` is what the files mean if
        they have the digest that was asked with.
        """
        known, self._known = self._known, None
        if known is not None:
            return known
        is_too_slow = False
        try:
            if not self._failure:
                return self._take_answer(find_stand_in, basis)
            sentence = self._failure
        except _GivenUpError as error:
            sentence, is_too_slow = str(error), isinstance(error, _TooSlowError)
        except HandoverError as error:
            sentence = f"the process that reads the files answered what cannot be understood: {error}"
        except OSError as error:
            sentence = f"the files cannot be read: {error.strerror}"
        self.close()
        return Reading(None, (Problem(self._file, 0, 0, sentence),), is_too_slow=is_too_slow)

    def close(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(LAST_WAIT)

    # --- the pipes ------------------------------------------------------------------------------------------------

    def _ask(self, file: str, messages: list[HandoverMessage]) -> None:
        self._file, self._failure = file, ""
        self._ends_at = time.monotonic() + self._deadline
        try:
            if self._process is not None and self._process.poll() is not None:
                self.close()  # it ended while nobody asked
            if self._process is None:
                self._process = start_reader()
            self._work = self._began_at_work = read_work(self._process.pid)
            for message in messages:
                self._send(message)
        except _GivenUpError as error:
            self._failure = str(error)
        except OSError as error:
            self._failure = f"the files cannot be read: {error.strerror}"

    def _take_answer(self, find_stand_in: Callable[[str], bytes | None], basis: Intent | None) -> Reading:
        message = self._receive()
        while isinstance(message, (At, StandInWanted)):
            self._file = message.file
            if isinstance(message, StandInWanted):
                self._send(StandIn(find_stand_in(message.file)))
            message = self._receive()
        answer: Answer = expect(Answer, message)
        sources: list[Source] = [expect(Source, self._receive()) for _ in range(answer.sources)]
        entries: list[Entry] = []
        while len(entries) < answer.entries:
            entries += expect(tuple, self._receive())
        intent = put_together(answer, sources, entries)
        if intent is None and not answer.problems:
            intent = basis
        return Reading(intent, answer.problems, answer.notices, answer.being_written)

    def _send(self, message: HandoverMessage) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        os.set_blocking(pipe, False)
        for part in write_message(message):
            rest = memoryview(part)
            while rest:
                self._wait(pipe, select.POLLOUT)
                try:
                    rest = rest[os.write(pipe, rest) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    raise _GivenUpError(self._describe_end()) from None

    def _receive(self) -> Any:
        text, beside = read_head(self._take(HEAD.size))
        return get_codec().load(self._take(text), self._take(beside))

    def _take(self, length: int) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        content = bytearray(length)
        rest = memoryview(content)
        while rest:
            self._wait(pipe, select.POLLIN)
            count = os.readv(pipe, [rest])
            if not count:
                raise _GivenUpError(self._describe_end())
            rest = rest[count:]
        return bytes(content)

    def _wait(self, pipe: int, event: int) -> None:
        """Until the pipe is ready. Raises _GivenUpError."""
        poll = select.poll()
        poll.register(pipe, event)
        if self._stop != NOBODY:
            poll.register(self._stop, select.POLLIN)
        while not (ready := poll.poll(max(self._ends_at - time.monotonic(), 0) * 1000)):
            if not self._has_worked():
                raise _TooSlowError(f"reading it took longer than {self._deadline:g} s, and was given up")
            self._ends_at = time.monotonic() + self._deadline
        if any(descriptor == self._stop for descriptor, _ in ready):
            raise _GivenUpError("reading it was given up, because the daemon stops")

    def _has_worked(self) -> bool:
        """Did the process do something since it was looked at last? On a host that is busy it gets on slowly."""
        assert self._process is not None
        before, self._work = self._work, read_work(self._process.pid)
        return self._work > before and self._work - self._began_at_work < MOST_WORK

    def _describe_end(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(LAST_WAIT)
        except subprocess.TimeoutExpired:
            return "the process that reads the files closed its end of the pipe"
        if code == -Signals.SIGALRM:  # its own limit, after which it takes us for gone
            raise _TooSlowError("reading it took longer than the process waits for us, and was given up")
        how = f"was killed by {Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"the process that reads the files {how} while it was at this file"


def read_compiled(compiled: Compiled) -> Reading:
    """What was kept, as if the files had been read. Raises HandoverError."""
    answer, *pieces = read_messages(compiled.body)
    entries = [entry for piece in pieces for entry in expect(tuple, piece)]
    intent = put_together(expect(Answer, answer), compiled.sources, entries)
    if intent is None or len(entries) != answer.entries:
        raise HandoverError("it is no whole intent")
    return Reading(intent, notices=answer.notices)
