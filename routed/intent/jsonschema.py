"""JSON Schema: the form of the file, for editors.

Here lives the way from the pydantic models to a schema that the engines of editors (taplo, tombi) understand: draft-07,
no ``null`` (TOML has none), and constants as enumerations of one.
"""

from __future__ import annotations

import json
from typing import Any, Final

from routed.intent.schema import ENTRY_TABLES, File
from routed.intent.schema_members import TEMPLATE
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
    return {"$schema": DIALECT, **converted, "title": TITLE}


def render_schema() -> str:
    """The schema as text, as ``routed schema`` prints it."""
    return json.dumps(build_schema(), indent=2) + "\n"


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
