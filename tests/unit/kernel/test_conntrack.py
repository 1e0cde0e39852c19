"""The codec of connection tracking against what Linux 6.18 answered, and what it is asked, byte by byte."""

from __future__ import annotations

from struct import pack

import pytest

from routed.kernel.codec.attributes import MalformedMessage
from routed.kernel.conntrack import TrackedFlow, decode_flow, encode_dump, encode_removal, find_server, leads_to
from routed.model.ipvs import TCP, UDP, ServerMember, ServerSlot, ServiceMember
from routed.model.net import IPV4, IPV6, parse_address

# From 10.0.0.1 port 20001 to 10.9.9.9 port 53, where NAT sends it to 10.0.0.11 port 5353.
SEEN = bytes.fromhex(
    "a40000000001020001000000b0430000020000003400018014000180080001000a000001080002000a0909091c000280050001001100000006"
    "0002004e21000006000300003500003400028014000180080001000a00000b080002000a0000011c000280050001001100000006000200"
    "14e90000060003004e21000008000300000001a8080008000000000008000c00fab393c408000b0000000001080007000000001d"
)
# Likewise from fd00::1 to fd00:9::9, sent to fd00::11.
SEEN_6 = bytes.fromhex(
    "d40000000001020001000000b04300000a0000004c0001802c00018014000300fd000000000000000000000000000001"
    "14000400fd0000090000000000000000000000091c0002800500010011000000060002004e21000006000300003500004c000280"
    "2c00018014000300fd00000000000000000000000000001114000400fd0000000000000000000000000000011c00028005000100"
    "110000000600020014e90000060003004e21000008000300000001a8080008000000000008000c005b35be8708000b0000000001"
    "080007000000001d"
)
# From port 20031 to 10.0.0.11 port 99 itself, in zone 7.
IN_ZONE = bytes.fromhex(
    "ac0000000001020001000000b0430000020000003400018014000180080001000a000001080002000a00000b1c000280050001001100000006"
    "0002004e3f000006000300006300003400028014000180080001000a00000b080002000a0000011c000280050001001100000006000200"
    "00630000060003004e3f000006001200000700000800030000000188080008000000000008000c008a2ae89d08000b0000000001080007"
    "000000001e"
)
VIP, ONE, TWO = (parse_address(text) for text in ("10.9.9.9", "10.0.0.11", "10.0.0.12"))
VIP_6, ONE_6 = parse_address("fd00:9::9"), parse_address("fd00::11")
DNS = ServiceMember(UDP, VIP, 53)
SLOT = ServerSlot(IPV4, DNS)
SERVER = SLOT, ServerMember(ONE, 5353)
TUPLE = bytes.fromhex(
    "14000180080001000a000001080002000a0909091c0002800500010011000000060002004e2100000600030000350000"
)


def decode(data: bytes) -> TrackedFlow:
    return decode_flow(data, 0, len(data))


def test_a_flow_is_read_as_the_kernel_writes_it() -> None:
    assert decode(SEEN) == TrackedFlow(IPV4, UDP, VIP, 53, ONE, 5353, TUPLE, None, bytes.fromhex("fab393c4"))
    flow = decode(SEEN_6)
    assert flow[:6] == (IPV6, UDP, VIP_6, 53, ONE_6, 5353)
    assert decode(IN_ZONE).zone == b"\0\x07"


def test_what_is_cut_short_is_told_from_a_flow() -> None:
    for size in range(20, len(SEEN)):
        try:
            flow = decode(SEEN[:size])
        except MalformedMessage:
            continue
        assert flow == decode(SEEN)  # only what is not needed is missing


def test_the_removal_names_one_flow_by_its_tuple_number_and_zone() -> None:
    head, identity = "02000000", "08000c00fab393c4"
    assert encode_removal(decode(SEEN)).hex() == head + "34000180" + TUPLE.hex() + identity
    assert encode_removal(decode(IN_ZONE)).hex().endswith("08000c008a2ae89d" + "0600120000070000")


def test_the_dump_is_asked_by_what_all_servers_have_in_common() -> None:
    asked = encode_dump([SERVER])
    assert asked == bytes.fromhex(
        "02000000"
        "24000180 0c000180 080002000a090909 14000280 0500010011000000 0600030000350000"
        "24000280 0c000180 080001000a00000b 14000280 0500010011000000 0600020014e90000"
        "14001980 080001002a000000 0800020019000000"
    )
    asked = encode_dump([SERVER, (SLOT, ServerMember(TWO, 5354))])
    assert pack("=HHI", 8, 1, 0b101010) in asked
    assert asked.endswith(pack("=HHI", 8, 2, 0b1000))  # nothing but UDP
    assert ONE not in asked


def test_of_ipv6_only_the_ports_are_asked_since_the_kernel_compares_addresses_the_wrong_way() -> None:
    asked = encode_dump([(ServerSlot(IPV6, ServiceMember(UDP, VIP_6, 53)), ServerMember(ONE_6, 5353))])
    assert asked.endswith(pack("=HHIHHI", 8, 1, 0b101000, 8, 2, 0b11000))
    assert VIP_6 not in asked
    assert ONE_6 not in asked


def test_a_server_is_known_by_both_ends_and_a_port_that_is_any() -> None:
    flow = decode(SEEN)
    assert find_server(flow, {(VIP, 53, ONE, 5353): SERVER}) == SERVER
    assert find_server(flow, {(VIP, 0, ONE, 0): SERVER}) == SERVER
    for other in ((VIP, 54, ONE, 5353), (VIP, 53, TWO, 5353), (VIP, 53, ONE, 5354), (ONE, 53, ONE, 5353)):
        assert find_server(flow, {other: SERVER}) is None
    assert find_server(flow._replace(protocol=TCP), {(VIP, 53, ONE, 5353): SERVER}) is None


@pytest.mark.parametrize(
    "server",
    [
        (ServerSlot(IPV4, ServiceMember(fwmark=7)), ServerMember(ONE, 53)),
        (ServerSlot(IPV4, ServiceMember(TCP, VIP, 53)), ServerMember(ONE, 53)),
        (SLOT, ServerMember(ONE_6, 53)),
    ],
)
def test_by_a_mark_through_a_tunnel_and_of_tcp_nothing_is_looked_for(server: tuple[ServerSlot, ServerMember]) -> None:
    assert not leads_to(server)
