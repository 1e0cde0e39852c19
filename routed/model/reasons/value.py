"""What a reason is: a value without words.

Here belongs what all groups of reasons share, and never a reason of one group.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from operator import itemgetter
from typing import Any, ClassVar, Self, TypeAlias, dataclass_transform


class Plain(Enum):
    """Reasons with nothing to say beside them."""

    __hash__ = object.__hash__  # each is one object; Enum's own would hash its name anew each time


@dataclass_transform(frozen_default=True)
class Detailed(tuple[Any, ...]):
    """A reason with data: its annotations are the fields, as those of a dataclass.

    It is a tuple that begins with its own type. So it equals none of another type, which a NamedTuple with the same
    fields would, and compares and hashes at C speed; and a class of it is made in a fiftieth of the time that a
    dataclass takes, of which a start would notice fifty.
    """

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        cls._defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
        for place, name in enumerate(cls._fields, 1):
            setattr(cls, name, property(itemgetter(place)))

    def __new__(cls, *given: Any, **named: Any) -> Self:
        """One with these fields, in their order or by their names."""
        rest = cls._fields[len(given) :]
        if rest or named:
            values = cls._defaults | named
            given += tuple([values[name] for name in rest])
        return tuple.__new__(cls, (cls, *given))

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self[1:]  # for a copy: what ``__new__`` takes

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self[1:], strict=True))
        return f"{type(self).__name__}({told})"


class Several(Detailed):
    """Several reasons at once."""

    reasons: tuple[Reason, ...]


Reason: TypeAlias = Plain | Detailed


def split_reasons(reason: Reason) -> tuple[Reason, ...]:
    """The single reasons of which this is made."""
    return reason.reasons if isinstance(reason, Several) else (reason,)


def join_reasons(reasons: Iterable[Reason]) -> Reason | None:
    """These as one: None where there is none, and each once."""
    each = tuple(dict.fromkeys(reasons))
    return Several(each) if len(each) > 1 else next(iter(each), None)
