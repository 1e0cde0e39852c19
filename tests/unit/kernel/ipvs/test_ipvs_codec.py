"""The codec against the bytes that ipvsadm sends, and those that Linux 6.1 answers with.

``golden.json`` was recorded once, beside what ipvsadm printed.
"""

from __future__ import annotations

import json
from pathlib import Path
from struct import pack
from typing import Any, Final

import pytest

from routed.kernel.codec import messages
from routed.kernel.codec.attributes import DONE, ERROR, HEADER, MalformedMessage, attribute, walk
from routed.kernel.ipvs import codec
from routed.kernel.ipvs.codec import Timeouts
from routed.model.ipvs import (
    CHECKSUM,
    DIRECT,
    GRE,
    GUE,
    MASQ,
    ONE_PACKET,
    PERSISTENT,
    REMOTE_CHECKSUM,
    SCHEDULER_1,
    SCHEDULER_2,
    SCTP,
    TCP,
    TUNNEL,
    UDP,
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    Traffic,
)
from routed.model.net import IPV4, IPV6, parse_address

GOLDEN: Final[dict[str, Any]] = json.loads(Path(__file__).with_name("golden.json").read_text())


def exchanges(command: str) -> list[dict[str, Any]]:
    [found] = [one for one in GOLDEN["commands"] if one["command"] == f"ipvsadm {command}"][:1]
    exchanged: list[dict[str, Any]] = found["exchanges"]
    return exchanged


def request(command: str) -> bytes:
    """What ipvsadm sends for it, without the netlink header."""
    return bytes.fromhex(exchanges(command)[0]["request"])[HEADER.size :]


def service(address: str, port: int, ipproto: int = TCP) -> ServiceMember:
    return ServiceMember(ipproto, parse_address(address), port)


def server(address: str, port: int) -> ServerMember:
    return ServerMember(parse_address(address), port)


def value(scheduler: str, *, flags: int = 0, timeout: int = 0, length: int = 32, engine: str = "") -> ServiceValue:
    return ServiceValue(0, scheduler, flags, timeout, length, engine)


MARK: Final = ServiceMember(fwmark=7)
FALLBACK_AND_PORT: Final = SCHEDULER_1 | SCHEDULER_2
HTTPS: Final = ServerSlot(IPV4, service("10.5.0.9", 443))
HTTP: Final = ServerSlot(IPV4, service("10.5.0.9", 80))
HTTP6: Final = ServerSlot(IPV6, service("2001:db8::9", 80))

SERVICES: Final = [
    ("-A -t 10.5.0.9:80 -s rr", IPV4, service("10.5.0.9", 80), value("rr")),
    ("-A -u 10.5.0.9:53 -s wrr -o", IPV4, service("10.5.0.9", 53, UDP), value("wrr", flags=ONE_PACKET)),
    (
        "-A -t 10.5.0.9:443 -s wlc -p 360 -M 255.255.255.0",
        IPV4,
        service("10.5.0.9", 443),
        value("wlc", flags=PERSISTENT, timeout=360, length=24),
    ),
    ("-A --sctp-service 10.5.0.9:9 -s lc", IPV4, service("10.5.0.9", 9, SCTP), value("lc")),
    ("-A -f 7 -s sh -b sh-fallback,sh-port", IPV4, MARK, value("sh", flags=FALLBACK_AND_PORT)),
    ("-A -f 7 -6 -s mh -b mh-port", IPV6, MARK, value("mh", flags=SCHEDULER_2, length=128)),
    (
        "-A -t [2001:db8::9]:80 -s mh -b mh-fallback,mh-port -p 300 -M 64",
        IPV6,
        service("2001:db8::9", 80),
        value("mh", flags=PERSISTENT | FALLBACK_AND_PORT, timeout=300, length=64),
    ),
    (
        "-A -u 10.5.0.9:5060 -s rr -p 600 --pe sip",
        IPV4,
        service("10.5.0.9", 5060, UDP),
        value("rr", flags=PERSISTENT, timeout=600, engine="sip"),
    ),
    ("-A -t 10.5.0.9:0 -s rr -p", IPV4, service("10.5.0.9", 0), value("rr", flags=PERSISTENT, timeout=360)),
    ("-A -t 10.5.0.10:80 -s twos", IPV4, service("10.5.0.10", 80), value("twos")),
    ("-A -t 10.5.0.10:80 -s rr --pe foo", IPV4, service("10.5.0.10", 80), value("rr", engine="foo")),
    (
        "-E -t 10.5.0.9:80 -s wlc -p 120",
        IPV4,
        service("10.5.0.9", 80),
        value("wlc", flags=PERSISTENT, timeout=120),
    ),
    ("-E -t 10.5.0.9:80 -s rr", IPV4, service("10.5.0.9", 80), value("rr")),
]


