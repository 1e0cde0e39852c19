"""Complaints: pydantic's errors in our words.

Here lives the translation from an error type to a sentence with a hint. Which values are right stands in ``schema``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from routed.intent.problems import Fault, KeyPath
from routed.intent.schema_values import TableLater
from routed.intent.words import one_of
from routed.model.suggest import suggest

_SENTENCES: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "string_type": lambda _: "must be a string",
    "int_type": lambda _: "must be a whole number",
    "bool_type": lambda _: "must be true or false",
    "list_type": lambda _: "must be an array: [ … ]",
    "model_type": lambda _: "must be a table",
    "literal_error": lambda error: f"must be {one_of(_list_expected(error))}",
    "string_too_short": lambda _: "must not be empty",
    "too_short": lambda _: "must not be empty",
    "too_long": lambda error: f"must have {error['ctx']['max_length']} items or less",
    "greater_than_equal": lambda error: f"must be {error['ctx']['ge']} or more",
    "less_than_equal": lambda error: f"must be {error['ctx']['le']} or less",
    "value_error": lambda error: str(error["ctx"]["error"]),
}

_Model = TypeVar("_Model", bound=BaseModel)


def validate(model: type[_Model], data: Any) -> _Model | tuple[Fault, ...]:
    """The table as the schema sees it, or everything that is wrong with it."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        return tuple(_faults(model, error))


def _faults(model: type[BaseModel], error: ValidationError) -> Iterator[Fault]:
    for item in error.errors(include_url=False):
        details: dict[str, Any] = dict(item)
        path: KeyPath = item["loc"]
        if item["type"] == "extra_forbidden":
            yield unknown_key(path, find_inner(model, path[:-1]), item["input"])
            continue
        sentence = _SENTENCES.get(item["type"])
        colon = ":" if item["type"] == "value_error" else ""
        message = f"`{spell(path)}`{colon} {sentence(details) if sentence else item['msg']}"
        yield Fault(path, message, _find_hint(model, path, details))


def _find_hint(model: type[BaseModel], path: KeyPath, error: dict[str, Any]) -> str:
    """What to write instead: what is known of this key comes before what is known of its value alone."""
    from routed.intent.hints import find_hint  # noqa: PLC0415  only who is wrong waits for it

    key = next((word for word in reversed(path) if isinstance(word, str)), "")
    place = f"{find_inner(model, path[: path.index(key)]).__name__}.{key}" if key else ""
    if hint := find_hint(error["input"], {key, place, error["type"]}):
        return hint
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        close = suggest(error["input"], _list_expected(error))
        return f'did you mean "{close}"?' if close else ""
    return str(getattr(error.get("ctx", {}).get("error"), "hint", ""))


def unknown_key(path: KeyPath, model: type[BaseModel], value: object) -> Fault:
    """A key that the table does not have, with the one that was meant."""
    from routed.intent.hints import find_hint_for_key  # noqa: PLC0415  only who is wrong waits for it

    key = str(path[-1])
    return Fault(
        path, f"unknown key `{key}`", find_hint_for_key(key, value, keys_of(model), model.__name__), is_about_key=True
    )


def find_inner(model: type[BaseModel], path: KeyPath) -> type[BaseModel]:
    """The table that stands at ``path`` within a table, by what the schema says of each key on the way."""
    for word in path:
        if isinstance(word, str):  # a number only counts the elements of what the word before it names
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            model = next(_models_in(fields[word].annotation))
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The tables that an annotation such as ``list[Hop] | None`` speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif isinstance(annotation, TableLater):
        yield annotation.load()
    for part in get_args(annotation):
        yield from _models_in(part)


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a table as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]


def spell(path: KeyPath) -> str:
    """A path as a person writes it: ``hops[1].via``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _list_expected(error: dict[str, Any]) -> list[str]:
    return [word.strip("'") for word in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
