"""Routes as rtnetlink writes them (struct rtmsg and RTA_*), both ways.

Here belongs the hot path: a million routes go through ``decode_routes`` and ``route_requests``. Here must never live: a
socket, or an opinion about which routes matter.
Source: include/uapi/linux/rtnetlink.h; fib_dump_info in net/ipv4/fib_semantics.c; rt6_fill_node in net/ipv6/route.c.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from struct import Struct
from typing import Final, NamedTuple

from routed.kernel.codec.attributes import (
    ACK,
    CREATE,
    HEADER,
    HEADER_SIZE,
    MalformedMessage,
    address,
    aligned,
    attribute,
    attribute_text,
    attribute_u32,
    head,
    message,
    number,
    raw,
    sort_nested,
    text,
    walk,
)
from routed.model.lifetime import Lifetime
from routed.model.names import RTAX_CC_ALGO, RTAX_LOCK, TYPES_WITHOUT_HOP, UNICAST
from routed.model.net import ADDRESS_LENGTH, FAMILY_OF_LENGTH, IPV4, IPV6
from routed.model.objects import AlikeRoutes, Hop, RouteSlot, RouteValue, Scope, Standing
from routed.model.prefixes import Packed

HEAD: Final = Struct("=BBBBBBBBI")  # struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
_HOP: Final = Struct("=HBBi")  # struct rtnexthop: length, flags, hops, ifindex
_VIA_FAMILY: Final = Struct("=H")
_LENGTH: Final = Struct("=I")
_NUMBER: Final = Struct("=I").pack

_DST, _SRC, _OIF, _GATEWAY, _PRIORITY, _PREFSRC = 1, 2, 4, 5, 6, 7
_METRICS, _MULTIPATH, _FLOW, _CACHEINFO, _TABLE = 8, 9, 11, 12, 15
_VIA, _NEWDST, _PREF, _ENCAP_TYPE, _ENCAP, _EXPIRES, _NH_ID = 18, 19, 20, 21, 22, 23, 30

_OF_A_HOP: Final = (_FLOW, _NEWDST, _ENCAP_TYPE, _ENCAP)  # what may differ from leg to leg, beside gateway and link
_ONLINK: Final = 0x4  # RTNH_F_ONLINK; dead, linkdown, offload and trap are state and never read
_CLONED: Final = 0x200  # RTM_F_CLONED: an entry of a cache, no route
_TABLE_COMPAT: Final = 252  # RT_TABLE_COMPAT: the number does not fit a byte, see RTA_TABLE
_LAST_SHORT_TABLE: Final = 255
_EXPIRES_OFFSET: Final = slice(8, 12)  # rta_expires in struct rta_cacheinfo
_LOOPBACK: Final = 1  # the ifindex of lo in every network namespace
_NO_EXPIRY: Final = bytes(4)
_USER_HZ: Final = 100  # in which the kernel counts what it tells of time, on every machine that has systemd
_PREF_MEDIUM: Final = b"\0"

_SEQUENCE_AT: Final = 8
_PORT_AT: Final = 12
_OF_ROUTES: Final = (24, 25)  # RTM_NEWROUTE, RTM_DELROUTE

# Where the parts of a message with the usual layout lie: header, rtmsg, RTA_TABLE, RTA_DST, the rest.
FAMILY_AT: Final = HEADER_SIZE
DST_LEN_AT: Final = HEADER_SIZE + 1
TABLE_AT: Final = HEADER_SIZE + 4
PROTOCOL_AT: Final = HEADER_SIZE + 5
DST_AT: Final = HEADER_SIZE + HEAD.size + 8 + 4
TABLE_HEAD: Final = attribute_u32(_TABLE, 0)[:4]
DST_HEADS: Final = {width: attribute(_DST, bytes(width))[:4] for width in ADDRESS_LENGTH.values()}

_FEW: Final = 8  # routes that are decoded one by one
_MEMO_LIMIT: Final = 4096  # shapes; beyond that the memo starts anew


class _Layout(NamedTuple):
    """What a family decides about the bytes of a route."""

    width: int
    memo: dict[bytes, tuple[RouteSlot, RouteValue]]


class RouteDecoder:
    """Decodes routes, and remembers every *shape* that it has seen.

    A shape is the whole message but its header, ``rtm_dst_len`` and the payload of RTA_DST. Routes of one shape share
    one slot and one value, so only the first of them is decoded; the others cost two slices and a look-up. A message
    of another layout (a default route has no RTA_DST) is never remembered, and its shape never equals a remembered
    one, since the header of RTA_DST is part of the shape.
    """

    def __init__(self) -> None:
        self._layouts = {family: _Layout(width, {}) for family, width in ADDRESS_LENGTH.items()}
        self.malformed = 0

    def decode(self, data: bytes, start: int, end: int) -> Standing | None:
        """One route, from its netlink header at ``start``. None for a cloned entry and for other families.

        Raises MalformedMessage.
        """
        layout = self._layouts.get(data[start + FAMILY_AT]) if start + DST_AT <= end else None
        if layout is None:
            return _leave_out_shown(decode_route(data, start, end))
        dst = start + DST_AT
        rest = dst + layout.width
        shape = data[start + DST_LEN_AT + 1 : dst] + data[rest:end]
        shared = layout.memo.get(shape)
        if shared is not None and rest <= end <= len(data):
            prefix = data[dst:rest] + data[start + DST_LEN_AT : start + DST_LEN_AT + 1]
            return Standing(shared[0], prefix, shared[1])
        return self._learn(layout, shape, data, start, end)

    def decode_all(self, data: bytes, family: int) -> list[Standing]:
        """All routes of one datagram of a dump of one family. What is malformed is skipped and counted."""
        layout = self._layouts[family]
        recall = layout.memo.get
        width = layout.width
        dst_len_at, dst_at, rest_at = DST_LEN_AT, DST_AT, DST_AT + width
        routes: list[Standing] = []
        append, length_at, new, standing = routes.append, _LENGTH.unpack_from, tuple.__new__, Standing
        start, size = 0, len(data)
        while start + HEADER_SIZE <= size:
            (length,) = length_at(data, start)
            end = start + length
            dst, rest = start + dst_at, start + rest_at
            shape = data[start + dst_len_at + 1 : dst] + data[rest:end]
            shared = recall(shape)
            if shared is not None and rest <= end <= size:
                dst_len = start + dst_len_at
                append(new(standing, (shared[0], data[dst:rest] + data[dst_len : dst_len + 1], shared[1])))
            elif length >= HEADER_SIZE and end <= size:
                self._append_decoded(routes, layout, shape, data, start, end)
            else:
                self.malformed += 1  # where the next one begins is not known
                break
            start += (length + 3) & ~3
        return routes

    def decode_alike(self, data: bytes, family: int) -> AlikeRoutes | None:
        """All routes of one datagram where they differ in their prefix only, at a twentieth of the price.

        None where they do not, or where it is not worth the look. The bytes of the prefixes are taken out column by
        column, as ``route_requests`` lays them in; what is left must be one message, repeated.
        """
        layout = self._layouts[family]
        (length,) = _LENGTH.unpack_from(data)
        count, rest = divmod(len(data), length) if length > DST_AT + layout.width and not length & 3 else (0, 1)
        if rest or count < _FEW:
            return None
        with suppress(MalformedMessage):
            self.decode(data, 0, length)  # so that its shape is known
        shared = layout.memo.get(data[DST_LEN_AT + 1 : DST_AT] + data[DST_AT + layout.width : length])
        if shared is None:
            return None
        width, blank = layout.width + 1, bytes(count)
        body, packed = bytearray(data), bytearray(count * width)
        for column, at in enumerate((*range(DST_AT, DST_AT + layout.width), DST_LEN_AT)):
            packed[column::width] = data[at::length]
            body[at::length] = blank
        if body != body[:length] * count or max(packed[layout.width :: width]) > layout.width * 8:
            return None
        return AlikeRoutes(shared[0], Packed(bytes(packed), width), shared[1])

    def _append_decoded(
        self, routes: list[Standing], layout: _Layout, shape: bytes, data: bytes, start: int, end: int
    ) -> None:
        try:
            route = self._learn(layout, shape, data, start, end)
        except MalformedMessage:
            self.malformed += 1
        else:
            if route is not None:
                routes.append(route)

    def _learn(self, layout: _Layout, shape: bytes, data: bytes, start: int, end: int) -> Standing | None:
        """Decode in full, and remember the shape where the layout is the usual one."""
        route = _leave_out_shown(decode_route(data, start, end))
        if route is None:
            return None
        if is_usual(data, start, end, layout.width):
            if len(layout.memo) >= _MEMO_LIMIT:
                layout.memo.clear()
            assert isinstance(route.slot, RouteSlot)
            layout.memo[shape] = (route.slot, route.value)
        return route


def is_usual(data: bytes, start: int, end: int, width: int) -> bool:
    """Does a message begin with RTA_TABLE and RTA_DST?"""
    dst = start + DST_AT
    heads = data[dst - 12 : dst - 8], data[dst - 4 : dst]
    return dst + width <= end and heads == (TABLE_HEAD, DST_HEADS[width])


def shape_of_notification(data: bytes) -> bytes:
    """A datagram without what differs where one change was made to many routes: sequence number and prefix."""
    width = ADDRESS_LENGTH.get(data[FAMILY_AT]) if len(data) > DST_AT else None
    if width is None:
        return data
    return data[:_SEQUENCE_AT] + data[_PORT_AT:DST_LEN_AT] + data[DST_LEN_AT + 1 : DST_AT] + data[DST_AT + width :]


def take_prefixes(notifications: Sequence[bytes]) -> list[bytes] | None:
    """The prefixes of some of one shape, one message each. None where these are not routes of the usual layout."""
    first = notifications[0]
    if len(first) <= DST_AT:
        return None
    length, type_, *_ = HEADER.unpack_from(first)
    width = ADDRESS_LENGTH.get(first[FAMILY_AT]) if type_ in _OF_ROUTES else None
    if width is None or length != len(first) or not is_usual(first, 0, length, width):
        return None
    rest = DST_AT + width
    return [data[DST_AT:rest] + data[DST_LEN_AT : DST_LEN_AT + 1] for data in notifications]


def decode_route(data: bytes, start: int, end: int) -> Standing | None:
    """One route, from its netlink header at ``start``, decoded in full.

    With a next hop object it has the hops that the kernel shows of that one. None for a cloned entry and for families
    that routed does not keep. Raises MalformedMessage.
    """
    family, dst_len, src_len, tos, table, protocol, scope, type_, flags = head(HEAD, data, start + HEADER_SIZE, end)
    width = ADDRESS_LENGTH.get(family)
    if width is None or flags & _CLONED:
        return None
    attributes = walk(data, start + HEADER_SIZE + HEAD.size, end)
    take = attributes.pop
    if max(dst_len, src_len) > width * 8:
        raise MalformedMessage(f"a prefix length of {max(dst_len, src_len)}")
    prefix = address(take(_DST, bytes(width)), width) + bytes((dst_len,))
    source = address(take(_SRC, bytes(width)), width) + bytes((src_len,)) if src_len else b""
    if _TABLE in attributes:
        table = number(take(_TABLE))
    metric = number(take(_PRIORITY, bytes(4)))
    src = take(_PREFSRC, b"")
    metrics, lock = _decode_metrics(take(_METRICS, b""))
    hops = _decode_hops(attributes, flags)
    if take(_CACHEINFO, b"")[_EXPIRES_OFFSET] not in (b"", _NO_EXPIRY):
        attributes[_EXPIRES] = b""  # the mark alone: the seconds that are left would differ in every dump
    if attributes.get(_PREF) == _PREF_MEDIUM:
        del attributes[_PREF]
    value = RouteValue(
        type=type_,
        protocol=protocol,
        scope=scope if family == IPV4 else 0,
        hops=() if type_ in TYPES_WITHOUT_HOP else hops,
        src=src,
        metrics=metrics,
        lock=lock,
        nhid=number(take(_NH_ID, bytes(4))),
        extra=raw(attributes) if attributes else b"",
    )
    return Standing(RouteSlot(family, table, metric, tos, source), prefix, value)


def _leave_out_shown(route: Standing | None) -> Standing | None:
    """The route without where its next hop object leads: that is another object, and may be another one tomorrow.

    Of one that leads nowhere the kernel shows the routes as blackholes (fib_dump_info, rt6_fill_node).
    """
    if route is None or not route.value.nhid:
        return route
    return route._replace(value=route.value._replace(type=UNICAST, hops=()))


def take_source(value: RouteValue) -> tuple[bytes, RouteValue]:
    """The source prefix that stands among the attributes of a value, and the value without; ``b""`` for none.

    There, with its length as a last byte, it stood before it was a part of the slot: in files that were written then.
    Raises MalformedMessage.
    """
    attributes = walk(value.extra, 0, len(value.extra))
    source = attributes.pop(_SRC, b"")
    return source, value._replace(extra=raw(attributes)) if source else value


def _decode_hops(attributes: dict[int, bytes], flags: int) -> tuple[Hop, ...]:
    """Take what belongs to the next hops out of the attributes of a route; in the kernel's order."""
    legs = attributes.pop(_MULTIPATH, None)
    if legs is None:
        hop = _decode_hop(attributes, number(attributes.pop(_OIF, bytes(4))), 1, flags)
        return (hop,) if hop.dev or hop.gateway else ()
    hops: list[Hop] = []
    start = 0
    while start < len(legs):
        length, leg_flags, weight, dev = head(_HOP, legs, start, len(legs))
        if length < _HOP.size or start + length > len(legs):
            raise MalformedMessage(f"a next hop claims {length} bytes of {len(legs) - start}")
        of_leg = walk(legs, start + _HOP.size, start + length)
        hops.append(_decode_hop(of_leg, dev, weight + 1, leg_flags))
        start += aligned(length)
    return tuple(hops)


