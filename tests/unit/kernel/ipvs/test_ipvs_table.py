"""The list in /proc, as Linux 6.1 writes it."""

from __future__ import annotations

from typing import Final

import pytest

from routed.kernel.dump import finish
from routed.kernel.ipvs.table import parse_table
from routed.model.ipvs import SCTP, TCP, UDP, ServerSlot, ServiceMember
from routed.model.net import IPV4, IPV6, parse_address

RAW: Final = b"""\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
UDP  [2001:0db8:0000:0000:0000:0000:0000:0009]:0035 wrr\x20
SCTP  0A050009:0009 lc \x20
TCP  0A050009:01BC wlc  persistent 2700000 FFFFFF00
UDP  0A050009:0035 wrr ops \x20
TCP  0A050009:03E8 rr \x20
  -> [2001:0db8:0001:0000:0000:0000:0000:0025]:03E8      Tunnel  6      0          0        \x20
  -> 0A050104:03E8      Route   7      0          0        \x20
FWM  00000007 rr \x20
  -> 0A050101:0000      Route   1      12         3        \x20
"""
V4, V6 = parse_address("10.5.0.9"), parse_address("2001:db8::9")
WEB: Final = ServerSlot(IPV4, ServiceMember(TCP, V4, 1000))
MARKS: Final = [ServerSlot(family, ServiceMember(fwmark=7)) for family in (IPV4, IPV6)]


def test_every_service_is_found_a_mark_in_both_families() -> None:
    assert finish(parse_table(RAW)).keys() == {
        ServerSlot(IPV6, ServiceMember(UDP, V6, 53)),
        ServerSlot(IPV4, ServiceMember(SCTP, V4, 9)),
        ServerSlot(IPV4, ServiceMember(TCP, V4, 444)),
        ServerSlot(IPV4, ServiceMember(UDP, V4, 53)),
        WEB,
        *MARKS,
    }


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (b"12         3  ", b"999        88 ", []),  # what is counted
        (b"Route   7", b"Route   8", [WEB]),
        (b"Route   7", b"Masq    7", [WEB]),
        (b"0A050104:03E8", b"0A050104:03E9", [WEB]),
        (b"03E8 rr  ", b"03E8 wlc ", [WEB]),
        (b"FWM  00000007 rr", b"FWM  00000007 sh", MARKS),
    ],
)
def test_what_looks_otherwise_is_the_service_that_was_changed(
    before: bytes, after: bytes, changed: list[ServerSlot]
) -> None:
    assert before in RAW
    old, new = finish(parse_table(RAW)), finish(parse_table(RAW.replace(before, after)))
    assert [place for place in old if old[place] != new[place]] == changed


@pytest.mark.parametrize("line", [b"  -> 0A050104:03E8 Route 7 0 0", b"TCP what", b"TCP", b"\n", b"FWM x rr"])
def test_what_is_written_otherwise_than_we_know_is_not_taken_for_something_else(line: bytes) -> None:
    head = b"".join(RAW.splitlines(keepends=True)[:3])
    with pytest.raises((ValueError, LookupError)):
        finish(parse_table(head + line + b"\n"))


def test_an_empty_list_is_empty() -> None:
    assert finish(parse_table(b"".join(RAW.splitlines(keepends=True)[:3]))) == {}
