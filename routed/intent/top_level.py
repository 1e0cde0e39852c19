"""Top level: what stands at the top of a file and is no table that the schema knows.

Here must never live what a table holds: that is ``schema``.
"""

from __future__ import annotations

from collections.abc import Iterator

from routed.intent import schema
from routed.intent.complaints import keys_of, unknown_key
from routed.intent.documents import Document
from routed.intent.problems import Fault


def find_top_level_faults(word: str, document: Document) -> Iterator[Fault]:
    """What is wrong with one word at the top of a file that is neither a table of entries nor one of settings."""
    value = document.data[word]
    if word == "version":
        if value != 1 or isinstance(value, bool | float):
            yield Fault((word,), "`version` must be 1")
    elif word in schema.ENTRY_TABLES:
        yield Fault((word,), f"`{word}` must be an array of tables", f"write [[{word}]] with two brackets")
    elif table := _find_table_of(word, document):
        yield Fault((word,), f"`{word}` stands before its table", f"move it below {table}", is_about_key=True)
    else:
        yield unknown_key((word,), schema.File, value)


def _find_table_of(word: str, document: Document) -> str:
    """The header of the first table of a file that has this key; empty where none has."""
    for kind in document.data:
        if kind in schema.ENTRY_TABLES and word in keys_of(schema.ENTRY_TABLES[kind]):
            return f"[[{kind}]]"
        if kind in schema.SETTINGS_TABLES and word in keys_of(schema.SETTINGS_TABLES[kind]):
            return f"[{kind}]"
    return ""
