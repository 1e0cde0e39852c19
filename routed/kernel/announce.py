"""Announcements: the one packet that routed sends, so that neighbours learn where a VIP is.

Needs CAP_NET_RAW. Here must never live: when to send one.
Sources: RFC 5227, section 3 (an ARP announcement is a request whose two addresses are the same); RFC 4861, sections 4.4
and 7.2.6 (unsolicited neighbour advertisements); packet(7).
"""

from __future__ import annotations

import ctypes
import os
import socket
from struct import Struct
from typing import Final

from routed.model.facts import Link
from routed.model.net import IPV4, family_of

_ARP: Final = Struct("!HHBBH6s4s6s4s")  # struct arphdr, then sender and target
_IPV6: Final = Struct("!IHBB16s16s")
_LINK_LAYER: Final = Struct("=H2siHBB8s")  # struct sockaddr_ll: family, protocol, ifindex, hatype, pkttype, halen, addr
_ADVERTISEMENT: Final = Struct("!BBHI16sBB6s")  # type, code, checksum, flags, target; option: type, length / 8, address

# Python's own sendto takes the link by its name, and that only if it is UTF-8.
_LIBC: Final = ctypes.CDLL(None, use_errno=True)

_ETHERNET: Final = 1  # ARPHRD_ETHER
_ARP_REQUEST: Final = 1
_ICMPV6: Final = 58
_NEIGHBOUR_ADVERTISEMENT: Final = 136
_OVERRIDE: Final = 0x20000000  # take this in place of what you believed
_TARGET_LINK_LAYER_ADDRESS: Final = 2
_HOP_LIMIT: Final = 255  # who gets less knows that a router forwarded it, and drops it

_ETH_P_ARP: Final = 0x0806
_ETH_P_IPV6: Final = 0x86DD
_EVERYBODY: Final = b"\xff" * 6
_ALL_NODES: Final = socket.inet_pton(socket.AF_INET6, "ff02::1")
_ALL_NODES_ON_ETHERNET: Final = bytes.fromhex("333300000001")


def make_arp(mac: bytes, address: bytes) -> bytes:
    """A gratuitous ARP request: who has ``address``, tell ``address``."""
    return _ARP.pack(_ETHERNET, 0x0800, 6, 4, _ARP_REQUEST, mac, address, bytes(6), address)


def make_advertisement(mac: bytes, address: bytes) -> bytes:
    """An unsolicited neighbour advertisement with its IPv6 header, from ``address`` to all nodes."""
    fields = (_NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE, address, _TARGET_LINK_LAYER_ADDRESS, 1, mac)
    unsigned = _ADVERTISEMENT.pack(*fields)
    pseudo_header = address + _ALL_NODES + len(unsigned).to_bytes(4, "big") + bytes((0, 0, 0, _ICMPV6))
    checksum = _sum_up(pseudo_header + unsigned)
    head = _IPV6.pack(6 << 28, len(unsigned), _ICMPV6, _HOP_LIMIT, address, _ALL_NODES)
    return head + _ADVERTISEMENT.pack(*fields[:2], checksum, *fields[3:])


def open_socket() -> socket.socket:
    """A socket for all announcements, which receives nothing. Raises OSError: EPERM without CAP_NET_RAW.

    To be kept: while one is closed the kernel waits for all processors, for some 10 ms (synchronize_net in
    packet_release, net/packet/af_packet.c).
    """
    return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)


def send(packets: socket.socket, link: Link, address: bytes) -> None:
    """Announce by that socket that ``address`` (packed) is on this link. Raises OSError."""
    if family_of(address) == IPV4:
        packet, protocol, destination = make_arp(link.mac, address), _ETH_P_ARP, _EVERYBODY
    else:
        packet, protocol, destination = make_advertisement(link.mac, address), _ETH_P_IPV6, _ALL_NODES_ON_ETHERNET
    to = _LINK_LAYER.pack(
        socket.AF_PACKET, protocol.to_bytes(2, "big"), link.ifindex, 0, 0, len(destination), destination
    )
    if _LIBC.sendto(packets.fileno(), packet, len(packet), 0, to, len(to)) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _sum_up(data: bytes) -> int:
    """The Internet checksum of an even number of bytes (RFC 1071)."""
    total = sum(int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
