"""``routed plan``: the files against the kernel. It reads both, needs no daemon, and changes nothing."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from routed.audit.documents import Waits, make_plan_document
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.plan_text import render_plan
from routed.cli.problems import show_problems
from routed.cli.terminal import say, say_json, wants_color
from routed.core.desired import Desired
from routed.daemon import direct
from routed.daemon.marks import MarksFile
from routed.intent.load import load
from routed.intent.problems import IntentError
from routed.model.documents import PlanDocument, StatusDocument
from routed.model.text import Vocabulary

PATIENCE: Final = 2.0  # seconds for a daemon to say what only it knows


def run(options: Namespace) -> Exit:
    """Show the plan for the files of ``options.config``."""
    try:
        intent = load(Path(options.config)).intent
    except IntentError as error:
        show_problems(error.problems)
        return Exit.INVALID
    plan, desired, facts = direct.propose(intent, find_marks(options))
    vocabulary = Vocabulary.of(facts, intent.table_names, intent.settings.protocol)
    document = make_plan_document(plan, _find_waiting(desired), vocabulary)
    if options.json:
        say_json(document)
    elif not options.quiet:
        say("\n".join(render_plan(document, is_colored=wants_color(options, sys.stdout))))
    return judge(document, tells_drift=options.exit_code)


def find_marks(options: Namespace) -> frozenset[int]:
    """The protocol numbers that mark what is ours: as the state folder has them, or as the daemon says."""
    kept = MarksFile(Path(options.state_dir)).load()
    if kept is not None:
        return kept.numbers
    try:
        status = cast(StatusDocument, call(options.runtime_dir, "GetStatus", timeout=PATIENCE))
    except ClientError:
        return frozenset()
    return frozenset({status["protocol"], *status.get("former_protocols", [])})


def judge(plan: PlanDocument, *, tells_drift: bool) -> Exit:
    """The exit code of a plan. What the guard refuses weighs more than that there is something to do."""
    if any(refusal["by_guard"] for refusal in plan["refusals"]):
        return Exit.REFUSED
    return Exit.DRIFT if tells_drift and plan["steps"] else Exit.DONE


def _find_waiting(desired: Desired) -> Iterator[Waits]:
    for resolution in desired.resolutions.values():
        for waiting in resolution.waiting:
            yield Waits(resolution.entry, waiting.reason)
