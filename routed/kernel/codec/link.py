"""Links as rtnetlink writes them (struct ifinfomsg and IFLA_*), both ways.

Links are facts; those that the file has us create are objects as well, marked by their alias.

Source: include/uapi/linux/if_link.h; rtnl_fill_ifinfo, rtnl_newlink_create and do_setlink in net/core/rtnetlink.c.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from routed.kernel.codec.attributes import (
    HEADER_SIZE,
    attribute,
    attribute_text,
    attribute_u32,
    head,
    number,
    text,
    walk,
)
from routed.model.events import Ipv6Event
from routed.model.facts import Link
from routed.model.names import ALIAS, CREATABLE
from routed.model.net import IPV6
from routed.model.objects import LinkMember, LinkSlot, LinkValue, Standing

_HEAD: Final = Struct("=BBHiII")  # family, padding, type, index, flags, change
_ADDRESS, _NAME, _MTU, _MASTER, _PROTINFO, _LINKINFO, _ALIAS, _AF_SPEC, _EXT_MASK = 1, 3, 4, 10, 12, 18, 20, 26, 29
_INET6_CONF: Final = 2  # IFLA_INET6_CONF: 32 bits for each DEVCONF_*
_DISABLE_IPV6_AT: Final = slice(26 * 4, 27 * 4)  # DEVCONF_DISABLE_IPV6, linux/ipv6.h
_INFO_KIND: Final = 1
_WORD: Final = 4  # bytes
_UP: Final = 0x1
_LOWER_UP: Final = 0x10000
_SKIP_STATISTICS: Final = 0x8  # RTEXT_FILTER_SKIP_STATS

LINKS_REQUEST: Final = _HEAD.pack(0, 0, 0, 0, 0, 0) + attribute_u32(_EXT_MASK, _SKIP_STATISTICS)


def decode_link(data: bytes, start: int, end: int) -> tuple[Standing, Link] | None:
    """One link as an object and as a fact, from its netlink header at ``start``.

    None for a message of another family than AF_UNSPEC: a bridge announces its ports under AF_BRIDGE, and a port that
    leaves a bridge would look like a link that went away. Raises MalformedMessage.
    """
    family, _, _, ifindex, flags, _ = head(_HEAD, data, start + HEADER_SIZE, end)
    if family:
        return None
    attributes = walk(data, start + HEADER_SIZE + _HEAD.size, end)
    info = attributes.get(_LINKINFO, b"")
    link = Link(
        ifindex=ifindex,
        name=text(attributes.get(_NAME, b"")),
        is_up=bool(flags & _UP),
        has_carrier=bool(flags & _LOWER_UP),
        kind=text(walk(info, 0, len(info)).get(_INFO_KIND, b"")),
        mac=attributes.get(_ADDRESS, b""),
        master=number(attributes.get(_MASTER, bytes(4))),
        mtu=number(attributes.get(_MTU, bytes(4))),
        has_ipv6=_has_ipv6(_walk_all(attributes.get(_AF_SPEC, b"")).get(IPV6)),
    )
    value = LinkValue(_read_mark(link.kind, text(attributes.get(_ALIAS, b""))), link.kind, link.is_up)
    return Standing(LinkSlot(), LinkMember(link.name), value), link


def decode_ipv6(data: bytes, start: int, end: int, *, is_removal: bool) -> Ipv6Event | None:
    """What a message of AF_INET6 tells of a link (inet6_fill_ifinfo); None for any other. Raises MalformedMessage."""
    family, _, _, ifindex, _, _ = head(_HEAD, data, start + HEADER_SIZE, end)
    if family != IPV6:
        return None
    attributes = walk(data, start + HEADER_SIZE + _HEAD.size, end)
    return Ipv6Event(ifindex, not is_removal and _has_ipv6(attributes.get(_PROTINFO)))


def _has_ipv6(attributes: bytes | None) -> bool:
    """A link that the kernel speaks no IPv6 on tells nothing of it (inet6_fill_link_af in net/ipv6/addrconf.c)."""
    if attributes is None:
        return False
    setting = _walk_all(attributes).get(_INET6_CONF, b"")[_DISABLE_IPV6_AT]
    return not (len(setting) == _WORD and number(setting))


def _walk_all(attributes: bytes) -> dict[int, bytes]:
    return walk(attributes, 0, len(attributes))


def _read_mark(kind: str, alias: str) -> int:
    """Our protocol number, 0 where there is none: only of kinds that we create, whatever an alias says."""
    number_ = alias.removeprefix(ALIAS)
    is_mark = kind in CREATABLE and number_ != alias and number_.isascii() and number_.isdigit()
    return int(number_) if is_mark and int(number_) < 256 else 0


def encode_link(_slot: LinkSlot, member: LinkMember, value: LinkValue) -> bytes:
    """The body of an RTM_NEWLINK that creates a link, already up or not. The kernel takes no alias with it."""
    info = attribute_text(_INFO_KIND, value.kind)
    return _encode_identity(member, value) + attribute(_LINKINFO, info)


def encode_link_change(_slot: LinkSlot, member: LinkMember, value: LinkValue) -> bytes:
    """The body of an RTM_NEWLINK that changes a link: whose it is, if it is ours, and whether it is up."""
    alias = attribute_text(_ALIAS, f"{ALIAS}{value.protocol}") if value.protocol else b""
    return _encode_identity(member, value) + alias


def encode_link_removal(_slot: LinkSlot, member: LinkMember, value: LinkValue) -> bytes:
    """The body of an RTM_DELLINK, by name."""
    return _encode_identity(member, value)


def _encode_identity(member: LinkMember, value: LinkValue) -> bytes:
    return _HEAD.pack(0, 0, 0, 0, _UP if value.is_up else 0, _UP) + attribute_text(_NAME, member.name)
