"""Connection tracking of netfilter: which UDP flows lead to a server, and their end.

A server of UDP is gone at once, and a flow that was tracked goes on to it for as long as the client sends. Such a flow
began at the address of the service, and its answers come from the server. One dump shows all of them. The kernel leaves
out what is none of them, as far as it can (CTA_FILTER, since Linux 5.8); the rest is left out here. Nothing is asked
where nothing is tracked: a question would load the module.

Here must never live: when a server is gone, or what is told of it.
Sources: include/uapi/linux/netfilter/nfnetlink_conntrack.h; ctnetlink_get_conntrack, ctnetlink_alloc_filter and
ctnetlink_del_conntrack in net/netfilter/nf_conntrack_netlink.c; ip_vs_update_conntrack in
net/netfilter/ipvs/ip_vs_nfct.c.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from errno import EIO, ENOENT, ETIMEDOUT
from os import strerror
from pathlib import Path
from struct import Struct
from time import monotonic
from typing import Final, NamedTuple, TypeAlias, TypeVar

from routed.kernel import sockets
from routed.kernel.codec import messages
from routed.kernel.codec.attributes import (
    ACK,
    DONE,
    DUMP,
    ERROR,
    HEADER,
    HEADER_SIZE,
    REQUEST,
    MalformedMessage,
    attribute,
    attribute_u32,
    message,
    number,
    walk,
)
from routed.kernel.requests import QuestionSocket, RequestSocket
from routed.model.ipvs import UDP, ServerMember, ServerSlot
from routed.model.net import ADDRESS_LENGTH, IPV4

T = TypeVar("T")
GoneServer: TypeAlias = tuple[ServerSlot, ServerMember]

PATIENCE: Final = 2.0  # seconds that all of it may take: the pass waits for it, with every repair
_COUNT: Final = Path("/proc/sys/net/netfilter/nf_conntrack_count")  # of the network namespace of the calling thread
_BUFFER: Final = 256 << 10  # bytes: two pieces of a dump, or the answers to what one piece had
_DATAGRAM: Final = 1 << 16  # bytes; the kernel fills at most 32 KiB of a dump at a time

GET, DELETE = 1 << 8 | 1, 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, and IPCTNL_MSG_CT_*
_HEAD: Final = Struct("=BBH")  # struct nfgenmsg: family, version, resource
_NESTED: Final = 0x8000  # NLA_F_NESTED
_ORIGINAL, _REPLY, _ID, _ZONE, _FILTER = 1, 2, 12, 18, 25  # CTA_*
_IP, _PROTO = 1, 2  # CTA_TUPLE_*
_V4_SOURCE, _V4_TARGET, _V6_SOURCE, _V6_TARGET = 1, 2, 3, 4  # CTA_IP_*_SRC, CTA_IP_*_DST
_NUMBER, _SOURCE_PORT, _TARGET_PORT = 1, 2, 3  # CTA_PROTO_*
_ORIGINAL_FLAGS, _REPLY_FLAGS = 1, 2  # CTA_FILTER_*
# What of a tuple counts in a filter: CTA_FILTER_FLAG in net/netfilter/nf_internals.h
_BY_SOURCE, _BY_TARGET, _BY_NUMBER, _BY_SOURCE_PORT, _BY_TARGET_PORT = 1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 5
_PORT: Final = Struct("!H")
_result: Final = Struct("=i").unpack_from


class TrackedFlow(NamedTuple):
    """One tracked flow, as far as it is needed to know and to end it."""

    family: int
    protocol: int
    target: bytes  # where the first packet was sent to, packed
    target_port: int  # 0 where the protocol has none
    source: bytes  # where its answers come from, packed
    source_port: int  # likewise
    original: bytes  # the tuple of the first packet, as the kernel wrote it
    zone: bytes | None  # likewise
    number: bytes  # likewise: another flow with this tuple has another number


class EndedFlows(NamedTuple):
    """What was ended, and why not all of it was."""

    counts: Mapping[GoneServer, int]  # of those servers that had any
    error: OSError | None = None


# --- the codec --------------------------------------------------------------------------------------------------------


def _nest(type_: int, payload: bytes) -> bytes:
    return attribute(type_ | _NESTED, payload)


def encode_dump(servers: Collection[GoneServer]) -> bytes:
    """GET for a dump of the flows to servers of one family: of UDP, and with all that these servers have in common.

    By IPv6 addresses it cannot be asked: the kernel takes those that are equal for different, and the other way round
    (ctnetlink_filter_match_tuple; seen on Linux 6.18).
    """
    [family] = {slot.family for slot, _ in servers}
    service = _find_common(slot.service.address for slot, _ in servers)
    server = _find_common(member.address for _, member in servers)
    if family != IPV4:
        service = server = None
    original = _encode_tuple(
        (_V4_TARGET, _BY_TARGET, service),
        (_TARGET_PORT, _BY_TARGET_PORT, _find_common(slot.service.port for slot, _ in servers)),
    )
    reply = _encode_tuple(
        (_V4_SOURCE, _BY_SOURCE, server),
        (_SOURCE_PORT, _BY_SOURCE_PORT, _find_common(member.port for _, member in servers)),
    )
    flags = attribute_u32(_ORIGINAL_FLAGS, original[0]) + attribute_u32(_REPLY_FLAGS, reply[0])
    tuples = _nest(_ORIGINAL, original[1]) + _nest(_REPLY, reply[1])
    return _HEAD.pack(family, 0, 0) + tuples + _nest(_FILTER, flags)


def _encode_tuple(address: tuple[int, int, bytes | None], port: tuple[int, int, int | None]) -> tuple[int, bytes]:
    """What counts of a tuple of UDP, and the tuple with what is known of it (attribute, flag, value)."""
    flags, ip, proto = _BY_NUMBER, b"", attribute(_NUMBER, bytes((UDP,)))
    if address[2]:
        flags, ip = flags | address[1], attribute(address[0], address[2])
    if port[2]:
        flags, proto = flags | port[1], proto + attribute(port[0], _PORT.pack(port[2]))
    return flags, (_nest(_IP, ip) if ip else b"") + _nest(_PROTO, proto)


def _find_common(values: Iterable[T]) -> T | None:
    """The one value of all of them, None where there is more than one."""
    different = set(values)
    return different.pop() if len(different) == 1 else None


def encode_removal(flow: TrackedFlow) -> bytes:
    """DELETE of this flow, and of no other one. Without a tuple it would be all that there are."""
    zone = b"" if flow.zone is None else attribute(_ZONE, flow.zone)
    return _HEAD.pack(flow.family, 0, 0) + _nest(_ORIGINAL, flow.original) + attribute(_ID, flow.number) + zone


def decode_flow(data: bytes, start: int, end: int) -> TrackedFlow:
    """The flow in one message, from its netlink header at ``start``. Raises MalformedMessage."""
    if start + HEADER_SIZE + _HEAD.size > end:
        raise MalformedMessage(f"{end - start} bytes where the heads alone take {HEADER_SIZE + _HEAD.size}")
    family = data[start + HEADER_SIZE]
    if family not in ADDRESS_LENGTH:
        raise MalformedMessage(f"a flow of family {family}")
    attributes = walk(data, start + HEADER_SIZE + _HEAD.size, end)
    original, identity = _take(attributes, _ORIGINAL), _take(attributes, _ID)
    ip, proto = _open_tuple(original)
    reply_ip, reply_proto = _open_tuple(_take(attributes, _REPLY))
    source, target = (_V4_SOURCE, _V4_TARGET) if family == IPV4 else (_V6_SOURCE, _V6_TARGET)
    return TrackedFlow(
        family,
        number(_take(proto, _NUMBER), 1),
        _take(ip, target),
        _decode_port(proto, _TARGET_PORT),
        _take(reply_ip, source),
        _decode_port(reply_proto, _SOURCE_PORT),
        original,
        attributes.get(_ZONE),
        identity,
    )


def _open_tuple(payload: bytes) -> tuple[dict[int, bytes], dict[int, bytes]]:
    parts = walk(payload, 0, len(payload))
    ip, proto = _take(parts, _IP), _take(parts, _PROTO)
    return walk(ip, 0, len(ip)), walk(proto, 0, len(proto))


def _take(attributes: dict[int, bytes], type_: int) -> bytes:
    payload = attributes.get(type_)
    if payload is None:
        raise MalformedMessage(f"attribute {type_} is missing")
    return payload


def _decode_port(proto: dict[int, bytes], type_: int) -> int:
    payload = proto.get(type_, b"\0\0")
    if len(payload) != _PORT.size:
        raise MalformedMessage(f"a port of {len(payload)} bytes")
    port: int = _PORT.unpack(payload)[0]
    return port


# --- which of them, and their end -------------------------------------------------------------------------------------


def leads_to(server: GoneServer) -> bool:
    """Can flows be seen to lead to this server? Not by a mark, and not through a tunnel to the other family."""
    slot, member = server
    return slot.service.ipproto == UDP and len(member.address) == ADDRESS_LENGTH[slot.family]


def find_server(flow: TrackedFlow, servers: Mapping[tuple[bytes, int, bytes, int], GoneServer]) -> GoneServer | None:
    """To which of these it leads; they are given by address and port of service and server, where port 0 is any."""
    if flow.protocol != UDP or flow.source == flow.target:  # what was sent to the server itself is none of ours
        return None
    for target_port in (flow.target_port, 0):
        for source_port in (flow.source_port, 0):
            if found := servers.get((flow.target, target_port, flow.source, source_port)):
                return found
    return None


def open_socket() -> QuestionSocket:
    """A socket for requests of netfilter. Raises OSError."""
    return RequestSocket(_BUFFER, PATIENCE, bus=sockets.NETFILTER)


def count_flows() -> int:
    """How many flows are tracked in the network namespace of the calling thread; none where nothing tracks."""
    try:
        return int(_COUNT.read_bytes())
    except (OSError, ValueError):
        return 0


def end_flows(
    servers: Iterable[GoneServer],
    *,
    connect: Callable[[], QuestionSocket] = open_socket,
    count: Callable[[], int] = count_flows,
    clock: Callable[[], float] = monotonic,
) -> EndedFlows:
    """End the UDP flows that lead from their service to these servers; with a dump for each family, however many.

    It waits for the kernel, and is best done by a thread. What of it went wrong is in the answer.
    """
    until = clock() + PATIENCE
    chosen = [server for server in servers if leads_to(server)]
    counts: Counter[GoneServer] = Counter()
    if not chosen or not count():
        return EndedFlows(counts)
    try:
        for family in sorted({slot.family for slot, _ in chosen}):
            some = [server for server in chosen if server[0].family == family]
            _end_flows(some, counts, connect, lambda: clock() >= until)
    except OSError as error:
        return EndedFlows(counts, error)
    return EndedFlows(counts)


def _end_flows(
    servers: Sequence[GoneServer],
    counts: Counter[GoneServer],
    connect: Callable[[], QuestionSocket],
    is_late: Callable[[], bool],
) -> None:
    """What a piece of the dump shows is ended before the next one is read: nothing is kept of a million flows."""
    index = {(slot.service.address, slot.service.port, *member): (slot, member) for slot, member in servers}
    reading, ending = connect(), None
    try:
        for flows in _dump(reading, encode_dump(servers), {member.address for _, member in servers}):
            if found := [(flow, server) for flow in flows if (server := find_server(flow, index))]:
                ending = ending or connect()
                _remove(ending, found, counts)
            if is_late():
                raise OSError(ETIMEDOUT, f"there are too many flows to look at in {PATIENCE:g} s")
    finally:
        for opened in (reading, ending):
            if opened is not None:
                opened.close()


def _dump(reading: QuestionSocket, body: bytes, addresses: Iterable[bytes]) -> Iterator[list[TrackedFlow]]:
    """The flows of a dump with one of these addresses, datagram by datagram.

    One that changed meanwhile may come twice, or be left out. An older kernel shows all that there are: to read each
    of them would take eight times as long as to see that none of the addresses is in it.
    """
    find = re.compile(b"|".join(map(re.escape, addresses)), re.DOTALL).search
    first = reading.take_numbers(1)
    reading.ask(message(GET, REQUEST | DUMP, first, body))
    while True:
        datagram = reading.receive(_DATAGRAM, first)
        flows: list[TrackedFlow] = []
        for type_, _, start, end in messages(datagram):
            if type_ in {DONE, ERROR}:
                reading.conclude()
                if error := _read_result(datagram, start, end):
                    raise OSError(error, strerror(error))
                yield flows
                return
            if not find(datagram, start, end):
                continue
            with suppress(MalformedMessage):  # what cannot be read cannot be known for ours
                flows.append(decode_flow(datagram, start, end))
        yield flows


def _remove(
    ending: QuestionSocket, found: Sequence[tuple[TrackedFlow, GoneServer]], counts: Counter[GoneServer]
) -> None:
    """Ask for all of these at once. One that is gone by then was ended by somebody else."""
    first = ending.take_numbers(len(found))
    numbered = enumerate(found, first)
    ending.ask(b"".join(message(DELETE, REQUEST | ACK, one, encode_removal(flow)) for one, (flow, _) in numbered))
    left, refused = len(found), 0
    while left:
        datagram = ending.receive(_DATAGRAM, first, len(found))
        for type_, _, start, end in messages(datagram):
            if type_ != ERROR:
                continue
            left -= 1
            error = _read_result(datagram, start, end)
            if not error:
                counts[found[HEADER.unpack_from(datagram, start)[3] - first][1]] += 1
            elif error != ENOENT:
                refused = error
    ending.conclude()
    if refused:
        raise OSError(refused, strerror(refused))


def _read_result(datagram: bytes, start: int, end: int) -> int:
    """The errno at the end of an answer; 0 for done."""
    if end - start < HEADER_SIZE + 4:
        return EIO
    return -int(_result(datagram, start + HEADER_SIZE)[0])
