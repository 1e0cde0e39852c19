"""``routed why ENTRY``: why an entry is in its state, as a tree.

The daemon knows it. Without one the tree is made from the files and the kernel, as ``routed plan`` is, and what the
daemon alone knows is named.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from routed.cli.client import ClientError, call
from routed.cli.exits import CommandError, Exit
from routed.cli.problems import show_problems
from routed.cli.status import COLORS
from routed.cli.terminal import paint, say, say_json, wants_color
from routed.cli.why_text import find_width, fold
from routed.model.documents import StatusDocument, is_asked
from routed.model.why_documents import WhyEntryDocument, WhyNodeDocument

PATIENCE: Final = 10.0  # seconds for the daemon to say what it knows
WITHOUT_DAEMON: Final = "the daemon does not run: what failed or is held, what checks found, and since when"


def run_entry(options: Namespace) -> Exit:
    """Explain the entry ``options.subject``."""
    document = _ask_daemon(options)
    if document is None:
        from routed.intent.problems import IntentError

        try:
            document = _make_document(options)
        except IntentError as error:
            show_problems(error.problems, options)
            return Exit.INVALID
    if options.json:
        say_json(document)
    elif not options.quiet:
        say("\n".join(render_entry(document, is_colored=wants_color(options, sys.stdout))))
    return Exit.DONE


def _ask_daemon(options: Namespace) -> WhyEntryDocument | None:
    """The daemon's answer; None where it does not run, or by other files. Raises CommandError."""
    try:
        status = cast(StatusDocument, call(options.runtime_dir, "GetStatus", {"entry": options.subject}))
        if Path(status["config"]).absolute() != Path(options.config).absolute():
            return None
        return cast(
            WhyEntryDocument, call(options.runtime_dir, "Explain", {"entry": options.subject}, timeout=PATIENCE)
        )
    except ClientError as error:
        if error.code is Exit.UNAVAILABLE:
            return None
        raise CommandError(str(error), error.code) from None


def _make_document(options: Namespace) -> WhyEntryDocument:
    """From the files and the kernel. Raises IntentError and CommandError."""
    from time import monotonic

    from routed.cli.plan import find_marks
    from routed.daemon import direct
    from routed.daemon.grounds import describe_grounds, describe_steps
    from routed.daemon.results import describe_plan
    from routed.daemon.storage import StateError
    from routed.intent.load import load

    intent = load(Path(options.config)).intent
    if not any(is_asked(entry.name, options.subject) for entry in intent.entries):
        raise CommandError(f"{options.subject} is no address, and no entry of {options.config}", Exit.FAILED)
    try:
        proposal = direct.propose(intent, Path(options.state_dir), find_marks(options))
    except (StateError, OSError) as error:
        raise CommandError(str(error), Exit.FAILED) from None
    found = describe_grounds(proposal.host, options.subject, lambda _: "", monotonic())
    entries = describe_steps(found, describe_plan(proposal))
    return WhyEntryDocument(
        schema="routed.why-entry/1", entry=options.subject, entries=entries, unknown=[WITHOUT_DAEMON]
    )


def render_entry(document: WhyEntryDocument, *, is_colored: bool, width: int = 0) -> Iterator[str]:
    """Each entry with its tree."""
    width = width or find_width()
    for number, entry in enumerate(document["entries"]):
        if number:
            yield ""
        yield from _render_node(entry, 0, width, is_colored=is_colored)
    for unknown in document["unknown"]:
        yield from fold(f"not known, since {unknown}", 0, width)


def _render_node(node: WhyNodeDocument, depth: int, width: int, *, is_colored: bool) -> Iterator[str]:
    subject = " is ".join(part for part in (node["what"], node["state"]) if part)
    reason = f": {node['reason']}" if node["reason"] and subject else node["reason"]
    color = COLORS.get(node["state"], "") if not depth else ""
    for line in fold(f"{subject}{reason}", 2 * depth, width):
        yield paint(line, color, is_colored=is_colored)
    if "origin" in node:
        yield from fold(node["origin"], 2, width)
    times = ", ".join(f"{word} {node[key]}" for word, key in (("since", "since"), ("until", "until")) if node[key])  # type: ignore[literal-required]
    if times:
        yield from fold(times, 2 * depth + 2, width)
    if node["change"]:
        yield from fold(f"what would change it: {node['change']}", 2 * depth + 2, width)
    for one in node["why"]:
        yield from _render_node(one, depth + 1, width, is_colored=is_colored)
