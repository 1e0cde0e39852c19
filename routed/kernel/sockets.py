"""The sockets: requests without groups, events without requests. The only module that imports pyroute2.

Here must never live: anything that reads inside a message.
Sources: netlink(7); include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import socket
from struct import Struct
from typing import TYPE_CHECKING, Final

from routed.kernel.lean import import_lean

if TYPE_CHECKING:
    from pyroute2 import netlink
    from pyroute2.netlink import rtnl
else:
    netlink = import_lean("pyroute2", "pyroute2.netlink")
    rtnl = import_lean("pyroute2", "pyroute2.netlink.rtnl")

_ADD_MEMBERSHIP: Final = 1  # NETLINK_ADD_MEMBERSHIP; to drop it is the next number
_NETLINK_CAP_ACK: Final = 10  # an error repeats the header of the request only
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33

REQUEST_BUFFER: Final = 4 << 20  # bytes; answers wait here while the kernel works through a batch
EVENT_BUFFER: Final = 32 << 20  # bytes; an event of a route takes about 830 of them
_TIME: Final = Struct("@ll")  # struct timeval
ROUTE: Final = netlink.NETLINK_ROUTE
GENERIC: Final = netlink.NETLINK_GENERIC
NETFILTER: Final = netlink.NETLINK_NETFILTER

_IPV6_IFINFO: Final = 0x800  # RTMGRP_IPV6_IFINFO, linux/rtnetlink.h
_GROUPS: Final = (
    rtnl.RTMGRP_LINK
    | rtnl.RTMGRP_IPV4_IFADDR
    | rtnl.RTMGRP_IPV6_IFADDR
    | rtnl.RTMGRP_IPV4_ROUTE
    | rtnl.RTMGRP_IPV6_ROUTE
    | rtnl.RTMGRP_IPV4_RULE
    | rtnl.RTMGRP_IPV6_RULE
    | _IPV6_IFINFO
)


def open_request_socket(buffer: int, deadline: float, port: int = 0, bus: int = ROUTE) -> socket.socket:
    """A blocking socket for requests, with extended acknowledgements and strict checks.

    ``send`` and ``recv`` raise BlockingIOError after ``deadline`` seconds. ``port`` is its port id; 0 leaves that to
    the kernel. ``bus`` is ROUTE or GENERIC. Raises OSError: EADDRINUSE where somebody else has the port id.
    """
    opened = _open(buffer, bus)
    try:
        for option in (netlink.NETLINK_EXT_ACK, netlink.NETLINK_GET_STRICT_CHK, _NETLINK_CAP_ACK):
            opened.setsockopt(netlink.SOL_NETLINK, option, 1)
        seconds = int(deadline)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            opened.setsockopt(socket.SOL_SOCKET, option, _TIME.pack(seconds, int((deadline - seconds) * 1e6)))
        opened.bind((port, 0))
    except OSError:
        opened.close()
        raise
    return opened


def open_event_socket(buffer: int = EVENT_BUFFER) -> socket.socket:
    """A non-blocking socket that is told of links, addresses, routes and rules of both families. Raises OSError."""
    opened = _open(buffer)
    opened.bind((0, _GROUPS))
    opened.setblocking(False)
    return opened


def join_group(opened: socket.socket, group: int, *, wanted: bool) -> None:
    """Have a socket be told of one more group, or not any more. Raises OSError: EINVAL where the kernel has none."""
    opened.setsockopt(netlink.SOL_NETLINK, _ADD_MEMBERSHIP if wanted else _ADD_MEMBERSHIP + 1, group)


def _open(buffer: int, bus: int = ROUTE) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, bus)
    _set_buffer(opened, socket.SO_RCVBUF, _SO_RCVBUFFORCE, buffer)
    _set_buffer(opened, socket.SO_SNDBUF, _SO_SNDBUFFORCE, buffer)
    return opened


def _set_buffer(opened: socket.socket, option: int, force: int, size: int) -> None:
    """Set a buffer size past net.core.rmem_max where we may (CAP_NET_ADMIN), up to it where we may not."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, force, size)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, option, size)
