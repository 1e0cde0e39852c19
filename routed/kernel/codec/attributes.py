"""Netlink framing: messages, attributes and their numbers, packed and walked.

Here belongs what every message of rtnetlink shares. Here must never live: the meaning of one kind of object, a socket.
Source: include/uapi/linux/netlink.h. Integers are in host order unless a function says otherwise; a message and an
attribute begin at a multiple of four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from sys import byteorder
from typing import Final

from routed.model.attributes import join

HEADER: Final = Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port id
HEADER_SIZE: Final = HEADER.size
_ATTRIBUTE: Final = Struct("=HH")  # struct nlattr: length with this header, type
_LENGTH: Final = Struct("=H")
_U32_ATTRIBUTE: Final = Struct("=HHI")
NESTED: Final = 0x8000  # NLA_F_NESTED; only newer parts of the kernel ask for it
_TYPE_MASK: Final = 0x3FFF  # NLA_TYPE_MASK: without NLA_F_NESTED and NLA_F_NET_BYTEORDER

# nlmsg_type
ERROR: Final = 2
DONE: Final = 3

# nlmsg_flags of requests …
REQUEST: Final = 0x1
ACK: Final = 0x4
DUMP: Final = 0x300
# … of answers
DUMP_INTERRUPTED: Final = 0x10
ACK_TLVS: Final = 0x200
# … of requests that add, and of their notifications
REPLACE: Final = 0x100
EXCLUSIVE: Final = 0x200
CREATE: Final = 0x400
APPEND: Final = 0x800


class MalformedMessage(ValueError):  # noqa: N818  named for what it is
    """Bytes that cannot be a message of the kernel: cut short, or a length that points outside."""


def aligned(length: int) -> int:
    """``length`` rounded up to a multiple of four (NLMSG_ALIGN, NLA_ALIGN)."""
    return (length + 3) & ~3


def message(type_: int, flags: int, sequence: int, body: bytes, port: int = 0) -> bytes:
    """One netlink message, padded, so that messages can be put one after another.

    ``port`` is who asks, for those who look on: the kernel knows it by the socket.
    """
    length = HEADER_SIZE + len(body)
    return HEADER.pack(length, type_, flags, sequence, port) + body + bytes(-length % 4)


def attribute(type_: int, payload: bytes) -> bytes:
    """One attribute, padded."""
    return _ATTRIBUTE.pack(len(payload) + 4, type_) + payload + bytes(-len(payload) % 4)


def attribute_u32(type_: int, number: int) -> bytes:
    """One attribute with an unsigned number of 32 bits."""
    return _U32_ATTRIBUTE.pack(8, type_, number)


def attribute_text(type_: int, text: str) -> bytes:
    """One attribute with a string, ended by a zero byte."""
    return attribute(type_, text.encode(errors="surrogateescape") + b"\0")


def walk(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """The attributes between two offsets: number → payload. Of a number that comes twice, the last.

    Raises MalformedMessage where an attribute is shorter than its header or longer than the rest.
    """
    attributes: dict[int, bytes] = {}
    while start + _ATTRIBUTE.size <= end:
        length, type_ = _ATTRIBUTE.unpack_from(data, start)
        if length < _ATTRIBUTE.size or start + length > end:
            raise MalformedMessage(f"attribute {type_} claims {length} bytes of {end - start}")
        attributes[type_ & _TYPE_MASK] = data[start + 4 : start + length]
        start += (length + 3) & ~3
    return attributes


def walk_each(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The same for a list, in which one number comes several times. Raises MalformedMessage."""
    while start < end:
        (length,) = head(_LENGTH, data, start, end)
        yield from walk(data, start, min(start + length, end)).items()
        start += aligned(max(length, _ATTRIBUTE.size))


def raw(attributes: dict[int, bytes]) -> bytes:
    """Attributes that nobody has a word for, sorted by number and packed again: equal sets give equal bytes."""
    return join(attributes)


def sort_nested(payload: bytes) -> bytes:
    """The same for the attributes within one: kernels have them in orders of their own. Raises MalformedMessage."""
    return raw(walk(payload, 0, len(payload)))


def number(payload: bytes, size: int = 4) -> int:
    """An unsigned number of exactly ``size`` bytes. Raises MalformedMessage for another length."""
    if len(payload) != size:
        raise MalformedMessage(f"a number of {size} bytes has {len(payload)}")
    return int.from_bytes(payload, byteorder)


def text(payload: bytes) -> str:
    """A string up to its zero byte. Bytes that are no UTF-8 survive as surrogates, so the way back is exact."""
    return payload.partition(b"\0")[0].decode(errors="surrogateescape")


def address(payload: bytes, width: int) -> bytes:
    """A packed address of ``width`` bytes. Raises MalformedMessage for another length."""
    if len(payload) != width:
        raise MalformedMessage(f"an address of {width} bytes has {len(payload)}")
    return payload


def head(layout: Struct, data: bytes, start: int, end: int) -> tuple[int, ...]:
    """The fixed head that follows the netlink header. Raises MalformedMessage where the message ends before it."""
    if start + layout.size > end or end > len(data):
        raise MalformedMessage(f"{end - start} bytes where the head alone takes {layout.size}")
    return layout.unpack_from(data, start)
