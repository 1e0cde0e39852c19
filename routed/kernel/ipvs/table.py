"""What /proc says of IPVS: where a service or its servers look otherwise than before, without asking for all of them.

It shows neither thresholds, tunnels, engines nor flags of schedulers, and a mark without its family: what looks the
same may differ. What looks otherwise is asked for. Here must never live: a value of a service; that is the codec's.
Source: ip_vs_info_seq_show in net/netfilter/ipvs/ip_vs_ctl.c.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Final, Protocol

from routed.model.ipvs import SCTP, TCP, UDP, ServerSlot, ServiceMember
from routed.model.net import FAMILIES, IPV4, IPV6

_TABLE: Final = Path("/proc/thread-self/net/ip_vs")  # not that of the first thread
_REFERENCES: Final = Path("/sys/module/ip_vs/refcnt")
_PAGE: Final = 1 << 16  # bytes asked for; the kernel gives 4 KiB at a time
_SLICE: Final = 64  # pieces between two breaths of the caller
_LINES: Final = 2048  # likewise
_HEAD: Final = 3  # lines
# Names of protocols, as ip_vs_proto_name has them; those behind the first three are not meant to be there.
_IPPROTOS: Final = {b"TCP": TCP, b"UDP": UDP, b"SCTP": SCTP, b"ICMP": 1, b"ICMPv6": 58, b"AH": 51, b"ESP": 50}
_MARK: Final = b"FWM"
_OTHER: Final = b"IP_"

ProcTable = dict[ServerSlot, bytes]


class Outside(Protocol):
    """What can be read of IPVS without asking it."""

    def read_table(self) -> Generator[None, None, bytes | None]:
        """The list of all services and servers, in slices; empty without the module, None where it cannot be read."""

    def read_references(self) -> bytes | None:
        """How many services and other users the module has, in all network namespaces; None where that is unknown."""


class ProcFiles:
    """``Outside`` by the files of the kernel, of the network namespace of the calling thread."""

    def read_table(self) -> Generator[None, None, bytes | None]:
        """The list of all services and servers, in slices; empty without the module, None where it cannot be read."""
        try:
            handle = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        except OSError:
            return None
        pieces: list[bytes] = []
        try:
            while piece := os.read(handle, _PAGE):
                pieces.append(piece)
                if not len(pieces) % _SLICE:
                    yield
        except OSError:
            return None
        finally:
            os.close(handle)
        return b"".join(pieces)

    def read_references(self) -> bytes | None:
        """How many services and other users the module has; None where it is built in."""
        try:
            return _REFERENCES.read_bytes()
        except OSError:
            return None


def parse_table(raw: bytes) -> Generator[None, None, ProcTable]:
    """How each service looks with its servers, without what is counted, in slices. A mark stands for both families.

    Raises ValueError where it is written otherwise than we know.
    """
    table: ProcTable = {}
    places: list[ServerSlot] = []
    for number, line in enumerate(raw.splitlines()[_HEAD:], 1):
        if not number % _LINES:
            yield
        words = line.split()
        if words[0] == b"->":
            look = b" ".join(words[:4])  # address, forward, weight
        else:
            places = _find_places(words[0], words[1])
            look = line
        if not places:
            raise ValueError("a server before its service")
        for place in places:
            table[place] = table.get(place, b"") + look + b"\n"
    return table


def _find_places(ipproto: bytes, name: bytes) -> list[ServerSlot]:
    if ipproto == _MARK:
        return [ServerSlot(family, ServiceMember(fwmark=int(name, 16))) for family in FAMILIES]
    address, _, port = name.rpartition(b":")
    number = int(ipproto.removeprefix(_OTHER)) if ipproto.startswith(_OTHER) else _IPPROTOS.get(ipproto, 0)
    family = IPV6 if address.startswith(b"[") else IPV4
    packed = bytes.fromhex(address.strip(b"[]").replace(b":", b"").decode())
    return [ServerSlot(family, ServiceMember(number, packed, int(port, 16)))]
