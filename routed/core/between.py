"""Between two states that files come to: what becomes of the objects, whatever stands in the kernel.

Pure, as the diff against the kernel is. Here must never live: how files come to objects (``resolve``), or how a
difference is shown (``audit``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from routed.core.desired import Desired, Members
from routed.core.kinds import KINDS
from routed.core.kinds.cures import find_reason
from routed.model.change import Drift, Nature, Operation, Plan, Verb, Want
from routed.model.objects import Kind, Member, Slot, Value

WantPair = tuple[int, int]  # the wants before and after, by their identities; 0 for none
NOBODY: Final = Members()


def compare(before: Desired, after: Desired) -> Plan:
    """What would be done, in its order, on a host where all stands as it was wanted before."""
    operations = [one for kind in KINDS for one in _compare_kind(kind, before, after)]
    return Plan(tuple(sorted(operations, key=_rank)))


def _rank(operation: Operation) -> tuple[bool, int]:
    """What stands on something comes after it, and goes before it."""
    is_deletion, rank = operation.verb is Verb.DELETE, KINDS[operation.kind].rank
    return is_deletion, -rank if is_deletion else rank


def _compare_kind(kind: Kind, before: Desired, after: Desired) -> Iterator[Operation]:
    old, new = before.wants.get(kind, {}), after.wants.get(kind, {})
    for slot in dict.fromkeys((*new, *old)):
        yield from _compare_slot(kind, slot, old.get(slot, NOBODY), new.get(slot, NOBODY))


def _compare_slot(kind: Kind, slot: Slot, old: Members, new: Members) -> Iterator[Operation]:
    """Members whose wants are the same change alike."""
    alike: dict[WantPair, tuple[Want | None, Want | None, list[Member]]] = {}
    for member, want in new.items():
        _note(alike, old.get(member), want, member)
    for member, want in old.items():
        if member not in new:
            _note(alike, want, None, member)
    for was, shall, members in alike.values():
        had, has = was and was.value, shall and shall.value
        if had is None and has is not None:
            assert shall
            yield _make(Nature.MISSING, kind, slot, members, has, None, shall)
        elif had is not None and has is None:
            assert was
            yield _make(Nature.SURPLUS, kind, slot, members, had, None, was)
        elif had is not None and has is not None and had != has:
            assert shall
            yield _make(Nature.DIFFERENT, kind, slot, members, has, had, shall)


def _note(
    alike: dict[WantPair, tuple[Want | None, Want | None, list[Member]]],
    was: Want | None,
    shall: Want | None,
    member: Member,
) -> None:
    change = id(was) if was else 0, id(shall) if shall else 0
    alike.setdefault(change, (was, shall, []))[2].append(member)


def _make(
    nature: Nature, kind: Kind, slot: Slot, members: list[Member], value: Value, standing: Value | None, want: Want
) -> Operation:
    is_surplus = nature is Nature.SURPLUS
    there = value if is_surplus else standing
    drift = Drift(nature, kind, slot, tuple(members), None if is_surplus else want, () if there is None else (there,))
    verb = Verb.DELETE if is_surplus else Verb.ADD if standing is None else Verb.CHANGE
    return Operation(verb, kind, slot, tuple(members), value, want.entry, find_reason(drift), standing, nature)
