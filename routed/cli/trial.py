"""A change on trial, at the terminal: how long it has, and a word that keeps it or ends it.

The daemon counts, not this: whoever loses the connection, or leaves, changes nothing about the deadline.
"""

from __future__ import annotations

import select
import sys
from argparse import Namespace
from time import monotonic
from typing import Final

from routed.audit.figures import format_span
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.terminal import complain, say
from routed.model.documents import TrialDocument

TICK: Final = 1.0  # seconds between two figures
CONFIRM, ROLL_BACK = "confirm", "rollback"


def follow(options: Namespace, revision: int, trial: TrialDocument, code: Exit) -> Exit:
    """Say until when it is in force; on a terminal, wait for a word. Returns ``code`` unless that word fails."""
    told = f"revision {revision} is on trial until {trial['until']}, then revision {trial['base']} comes back"
    if options.quiet or not (sys.stdin.isatty() and sys.stdout.isatty()):
        complain(f"{told}: routed confirm keeps it")
        return code
    say(f"{told[0].upper()}{told[1:]}.")
    try:
        answered = _count_down(monotonic() + trial["seconds"])
    except KeyboardInterrupt:
        say("")
        answered = _ask(f"It stays on trial if you leave. Type {CONFIRM} or {ROLL_BACK}, or Enter to leave: ")
    return _do(options, answered, code)


def _count_down(end: float) -> str:
    """The line that somebody typed, or nothing once the time is over. Raises KeyboardInterrupt."""
    while (left := end - monotonic()) > 0:
        sys.stdout.write(f"\r{format_span(max(1.0, round(left)))} left. Type {CONFIRM} and Enter to keep it: \x1b[K")
        sys.stdout.flush()
        if select.select([sys.stdin], [], [], min(TICK, left))[0]:
            return sys.stdin.readline().strip()
    say("")
    return "over"


def _ask(question: str) -> str:
    try:
        return input(question).strip()
    except (KeyboardInterrupt, EOFError):
        say("")
        return ""


def _do(options: Namespace, word: str, code: Exit) -> Exit:
    if word == "over":
        say("The time is over, and nobody confirmed it: routed status tells what is in force.")
        return Exit.FAILED
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
