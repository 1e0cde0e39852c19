"""``routed revisions``: what was in force before, and what can be again."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime

from routed.cli.ages import format_age
from routed.cli.exits import Exit
from routed.cli.kept import list_revisions
from routed.cli.terminal import GREEN, make_table, paint, say, say_json, wants_color
from routed.model.documents import RevisionDocument


def run(options: Namespace) -> Exit:
    """Ask the daemon, or look into the folder, and print what there is."""
    document = list_revisions(options)
    if options.json:
        say_json(document)
    elif not options.quiet:
        for line in render(document["revisions"], datetime.now(UTC), is_colored=wants_color(options, sys.stdout)):
            say(line)
    return Exit.DONE


def render(revisions: list[RevisionDocument], now: datetime, *, is_colored: bool) -> Iterator[str]:
    """A table, the newest first; that in force is marked."""
    rows = [
        (
            f"{one['revision']}{'*' if one['in_force'] else ''}",
            format_age(one["saved"], now),
            one["by"] or "-",
            ", ".join(_judge(one)),
            one["comment"],
        )
        for one in revisions
    ]
    head, *lines = make_table(("REVISION", "AGE", "BY", "STATE", "COMMENT"), rows)
    yield head
    for line, one in zip(lines, revisions, strict=True):
        yield paint(line, GREEN if one["in_force"] else "", is_colored=is_colored)


def _judge(one: RevisionDocument) -> Iterator[str]:
    if one["in_force"]:
        yield "in force"
    yield "verified" if one["verified"] else "not verified"
    if not one["confirmed"]:
        yield "not confirmed"
