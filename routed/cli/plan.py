"""``routed plan``: what ``routed apply`` would do. It changes nothing.

The daemon makes the plan where it runs and the files are its own: it alone knows what is paused, and what was before.
Otherwise the plan is made here, as ``apply --direct`` would.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from routed.cli.client import ClientError, call
from routed.cli.exits import CommandError, Exit
from routed.cli.plan_text import render_plan
from routed.cli.problems import show_problems
from routed.cli.terminal import complain, say, say_json, wants_color
from routed.intent.load import load
from routed.intent.problems import IntentError
from routed.model.documents import PlanDocument, StatusDocument
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey

PATIENCE: Final = 2.0  # seconds for a daemon to say what it knows
LONG_PATIENCE: Final = 90.0  # seconds for it to read its files and the kernel, which a storm may put off


def run(options: Namespace) -> Exit:
    """Show the plan for the files of ``options.config``."""
    try:
        intent = load(Path(options.config)).intent  # with the rights of this user, so that its problems may be shown
    except IntentError as error:
        show_problems(error.problems)
        return Exit.INVALID
    try:
        document = _make_document(options, intent)
    except ClientError as error:
        complain(str(error))
        return error.code
    if options.json:
        say_json(document)
    elif not options.quiet:
        say("\n".join(render_plan(document, is_colored=wants_color(options, sys.stdout))))
    return judge(document, tells_drift=options.exit_code)


def _make_document(options: Namespace, intent: Intent) -> PlanDocument:
    """The plan. Raises ClientError and CommandError."""
    assumed = getattr(options, "if")  # a word of Python
    facts = _read_assumptions(assumed, intent) if assumed else {}
    document = _ask_daemon(options, intent) or _make_plan(options, intent, facts)
    return {**document, "assumed": assumed} if assumed else document


def _read_assumptions(assumed: Sequence[str], intent: Intent) -> Mapping[FactKey, Fact]:
    from routed.audit.reasons import describe_reason  # few plans need it
    from routed.core.assumptions import AssumptionError, read_assumptions  # likewise

    try:
        return read_assumptions(assumed, intent)
    except AssumptionError as error:
        raise CommandError(describe_reason(error.why), Exit.USAGE) from None


def _ask_daemon(options: Namespace, intent: Intent) -> PlanDocument | None:
    """The daemon's plan, if it has one for these files. Raises ClientError where it would refuse to apply them."""
    assumed = getattr(options, "if")
    parameters = {"assumed": assumed} if assumed else {}
    try:
        answer = cast(PlanDocument, call(options.runtime_dir, "Plan", parameters=parameters, timeout=LONG_PATIENCE))
    except ClientError as error:
        if error.code is Exit.UNAVAILABLE:
            return None
        if error.code is Exit.INVALID:
            if not _is_same(options.config, _find_config(options)):
                return None
            sentence = (
                f"the daemon reads other files at {options.config} than this command does, and finds them invalid"
            )
            raise ClientError(f"{sentence}: routed apply would change nothing", error.code) from None
        complain(f"{error}; so this plan is made without the daemon, and may differ from what routed apply does")
        return None
    config, digest = answer.pop("config", None), answer.pop("digest", None)
    if config is None:
        complain("the daemon is of another version, so this plan may differ from what routed apply does")
        return None
    if not _is_same(options.config, config):
        return None
    if digest != intent.digest:
        complain(
            f"the daemon reads other files at {config} than this command does: this is the plan for those it reads"
        )
    return answer


def _is_same(config: str, other: str | None) -> bool:
    return other is not None and Path(config).absolute() == Path(other).absolute()


def _find_config(options: Namespace) -> str | None:
    status = _find_status(options)
    return status["config"] if status else None


def _find_status(options: Namespace) -> StatusDocument | None:
    try:
        return cast(StatusDocument, call(options.runtime_dir, "GetStatus", timeout=PATIENCE))
    except ClientError:
        return None


def _make_plan(options: Namespace, intent: Intent, assumed: Mapping[FactKey, Fact]) -> PlanDocument:
    from routed.daemon import direct  # a daemon's plan needs nothing of this
    from routed.daemon.results import describe_plan  # likewise
    from routed.daemon.storage import StateError  # likewise

    state_dir = Path(options.state_dir)
    hidden = direct.find_hidden(state_dir)
    if hidden is not None:
        complain(
            f"this user may not read {hidden}: what routed took the place of is not known, "
            "and routed apply may put back what this plan removes"
        )
    try:
        return describe_plan(direct.propose(intent, state_dir, find_marks(options), assumed))
    except StateError as error:  # then nobody knows what an apply would do, and it would refuse as well
        raise CommandError(str(error), Exit.FAILED) from None


def find_marks(options: Namespace) -> frozenset[int]:
    """The protocol numbers that mark what is ours: as the state folder has them, or as the daemon says."""
    from routed.daemon.marks import MarksFile  # likewise

    kept = MarksFile(Path(options.state_dir)).load()
    if kept is not None:
        return kept.numbers
    status = _find_status(options)
    return frozenset({status["protocol"], *status.get("former_protocols", [])}) if status else frozenset()


def judge(plan: PlanDocument, *, tells_drift: bool) -> Exit:
    """The exit code of a plan. What the guard refuses weighs more than that there is something to do."""
    if any(refusal["by_guard"] for refusal in plan["refusals"]):
        return Exit.REFUSED
    return Exit.DRIFT if tells_drift and plan["steps"] else Exit.DONE
