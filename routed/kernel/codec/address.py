"""Addresses as rtnetlink writes them (struct ifaddrmsg and IFA_*), both ways.

Source: include/uapi/linux/if_addr.h; inet_fill_ifaddr in net/ipv4/devinet.c; inet6_fill_ifaddr in net/ipv6/addrconf.c.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from routed.kernel.codec.attributes import (
    HEADER_SIZE,
    MalformedMessage,
    address,
    attribute,
    attribute_text,
    attribute_u32,
    head,
    number,
    text,
    walk,
)
from routed.model.facts import HostAddress
from routed.model.lifetime import FOREVER, Lifetime
from routed.model.names import ADDRESS_FLAGS, IFA_OPTIMISTIC
from routed.model.net import ADDRESS_LENGTH, IPV4
from routed.model.objects import AddressMember, AddressSlot, AddressValue, Scope, Standing

_HEAD: Final = Struct("=BBBBI")  # family, prefixlen, flags, scope, index
_CACHEINFO: Final = Struct("=IIII")  # preferred and valid lifetime in seconds, created, updated

_ADDRESS, _LOCAL, _LABEL, _BROADCAST, _CACHE, _FLAGS, _METRIC, _PROTOCOL = 1, 2, 3, 4, 6, 8, 9, 11

_DADFAILED: Final = 0x08
_DEPRECATED: Final = 0x20
_TENTATIVE: Final = 0x40
_CONFIGURATION: Final = sum(ADDRESS_FLAGS.values()) & ~IFA_OPTIMISTIC
_FOREVER: Final = _CACHEINFO.pack(FOREVER, FOREVER, 0, 0)


def decode_address(data: bytes, start: int, end: int) -> tuple[Standing, HostAddress] | None:
    """One address as an object and as a fact, from its netlink header at ``start``.

    The label of an IPv4 address is what the kernel holds: the name of the link where nothing else was asked for.
    None for a family that routed does not keep. Raises MalformedMessage.
    """
    family, prefixlen, flags, scope, dev = head(_HEAD, data, start + HEADER_SIZE, end)
    width = ADDRESS_LENGTH.get(family)
    if width is None:
        return None
    attributes = walk(data, start + HEADER_SIZE + _HEAD.size, end)
    if _LOCAL not in attributes and _ADDRESS not in attributes:
        raise MalformedMessage("an address message without an address")
    other = address(attributes.get(_ADDRESS, attributes.get(_LOCAL, b"")), width)
    local = address(attributes.get(_LOCAL, other), width)
    flags = number(attributes[_FLAGS]) if _FLAGS in attributes else flags
    lifetimes = attributes.get(_CACHE, _FOREVER)
    if len(lifetimes) != _CACHEINFO.size:
        raise MalformedMessage(f"lifetimes of {len(lifetimes)} bytes")
    preferred, valid, _, _ = _CACHEINFO.unpack(lifetimes)
    protocol = number(attributes.get(_PROTOCOL, b"\0"), 1)
    is_deprecated = preferred == 0 or bool(flags & _DEPRECATED)
    member = AddressMember(dev, local, prefixlen)
    value = AddressValue(
        protocol=protocol,
        scope=scope,
        flags=flags & _CONFIGURATION,
        deprecated=is_deprecated,
        dynamic=valid != FOREVER,
        peer=other if other != local else b"",
        broadcast=attributes.get(_BROADCAST, b""),
        label=text(attributes.get(_LABEL, b"")),
        metric=number(attributes.get(_METRIC, bytes(4))),
        has_failed=bool(flags & _DADFAILED),
    )
    is_tentative = flags & (_TENTATIVE | IFA_OPTIMISTIC) == _TENTATIVE  # ipv6_chk_addr_and_flags
    fact = HostAddress(dev, local, prefixlen, scope, protocol, is_deprecated, is_tentative, bool(flags & _DADFAILED))
    return Standing(AddressSlot(family), member, value), fact


def has_lifetime(value: AddressValue) -> bool:
    """Does it go by itself?"""
    return value.dynamic


def read_lifetime(data: bytes, start: int, end: int) -> Lifetime | None:
    """What is left of the address in this message, from its netlink header at ``start``; None where it stays."""
    attributes = walk(data, start + HEADER_SIZE + _HEAD.size, end)
    preferred, valid, _, _ = _CACHEINFO.unpack(attributes.get(_CACHE, _FOREVER))
    return Lifetime(valid, preferred) if valid != FOREVER else None


def put_lifetime(value: AddressValue, lifetime: Lifetime) -> AddressValue:
    """The address as it is asked for when only so much of it is left."""
    return value._replace(lifetime=lifetime)


def encode_address(slot: AddressSlot, member: AddressMember, value: AddressValue) -> bytes:
    """The body of one RTM_NEWADDR: struct ifaddrmsg and its attributes. An empty label leaves it to the kernel."""
    parts = [_encode_identity(slot, member, value), attribute_u32(_FLAGS, value.flags)]
    if value.broadcast:
        parts.append(attribute(_BROADCAST, value.broadcast))
    if value.label:
        parts.append(attribute_text(_LABEL, value.label))
    if value.lifetime or value.deprecated:
        valid, preferred = value.lifetime or (FOREVER, 0)
        parts.append(attribute(_CACHE, _CACHEINFO.pack(preferred, valid, 0, 0)))
    if value.metric:
        parts.append(attribute_u32(_METRIC, value.metric))
    if value.protocol:
        parts.append(attribute(_PROTOCOL, bytes((value.protocol,))))
    return b"".join(parts)


def encode_address_removal(slot: AddressSlot, member: AddressMember, value: AddressValue) -> bytes:
    """The body of one RTM_DELADDR: the key and, of a point-to-point address, the peer."""
    return _encode_identity(slot, member, value)


def _encode_identity(slot: AddressSlot, member: AddressMember, value: AddressValue) -> bytes:
    head_ = _HEAD.pack(slot.family, member.prefixlen, value.flags & 0xFF, value.scope, member.dev)
    if slot.family == IPV4 or value.peer:
        return head_ + attribute(_LOCAL, member.address) + attribute(_ADDRESS, value.peer or member.address)
    return head_ + attribute(_ADDRESS, member.address)


def dump_addresses(scope: Scope) -> bytes:
    """The body of a request for a dump of one family."""
    return _HEAD.pack(scope.family, 0, 0, 0, 0)
