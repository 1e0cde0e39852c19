"""Neighbours as the TOML that an operator would have written for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routed.intent.exporting import Surroundings, UnspeakableError
from routed.model import names
from routed.model.neighbour_text import format_lladdr
from routed.model.net import format_address
from routed.model.objects import NeighbourMember, NeighbourSlot, NeighbourValue


def export_neighbour(
    _slot: NeighbourSlot, value: NeighbourValue, members: Sequence[NeighbourMember], around: Surroundings
) -> dict[str, Any] | None:
    """A table of the file; None for what nobody wrote."""
    if value.protocol in names.NEVER_OURS:
        return None
    if value.extra:
        raise UnspeakableError("it carries an attribute that the file has no word for")
    (member,) = members
    return {
        "to": format_address(member.address),
        "dev": around.name_link(member.dev),
        "lladdr": format_lladdr(value.lladdr) if value.lladdr else None,
        "router": value.router,
        "proxy": not value.lladdr,
    }


def describe_neighbour(_slot: NeighbourSlot, members: Sequence[NeighbourMember]) -> str:
    """What it is called where it is left out."""
    return f"neighbour {format_address(members[0].address)}"
