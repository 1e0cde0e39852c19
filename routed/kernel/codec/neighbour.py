"""Neighbours as rtnetlink writes them (struct ndmsg and NDA_*), both ways. Imported when one is kept for good.

Source: include/uapi/linux/neighbour.h; neigh_fill_info, pneigh_fill_info and neigh_add in net/core/neighbour.c.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from routed.kernel.codec.attributes import (
    HEADER_SIZE,
    address,
    attribute,
    head,
    number,
    raw,
    walk,
)
from routed.model.net import ADDRESS_LENGTH
from routed.model.objects import NeighbourMember, NeighbourSlot, NeighbourValue, Standing

_HEAD: Final = Struct("=BBHiHBB")  # family, two of padding, index, state, flags, type
_DST, _LLADDR, _CACHEINFO, _PROBES, _IFINDEX, _PROTOCOL = 1, 2, 3, 4, 8, 12
_PERMANENT: Final = 0x80  # NUD_PERMANENT
_PROXY: Final = 0x08  # NTF_PROXY
_ROUTER: Final = 0x80  # NTF_ROUTER


def decode_neighbour(data: bytes, start: int, end: int) -> Standing | None:
    """One neighbour or proxy, from its netlink header at ``start``. None for other families.

    Raises MalformedMessage.
    """
    family, _, _, dev, _, flags, _ = head(_HEAD, data, start + HEADER_SIZE, end)
    width = ADDRESS_LENGTH.get(family)
    if width is None:
        return None
    attributes = walk(data, start + HEADER_SIZE + _HEAD.size, end)
    for state in (_CACHEINFO, _PROBES, _IFINDEX):
        attributes.pop(state, None)
    member = NeighbourMember(dev, address(attributes.pop(_DST, b""), width))
    value = NeighbourValue(
        protocol=number(attributes.pop(_PROTOCOL, b"\0"), 1),
        lladdr=attributes.pop(_LLADDR, b""),
        router=bool(flags & _ROUTER),
        extra=raw(attributes) if attributes else b"",
    )
    return Standing(NeighbourSlot(family), member, value)


def encode_neighbour(slot: NeighbourSlot, member: NeighbourMember, value: NeighbourValue) -> bytes:
    """The body of one RTM_NEWNEIGH for a neighbour that stays."""
    return _encode(slot, member, value, 0)


def encode_proxy(slot: NeighbourSlot, member: NeighbourMember, value: NeighbourValue) -> bytes:
    """The body of one RTM_NEWNEIGH for somebody for whom this host answers."""
    return _encode(slot, member, value, _PROXY)


def _encode(slot: NeighbourSlot, member: NeighbourMember, value: NeighbourValue, flags: int) -> bytes:
    flags |= _ROUTER if value.router else 0
    parts = [_HEAD.pack(slot.family, 0, 0, member.dev, _PERMANENT, flags, 0), attribute(_DST, member.address)]
    if value.lladdr:
        parts.append(attribute(_LLADDR, value.lladdr))
    parts.append(attribute(_PROTOCOL, bytes((value.protocol,))))
    return b"".join((*parts, value.extra))


def encode_neighbour_removal(slot: NeighbourSlot, member: NeighbourMember, _value: NeighbourValue) -> bytes:
    """The body of one RTM_DELNEIGH of a neighbour."""
    return _HEAD.pack(slot.family, 0, 0, member.dev, 0, 0, 0) + attribute(_DST, member.address)


def encode_proxy_removal(slot: NeighbourSlot, member: NeighbourMember, _value: NeighbourValue) -> bytes:
    """The body of one RTM_DELNEIGH of a proxy."""
    return _HEAD.pack(slot.family, 0, 0, member.dev, 0, _PROXY, 0) + attribute(_DST, member.address)
