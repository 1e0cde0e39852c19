"""Netlink messages as values and values as netlink messages: one module a kind, and the table of kinds.

Everything here is pure: bytes in, values out. Here must never live: a socket, pyroute2, a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

from routed.kernel.codec import address, route
from routed.kernel.codec.address import decode_address, dump_addresses, encode_address, encode_address_removal
from routed.kernel.codec.attributes import (
    ACK,
    APPEND,
    CREATE,
    EXCLUSIVE,
    HEADER,
    HEADER_SIZE,
    REPLACE,
    REQUEST,
    MalformedMessage,
    message,
)
from routed.kernel.codec.link import (
    LINKS_REQUEST,
    decode_link,
    encode_link,
    encode_link_change,
    encode_link_removal,
    explain_refusals,
)
from routed.kernel.codec.route import RouteDecoder, dump_routes, route_requests
from routed.kernel.codec.rule import decode_rule, dump_rules, encode_rule
from routed.model.change import Verb
from routed.model.lifetime import Lifetime
from routed.model.names import PROTOCOL_KERNEL, TABLE_LOCAL
from routed.model.objects import AlikeRoutes, Chunk, Kind, RouteSlot, Scope, Slot, Standing, Value

__all__ = ["CODECS", "Codec", "Decoder", "MalformedMessage", "RequestStep", "RouteDecoder", "has_lifetime", "messages"]

_REMOVAL: Final = 1  # of every four message types: new, removal, dump, change (linux/rtnetlink.h)

Requests = Callable[[int, int, Any, Value, Sequence[Any], int], bytes | bytearray]
Decode = Callable[[bytes, int], Chunk]  # (one datagram of a dump, the family of it)
MakeDecoder = Callable[["Decoder"], Decode]


class RequestStep(NamedTuple):
    """One round of requests over the members of an operation."""

    flags: int
    of_before: bool = False  # speaks of what stood there, not of what shall stand
    is_removal: bool = False


RequestSteps = Mapping[Verb, tuple[RequestStep, ...]]

STEPS: Final[RequestSteps] = {
    Verb.ADD: (RequestStep(REQUEST | CREATE | EXCLUSIVE),),
    Verb.REPLACE: (RequestStep(REQUEST | CREATE | REPLACE),),
    Verb.PREPEND: (RequestStep(REQUEST | CREATE),),
    # Not exclusive: behind the one that goes there may stand a stranger's alias, which stays.
    Verb.CHANGE: (RequestStep(REQUEST, of_before=True, is_removal=True), RequestStep(REQUEST | CREATE)),
    Verb.DELETE: (RequestStep(REQUEST, is_removal=True),),
    Verb.APPEND: (RequestStep(REQUEST | CREATE | APPEND),),
}
# A link is marked only after it was made: who dies in between leaves one that counts as somebody else's, and stays.
LINK_STEPS: Final[RequestSteps] = {
    Verb.ADD: (RequestStep(REQUEST | CREATE | EXCLUSIVE), RequestStep(REQUEST)),
    Verb.REPLACE: (RequestStep(REQUEST),),
    Verb.CHANGE: (
        RequestStep(REQUEST, of_before=True, is_removal=True),
        RequestStep(REQUEST | CREATE | EXCLUSIVE),
        RequestStep(REQUEST),
    ),
    Verb.DELETE: (RequestStep(REQUEST, is_removal=True),),
}
# What the kernel learned by itself may stand there: it gives way.
NEIGHBOUR_STEPS: Final[RequestSteps] = {**STEPS, Verb.ADD: STEPS[Verb.REPLACE]}


def _leave_nothing_open(_value: Value) -> Mapping[int, str]:
    return {}


class Lifetimes(NamedTuple):
    """How a kind speaks of objects that go by themselves."""

    has: Callable[[Any], bool]  # value →
    read: Callable[[bytes, int, int], Lifetime | None]  # (datagram, start, end) → what is left of the object there
    put: Callable[[Any, Lifetime], Value]  # (value, what is left) → as it is asked for


class Codec(NamedTuple):
    """What is needed to speak of one kind of object."""

    new: int  # RTM_NEW…; the removal is the next number, the dump the one after it
    dump_body: Callable[[Scope], bytes]
    # (nlmsg_type, flags, slot, value, members, base) → requests with the sequence numbers base, base + 1 …, the last
    # with NLM_F_ACK
    requests: Requests
    make_decoder: MakeDecoder
    steps: RequestSteps = STEPS
    # value → errno → what the kernel's words about it leave open, of a request for this value
    hints: Callable[[Any], Mapping[int, str]] = _leave_nothing_open
    lifetimes: Lifetimes | None = None  # None: what stands, stays
    is_noise: Callable[[Standing | AlikeRoutes], bool] | None = None  # what is left out of a dump of everything
    # (datagram, start, end) → of an event that says of an object that it is none any more: which; None of any other
    read_end: Callable[[bytes, int, int], Standing | None] | None = None
    group: int = 0  # RTNLGRP_… of its events, heard where a file uses the kind; 0: they are always heard

    @property
    def delete(self) -> int:
        """RTM_DEL…."""
        return self.new + 1

    @property
    def get(self) -> int:
        """RTM_GET…."""
        return self.new + 2


class Decoder:
    """Decodes whole datagrams of a dump. Holds the memo of route shapes and the count of malformed messages."""

    def __init__(self) -> None:
        self.routes = RouteDecoder()
        self._malformed = 0
        self._decoders = {kind: codec.make_decoder(self) for kind, codec in CODECS.items()}

    @property
    def malformed(self) -> int:
        """Messages that were skipped because they could not be read."""
        return self._malformed + self.routes.malformed

    def decode(self, kind: Kind, data: bytes, family: int) -> list[Standing]:
        """The objects of one datagram, in the kernel's order. What is malformed is skipped and counted."""
        chunk = self.decode_chunk(kind, data, family)
        return chunk.spread() if isinstance(chunk, AlikeRoutes) else chunk

    def decode_chunk(self, kind: Kind, data: bytes, family: int) -> Chunk:
        """The same, as AlikeRoutes where the objects are routes that differ in their prefix only."""
        return self._decoders[kind](data, family)

    def count_malformed(self) -> None:
        """Note a message that was skipped elsewhere."""
        self._malformed += 1


