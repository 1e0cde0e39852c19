"""Order in a line: what has to be put anew, and what stands in front of ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.core.kinds import KINDS
from routed.core.kinds.rule import RULES_IN_LINE, overrules
from routed.core.order import MANY, find_disorder, find_in_front, find_moves, find_order, keep_what_matters
from routed.model import names
from routed.model.attributes import join
from routed.model.change import Nature, Want
from routed.model.entries import Entry, HeldVipEntry
from routed.model.net import IPV4, IPV6, parse_address, parse_prefix
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Kind,
    Member,
    RuleMember,
    RuleSlot,
    RuleValue,
    Standing,
)
from routed.model.selection import may_meet
from tests.property.rig import ORIGIN, OURS, OWNERS, THEIRS, a_rule, an_address

STAMP = OWNERS[Kind.RULE]
V4 = RuleSlot(IPV4)
LINE = KINDS[Kind.RULE].line


def rule(source: str = "", table: int = 100, **words: object) -> RuleMember:
    packed = parse_prefix(source) if source else b""
    return RuleMember(1000, table=table, source=packed, **words)  # type: ignore[arg-type]


def stands(member: RuleMember, protocol: int = OURS) -> Standing:
    return Standing(V4, member, RuleValue(protocol))


def wanted(*members: Member) -> dict[Member, Want]:
    """In the order of the files."""
    return {
        member: Want(replace(a_rule(str(place)), place=place), RuleValue(OURS)) for place, member in enumerate(members)
    }


A, B, C = rule("10.0.0.1"), rule("10.0.0.1", 200), rule("10.0.0.0/8", 300)


@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_moving_what_is_named_makes_the_order_and_nothing_less_would(standing: list[int], gone: set[int]) -> None:
    there = [one for one in standing if one not in gone]
    moves = find_moves(range(6), there)
    stays = [one for one in there if one not in moves]
    assert [*stays, *moves] == list(range(6))
    if moves:  # with the first of them left where it is
        stays = [one for one in there if one not in moves[1:]]
        assert [*stays, *moves[1:]] != list(range(6))


def test_what_stands_in_order_is_left_alone() -> None:
    assert not list(find_disorder(Kind.RULE, V4, wanted(A, B, C), [stands(A), stands(B), stands(C)], STAMP, arrives))


def arrives(*_: object) -> bool:
    return True


def test_behind_one_that_comes_back_the_others_are_put_anew_in_the_order_of_the_files() -> None:
    found = list(find_disorder(Kind.RULE, V4, wanted(A, B, C), [stands(B), stands(C)], STAMP, arrives))
    assert [(drift.nature, drift.members) for drift in found] == [
        (Nature.OUT_OF_ORDER, (B,)),
        (Nature.OUT_OF_ORDER, (C,)),
    ]


def test_nothing_moves_for_one_that_will_not_be_put_now() -> None:
    found = find_disorder(Kind.RULE, V4, wanted(A, B, C), [stands(B), stands(C)], STAMP, lambda *_: False)
    assert not list(found)


def test_rules_of_different_priorities_stand_in_no_line() -> None:
    other = B._replace(priority=999)
    assert not list(find_disorder(Kind.RULE, V4, wanted(A, other), [stands(other), stands(A)], STAMP, arrives))


def test_a_rule_that_says_less_goes_in_front_of_one_of_its_table_that_the_kernel_takes_for_it() -> None:
    general = rule(table=100)
    assert LINE is not None
    assert find_order(wanted(B, A, general), (), LINE) == [B, general, A]
    assert find_order(wanted(A, rule(table=200)), (), LINE) == [A, rule(table=200)]


def test_objects_of_one_entry_stay_as_they_stand() -> None:
    want = Want(a_rule(), RuleValue(OURS))
    assert LINE is not None
    assert find_order({A: want, B: want}, [B, A], LINE) == [B, A]


def address(text: str, dev: int = 1, length: int = 24) -> AddressMember:
    return AddressMember(dev, parse_address(text), length)


def addresses_in_disorder(
    family: int, texts: list[str], standing: list[str], strangers: tuple[str, ...] = ()
) -> list[str]:
    length = 24 if family == IPV4 else 64
    value = an_address_value(OURS)
    ours: dict[Member, Want] = {
        address(text, length=length): Want(replace(an_address(f"{text}/{length}"), place=place), value)
        for place, text in enumerate(texts)
    }
    there = [
        Standing(
            AddressSlot(family), address(text, length=length), an_address_value(THEIRS) if text in strangers else value
        )
        for text in standing
    ]
    found = find_disorder(Kind.ADDRESS, AddressSlot(family), ours, there, OWNERS[Kind.ADDRESS], arrives)
    by_member = {address(text, length=length): text for text in texts}
    return [by_member[drift.members[0]] for drift in found]  # type: ignore[index]


def an_address_value(protocol: int) -> object:
    return AddressValue(protocol)


@pytest.mark.parametrize(
    ("standing", "moved"),
    [
        (["10.0.0.1", "10.0.0.2", "10.0.0.3"], []),
        (["10.0.0.1", "10.0.0.3", "10.0.0.2"], ["10.0.0.3"]),
        (["10.0.0.2", "10.0.0.3"], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
    ],
    ids=["in order", "two secondaries changed places", "another one is primary"],
)
def test_ipv4_addresses_go_with_the_primary_where_that_one_has_to_go(standing: list[str], moved: list[str]) -> None:
    found = addresses_in_disorder(IPV4, ["10.0.0.1", "10.0.0.2", "10.0.0.3"], standing)
    assert found == [one for one in moved if one in standing]


def test_of_ipv6_addresses_the_newest_stands_first_so_they_are_put_from_the_last_to_the_first() -> None:
    texts = ["fd00::1", "fd00::2", "fd00::3"]
    assert addresses_in_disorder(IPV6, texts, texts) == []
    assert addresses_in_disorder(IPV6, texts, ["fd00::3", "fd00::2", "fd00::1"]) == ["fd00::2", "fd00::1"]
    assert addresses_in_disorder(IPV6, texts, ["fd00::2", "fd00::1", "fd00::3"]) == ["fd00::1"]


def test_a_vip_comes_behind_the_addresses_of_the_host_wherever_the_file_has_it() -> None:
    vip = HeldVipEntry(
        name="vip/a", origin=ORIGIN, address=parse_address("10.0.0.9"), prefixlen=24, dev="v0", place=0
    )  # fmt: skip
    own: Entry = replace(an_address("10.0.0.1/24"), place=5)
    assert sorted([vip, own], key=lambda entry: entry.turn) == [own, vip]


@pytest.mark.parametrize(
    ("front", "ours"),
    [
        (rule(table=200), rule("10.0.0.1")),
        (rule("10.0.0.1", 200), rule("10.0.0.1")),
        (rule("10.0.0.0/8", 200), rule("10.0.0.1")),
        (rule(table=200), rule(table=100)),
        (rule(table=200, iif="v0"), rule("10.0.0.1", iif="v0")),
        (rule(table=200, fwmark=1, fwmask=1), rule(fwmark=3, fwmask=3)),
        (rule(table=200, dport=(1, 9)), rule(dport=(2, 2))),
        (rule(table=0, action=6), rule("10.0.0.1")),
        (rule(table=200), rule(extra=join({25: b"\x08"}))),
        (rule(table=200, extra=join({25: b"\x08"})), rule("10.0.0.1", extra=join({25: b"\x08"}))),
        (rule("10.0.0.1", 200, inverted=True), rule("10.0.0.1", inverted=True)),
    ],
)
def test_a_rule_that_covers_another_decides_for_it(front: RuleMember, ours: RuleMember) -> None:
    assert overrules(front, ours)


@pytest.mark.parametrize(
    ("front", "ours"),
    [
        (rule("10.0.0.1", 200), rule()),
        (rule("10.0.0.1", 200), rule("10.0.0.2")),
        (rule("10.0.0.1", 200), rule("10.0.0.0/8")),
        (rule(table=200, iif="v0"), rule(iif="v1")),
        (rule(table=200, iif="v0"), rule()),
        (rule(table=200, fwmark=1, fwmask=3), rule(fwmark=1, fwmask=1)),
        (rule(table=200, dport=(1, 9)), rule(dport=(5, 10))),
        (rule(table=200, dport=(1, 9)), rule()),
        (rule(table=200, uidrange=(0, 0)), rule()),
        (rule("10.0.0.1", 200, inverted=True), rule("10.0.0.2")),
        (rule(table=200, extra=b"attributes"), rule()),
        (rule(table=200, extra=join({25: b"\x08"})), rule()),
        (rule(table=200, dport=(80, 80)), rule(dport=(80, 80), extra=join({29: b"\xf0\xff"}))),
        (rule(table=200, suppress_prefixlength=0), rule()),
        (rule(table=200, l3mdev=True), rule()),
        (rule(table=0, action=names.NOP), rule()),
        (rule(table=names.TABLE_LOCAL), rule()),
        (rule(), rule("10.0.0.1")),
    ],
)
def test_a_rule_that_decides_for_some_packets_only_or_says_the_same_harms_nobody(
    front: RuleMember, ours: RuleMember
) -> None:
    assert not overrules(front, ours)


def test_only_what_is_foreign_and_stands_before_ours_is_in_front() -> None:
    theirs, behind = stands(rule(table=900), THEIRS), stands(rule(table=901), THEIRS)
    standing = [stands(B), theirs, stands(A), behind]
    assert find_in_front(A, standing, RULES_IN_LINE, STAMP) == (theirs,)
    assert find_in_front(B, standing, RULES_IN_LINE, STAMP) == ()
    assert find_in_front(C, standing, RULES_IN_LINE, STAMP) == (theirs, behind)  # it would be put behind both


def test_an_equal_selector_stands_in_our_place_and_a_wider_one_does_not() -> None:
    equal, wider = stands(rule("10.0.0.1", 900), THEIRS), stands(rule(table=901), THEIRS)
    found = find_disorder(Kind.RULE, V4, wanted(A), [wider, equal, stands(A)], STAMP, arrives)
    assert [(drift.nature, drift.others) for drift in found] == [(Nature.FOREIGN, (equal,))]


def sources(count: int) -> list[RuleMember]:
    return [rule(f"10.0.{number >> 8}.{number & 255}", 100 + number) for number in range(count)]


def test_of_very_many_that_have_nothing_in_common_none_moves_behind_one_that_comes_back() -> None:
    order = sources(2000)
    moves = keep_what_matters(order, order[1:], order, RULES_IN_LINE, is_first_right=False)
    assert list(moves) == order[:1]


def test_of_very_many_those_move_that_select_what_one_selects_that_comes_back() -> None:
    wide, other = rule("10.0.0.0/29", 1), rule("10.0.1.0/24", 2)
    order = [wide, *sources(1000), other]
    moves = keep_what_matters(order, order[1:], order, RULES_IN_LINE, is_first_right=False)
    assert list(moves) == [wide, *sources(8)]


def test_few_move_for_the_sake_of_the_order_alone() -> None:
    order = sources(MANY)
    assert keep_what_matters(order, order[1:], order, RULES_IN_LINE, is_first_right=False) == order


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_what_is_moved_of_very_many_leaves_no_two_that_meet_in_the_wrong_order(
    standing: list[int], gone: set[int]
) -> None:
    wide = [rule(f"10.{number}.0.0/16", 1000 + number) for number in range(4)]
    order = [wide[n // 3] if n % 3 == 1 else rule(f"10.{n // 3}.0.{n}", n) for n in range(12)]
    padding = sources(MANY + 1)
    stands = [order[n] for n in standing if n not in gone]
    moves = keep_what_matters(order, stands, padding, RULES_IN_LINE, is_first_right=False)
    after = [*(one for one in stands if one not in moves), *moves]
    assert sorted(after) == sorted(order)
    for at, one in enumerate(order):
        for other in order[at + 1 :]:
            assert not may_meet(one, other) or after.index(one) < after.index(other)
