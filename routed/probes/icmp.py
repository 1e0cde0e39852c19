"""ICMP: does an echo request come back?

A raw socket of its own for each question, connected, so that it hears of this target alone (raw_v4_match in
net/ipv4/raw.c); what is handed to a gateway of its own goes out by ``packet``. Source of the forms: RFC 792, RFC 4443.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
from struct import Struct
from typing import Final

from routed.model.checks import Check, Target
from routed.probes.sockets import Path, endpoint, open_socket

_ECHO: Final = Struct("!BBHHH")
_REQUEST: Final = {4: 8, 16: 128}  # by the length of an address
REPLY: Final = {4: 0, 16: 129}
_FILTER: Final = 1  # ICMP_FILTER and ICMP6_FILTER, linux/icmp.h, linux/icmpv6.h
_SOL_RAW: Final = 255


async def probe(check: Check, target: Target, path: Path) -> None:
    """Ask once. Raises BadAnswerError and OSError."""
    if path.gateway:
        from routed.probes.packet import echo  # noqa: PLC0415  only checks with a gateway of their own pay for it

        return await echo(target.address, path, check.timeout)
    loop, width = asyncio.get_running_loop(), len(target.address)
    protocol = socket.IPPROTO_ICMP if width == 4 else socket.IPPROTO_ICMPV6
    with open_socket(target.address, socket.SOCK_RAW, path, protocol) as one:
        _hear_replies_alone(one, width)
        one.connect(endpoint(target.address, 0, path))
        number, token = secrets.randbits(16), secrets.token_bytes(16)
        one.send(make_request(width, number, token))
        while not is_reply(await loop.sock_recv(one, 2048), width, number, token):
            pass
    return None


def make_request(width: int, number: int, token: bytes) -> bytes:
    """An echo request; the checksum of ICMPv6 is the kernel's work."""
    bare = _ECHO.pack(_REQUEST[width], 0, 0, number, 1) + token
    return bare if width == 16 else bare[:2] + checksum(bare).to_bytes(2, "big") + bare[4:]


def is_reply(packet: bytes, width: int, number: int, token: bytes) -> bool:
    """Is this the answer? Of IPv4 the kernel gives the header as well."""
    start = (packet[0] & 0xF) * 4 if width == 4 and packet else 0
    if len(packet) < start + _ECHO.size:
        return False
    type_, _, _, its_number, _ = _ECHO.unpack_from(packet, start)
    return type_ == REPLY[width] and its_number == number and packet[start + _ECHO.size :].startswith(token)


def checksum(data: bytes) -> int:
    """The sum of RFC 1071, of an even number of bytes."""
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _hear_replies_alone(one: socket.socket, width: int) -> None:
    if width == 4:
        one.setsockopt(_SOL_RAW, _FILTER, (~(1 << REPLY[4]) & 0xFFFFFFFF).to_bytes(4, sys.byteorder))
        return
    blocked = bytearray(b"\xff" * 32)
    blocked[REPLY[16] // 8] &= ~(1 << REPLY[16] % 8) & 0xFF
    one.setsockopt(socket.IPPROTO_ICMPV6, _FILTER, bytes(blocked))
