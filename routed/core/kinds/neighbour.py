"""Neighbours that the file keeps: which link address one has, and for whom this host answers in place of others."""

from __future__ import annotations

from collections.abc import Iterable

from routed.core.kinds.cures import add_or_delete, operate
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.net import host_prefix
from routed.model.objects import NeighbourMember, NeighbourSlot, NeighbourValue
from routed.model.owner import Stamp


def judge_neighbour(
    _slot: NeighbourSlot, want: Want, standing: tuple[NeighbourValue, ...], stamp: Stamp
) -> Nature | None:
    """One stands under a key, never more."""
    if not standing:
        return Nature.MISSING
    if standing[0] == want.value:
        return None
    return Nature.DIFFERENT if stamp(standing[0]).is_ours else Nature.FOREIGN


def cure_neighbour(drift: Drift, _stamp: Stamp) -> list[Operation]:
    """All of it can be set in place."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return add_or_delete(drift)
    (before,) = drift.standing
    return [operate(Verb.REPLACE, drift, before)]


def find_links_of_neighbours(members: Iterable[NeighbourMember], _values: Iterable[NeighbourValue]) -> set[int]:
    """A neighbour is on a link, which is part of its key."""
    return {member.dev for member in members}


def list_prefixes_of_neighbour(_slot: NeighbourSlot, member: NeighbourMember) -> tuple[bytes, ...]:
    """Who it is."""
    return (host_prefix(member.address),)
