"""Netlink messages as values and values as netlink messages: one module a kind, and the table of kinds.

Everything here is pure: bytes in, values out. Here must never live: a socket, pyroute2, a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

from routed.kernel.codec.address import decode_address, encode_address, encode_address_removal
from routed.kernel.codec.attributes import ACK, CREATE, HEADER, MalformedMessage, attribute_u32, message
from routed.kernel.codec.route import RouteDecoder, route_requests
from routed.kernel.codec.rule import decode_rule, encode_rule
from routed.model.objects import Kind, Scope, Slot, Standing, Value

__all__ = ["CODECS", "Codec", "Decoder", "MalformedMessage", "RouteDecoder", "messages"]

_ROUTE_HEAD: Final = Struct("=BBBBBBBBI")  # struct rtmsg
_RULE_HEAD: Final = Struct("=BBBBBBBBI")  # struct fib_rule_hdr
_ADDRESS_HEAD: Final = Struct("=BBBBI")  # struct ifaddrmsg
_RTA_TABLE: Final = 15

Requests = Callable[[int, int, Any, Value, Sequence[Any]], bytes | bytearray]


class Codec(NamedTuple):
    """What is needed to speak of one kind of object."""

    new: int  # RTM_NEW…; the removal is the next number, the dump the one after it
    dump_body: Callable[[Scope], bytes]
    # (nlmsg_type, flags, slot, value, members) → requests with the sequence numbers 1, 2, 3 …, the last with NLM_F_ACK
    requests: Requests

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
        self._decoders: dict[Kind, Callable[[bytes, int], list[Standing]]] = {
            Kind.ROUTE: self.routes.decode_all,
            Kind.RULE: self._each(decode_rule),
            Kind.ADDRESS: self._each(_standing_address),
        }

    @property
    def malformed(self) -> int:
        """Messages that were skipped because they could not be read."""
        return self._malformed + self.routes.malformed

    def decode(self, kind: Kind, data: bytes, family: int) -> list[Standing]:
        """The objects of one datagram, in the kernel's order. What is malformed is skipped and counted."""
        return self._decoders[kind](data, family)

    def count_malformed(self) -> None:
        """Note a message that was skipped elsewhere."""
        self._malformed += 1

    def _each(self, decode: Callable[[bytes, int, int], Standing | None]) -> Callable[[bytes, int], list[Standing]]:
        def decode_all(data: bytes, _family: int) -> list[Standing]:
            found: list[Standing] = []
            for _, _, start, end in messages(data):
                try:
                    standing = decode(data, start, end)
                except MalformedMessage:
                    self._malformed += 1
                else:
                    if standing is not None:
                        found.append(standing)
            return found

        return decode_all


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


def _standing_address(data: bytes, start: int, end: int) -> Standing | None:
    decoded = decode_address(data, start, end)
    return decoded and decoded[0]


def _route_dump(scope: Scope) -> bytes:
    head = _ROUTE_HEAD.pack(scope.family, 0, 0, 0, 0, scope.protocol, 0, 0, 0)
    return head + attribute_u32(_RTA_TABLE, scope.table) if scope.table else head


def _rule_dump(scope: Scope) -> bytes:
    return _RULE_HEAD.pack(scope.family, 0, 0, 0, 0, 0, 0, 0, 0)


def _address_dump(scope: Scope) -> bytes:
    return _ADDRESS_HEAD.pack(scope.family, 0, 0, 0, 0)


def _one_by_one(add: Callable[[Any, Any, Value], bytes], remove: Callable[[Any, Any, Value], bytes]) -> Requests:
    def requests(type_: int, flags: int, slot: Slot, value: Value, members: Sequence[Any]) -> bytes:
        encode = add if flags & CREATE else remove
        last = len(members)
        return b"".join(
            message(type_, flags | ACK if sequence == last else flags, sequence, encode(slot, member, value))
            for sequence, member in enumerate(members, 1)
        )

    return requests


CODECS: Final = {
    Kind.ADDRESS: Codec(20, _address_dump, _one_by_one(encode_address, encode_address_removal)),
    Kind.ROUTE: Codec(24, _route_dump, route_requests),
    Kind.RULE: Codec(32, _rule_dump, _one_by_one(encode_rule, encode_rule)),
}
