"""What happens while calls fail: the phases of a daemon's life, each with the case that runs in it.

Here must never live: what is right. That is the stage's to judge.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, NamedTuple

from routed.cli.client import ClientError
from routed.cli.exits import Exit
from tests.faults import world
from tests.faults.classes import OF_THE_WATCH
from tests.faults.control import CHILDREN, DAEMON, FOREVER, Fault
from tests.faults.stage import LONGEST_FAULT, SOON, Claims, Failed, Result, Stage, has_ended, wait_for
from tests.kernel.netns import ip, ip_batch

LASTS: Final = 3.0  # seconds of a fault that lasts
_EXITS: Final = {Exit.FAILED, Exit.TIMED_OUT, Exit.REFUSED, Exit.NOT_PERMITTED, Exit.INVALID}


class Phase(NamedTuple):
    """Something that the daemon has to deal with."""

    begin: Callable[[Stage], Future[Result] | None]  # the apply that is under way, if there is one
    has_new_files: bool = False


def _reload(stage: Stage) -> Future[Result]:
    stage.write("B")
    return stage.apply_beside()


def _displace(stage: Stage) -> Future[Result]:
    stage.write("C")
    return stage.apply_beside()


def _write_list(stage: Stage) -> None:
    stage.version, stage.allowed = "L", ("A", "L")
    world.write_list(stage.daemon, "L")


def _delete_one(stage: Stage) -> None:
    ip("route del 192.0.2.0/24")


def _flush(stage: Stage) -> None:
    ip_batch("route flush proto 114\nrule del priority 1200\naddr del 10.0.0.80/32 dev v0\n")
    ip("-6 route del 2001:db8:2::/48")


def _converse(stage: Stage) -> Future[Result]:
    """Whatever a client may ask, one after the other. A pause whose answer is lost is ended all the same."""

    def talk() -> Result:
        for method, parameters in (
            ("GetStatus", {}),
            ("Plan", {}),
            ("Pause", {"entry": "route/gateway", "seconds": 60.0, "reason": "a test"}),
        ):
            try:
                stage.ask(method, parameters)
            except ClientError:
                continue
        end = time.monotonic() + LONGEST_FAULT + SOON
        while time.monotonic() < end:
            try:
                stage.ask("Resume", {"entry": "route/gateway"})
                break
            except ClientError:
                time.sleep(0.05)
        return stage.apply()

    return stage.do_beside(talk)


PHASES: Final[dict[str, Phase]] = {
    "reload": Phase(_reload, has_new_files=True),
    "displacing": Phase(_displace, has_new_files=True),
    "list": Phase(_write_list, has_new_files=True),
    "repair": Phase(_delete_one),
    "flush": Phase(_flush),
    "conversation": Phase(_converse),
}
STARTS: Final = {"first start": True, "restart": False}  # is there nothing yet in the folder of the state?


def count_calls(stage: Stage, name: str) -> dict[int, dict[str, int]]:
    """How many calls of each class a phase or a start makes where nothing fails, by whom they are made."""
    if name in STARTS:
        prepare_start(stage, is_first=STARTS[name])
        stage.launch()
        stage.daemon.wait_until_ready()
        counts = {whom: stage.control.counts(whom) for whom in (DAEMON, CHILDREN)}
        stage.control.note_started()
        return counts
    stage.control.disarm()
    stage.control.forget()
    result = PHASES[name].begin(stage)
    assert wait_for(lambda: world.look() == stage.wanted[stage.version] and (not result or result.done()), SOON)
    counts = {whom: stage.control.counts(whom) for whom in (DAEMON, CHILDREN)}
    stage.restore()
    return counts


def play(stage: Stage, name: str, fault: Fault) -> None:
    """One case. Raises Failed; then the stage is spoiled, and whoever comes next begins anew."""
    stage.is_spoiled = True
    stage.played.append((name, fault))
    if name in STARTS:
        _play_start(stage, name, fault)
    else:
        _play_phase(stage, name, fault)
    stage.is_spoiled = False


def _play_phase(stage: Stage, name: str, fault: Fault) -> None:
    """One fault in one phase."""
    phase = PHASES[name]
    lasts = LASTS if fault.in_a_row == FOREVER else 0.0
    with stage.judged():
        stage.control.arm(fault)
        result = phase.begin(stage)
        stage.watch_until_well(fault, result, lasts=lasts, may_stay_out=phase.has_new_files)
        stage.restore()
        if phase.has_new_files and fault.of in OF_THE_WATCH:
            _change_a_list(stage, fault)


def _change_a_list(stage: Stage, fault: Fault) -> None:
    """A fault that is over has not put an end to the watch over the files."""
    _write_list(stage)
    stage.watch_until_well(fault)
    stage.restore()


def prepare_start(stage: Stage, *, is_first: bool) -> None:
    """End the daemon, and take from the kernel what it has to put there. Raises Failed when it does not end."""
    if (code := stage.end()) != 0:
        raise Failed(f"told to stop, it ends with {code}: {stage.last_words()}")
    if is_first:
        shutil.rmtree(stage.daemon.state)
        ip("route replace 198.51.100.0/24 via 10.0.0.9 proto static")
    ip_batch("route flush proto 114\nrule del priority 1200\n")


def _play_start(stage: Stage, name: str, fault: Fault) -> None:
    """A start in which calls fail: it gets ready, or ends and says why; then the next start does."""
    prepare_start(stage, is_first=STARTS[name])
    stage.empty_log()
    stage.launch(fault)
    lasts = LASTS if fault.in_a_row == FOREVER else 0.0
    if not _wait_for_the_start(stage, fault, lasts):
        code = stage.daemon.wait()
        lines = [line for line in stage.read_log().splitlines() if not line.startswith("{")]
        if code not in _EXITS:
            raise Failed(f"the start ends with {code}: {stage.last_words()}")
        if not lines or any("Traceback" in line for line in lines):
            raise Failed(f"the start ends with {code}, and says why in a traceback or not at all: {stage.last_words()}")
        stage.launch()
        stage.daemon.wait_until_ready()
    stage.control.note_started()
    with stage.judged():
        stage.watch_until_well(fault, may_stay_out=True)
        stage.restore()
        _change_a_list(stage, fault)


def _wait_for_the_start(stage: Stage, fault: Fault, lasts: float) -> bool:
    """Is it ready? False: it has ended."""
    claims = Claims(stage)
    began = time.monotonic()
    while True:
        claims.ask()
        if any("READY=1" in note.splitlines() for note in stage.daemon.read_notifications()):
            return True
        if has_ended(stage.daemon.pid):
            return False
        elapsed = time.monotonic() - began
        if lasts and elapsed > lasts:
            stage.control.disarm()
        if elapsed > LONGEST_FAULT + SOON:
            raise Failed(f"neither ready nor over after {elapsed:.0f} s: {stage.describe(claims, None)}")
