"""``routed diff``: how the files of two revisions differ, or those of one and the files on disk."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import cast

from routed.audit.printable import make_printable
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.terminal import GREEN, RED, complain, paint, say, say_json, wants_color
from routed.model.documents import RevisionsDocument, SourcesDocument


def run(options: Namespace) -> Exit:
    """Compare, and print a unified diff. Revisions come from the daemon, the files are read with our own rights."""
    try:
        number = options.before if options.before is not None else _find_in_force(options)
        before = _fetch(options, number)
        after = _fetch(options, options.after) if options.after is not None else read_files(options)
    except ClientError as error:
        complain(str(error))
        return error.code
    to = f"revision {options.after}" if options.after is not None else "on disk"
    lines = list(compare(before, after, f"revision {number}", to))
    if options.json:
        say_json({"schema": "routed.diff/1", "before": number, "after": options.after, "lines": lines})
    elif not options.quiet:
        is_colored = wants_color(options, sys.stdout)
        for line in lines:
            say(paint(make_printable(line), {"+": GREEN, "-": RED}.get(line[:1], ""), is_colored=is_colored))
    return Exit.DONE


def compare(before: Mapping[str, str], after: Mapping[str, str], of: str, to: str) -> Iterator[str]:
    """The lines of a unified diff over all files by their path; a file that one side lacks is empty there."""
    for path in dict.fromkeys((*before, *after)):
        old, new = before.get(path, "").splitlines(), after.get(path, "").splitlines()
        yield from unified_diff(old, new, f"{path} ({of})", f"{path} ({to})", lineterm="")


def read_files(options: Namespace) -> dict[str, str]:
    """The text of every file on disk, by its path. What cannot be read stops the command."""
    from routed.intent.gather import gather  # only where the files are asked for

    gathered = gather(Path(options.config), Path("/"))
    if problems := (*gathered.unread, *gathered.unread_prefixes):
        raise ClientError(str(problems[0]), Exit.FAILED)
    return {
        source.path: source.content.decode(errors="backslashreplace")
        for source in gathered.sources
        if source.role != "names"
    }


def _find_in_force(options: Namespace) -> int:
    document = cast(RevisionsDocument, call(options.runtime_dir, "ListRevisions"))
    number = next((one["revision"] for one in document["revisions"] if one["in_force"]), None)
    if number is None:
        raise ClientError("what is in force is not kept on disk, so it cannot be compared", Exit.FAILED)
    return number


def _fetch(options: Namespace, number: int) -> dict[str, str]:
    document = cast(SourcesDocument, call(options.runtime_dir, "GetRevision", {"revision": number}))
    return {source["path"]: source["text"] for source in document["sources"]}
