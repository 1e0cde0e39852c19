"""IPIP links as rtnetlink writes them. The kernel's messages are made as by ipip_fill_info in net/ipv4/ipip.c."""

from __future__ import annotations

from errno import EEXIST, EOPNOTSUPP
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.kernel.codec import CODECS
from routed.kernel.codec.attributes import HEADER, HEADER_SIZE, MalformedMessage, attribute, message, walk
from routed.kernel.codec.link import decode_link, encode_link, encode_link_change, explain_refusals
from routed.model.change import Verb
from routed.model.net import parse_address
from routed.model.objects import Ipip, Kind, LinkMember, LinkSlot, LinkValue

LOCAL, PEER = parse_address("192.0.2.10"), parse_address("198.51.100.7")
NAME, DATA = LinkMember("routed-ipip"), Ipip(LOCAL, 1480)
MADE = LinkValue(114, "ipip", is_up=True, data=DATA)
HEAD = 16  # bytes of struct ifinfomsg

# IFLA_IPTUN_* of a link that was made with `ip link add routed-ipip type ipip local 192.0.2.10`
TOLD = {
    1: pack("=I", 0),  # LINK
    2: LOCAL,
    3: bytes(4),  # REMOTE
    4: b"\0",  # TTL
    5: b"\0",  # TOS
    9: b"\4",  # PROTO
    10: b"\1",  # PMTUDISC
    20: pack("=I", 0),  # FWMARK
    15: pack("=H", 0),  # ENCAP_TYPE
    17: pack("=H", 0),  # ENCAP_SPORT
    18: pack("=H", 0),  # ENCAP_DPORT
    16: pack("=H", 0),  # ENCAP_FLAGS
}


def told(
    changes: dict[int, bytes] | None = None, *, name: str = NAME.name, alias: str = "routed:114", mtu: int = 1480
) -> bytes:
    """An RTM_NEWLINK of the kernel for an IPIP link that is up."""
    data = b"".join(attribute(type_, payload) for type_, payload in (TOLD | (changes or {})).items())
    info = attribute(1, b"ipip\0") + attribute(2 | 0x8000, data)  # with NLA_F_NESTED
    body = pack("=BBHiII", 0, 0, 768, 7, 0x1 | 0x80, 0)
    body += attribute(3, name.encode() + b"\0") + attribute(4, pack("=I", mtu)) + attribute(20, alias.encode() + b"\0")
    return message(16, 0, 1, body + attribute(18 | 0x8000, info))


def read(data: bytes) -> LinkValue:
    decoded = decode_link(data, 0, len(data))
    assert decoded is not None
    value = decoded[0].value
    assert isinstance(value, LinkValue)
    return value


def asked(body: bytes) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """The attributes of a request, and those of its IFLA_INFO_DATA."""
    attributes = walk(body, HEAD, len(body))
    info = walk(attributes.get(18, b""), 0, len(attributes.get(18, b"")))
    return attributes, walk(info.get(2, b""), 0, len(info.get(2, b"")))


def test_what_the_kernel_says_of_a_tunnel_is_read() -> None:
    assert read(told()) == MADE


@pytest.mark.parametrize(
    ("type_", "payload", "wanted"),
    [
        (2, bytes(4), {"local": b""}),
        (3, PEER, {"remote": PEER}),
        (4, b"\x40", {"ttl": 64}),
        (9, b"\0", {"carries": 0}),
        (10, b"\0", {"pmtudisc": False}),
        (19, b"", {"is_external": True}),
        (1, pack("=I", 3), {"extra": attribute(1, pack("=I", 3))}),
        (5, b"\x10", {"extra": attribute(5, b"\x10")}),
        (15, pack("=H", 2), {"extra": attribute(15, pack("=H", 2))}),
        (20, pack("=I", 9), {"extra": attribute(20, pack("=I", 9))}),
        (77, b"\1", {"extra": attribute(77, b"\1")}),
    ],
)
def test_whatever_makes_it_another_tunnel_is_seen(type_: int, payload: bytes, wanted: dict[str, object]) -> None:
    assert read(told({type_: payload})).data == DATA._replace(**wanted)  # type: ignore[arg-type]


