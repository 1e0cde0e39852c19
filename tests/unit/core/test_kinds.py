"""The table of kinds: what is wrong under a key, and by which operations it is put right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routed.core.kinds import KINDS
from routed.kernel.stamp import make_stamp
from routed.model import names
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.entries import OnConflict
from routed.model.objects import AddressSlot, AddressValue, Key, Kind, Value
from routed.model.owner import Marks
from routed.model.reasons import OtherMark
from tests.property.rig import (
    OURS,
    OWNERS,
    THEIRS,
    a_route,
    a_rule,
    a_rule_value,
    address_key,
    an_address,
    hop,
    route_key,
    route_value,
    rule_key,
)

V4, V6 = route_key(), route_key("2001:db8::/32")
WANTED = route_value(hop(1, "192.0.2.2"), protocol=OURS)
OLD = route_value(hop(1, "192.0.2.3"), protocol=OURS)
THEIR = route_value(hop(2, "198.51.100.2"), protocol=THEIRS)
STAMPED = WANTED._replace(protocol=THEIRS)
LEGS = route_value(hop(1, "fd00::2"), hop(2, "fd01::2"), protocol=OURS)
MERGED = LEGS._replace(hops=tuple(sorted((*LEGS.hops, hop(1, "fd00::9")))))


def judge(key: Key, *standing: Value, wanted: Value = WANTED, also: tuple[Value, ...] = ()) -> Nature | None:
    return KINDS[key.kind].judge(key.slot, Want(a_route(), wanted, also), standing, OWNERS[key.kind])


def cure(key: Key, *standing: Value, wanted: Value = WANTED) -> list[tuple[Verb, Value]]:
    """What is done about it, as (verb, value) in order."""
    nature = judge(key, *standing, wanted=wanted)
    assert nature is not None
    drift = Drift(nature, key.kind, key.slot, (key.member,), Want(a_route(), wanted), standing)
    operations: list[Operation] = KINDS[key.kind].cure(drift, OWNERS[key.kind])
    return [(operation.verb, operation.value) for operation in operations]


def test_a_route_as_wanted_is_in_order() -> None:
    assert judge(V4, WANTED) is None


@pytest.mark.parametrize("key", [V4, V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("standing", "nature", "operations"),
    [
        ((), Nature.MISSING, [(Verb.ADD, WANTED)]),
        ((OLD,), Nature.DIFFERENT, [(Verb.REPLACE, WANTED)]),
        ((THEIR,), Nature.FOREIGN, [(Verb.REPLACE, WANTED)]),
        ((STAMPED,), Nature.FOREIGN, [(Verb.REPLACE, WANTED)]),
        ((WANTED, OLD), Nature.EXTRA, [(Verb.DELETE, OLD)]),
    ],
    ids=[
        "missing",
        "ours with another content",
        "a stranger's",
        "equal under another protocol",
        "an old alias of ours",
    ],
)
def test_a_route_that_is_not_as_wanted_is_cured(
    key: Key, standing: tuple[Value, ...], nature: Nature, operations: list[tuple[Verb, Value]]
) -> None:
    assert judge(key, *standing) is nature
    assert cure(key, *standing) == operations


@pytest.mark.parametrize("name", ["type", "protocol", "scope", "hops", "src", "metrics", "lock", "extra"])
def test_a_route_that_differs_in_any_attribute_is_different(name: str) -> None:
    others: dict[str, Any] = {
        "type": names.BLACKHOLE,
        "protocol": THEIRS,
        "scope": names.LINK,
        "hops": (),
        "src": b"1234",
        "metrics": ((2, 9),),
        "lock": 4,
        "extra": b"x",
    }
    changed = WANTED._replace(**{name: others[name]})
    assert judge(V4, changed) is (Nature.FOREIGN if name == "protocol" else Nature.DIFFERENT)


def test_a_strangers_alias_behind_ours_is_left_where_it_is() -> None:
    assert judge(V4, WANTED, THEIR) is None


def test_ours_behind_a_strangers_prepend_goes_in_front_and_the_stranger_stays() -> None:
    assert judge(V4, THEIR, WANTED) is Nature.BEHIND
    assert cure(V4, THEIR, WANTED) == [(Verb.CHANGE, WANTED)]


def test_a_prepend_under_our_own_protocol_goes_once_ours_is_first_again() -> None:
    assert cure(V4, OLD, WANTED) == [(Verb.CHANGE, WANTED), (Verb.DELETE, OLD)]


def test_an_ipv6_route_behind_a_strangers_comes_first_when_that_one_goes() -> None:
    assert cure(V6, THEIR, WANTED) == [(Verb.DELETE, THEIR)]
    assert cure(V6, OLD, WANTED) == [(Verb.DELETE, OLD)]


def test_among_several_aliases_the_wanted_one_comes_in_front_and_the_stale_one_goes() -> None:
    assert cure(V4, THEIR, THEIR._replace(protocol=9)) == [(Verb.PREPEND, WANTED)]
    assert cure(V4, OLD, THEIR) == [(Verb.REPLACE, WANTED)]
    assert cure(V6, THEIR, OLD) == [(Verb.REPLACE, WANTED), (Verb.DELETE, OLD)]
    assert cure(V6, OLD, THEIR) == [(Verb.REPLACE, WANTED)]


def test_a_stale_alias_that_a_request_could_take_ours_for_goes_before_ours_is_put() -> None:
    assert cure(V4, THEIR, OLD) == [(Verb.CHANGE, WANTED)]
    assert cure(V4, THEIR, OLD, LEGS) == [(Verb.CHANGE, WANTED), (Verb.DELETE, LEGS)]


def test_an_ipv6_route_without_a_gateway_takes_the_place_of_legs_and_of_what_they_may_hide() -> None:
    on_link, theirs = route_value(hop(2), protocol=OURS), LEGS._replace(protocol=THEIRS)
    assert cure(V6, theirs, wanted=on_link) == [(Verb.REPLACE, on_link), (Verb.DELETE, theirs)]
    assert cure(V6, theirs, wanted=WANTED) == [(Verb.REPLACE, WANTED)]
    assert cure(V4, theirs, wanted=on_link) == [(Verb.REPLACE, on_link)]


def test_a_leg_merged_into_our_ipv6_route_is_taken_out_whoever_put_it_there() -> None:
    assert judge(V6, MERGED, wanted=LEGS) is Nature.EXTRA
    ((verb, value),) = cure(V6, MERGED, wanted=LEGS)
    assert (verb, value.hops, value.protocol) == (Verb.DELETE, (hop(1, "fd00::9"),), 0)


def test_legs_beyond_ours_in_an_ipv4_route_make_another_route() -> None:
    more = WANTED._replace(hops=(*WANTED.hops, hop(2, "198.51.100.9")))
    assert judge(V4, more) is Nature.DIFFERENT


def test_an_also_good_content_is_in_order() -> None:
    assert judge(V4, OLD, also=(OLD,)) is None
    assert judge(V4, OLD) is Nature.DIFFERENT


RULE = rule_key()


def test_a_strangers_twin_of_our_rule_takes_nothing_from_it() -> None:
    ours, theirs = a_rule_value(), a_rule_value(THEIRS)
    assert judge(RULE, ours, theirs, wanted=ours) is None
    assert judge(RULE, theirs, wanted=ours) is Nature.MISSING
    assert cure(RULE, theirs, wanted=ours) == [(Verb.ADD, ours)]


def test_a_strangers_twin_goes_after_ours_stands_where_the_entry_says_replace() -> None:
    ours, theirs = a_rule_value(), a_rule_value(THEIRS)
    want = Want(replace(a_rule(), on_conflict=OnConflict.REPLACE), ours)
    row, stamp = KINDS[Kind.RULE], make_stamp(Kind.RULE, Marks(OURS))
    assert row.judge(RULE.slot, want, (ours,), stamp) is None
    for standing, nature, verbs in (
        ((theirs,), Nature.MISSING, [(Verb.ADD, ours), (Verb.DELETE, theirs)]),
        ((theirs, ours), Nature.EXTRA, [(Verb.DELETE, theirs)]),
        ((), Nature.MISSING, [(Verb.ADD, ours)]),
    ):
        assert row.judge(RULE.slot, want, standing, stamp) is nature
        operations = row.cure(Drift(nature, Kind.RULE, RULE.slot, (RULE.member,), want, standing), stamp)
        assert [(operation.verb, operation.value) for operation in operations] == verbs
        assert all(operation.reason == OtherMark("protocol") for operation in operations if standing)


def test_a_rule_of_a_former_protocol_goes_after_the_new_one_stands() -> None:
    ours, former = a_rule_value(), a_rule_value(113)
    both = make_stamp(Kind.RULE, Marks(OURS, frozenset({113})))
    drift = Drift(Nature.MISSING, Kind.RULE, RULE.slot, (RULE.member,), Want(a_rule(), ours), (former,))
    operations = KINDS[Kind.RULE].cure(drift, both)
    assert [(operation.verb, operation.value) for operation in operations] == [(Verb.ADD, ours), (Verb.DELETE, former)]
    assert KINDS[Kind.RULE].judge(RULE.slot, Want(a_rule(), ours), (ours, former), both) is Nature.EXTRA


ADDRESS = address_key("10.20.0.11/21", 1)
HELD = AddressValue(OURS, label="v0")


@pytest.mark.parametrize(
    ("change", "verb"),
    [
        ({"protocol": THEIRS}, Verb.REPLACE),
        ({"metric": 7}, Verb.REPLACE),
        ({"deprecated": True}, Verb.REPLACE),
        ({"dynamic": True}, Verb.REPLACE),
        ({"label": "v0:x"}, Verb.CHANGE),
        ({"scope": names.LINK}, Verb.CHANGE),
        ({"peer": b"\x0a\x00\x00\x01"}, Verb.CHANGE),
        ({"broadcast": b"\x0a\x00\x00\xff"}, Verb.CHANGE),
        ({"flags": names.IFA_NOPREFIXROUTE}, Verb.CHANGE),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_an_address_is_changed_in_place_where_the_kernel_can_do_that(change: dict[str, Value], verb: Verb) -> None:
    assert cure(ADDRESS, HELD._replace(**change), wanted=HELD) == [(verb, HELD)]


def test_an_address_that_is_missing_is_added() -> None:
    assert cure(ADDRESS, wanted=HELD) == [(Verb.ADD, HELD)]


def test_what_nobody_wants_is_deleted_by_its_full_specification() -> None:
    for key, value in ((V4, OLD), (RULE, a_rule_value()), (ADDRESS, HELD)):
        drift = Drift(Nature.SURPLUS, key.kind, key.slot, (key.member,), None, (value,))
        (operation,) = KINDS[key.kind].cure(drift, OWNERS[key.kind])
        assert (operation.verb, operation.value, operation.entry) == (Verb.DELETE, value, None)


def test_every_kind_has_a_row() -> None:
    ipvs = {Kind.SERVICE, Kind.SERVER, Kind.TIMEOUT}
    rare = {Kind.NEIGHBOUR, Kind.PROXY, Kind.NEXTHOP}
    assert set(KINDS) == {Kind.LINK, Kind.ADDRESS, Kind.ROUTE, Kind.RULE, *rare, *ipvs}
    assert isinstance(ADDRESS.slot, AddressSlot)
    assert an_address().dev == "v0"
