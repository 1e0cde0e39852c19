"""Gather: the bytes of all files that make up one configuration.

It looks into the files no further than to learn which lists they name. How one file is read stands in ``disk``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from os.path import normpath
from pathlib import Path
from typing import Final, NamedTuple

from routed.intent.disk import Read, read_for_command
from routed.intent.documents import Document, parse_document
from routed.intent.dropins import find_drop_ins
from routed.intent.names import find_name_files
from routed.intent.problems import IntentError, KeyPath, Problem, attempt
from routed.model.entries import Source

# The tables that may name a file with a list: by which key, and the role of such a file.
LIST_KEYS: Final = {"route": ("prefixes_file", "prefixes"), "service": ("servers_file", "servers")}


class Gathered(NamedTuple):
    """All files, and which of them could not be read or are no TOML."""

    sources: tuple[Source, ...]
    documents: tuple[Document, ...]
    unread: tuple[Problem, ...]
    invalid: tuple[Problem, ...]
    unread_prefixes: tuple[Problem, ...]


def gather(path: Path, root: Path, read: Read = read_for_command) -> Gathered:
    """Read the main file, its drop-ins, the lists that they name, and the host's name files. Never raises."""
    sources: list[Source] = []
    documents: list[Document] = []
    unread: list[Problem] = []
    invalid: list[Problem] = []
    unread_prefixes: list[Problem] = []
    drop_ins = _find(lambda: find_drop_ins(path, root), unread)
    for file, role in [(path, "main"), *((file, "drop-in") for file in drop_ins)]:
        try:
            source = Source(str(file), read(file, role), role)
        except (OSError, ValueError) as error:
            unread.append(Problem(str(file), 0, 0, _reason(error)))
            continue
        sources.append(source)
        _parse(source, documents, invalid)
    gathered: set[tuple[str, str]] = set()
    for document, key, word, role in _named_lists(documents):
        file_path = prefix_path(document.source.path, word)
        if (file_path, role) in gathered:
            continue
        try:
            sources.append(Source(file_path, read(Path(file_path), role), role))
            gathered.add((file_path, role))
        except (OSError, ValueError) as error:
            unread_prefixes.append(document.problem(key, f"`{key[-1]}`: {file_path}: {_reason(error)}"))
    for file in _find(lambda: find_name_files(root), unread):
        try:
            sources.append(Source(str(file), read(file, "names"), "names"))
        except OSError as error:
            unread.append(Problem(str(file), 0, 0, _reason(error)))
    return Gathered(tuple(sources), tuple(documents), tuple(unread), tuple(invalid), tuple(unread_prefixes))


def parse_documents(sources: Iterable[Source]) -> tuple[tuple[Document, ...], tuple[Problem, ...]]:
    """The files that are TOML, parsed, and one problem for each that should be and is not."""
    documents: list[Document] = []
    problems: list[Problem] = []
    for source in sources:
        if source.role in {"main", "drop-in"}:
            _parse(source, documents, problems)
    return tuple(documents), tuple(problems)


def _parse(source: Source, documents: list[Document], problems: list[Problem]) -> None:
    try:
        document = attempt(
            partial(parse_document, source), lambda sentence: problems.append(Problem(source.path, 0, 0, sentence))
        )
    except IntentError as error:
        problems += error.problems
    else:
        documents += [document] if document else []


def _find(look: Callable[[], Iterable[Path]], unread: list[Problem]) -> tuple[Path, ...]:
    """The files of a kind; a folder that cannot be looked into is a problem."""
    try:
        return tuple(look())
    except OSError as error:
        unread.append(Problem(str(error.filename), 0, 0, _reason(error)))
    return ()


def prefix_path(document: str, word: str) -> str:
    """The path of a list as an entry of ``document`` names it: a relative one counts from the file's folder."""
    return normpath(Path(document).parent / word)


def _named_lists(documents: Iterable[Document]) -> Iterator[tuple[Document, KeyPath, str, str]]:
    """The lists of the entries that count, with their roles; what the schema will refuse is passed over in silence."""
    chosen: dict[object, tuple[Document, KeyPath, str, str] | None] = {}
    for document in documents:
        for kind, (key, role) in LIST_KEYS.items():
            tables = document.data.get(kind)
            for index, table in enumerate(tables if isinstance(tables, list) else ()):
                if not isinstance(table, dict):
                    continue
                name, word = table.get("name"), table.get(key)
                entry = (kind, name) if isinstance(name, str) else (kind, document.source.path, index)
                counts = isinstance(word, str) and word and table.get("disabled") is not True
                chosen[entry] = (document, (kind, index, key), str(word), role) if counts else None
    return (choice for choice in chosen.values() if choice)


def _reason(error: OSError | ValueError) -> str:
    """The system's own words, as a person reads them."""
    words = error.strerror if isinstance(error, OSError) else None
    return words[0].lower() + words[1:] if words else str(error)
