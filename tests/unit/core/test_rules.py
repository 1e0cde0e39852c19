"""Which packets a policy rule is for, and which rule covers another."""

from __future__ import annotations

import pytest

from routed.core.rules import covers, is_within, make_flow, selects
from routed.model.attributes import join
from routed.model.lookup import PLAIN, Flow, Question
from routed.model.net import IPV4, IPV6, parse_address, parse_prefix
from routed.model.objects import RuleMember

TO: bytes = parse_address("192.0.2.1")
OWN = parse_address("10.0.0.1")
PEER = parse_address("10.7.0.9")
EVERY_MARK = 0xFFFFFFFF
ALL = RuleMember(1)
FROM = RuleMember(1, source=parse_prefix("10.0.0.0/24"))
DEST = RuleMember(1, destination=parse_prefix("192.0.2.0/24"))
MARK = RuleMember(1, fwmark=7, fwmask=EVERY_MARK)


@pytest.mark.parametrize(
    ("rule", "flow", "is_for"),
    [
        (ALL, PLAIN, True),
        (FROM, PLAIN, False),  # a packet whose source is yet to be chosen is from nowhere
        (FROM, Flow(OWN), True),
        (FROM, Flow(PEER), False),
        (FROM._replace(inverted=True), PLAIN, True),
        (DEST, PLAIN, True),
        (DEST._replace(destination=parse_prefix("198.51.100.0/24")), PLAIN, False),
        (MARK, PLAIN, False),
        (MARK, Flow(mark=7), True),
        (MARK._replace(fwmark=0x10, fwmask=0x30), Flow(mark=0x1F), True),
        (MARK._replace(inverted=True), PLAIN, True),
        (ALL._replace(iif="lo"), PLAIN, True),  # what this host sends comes in by lo
        (ALL._replace(iif="v0"), PLAIN, False),
        (ALL._replace(iif="v0"), Flow(iif="v0"), True),
        (ALL._replace(oif="v0"), Flow(oif="v1"), False),
        (ALL._replace(tos=16), PLAIN, False),
        (ALL._replace(ipproto=17, dport=(53, 53)), Flow(ipproto=17, dport=53), True),
        (ALL._replace(ipproto=17, dport=(53, 53)), PLAIN, False),
        (ALL._replace(uidrange=(0, 10)), PLAIN, True),  # root
        (ALL._replace(uidrange=(5, 10)), PLAIN, False),
        (ALL._replace(extra=b"unknown"), PLAIN, False),
    ],
)
def test_a_rule_is_for_the_packets_that_its_selector_names(rule: RuleMember, flow: Flow, is_for: bool) -> None:
    assert selects(rule, Question(TO, flow)) is is_for


@pytest.mark.parametrize(
    ("rule", "other", "is_covered"),
    [
        (ALL, FROM, True),
        (FROM, ALL, False),
        (FROM, FROM, True),
        (FROM, FROM._replace(source=parse_prefix("10.0.0.7")), True),
        (FROM._replace(source=parse_prefix("10.0.0.7")), FROM, False),
        (ALL, MARK, True),
        (MARK, ALL, False),
        (MARK._replace(fwmark=1, fwmask=1), MARK, True),  # 7 has that bit
        (MARK._replace(fwmark=8, fwmask=8), MARK, False),
        (MARK._replace(inverted=True), FROM, True),  # all but the packets of the tunnel itself
        (MARK._replace(inverted=True), MARK, False),
        (FROM, FROM._replace(inverted=True), False),
        (FROM._replace(inverted=True), FROM._replace(inverted=True), True),
        (ALL._replace(dport=(1, 99)), ALL._replace(dport=(53, 53)), True),
        (ALL._replace(dport=(53, 53)), ALL, False),
        (ALL._replace(uidrange=(0, 99)), ALL._replace(uidrange=(5, 5)), True),
        (ALL._replace(uidrange=(0, 99)), ALL, False),
        (ALL._replace(extra=b"unknown"), FROM, False),
        (ALL, ALL._replace(extra=join({25: b"\x08"})), True),
        (ALL._replace(dport=(80, 80)), ALL._replace(dport=(80, 80), extra=join({29: b"\xf0\xff"})), False),
    ],
)
def test_a_rule_covers_another_when_all_of_its_packets_are_its_own_too(
    rule: RuleMember, other: RuleMember, is_covered: bool
) -> None:
    assert covers(rule, other) is is_covered


def test_a_packet_to_try_a_rule_with_comes_from_an_address_of_this_host_where_one_fits() -> None:
    assert make_flow(FROM, IPV4, {OWN}, ()) == Flow(OWN)


def test_one_that_this_host_only_forwards_comes_in_by_a_link() -> None:
    assert make_flow(FROM, IPV4, {PEER}, ()) == Flow(parse_address("10.0.0.0"), iif="lo")
    beyond = RuleMember(1, source=parse_prefix("2001:db8::/32"))
    assert make_flow(beyond, IPV6, (), ()) == Flow(parse_address("2001:db8::"))  # IPv6 asks nobody whose it is


def test_a_rule_of_a_link_that_is_not_there_cannot_be_tried() -> None:
    rule = ALL._replace(iif="v0")
    assert make_flow(rule, IPV4, (), ()) is None
    assert make_flow(rule, IPV4, (), {"v0"}) == Flow(iif="v0")
    assert make_flow(ALL._replace(l3mdev=True), IPV4, (), ()) is None


def test_the_packet_is_one_that_the_rule_is_for() -> None:
    af11, masked = ALL._replace(extra=join({25: b"\x0a"})), ALL._replace(extra=join({25: b"\x08", 30: b"\x38"}))
    for rule in (
        af11,
        masked,
        FROM,
        MARK,
        MARK._replace(inverted=True),
        ALL._replace(tos=16, ipproto=6, dport=(80, 90)),
        ALL,
    ):
        flow = make_flow(rule, IPV4, {OWN}, ())
        assert flow is not None
        assert selects(rule, Question(TO, flow))


def test_a_prefix_lies_in_itself_in_everything_and_in_none_of_another_family() -> None:
    wide, narrow = parse_prefix("10.0.0.0/8"), parse_prefix("10.1.0.0/16")
    assert is_within(narrow, wide)
    assert is_within(wide, wide)
    assert is_within(wide, b"")
    assert is_within(b"", b"")
    assert not is_within(wide, narrow)
    assert not is_within(b"", wide)
    assert not is_within(parse_prefix("::/0"), parse_prefix("0.0.0.0/0"))
