"""What is wrong with files on this host alone, as problems: for ``check`` and ``plan``, before the files are in force.

Here must never live what is wrong with files anywhere (``intent``), or a decision about the kernel.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from routed.audit.reasons import describe_reason
from routed.intent.documents import Document
from routed.intent.gather import parse_documents
from routed.intent.problems import KeyPath, Problem
from routed.model.entries import Entry, Intent
from routed.model.net import format_address
from routed.model.reasons import (
    Ambiguous,
    LinkTaken,
    NoInterface,
    NoLink,
    NoRoutes,
    OffNetwork,
    Reason,
    TooOld,
    Unusable,
)
from routed.model.suggest import suggest


def find_problems(options: Namespace, intent: Intent) -> tuple[Problem, ...]:
    """What can never come true here, in the order of the files. Raises StateError and OSError."""
    from routed.daemon.strict import judge  # only who is strict waits for it

    verdicts = judge(intent, Path(options.state_dir))
    documents, _ = parse_documents(intent.sources)
    ranks = {document.source.path: rank for rank, document in enumerate(documents)}
    by_path = {document.source.path: document for document in documents}
    found = sorted(verdicts.found, key=lambda one: (ranks.get(one[0].origin.file, 0), one[0].origin.line))
    return tuple(_describe(entry, reason, by_path.get(entry.origin.file), verdicts.links) for entry, reason in found)


# How what is missing is written in the table of its entry.
WRITTEN: Final[Mapping[type[Reason], Callable[[Any], set[object]]]] = {
    NoLink: lambda it: {it.link, f"@{it.selector}"},
    LinkTaken: lambda it: {it.link},
    NoInterface: lambda it: {f"@{it.selector}"},
    Ambiguous: lambda it: {f"@{it.selector}"},
    OffNetwork: lambda it: {format_address(it.gateway)},
    Unusable: lambda it: {format_address(it.address)},
    NoRoutes: lambda it: {it.table},
    TooOld: lambda _: set(),
}


def _describe(entry: Entry, reason: Reason, document: Document | None, links: tuple[str, ...]) -> Problem:
    message = f"{entry.name}: {describe_reason(reason)}"
    if document is None:
        return Problem(entry.origin.file, entry.origin.line, 1, message)
    close = suggest(reason.link, links) if isinstance(reason, NoLink) else ""
    path = _find_place(document, entry.origin.line, WRITTEN.get(type(reason), lambda _: set())(reason))
    return document.problem(path, message, f'did you mean "{close}"?' if close else "")


def _find_place(document: Document, line: int, written: set[object]) -> KeyPath:
    """Where a table that begins at this line has one of these values; otherwise the table itself."""
    tables = [
        (kind, number) for kind, each in document.data.items() if isinstance(each, list) for number in range(len(each))
    ]
    table = next((path for path in tables if document.places.find(path)[0] == line), None)
    if table is None:
        return ()
    kind, number = table
    return next(_find_values((kind, number), document.data[kind][number], written), (kind, number))


def _find_values(path: KeyPath, value: object, written: set[object]) -> Iterator[KeyPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if isinstance(inner, str | int) and inner in written:
            yield (*path, key)
        yield from _find_values((*path, key), inner, written)