def has_lifetime(kind: Kind, value: Value) -> bool:
    """Does an object with this content go by itself?"""
    lifetimes = CODECS[kind].lifetimes if kind in CODECS else None
    return lifetimes is not None and lifetimes.has(value)


def messages(data: bytes) -> list[tuple[int, int, int, int]]:
    """The messages of one datagram: (nlmsg_type, nlmsg_flags, start, end), up to one that is cut short."""
    found = []
    start, size = 0, len(data)
    while start + HEADER.size <= size:
        length, type_, flags, _, _ = HEADER.unpack_from(data, start)
        end = start + length
        if length < HEADER.size or end > size:
            break
        found.append((type_, flags, start, end))
        start += (length + 3) & ~3
    return found


def _each(decode: Callable[[bytes, int, int], Standing | None]) -> MakeDecoder:
    """One message after another."""

    def make_decoder(decoder: Decoder) -> Decode:
        def decode_all(data: bytes, _family: int) -> list[Standing]:
            found: list[Standing] = []
            for _, _, start, end in messages(data):
                try:
                    standing = decode(data, start, end)
                except MalformedMessage:
                    decoder.count_malformed()
                else:
                    if standing is not None:
                        found.append(standing)
            return found

        return decode_all

    return make_decoder


def _all_at_once(decoder: Decoder) -> Decode:
    """Routes that differ in their prefix only are left together."""

    def decode_chunk(data: bytes, family: int) -> Chunk:
        alike = decoder.routes.decode_alike(data, family) if len(data) > HEADER.size else None
        return alike or decoder.routes.decode_all(data, family)

    return decode_chunk


def _standing_address(data: bytes, start: int, end: int) -> Standing | None:
    decoded = decode_address(data, start, end)
    return decoded and decoded[0]


def _standing_link(data: bytes, start: int, end: int) -> Standing | None:
    decoded = decode_link(data, start, end)
    return decoded and decoded[0]


def _is_kernels_own(route: Standing | AlikeRoutes) -> bool:
    """Is it what the kernel itself keeps in table local?"""
    slot = route.slot
    assert isinstance(slot, RouteSlot)
    return slot.table == TABLE_LOCAL and route.value.protocol == PROTOCOL_KERNEL


def _link_dump(_scope: Scope) -> bytes:
    return LINKS_REQUEST


Encode = Callable[[Any, Any, Value], bytes]


