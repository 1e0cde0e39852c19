"""``routed select``: which interface an ``[[interface]]`` means now, and why every other one is not it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from routed.audit.reasons import describe_reason
from routed.cli.exits import Exit
from routed.cli.problems import show_problems
from routed.cli.terminal import complain, make_table, say, say_json
from routed.core.select import Judgement
from routed.daemon import direct
from routed.intent.load import load
from routed.intent.problems import IntentError
from routed.intent.selectors import parse_matcher
from routed.model.documents import CandidateDocument, SelectDocument
from routed.model.entries import Intent, Origin, Selector


def run(options: Namespace) -> Exit:
    """Judge every link by ``options.expression``: ``@name`` of the files, or a matcher such as ``cidr=10.0.0.0/8``."""
    try:
        judgement = direct.judge_links(*find_asked(Path(options.config), options.expression))
    except IntentError as error:
        show_problems(error.problems, options)
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
    complain(describe_reason(judgement.choice.reason))
    return Exit.FAILED


def find_asked(config: Path, expression: str) -> tuple[Intent, Selector]:
    """What the files say, and which choice is asked for: ``@name`` of theirs, or a matcher such as ``regex=ens.*``.

    Raises IntentError, and ValueError for an expression that says nothing.
    """
    is_reference = expression.startswith("@")
    matcher = None if is_reference else parse_matcher(expression)
    # without files there are no VIPs to be left out, and a matcher needs nothing else of them
    intent = load(config).intent if is_reference or config.exists() else Intent()
    if matcher is None:
        return intent, find_selector(intent, expression[1:])
    return intent, Selector(name=expression, origin=Origin(str(config), 0), match=(matcher,))


def find_selector(intent: Intent, name: str) -> Selector:
    """The ``[[interface]]`` of that name. Raises ValueError."""
    for selector in intent.selectors:
        if selector.name == name:
            return selector
    known = ", ".join(f"@{selector.name}" for selector in intent.selectors) or "none"
    raise ValueError(f'no [[interface]] is named "{name}"; the files have {known}')


def describe_judgement(expression: str, judgement: Judgement) -> SelectDocument:
    """The choice and every candidate as a document."""
    return SelectDocument(
        schema="routed.select/1",
        expression=expression,
        ifname=judgement.choice.name,
        reason=describe_reason(judgement.choice.reason),
        ambiguous=judgement.choice.is_ambiguous,
        candidates=[
            CandidateDocument(ifname=one.name, ifindex=one.dev, chosen=one.is_chosen, reason=describe_reason(one.why))
            for one in judgement.candidates
        ],
    )


def render_judgement(judgement: Judgement) -> list[str]:
    """A line for each interface; a star marks the chosen one."""
    rows = [("*" if one.is_chosen else "", one.name, describe_reason(one.why)) for one in judgement.candidates]
    return make_table(("", "INTERFACE", "WHY"), rows)
