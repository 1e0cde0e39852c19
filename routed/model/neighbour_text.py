"""Neighbours as text and as JSON, in the words of ``ip neighbour``."""

from __future__ import annotations

from typing import Any

from routed.model.net import format_address
from routed.model.nexthop_text import LinkNames
from routed.model.objects import NeighbourMember, NeighbourSlot, NeighbourValue


def format_lladdr(address: bytes) -> str:
    """``02:00:00:00:00:05``."""
    return address.hex(":")


def format_neighbour_key(_slot: NeighbourSlot, member: NeighbourMember, names: LinkNames) -> str:
    """``10.0.0.5 dev eth1``."""
    return f"{format_address(member.address)} dev {names.link(member.dev)}"


def format_neighbour(slot: NeighbourSlot, member: NeighbourMember, value: NeighbourValue, names: LinkNames) -> str:
    """A neighbour as ``ip neighbour`` prints it."""
    words = [format_neighbour_key(slot, member, names)]
    words += ["lladdr", format_lladdr(value.lladdr)] if value.lladdr else ["proxy"]
    words += ["router"] if value.router else []
    words += ["PERMANENT"] if value.lladdr else []
    return " ".join([*words, "proto", names.protocol(value.protocol)])


def neighbour_to_json(
    _slot: NeighbourSlot, member: NeighbourMember, value: NeighbourValue | None, names: LinkNames
) -> dict[str, Any]:
    """A neighbour with the keys of ``ip -j neighbour``."""
    json: dict[str, Any] = {"dst": format_address(member.address), "dev": names.link(member.dev)}
    if value is None:
        return json
    json |= {"lladdr": format_lladdr(value.lladdr), "state": ["PERMANENT"]} if value.lladdr else {"proxy": None}
    json |= {"router": None} if value.router else {}
    return json | {"protocol": names.protocol(value.protocol)}
