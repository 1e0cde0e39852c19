"""Filters: what the kernel does not even deliver to a socket, as classic BPF programs over a message.

BPF loads words as big-endian on every host. Addresses are in that order anyway; the numbers of netlink are in the
host's order, so they are compared with swapped constants. A conditional jump skips 255 instructions at most, so every
test that decides returns at once, and none jumps to a common end.

Here must never live: an opinion about what is worth hearing.
Sources: include/uapi/linux/filter.h; Documentation/networking/filter.rst.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from struct import Struct
from typing import Final, TypeAlias

from routed.kernel.codec.attributes import HEADER_SIZE, REQUEST
from routed.kernel.codec.route import DST_AT, DST_HEADS, DST_LEN_AT, FAMILY_AT, PROTOCOL_AT, TABLE_HEAD
from routed.model.events import Interest, Span
from routed.model.net import ADDRESS_LENGTH, FAMILIES

Instruction: TypeAlias = tuple[int, int, int, int]  # struct sock_filter: what, jump if true, jump if false, operand
Program: TypeAlias = bytes

_SO_ATTACH_FILTER: Final = 26
_INSTRUCTION: Final = Struct("=HBBI")
_PROGRAM: Final = Struct("@HP")  # struct sock_fprog

# BPF_LD|BPF_ABS with BPF_W, BPF_H and BPF_B; BPF_JMP|BPF_K with BPF_JA, BPF_JEQ, BPF_JGT and BPF_JGE; BPF_RET|BPF_K
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_JUMP, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_GREATER_OR_EQUAL = 0x05, 0x15, 0x25, 0x35
_RETURN: Final = 0x06
# BPF_JMP|BPF_JSET|BPF_K, BPF_JMP|BPF_JGT|BPF_X, BPF_ALU|BPF_LSH|BPF_K, BPF_ALU|BPF_ADD|BPF_X, BPF_MISC|BPF_TAX,
# BPF_LD|BPF_W|BPF_LEN
_JUMP_SET, _JUMP_GREATER_THAN_INDEX, _SHIFT_LEFT, _ADD_INDEX, _TO_INDEX, _LOAD_LENGTH = 0x45, 0x2D, 0x64, 0x0C, 7, 0x80
_BUS: Final = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL: of a tap on netlink, the protocol of its socket
_KEEP: Final[Instruction] = (_RETURN, 0, 0, 0xFFFFFFFF)
_DROP: Final[Instruction] = (_RETURN, 0, 0, 0)

_TYPE_AT, _FLAGS_AT, _PORT_AT = 4, 6, 12  # in struct nlmsghdr
_DST_HEAD_AT: Final = DST_AT - 4
_TABLE_HEAD_AT: Final = _DST_HEAD_AT - 8
_ROUTES: Final = (24, 25)  # RTM_NEWROUTE, RTM_DELROUTE


def keep_only(opened: socket.socket, number: int, offset: int) -> None:
    """Drop every message that has not this number in the 32 bits at this offset. Raises OSError."""
    attach(opened, _pack([(_LOAD_WORD, 0, 0, offset), *_unless(_swap(number, 4), _DROP), _KEEP]))


def keep_news(port: int, interest: Interest | None, *, hears_echo: bool) -> Program:
    """Keep everything but changes of routes; of those our own when they are heard, and what ``interest`` covers.

    ``port`` is the port id of our requests. No interest: all changes of others. A message of another layout than the
    usual one (struct rtmsg, RTA_TABLE, RTA_DST) is kept.
    """
    new, removed = (_swap(number, 2) for number in _ROUTES)
    instructions = [
        (_LOAD_HALF, 0, 0, _TYPE_AT),
        (_JUMP_EQUAL, 2, 0, new),
        *_unless(removed, _KEEP),
        (_LOAD_WORD, 0, 0, _PORT_AT),
        *_when(_swap(port, 4), _KEEP if hears_echo else _DROP),
        *(_keep_covered(interest) if interest else (_KEEP,)),
    ]
    return _pack(instructions)


def keep_requests(bus: int, type_: int, commands: Iterable[int], ours: int) -> Program:
    """Of what a tap on netlink shows keep requests of one family of generic netlink by which something is changed.

    ``commands`` are those. ``ours`` is the port id that our own requests bear. A datagram that has further messages
    behind such a request is kept whatever they are.
    """
    first, second = (0, 1) if sys.byteorder == "little" else (3, 2)  # the lower bytes of the length
    instructions = [
        (_LOAD_HALF, 0, 0, _BUS),
        *_unless(bus, _DROP),
        (_LOAD_HALF, 0, 0, _TYPE_AT),
        *_unless(_swap(type_, 2), _DROP),
        (_LOAD_HALF, 0, 0, _FLAGS_AT),
        *((_JUMP_SET, 1, 0, _swap(REQUEST, 2)), _DROP),
        (_LOAD_WORD, 0, 0, _PORT_AT),
        *_when(_swap(ours, 4), _DROP),
        (_LOAD_BYTE, 0, 0, HEADER_SIZE),
        *chain.from_iterable(_when(command, _KEEP) for command in commands),
        (_LOAD_BYTE, 0, 0, second),
        (_SHIFT_LEFT, 0, 0, 8),
        (_TO_INDEX, 0, 0, 0),
        (_LOAD_BYTE, 0, 0, first),
        (_ADD_INDEX, 0, 0, 0),
        (_TO_INDEX, 0, 0, 0),
        (_LOAD_LENGTH, 0, 0, 0),
        *((_JUMP_GREATER_THAN_INDEX, 0, 1, 0), _KEEP),
        _DROP,
    ]
    return _pack(instructions)


def keep_nothing() -> Program:
    """Drop every message."""
    return _pack([_DROP])


def attach(opened: socket.socket, program: Program) -> None:
    """Put a program before a socket, in place of the former one. Raises OSError."""
    instructions = ctypes.create_string_buffer(program)
    pointer = _PROGRAM.pack(len(program) // _INSTRUCTION.size, ctypes.addressof(instructions))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)


def _keep_covered(interest: Interest) -> Iterator[Instruction]:
    """The same question as ``Interest.covers``; the test of the kernel floor compares them."""
    yield (_LOAD_BYTE, 0, 0, PROTOCOL_AT)
    for protocol in sorted(interest.protocols):
        yield from _when(protocol, _KEEP)
    yield (_LOAD_BYTE, 0, 0, DST_LEN_AT)
    yield from _when(0, _KEEP)
    yield (_LOAD_WORD, 0, 0, _TABLE_HEAD_AT)
    yield from _unless(_read(TABLE_HEAD), _KEEP)
    for family in FAMILIES:
        section = [*_keep_spans(interest.spans[family], DST_HEADS[ADDRESS_LENGTH[family]])]
        yield (_LOAD_BYTE, 0, 0, FAMILY_AT)
        yield from ((_JUMP_EQUAL, 1, 0, family), (_JUMP, 0, 0, len(section)))
        yield from section
    yield _KEEP  # of a family that is unknown


def _keep_spans(spans: Iterable[Span], head: bytes) -> Iterator[Instruction]:
    """Keep what lies in one of them, which stand in order. ``head`` is that of the attribute RTA_DST."""
    yield (_LOAD_WORD, 0, 0, _DST_HEAD_AT)
    yield from _unless(_read(head), _KEEP)
    yield (_LOAD_WORD, 0, 0, DST_AT)
    for first, last in spans:
        yield from ((_JUMP_GREATER_OR_EQUAL, 1, 0, first), _DROP)
        yield from ((_JUMP_GREATER, 1, 0, last), _KEEP)
    yield _DROP


def _when(number: int, verdict: Instruction) -> tuple[Instruction, Instruction]:
    return (_JUMP_EQUAL, 0, 1, number), verdict


def _unless(number: int, verdict: Instruction) -> tuple[Instruction, Instruction]:
    return (_JUMP_EQUAL, 1, 0, number), verdict


def _pack(instructions: Iterable[Instruction]) -> Program:
    return b"".join(_INSTRUCTION.pack(*one) for one in instructions)


def _read(raw: bytes) -> int:
    """Bytes of a message as a load reads them."""
    return int.from_bytes(raw, "big")


def _swap(number: int, size: int) -> int:
    """A number of netlink, which is in the order of this host, as a load reads it."""
    return _read(number.to_bytes(size, sys.byteorder))
