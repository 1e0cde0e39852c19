"""A change on trial, at the terminal: how long it has, and a word that keeps it or ends it.

The daemon counts, not this: whoever loses the connection, or leaves, changes nothing about the deadline.
"""

from __future__ import annotations

import select
import sys
from argparse import Namespace
from time import monotonic, sleep
from typing import Final, cast

from routed.audit.figures import format_span
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.terminal import complain, say
from routed.model.documents import StatusDocument, TrialDocument

TICK: Final = 1.0  # seconds between two figures
PATIENCE: Final = 10.0  # seconds for the way back, once the time is over
LOOK: Final = 5  # ticks between two questions whether somebody else has decided
CONFIRM, ROLL_BACK = "confirm", "rollback"
DECIDED: Final = "decided"  # elsewhere, or by the end of the time


def follow(options: Namespace, revision: int, trial: TrialDocument, code: Exit) -> Exit:
    """Say until when it is in force; on a terminal, wait for a word. Returns ``code`` unless that word fails."""
    told = f"revision {revision} is on trial until {trial['until']}, then revision {trial['base']} comes back"
    if options.quiet or not (sys.stdin.isatty() and sys.stdout.isatty()):
        complain(f"{told}: routed confirm keeps it")
        return code
    say(f"{told[0].upper()}{told[1:]}.")
    try:
        answered = _count_down(options, monotonic() + trial["seconds"])
    except KeyboardInterrupt:
        say("")
        answered = _ask(f"It stays on trial if you leave. Type {CONFIRM} or {ROLL_BACK}, or Enter to leave: ")
    return _tell_end(options, revision, code) if answered == DECIDED else _do(options, answered, code)


def _count_down(options: Namespace, end: float) -> str:
    """The line that somebody typed; DECIDED once it is on trial no more. Raises KeyboardInterrupt."""
    ticks = 0
    while (left := end - monotonic()) > 0:
        sys.stdout.write(f"\r{format_span(max(1.0, round(left)))} left. Type {CONFIRM} and Enter to keep it: \x1b[K")
        sys.stdout.flush()
        if select.select([sys.stdin], [], [], min(TICK, left))[0]:
            return sys.stdin.readline().strip()
        ticks += 1
        if ticks % LOOK == 0 and not _is_on_trial(options):
            break
    say("")
    return DECIDED


def _ask_status(options: Namespace) -> StatusDocument | None:
    try:
        return cast(StatusDocument, call(options.runtime_dir, "GetStatus"))
    except ClientError:  # it may be restarting
        return None


def _is_on_trial(options: Namespace) -> bool:
    status = _ask_status(options)
    return status is None or "trial" in status


def _tell_end(options: Namespace, revision: int, code: Exit) -> Exit:
    """What became of it without a word from here."""
    end = monotonic() + PATIENCE
    while (status := _ask_status(options)) is None or "trial" in status:
        if monotonic() > end:
            complain("the time is over, and the daemon does not tell what is in force: see routed status")
            return Exit.FAILED
        sleep(TICK / 10)
    if status["revision"] == revision:
        say("It was confirmed.")
        return code
    say(f"It is in force no more: revision {status['revision']} is, {status.get('deployment', '')}.")
    return Exit.FAILED


def _ask(question: str) -> str:
    try:
        return input(question).strip()
    except (KeyboardInterrupt, EOFError):
        say("")
        return ""


def _do(options: Namespace, word: str, code: Exit) -> Exit:
    if word not in {CONFIRM, ROLL_BACK}:
        say("It stays on trial: routed confirm keeps it, routed rollback ends it now.")
        return code
    try:
        if word == CONFIRM:
            call(options.runtime_dir, "Confirm")
        else:
            call(options.runtime_dir, "RollBack", {"force": False}, options.timeout)
    except ClientError as error:
        complain(str(error))
        return error.code
    say("It is confirmed." if word == CONFIRM else "The revision before is in force again.")
    return code
