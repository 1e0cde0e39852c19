"""``routed select``: which interface an ``[[interface]]`` means now, and why every other one is not it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from routed.cli.exits import Exit
from routed.cli.problems import show_problems
from routed.cli.terminal import complain, make_table, say, say_json
from routed.core.select import Judgement
from routed.daemon import direct
from routed.intent.problems import IntentError
from routed.model.documents import CandidateDocument, SelectDocument


def run(options: Namespace) -> Exit:
    """Judge every link by ``options.expression``: ``@name`` of the files, or a matcher such as ``cidr=10.0.0.0/8``."""
    try:
        judgement = direct.judge_links(Path(options.config), options.expression)
    except IntentError as error:
        show_problems(error.problems)
        return Exit.INVALID
    except ValueError as error:
        complain(str(error))
        return Exit.USAGE
    if options.json:
        say_json(describe_judgement(options.expression, judgement))
    elif not options.quiet:
        say("\n".join(render_judgement(judgement)))
    if judgement.choice.dev:
        return Exit.DONE
    complain(judgement.choice.reason)
    return Exit.FAILED


def describe_judgement(expression: str, judgement: Judgement) -> SelectDocument:
    """The choice and every candidate as a document."""
    return SelectDocument(
        schema="routed.select/1",
        expression=expression,
        ifname=judgement.choice.name,
        reason=judgement.choice.reason,
        ambiguous=judgement.choice.is_ambiguous,
        candidates=[
            CandidateDocument(ifname=one.name, ifindex=one.dev, chosen=one.is_chosen, reason=one.why)
            for one in judgement.candidates
        ],
    )


def render_judgement(judgement: Judgement) -> list[str]:
    """A line for each interface; a star marks the chosen one."""
    rows = [("*" if one.is_chosen else "", one.name, one.why) for one in judgement.candidates]
    return make_table(("", "INTERFACE", "WHY"), rows)
