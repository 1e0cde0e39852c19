"""The form of DNS messages: what a packet answers, and that no packet answers another question."""

from __future__ import annotations

from struct import pack

import pytest

from routed.members.dns_wire import AAAA as IPV6_ADDRESS
from routed.members.dns_wire import SRV as SERVICE
from routed.members.dns_wire import A, DnsQuestion, Reply, SrvTarget, WireError, make_query, read_reply
from tests.unit.members import dns_packets as wire
from tests.unit.members.dns_packets import POINTER, address, name, record, reply, service

ASKED = DnsQuestion("Cache1.example.internal", A)
NUMBER = 4711
QUERY = make_query(ASKED, NUMBER)
ADDRESS = b"\xc0\x00\x02\x01"


def read(packet: bytes, question: DnsQuestion = ASKED) -> Reply:
    return read_reply(packet, question, NUMBER)


def found(packet: bytes, question: DnsQuestion = ASKED) -> list[object]:
    return [one.data for one in read(packet, question).found]


def test_a_question_has_its_number_recursion_and_edns() -> None:
    assert QUERY.hex() == (
        "12670100000100000000000106436163686531076578616d706c6508696e7465726e616c000001000100002904d0000000000000"
    )
    assert make_query(ASKED, NUMBER, with_edns=False) == QUERY[:10] + b"\0\0" + QUERY[12:-11]