def test_an_attribute_of_zeros_that_this_kernel_is_the_first_to_have_says_nothing() -> None:
    assert read(told({78: bytes(8)})) == MADE


def test_the_mtu_is_read() -> None:
    assert read(told(mtu=1400)).data == DATA._replace(mtu=1400)


@pytest.mark.parametrize(
    "data", [DATA, Ipip(LOCAL, 1400, ttl=64), Ipip(LOCAL, 65515, pmtudisc=False), DATA._replace(remote=PEER)]
)
@pytest.mark.parametrize("encode", [encode_link, encode_link_change])
def test_what_is_asked_for_is_what_is_read(data: Ipip, encode: object) -> None:
    assert callable(encode)
    attributes, more = asked(encode(LinkSlot(), NAME, MADE._replace(data=data)))
    assert read(told(more, mtu=int.from_bytes(attributes[4], "little"))).data == data
    assert walk(attributes[18], 0, len(attributes[18]))[1] == b"ipip\0"


def test_a_request_names_as_none_what_the_file_has_no_word_for() -> None:
    _, more = asked(encode_link_change(LinkSlot(), NAME, MADE))
    assert {type_: payload for type_, payload in TOLD.items() if more.get(type_) != payload} == {}


def test_of_a_strangers_link_nothing_is_asked_but_that_it_is_up() -> None:
    body = encode_link_change(LinkSlot(), NAME, MADE._replace(protocol=0))
    assert asked(body) == ({3: b"routed-ipip\0"}, {})
    assert body[8:HEAD] == pack("=II", 1, 1)


def test_our_alias_on_the_fallback_device_makes_it_nobodys() -> None:
    assert read(told({2: bytes(4)}, name="tunl0")).protocol == 0
    assert read(told()).protocol == 114


def test_a_link_that_is_made_anew_is_deleted_created_and_marked() -> None:
    codec = CODECS[Kind.LINK]
    steps = [(step.flags, step.is_removal, step.of_before) for step in codec.steps[Verb.CHANGE]]
    assert steps == [(0x1, True, True), (0x1 | 0x400 | 0x200, False, False), (0x1, False, False)]


def test_a_driver_that_is_missing_and_an_address_that_is_taken_are_named() -> None:
    words = explain_refusals(MADE)
    assert words[EOPNOTSUPP] == "this kernel has no driver for links of kind ipip (modprobe ipip says more)"
    assert words[EEXIST] == "another link has this local address (ip -d link show type ipip)"
    assert EEXIST not in explain_refusals(LinkValue(114, "dummy"))


@pytest.mark.parametrize("changes", [{2: b"\1\2"}, {4: b"\1\2"}, {10: b""}, {9: bytes(4)}])
def test_what_cannot_be_a_message_of_the_kernel_is_told(changes: dict[int, bytes]) -> None:
    with pytest.raises(MalformedMessage):
        read(told(changes))


@given(st.binary(max_size=64), st.integers(0, 200))
def test_no_bytes_break_the_decoder(junk: bytes, at: int) -> None:
    whole = told()
    at = HEADER_SIZE + at % (len(whole) - HEADER_SIZE)
    for data in (whole[:at], whole[:at] + junk, whole[:at] + junk + whole[at + len(junk) :]):
        length = HEADER.pack(len(data), 16, 0, 1, 0)
        try:
            decode_link(length + data[HEADER_SIZE:], 0, len(data))
        except MalformedMessage:
            continue


@pytest.mark.parametrize(("kind", "table"), [(b"vrf", 700), (b"dummy", 0)])
def test_the_table_of_a_vrf_is_read_and_of_no_other_link(kind: bytes, table: int) -> None:
    info = attribute(1, kind + b"\0") + attribute(2 | 0x8000, attribute(1, pack("=I", 700)))
    body = pack("=BBHiII", 0, 0, 1, 7, 0x1, 0) + attribute(3, b"red\0") + attribute(18 | 0x8000, info)
    data = message(16, 0, 1, body)
    decoded = decode_link(data, 0, len(data))
    assert decoded is not None
    assert decoded[1].table == table
