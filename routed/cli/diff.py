"""``routed diff``: how two revisions differ, or one and files: in what becomes of the objects, or in the text.

Revisions come from the daemon, which gives them to those who may change something. Files are read here, with the rights
of whoever calls.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Final, NamedTuple, cast

from routed.audit.printable import make_printable
from routed.cli.exits import CommandError, Exit
from routed.cli.kept import find_in_force, read_revision
from routed.cli.problems import show_problems
from routed.cli.terminal import GREEN, RED, paint, say, say_json, wants_color
from routed.model.documents import ComparisonDocument, PrintedPlanDocument, TextComparisonDocument
from routed.model.entries import Source

UNNAMED: Final = "names"  # the role of files that are the host's, not the operator's


class Side(NamedTuple):
    """One of the two that are compared."""

    name: int | str  # the number of a revision, or the path of a main file
    sources: tuple[Source, ...]

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"revision {self.name}" if isinstance(self.name, int) else self.name

    def read_texts(self) -> dict[str, str]:
        """The text of every file, by its path."""
        return {
            source.path: source.content.decode(errors="backslashreplace")
            for source in self.sources
            if source.role != UNNAMED
        }


def run(options: Namespace) -> Exit:
    """Compare, and print what differs."""
    first, second = options.before, options.after
    if isinstance(first, str) and second is None:
        first, second = None, first
    before = _read_side(options, find_in_force(options) if first is None else first)
    after = _read_side(options, options.config if second is None else second)
    if options.text:
        return _show_text(options, before, after)
    return _show_objects(options, before, after)


def _show_text(options: Namespace, before: Side, after: Side) -> Exit:
    lines = list(compare(before.read_texts(), after.read_texts(), before.title, after.title))
    if options.json:
        say_json(TextComparisonDocument(schema="routed.diff-text/1", before=before.name, after=after.name, lines=lines))
    elif not options.quiet:
        is_colored = wants_color(options, sys.stdout)
        for line in lines:
            say(paint(make_printable(line), {"+": GREEN, "-": RED}.get(line[:1], ""), is_colored=is_colored))
    return Exit.DONE


def _show_objects(options: Namespace, before: Side, after: Side) -> Exit:
    from routed.cli.plan_text import render_plan  # the text needs nothing of this
    from routed.daemon import direct  # likewise
    from routed.intent.load import load_kept  # likewise
    from routed.intent.problems import IntentError  # likewise

    try:
        first, second = (load_kept(side.sources).intent for side in (before, after))
    except IntentError as error:
        show_problems(error.problems, options)
        return Exit.INVALID
    steps, waiting = direct.compare(first, second, Path(options.state_dir))
    document = ComparisonDocument(
        schema="routed.diff/1", before=before.name, after=after.name, steps=steps, waiting=waiting
    )
    if options.json:
        say_json(document)
    elif not options.quiet:
        plan = cast(PrintedPlanDocument, {**document, "refusals": [], "notes": []})
        is_colored = wants_color(options, sys.stdout)
        *lines, total = render_plan(plan, is_colored=is_colored, is_verbose=bool(options.verbose))
        for line in lines:
            say(line)
        say(f"From {before.title} to {after.title}: {total.partition(': ')[2]}" if steps else _say_same(before, after))
    return Exit.DONE


def _say_same(before: Side, after: Side) -> str:
    if before.read_texts() == after.read_texts():
        return f"Nothing differs between {before.title} and {after.title}."
    return f"No object differs between {before.title} and {after.title}; routed diff --text shows what does."


def compare(before: Mapping[str, str], after: Mapping[str, str], of: str, to: str) -> Iterator[str]:
    """The lines of a unified diff over all files by their path; a file that one side lacks is empty there."""
    for path in dict.fromkeys((*before, *after)):
        old, new = before.get(path, "").splitlines(), after.get(path, "").splitlines()
        yield from unified_diff(old, new, f"{path} ({of})", f"{path} ({to})", lineterm="")


def _read_side(options: Namespace, name: int | str) -> Side:
    """Raises CommandError."""
    if isinstance(name, str):
        return Side(name, _read_files(Path(name)))
    kept = read_revision(options, name)["sources"]
    return Side(name, tuple(Source(one["path"], one["text"].encode(), one["role"]) for one in kept))


def _read_files(config: Path) -> tuple[Source, ...]:
    """What cannot be read stops the command."""
    from routed.intent.gather import gather  # only where files are asked for

    gathered = gather(config, Path("/"))
    if problems := (*gathered.unread, *gathered.unread_prefixes):
        raise CommandError(str(problems[0]), Exit.FAILED)
    return gathered.sources
