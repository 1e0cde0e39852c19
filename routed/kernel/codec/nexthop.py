"""Next hops as rtnetlink writes them (struct nhmsg and NHA_*), both ways. Imported when there is one.

Source: include/uapi/linux/nexthop.h; nh_fill_node, rtm_to_nh_config and nh_valid_get_del_req in net/ipv4/nexthop.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from errno import EINVAL
from struct import Struct
from typing import Final

from routed.kernel.codec.attributes import (
    HEADER_SIZE,
    NESTED,
    MalformedMessage,
    attribute,
    attribute_u32,
    head,
    number,
    raw,
    sort_nested,
    walk,
)
from routed.model import encap
from routed.model.net import FAMILY_OF_LENGTH
from routed.model.objects import Leg, NexthopMember, NexthopSlot, NexthopValue, Resilient, Standing

_HEAD: Final = Struct("=BBBBI")  # family, scope, protocol, reserved, flags
_LEG: Final = Struct("=IBBH")  # id, weight - 1, the upper byte of that (Linux 6.12), reserved
_SHORT: Final = Struct("=H").pack

_ID, _GROUP, _GROUP_TYPE, _BLACKHOLE, _OIF, _GATEWAY = 1, 2, 3, 4, 5, 6
_ENCAP_TYPE, _ENCAP, _RES_GROUP, _OP_FLAGS = 7, 8, 12, 14
_BUCKETS, _IDLE_TIMER, _UNBALANCED_TIMER = 1, 2, 3  # what follows is state

_RESILIENT: Final = 1  # NEXTHOP_GRP_TYPE_RES
_ONLINK: Final = 0x4  # RTNH_F_ONLINK; all others are state
_USER_HZ: Final = 100  # in which the kernel counts the times
_LAST_SHORT_WEIGHT: Final = 255


def decode_nexthop(data: bytes, start: int, end: int) -> Standing | None:
    """One next hop, from its netlink header at ``start``. Raises MalformedMessage."""
    family, _, protocol, _, flags = head(_HEAD, data, start + HEADER_SIZE, end)
    attributes = walk(data, start + HEADER_SIZE + _HEAD.size, end)
    take = attributes.pop
    member = NexthopMember(number(take(_ID, bytes(4))))
    take(_OP_FLAGS, None)  # of the message, not of the next hop
    group = tuple(_decode_legs(take(_GROUP, b"")))
    type_ = number(take(_GROUP_TYPE, bytes(2)), 2)
    resilient = take(_RES_GROUP, None)
    gateway = take(_GATEWAY, b"")
    if gateway and len(gateway) not in FAMILY_OF_LENGTH:
        raise MalformedMessage(f"a gateway of {len(gateway)} bytes")
    if type_ not in {0, _RESILIENT}:
        attributes[_GROUP_TYPE] = _SHORT(type_)
    if _ENCAP in attributes:
        attributes[_ENCAP] = sort_nested(attributes[_ENCAP])
    value = NexthopValue(
        protocol=protocol,
        way_family=0 if group else family,
        dev=number(take(_OIF, bytes(4))),
        gateway=gateway,
        onlink=bool(flags & _ONLINK),
        blackhole=take(_BLACKHOLE, None) is not None,
        group=group,
        resilient=_decode_resilient(resilient or b"") if type_ == _RESILIENT else None,
        extra=raw(attributes) if attributes else b"",
    )
    return Standing(NexthopSlot(), member, value)


def _decode_legs(payload: bytes) -> Iterator[Leg]:
    if len(payload) % _LEG.size:
        raise MalformedMessage(f"a group of {len(payload)} bytes")
    for id_, low, high, _ in _LEG.iter_unpack(payload):
        yield Leg(id_, (high << 8 | low) + 1)


def _decode_resilient(payload: bytes) -> Resilient:
    attributes = walk(payload, 0, len(payload))
    return Resilient(
        number(attributes.get(_BUCKETS, bytes(2)), 2),
        number(attributes.get(_IDLE_TIMER, bytes(4))) // _USER_HZ,
        number(attributes.get(_UNBALANCED_TIMER, bytes(4))) // _USER_HZ,
    )


def encode_nexthop(_slot: NexthopSlot, member: NexthopMember, value: NexthopValue) -> bytes:
    """The body of one RTM_NEWNEXTHOP: struct nhmsg and its attributes."""
    parts = [
        _HEAD.pack(value.way_family, 0, value.protocol, 0, _ONLINK if value.onlink else 0),
        attribute_u32(_ID, member.id),
    ]
    if value.group:
        parts.append(attribute(_GROUP, b"".join(_encode_leg(leg) for leg in value.group)))
    if value.resilient:
        parts += [
            attribute(_GROUP_TYPE, _SHORT(_RESILIENT)),
            attribute(NESTED | _RES_GROUP, _encode_resilient(value.resilient)),
        ]
    if value.blackhole:
        parts.append(attribute(_BLACKHOLE, b""))
    if value.dev:
        parts.append(attribute_u32(_OIF, value.dev))
    if value.gateway:
        parts.append(attribute(_GATEWAY, value.gateway))
    extra = walk(value.extra, 0, len(value.extra))
    if _ENCAP in extra:  # this message asks for the mark
        parts.append(attribute(NESTED | _ENCAP, extra.pop(_ENCAP)))
    return b"".join((*parts, raw(extra)))


def _encode_leg(leg: Leg) -> bytes:
    return _LEG.pack(leg.id, leg.weight - 1 & 0xFF, leg.weight - 1 >> 8, 0)


def _encode_resilient(resilient: Resilient) -> bytes:
    return (
        attribute(_BUCKETS, _SHORT(resilient.buckets))
        + attribute_u32(_IDLE_TIMER, resilient.idle_timer * _USER_HZ)
        + attribute_u32(_UNBALANCED_TIMER, resilient.unbalanced_timer * _USER_HZ)
    )


def encode_nexthop_removal(_slot: NexthopSlot, member: NexthopMember, _value: NexthopValue) -> bytes:
    """The body of one RTM_DELNEXTHOP: its number, and nothing else may be said."""
    return bytes(_HEAD.size) + attribute_u32(_ID, member.id)


def explain_refusals(value: NexthopValue) -> Mapping[int, str]:
    """What the kernel's words leave open: which weights it takes, which encapsulations it has."""
    if value.extra:
        extra = walk(value.extra, 0, len(value.extra))
        return encap.explain_refusals(extra.get(_ENCAP_TYPE, b""), extra.get(_ENCAP, b""))
    has_long_weight = any(leg.weight > _LAST_SHORT_WEIGHT for leg in value.group)
    return {EINVAL: "before Linux 6.12 a weight is 255 at most"} if has_long_weight else {}
