"""``routed plan``: what ``routed apply`` would do. It changes nothing.

The daemon makes the plan where it runs and the files are its own: it alone knows what is paused, and what was before.
Otherwise the plan is made here, as ``apply --direct`` would.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from routed.cli.client import ClientError, call
from routed.cli.exits import CommandError, Exit
from routed.cli.plan_text import MARK, render_plan
from routed.cli.problems import show_problems
from routed.cli.terminal import complain, say, say_json, wants_color
from routed.intent.load import load
from routed.intent.problems import IntentError
from routed.model.assumption import NOTHING_ASSUMED, Assumptions
from routed.model.documents import PlanDocument, PrintedPlanDocument, StatusDocument
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey, Freshness
from routed.model.lookup import Question
from routed.model.net import format_address
from routed.model.owner import Marks

PATIENCE: Final = 2.0  # seconds for a daemon to say what it knows
LONG_PATIENCE: Final = 90.0  # seconds for it to read its files and the kernel, which a storm may put off


def run(options: Namespace) -> Exit:
    """Show the plan for the files of ``options.config``."""
    questions = _read_questions(options)
    try:
        intent = load(Path(options.config)).intent  # with the rights of this user, so that its problems may be shown
        document = _make_document(options, intent, questions)
    except IntentError as error:
        show_problems(error.problems, options)
        return Exit.INVALID
    except ClientError as error:
        complain(str(error))
        return error.code
    if options.json:
        say_json(document)
    elif not options.quiet:
        files = [source.path for source in intent.sources]
        lines = render_plan(
            document,
            is_colored=wants_color(options, sys.stdout),
            files=files,
            now=datetime.now(UTC),
            is_verbose=bool(options.verbose),
        )
        say("\n".join(lines))
    code = judge(document, tells_drift=options.exit_code)
    return _judge_strictly(options, intent) or code if options.strict else code


def _judge_strictly(options: Namespace, intent: Intent) -> Exit:
    from routed.cli.strict import find_problems  # only who is strict waits for it

    problems = find_problems(options, intent)
    show_problems(problems, options)
    return Exit.INVALID if problems else Exit.DONE


def _read_questions(options: Namespace) -> tuple[Question, ...]:
    from routed.cli.packet import find_given

    if not (options.why or find_given(options)):
        return ()
    from routed.cli.plan_ways import read_questions  # few plans need it

    return read_questions(options)


def _make_document(options: Namespace, intent: Intent, questions: tuple[Question, ...]) -> PrintedPlanDocument:
    """The plan. Raises ClientError, CommandError, and IntentError for files that are assumed."""
    if not questions:
        return cast(PrintedPlanDocument, _assume(options, intent, ()))
    from routed.cli.plan_ways import add_ways, list_addresses

    return add_ways(_assume(options, intent, list_addresses(questions)), options, questions)


def _assume(options: Namespace, intent: Intent, asked: tuple[bytes, ...]) -> PlanDocument:
    """The plan in the case that the options say, and what decides then about packets to these addresses."""
    given = getattr(options, "if")  # a word of Python
    if not given:
        assumed = NOTHING_ASSUMED._replace(asked=asked)
        return _ask_daemon(options, intent, assumed) or _make_plan(options, intent, assumed)
    from routed.audit.reasons import describe_reason  # few plans need it
    from routed.core.assumptions import AssumptionError, find_file, read_assumptions  # likewise

    try:
        file = find_file(given)
        other = load(Path(file)).intent if file else intent  # with the rights of this user, whoever runs the daemon
        assumed = read_assumptions(given, other)._replace(asked=asked)
        answer = None if file else _ask_daemon(options, intent, assumed)
        document = answer or _make_plan(options, other, assumed, intent)
    except AssumptionError as error:
        raise CommandError(describe_reason(error.why), Exit.USAGE) from None
    return {**document, "assumed": given}


def _ask_daemon(options: Namespace, intent: Intent, assumed: Assumptions) -> PlanDocument | None:
    """The daemon's plan, if it has one for these files. Raises ClientError where it would refuse to apply them."""
    asked = {"assumed": [*assumed.given], "addresses": [format_address(one) for one in assumed.asked]}
    parameters = {word: those for word, those in asked.items() if those}
    try:
        answer = cast(PlanDocument, call(options.runtime_dir, "Plan", parameters=parameters, timeout=LONG_PATIENCE))
    except ClientError as error:
        if error.code is Exit.UNAVAILABLE:
            return None
        if error.code is Exit.USAGE:
            raise
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
    if config is None or (assumed.asked and "then" not in answer):
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


def _make_plan(options: Namespace, intent: Intent, assumed: Assumptions, present: Intent | None = None) -> PlanDocument:
    """The plan, made here. ``present`` is what is in force before, where that is not what is planned for."""
    from routed.daemon import direct  # a daemon's plan needs nothing of this
    from routed.daemon.results import describe_plan  # likewise
    from routed.daemon.storage import StateError  # likewise

    state_dir = Path(options.state_dir)
    warn_of_hidden(direct.find_hidden(state_dir))
    try:
        proposal = direct.propose(intent, state_dir, find_marks(options), assumed, present, _find_rulings(options))
        return describe_plan(proposal)
    except StateError as error:  # then nobody knows what an apply would do, and it would refuse as well
        raise CommandError(str(error), Exit.FAILED) from None


def warn_of_hidden(hidden: Path | None) -> None:
    """This folder of the state is not read, if there is one."""
    if hidden is not None:
        complain(
            f"this user may not read {hidden}: what routed took the place of is not known, "
            "and routed apply may put back what this plan removes"
        )


def _find_rulings(options: Namespace) -> Mapping[FactKey, Fact]:
    """What a daemon says of the checks: nobody asks them here."""
    status = _find_status(options)
    if status is None or not status.get("checks"):
        return {}
    from routed.model.checks import Ruling, key_of  # few hosts have any

    return {
        key_of(check["check"].removeprefix("check/")): Fact(Ruling(check["state"] == "up"), Freshness.LIVE)
        for check in status["checks"]
        if check["state"] in {"up", "down"}
    }


def find_marks(options: Namespace) -> frozenset[int]:
    """The protocol numbers that mark what is ours, and those that did before."""
    marks = find_own_marks(options)
    return marks.numbers if marks else frozenset()


def find_own_marks(options: Namespace) -> Marks | None:
    """The same, told apart: as the state folder has them, or as the daemon says."""
    from routed.daemon.marks import MarksFile  # likewise

    kept = MarksFile(Path(options.state_dir)).load()
    if kept is not None:
        return kept
    status = _find_status(options)
    if status is None:
        return None
    further, former = status.get("protocols", []), status.get("former_protocols", [])  # not told by older versions
    return Marks(status["protocol"], frozenset(former), frozenset(further))


def judge(plan: PlanDocument, *, tells_drift: bool) -> Exit:
    """The exit code of a plan. What the guard refuses weighs more than that there is something to do.

    To mark as ours what stands as the files say is no drift.
    """
    if plan.get("held") or any(refusal["by_guard"] for refusal in plan["refusals"]):
        return Exit.REFUSED
    return Exit.DRIFT if tells_drift and any(step["symbol"] != MARK for step in plan["steps"]) else Exit.DONE