def _one_by_one(add: Encode, remove: Encode, change: Encode | None = None) -> Requests:
    """``change`` is for requests that may not create anything."""

    def requests(type_: int, flags: int, slot: Slot, value: Value, members: Sequence[Any], base: int) -> bytes:
        is_removal = type_ & 3 == _REMOVAL
        encode = remove if is_removal else add if flags & CREATE or change is None else change
        last = base + len(members) - 1
        return b"".join(
            message(type_, flags | ACK if sequence == last else flags, sequence, encode(slot, member, value))
            for sequence, member in enumerate(members, base)
        )

    return requests


def _later(name: str) -> Callable[..., Any]:
    """A function of a module of a kind that few use, imported when it is called: ``module.function``."""
    module, _, function = name.partition(".")

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"{__name__}.{module}"), function)(*arguments)

    return call


def _dump_all(_scope: Scope) -> bytes:
    """A request without conditions, with a head of eight bytes."""
    return bytes(8)


_STATE_AT: Final = HEADER_SIZE + 8  # ndm_state and ndm_flags of struct ndmsg, linux/neighbour.h
_PERMANENT: Final = 0x80
_PROXY: Final = 0x08


def _decode_neighbour(*, is_proxy: bool) -> Callable[[bytes, int, int], Standing | None]:
    """Of neighbours those that stay: there may be thousands of others. Proxies come by dumps of their own."""
    decode = _later("neighbour.decode_neighbour")

    def decode_kept(data: bytes, start: int, end: int) -> Standing | None:
        if end < start + _STATE_AT + 4:
            return None
        state, flags = data[start + _STATE_AT], data[start + _STATE_AT + 2]
        is_kept = bool(flags & _PROXY) is is_proxy and (is_proxy or state & _PERMANENT)
        found: Standing | None = decode(data, start, end) if is_kept else None
        return found

    return decode_kept


def _read_end_of_neighbour(data: bytes, start: int, end: int) -> Standing | None:
    """One that may be forgotten from now on: before the kernel deletes one it lets it fail (neigh_delete)."""
    is_whole = end >= start + _STATE_AT + 4
    if not is_whole or data[start + _STATE_AT] & _PERMANENT or data[start + _STATE_AT + 2] & _PROXY:
        return None
    found: Standing | None = _later("neighbour.decode_neighbour")(data, start, end)
    return found


def _dump_neighbours(scope: Scope) -> bytes:
    return bytes((scope.family,)) + bytes(11)


def _dump_proxies(scope: Scope) -> bytes:
    return bytes((scope.family,)) + bytes(9) + bytes((_PROXY, 0))


CODECS: Final = {
    Kind.LINK: Codec(
        16,
        _link_dump,
        _one_by_one(encode_link, encode_link_removal, encode_link_change),
        _each(_standing_link),
        LINK_STEPS,
        hints=explain_refusals,
    ),
    Kind.ADDRESS: Codec(
        20,
        dump_addresses,
        _one_by_one(encode_address, encode_address_removal),
        _each(_standing_address),
        lifetimes=Lifetimes(address.has_lifetime, address.read_lifetime, address.put_lifetime),
    ),
    Kind.NEIGHBOUR: Codec(
        28,
        _dump_neighbours,
        _one_by_one(_later("neighbour.encode_neighbour"), _later("neighbour.encode_neighbour_removal")),
        _each(_decode_neighbour(is_proxy=False)),
        NEIGHBOUR_STEPS,
        read_end=_read_end_of_neighbour,
        group=3,
    ),
    Kind.PROXY: Codec(
        28,
        _dump_proxies,
        _one_by_one(_later("neighbour.encode_proxy"), _later("neighbour.encode_proxy_removal")),
        _each(_decode_neighbour(is_proxy=True)),
        NEIGHBOUR_STEPS,
    ),
    Kind.NEXTHOP: Codec(
        104,
        _dump_all,
        _one_by_one(_later("nexthop.encode_nexthop"), _later("nexthop.encode_nexthop_removal")),
        _each(_later("nexthop.decode_nexthop")),
        hints=_later("nexthop.explain_refusals"),
        group=32,
    ),
    Kind.ROUTE: Codec(
        24,
        dump_routes,
        route_requests,
        _all_at_once,
        hints=route.explain_refusals,
        lifetimes=Lifetimes(route.has_lifetime, route.read_lifetime, route.put_lifetime),
        is_noise=_is_kernels_own,
    ),
    Kind.RULE: Codec(32, dump_rules, _one_by_one(encode_rule, encode_rule), _each(decode_rule)),
}
