"""The tables of ``append``: what of a route is no part of its key. Imported where a route has some."""

from __future__ import annotations

from typing import Any, Final

from pydantic import create_model

from routed.intent.schema import Route
from routed.intent.schema_members import MemberTable
from routed.intent.schema_values import Table

KEYS: Final = ("to", "prefixes", "prefixes_file", "family", "from", "table", "metric", "tos")  # of every way there
_OF_THE_WHOLE: Final = {*KEYS, *MemberTable.model_fields, "source", "down_metric", "when_all_down", "append"}

WORDS: Final = tuple(word for word in Route.model_fields if word not in _OF_THE_WHOLE)
_FIELDS: Final[dict[str, Any]] = {
    word: (Route.model_fields[word].annotation, Route.model_fields[word]) for word in WORDS
}
Appended: Final = create_model("Appended", __base__=Table, **_FIELDS)
