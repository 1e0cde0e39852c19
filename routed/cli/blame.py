"""``routed blame``: who changed the objects of an entry, how often, and what became of it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator

from routed.audit.history import Culprit, Query, assign_blame
from routed.cli.exits import Exit
from routed.cli.history import NoJournalError, find_names, read, render
from routed.cli.moments import format_moment
from routed.cli.terminal import complain, make_table, say, say_json, wants_color
from routed.model.documents import BlameDocument, CulpritDocument


def run(options: Namespace) -> Exit:
    """Print who is to blame, then the records."""
    # the counts are of everything since then, however few lines are shown
    query = Query(
        find_names(options.entry), since=options.since or 0.0, directory=options.directory or "", with_parts=True
    )
    try:
        records = read(query)
    except NoJournalError as error:
        complain(str(error))
        return error.code
    culprits = assign_blame(records)
    shown = records if options.lines is None else records[max(0, len(records) - options.lines) :]
    if options.json:
        say_json(describe_blame(options.entry, culprits, shown))
    elif records and not options.quiet:
        say("\n".join(render_blame(culprits)))
        say("\n".join(["", *render(shown, is_colored=wants_color(options, sys.stdout))]))
    if not records and not options.json:
        complain(f"the journal has no record of {options.entry} from this time")
    return Exit.DONE


def render_blame(culprits: list[Culprit]) -> Iterator[str]:
    """A table with a line for each who had to do with the entry."""
    rows = [
        (culprit.who, str(culprit.count), format_moment(culprit.last), _describe_events(culprit), culprit.example)
        for culprit in culprits
    ]
    yield from make_table(("WHO", "TIMES", "LAST", "WHAT BECAME OF IT", "LAST COMMAND"), rows)


def describe_blame(entry: str, culprits: list[Culprit], records: list[dict[str, str]]) -> BlameDocument:
    """The same as a document."""
    return BlameDocument(
        schema="routed.blame/1",
        entry=entry,
        culprits=[
            CulpritDocument(
                who=culprit.who,
                count=culprit.count,
                last=str(culprit.last),
                events=dict(culprit.events),
                cmdline=culprit.example,
            )
            for culprit in culprits
        ],
        records=records,
    )


def _describe_events(culprit: Culprit) -> str:
    return ", ".join(f"{count} {event}" for event, count in culprit.events.most_common())