def gue(flags: int) -> ServerValue:
    return ServerValue(0, TUNNEL, tunnel=GUE, tunnel_port=6080, tunnel_flags=flags)


SERVERS: Final = [
    (
        "-a -t 10.5.0.9:80 -r 10.5.0.11 -m -w 5 -x 1000 -y 800",
        HTTP,
        server("10.5.0.11", 80),
        ServerValue(0, MASQ, 5, 1000, 800),
    ),
    ("-a -t 10.5.0.9:80 -r 10.5.0.12:8080 -m", HTTP, server("10.5.0.12", 8080), ServerValue(0)),
    ("-a -t 10.5.0.9:443 -r 10.5.0.11 -g", HTTPS, server("10.5.0.11", 443), ServerValue(0, DIRECT)),
    ("-a -t 10.5.0.9:443 -r 10.5.0.12 -i", HTTPS, server("10.5.0.12", 443), ServerValue(0, TUNNEL)),
    ("-a -t 10.5.0.9:443 -r 10.5.0.13 -i --tun-type gue --tun-port 6080", HTTPS, server("10.5.0.13", 443), gue(0)),
    (
        "-a -t 10.5.0.9:443 -r 10.5.0.14 -i --tun-type gue --tun-port 6080 --tun-csum",
        HTTPS,
        server("10.5.0.14", 443),
        gue(CHECKSUM),
    ),
    (
        "-a -t 10.5.0.9:443 -r 10.5.0.15 -i --tun-type gue --tun-port 6080 --tun-remcsum",
        HTTPS,
        server("10.5.0.15", 443),
        gue(REMOTE_CHECKSUM),
    ),
    (
        "-a -t 10.5.0.9:443 -r 10.5.0.16 -i --tun-type gre --tun-csum",
        HTTPS,
        server("10.5.0.16", 443),
        ServerValue(0, TUNNEL, tunnel=GRE, tunnel_flags=CHECKSUM),
    ),
    ("-a -f 7 -r 10.5.0.11 -g -w 0", ServerSlot(IPV4, MARK), server("10.5.0.11", 0), ServerValue(0, DIRECT, 0)),
    (
        "-a -f 7 -6 -r [2001:db8:1::11]:0 -g",
        ServerSlot(IPV6, MARK),
        server("2001:db8:1::11", 0),
        ServerValue(0, DIRECT),
    ),
    (
        "-a -t [2001:db8::9]:80 -r [2001:db8:1::11]:8080 -m -w 3",
        HTTP6,
        server("2001:db8:1::11", 8080),
        ServerValue(0, MASQ, 3),
    ),
    ("-a -t 10.5.0.9:80 -r [2001:db8:1::12]:80 -i", HTTP, server("2001:db8:1::12", 80), ServerValue(0, TUNNEL)),
    ("-e -t 10.5.0.9:80 -r 10.5.0.11 -m -w 7", HTTP, server("10.5.0.11", 80), ServerValue(0, MASQ, 7)),
    ("-a -t 10.5.0.9:80 -r 10.5.0.78 -m -x 5 -y 9", HTTP, server("10.5.0.78", 80), ServerValue(0, MASQ, 1, 5, 9)),
]


