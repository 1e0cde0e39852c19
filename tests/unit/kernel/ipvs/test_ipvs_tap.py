"""The tap over the bytes that ipvsadm sends and that Linux 6.1 answers with: what its filter keeps, and how it reads.

The filter is run by a small machine of its own here, which knows the instructions of the kernel's and no more.
"""

from __future__ import annotations

import json
from pathlib import Path
from struct import pack, pack_into, unpack_from
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.kernel import filters, sockets
from routed.kernel.codec.attributes import REQUEST, attribute, message
from routed.kernel.ipvs.connection import MARK
from routed.kernel.ipvs.tap import _READERS, EVERYTHING, MOST, read_requests
from routed.model.events import Touched
from routed.model.ipvs import TCP, ServerMember, ServerSlot, ServiceMember, ServiceSlot
from routed.model.net import IPV4, parse_address
from routed.model.objects import Key, Kind
from routed.model.reasons import Deed

GOLDEN: Final[dict[str, Any]] = json.loads(Path(__file__).with_name("golden.json").read_text())
FAMILY: Final[int] = GOLDEN["family"]
CHANGES: Final = {1, 2, 3, 5, 6, 7, 12, 17}
GENERIC, ROUTE = 16, 0
COMMAND_AT, PORT_AT = 16, 12
PROGRAM: Final = filters.keep_requests(sockets.GENERIC, FAMILY, _READERS, MARK)


def keeps(program: bytes, packet: bytes | bytearray, bus: int = GENERIC) -> bool:
    """What the kernel's machine says (Documentation/networking/filter.rst)."""
    lines: list[tuple[int, int, int, int]] = [unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    a = x = at = 0
    while True:
        code, true, false, k = lines[at]
        at += 1
        if code in {0x20, 0x28, 0x30}:
            size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
            if k >= 0xFFFFF000:
                assert k == 0xFFFFF000, "only the protocol is known here"
                a = bus
            elif k + size > len(packet):
                return False
            else:
                a = int.from_bytes(packet[k : k + size], "big")
        elif code == 0x80:
            a = len(packet)
        elif code == 0x64:
            a = a << k & 0xFFFFFFFF
        elif code == 0x0C:
            a = a + x & 0xFFFFFFFF
        elif code == 0x07:
            x = a
        elif code == 0x06:
            return bool(k)
        else:
            is_so = {0x15: a == k, 0x45: bool(a & k), 0x2D: a > x}[code]
            at += true if is_so else false


def requests() -> list[tuple[str, bytes]]:
    return [
        (one["command"], bytes.fromhex(exchange["request"]))
        for one in GOLDEN["commands"]
        for exchange in one["exchanges"]
    ]


def request(command: str) -> bytes:
    """The last request of a command."""
    return [sent for said, sent in requests() if said == f"ipvsadm {command}"][-1]


def test_of_all_that_ipvsadm_sends_what_changes_something_is_kept() -> None:
    kept = {sent[COMMAND_AT] for _, sent in requests() if keeps(PROGRAM, sent)}
    left_out = {sent[COMMAND_AT] for _, sent in requests() if not keeps(PROGRAM, sent)}
    assert kept == CHANGES
    assert left_out.isdisjoint(CHANGES)
    assert left_out


def test_no_answer_is_kept() -> None:
    replies = [
        bytes.fromhex(reply)
        for one in GOLDEN["commands"]
        for exchange in one["exchanges"]
        for reply in exchange["replies"]
    ]
    assert replies
    assert not any(keeps(PROGRAM, reply) for reply in replies)


def test_nothing_of_another_bus_family_or_of_ours_is_kept() -> None:
    sent = bytearray(request("-A -t 10.5.0.9:80 -s rr"))
    assert keeps(PROGRAM, sent)
    assert not keeps(PROGRAM, sent, ROUTE)
    assert not keeps(filters.keep_requests(sockets.GENERIC, FAMILY + 1, _READERS, MARK), sent)
    assert not keeps(filters.keep_nothing(), sent)
    pack_into("=I", sent, PORT_AT, MARK)
    assert not keeps(PROGRAM, sent)
    assert read_requests(bytes(sent), FAMILY) == []


@pytest.mark.parametrize("length", [16, 17, 18])
def test_a_message_that_is_cut_short_is_no_request(length: int) -> None:
    sent = request("-C")
    read_requests(sent[:length], FAMILY)
    keeps(PROGRAM, sent[:length])


def test_what_stands_behind_another_request_in_one_datagram_is_seen() -> None:
    harmless = message(FAMILY, REQUEST, 1, pack("=BBH", 4, 1, 0))
    assert not keeps(PROGRAM, harmless)
    both = harmless + request("-C")
    assert keeps(PROGRAM, both)
    assert [event.touched for event in read_requests(both, FAMILY)] == [EVERYTHING]


def test_of_a_datagram_of_very_many_requests_no_more_are_read_than_cost_little() -> None:
    assert len(read_requests(request("-C") * 1000, FAMILY)) == MOST


SERVICE: Final = ServiceMember(TCP, parse_address("10.5.0.9"), 80)
PLACE: Final = ServerSlot(IPV4, SERVICE)
KEY: Final = Key(Kind.SERVICE, ServiceSlot(IPV4), SERVICE)


@pytest.mark.parametrize(
    ("command", "deed", "touched", "under"),
    [
        ("-A -t 10.5.0.9:80 -s rr", Deed.ADDED, (Touched(*KEY),), KEY),
        ("-D -t 10.5.0.9:80", Deed.DELETED, (Touched(*KEY), Touched(Kind.SERVER, PLACE)), KEY),
        ("-C", Deed.DELETED, EVERYTHING, None),
    ],
)
def test_a_request_tells_what_it_is_about(
    command: str, deed: Deed, touched: tuple[Touched, ...], under: Key | None
) -> None:
    [event] = read_requests(request(command), FAMILY)
    assert (event.reason, event.touched, event.under) == (deed, touched, under)


def test_every_request_about_a_server_names_it_and_its_service() -> None:
    seen = set()
    for _, sent in requests():
        if sent[COMMAND_AT] in {5, 6, 7} and unpack_from("=H", sent, 4)[0] == FAMILY:
            [event] = read_requests(sent, FAMILY)
            [(kind, slot, member)] = event.touched
            assert (kind, type(slot), type(member)) == (Kind.SERVER, ServerSlot, ServerMember)
            assert isinstance(slot, ServerSlot)
            assert event.under == Key(Kind.SERVICE, ServiceSlot(slot.family), slot.service)
            seen.add(event.reason)
    assert seen == {Deed.ADDED, Deed.CHANGED, Deed.DELETED}


def test_who_asks_is_the_pid_that_libnl_writes_into_its_port_id() -> None:
    sent = bytearray(request("-C"))
    for port, pid in ((4242 | 77 << 22, 4242), (4242, 4242), (0, 0), (1, 0)):
        pack_into("=I", sent, PORT_AT, port)
        [event] = read_requests(bytes(sent), FAMILY)
        assert event.port == pid


def test_what_cannot_be_read_counts_as_everything() -> None:
    for body in (b"", attribute(1 | 0x8000, b""), attribute(1 | 0x8000, attribute(1, pack("=H", 99)))):
        [event] = read_requests(message(FAMILY, REQUEST, 1, pack("=BBH", 1, 1, 0) + body), FAMILY)
        assert (event.touched, event.under) == (EVERYTHING, None)


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(body: bytes) -> None:
    read_requests(body, FAMILY)
    for command in CHANGES:
        read_requests(message(FAMILY, REQUEST, 1, pack("=BBH", command, 1, 0) + body), FAMILY)
