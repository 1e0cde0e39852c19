"""The observer: what happens to the kernel's routing state, and when, seen without a line of routed's own netlink code.

It holds a socket of its own on every group that routed listens to, and asks ``ip -j`` what stands. Here must never live
anything that changes the state it looks at.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

IP: Final = "ip"  # found by PATH, as its user finds it
NETLINK_ROUTE: Final = 0  # linux/netlink.h
# Bits of sockaddr_nl.nl_groups, linux/rtnetlink.h: link, and address, route and rule of both families.
GROUPS: Final = 1 << 0 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18
RECEIVE_BUFFER: Final = 4 << 20  # bytes
LONGEST_DATAGRAM: Final = 64 << 10  # bytes
OWN_PROTOCOL: Final = "114"  # the mark that the demo's file leaves at its default

_HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port id

Thing = tuple[str, ...]


class Notice(NamedTuple):
    """One notification of the kernel."""

    at: float  # time.monotonic() when it was read
    port: int  # who asked for the change; 0 is the kernel itself


class Observer:
    """Notifications of one network namespace. Use it as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.bind((0, GROUPS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def read(self, quiet: float) -> list[Notice]:
        """What was announced since the last call; waits for it no longer than ``quiet`` seconds."""
        notices: list[Notice] = []
        while select.select([self._socket], [], [], 0 if notices else quiet)[0]:
            data = self._socket.recv(LONGEST_DATAGRAM)
            now = time.monotonic()
            notices += [Notice(now, port) for port in _read_ports(data)]
        return notices


def _read_ports(data: bytes) -> Iterator[int]:
    """The port id of each message of a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, _, _, _, port = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield port
        offset += (length + 3) & ~3  # NLMSG_ALIGN


def find_ports(pid: int) -> frozenset[int]:
    """The port ids of a process's netlink sockets: those of /proc/net/netlink whose inode it has open."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # closed in between
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    rows = [line.split() for line in Path("/proc/net/netlink").read_text(encoding="ascii").splitlines()[1:]]
    return frozenset(int(row[2]) for row in rows if row[-1] in inodes)


def read_standing() -> dict[Thing, Thing]:
    """Everything of routed's that stands, by its key, as ``ip -j`` says; of several under one key the first.

    Addresses are taken whoever made them: the ip of Debian 12 does not show their mark.
    """
    standing: dict[Thing, Thing] = {}
    for family in ("-4", "-6"):
        for route in _ask(family, "route", "show", "table", "all"):
            key = ("route", family, *(str(route.get(name, "")) for name in ("dst", "table", "metric", "tos")))
            standing.setdefault(key, _flatten(route))
        for rule in _ask(family, "rule", "show"):
            standing[("rule", family, *_flatten(rule))] = _flatten(rule)
    for link in _ask("address", "show"):
        for address in link["addr_info"]:
            key = ("address", link["ifname"], str(address["local"]), str(address["prefixlen"]))
            if address["scope"] == "0":
                standing[key] = _flatten(address)
    return {key: thing for key, thing in standing.items() if key[0] == "address" or f"protocol={OWN_PROTOCOL}" in thing}


def _ask(*words: str) -> list[dict[str, Any]]:
    """The answer of ``ip -j``, with numbers for names. Raises CalledProcessError."""
    done = subprocess.run([IP, "-j", "-N", *words], capture_output=True, check=True)  # noqa: S603  our own words
    return [item for item in json.loads(done.stdout or b"[]") if item]


def _flatten(thing: dict[str, Any]) -> Thing:
    return tuple(
        sorted(f"{name}={json.dumps(value) if isinstance(value, list) else value}" for name, value in thing.items())
    )
