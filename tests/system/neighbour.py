"""A host at the other end of v0, in a network namespace of its own: what it hears, and what it believes of us."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENETDOWN
from pathlib import Path
from typing import Any, NamedTuple

from tests.kernel import netns
from tests.kernel.netns import ip, ip_json

_ETH_P_ALL = 3
_ARP, _IPV6 = 0x0806, 0x86DD
_SO_TIMESTAMPNS = 35
_TIME = struct.Struct("@qq")  # struct timespec
STRANGER = "02:00:00:00:00:99"  # somebody who held the address before


class Heard(NamedTuple):
    """One announcement, and when it came."""

    address: str
    mac: str
    at: float  # seconds of the kernel's clock, when it arrived


class Neighbour:
    """Listens on v0p for gratuitous ARP and for unsolicited neighbour advertisements."""

    def __init__(self, namespace: Path) -> None:
        self._namespace = namespace
        with netns.inside(namespace):
            self._packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            self._packets.bind(("v0p", _ETH_P_ALL))
        self._packets.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._packets.setblocking(False)
        self._heard: list[Heard] = []

    def close(self) -> None:
        self._packets.close()

    def run(self, command: str) -> str:
        """`ip` on this host."""
        with netns.inside(self._namespace):
            return ip(command)

    def believes(self, address: str) -> str:
        """The hardware address that this host's kernel has for an address."""
        with netns.inside(self._namespace):
            found: list[dict[str, Any]] = ip_json(f"neigh show {address} dev v0p")
        return str(found[0]["lladdr"]) if found else ""

    def heard(self, address: str) -> list[Heard]:
        """The announcements of an address until now."""
        while True:
            try:
                frame, ancillary, _, _ = self._packets.recvmsg(2048, 128)
            except BlockingIOError:
                break
            except OSError as error:
                assert error.errno == ENETDOWN  # noqa: PT017  a link that goes down is told to its sockets once
                continue
            seconds, nanoseconds = _TIME.unpack(ancillary[0][2])
            self._heard += _read(frame, seconds + nanoseconds / 1e9)
        return [one for one in self._heard if one.address == address]

    def forget(self) -> None:
        """What was heard until now is of no interest."""
        self.heard("")
        self._heard.clear()


def _read(frame: bytes, at: float) -> Iterator[Heard]:
    source, (protocol,) = frame[6:12], struct.unpack_from("!H", frame, 12)
    packet = frame[14:]
    if protocol == _ARP:
        mac, sender, target = packet[8:14], packet[14:18], packet[24:28]
        if sender == target:
            assert mac == source
            yield Heard(socket.inet_ntop(socket.AF_INET, sender), mac.hex(":"), at)
    elif protocol == _IPV6 and packet[6] == 58 and packet[40] == 136:
        assert packet[7] == 255, "a router could have forwarded it"
        assert packet[44] & 0x20, "it does not override"
        yield Heard(socket.inet_ntop(socket.AF_INET6, packet[48:64]), packet[66:72].hex(":"), at)


@contextmanager
def a_neighbour() -> Iterator[Neighbour]:
    """Moves v0p, the far end of v0, to a host of its own."""
    with netns.new_namespace() as there:
        ip(f"link set v0p netns {there}")
        with netns.inside(there):
            Path("/proc/sys/net/ipv6/conf/v0p/accept_dad").write_text("0")
            ip("link set v0p up")
            ip("address add 10.0.0.2/24 dev v0p")
        neighbour = Neighbour(there)
        try:
            yield neighbour
        finally:
            neighbour.close()