def _decode_hop(attributes: dict[int, bytes], dev: int, weight: int, flags: int) -> Hop:
    gateway = attributes.pop(_GATEWAY, b"")
    via = attributes.pop(_VIA, b"")
    if via:
        gateway = via[2:]  # struct rtvia: a family of 16 bits, then the address
    if gateway and len(gateway) not in FAMILY_OF_LENGTH:
        raise MalformedMessage(f"a gateway of {len(gateway)} bytes")
    extra = {type_: attributes.pop(type_) for type_ in _OF_A_HOP if type_ in attributes}
    if _ENCAP in extra:
        extra[_ENCAP] = sort_nested(extra[_ENCAP])
    return Hop(dev, gateway, weight, bool(flags & _ONLINK), raw(extra) if extra else b"")


def _decode_metrics(payload: bytes) -> tuple[tuple[tuple[int, int | str], ...], int]:
    """RTA_METRICS: (number, value) sorted, and the mask of those that are locked."""
    if not payload:
        return (), 0
    metrics = walk(payload, 0, len(payload))
    lock = number(metrics.pop(RTAX_LOCK, bytes(4)))
    return tuple((n, text(p) if n == RTAX_CC_ALGO else number(p)) for n, p in sorted(metrics.items())), lock


def encode_route(slot: RouteSlot, prefix: bytes, value: RouteValue, *, is_removal: bool = False) -> bytes:
    """The body of one RTM_NEWROUTE or RTM_DELROUTE: struct rtmsg and its attributes, in the usual layout.

    A removal carries the full specification, so that only this very alias goes (fib_table_delete in
    net/ipv4/fib_trie.c, ip6_route_del in net/ipv6/route.c).
    """
    extra = walk(value.extra, 0, len(value.extra))
    if not extra.get(_EXPIRES, b"x"):
        del extra[_EXPIRES]
    # the kernel refuses both; the object says it all. It stood among the attributes in files that were written before
    hops = () if value.nhid or _NH_ID in extra else value.hops
    if is_removal and slot.family == IPV6 and value.type in TYPES_WITHOUT_HOP:
        hops = (Hop(_LOOPBACK),)  # else the first route of that metric would go, whatever its type
    flags = _ONLINK if len(hops) == 1 and hops[0].onlink else 0
    table = slot.table if slot.table <= _LAST_SHORT_TABLE else _TABLE_COMPAT
    parts = [
        HEAD.pack(
            slot.family, prefix[-1], slot.source[-1] if slot.source else 0, slot.tos, table,
            value.protocol, value.scope, value.type, flags,
        ),
        attribute_u32(_TABLE, slot.table),
        attribute(_DST, prefix[:-1]),
        attribute_u32(_PRIORITY, slot.metric),
    ]  # fmt: skip
    if len(hops) == 1:
        parts.append(_encode_hop(slot.family, hops[0]))
        if hops[0].dev:
            parts.append(attribute_u32(_OIF, hops[0].dev))
    elif hops:
        parts.append(attribute(_MULTIPATH, b"".join(_encode_leg(slot.family, hop) for hop in hops)))
    if value.src:
        parts.append(attribute(_PREFSRC, value.src))
    if value.metrics or value.lock:
        parts.append(attribute(_METRICS, _encode_metrics(value)))
    if slot.source:
        parts.append(attribute(_SRC, slot.source[:-1]))
    if value.nhid:
        parts.append(attribute_u32(_NH_ID, value.nhid))
    parts.append(raw(extra))
    return b"".join(parts)


