"""What the tests of the intent share: a file in memory, and its first route, rule or complaint."""

from __future__ import annotations

from routed.intent.load import load_sources
from routed.intent.problems import IntentError, Problem
from routed.model.entries import Entry, Intent, Source

HEAD = "version = 1\n"


def source(text: str, path: str = "/etc/routed.toml", role: str = "main") -> Source:
    return Source(path, text.encode(), role)


def drop_in(text: str, name: str = "50-more.toml") -> Source:
    return source(text, f"/etc/routed.toml.d/{name}", "drop-in")


def read(text: str, *more: Source) -> Intent:
    return load_sources((source(HEAD + text), *more))


def entry(text: str, *more: Source) -> Entry:
    (only,) = read(text, *more).entries
    return only


def problems(text: str, *more: Source) -> tuple[Problem, ...]:
    try:
        read(text, *more)
    except IntentError as error:
        return error.problems
    return ()


def complaint(text: str, *more: Source) -> str:
    """The message and hint of the only problem; empty where there is none."""
    found = problems(text, *more)
    assert len(found) <= 1, "\n".join(map(str, found))
    return " / ".join(part for problem in found for part in (problem.message, problem.hint) if part)
