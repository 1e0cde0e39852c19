"""Gather: the bytes of all files that make up one configuration.

The only module of this floor that reads the disk. It looks into the files no further than to learn which prefix files
they name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from errno import EINVAL
from os.path import normpath
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import NamedTuple

from routed.intent.documents import Document, parse_document
from routed.intent.dropins import find_drop_ins
from routed.intent.names import find_name_files
from routed.intent.problems import IntentError, KeyPath, Problem
from routed.model.entries import Source


class Gathered(NamedTuple):
    """All files, and which of them could not be read or are no TOML."""

    sources: tuple[Source, ...]
    documents: tuple[Document, ...]
    unread: tuple[Problem, ...]
    invalid: tuple[Problem, ...]
    unread_prefixes: tuple[Problem, ...]


def gather(path: Path, root: Path) -> Gathered:
    """Read the main file, its drop-ins, the prefix files that they name, and the host's name files."""
    sources: list[Source] = []
    unread: list[Problem] = []
    unread_prefixes: list[Problem] = []
    try:
        drop_ins: tuple[Path, ...] = find_drop_ins(path, root)
    except OSError as error:
        drop_ins = ()
        unread.append(Problem(str(error.filename), 0, 0, _reason(error)))
    for file, role in [(path, "main"), *((file, "drop-in") for file in drop_ins)]:
        try:
            # The main file may be a pipe: `routed check /dev/stdin`.
            content = file.read_bytes() if role == "main" else _read_regular(file)
            sources.append(Source(str(file), content, role))
        except (OSError, ValueError) as error:
            unread.append(Problem(str(file), 0, 0, _reason(error)))
    documents, invalid = parse_documents(sources)
    read: set[str] = set()
    for document, key, word in _named_prefix_files(documents):
        file_path = prefix_path(document.source.path, word)
        if file_path in read:
            continue
        try:
            sources.append(Source(file_path, _read_regular(Path(file_path)), "prefixes"))
            read.add(file_path)
        except (OSError, ValueError) as error:
            unread_prefixes.append(document.problem(key, f"`prefixes_file`: {file_path}: {_reason(error)}"))
    for file in find_name_files(root):
        try:
            sources.append(Source(str(file), file.read_bytes(), "names"))
        except OSError as error:
            unread.append(Problem(str(file), 0, 0, _reason(error)))
    return Gathered(tuple(sources), documents, tuple(unread), invalid, tuple(unread_prefixes))


def parse_documents(sources: Iterable[Source]) -> tuple[tuple[Document, ...], tuple[Problem, ...]]:
    """The files that are TOML, parsed, and one problem for each that should be and is not."""
    documents: list[Document] = []
    problems: list[Problem] = []
    for source in sources:
        if source.role in {"main", "drop-in"}:
            try:
                documents.append(parse_document(source))
            except IntentError as error:
                problems += error.problems
    return tuple(documents), tuple(problems)


def prefix_path(document: str, word: str) -> str:
    """The path of a prefix file as an entry of ``document`` names it: a relative one counts from the file's folder."""
    return normpath(Path(document).parent / word)


def _named_prefix_files(documents: Iterable[Document]) -> Iterator[tuple[Document, KeyPath, str]]:
    """The prefix files of the entries that count; what the schema will refuse is passed over in silence."""
    chosen: dict[object, tuple[Document, KeyPath, str] | None] = {}
    for document in documents:
        routes = document.data.get("route")
        for index, route in enumerate(routes if isinstance(routes, list) else ()):
            if not isinstance(route, dict):
                continue
            name, word = route.get("name"), route.get("prefixes_file")
            key = name if isinstance(name, str) else (document.source.path, index)
            counts = isinstance(word, str) and word and route.get("disabled") is not True
            chosen[key] = (document, ("route", index, "prefixes_file"), str(word)) if counts else None
    return (choice for choice in chosen.values() if choice)


def _read_regular(path: Path) -> bytes:
    """The content. Raises OSError, also for a pipe or a device, which might never end; a folder has its own words."""
    mode = path.stat().st_mode
    if not S_ISREG(mode) and not S_ISDIR(mode):
        raise OSError(EINVAL, "is not a regular file", str(path))
    return path.read_bytes()


def _reason(error: OSError | ValueError) -> str:
    """The system's own words, as a person reads them."""
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
