"""Whose an object of rtnetlink is: what each number says of each kind."""

from __future__ import annotations

import pytest

from routed.kernel.codec import CODECS
from routed.kernel.kernel import Kernel
from routed.kernel.stamp import STAMPS, find_owned, make_stamp
from routed.model import names
from routed.model.change import Drift, Nature, Want
from routed.model.net import FAMILIES, IPV4, IPV6
from routed.model.objects import AddressSlot, AddressValue, Kind, LinkValue, RouteValue, RuleValue, Scope, Value
from routed.model.owner import Marks, Owner
from tests.property.rig import an_address

MARKS = Marks(115, frozenset({114}))
VALUES = {Kind.LINK: LinkValue(0, "dummy"), Kind.ADDRESS: AddressValue(0), Kind.ROUTE: RouteValue(1, 0)} | {
    Kind.RULE: RuleValue(0)
}


def owner_of(kind: Kind, number: int, marks: Marks = MARKS) -> Owner:
    value: Value = VALUES[kind]
    return make_stamp(kind, marks)(value._replace(protocol=number))


@pytest.mark.parametrize("kind", VALUES)
def test_the_present_number_and_former_ones_are_ours_and_any_other_is_somebody_elses(kind: Kind) -> None:
    assert owner_of(kind, 115) is Owner.OURS
    assert owner_of(kind, 114) is Owner.FORMER
    assert owner_of(kind, 4) is Owner.FOREIGN
    assert owner_of(kind, 0) is Owner.FOREIGN
    assert [owner for owner in Owner if owner.is_ours] == [Owner.OURS, Owner.FORMER]


@pytest.mark.parametrize("kind", [Kind.ROUTE, Kind.RULE])
def test_what_the_kernel_writes_itself_is_its_own(kind: Kind) -> None:
    assert {owner_of(kind, number) for number in names.NEVER_OURS} == {Owner.KERNEL}


def test_addresses_have_numbers_of_their_own_and_an_alias_is_never_the_kernels() -> None:
    assert {owner_of(Kind.ADDRESS, number) for number in names.KERNEL_ADDRESS_PROTOCOLS} == {Owner.KERNEL}
    assert owner_of(Kind.ADDRESS, names.PROTOCOL_RA) is Owner.FOREIGN
    assert owner_of(Kind.LINK, names.PROTOCOL_KERNEL) is Owner.FOREIGN


def test_a_number_that_the_files_chose_is_ours_even_where_the_kernel_uses_it_for_addresses() -> None:
    assert owner_of(Kind.ADDRESS, 3, Marks(3)) is Owner.OURS


def test_the_stamp_of_the_same_numbers_is_made_once() -> None:
    assert make_stamp(Kind.ROUTE, MARKS) is make_stamp(Kind.ROUTE, Marks(115, frozenset({114})))


def test_routes_of_ours_are_dumped_by_each_number_and_the_other_kinds_as_a_whole() -> None:
    assert set(find_owned(Kind.ROUTE, FAMILIES, MARKS)) == {
        Scope(Kind.ROUTE, family, 0, number) for family in FAMILIES for number in (114, 115)
    }
    assert set(find_owned(Kind.RULE, FAMILIES, MARKS)) == {Scope(Kind.RULE, family) for family in FAMILIES}
    assert list(find_owned(Kind.LINK, (0,), MARKS)) == [Scope(Kind.LINK, 0)]


@pytest.mark.parametrize(
    ("family", "standing", "is_alone"),
    [(IPV4, AddressValue(4), True), (IPV4, AddressValue(4, metric=5), False), (IPV6, AddressValue(4), False)],
    ids=["the mark alone", "something more", "IPv6"],
)
def test_a_mark_that_an_old_kernel_never_changes_is_told_from_other_differences(
    family: int, standing: AddressValue, is_alone: bool
) -> None:
    want = Want(an_address(), AddressValue(115))
    drift = Drift(Nature.FOREIGN, Kind.ADDRESS, AddressSlot(family), (), want, (standing,))
    assert STAMPS[Kind.ADDRESS].is_mark_alone(drift) is is_alone
    assert not STAMPS[Kind.ROUTE].is_mark_alone(drift)


def test_rtnetlink_has_a_row_of_each_table_for_each_of_its_kinds() -> None:
    assert CODECS.keys() == STAMPS.keys() == set(Kernel.kinds)
