"""A third party that listens to the kernel: what was changed, and by whom, without a line of the code under test."""

from __future__ import annotations

import select
import socket
import struct
from errno import ENOBUFS
from typing import NamedTuple

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr
_GROUPS = 0x10 | 0x40 | 0x80 | 0x100 | 0x400  # RTMGRP_IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE
_IPV6_RULES = 19  # RTNLGRP_IPV6_RULE
_SOL_NETLINK, _ADD_MEMBERSHIP, _SO_RCVBUFFORCE = 270, 1, 33
_NAMES = {20: "address", 21: "address gone", 24: "route", 25: "route gone", 32: "rule", 33: "rule gone"}
_ROUTES = {24, 25}


class Change(NamedTuple):
    """One notification."""

    what: str  # route, route gone, rule …
    to: str  # of a route: its destination
    port: int  # nlmsg_pid: 0 is the kernel itself


class Monitor:
    """Hears every change of an address, route or rule in the network namespace of the calling thread."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        self._socket.bind((0, _GROUPS))
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _IPV6_RULES)
        self._socket.setblocking(False)

    def close(self) -> None:
        self._socket.close()

    def wait(self, seconds: float = 20.0) -> bool:
        """Wait for the first change since the last call of ``heard``; no change is taken. Has one come in time?"""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def heard(self) -> list[Change]:
        """Every change since the last call. A lost one fails the test."""
        changes: list[Change] = []
        while True:
            try:
                datagram = self._socket.recv(1 << 18)
            except BlockingIOError:
                return changes
            except OSError as error:
                if error.errno == ENOBUFS:
                    raise AssertionError("the monitor of the test lost events") from None
                raise
            changes += _read(datagram)


def _read(datagram: bytes) -> list[Change]:
    changes = []
    start = 0
    while start < len(datagram):
        length, type_, _, _, port = _HEADER.unpack_from(datagram, start)
        to = _destination(datagram[start + _HEADER.size : start + length]) if type_ in _ROUTES else ""
        changes.append(Change(_NAMES[type_], to, port))
        start += (length + 3) & ~3
    return changes


def _destination(body: bytes) -> str:
    """RTA_DST with its length, as `ip` writes a prefix."""
    family, length = body[0], body[1]
    start = 12
    while start + _ATTRIBUTE.size <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, start)
        if kind == 1:
            return f"{socket.inet_ntop(family, body[start + 4 : start + size])}/{length}"
        start += (size + 3) & ~3
    return "default"
