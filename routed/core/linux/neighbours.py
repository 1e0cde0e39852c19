"""Neighbours as requests put and take them, and what goes with a link.

Source: neigh_add, neigh_delete and neigh_ifdown in net/core/neighbour.c; tried with ``ip`` as well. Only those that are
kept for good are here: what the kernel learns by itself is nobody's business.
"""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENODEV, ENOENT
from typing import Final

from routed.core.linux.state import LinuxState
from routed.model.change import Verb
from routed.model.events import KERNEL
from routed.model.net import FAMILIES
from routed.model.objects import Key, Kind, NeighbourMember, NeighbourSlot, NeighbourValue

NEIGHBOURS: Final = (Kind.NEIGHBOUR, Kind.PROXY)


def insert_neighbour(state: LinuxState, verb: Verb, key: Key, value: NeighbourValue, port: int) -> int:
    """RTM_NEWNEIGH. What is learned may stand there already, so whoever adds one asks for it as a replacement.

    Of a request without a protocol the former one stays.
    """
    assert isinstance(key.member, NeighbourMember)
    if key.member.dev not in state.links:
        return ENODEV
    if not value.lladdr and key.kind is Kind.NEIGHBOUR:
        return EINVAL
    standing: NeighbourValue | None = next(iter(state.standing(key)), None)
    if standing is not None and verb not in {Verb.REPLACE, Verb.ADD}:
        return EEXIST
    if standing is not None and not value.protocol:
        value = value._replace(protocol=standing.protocol)
    state.put(key, [value])
    _tell(state, key, value, port)
    return 0


def delete_neighbour(state: LinuxState, key: Key, _value: NeighbourValue, port: int) -> int:
    """RTM_DELNEIGH by its key: whose it is does not matter."""
    if not state.standing(key):
        return ENOENT
    state.take(key, state.standing(key)[0], port, is_told=key.kind is Kind.NEIGHBOUR)
    return 0


def flush_neighbours(state: LinuxState, ifindex: int, families: tuple[int, ...] = FAMILIES) -> None:
    """What the kernel forgets with a link that goes down, or with the last IPv4 address of one (arp_ifdown)."""
    for kind in NEIGHBOURS:
        for family in families:
            for member in list(state.objects[kind].get(NeighbourSlot(family), {})):
                assert isinstance(member, NeighbourMember)
                if member.dev == ifindex:
                    key = Key(kind, NeighbourSlot(family), member)
                    delete_neighbour(state, key, state.standing(key)[0], KERNEL)


def _tell(state: LinuxState, key: Key, value: NeighbourValue, port: int) -> None:
    """Of proxies the kernel tells nothing (pneigh_lookup)."""
    if key.kind is Kind.NEIGHBOUR:
        state.notify(key, value, port, flag="replace")