@pytest.mark.parametrize("text", ["", ".", "a..b", "x" * 64, ".".join(["abcdefgh"] * 30), "\xe4"])
def test_what_is_no_name_is_not_asked_for(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  a UnicodeEncodeError is one
        make_query(DnsQuestion(text, A), 1)


def test_addresses_are_found_whatever_their_letters_and_compression() -> None:
    packet = reply(QUERY, address(POINTER, "192.0.2.1", 30), address("CACHE1.example.INTERNAL", "192.0.2.2", 20))
    assert read(packet) == Reply(0, found=read(packet).found, ttl=20)
    assert found(packet) == [ADDRESS, b"\xc0\x00\x02\x02"]
    six = DnsQuestion("a.b", IPV6_ADDRESS)
    assert found(reply(make_query(six, NUMBER), address(POINTER, "2001:db8::1")), six) == [
        bytes.fromhex("20010db8000000000000000000000001")
    ]


def test_aliases_are_followed_and_other_names_are_not_believed() -> None:
    packet = reply(
        QUERY,
        record(POINTER, wire.CNAME, name("b.example"), 7),
        record("b.example", wire.CNAME, name("c.example"), 90),
        address("c.example", "192.0.2.1"),
        address("d.example", "192.0.2.9"),
        address(POINTER, "192.0.2.8"),
        record("c.example", wire.A, ADDRESS, class_=3),
    )
    assert found(packet) == [ADDRESS]
    assert read(packet).ttl == 7


def test_services_are_found() -> None:
    asked = DnsQuestion("_cache._tcp.example.internal", SERVICE)
    packet = reply(make_query(asked, NUMBER), service(POINTER, 1, 2, 3, "C.Example"), service(POINTER, 0, 0, 0, "."))
    assert found(packet, asked) == [SrvTarget(1, 2, 3, "c.example"), SrvTarget(0, 0, 0, "")]


def test_what_no_host_name_has_is_written_so_that_it_is_no_other_name() -> None:
    asked = DnsQuestion("a.b", SERVICE)
    packet = reply(make_query(asked, NUMBER), record(POINTER, wire.SRV, b"\0" * 6 + b"\x05a.b\\\0\x01c\0"))
    assert found(packet, asked) == [SrvTarget(0, 0, 0, "a\\046b\\092\\000.c")]


@pytest.mark.parametrize(
    ("packet", "is_final"),
    [
        (reply(QUERY, code=wire.NXDOMAIN), True),
        (reply(QUERY), True),  # by who asks others itself
        (reply(QUERY, flags=wire.ANSWER | wire.AUTHORITATIVE), True),
        (reply(QUERY, flags=wire.ANSWER, authority=(wire.soa(),)), True),
        (reply(QUERY, flags=wire.ANSWER), False),
        (reply(QUERY, flags=wire.ANSWER, authority=(record("internal", wire.NS, name("ns")),)), False),
        (reply(QUERY, authority=(record("internal", wire.NS, name("ns")),)), False),
        (reply(QUERY, record(POINTER, wire.CNAME, name("b")), flags=wire.ANSWER | wire.AUTHORITATIVE), False),
        (reply(QUERY, record(POINTER, wire.CNAME, name("b"))), True),
    ],
)
def test_who_refers_to_others_does_not_say_that_there_is_nobody(packet: bytes, is_final: bool) -> None:
    assert read(packet).found == ()
    assert read(packet).is_final is is_final


def test_a_code_has_its_upper_bits_from_edns() -> None:
    option = record(b"\0", wire.OPT, b"", 1 << 24, 1232)
    assert read(reply(QUERY, more=(option,))).code == 16
    assert read(reply(QUERY, code=wire.SERVFAIL)).code == 2


def test_what_is_cut_off_is_not_looked_at_and_a_ttl_of_the_future_is_none() -> None:
    assert read(reply(QUERY, b"rubbish", flags=wire.USUAL | wire.TRUNCATED)) == Reply(0, is_truncated=True)
    assert read(reply(QUERY, address(POINTER, "192.0.2.1", 0xFFFFFFFF))).ttl == 0


def test_who_cannot_read_the_question_need_not_repeat_it_and_says_nothing_else() -> None:
    assert read(QUERY[:2] + pack("!5H", wire.ANSWER | 1, 0, 0, 0, 0)) == Reply(1)
    with pytest.raises(WireError):
        read(QUERY[:2] + pack("!5H", wire.ANSWER | wire.NXDOMAIN, 0, 0, 0, 0))


GOOD = reply(QUERY, address(POINTER, "192.0.2.1"))
LOOP = b"\xc0" + bytes((len(QUERY) - 11,))  # to itself, which stands behind the question


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"", "0 bytes"),
        (QUERY, "another question"),  # an echo
        (bytes((GOOD[0] ^ 1,)) + GOOD[1:], "another question"),
        (reply(make_query(DnsQuestion("cache2.example.internal", A), NUMBER)), "repeats another"),
        (reply(make_query(DnsQuestion("cache1.example.internal", IPV6_ADDRESS), NUMBER)), "repeats another"),
        (GOOD[:-1], "ends within a record"),
        (reply(QUERY, record(POINTER, wire.A, b"\1\2\3")), "3 bytes"),
        (reply(QUERY, record(LOOP, wire.A, ADDRESS)), "round in a circle"),
        (reply(QUERY, record(b"\x01a\xc0\xff", wire.A, ADDRESS)), "round in a circle"),  # forwards
        (reply(QUERY, record(b"\x80", wire.A, ADDRESS)), "behind its end"),
        (reply(QUERY, record(POINTER, wire.CNAME, name("b") + b"x")), "does not end with its record"),
        (reply(QUERY, record(POINTER, wire.SRV, b"1")), "too short"),
        (reply(QUERY, record(POINTER, wire.CNAME, POINTER)), "aliases go round"),
        (
            reply(QUERY, record(POINTER, wire.CNAME, name("b")), record("b", wire.CNAME, POINTER)),
            "aliases go round",
        ),
        (reply(QUERY, record(name("x" * 60)[:-1] * 4 + POINTER, wire.A, ADDRESS)), "too long"),
    ],
)
def test_what_is_no_answer_is_told_as_such(packet: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        read(packet)


def test_many_names_that_lead_to_each_other_are_read_in_no_time() -> None:
    chain = b"".join(b"\x01a\xc0" + bytes((12 + 4 * number,)) for number in range(20))
    with pytest.raises(WireError):
        read(reply(QUERY, *[record(chain, wire.A, ADDRESS)] * 600))
