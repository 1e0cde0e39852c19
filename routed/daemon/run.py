"""``routed run``: from the command line to a daemon that serves, and back.

Order matters here and only here: the lock before the kernel is touched, the socket before the first pass (so that a
long one can be watched), READY after it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import grp
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from routed import __version__
from routed.audit.notices import note_config_rejected
from routed.audit.remarks import Remarks
from routed.audit.sinks import LogFormat, Sink, open_sink
from routed.daemon import pulse, systemd
from routed.daemon.answers import ClientAnswers
from routed.daemon.child import COMPILED
from routed.daemon.control import open_control
from routed.daemon.files import Files, Start, TooSlowError
from routed.daemon.listener import ControlError
from routed.daemon.lock import AlreadyRunningError
from routed.daemon.ownership import Ownership
from routed.daemon.pauses import PausesFile
from routed.daemon.reading import Reader
from routed.daemon.record import RecordFile
from routed.daemon.revisions import Revisions
from routed.daemon.scheduling import ask_for_short_slices
from routed.daemon.service import FirstPassError, Service
from routed.daemon.watch import FileWatch
from routed.intent.problems import IntentError
from routed.kernel.execs import ExecWatch
from routed.kernel.kernel import Kernel

CAP_NET_ADMIN: Final = 12  # linux/capability.h
PATIENCE: Final = 5.0  # seconds for an `apply --direct`, or a daemon that ends, to be through


class CannotStartError(Exception):
    """The daemon did not start. ``str`` says why; ``reason`` is one of refused, failed, not-permitted, invalid."""

    def __init__(self, reason: str, sentence: object) -> None:
        super().__init__(str(sentence))
        self.reason = reason


class Habits(NamedTuple):
    """What the command line asks of the daemon beside its files."""

    is_watching: bool
    follows_netlink: bool
    group: str = ""  # whose members may give orders


def run(
    config: Path,
    state_dir: Path,
    runtime_dir: Path,
    *,
    reader: Reader,
    complaint: str = "",
    log_format: LogFormat = LogFormat.AUTO,
    is_watching: bool = True,
    is_following: bool = False,
    follows_netlink: bool = False,
    group: str = "",
) -> None:
    """Run the daemon until it is told to stop. Raises CannotStartError.

    ``reader`` was asked for these files already, and is closed here; ``complaint`` is to be told about that.
    ``is_watching`` the files; ``is_following`` the programs of the host as they are started, to name them if need be;
    ``follows_netlink``: what others ask of IPVS.
    Members of the ``group`` may give orders, as root may.
    """
    if sys.stderr is not None:
        faulthandler.enable()  # the watchdog kills by SIGABRT: then stderr tells where the loop hung
    sink = open_sink(log_format)
    logging.getLogger().addHandler(Remarks(sink))
    if complaint:
        logging.getLogger(__name__).warning("%s", complaint)
    revisions = state_dir / "revisions"
    files = Files(
        config,
        Revisions(revisions),
        RecordFile(revisions),
        PausesFile(state_dir),
        runtime_dir / "checks.json",
        state_dir / COMPILED,
    )
    try:
        with reader:
            start = files.choose_start(reader)
    except IntentError as error:
        sink(note_config_rejected(str(config), [str(problem) for problem in error.problems]))
        raise CannotStartError("failed" if isinstance(error, TooSlowError) else "invalid", error) from None
    if not has_net_admin():
        sentence = "CAP_NET_ADMIN is needed to change routes: run it as root, or by its unit"
        raise CannotStartError("not-permitted", sentence)
    try:
        settings = start.intent.settings
        owned = Ownership(settings.protocol, state_dir, runtime_dir, further=settings.protocols, patience=PATIENCE)
        with owned as ownership, Kernel() as kernel:
            ownership.assume(start.former_protocols)
            kernel.open_events()
            execs = _open_exec_watch() if is_following else None
            habits = Habits(is_watching, follows_netlink, _find_group(group))
            with _open_runner() as runner:
                runner.run(_serve(kernel, files, start, ownership, sink, runtime_dir, execs, habits))
    except AlreadyRunningError as error:
        raise CannotStartError("refused", error) from None
    except ControlError as error:
        raise CannotStartError("failed", error) from None
    except (FirstPassError, OSError) as error:
        raise CannotStartError("failed", f"the host could not be read: {error}") from error


def has_net_admin() -> bool:
    """May this process change the routes of its network namespace? CapEff of proc_pid_status(5)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_NET_ADMIN & 1)
    return False


def _hear_signals(loop: asyncio.AbstractEventLoop, deeds: Mapping[signal.Signals, Callable[[], None]]) -> None:
    """Do these when the signals come. Raises OSError."""
    try:
        for number, deed in deeds.items():
            loop.add_signal_handler(number, deed)
    except RuntimeError as error:  # asyncio makes one of an OSError
        raise error.__context__ if isinstance(error.__context__, OSError) else error from None


async def _serve(
    kernel: Kernel,
    files: Files,
    start: Start,
    ownership: Ownership,
    sink: Sink,
    runtime_dir: Path,
    execs: ExecWatch | None,
    habits: Habits,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor())  # now: its module could not be read without a descriptor left
    ownership.answer_on(loop)
    service = Service(kernel, files, start, ownership, sink)
    stop = asyncio.Event()
    _hear_signals(loop, {signal.SIGTERM: stop.set, signal.SIGINT: stop.set, signal.SIGHUP: service.on_hangup})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # blocked by __main__: one that came before reloads now
    beat = asyncio.ensure_future(pulse.beat(service.loop.read_signs))
    if execs:
        loop.add_reader(execs, kernel.witness.note_starts, execs)
    if habits.follows_netlink:
        from routed.daemon.following import Following  # noqa: PLC0415  only who asks for it pays for it

        service.following = Following(service.reconciler, service.loop.pump, service.voice.say)
    socket = runtime_dir / "io.routed"
    service.control = control = await open_control(
        socket, ClientAnswers(service), version=__version__, group=habits.group
    )
    try:
        await service.begin()
        watch = FileWatch(loop, service.on_files_changed) if habits.is_watching else None
        if watch:
            service.follow_files(watch)
        service.tell_ready()
        await stop.wait()
        systemd.notify_stopping("stopping")
        if watch:
            watch.close()
        await service.end()
    finally:
        await control.close()
        beat.cancel()


def _open_runner() -> asyncio.Runner:
    """A runner that has its loop. Raises OSError: then nothing has begun."""
    runner = asyncio.Runner()
    try:
        runner.get_loop()
    except OSError:
        sys.unraisablehook = lambda _: None  # a loop that is half made complains when it is freed
        raise
    return runner


def _find_group(group: str) -> str:
    """The same, or none where this host has no such group: nobody has to lose his routes for that."""
    try:
        return grp.getgrnam(group).gr_name if group else ""
    except KeyError:
        logging.getLogger(__name__).warning('there is no group "%s": only root may give orders', group)
    return ""


def _open_exec_watch() -> ExecWatch | None:
    try:
        execs = ExecWatch()
    except OSError as error:
        logging.getLogger(__name__).warning(
            "programs cannot be followed as they start (%s): those that end at once may stay unnamed", error.strerror
        )
        return None
    ask_for_short_slices()
    return execs
