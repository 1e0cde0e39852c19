"""A change on trial, at the terminal: how long it has, and a word that keeps it or ends it.

The daemon counts, not this: whoever loses the connection, or leaves, changes nothing about the deadline.
"""

from __future__ import annotations

import select
import sys
from argparse import Namespace
from datetime import datetime
from time import monotonic, sleep
from typing import Any, Final, cast

from routed.audit.figures import format_span
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.terminal import complain, say
from routed.model.documents import ApplyDocument, StatusDocument, TrialDocument

TICK: Final = 1.0  # seconds between two figures
PATIENCE: Final = 10.0  # seconds for the way back, once the time is over
LOOK: Final = 5  # ticks between two questions whether somebody else has decided
CONFIRM, ROLL_BACK = "confirm", "rollback"
KEEPS: Final = "routed confirm keeps it"
DECIDED: Final = "decided"  # elsewhere, or by the end of the time


def describe(revision: int, trial: TrialDocument) -> str:
    """Until when it is in force, and what comes then."""
    return f"revision {revision} is on trial until {trial['until']}, then revision {trial['base']} comes back"


def follow(options: Namespace, revision: int, trial: TrialDocument, code: Exit) -> Exit:
    """Say until when it is in force; on a terminal, wait for a word. Returns ``code`` unless that word fails."""
    if options.quiet or not (sys.stdin.isatty() and sys.stdout.isatty()):
        complain(f"{describe(revision, trial)}: {KEEPS}")
        return code
    until = datetime.fromisoformat(trial["until"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    told = describe(revision, {**trial, "until": until})
    say(f"{told[0].upper()}{told[1:]}.")
    try:
        answered = _count_down(options, monotonic() + trial["seconds"])
    except KeyboardInterrupt:
        say("")
        say(f"If you leave, it stays on trial until {until}.")
        say(f"Then revision {trial['base']} comes back, unless somebody says routed confirm before.")
        answered = _ask(f"Type {CONFIRM} to keep it, {ROLL_BACK} to end it now, or Enter to leave: ")
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
        if status and (trial := status["trial"])["seconds"] > TICK:
            say(f"Another apply gave it more time: {describe(status['revision'], trial)}, unless it is confirmed.")
            return code
        if monotonic() > end:
            complain("the time is over, and the daemon does not tell what is in force: see routed status")
            return Exit.FAILED
        sleep(TICK / 10)
    if status["revision"] == revision:
        say("It is on trial no more, and stays in force.")
        return code
    say(f"It is in force no more: revision {status['revision']} is, {status.get('deployment', '')}.")
    return Exit.FAILED


def _ask(question: str) -> str:
    try:
        sys.stdout.write(question)
        sys.stdout.flush()
        return sys.stdin.readline().strip()  # input() misses a Ctrl-C that comes between its question and its reading
    except KeyboardInterrupt:
        say("")
        return ""


def _do(options: Namespace, word: str, code: Exit) -> Exit:
    if word not in {CONFIRM, ROLL_BACK}:
        say(f"It stays on trial: {KEEPS}, routed rollback ends it now.")
        return code
    try:
        if word == CONFIRM:
            call(options.runtime_dir, "Confirm")
        else:
            return _show_way_back(call(options.runtime_dir, "RollBack", {"force": False}, options.timeout), options)
    except ClientError as error:
        complain(str(error))
        return error.code
    say("It is confirmed.")
    return code


def _show_way_back(answer: dict[str, Any], options: Namespace) -> Exit:
    """The revision before is in force again; what of it is not as it says comes first."""
    from routed.cli.apply import show_result  # it imports this

    code = show_result(cast(ApplyDocument, answer), options)
    say("The revision before is in force again.")
    return code