@pytest.mark.parametrize(("command", "family", "member", "wanted"), SERVICES, ids=[one[0] for one in SERVICES])
def test_a_service_is_asked_for_byte_by_byte_as_ipvsadm_does(
    command: str, family: int, member: ServiceMember, wanted: ServiceValue
) -> None:
    asked = request(command)
    assert codec.encode_service(asked[0], ServiceSlot(family), member, wanted).hex() == asked.hex()


@pytest.mark.parametrize(("command", "slot", "member", "wanted"), SERVERS, ids=[one[0] for one in SERVERS])
def test_a_server_is_asked_for_byte_by_byte_as_ipvsadm_does_but_its_service_by_the_key_alone(
    command: str, slot: ServerSlot, member: ServerMember, wanted: ServerValue
) -> None:
    theirs = request(command)
    ours = codec.encode_server(theirs[0], slot, member, wanted)
    assert ours[:4] == theirs[:4]
    assert walk(ours, 4, len(ours))[2].hex() == walk(theirs, 4, len(theirs))[2].hex()
    key = walk(ours, 4, len(ours))[1]
    assert walk(theirs, 4, len(theirs))[1].startswith(key)


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("-D -t 10.5.0.10:80", codec.encode_service_key(3, ServiceSlot(IPV4), service("10.5.0.10", 80))),
        ("-d -t 10.5.0.9:80 -r 10.5.0.99", codec.encode_server_removal(HTTP, server("10.5.0.99", 80))),
    ],
)
def test_what_goes_is_named_by_its_key_alone(command: str, ours: bytes) -> None:
    theirs = request(command)
    assert ours[:4] == theirs[:4]
    for nest, part in walk(ours, 4, len(ours)).items():
        assert walk(theirs, 4, len(theirs))[nest].startswith(part)


def test_timeouts_are_written_and_read() -> None:
    assert codec.encode_timeouts(Timeouts(901, 121, 301)) == request("--set 901 121 301")
    [asked] = exchanges("-L --timeout")
    assert codec.encode_timeouts_request() == bytes.fromhex(asked["request"])[HEADER.size :]
    answer = bytes.fromhex(asked["replies"][0])
    assert codec.decode_timeouts(answer, 0, len(answer)) == Timeouts(901, 121, 301)


def test_a_whole_listing_of_ipvsadm_is_read_back() -> None:
    listed = exchanges("-S -n")
    assert codec.encode_services_request() == bytes.fromhex(listed[0]["request"])[HEADER.size :]
    services = dict(decode_services(listed[0]))
    expected = {ServerSlot(family, member): wanted for _, family, member, wanted in SERVICES[:9]}
    assert services == expected
    found: dict[tuple[ServerSlot, ServerMember], ServerValue] = {}
    for exchange in listed[1:]:
        asked = bytes.fromhex(exchange["request"])[HEADER.size :]
        [slot] = [one for one in services if codec.encode_service_key(8, one, one.service) == asked]
        found |= {(slot, member): one for member, one in decode_servers(exchange, slot.family)}
    wanted_servers = {(slot, member): one for _, slot, member, one in SERVERS if member.address[-1] != 78}
    wanted_servers[HTTP6, server("10.5.0.11", 80)] = ServerValue(0, TUNNEL)  # sent with garbage behind the address
    assert found == wanted_servers


def parts(exchange: dict[str, Any]) -> list[tuple[bytes, int, int]]:
    return [
        (data, start, end)
        for data in map(bytes.fromhex, exchange["replies"])
        for type_, _, start, end in messages(data)
        if type_ not in {DONE, ERROR}
    ]


def decode_services(exchange: dict[str, Any]) -> list[tuple[ServerSlot, ServiceValue]]:
    return [codec.decode_service(codec.open_service(*part)) for part in parts(exchange)]


def decode_servers(exchange: dict[str, Any], family: int) -> list[tuple[ServerMember, ServerValue]]:
    return [codec.decode_server(codec.open_server(*part), family) for part in parts(exchange)]


