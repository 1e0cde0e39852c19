"""``routed check``: read the files, and say everything that is wrong with them.

The kernel is asked only with ``--strict``, for what the files name on this host.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from pathlib import Path

from routed.audit.figures import format_count
from routed.audit.printable import make_printable
from routed.cli.exits import Exit
from routed.cli.problems import describe_problems, show_problems
from routed.cli.rights import find_unreadable
from routed.cli.terminal import say, say_json
from routed.intent.load import load
from routed.intent.problems import IntentError, Problem
from routed.model.entries import Intent


def run(options: Namespace) -> Exit:
    """Check the files of ``options.config``."""
    try:
        loaded = load(Path(options.config))
    except IntentError as error:
        if options.json:
            say_json(_describe(options.config, error.problems, {}))
        else:
            show_problems(error.problems, options)
        return Exit.INVALID
    counts = count_entries(loaded.intent)
    unreadable = tuple(find_unreadable(source.path for source in loaded.intent.sources))
    problems = (*unreadable, *_find_problems(options, loaded.intent)) if options.strict else ()
    notices = loaded.notices if options.strict else (*loaded.notices, *unreadable)
    if options.json:
        say_json(_describe(options.config, problems, counts) | {"notices": describe_problems(notices)})
        return Exit.INVALID if problems else Exit.DONE
    show_problems(notices, options, "notice")
    show_problems(problems, options)
    if problems:
        return Exit.INVALID
    if not options.quiet:
        counted = ", ".join(format_count(count, word) for word, count in counts.items()) or "no entries"
        say(make_printable(f"{options.config} is valid: {counted}"))
    return Exit.DONE


def _find_problems(options: Namespace, intent: Intent) -> tuple[Problem, ...]:
    from routed.cli.strict import find_problems  # only who is strict waits for it

    return find_problems(options, intent)


def count_entries(intent: Intent) -> dict[str, int]:
    """How many entries of each table there are, in the order of the first of each."""
    written = (entry.name for entry in intent.entries if not entry.name.endswith("]"))  # parts are nobody's to write
    return dict(Counter(name.partition("/")[0] for name in (*(check.entry for check in intent.checks), *written)))


def _describe(config: str, problems: tuple[Problem, ...], counts: dict[str, int]) -> dict[str, object]:
    return {
        "schema": "routed.check/1",
        "config": config,
        "valid": not problems,
        "entries": counts,
        "problems": describe_problems(problems),
    }
