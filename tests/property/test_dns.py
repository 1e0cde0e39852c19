"""Whatever a DNS server sends, it is an answer to the question or it is told to be none; nothing else happens."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from routed.members.dns import choose_services, read_resolv_conf
from routed.members.dns_wire import SRV, A, DnsQuestion, Reply, SrvTarget, WireError, make_query, read_reply
from routed.model.members import HEAVIEST, MEMBER_NAME
from tests.unit.members import dns_packets as wire
from tests.unit.members.dns_packets import POINTER, address, name, record, reply, service

NUMBER = 7
LABELS = st.text("abcXYZ019-_", min_size=1, max_size=12)
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
TYPES = st.sampled_from([A, SRV])
QUESTIONS = st.builds(DnsQuestion, NAMES, TYPES)
OWNERS = st.one_of(st.just(POINTER), NAMES, st.binary(max_size=20))
TTLS = st.integers(0, 2**32 - 1)
RECORDS = st.one_of(
    st.builds(address, OWNERS, st.ip_addresses().map(str), TTLS),
    st.builds(service, OWNERS, *[st.integers(0, 65535)] * 3, NAMES),
    st.builds(record, OWNERS, st.just(wire.CNAME), NAMES.map(name), TTLS),
    st.builds(record, OWNERS, st.integers(0, 255), st.binary(max_size=40), TTLS, st.sampled_from([1, 3, 1232])),
)
SECTIONS = st.lists(RECORDS, max_size=5)


def read(packet: bytes, question: DnsQuestion) -> Reply | None:
    try:
        return read_reply(packet, question, NUMBER)
    except WireError:
        return None


@given(st.binary(max_size=300), QUESTIONS)
def test_any_bytes(packet: bytes, question: DnsQuestion) -> None:
    read(packet, question)
    read(NUMBER.to_bytes(2, "big") + packet, question)


@given(QUESTIONS, SECTIONS, SECTIONS, SECTIONS, st.integers(0, 15), st.data())
def test_a_packet_that_is_cut_or_changed_anywhere(
    question: DnsQuestion,
    answers: list[bytes],
    authority: list[bytes],
    more: list[bytes],
    code: int,
    data: st.DataObject,
) -> None:
    query = make_query(question, NUMBER)
    packet = reply(query, *answers, code=code, authority=tuple(authority), more=tuple(more))
    whole = read(packet, question)
    if whole is not None:
        assert all(one.type == question.type for one in whole.found)
    read(packet[: data.draw(st.integers(0, len(packet)))], question)
    changed = bytearray(packet)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(changed), question)


@given(QUESTIONS, st.lists(st.ip_addresses(v=4).map(str), max_size=20), st.lists(NAMES, max_size=3))
def test_what_a_good_server_says_is_found_behind_all_aliases(
    question: DnsQuestion, addresses: list[str], aliases: list[str]
) -> None:
    asked = question._replace(type=A)
    chain = list(dict.fromkeys([asked.name.lower(), *(one.lower() for one in aliases)]))
    links = [record(one, wire.CNAME, name(other)) for one, other in pairwise(chain)]
    packet = reply(make_query(asked, NUMBER), *links, *(address(chain[-1], one) for one in addresses))
    found = read(packet, asked)
    assert found is not None
    assert [ip_address(one.data).compressed for one in found.found if isinstance(one.data, bytes)] == list(
        dict.fromkeys(addresses)
    )


@given(st.lists(st.builds(SrvTarget, *[st.integers(0, 3)] * 3, st.sampled_from(["", "a", "b.c", "d", "x\\046y"]))))
def test_each_target_of_the_lowest_priority_is_one_member_or_is_told_to_be_none(services: list[SrvTarget]) -> None:
    chosen, broken = choose_services(services)
    told = {one.target for one in services if one.target}
    lowest = min((one.priority for one in services if one.target), default=0)
    assert {one.target for one in chosen} | {one.name for one in broken} == {
        one.target for one in services if one.target in told and one.priority == lowest
    }
    assert len({one.target for one in chosen} | {one.name for one in broken}) == len(chosen) + len(broken)
    assert all(MEMBER_NAME.fullmatch(one.target) and one.weight <= HEAVIEST for one in chosen)
    assert len({one.weight == 0 for one in chosen}) <= 1


@given(st.text(max_size=200))
def test_any_text_names_a_server(text: str) -> None:
    assert 1 <= len(read_resolv_conf(text)) <= 3
