"""Handover: values as bytes for another process, or for a file, and back, without loss.

A value is written as JSON, and what is bytes in it either beside it, raw, or in it, in hex. Here lives the form; which
types may stand in it says whoever makes a ``ValueCodec``. Here must never live pickle or anything else that calls what
the bytes name: only the types of the table are made.

    NamedTuple, dataclass    {"Hop": {"dev": 7}}      a field that is as its default says is left out
    enumeration              {"When": "always"}
    tuple                    [1, 2]
    frozenset, dict          {"set": [1, 2]}          {"dict": [[key, value]]}
    bytes                    {"bytes": 5}             so many of those beside come next
                             {"hex": "0a00000008"}    where there is nothing beside
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from routed.model.prefixes import PrefixSet

VERSION: Final = 1  # of the form above


_PLAIN: Final = frozenset({bool, int, float, str})  # what JSON gives back as it was


class HandoverError(ValueError):
    """These bytes are no values of these types, or this value is of no type that may be handed over."""


class _Shape(NamedTuple):
    """How a type is taken apart and put together."""

    name: str
    defaults: Mapping[str, Any]  # by field; MISSING where there is none
    make: Callable[..., Any]
    is_enum: bool


class ValueCodec:
    """Writes and reads values of these types, of tuples, sets and dictionaries of them, and of what JSON has itself."""

    def __init__(self, types: Iterable[type[Any]]) -> None:
        self._shapes: Final = {one: _shape_of(one) for one in types}
        self._by_name: Final = {shape.name: shape for shape in self._shapes.values()}

    def encode(self, value: Any, beside: list[bytes] | None = None) -> Any:
        """The value for ``json.dumps``; its bytes are appended to ``beside`` if there is one. Raises HandoverError."""
        if value is None or type(value) in _PLAIN:
            return value
        if isinstance(value, bytes):
            if beside is None:
                return {"hex": value.hex()}
            beside.append(value)
            return {"bytes": len(value)}
        if (shape := self._shapes.get(type(value))) is not None:
            if shape.is_enum:
                return {shape.name: value.value}
            given = ((name, getattr(value, name), default) for name, default in shape.defaults.items())
            return {shape.name: {name: self.encode(one, beside) for name, one, default in given if one != default}}
        if type(value) is tuple:
            return [self.encode(one, beside) for one in value]
        if isinstance(value, frozenset):
            return {"set": [self.encode(one, beside) for one in value]}
        if isinstance(value, dict):
            return {"dict": [[self.encode(key, beside), self.encode(one, beside)] for key, one in value.items()]}
        raise HandoverError(f"a {type(value).__name__} cannot be handed over")

    def decode(self, value: Any, beside: bytes = b"") -> Any:
        """The inverse of ``encode``, of what ``json.loads`` gave. Raises HandoverError."""
        reader = _ValueReader(self._by_name, beside)
        try:
            decoded = reader.read(value)
        except HandoverError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise HandoverError(f"this is no value: {type(error).__name__}: {error}") from None
        if reader.at != len(beside):
            raise HandoverError(f"{len(beside) - reader.at} bytes are left over")
        return decoded

    def dump(self, value: Any) -> tuple[bytes, bytes]:
        """A value as two runs of bytes: the JSON, and what stands beside it. Raises HandoverError."""
        beside: list[bytes] = []
        text = json.dumps(self.encode(value, beside), separators=(",", ":")).encode()
        return text, beside[0] if len(beside) == 1 else b"".join(beside)

    def load(self, text: bytes, beside: bytes) -> Any:
        """The inverse of ``dump``. Raises HandoverError."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise HandoverError(f"this is no JSON: {error}") from None
        return self.decode(value, beside)


@lru_cache(maxsize=4)
def make_codec(types: tuple[type[Any], ...]) -> ValueCodec:
    """The codec of these types, made once: for who takes them from a table at each use."""
    return ValueCodec(types)


class _ValueReader:
    """One value on the way in."""

    def __init__(self, shapes: Mapping[str, _Shape], beside: bytes) -> None:
        self.shapes = shapes
        self.beside = beside
        self.at = 0

    def read(self, value: Any) -> Any:
        if isinstance(value, list):
            return tuple([self.read(one) for one in value])
        if not isinstance(value, dict):
            return value
        [(name, content)] = value.items()
        if name == "bytes":
            return self._take(content)
        if (shape := self.shapes.get(name)) is not None:
            if shape.is_enum:
                return shape.make(content)
            return shape.make(**{field: self.read(one) for field, one in content.items()})
        if name == "hex":
            return bytes.fromhex(content)
        if name == "set":
            return frozenset([self.read(one) for one in content])
        if name == "dict":
            return {self.read(key): self.read(one) for key, one in content}
        raise HandoverError(f"there is no type {name}")

    def _take(self, length: int) -> bytes:
        start, self.at = self.at, self.at + length
        if length < 0 or self.at > len(self.beside):
            raise HandoverError("bytes are missing")
        return self.beside[start : self.at]


def _shape_of(one: type[Any]) -> _Shape:
    defaults: dict[str, Any]
    if issubclass(one, PrefixSet):
        defaults = {"ordered": MISSING, "width": MISSING}
    elif is_dataclass(one):
        defaults = {
            field.name: field.default if field.default_factory is MISSING else field.default_factory()
            for field in fields(one)
        }
    elif issubclass(one, Enum):
        defaults = {}
    else:
        defaults = {name: one._field_defaults.get(name, MISSING) for name in one._fields}
    return _Shape(one.__name__, defaults, one, issubclass(one, Enum))