def test_every_answer_is_read() -> None:
    counts = {1: 0, 5: 0}
    for command in GOLDEN["commands"]:
        for exchange in command["exchanges"]:
            for data, start, end in parts(exchange):
                kind = data[start + HEADER.size]
                if kind == 1:
                    codec.decode_service_traffic(codec.open_service(data, start, end))
                    codec.decode_service(codec.open_service(data, start, end))
                elif kind == 5:
                    codec.decode_server(codec.open_server(data, start, end), IPV4)
                    assert codec.decode_server_traffic(codec.open_server(data, start, end)) == Traffic()
                else:
                    continue
                counts[kind] += 1
    assert counts[1] >= 10
    assert counts[5] >= 15


# --- the form ---------------------------------------------------------------------------------------------------------


A_SERVICE: Final = {
    1: pack("=H", IPV4),
    2: pack("=H", TCP),
    3: bytes((10, 0, 0, 1)) + bytes(12),
    4: pack("!H", 80),
    6: b"rr\0",
    7: pack("=II", 0, 0xFFFFFFFF),
    8: pack("=I", 0),
    9: bytes((255, 255, 255, 255)),
}
A_SERVER: Final = {1: bytes((10, 0, 0, 2)) + bytes(12), 2: pack("!H", 80)} | dict.fromkeys(range(3, 7), bytes(4))


def test_what_the_kernel_keeps_without_persistence_counts_for_nothing() -> None:
    kept = A_SERVICE | {7: pack("=II", 0x2 | 0x100, 0xFFFFFFFF), 8: pack("=I", 77), 9: bytes((255, 255, 0, 0))}
    assert codec.decode_service(kept) == codec.decode_service(A_SERVICE)
    assert codec.decode_service(A_SERVICE)[1] == value("rr")


def test_a_mask_with_holes_is_no_prefix_length() -> None:
    strange = A_SERVICE | {7: pack("=II", PERSISTENT, 0), 8: pack("=I", 60), 9: bytes((255, 0, 255, 0))}
    assert codec.decode_service(strange)[1].prefixlen == -1


def test_a_tunnel_that_no_packet_goes_through_counts_for_nothing() -> None:
    kept = A_SERVER | {13: b"\x01", 14: pack("!H", 6080), 15: pack("=H", 1)}
    assert codec.decode_server(kept, IPV4) == codec.decode_server(A_SERVER, IPV4)


def test_before_a_server_had_a_family_it_was_that_of_its_service() -> None:
    assert codec.decode_server(A_SERVER, IPV6)[0].address == A_SERVER[1]


def test_counters_come_in_64_bits_or_before_linux_4_1_in_32() -> None:
    wide = b"".join(attribute(type_, pack("=Q", type_ * 1000)) for type_ in range(1, 11))
    narrow = b"".join(attribute(type_, pack("=Q" if type_ in {4, 5} else "=I", type_ * 10)) for type_ in range(1, 11))
    connections = {7: pack("=I", 3), 8: pack("=I", 2), 9: pack("=I", 1)}
    assert codec.decode_server_traffic(A_SERVER | connections | {10: narrow}) == Traffic(3, 2, 1, 10, 60, 40, 50)
    both = A_SERVER | connections | {10: narrow, 12: wide}
    assert codec.decode_server_traffic(both) == Traffic(3, 2, 1, 1000, 6000, 4000, 5000)
    assert codec.decode_service_traffic(A_SERVICE | {10: narrow}) == Traffic(0, 0, 0, 10, 60, 40, 50)


@pytest.mark.parametrize("missing", sorted(A_SERVICE))
def test_a_service_that_lacks_something_is_malformed(missing: int) -> None:
    with pytest.raises(MalformedMessage):
        codec.decode_service({type_: payload for type_, payload in A_SERVICE.items() if type_ != missing})


@pytest.mark.parametrize("cut", sorted(A_SERVICE))
def test_a_service_with_something_cut_short_is_malformed(cut: int) -> None:
    if cut != 6:  # a name may have any length
        with pytest.raises(MalformedMessage):
            codec.decode_service(A_SERVICE | {cut: b"\0"})
