"""What the kinds share: what a judge and a cure are, and the operations that cures are made of.

Here belongs nothing that speaks of one kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.objects import Standing, Value, list_aliases
from routed.model.owner import Stamp
from routed.model.reasons import Differs, Flaw, OtherMark, Reason
from routed.model.text import find_differing, mark_name

Judge = Callable[[Any, Want, tuple[Value, ...], Stamp], Nature | None]  # the first is the slot
Cure = Callable[[Drift, Stamp], list[Operation]]


class Aliases(Enum):
    """What may stand under one key."""

    ALONE = "one object"
    ORDERED = "aliases, of which the first counts"
    BESIDE = "the same object of each protocol, none of which takes anything from another"


class Drainage(NamedTuple):
    """How objects of a kind leave that stand in one of another kind."""

    begin: Callable[[Any], Value | None]  # value → what takes no new connections; None: it is that already
    may: Callable[[Any, Any], bool]  # (slot, value of the whole, None where nobody knows): would that do any good?
    find_place: Callable[[Any], bytes]  # member of the whole → the prefix by which it is reached; b"" where by none


def is_as_wanted(value: Value, want: Want) -> bool:
    """Is this content the wanted one, or one that is as good?"""
    return value == want.value or value in want.also


def wanted_of(drift: Drift) -> Value:
    """The content that shall stand there."""
    assert drift.want is not None
    return drift.want.value


FLAWS: Final[Mapping[Nature, Reason]] = {
    Nature.MISSING: Flaw.MISSING,
    Nature.SURPLUS: Flaw.UNWANTED,
    Nature.TAKEN: Flaw.PUT_BACK,
    Nature.BEHIND: Flaw.BEHIND,
    Nature.IN_FRONT: Flaw.IN_FRONT,
    Nature.EXTRA: Flaw.EXTRA,
    Nature.OUT_OF_ORDER: Flaw.OUT_OF_ORDER,
}


def find_reason(drift: Drift) -> Reason:
    """Why a group of objects is in the drift; of another content, in which fields it differs."""
    reason = FLAWS.get(drift.nature)
    if reason is not None:
        return reason
    first, *others = drift.standing
    wanted = wanted_of(drift)
    if len(list_aliases(wanted)) > 1:  # what stands there has to be one value as well
        first = first._replace(append=tuple(others))
    differing = find_differing(first, wanted)
    mark = mark_name(drift.kind)
    if differing == [mark]:
        return OtherMark(mark)
    what = tuple(name for name in differing if name != mark)
    return Differs(what, is_foreign=drift.nature is Nature.FOREIGN)


def add_or_delete(drift: Drift) -> list[Operation]:
    """The cure of what is missing, and of what nobody wants."""
    if drift.nature is Nature.SURPLUS:
        return [take_away(drift, value) for value in drift.standing]
    return [operate(Verb.ADD, drift, None)]


def operate(verb: Verb, drift: Drift, before: Value | None) -> Operation:
    """One operation that brings about what is wanted; ``before`` is what stood there."""
    assert drift.want is not None
    return Operation(
        verb,
        drift.kind,
        drift.slot,
        drift.members,
        drift.want.value,
        drift.want.entry,
        find_reason(drift),
        before,
        drift.nature,
    )


def take_away(drift: Drift, value: Value) -> Operation:
    """One operation by which this content goes."""
    entry = drift.want.entry if drift.want else None
    return Operation(
        Verb.DELETE,
        drift.kind,
        drift.slot,
        drift.members,
        value,
        entry,
        find_reason(drift),
        value,
        drift.nature,
    )


def take_away_other(drift: Drift, other: Standing) -> Operation:
    """One operation by which something goes that stands in our place under a key of its own."""
    members, value = (other.member,), other.value
    entry = drift.want.entry if drift.want else None
    return Operation(Verb.DELETE, drift.kind, drift.slot, members, value, entry, Flaw.IN_PLACE, value, drift.nature)
