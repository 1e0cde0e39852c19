"""The stage: a daemon that runs with the library preloaded, the kernel beside it, and the judge of both.

A case is: arm a fault, let something happen that the daemon has to deal with, and watch until all is well again. While
it is not, no answer of the daemon may say that it is. Here must never live: a list of faults or of happenings.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from routed.cli.apply import judge
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.model.documents import ApplyDocument, StatusDocument
from tests.faults import world
from tests.faults.classes import OF_FILES
from tests.faults.control import Control, Fault, read_classes
from tests.faults.world import Look
from tests.kernel import netns
from tests.system.daemon import PROJECT, Daemon, cpu_seconds

SOON: Final = 10.0 * netns.SLOWNESS  # seconds within which all is well after a fault is over
LONGEST_FAULT: Final = 8.0 * netns.SLOWNESS  # seconds after which a fault that was not met to its end is taken away
TOLERANCE: Final = 0.5 * netns.SLOWNESS  # seconds for which an answer may be older than the kernel
PACE: Final = 0.03  # seconds between two questions
CPU_AT_ONCE, CPU_SHARE = 0.6, 0.3  # seconds of a processor that a case may take, and the share of it while it lasts
TRIES_AT_ONCE, TRIES_A_SECOND = 1000, 200  # calls that may fail before it is a loop, however slow the machine
LOG_BYTES: Final = 64 * 1024  # that a case may write
PATIENCE: Final = 1.5 * netns.SLOWNESS  # seconds for one answer
_ALL_IN_SYNC: Final = re.compile(r"revision (\d+) in force: \d+ objects? in sync")


class Failed(AssertionError):  # noqa: N818  pytest's word for it
    """The daemon did not do what it has to. The text says what was seen."""


class Result(NamedTuple):
    """What ``routed apply`` would have said, and its exit code."""

    code: Exit
    said: str


class Claims:
    """The answers of the daemon, held against the kernel."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.lying_since = 0.0
        self.seen: Look = world.look()
        self.status: StatusDocument | None = None
        self.silent_since = 0.0

    def ask(self) -> bool:
        """Ask once. Does the daemon say that all is well, and is it? Raises Failed when it has lied for too long."""
        before = self.seen
        self.status = self.stage.ask_status()
        self.seen = world.look()
        now = time.monotonic()
        if self.status is None or not says_all_is_well(self.status):
            self.lying_since = 0.0
            return False
        wanted = self.stage.wanted_by(self.status)
        is_there = before in wanted or self.seen in wanted
        if is_there and self.stage.is_kept(self.status, self.seen):
            self.lying_since = 0.0
            return self.seen in wanted
        self.lying_since = self.lying_since or now
        if now - self.lying_since > TOLERANCE:
            but = "that is not the revision on disk" if is_there else compare(self.seen, wanted[0])
            raise Failed(f"a lie: {self.status['state']!r}, but {but}")
        return False


