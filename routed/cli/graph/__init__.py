"""``routed graph``: a picture of the way of packets: rules, tables, routes and links, and how each stands.

The daemon's where it runs and the files are its own. Otherwise it is made here, of what the files want and of the
kernel as ``plan`` reads it, and says so. One module a language that it is written in.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from routed.cli.client import ClientError, call
from routed.cli.exits import CommandError, Exit
from routed.cli.graph.dot import write_dot
from routed.cli.graph.mermaid import write_mermaid
from routed.cli.graph.svg import draw_svg
from routed.cli.terminal import complain, say, say_json
from routed.model.graph_document import GraphDocument

WRITERS: Final[dict[str, Callable[[GraphDocument], str]]] = {
    "svg": draw_svg,
    "dot": write_dot,
    "mermaid": write_mermaid,
}


def run(options: Namespace) -> Exit:
    """Print the picture."""
    document = _ask_daemon(options) or _make_document(options)
    if document is None:
        return Exit.INVALID
    if options.json:
        say_json(document)
    elif not options.quiet:
        say(WRITERS[options.format](document).rstrip("\n"))
    return Exit.DONE


def _ask_daemon(options: Namespace) -> GraphDocument | None:
    """The daemon's picture, if it keeps these files."""
    try:
        answer = cast(GraphDocument, call(options.runtime_dir, "GetGraph", {"folded": not options.verbose}))
    except ClientError as error:
        if error.code is not Exit.UNAVAILABLE:
            complain(f"{error}; so this picture is made without the daemon")
        return None
    config = answer.pop("config", "")
    return answer if Path(config).absolute() == Path(options.config).absolute() else None


def _make_document(options: Namespace) -> GraphDocument | None:
    """The picture of the files, None where they are invalid. Raises CommandError."""
    from routed.cli.plan import find_marks, warn_of_hidden  # what a picture of the daemon needs nothing of, …
    from routed.cli.problems import show_problems  # … as is all of this
    from routed.daemon import direct
    from routed.daemon.graph import describe_proposed_graph
    from routed.daemon.storage import StateError
    from routed.intent.load import load
    from routed.intent.problems import IntentError

    try:
        intent = load(Path(options.config)).intent
    except IntentError as error:
        show_problems(error.problems, options)
        return None
    state_dir = Path(options.state_dir)
    warn_of_hidden(direct.find_hidden(state_dir))
    notes = [f"what {options.config} wants, and the kernel as routed plan reads it: routed does not keep it"]
    try:
        proposal = direct.propose(intent, state_dir, find_marks(options))
    except StateError as error:
        raise CommandError(str(error), Exit.FAILED) from None
    return describe_proposed_graph(proposal, notes, is_folded=not options.verbose)
