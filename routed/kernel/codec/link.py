"""Links as rtnetlink writes them (struct ifinfomsg and IFLA_*), both ways.

Links are facts; those that the file has us create are objects as well, marked by their alias.

Source: include/uapi/linux/if_link.h; rtnl_fill_ifinfo, rtnl_newlink_create and do_setlink in net/core/rtnetlink.c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from errno import EEXIST, EOPNOTSUPP
from struct import Struct
from typing import Any, Final, NamedTuple

from routed.kernel.codec.attributes import (
    HEADER_SIZE,
    attribute,
    attribute_text,
    attribute_u32,
    head,
    number,
    text,
    walk,
    walk_each,
)
from routed.kernel.codec.ipip import decode_ipip, encode_ipip
from routed.model.events import Ipv6Event
from routed.model.facts import Link
from routed.model.names import ALIAS, CREATABLE, FALLBACK_LINKS
from routed.model.net import IPV6
from routed.model.objects import LinkMember, LinkSlot, LinkValue, Standing

_HEAD: Final = Struct("=BBHiII")  # family, padding, type, index, flags, change
_ADDRESS, _NAME, _MTU, _MASTER, _PROTINFO, _LINKINFO, _ALIAS, _AF_SPEC, _EXT_MASK = 1, 3, 4, 10, 12, 18, 20, 26, 29
_INET6_CONF: Final = 2  # IFLA_INET6_CONF: 32 bits for each DEVCONF_*
_DISABLE_IPV6_AT: Final = slice(26 * 4, 27 * 4)  # DEVCONF_DISABLE_IPV6, linux/ipv6.h
_INFO_KIND, _INFO_DATA = 1, 2
PROPERTIES: Final = 52  # IFLA_PROP_LIST
_ALTNAME: Final = 53
_VRF_TABLE: Final = 1  # IFLA_VRF_TABLE
_WORD: Final = 4  # bytes
_UP: Final = 0x1
_LOWER_UP: Final = 0x10000
_SKIP_STATISTICS: Final = 0x8  # RTEXT_FILTER_SKIP_STATS


class _Data(NamedTuple):
    """How what a kind of link has beyond any link is written."""

    decode: Callable[[bytes, int], Any]  # (IFLA_INFO_DATA, MTU) → what LinkValue.data holds. Raises MalformedMessage
    encode: Callable[[Any], bytes]


_DATA: Final[Mapping[str, _Data]] = {"ipip": _Data(decode_ipip, encode_ipip)}  # no other kind has any that is looked at

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
    info = _walk_all(attributes.get(_LINKINFO, b""))
    link = Link(
        ifindex=ifindex,
        name=text(attributes.get(_NAME, b"")),
        is_up=bool(flags & _UP),
        has_carrier=bool(flags & _LOWER_UP),
        kind=text(info.get(_INFO_KIND, b"")),
        mac=attributes.get(_ADDRESS, b""),
        master=number(attributes.get(_MASTER, bytes(4))),
        mtu=number(attributes.get(_MTU, bytes(4))),
        has_ipv6=_has_ipv6(_walk_all(attributes.get(_AF_SPEC, b"")).get(IPV6)),
        altnames=read_altnames(attributes[PROPERTIES]) if PROPERTIES in attributes else (),
        table=read_vrf_table(info),
    )
    mark = _read_mark(link, text(attributes.get(_ALIAS, b"")))
    form = _DATA.get(link.kind)
    more = form.decode(info.get(_INFO_DATA, b""), link.mtu) if form else None
    return Standing(LinkSlot(), LinkMember(link.name), LinkValue(mark, link.kind, link.is_up, more)), link


def read_vrf_table(info: Mapping[int, bytes]) -> int:
    """The table of a VRF, from what IFLA_LINKINFO holds; 0 for a link of another kind. Raises MalformedMessage."""
    if text(info.get(_INFO_KIND, b"")) != "vrf":
        return 0
    return number(_walk_all(info.get(_INFO_DATA, b"")).get(_VRF_TABLE, bytes(4)))


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


def read_altnames(properties: bytes) -> tuple[str, ...]:
    """The other names in IFLA_PROP_LIST, one attribute each. Raises MalformedMessage."""
    return tuple(text(content) for type_, content in walk_each(properties, 0, len(properties)) if type_ == _ALTNAME)


def _walk_all(attributes: bytes) -> dict[int, bytes]:
    return walk(attributes, 0, len(attributes))


def _read_mark(link: Link, alias: str) -> int:
    """Our protocol number, 0 where there is none: only of what we may have created, whatever an alias says."""
    number_ = alias.removeprefix(ALIAS)
    may_be_ours = link.kind in CREATABLE and link.name not in FALLBACK_LINKS
    is_mark = may_be_ours and number_ != alias and number_.isascii() and number_.isdigit()
    return int(number_) if is_mark and int(number_) < 256 else 0


def encode_link(_slot: LinkSlot, member: LinkMember, value: LinkValue) -> bytes:
    """The body of an RTM_NEWLINK that creates a link, already up or not. The kernel takes no alias with it."""
    return _encode_identity(member, value) + _encode_info(value)


def encode_link_change(_slot: LinkSlot, member: LinkMember, value: LinkValue) -> bytes:
    """The body of an RTM_NEWLINK that changes a link: whether it is up; of ours also whose it is, and what it has."""
    if not value.protocol:
        return _encode_identity(member, value)
    info = _encode_info(value) if value.data is not None else b""
    return _encode_identity(member, value) + attribute_text(_ALIAS, f"{ALIAS}{value.protocol}") + info


def encode_link_removal(_slot: LinkSlot, member: LinkMember, value: LinkValue) -> bytes:
    """The body of an RTM_DELLINK, by name."""
    return _encode_identity(member, value)


def encode_link_question(member: LinkMember) -> bytes:
    """The body of an RTM_GETLINK for one link, by name."""
    return LINKS_REQUEST + attribute_text(_NAME, member.name)


def read_maker(message: bytes) -> tuple[str, str, bool]:
    """What tells who made a link, from an RTM_NEWLINK: its kind, its alias, and is it up? Raises MalformedMessage."""
    flags = head(_HEAD, message, HEADER_SIZE, len(message))[4]
    attributes = walk(message, HEADER_SIZE + _HEAD.size, len(message))
    kind = _walk_all(attributes.get(_LINKINFO, b"")).get(_INFO_KIND, b"")
    return text(kind), text(attributes.get(_ALIAS, b"")), bool(flags & _UP)


def explain_refusals(value: LinkValue) -> Mapping[int, str]:
    """What the kernel's words about an errno leave open. It loads the module of a kind itself (rtnl-link-KIND)."""
    words = {EOPNOTSUPP: f"this kernel has no driver for links of kind {value.kind} (modprobe {value.kind} says more)"}
    if value.data is not None:  # ip_tunnel_newlink, ip_tunnel_changelink
        words[EEXIST] = f"another link has this local address (ip -d link show type {value.kind})"
    return words


def _encode_info(value: LinkValue) -> bytes:
    info = attribute_text(_INFO_KIND, value.kind)
    if value.data is None:
        return attribute(_LINKINFO, info)
    info += attribute(_INFO_DATA, _DATA[value.kind].encode(value.data))
    return attribute_u32(_MTU, value.data.mtu) + attribute(_LINKINFO, info)


def _encode_identity(member: LinkMember, value: LinkValue) -> bytes:
    return _HEAD.pack(0, 0, 0, 0, _UP if value.is_up else 0, _UP) + attribute_text(_NAME, member.name)
