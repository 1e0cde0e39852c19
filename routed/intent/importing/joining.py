"""Joining: routes of one key as one table, with what stands behind it in ``append``.

Only IPv4 has such an order, and only those are joined that are told as single routes; others stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from routed.intent.importing.statements import Joins, Statement

_KEYS: Final = ("to", "table", "metric", "tos", "family")
_OF_THE_WHOLE: Final = frozenset({*_KEYS, "name", "on_conflict", "enforce", "disabled"})


def join_routes(statements: Iterable[Statement]) -> list[Statement]:
    """The same, with those joined that have the key of an earlier one. What is told twice stays twice."""
    joined: list[Statement] = []
    places: dict[tuple[str, ...], int] = {}
    for statement in statements:
        key = _find_key(statement)
        at = None if key is None else places.setdefault(key, len(joined))
        if at is None or at == len(joined) or not _may_join(joined[at], statement):
            joined.append(statement)
        else:
            joined[at] = _join(joined[at], statement)
    return joined


def _find_key(statement: Statement) -> tuple[str, ...] | None:
    words = statement.words
    is_single = statement.table == "route" and "to" in words and "append" not in words
    if not is_single or ":" in str(words["to"]) or words.get("family") in {"ipv6", "both"}:
        return None
    if words["to"] == "default" and "family" not in words and ":" in f"{words.get('via')}{words.get('src')}":
        return None
    return tuple(str(words.get(word, "")) for word in _KEYS if word != "family")


def _may_join(first: Statement, other: Statement) -> bool:
    ways = [_list_way(first.words), *first.words.get("append", ())]
    return other.joins is not Joins.NEVER and _list_way(other.words) not in ways


def _list_way(words: Mapping[str, Any]) -> dict[str, Any]:
    return {word: item for word, item in words.items() if word not in _OF_THE_WHOLE and word != "append"}


def _join(first: Statement, other: Statement) -> Statement:
    whole = {word: item for word, item in first.words.items() if word in _OF_THE_WHOLE}
    ways = [_list_way(first.words), *first.words.get("append", ())]
    ways = [_list_way(other.words), *ways] if other.joins is Joins.PREPEND else [*ways, _list_way(other.words)]
    notes = (*first.notes, *(one for one in (other.origin, *other.notes) if one))
    return first._replace(words={**whole, **ways[0], "append": ways[1:]}, notes=notes)
