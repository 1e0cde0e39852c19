"""The sockets: requests without groups, events without requests. The only module that imports pyroute2.

Here must never live: anything that reads inside a message.
Sources: netlink(7); include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from struct import Struct
from typing import TYPE_CHECKING, Final

from routed.kernel.lean import import_lean

if TYPE_CHECKING:
    from pyroute2 import netlink
    from pyroute2.netlink import rtnl
else:
    netlink = import_lean("pyroute2", "pyroute2.netlink")
    rtnl = import_lean("pyroute2", "pyroute2.netlink.rtnl")

_NETLINK_CAP_ACK: Final = 10  # an error repeats the header of the request only
_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33

REQUEST_BUFFER: Final = 4 << 20  # bytes; answers wait here while the kernel works through a batch
EVENT_BUFFER: Final = 32 << 20  # bytes; an event of a route takes about 830 of them

# linux/filter.h: struct sock_filter and sock_fprog; BPF_LD|BPF_W|BPF_ABS and the same with BPF_H, BPF_JMP|BPF_JEQ|BPF_K
# and BPF_RET|BPF_K
_INSTRUCTION: Final = Struct("=HBBI")
_PROGRAM: Final = Struct("@HP")
_LOAD_WORD: Final = 0x20
_LOAD_HALF: Final = 0x28
_JUMP_EQUAL: Final = 0x15
_RETURN: Final = 0x06

_GROUPS: Final = (
    rtnl.RTMGRP_LINK
    | rtnl.RTMGRP_IPV4_IFADDR
    | rtnl.RTMGRP_IPV6_IFADDR
    | rtnl.RTMGRP_IPV4_ROUTE
    | rtnl.RTMGRP_IPV6_ROUTE
    | rtnl.RTMGRP_IPV4_RULE
    | rtnl.RTMGRP_IPV6_RULE
)


def open_request_socket(buffer: int = REQUEST_BUFFER) -> socket.socket:
    """A blocking socket for requests, with extended acknowledgements and strict checks. Raises OSError."""
    opened = _open(buffer)
    for option in (netlink.NETLINK_EXT_ACK, netlink.NETLINK_GET_STRICT_CHK, _NETLINK_CAP_ACK):
        opened.setsockopt(netlink.SOL_NETLINK, option, 1)
    opened.bind((0, 0))
    return opened


def open_event_socket(buffer: int = EVENT_BUFFER) -> socket.socket:
    """A non-blocking socket that is told of links, addresses, routes and rules of both families. Raises OSError."""
    opened = _open(buffer)
    opened.bind((0, _GROUPS))
    opened.setblocking(False)
    return opened


def filter_out(opened: socket.socket, port: int) -> None:
    """Drop, inside the kernel, the messages about routes that a request of this port id caused. Raises OSError.

    A classic BPF program over struct nlmsghdr. BPF loads big-endian, so the numbers that it compares with are swapped.
    """
    program = (
        (_LOAD_WORD, 0, 0, 12),  # nlmsg_pid
        (_JUMP_EQUAL, 0, 3, _swap(port, 4)),
        (_LOAD_HALF, 0, 0, 4),  # nlmsg_type
        (_JUMP_EQUAL, 2, 0, _swap(rtnl.RTM_NEWROUTE, 2)),
        (_JUMP_EQUAL, 1, 0, _swap(rtnl.RTM_DELROUTE, 2)),
        (_RETURN, 0, 0, 0xFFFFFFFF),  # keep
        (_RETURN, 0, 0, 0),  # drop
    )
    _attach(opened, program)


def keep_only(opened: socket.socket, number: int, offset: int) -> None:
    """Drop, inside the kernel, every message that has not this number in the 32 bits at this offset. Raises OSError."""
    program = (
        (_LOAD_WORD, 0, 0, offset),
        (_JUMP_EQUAL, 0, 1, _swap(number, 4)),
        (_RETURN, 0, 0, 0xFFFFFFFF),  # keep
        (_RETURN, 0, 0, 0),  # drop
    )
    _attach(opened, program)


def filter_nothing(opened: socket.socket) -> None:
    """Take the filter away again. Raises OSError."""
    opened.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def _open(buffer: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.NETLINK_ROUTE)
    _set_buffer(opened, socket.SO_RCVBUF, _SO_RCVBUFFORCE, buffer)
    _set_buffer(opened, socket.SO_SNDBUF, _SO_SNDBUFFORCE, buffer)
    return opened


def _attach(opened: socket.socket, program: tuple[tuple[int, int, int, int], ...]) -> None:
    instructions = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*step) for step in program))
    pointer = _PROGRAM.pack(len(program), ctypes.addressof(instructions))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)


def _swap(number: int, size: int) -> int:
    """A number in the order of this host, read as big-endian."""
    return int.from_bytes(number.to_bytes(size, sys.byteorder), "big")


def _set_buffer(opened: socket.socket, option: int, force: int, size: int) -> None:
    """Set a buffer size past net.core.rmem_max where we may (CAP_NET_ADMIN), up to it where we may not."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, force, size)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, option, size)
