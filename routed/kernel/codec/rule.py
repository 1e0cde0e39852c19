"""Policy rules as rtnetlink writes them (struct fib_rule_hdr and FRA_*), both ways.

Source: include/uapi/linux/fib_rules.h; fib_nl_fill_rule and fib_nl2rule in net/core/fib_rules.c.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from routed.kernel.codec.attributes import (
    HEADER_SIZE,
    MalformedMessage,
    address,
    attribute,
    attribute_u32,
    head,
    number,
    raw,
    text,
    walk,
)
from routed.model.attributes import DPORT_MASK, RULE_WORDS, SPORT_MASK
from routed.model.names import GOTO, TABLE_MAIN, TO_TABLE
from routed.model.net import ADDRESS_LENGTH, IPV4
from routed.model.objects import RuleMember, RuleSlot, RuleValue, Scope, Standing

# family, dst_len, src_len, tos, table, reserved, reserved, action, flags
_HEAD: Final = Struct("=BBBBBBBBI")
_PORTS: Final = Struct("=HH")
_UIDS: Final = Struct("=II")
_U32: Final = Struct("=I").pack

_DST, _SRC, _IIF, _GOTO, _PRIORITY, _FWMARK, _FLOW = 1, 2, 3, 4, 6, 10, 11
_SUPPRESS_IFGROUP, _SUPPRESS_PREFIXLENGTH, _TABLE, _FWMASK, _OIF, _PAD, _L3MDEV = 13, 14, 15, 16, 17, 18, 19
_UIDRANGE, _PROTOCOL, _IPPROTO, _SPORT, _DPORT = 20, 21, 22, 23, 24

_INVERT: Final = 0x2  # FIB_RULE_INVERT; permanent, unresolved and detached are state
_TABLE_COMPAT: Final = 252  # RT_TABLE_COMPAT
_LAST_SHORT_TABLE: Final = 255
_NONE: Final = b"\xff\xff\xff\xff"  # -1: nothing is suppressed
# The masks of words without one, which the kernel gives them (fib4_rule_fill in net/ipv4/fib_rules.c, fib_nl_fill_rule)
_WHOLE: Final = {SPORT_MASK: b"\xff\xff", DPORT_MASK: b"\xff\xff"} | {
    row.mask: row.layout.pack(row.maximum) for row in RULE_WORDS if row.mask and not row.is_mask_told
}


def decode_rule(data: bytes, start: int, end: int) -> Standing | None:
    """One rule, from its netlink header at ``start``. None for a family that routed does not keep.

    The table of a rule that looks up none is 0, whatever ``ip rule`` put there: beside goto it puts main. Raises
    MalformedMessage.
    """
    family, dst_len, src_len, tos, table, _, _, action, flags = head(_HEAD, data, start + HEADER_SIZE, end)
    width = ADDRESS_LENGTH.get(family)
    if width is None:
        return None
    attributes = walk(data, start + HEADER_SIZE + _HEAD.size, end)
    take = attributes.pop
    attributes.pop(_PAD, None)
    for mask in _WHOLE.keys() & attributes:
        if attributes[mask] == _WHOLE[mask]:
            del attributes[mask]
    table = number(take(_TABLE)) if _TABLE in attributes else table
    flow = take(_FLOW, b"")  # zeros are none, as a request says them
    value = RuleValue(number(take(_PROTOCOL, b"\0"), 1), raw({_FLOW: flow}) if any(flow) else b"")
    uids = take(_UIDRANGE, b"")
    member = RuleMember(
        priority=number(take(_PRIORITY, bytes(4))),
        action=action,
        table=table if action == TO_TABLE or (action == GOTO and table != TABLE_MAIN) else 0,
        target=number(take(_GOTO, bytes(4))),
        inverted=bool(flags & _INVERT),
        source=_decode_prefix(take(_SRC, b""), src_len, width),
        destination=_decode_prefix(take(_DST, b""), dst_len, width),
        tos=tos,
        iif=text(take(_IIF, b"")),
        oif=text(take(_OIF, b"")),
        fwmark=number(take(_FWMARK, bytes(4))),
        fwmask=number(take(_FWMASK, bytes(4))),
        ipproto=number(take(_IPPROTO, b"\0"), 1),
        sport=_decode_pair(_PORTS, take(_SPORT, bytes(4))),
        dport=_decode_pair(_PORTS, take(_DPORT, bytes(4))),
        uidrange=_decode_pair(_UIDS, uids) if uids else None,
        l3mdev=bool(number(take(_L3MDEV, b"\0"), 1)),
        suppress_prefixlength=_decode_signed(take(_SUPPRESS_PREFIXLENGTH, _NONE)),
        suppress_ifgroup=_decode_signed(take(_SUPPRESS_IFGROUP, _NONE)),
        extra=raw(attributes) if attributes else b"",
    )
    return Standing(RuleSlot(family), member, value)


def _decode_prefix(payload: bytes, length: int, width: int) -> bytes:
    """A selector, b"" for all. The address of a prefix may be all zeros and then absent."""
    if not length:
        return b""
    if length > width * 8:
        raise MalformedMessage(f"a prefix length of {length}")
    return address(payload or bytes(width), width) + bytes((length,))


def _decode_pair(layout: Struct, payload: bytes) -> tuple[int, int]:
    if len(payload) != layout.size:
        raise MalformedMessage(f"a range of {layout.size} bytes has {len(payload)}")
    first, last = layout.unpack(payload)
    return first, last


def _decode_signed(payload: bytes) -> int:
    return -1 if payload == _NONE else number(payload)


def encode_rule(slot: RuleSlot, member: RuleMember, value: RuleValue) -> bytes:
    """The body of one RTM_NEWRULE or RTM_DELRULE: struct fib_rule_hdr and its attributes, every one that is set."""
    source, destination = member.source, member.destination
    parts = [
        _HEAD.pack(
            slot.family, destination[-1] if destination else 0, source[-1] if source else 0, member.tos,
            member.table if member.table <= _LAST_SHORT_TABLE else _TABLE_COMPAT, 0, 0, member.action,
            _INVERT if member.inverted else 0,
        ),
        attribute_u32(_PRIORITY, member.priority),
        attribute(_PROTOCOL, bytes((value.protocol,))),
    ]  # fmt: skip
    has_mark = bool(member.fwmark or member.fwmask)
    optional = (
        (bool(source), _SRC, source[:-1]),
        (bool(destination), _DST, destination[:-1]),
        (bool(member.table), _TABLE, _U32(member.table)),
        (bool(member.target), _GOTO, _U32(member.target)),
        (bool(member.iif), _IIF, _encode_name(member.iif)),
        (bool(member.oif), _OIF, _encode_name(member.oif)),
        (has_mark, _FWMARK, _U32(member.fwmark)),
        (has_mark, _FWMASK, _U32(member.fwmask)),
        (bool(member.ipproto), _IPPROTO, bytes((member.ipproto,))),
        (any(member.sport), _SPORT, _PORTS.pack(*member.sport)),
        (any(member.dport), _DPORT, _PORTS.pack(*member.dport)),
        (member.uidrange is not None, _UIDRANGE, _UIDS.pack(*(member.uidrange or (0, 0)))),
        (member.l3mdev, _L3MDEV, b"\1"),
        (member.suppress_prefixlength >= 0, _SUPPRESS_PREFIXLENGTH, _encode_signed(member.suppress_prefixlength)),
        (member.suppress_ifgroup >= 0, _SUPPRESS_IFGROUP, _encode_signed(member.suppress_ifgroup)),
    )
    parts += [attribute(type_, payload) for is_set, type_, payload in optional if is_set]
    if slot.family == IPV4 and not value.extra:  # else a rule with realms is as good (fib4_rule_compare)
        parts.append(attribute_u32(_FLOW, 0))
    return b"".join((*parts, member.extra, value.extra))


def _encode_name(name: str) -> bytes:
    return name.encode(errors="surrogateescape") + b"\0"


def _encode_signed(signed: int) -> bytes:
    return _U32(signed & 0xFFFFFFFF)


def dump_rules(scope: Scope) -> bytes:
    """The body of a request for a dump of one family."""
    return _HEAD.pack(scope.family, 0, 0, 0, 0, 0, 0, 0, 0)
