"""ICMP that is handed to a gateway, whatever the routes, rules and filters of this host are.

The packet is built here and goes out by a packet socket to the link-layer address of the gateway; the answer is taken
as it comes in from the link, before the kernel routes or filters it. So the question needs no route, rule or mark, and
neither ``rp_filter`` nor a packet filter of this host keeps the answer away. On a link without neighbours (tun, ppp,
wireguard) the link itself is the way. Source of the forms: packet(7), RFC 791, RFC 8200.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from struct import Struct
from typing import Final, TypeAlias

from routed.model.net import format_address
from routed.model.reasons import Finding
from routed.probes.ask import SHARES, BadAnswerError
from routed.probes.icmp import REPLY, checksum, is_reply, make_request
from routed.probes.neighbour import find_neighbour
from routed.probes.sockets import Path, open_packet_socket

TRIES: Final = 3  # to find the gateway: one packet that is lost on the link is not its silence
REACHABLE: Final = 30.0  # seconds that it is believed to be where it was, as base_reachable_time
MOST_KNOWN: Final = 1024  # gateways

_HOPS: Final = 64  # as ip_default_ttl
_IPV4: Final = Struct("!BBHHHBBH4s4s")
_IPV6: Final = Struct("!IHBB16s16s")
_COVERED: Final = Struct("!16s16sII")  # by the checksum beside the request, RFC 8200 8.1
_DO_NOT_FRAGMENT: Final = 0x4000
_PROTOCOL: Final = {4: socket.IPPROTO_ICMP, 16: socket.IPPROTO_ICMPV6}  # by the length of an address
_ETHERTYPE: Final = {4: 0x0800, 16: 0x86DD}
_ARPHRD_ETHER: Final = 1
_SIOCGIFFLAGS: Final = 0x8913
_IFREQ: Final = Struct("16sH22x")
_ALONE: Final = 0x8 | 0x10 | 0x80  # IFF_LOOPBACK, IFF_POINTOPOINT, IFF_NOARP: no neighbour is asked for

# Classic BPF, linux/filter.h. _SKIP notes where the IPv4 header ends; the loads behind it count from there.
_BYTE, _HALF, _BYTE_BEHIND, _HALF_BEHIND, _SKIP = 0x30, 0x28, 0x50, 0x48, 0xB1
_JUMP_EQUAL, _RETURN = 0x15, 0x06
_INSTRUCTION: Final = Struct("=HBBI")
_PROGRAM: Final = Struct("@HP")
_SO_ATTACH_FILTER: Final = 26
_Instruction: TypeAlias = tuple[int, int, int, int]

_GatewayPlace: TypeAlias = tuple[int, bytes, bytes]  # the ifindex, our own address on that link, and the gateway

# Gateways that led to an answer, and until when that counts: not every question begins with another.
_known: dict[_GatewayPlace, tuple[bytes, float]] = {}


async def echo(address: bytes, path: Path, seconds: float) -> None:
    """Ask once. ``seconds`` is the time for all of it. Raises BadAnswerError and OSError."""
    width, number, token = len(address), secrets.randbits(16), secrets.token_bytes(16)
    loop = asyncio.get_running_loop()
    with open_packet_socket(socket.SOCK_DGRAM) as one:  # it hears nothing before it is bound
        _hear_reply_alone(one, width, number)
        one.bind((path.link, _ETHERTYPE[width]))
        _, _, _, hardware, own = one.getsockname()
        place = (path.ifindex, own, path.gateway)
        neighbour, until = _known.pop(place, (b"", 0.0))  # what led to no answer is looked for anew
        if until < loop.time() and _has_neighbours(one, path.link, hardware):
            neighbour, until = await _find_gateway(path, seconds), loop.time() + REACHABLE
        one.sendto(make_packet(address, path.source, number, token), (path.link, _ETHERTYPE[width], 0, 0, neighbour))
        while not is_answer(await loop.sock_recv(one, 2048), address, number, token):
            pass
        if neighbour:
            _know(place, neighbour, until)


def _know(place: _GatewayPlace, neighbour: bytes, until: float) -> None:
    """Links come and go with their indexes: what has not been asked for longest is forgotten first."""
    _known[place] = neighbour, until
    while len(_known) > MOST_KNOWN:
        del _known[next(iter(_known))]


async def _find_gateway(path: Path, seconds: float) -> bytes:
    most = seconds * SHARES[Finding.NO_GATEWAY]
    with suppress(TimeoutError):
        async with asyncio.timeout(most):
            if found := await find_neighbour(path.gateway, path, most / TRIES):
                return found
    raise BadAnswerError(Finding.NO_GATEWAY, format_address(path.gateway))


def _has_neighbours(one: socket.socket, link: str, hardware: int) -> bool:
    """Is a packet handed to somebody on this link? Raises OSError where it is in a way that is not known here."""
    flags: int = _IFREQ.unpack(fcntl.ioctl(one, _SIOCGIFFLAGS, _IFREQ.pack(link.encode(), 0)))[1]
    if flags & _ALONE:
        return False
    if hardware != _ARPHRD_ETHER:
        raise OSError(f"link {link} has neighbours, and is not of the Ethernet kind")
    return True


def make_packet(target: bytes, source: bytes, number: int, token: bytes) -> bytes:
    """An echo request with its IP header."""
    width, request = len(target), make_request(len(target), number, token)
    if width == 4:
        length = _IPV4.size + len(request)
        head = _IPV4.pack(0x45, 0, length, number, _DO_NOT_FRAGMENT, _HOPS, _PROTOCOL[width], 0, source, target)
        return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + request
    head = _IPV6.pack(6 << 28, len(request), _PROTOCOL[width], _HOPS, source, target)
    covered = _COVERED.pack(source, target, len(request), _PROTOCOL[width]) + request
    return head + request[:2] + checksum(covered).to_bytes(2, "big") + request[4:]


def is_answer(packet: bytes, target: bytes, number: int, token: bytes) -> bool:
    """Is this the answer, and from the one who was asked?"""
    if len(target) == 4:
        return packet[12:16] == target and is_reply(packet, 4, number, token)
    return packet[8:24] == target and is_reply(packet[_IPV6.size :], 16, number, token)


def _hear_reply_alone(one: socket.socket, width: int, number: int) -> None:
    program = b"".join(_INSTRUCTION.pack(*instruction) for instruction in _keep_reply(width, number))
    instructions = ctypes.create_string_buffer(program)
    pointer = _PROGRAM.pack(len(program) // _INSTRUCTION.size, ctypes.addressof(instructions))
    one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)


def _keep_reply(width: int, number: int) -> Iterator[_Instruction]:
    """Keep the replies with this number."""
    if width == 4:
        yield from _want(_BYTE, 9, _PROTOCOL[width])
        yield (_SKIP, 0, 0, 0)
        yield from _want(_BYTE_BEHIND, 0, REPLY[width])
        yield from _want(_HALF_BEHIND, 4, number)
    else:
        yield from _want(_BYTE, 6, _PROTOCOL[width])
        yield from _want(_BYTE, _IPV6.size, REPLY[width])
        yield from _want(_HALF, _IPV6.size + 4, number)
    yield (_RETURN, 0, 0, 0xFFFFFFFF)


def _want(load: int, offset: int, value: int) -> tuple[_Instruction, ...]:
    return (load, 0, 0, offset), (_JUMP_EQUAL, 1, 0, value), (_RETURN, 0, 0, 0)
