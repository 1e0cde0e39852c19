"""Writing: statements as the text of a file that ``routed check`` takes.

The text is read back before it is given out. What the file does not take comes out of it, and is a leftover with the
complaint as its reason. Here must never live: a word of a format of others.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import tomli_w

from routed.intent.exporting import UnspeakableError
from routed.intent.importing.joining import join_routes
from routed.intent.importing.statements import Leftover, Statement
from routed.intent.load import load_sources
from routed.intent.problems import IntentError, Problem
from routed.model.entries import Source

PLACE: Final = "/etc/routed.toml"  # as complaints of the text have it; nobody sees it
HEAD: Final = "version = 1\n"
SETTINGS: Final = ("daemon", "ipvs")  # written with one bracket, all statements of one in one table
TABLES: Final = (
    *SETTINGS,
    "interface",
    "table",
    "tunnel",
    "address",
    "vip",
    "neighbour",
    "nexthop",
    "route",
    "rule",
    "service",
)  # in the order of the file
# The words after which a table is called; what stands in none of them does not tell it from others. A tunnel is called
# after its interface by itself.
CALLED_AFTER: Final[Mapping[str, Sequence[str]]] = {
    "address": ("dev", "address"),
    "vip": ("dev", "address"),
    "route": ("type", "to", "prefixes", "family", "table"),
    "rule": ("priority", "family", "from", "to", "fwmark", "iif", "oif", "table", "goto", "type"),
    "service": ("listen", "fwmark", "family"),
}
LONGEST_NAME: Final = 60
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._]+")


class Written(NamedTuple):
    """The text of a file, and what it does not take."""

    text: str
    leftovers: tuple[Leftover, ...]


class _Chunk(NamedTuple):
    statement: Statement
    text: str


def write(statements: Iterable[Statement], names: Sequence[Source] = ()) -> Written:
    """The file of these statements; ``names`` are the name files of the host by which it is read."""
    leftovers: list[Leftover] = []
    chunks: list[_Chunk] = []
    ordered = join_routes(sorted(statements, key=lambda one: TABLES.index(one.table)))
    for statement in _name_all(_join_settings(ordered)):
        try:
            chunks.append(_Chunk(statement, _render_statement(statement)))
        except UnspeakableError as error:
            leftovers.append(_leave(statement, str(error)))
    while True:
        text = HEAD + "".join(chunk.text for chunk in chunks)
        refused = _find_refused(text, chunks, names, leftovers)
        if not refused:
            return Written(text, tuple(leftovers))
        leftovers += (
            _leave(chunks[at].statement, f"the file does not take it: {said}") for at, said in refused.items()
        )
        chunks = [chunk for at, chunk in enumerate(chunks) if at not in refused]


def _leave(statement: Statement, reason: str) -> Leftover:
    return Leftover(statement.called or statement.origin, reason)


def _find_refused(
    text: str, chunks: Sequence[_Chunk], names: Sequence[Source], leftovers: list[Leftover]
) -> dict[int, str]:
    """The chunks that are complained of, each with the first complaint."""
    try:
        load_sources((Source(PLACE, text.encode(), "main"), *names))
    except IntentError as error:
        starts = [1 + HEAD.count("\n")]
        for chunk in chunks:
            starts.append(starts[-1] + chunk.text.count("\n"))
        refused: dict[int, str] = {}
        for problem in error.problems:
            if problem.line >= starts[0]:
                refused.setdefault(bisect_right(starts, problem.line) - 1, _say(problem))
        if not refused:  # it is about no one table, so nothing can be taken out
            leftovers += (Leftover("the file as a whole", _say(problem)) for problem in error.problems)
        return refused
    return {}


def _say(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message


def _join_settings(statements: Iterable[Statement]) -> list[Statement]:
    """The same, but those of one table with one bracket are one, and each key of it is a key of one of its keys."""
    joined: dict[str, dict[str, Any]] = {}
    others: list[Statement] = []
    for statement in statements:
        if statement.table not in SETTINGS:
            others.append(statement)
            continue
        table = joined.setdefault(statement.table, {})
        table |= {key: table[key] | part if key in table else part for key, part in statement.words.items()}
    return [*(Statement(word, table) for word, table in joined.items()), *others]


def _name_all(statements: Iterable[Statement]) -> list[Statement]:
    """Each with a name that a person reads; names that would be alike get a number."""
    taken: Counter[tuple[str, str]] = Counter()
    named: list[Statement] = []
    for statement in statements:
        name = _call(statement)
        if not name or "name" in statement.words:
            named.append(statement)
            continue
        taken[statement.table, name] += 1
        while (count := taken[statement.table, name]) > 1:
            name = f"{name}-{count}"
            taken[statement.table, name] += 1
        named.append(statement._replace(words={"name": name, **statement.words}))
    return named


def _call(statement: Statement) -> str:
    words = statement.words
    parts = [str(words[word]) for word in CALLED_AFTER.get(statement.table, ()) if _is_told(words.get(word))]
    if "prefixes" in words and statement.table == "route":
        after = words.get("via") or words.get("dev")
        parts = [str(one) for one in (words.get("type"), f"{len(words['prefixes'])}-prefixes", after) if one]
    return _NO_NAME.sub("-", "-".join(parts)).strip("-")[:LONGEST_NAME].rstrip("-")


def _is_told(item: object) -> bool:
    return not _is_absent(item) and not isinstance(item, (list, dict))


def _render_statement(statement: Statement) -> str:
    if statement.table in SETTINGS:
        return f"\n[{statement.table}]\n{render(statement.words)}"
    comments = "".join(f"# {_one_line(line)}\n" for line in (statement.origin, *statement.notes) if line)
    return f"\n{comments}[[{statement.table}]]\n{render(statement.words)}"


def _one_line(text: str) -> str:
    """What a comment may hold, whatever somebody called an interface."""
    return "".join(character if character.isprintable() else "?" for character in text)


def render(table: Mapping[str, Any]) -> str:
    """The lines of one table, always in one form; tomli_w would choose between brackets and braces by length.

    Raises UnspeakableError for a text that is no UTF-8.
    """
    lines = []
    for key, value in table.items():
        if _is_absent(value):
            continue
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            lines.append(f"{key} = [\n" + "".join(f"    {_render_inline(item)},\n" for item in value) + "]\n")
        elif isinstance(value, dict):
            lines.append(f"{key} = {_render_inline(value)}\n")
        else:
            lines.append(tomli_w.dumps({key: value}))
    text = "".join(lines)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UnspeakableError("it bears the name of an interface that is no UTF-8, which the file cannot hold")
    return text


def _render_inline(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_render_key(word)} = {_render_inline(item)}" for word, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_render_inline, value)) + "]"
    return tomli_w.dumps({"_": value}).removeprefix("_ = ").strip()


def _render_key(word: str) -> str:
    return tomli_w.dumps({word: 0}).removesuffix(" = 0\n")


def _is_absent(item: object) -> bool:
    """Whether this is the absence of a word; 0 is a word."""
    return item is None or item is False or item in ("", b"")
