"""Addresses and prefixes as packed bytes: the form that netlink speaks and that sets and dictionaries hold cheaply.

An *address* is 4 or 16 bytes. A *prefix* is an address followed by one byte of prefix length (5 or 17 bytes), with all
host bits zero. The length of the bytes tells the family. ``b""`` stands for "none" in both.
"""

from __future__ import annotations

import re
from socket import inet_ntop, inet_pton
from typing import Final

IPV4: Final = 2  # AF_INET
IPV6: Final = 10  # AF_INET6

FAMILIES: Final = (IPV4, IPV6)
FAMILY_NAME: Final = {IPV4: "ipv4", IPV6: "ipv6"}
ADDRESS_LENGTH: Final = {IPV4: 4, IPV6: 16}
FAMILY_OF_LENGTH: Final = {4: IPV4, 5: IPV4, 16: IPV6, 17: IPV6}

ANY_V4: Final = bytes(5)
ANY_V6: Final = bytes(17)
DEFAULT: Final = {IPV4: ANY_V4, IPV6: ANY_V6}

_LOOPBACK_V6 = (1).to_bytes(16, "big")
_PREFIX_LENGTH = re.compile(r"[0-9]{1,3}", re.ASCII)


def family_of(packed: bytes) -> int:
    """The family (``IPV4`` or ``IPV6``) of a packed address or prefix."""
    return FAMILY_OF_LENGTH[len(packed)]


def parse_address(text: str) -> bytes:
    """Pack an address in text. Raises ValueError with a sentence for a person."""
    family = IPV6 if ":" in text else IPV4
    try:
        return inet_pton(family, text)
    except (OSError, ValueError):
        raise ValueError(f'"{text}" is not an {"IPv6" if family == IPV6 else "IPv4"} address') from None


def parse_prefix(text: str) -> bytes:
    """Pack ``10.30.0.0/16`` or a bare host. Raises ValueError for host bits that are set and for everything else."""
    address, slash, length_text = text.partition("/")
    packed = parse_address(address)
    width = len(packed) * 8
    if not slash:
        return packed + bytes((width,))
    if not _PREFIX_LENGTH.fullmatch(length_text) or int(length_text) > width:
        raise ValueError(f'"{text}": the prefix length must be a number from 0 to {width}')
    length = int(length_text)
    if int.from_bytes(packed, "big") & ((1 << (width - length)) - 1):
        raise ValueError(f'"{text}" has host bits set: write {format_prefix(network_of(packed, length))}')
    return packed + bytes((length,))


def network_of(address: bytes, length: int) -> bytes:
    """The prefix of ``length`` bits that holds the packed ``address``."""
    width = len(address) * 8
    mask = ((1 << length) - 1) << (width - length)
    return (int.from_bytes(address, "big") & mask).to_bytes(len(address), "big") + bytes((length,))


def host_prefix(address: bytes) -> bytes:
    """The /32 or /128 of a packed address."""
    return address + bytes((len(address) * 8,))


def is_loopback(address: bytes) -> bool:
    """Is it an address that every host has for itself: 127.0.0.0/8, ::1?"""
    return address[:1] == b"\x7f" if len(address) == ADDRESS_LENGTH[IPV4] else address == _LOOPBACK_V6


def is_inside(address: bytes, prefix: bytes) -> bool:
    """Does the packed ``address`` lie in the packed ``prefix``? False across families."""
    return len(address) + 1 == len(prefix) and network_of(address, prefix[-1]) == prefix


def contains(wide: bytes, narrow: bytes) -> bool:
    """Does all of a packed prefix lie in the other, or is it that one? False across families, and for ``b""``."""
    return len(wide) == len(narrow) > 0 and wide[-1] <= narrow[-1] and network_of(narrow[:-1], wide[-1]) == wide


def format_address(address: bytes) -> str:
    """A packed address as text."""
    return inet_ntop(FAMILY_OF_LENGTH[len(address)], address)


def format_endpoint(address: bytes, port: int) -> str:
    """An address with its port, if it has one: ``192.0.2.1:443``, ``[2001:db8::1]:443``."""
    text = format_address(address)
    if not port:
        return text
    return f"[{text}]:{port}" if family_of(address) == IPV6 else f"{text}:{port}"


def format_prefix(prefix: bytes) -> str:
    """A packed prefix with its length, always: ``10.103.97.2/32``, ``0.0.0.0/0``."""
    return f"{format_address(prefix[:-1])}/{prefix[-1]}"


def format_destination(prefix: bytes) -> str:
    """A packed prefix as ``ip route`` prints a destination: ``default``, a bare host, or a prefix."""
    if prefix[-1] == 0:
        return "default"
    if prefix[-1] == (len(prefix) - 1) * 8:
        return format_address(prefix[:-1])
    return format_prefix(prefix)
