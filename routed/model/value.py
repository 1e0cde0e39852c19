"""Values of a common ancestry: what dataclasses are elsewhere, made without generating and compiling code.

A value without a parent is a NamedTuple. Those that share a head, as entries do, are each a Value: frozen, slotted,
made by keywords, equal when their class and fields are. A dataclass of that sort is generated and compiled at every
start, for which every short command would wait. Nothing that is made in great numbers belongs here: making one takes a
loop in Python.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, Self, dataclass_transform


@dataclass_transform(kw_only_default=True, frozen_default=True)
class _Slotted(type):
    """Makes slots of the annotations of a class, and takes their defaults aside."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _Slotted:
        own = tuple(body.get("__annotations__", ())) if bases else ()
        defaults = {field: body.pop(field) for field in own if field in body}
        made = super().__new__(cls, name, bases, body | {"__slots__": own})
        for base in bases:
            own, defaults = (*base.FIELDS, *own), base.DEFAULTS | defaults  # type: ignore[attr-defined]
        made.FIELDS, made.DEFAULTS = own, defaults  # type: ignore[attr-defined]
        return made


class Value(metaclass=_Slotted):
    """The ancestor of all. Its fields are the annotations of its class and of those above it."""

    FIELDS: ClassVar[tuple[str, ...]]
    DEFAULTS: ClassVar[dict[str, Any]]

    def __init__(self, **given: Any) -> None:
        """Raises TypeError for a field that is missing, and for one that does not exist."""
        values = self.DEFAULTS | given
        if values.keys() != set(self.FIELDS):
            wrong = sorted(values.keys() ^ set(self.FIELDS))
            raise TypeError(f"{type(self).__name__}: missing or unknown: {', '.join(wrong)}")
        for field, value in values.items():
            object.__setattr__(self, field, value)

    def _replace(self, **changes: Any) -> Self:
        """The same with other values in some fields, as a NamedTuple has it."""
        return type(self)(**{field: getattr(self, field) for field in self.FIELDS} | changes)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: it is a value")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        pairs = zip(self.FIELDS, self._values(), strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, field) for field in self.FIELDS])