def explain_refusals(value: RouteValue) -> Mapping[int, str]:
    """What the kernel's words leave open: which encapsulations it has."""
    for hop in value.hops:
        if hop.extra and _ENCAP in (extra := walk(hop.extra, 0, len(hop.extra))):
            from routed.model import encap  # noqa: PLC0415  only who has one pays for it

            return encap.explain_refusals(extra.get(_ENCAP_TYPE, b""), extra[_ENCAP])
    return {}


def has_lifetime(value: RouteValue) -> bool:
    """Does it go by itself?"""
    return bool(value.extra) and _EXPIRES in walk(value.extra, 0, len(value.extra))


def read_lifetime(data: bytes, start: int, end: int) -> Lifetime | None:
    """What is left of the route in this message, from its netlink header at ``start``; None where it stays.

    Source: rtnl_put_cacheinfo in net/core/rtnetlink.c.
    """
    left = walk(data, start + HEADER_SIZE + HEAD.size, end).get(_CACHEINFO, b"")[_EXPIRES_OFFSET]
    return Lifetime(-(-number(left) // _USER_HZ)) if left not in (b"", _NO_EXPIRY) else None


def put_lifetime(value: RouteValue, lifetime: Lifetime) -> RouteValue:
    """The route as it is asked for when only so many seconds of it are left."""
    extra = walk(value.extra, 0, len(value.extra)) | {_EXPIRES: _NUMBER(lifetime.valid)}
    return value._replace(extra=raw(extra))


def _encode_hop(family: int, hop: Hop) -> bytes:
    if not hop.gateway:
        return hop.extra
    gateway_family = FAMILY_OF_LENGTH[len(hop.gateway)]
    if gateway_family == family:
        return attribute(_GATEWAY, hop.gateway) + hop.extra
    return attribute(_VIA, _VIA_FAMILY.pack(gateway_family) + hop.gateway) + hop.extra


def _encode_leg(family: int, hop: Hop) -> bytes:
    attributes = _encode_hop(family, hop)
    return _HOP.pack(_HOP.size + len(attributes), _ONLINK if hop.onlink else 0, hop.weight - 1, hop.dev) + attributes


def _encode_metrics(value: RouteValue) -> bytes:
    lock = attribute_u32(RTAX_LOCK, value.lock) if value.lock else b""
    return lock + b"".join(
        attribute_text(n, metric) if isinstance(metric, str) else attribute_u32(n, metric)
        for n, metric in value.metrics
    )


def route_requests(
    type_: int, flags: int, slot: RouteSlot, value: RouteValue, prefixes: Sequence[bytes], base: int
) -> bytes | bytearray:
    """Requests for many prefixes that share everything else, one after another.

    Their sequence numbers are ``base``, ``base`` + 1 …. The last one asks for an acknowledgement. Everything is packed
    once and repeated; then the bytes that differ are laid into it column by column: byte *n* of all prefixes is one
    slice with the message length as its step. So a route costs some 0.1 µs.
    """
    count = len(prefixes)
    is_removal = not flags & CREATE
    body = encode_route(slot, prefixes[0], value, is_removal=is_removal)
    if count == 1:  # a repair is waited for
        return message(type_, flags | ACK, base, body)
    first = message(type_, flags, base, body)
    length = len(first)
    requests = bytearray(first * count)
    width = len(prefixes[0]) - 1
    joined = prefixes.packed if isinstance(prefixes, Packed) else b"".join(prefixes)
    numbers = b"".join(map(_NUMBER, range(base, base + count)))
    for column in range(4):
        requests[8 + column :: length] = numbers[column::4]
    for column in range(width):
        requests[DST_AT + column :: length] = joined[column :: width + 1]
    requests[DST_LEN_AT::length] = joined[width :: width + 1]
    HEADER.pack_into(requests, (count - 1) * length, *HEADER.unpack_from(first)[:2], flags | ACK, base + count - 1, 0)
    return requests


def dump_routes(scope: Scope) -> bytes:
    """The body of a request for a dump of what a scope names, or of everything."""
    head = HEAD.pack(scope.family, 0, 0, 0, 0, scope.protocol, 0, scope.type, 0)
    return head + attribute_u32(_TABLE, scope.table) if scope.table else head
