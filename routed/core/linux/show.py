"""What a dump of a scope shows, and how the state is filled from dumps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Final

from routed.core.linux.state import LinuxState
from routed.model.net import IPV6
from routed.model.objects import AlikeRoutes, Chunk, Key, Kind, LinkMember, LinkValue, RouteSlot, Scope, Standing
from routed.model.prefixes import Packed

CHUNK: Final = 512  # objects in one piece of a dump


def is_in(standing: Standing, scope: Scope) -> bool:
    """Does a dump of this scope show it?"""
    slot = standing.slot
    table = slot.table if isinstance(slot, RouteSlot) else 0
    return (
        slot.family == scope.family
        and scope.table in {0, table}
        and scope.protocol in {0, standing.value.protocol}
        and (not scope.type or scope.type == standing.value.type)
    )


def make_chunks(standings: Iterable[Standing]) -> Iterator[Chunk]:
    """A dump in pieces; routes that differ in their prefix only stay together where they follow each other."""
    for (slot, value), alike in groupby(standings, lambda one: (one.slot, one.value)):
        rest = iter(alike)
        while chunk := list(islice(rest, CHUNK)):
            prefixes = [one.member for one in chunk if isinstance(one.member, bytes)]
            if isinstance(slot, RouteSlot) and len(prefixes) > 1:
                yield AlikeRoutes(slot, Packed(b"".join(prefixes), len(prefixes[0])), value)
            else:
                yield chunk


def fill_kernel_routes(state: LinuxState, routes: Iterable[Standing]) -> None:
    """Let the kernel's own routes stand, of which dumps of everything leave out some."""
    for slot, member, value in routes:
        key = Key(Kind.ROUTE, slot, member)
        if value not in (standing := state.standing(key)):
            state.put(key, (*standing, value))


def fill(state: LinuxState, kind: Kind, family: int, chunks: Iterable[Chunk]) -> Iterator[None]:
    """Let all that these pieces of a dump show stand. Links have to be known before."""
    if kind is Kind.LINK:
        by_name = {link.name: link.ifindex for link in state.links.values()}
        for chunk in chunks:
            for one in chunk if isinstance(chunk, list) else chunk.spread():
                _fill_link(state, one, by_name)
        yield
        return
    is_newest_first = kind is Kind.ADDRESS and family == IPV6
    shown: list[Standing] = []
    for chunk in chunks:
        if isinstance(chunk, AlikeRoutes):
            _fill_alike(state, chunk)
        elif is_newest_first:
            shown += chunk
        else:
            _fill_single(state, kind, chunk)
        yield
    _fill_single(state, kind, reversed(shown))


def _fill_alike(state: LinuxState, chunk: AlikeRoutes) -> None:
    """Very many share one content, and one tuple of it."""
    members = state.objects[Kind.ROUTE].setdefault(chunk.slot, {})
    alike = (chunk.value,)
    state.note_lengths(chunk.slot, chunk.members)
    for prefix in chunk.members:
        members[prefix] = (*members[prefix], chunk.value) if prefix in members else alike


def _fill_single(state: LinuxState, kind: Kind, standings: Iterable[Standing]) -> None:
    for slot, member, value in standings:
        there = state.objects[kind].setdefault(slot, {})
        there[member] = (*there.get(member, ()), value)
        state.note_lengths(slot, (member,))


def _fill_link(state: LinuxState, one: Standing, by_name: dict[str, int]) -> None:
    assert isinstance(one.member, LinkMember)
    assert isinstance(one.value, LinkValue)
    if ifindex := by_name.get(one.member.name):
        if one.value.protocol:
            state.marks[ifindex] = one.value.protocol
        if one.value.data is not None:
            state.tunnels[ifindex] = one.value.data
