"""Which route decides about a packet? RTM_GETROUTE with RTM_F_FIB_MATCH, and all that a rule may select by.

Source: inet_rtm_getroute in net/ipv4/route.c, inet6_rtm_getroute in net/ipv6/route.c. Without an incoming link an IPv4
source has to be an address of this host; with one the host has to forward. Here must never live: what to ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from errno import EAGAIN, EBUSY, EINTR, ENOBUFS, ENOMEM
from os import strerror
from struct import Struct
from typing import Final

from routed.kernel.codec.attributes import (
    HEADER,
    HEADER_SIZE,
    REQUEST,
    MalformedMessage,
    attribute,
    attribute_u32,
    head,
    message,
    number,
    raw,
    walk,
)
from routed.kernel.codec.route import HEAD, decode_route
from routed.kernel.gateways import FIB_MATCH
from routed.kernel.requests import RequestSocket
from routed.model.lookup import Decision, Question, Sent
from routed.model.names import PROTOCOL_KERNEL, TABLE_LOCAL, TABLE_MAIN
from routed.model.net import ADDRESS_LENGTH, FAMILIES, IPV4, family_of
from routed.model.objects import RouteSlot, Standing

_NEW_ROUTE, _GET_ROUTE = 24, 26
_DST, _SRC, _IIF, _OIF, _GATEWAY, _PREFSRC, _MARK, _VIA = 1, 2, 3, 4, 5, 7, 16, 18
_UID, _IP_PROTO, _SPORT, _DPORT = 25, 27, 28, 29
_PLAIN: Final = dict.fromkeys(FAMILIES, 0)
_LOCALHOST: Final = bytes((127, 0, 0, 1))
_PORT: Final = Struct("!H")
_ERROR: Final = Struct("=i")  # nlmsgerr.error
_ANSWER: Final = 1 << 16  # bytes
_OF_TABLE_LOCAL: Final = frozenset({2, 3})  # RTN_LOCAL, RTN_BROADCAST
# The kernel, or this host, is short of something: nothing is said of the packet.
_NO_ANSWER: Final = frozenset({EAGAIN, EBUSY, EINTR, ENOBUFS, ENOMEM})


def find_winner(requests: RequestSocket, question: Question, links: Mapping[str, int]) -> Decision:
    """Ask the kernel. ``links`` are the ifindexes of those that the question names. Raises OSError."""
    answer, errno = _ask(requests, _pack(question, links, FIB_MATCH))
    if errno:
        return Decision(errno=errno)
    try:
        return Decision(_name_table(_leave_out_entrance(decode_route(answer, 0, len(answer)))))
    except MalformedMessage as error:
        raise OSError(EBUSY, str(error)) from error


def find_way(requests: RequestSocket, question: Question, links: Mapping[str, int]) -> Sent:
    """The same without the route: how such a packet would be sent. Raises OSError."""
    answer, errno = _ask(requests, _pack(question, links, _PLAIN))
    if errno:
        return Sent(errno)
    try:
        type_ = head(HEAD, answer, HEADER_SIZE, len(answer))[7]
        attributes = walk(answer, HEADER_SIZE + HEAD.size, len(answer))
        gateway = attributes.get(_GATEWAY) or attributes.get(_VIA, b"")[2:]
        return Sent(0, type_, number(attributes.get(_OIF, bytes(4))), gateway, attributes.get(_PREFSRC, b""))
    except MalformedMessage as error:
        raise OSError(EBUSY, str(error)) from error


def has_merged_tables(requests: RequestSocket, own: Iterable[bytes]) -> bool:
    """IPv4: are tables local and main still one? They are until somebody adds or deletes a rule.

    The kernel then says of an address of this host that table main decides (see ``_name_table``). Raises OSError.
    """
    address = min((one for one in own if len(one) == ADDRESS_LENGTH[IPV4]), default=_LOCALHOST)
    answer, _ = _ask(requests, _pack(Question(address), {}, FIB_MATCH))
    winner = decode_route(answer, 0, len(answer)) if answer else None
    return winner is not None and winner.value.type in _OF_TABLE_LOCAL and winner.slot[1] == TABLE_MAIN  # type: ignore[index]


def _ask(requests: RequestSocket, body: bytes) -> tuple[bytes, int]:
    """The kernel's RTM_NEWROUTE, or the error that stands for what drops the packet."""
    sequence = requests.take_numbers(1)
    requests.ask(message(_GET_ROUTE, REQUEST, sequence, body))
    answer = requests.receive(_ANSWER, sequence)
    requests.conclude()
    length, type_, _, _, _ = HEADER.unpack_from(answer)
    if type_ == _NEW_ROUTE:
        return answer[:length], 0
    errno = -_ERROR.unpack_from(answer, HEADER_SIZE)[0]
    if errno in _NO_ANSWER:
        raise OSError(errno, strerror(errno))
    return b"", errno


def _leave_out_entrance(winner: Standing | None) -> Standing | None:
    """The route without the link by which the packet came in: IPv6 puts that among its attributes (rt6_fill_node)."""
    if winner is None or not winner.value.extra:
        return winner
    extra = walk(winner.value.extra, 0, len(winner.value.extra))
    extra.pop(_IIF, None)
    return winner._replace(value=winner.value._replace(extra=raw(extra)))


def _name_table(winner: Standing | None) -> Standing | None:
    """The route under its own table. As long as IPv4 has no rules but the kernel's, it keeps local and main as one.

    Then it says main of both (fib_trie_unmerge and fib_table_lookup in net/ipv4/fib_trie.c). The table of a VRF has
    such routes of its own.
    """
    if winner is None or winner.value.type not in _OF_TABLE_LOCAL or winner.value.protocol != PROTOCOL_KERNEL:
        return winner
    slot = winner.slot
    assert isinstance(slot, RouteSlot)
    return winner._replace(slot=slot._replace(table=TABLE_LOCAL)) if slot.table == TABLE_MAIN else winner


def _pack(question: Question, links: Mapping[str, int], flags: Mapping[int, int]) -> bytes:
    address, flow = question
    family, bits = family_of(address), len(address) * 8
    head = HEAD.pack(family, bits, len(flow.source) * 8, flow.tos, 0, 0, 0, 0, flags[family])
    parts = [head, attribute(_DST, address)]
    if flow.source:
        parts.append(attribute(_SRC, flow.source))
    parts += [attribute_u32(type_, links[name]) for type_, name in ((_IIF, flow.iif), (_OIF, flow.oif)) if name]
    if flow.mark:
        parts.append(attribute_u32(_MARK, flow.mark))
    if flow.uid is not None:
        parts.append(attribute_u32(_UID, flow.uid))
    if flow.ipproto:
        parts.append(attribute(_IP_PROTO, bytes((flow.ipproto,))))
    parts += [attribute(t, _PORT.pack(port)) for t, port in ((_SPORT, flow.sport), (_DPORT, flow.dport)) if port]
    return b"".join(parts)