class Stage:
    """One daemon after another, in one network namespace after another. ``renew`` after each that went wrong."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.library = library
        self.folder = folder
        self.wanted: dict[str, Look] = {}
        self.version = "A"  # of the files on disk
        self.allowed: tuple[str, ...] = ("A",)  # versions that an answer may speak of which does not show its own
        self._open = ExitStack()
        self._serial = 0
        self._log_began = 0  # characters of the log that belong to former cases
        self.is_spoiled = True
        self.played: list[tuple[str, Fault]] = []  # with this daemon
        self._worker = ThreadPoolExecutor(1)
        self.daemon: Daemon
        self.control: Control

    # --- life ------------------------------------------------------------------------------------------------------

    def renew(self, resync: str = "1h") -> None:
        """Begin anew with nothing, and a daemon that has version A in force."""
        self.close()
        self._serial += 1
        self.played = []
        folder = self.folder / str(self._serial)
        folder.mkdir()
        self._worker = ThreadPoolExecutor(1)
        self._open.enter_context(netns.private_network())
        world.make_network()
        self.daemon = Daemon(folder)
        self._open.callback(self.daemon.close)
        self.control = Control(self.folder / f"control-{self._serial}", read_classes(self.library))
        self._open.callback(self.control.close)
        self.write("A", resync)
        self.allowed = ("A",)
        self.launch()
        self.daemon.wait_until_ready()
        self.control.note_started()

    def make_ready(self) -> None:
        """See to a daemon that has version A in force; anew where the last test left something else."""
        if self.is_spoiled:
            self.renew()
            if not self.wanted:
                self.learn()
            self.is_spoiled = False

    def learn(self) -> None:
        """What the kernel has to be in each version, as a daemon without faults makes it."""
        for version in (*world.VERSIONS, "A"):
            self.write(version)
            assert self.apply().code == Exit.DONE
            seen = world.look()
            assert self.wanted.setdefault(version, seen) == seen, "version A is not what it was"
        assert len(set(self.wanted.values())) == len(world.VERSIONS)

    def close(self) -> None:
        """Leave nothing behind."""
        self._open.close()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def end(self) -> int:
        """Tell it to stop; its exit code. Raises Failed when it does not obey."""
        self.daemon.signal(signal.SIGTERM)
        if not wait_for(lambda: has_ended(self.daemon.pid), SOON):
            raise Failed(f"told to stop, it goes on: {self.last_words()}")
        return self.daemon.wait()

    def launch(self, fault: Fault | None = None) -> None:
        """Start the daemon with the library, and do not wait. A fault counts from its first look for its files on."""
        self.control.expect_start()
        if fault:
            self.control.arm(fault)
        code = ":".join([sys.prefix, sys.base_prefix, str(PROJECT / "routed"), "/lib", "/usr/lib"])
        self.daemon.launch(
            before=[
                "env",
                f"LD_PRELOAD={self.library}",
                f"FAULTS_CONTROL={self.control.path}",
                f"FAULTS_CODE={code}",
                f"FAULTS_BEGIN={self.daemon.folder}",
            ]
        )

    # --- commands --------------------------------------------------------------------------------------------------

    def write(self, version: str, resync: str = "1h") -> None:
        """Write the files of this version."""
        self.version = version
        world.write_files(self.daemon, version, resync)

    def ask(self, method: str, parameters: dict[str, Any] | None = None, timeout: float = PATIENCE) -> dict[str, Any]:
        """One call of the control socket. Raises ClientError."""
        return call(f"{self.daemon.folder}/run", method, parameters, timeout)

    def ask_status(self) -> StatusDocument | None:
        """What status says; None when it does not answer."""
        try:
            return cast(StatusDocument, self.ask("GetStatus"))
        except ClientError:
            return None

    def apply(self, timeout: float = SOON) -> Result:
        """What ``routed apply`` does, without a process of its own."""
        try:
            answer = self.ask("Reload", {"force": False}, timeout)
        except ClientError as error:
            return Result(error.code, str(error))
        document = cast(ApplyDocument, answer)
        return Result(judge(document), json.dumps(document))

    def apply_beside(self) -> Future[Result]:
        """The same in a thread: this one belongs to the kernel."""
        return self.do_beside(self.apply)

    def do_beside(self, work: Callable[[], Result]) -> Future[Result]:
        """Whatever ends in an apply, in that thread."""
        return self._worker.submit(work)

    # --- judgement -------------------------------------------------------------------------------------------------

    def wanted_by(self, status: StatusDocument) -> list[Look]:
        """The kernel as it has to be where this status says that all is well: by the entries it shows."""
        names = {entry["entry"] for entry in status["entries"]}
        if world.MARKED in names:
            return [self.wanted["B"]]
        if "route/displacing" in names:
            return [self.wanted["C"]]
        return [self.wanted[version] for version in self.allowed if version in {"A", "L"}] or [self.wanted["A"]]

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Whatever happens in this block, the daemon lives, and neither spins nor floods the log."""
        log = self.daemon.folder / "log"
        began, before, size = time.monotonic(), cpu_seconds(self.daemon.pid), log.stat().st_size
        self._log_began = len(self.read_log())
        yield
        self.assert_alive()
        spent = cpu_seconds(self.daemon.pid) - before
        elapsed = time.monotonic() - began
        if spent > CPU_AT_ONCE + CPU_SHARE * elapsed:
            raise Failed(f"it spins: {spent:.2f} s of a processor in {elapsed:.2f} s")
        if self.control.failed > TRIES_AT_ONCE + TRIES_A_SECOND * elapsed:
            raise Failed(f"it tries without a rest: {self.control.failed} times in {elapsed:.2f} s")
        if (written := log.stat().st_size - size) > LOG_BYTES:
            raise Failed(f"it floods the log: {written} bytes in {elapsed:.2f} s, the last: {self.last_words()}")

    def assert_alive(self) -> None:
        """It runs."""
        state = Path(f"/proc/{self.daemon.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            raise Failed(f"it ended with {self.daemon.wait()}: {self.last_words()}")

    def read_log(self) -> str:
        """What it wrote to stderr."""
        return (self.daemon.folder / "log").read_text(errors="replace")

    def empty_log(self) -> None:
        """What was written until now is of no interest."""
        (self.daemon.folder / "log").write_text("")
        self._log_began = 0

    def last_words(self) -> str:
        """The last line of the log, of this case, that is no record, or else the last one."""
        lines = self.read_log()[self._log_began :].splitlines()
        return next((line for line in reversed(lines) if line and not line.startswith("{")), (lines or [""])[-1])

    def watch_until_well(
        self, fault: Fault, result: Future[Result] | None = None, *, lasts: float = 0.0, may_stay_out: bool = False
    ) -> None:
        """Ask and look until all is as the file says, or, where an apply said no, as it was. Raises Failed.

        A fault that ``lasts`` is taken away after so many seconds; one that is met in full is over by itself. New files
        ``may_stay_out`` of force, or not be kept, as long as status says so: then an operator knows, and applies again.
        """
        began = time.monotonic()
        claims = Claims(self)
        over_at = 0.0
        is_judged = result is None
        while True:
            is_well = claims.ask() and claims.seen == self.wanted[self.version]
            now = time.monotonic()
            if result is not None and not is_judged and result.done():
                is_judged = True
                self.judge_result(result.result(), claims)
            is_met = self.control.failed >= fault.in_a_row
            limit = lasts or (LONGEST_FAULT if self.control.failed else TOLERANCE)
            if not over_at and is_judged and (is_met or now - began > limit or (is_well and not lasts)):
                self.control.disarm()
                over_at = now
                continue
            if over_at and is_judged and (is_well or (may_stay_out and self.wants_an_apply(claims, fault))):
                return
            self.assert_alive()
            if now - (over_at or began + max(lasts, LONGEST_FAULT)) > SOON:
                raise Failed(f"not well {SOON:g} s after the fault was over: {self.describe(claims, result)}")
            time.sleep(PACE)

    def wants_an_apply(self, claims: Claims, fault: Fault) -> bool:
        """Does status say that the files are not in force, or, where all else is right, that they are not kept?"""
        if claims.status is None:
            return False
        is_right = claims.seen == self.wanted[self.version] and are_in_sync(claims.status)
        return says_not_in_force(claims.status) or (
            is_right and fault.of in OF_FILES and not says_all_is_well(claims.status)
        )

    def judge_result(self, result: Result, claims: Claims) -> None:
        """An apply that says that it is done has done it: in the kernel, and on disk."""
        if result.code != Exit.DONE:
            return
        if claims.seen != self.wanted[self.version] and world.look() != self.wanted[self.version]:
            raise Failed(f"a lie: apply exits 0, but {compare(world.look(), self.wanted[self.version])}")
        if not self.is_on_disk():
            raise Failed(f"a lie: apply exits 0, but the newest revision is not what is in force: {result.said}")

    def is_kept(self, status: StatusDocument, seen: Look) -> bool:
        """Is the revision on disk that this status says is in force? Asked where that is the one of the files."""
        return says_not_in_force(status) or seen != self.wanted[self.version] or self.is_on_disk()

    def is_on_disk(self) -> bool:
        """Does the newest revision on disk hold the files?"""
        numbers = sorted(int(path.name) for path in (self.daemon.state / "revisions").glob("[0-9]*"))
        if not numbers:
            return False
        kept = {path.read_bytes() for path in (self.daemon.state / "revisions" / str(numbers[-1])).iterdir()}
        return {self.daemon.config.read_bytes(), (self.daemon.folder / "drop.txt").read_bytes()} <= kept

    def restore(self) -> None:
        """Another apply, of A, is done at once, whatever was; and then there is nothing left to do. Raises Failed."""
        self.control.disarm()
        self.write("A")
        self.allowed = ("A",)
        result = self.apply()
        if result.code != Exit.DONE:
            raise Failed(f"without a fault, apply exits {result.code:d}: {result.said}")
        claims = Claims(self)
        end = time.monotonic() + SOON
        while not claims.ask():
            if time.monotonic() > end:
                raise Failed(f"not well after another apply: {self.describe(claims, None)}")
            time.sleep(PACE)
        self.judge_result(result, claims)
        self.assert_nothing_to_do()

    def assert_nothing_to_do(self) -> None:
        """A plan is empty. Raises Failed."""
        try:
            steps = self.ask("Plan", timeout=SOON)["steps"]
        except ClientError as error:
            raise Failed(f"without a fault, plan does not answer: {error}") from None
        if steps:
            raise Failed(f"plan would still do something: {steps[:2]}")

    def describe_past(self) -> str:
        """What this daemon has met before the present case: it may be what is to blame."""
        before = [f"{phase} {fault.of} at {fault.position}" for phase, fault in self.played[-4:-1]]
        return f"after {', '.join(before)}" if before else "of a new daemon"

    def describe(self, claims: Claims, result: Future[Result] | None) -> str:
        """What is seen now, for a person."""
        status = claims.status
        said = "no answer" if status is None else f"{status['state']!r}, files {status['files']['state']!r}"
        applied = f"; apply: {result.result()}" if result and result.done() else ""
        kernel = compare(claims.seen, self.wanted[self.version])
        return f"status: {said}; kernel: {kernel}{applied}; log: {self.last_words()}"[:1500]


def says_all_is_well(status: StatusDocument) -> bool:
    """Does this answer claim, in its headline and in every entry, that all is in sync?"""
    return bool(_ALL_IN_SYNC.fullmatch(status["state"])) and are_in_sync(status)


def are_in_sync(status: StatusDocument) -> bool:
    """Does this answer claim so of every entry?"""
    return all(entry["state"] == "in-sync" for entry in status["entries"])


def says_not_in_force(status: StatusDocument | None) -> bool:
    """Does it say that the files on disk are not in force?"""
    return status is not None and status["files"]["state"] != "in force"


def compare(seen: Look, wanted: Look) -> str:
    """How they differ, in a few words."""
    missing, surplus = sorted(wanted - seen), sorted(seen - wanted)
    if not missing and not surplus:
        return "as it has to be"
    first = f", such as {(missing or surplus)[0][:120]}"
    return f"{len(missing)} objects are missing and {len(surplus)} too many{first}"


def wait_for(is_so: Callable[[], bool], within: float) -> bool:
    """Does it become so in time?"""
    end = time.monotonic() + within
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def has_ended(pid: int) -> bool:
    """Is this child of ours a zombie?"""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
