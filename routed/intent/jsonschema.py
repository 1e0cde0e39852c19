"""JSON Schema: the form of the file, for editors.

Here lives the way from the pydantic models to a schema that the engines of editors (taplo, tombi) understand: draft-07,
no ``null`` (TOML has none), and constants as enumerations of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from routed.intent.schema import ENTRY_TABLES, File
from routed.intent.schema_members import TEMPLATE
from routed.intent.schema_values import Table
from routed.model.members import FILLED

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
TITLE: Final = "routed.toml"


def build_schema() -> dict[str, Any]:
    """The schema of the file as a JSON document."""
    converted = _convert(File.model_json_schema(by_alias=True))
    assert isinstance(converted, dict)
    for kind, keys in FILLED.items():
        properties = converted["definitions"][ENTRY_TABLES[kind].__name__]["properties"]
        for key in keys:
            properties[key]["pattern"] += f"|{TEMPLATE}"
    for table in list_tables(Table):
        if table.NEEDS and table.__name__ in converted["definitions"]:
            _require(converted["definitions"][table.__name__], table)
    return {"$schema": DIALECT, **converted, "title": TITLE}


def render_schema() -> str:
    """The schema as text, as ``routed schema`` prints it."""
    return json.dumps(build_schema(), indent=2) + "\n"


def list_tables(table: type[Table]) -> Iterator[type[Table]]:
    """All kinds of tables below one."""
    for one in table.__subclasses__():
        yield one
        yield from list_tables(one)


def _require(node: dict[str, Any], table: type[Table]) -> None:
    """Say which keys a table needs, and that one which is taken away needs none."""
    alone = [row[0] for row in table.NEEDS if len(row) == 1]
    choices = [{"anyOf": [_open(required=[key]) for key in row]} for row in table.NEEDS if len(row) > 1]
    needs = ({"required": alone} if alone else {}) | ({"allOf": choices} if choices else {})
    if table in ENTRY_TABLES.values():
        node["if"] = _open(properties={"disabled": {"enum": [True]}}, required=["disabled"])
        node["else"] = _open(**needs)
    else:
        node |= needs


def _open(**words: Any) -> dict[str, Any]:
    """A condition. tombi takes one without this for a table that has no other keys."""
    return {**words, "additionalProperties": True}


def _convert(node: Any, *, is_map_of_schemas: bool = False) -> Any:
    """One node without what draft-07 or TOML do not have."""
    if isinstance(node, list):
        return [_convert(item) for item in node]
    if not isinstance(node, dict):
        return node.replace("#/$defs/", "#/definitions/") if isinstance(node, str) else node
    if is_map_of_schemas:
        return {key: _convert(value) for key, value in node.items()}
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key == "anyOf":
            result |= _without_null([_convert(item) for item in value])
        elif key == "const":
            result["enum"] = [value]
        elif key == "$ref":
            # Beside $ref draft-07 ignores everything, so the description would be lost.
            result["allOf"] = [{"$ref": _convert(value)}]
        elif key not in {"title", "default"}:
            name = "definitions" if key == "$defs" else key
            result[name] = _convert(value, is_map_of_schemas=key in {"$defs", "properties"})
    return result


def _without_null(choices: list[Any]) -> dict[str, Any]:
    kept = [choice for choice in choices if choice != {"type": "null"}]
    return dict(kept[0]) if len(kept) == 1 else {"anyOf": kept}
