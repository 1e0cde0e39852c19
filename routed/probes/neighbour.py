"""ARP, and neighbour discovery for IPv6: is this address there on the link?

It proves the neighbour alone, whatever its routes and filters do. Source of the forms: RFC 826, RFC 5227, RFC 4861.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from struct import Struct
from typing import Final

from routed.model.checks import Check, Target
from routed.model.net import IPV4, family_of, format_address
from routed.probes.sockets import Path, open_packet_socket, open_socket

_ETHERNET: Final = Struct("!6s6sH")
_ARP: Final = Struct("!HHBBH6s4s6s4s")
_ETH_P_ARP: Final = 0x0806
_SOLICITATION, _ADVERTISEMENT = 135, 136
_ND: Final = Struct("!BBHI16s")
_SOURCE_LINK_ADDRESS: Final = b"\x01\x01"  # the option, and its length in eights of bytes
_TARGET_LINK_ADDRESS: Final = b"\x02\x01"
_SIOCGIFHWADDR: Final = 0x8927
_IFREQ: Final = Struct("16s24x")
_INT: Final = Struct("=i")
_HOPS: Final = 255  # RFC 4861 7.1.1: anything less comes from elsewhere


async def probe(check: Check, target: Target, path: Path) -> None:
    """Ask once. Raises OSError."""
    del check
    await find_neighbour(target.address, path)


async def find_neighbour(
    address: bytes, path: Path, again: float = 0.0, besides: Collection[bytes] = frozenset()
) -> bytes:
    """The link-layer address of a neighbour, as soon as it says so; empty where it says that it is there, and no more.

    It is asked for once, or every ``again`` seconds. Answers from the link-layer addresses ``besides`` do not count.
    Raises OSError.
    """
    return await (_ask_arp if family_of(address) == IPV4 else _ask_neighbour)(address, path, again, besides)


async def _ask_arp(address: bytes, path: Path, again: float, besides: Collection[bytes]) -> bytes:
    loop = asyncio.get_running_loop()
    with open_packet_socket(socket.SOCK_RAW, _ETH_P_ARP) as one:
        one.bind((path.link, _ETH_P_ARP))
        mac = one.getsockname()[4]
        source = path.source or bytes(4)  # without an address it is the probe of RFC 5227, which is answered as well
        asked = _ARP.pack(1, 0x0800, 6, 4, 1, mac, source, bytes(6), address)
        frame = _ETHERNET.pack(b"\xff" * 6, mac, _ETH_P_ARP) + asked
        one.send(frame)
        with _repeating(lambda: one.send(frame), again):
            while not (found := read_reply(await loop.sock_recv(one, 2048), address)) or found in besides:
                pass
        return found


def read_reply(frame: bytes, address: bytes) -> bytes:
    """The link-layer address of whoever says that it has the address; empty where this frame does not."""
    if len(frame) < _ETHERNET.size + _ARP.size:
        return b""
    *_, operation, hardware, sender, _, _ = _ARP.unpack_from(frame, _ETHERNET.size)
    return hardware if operation == 2 and sender == address else b""


async def _ask_neighbour(address: bytes, path: Path, again: float, besides: Collection[bytes]) -> bytes:
    with open_socket(address, socket.SOCK_RAW, path, socket.IPPROTO_ICMPV6) as one:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, path.ifindex)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        blocked = bytearray(b"\xff" * 32)
        blocked[_ADVERTISEMENT // 8] &= ~(1 << _ADVERTISEMENT % 8) & 0xFF
        one.setsockopt(socket.IPPROTO_ICMPV6, 1, bytes(blocked))
        group = format_address(bytes.fromhex("ff0200000000000000000001ff") + address[-3:])
        asked = _ND.pack(_SOLICITATION, 0, 0, 0, address) + _SOURCE_LINK_ADDRESS + _read_mac(one, path.link)
        place = (group, 0, 0, path.ifindex)
        one.sendto(asked, place)
        with _repeating(lambda: one.sendto(asked, place), again):
            while True:
                answer, hops = await _hear(one)
                if is_advertisement(answer, hops, address) and (mac := read_option(answer[_ND.size :])) not in besides:
                    return mac


def is_advertisement(answer: bytes, hops: int, address: bytes) -> bool:
    """Does somebody on this very link say that he has the address? RFC 4861 7.1.2."""
    return hops == _HOPS and answer[:2] == bytes((_ADVERTISEMENT, 0)) and answer[8:24] == address


async def _hear(one: socket.socket) -> tuple[bytes, int]:
    """What comes in next, and its hop limit; 0 where the kernel does not say."""
    loop, is_readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(one, is_readable.set)
    try:
        while True:
            await is_readable.wait()
            is_readable.clear()
            with suppress(BlockingIOError):
                answer, beside, _, _ = one.recvmsg(2048, socket.CMSG_SPACE(_INT.size))
                return answer, sum(_INT.unpack(data)[0] for _, kind, data in beside if kind == socket.IPV6_HOPLIMIT)
    finally:
        loop.remove_reader(one)


def read_option(options: bytes) -> bytes:
    """The link-layer address of the target among the options of an advertisement, as it stands on Ethernet."""
    while len(options) >= 8 and options[1]:
        if options[:2] == _TARGET_LINK_ADDRESS:
            return options[2:8]
        options = options[options[1] * 8 :]
    return b""


@contextmanager
def _repeating(ask: Callable[[], object], again: float) -> Iterator[None]:
    """Ask every so many seconds; the answer to any of them will do."""
    loop = asyncio.get_running_loop()
    handles: list[asyncio.TimerHandle] = []

    def repeat() -> None:
        with suppress(OSError):  # whoever waits for the answer finds out
            ask()
        handles[:] = [loop.call_later(again, repeat)]

    if again:
        handles.append(loop.call_later(again, repeat))
    try:
        yield
    finally:
        for handle in handles:
            handle.cancel()


def _read_mac(one: socket.socket, link: str) -> bytes:
    return fcntl.ioctl(one, _SIOCGIFHWADDR, _IFREQ.pack(link.encode()))[18:24]
