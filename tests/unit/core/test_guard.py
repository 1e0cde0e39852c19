"""The guard: lifelines and too many deletions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from routed.core.guard import FEW, Limits, find_lifeline, limit_deletions
from routed.core.kinds import KINDS
from routed.model import names
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.entries import OnConflict
from routed.model.net import parse_address
from routed.model.objects import Kind, Member, RouteValue, Slot
from routed.model.reasons import (
    FirstContact,
    Flaw,
    LeftAlone,
    NoLink,
    Reason,
    Required,
    ServerOut,
    Several,
    TooMany,
    Withdrawn,
)
from tests.property.rig import OURS, OWNERS, THEIRS, a_route, hop, route_key, route_value

WANTED = route_value(hop(1), protocol=OURS)
PEER = parse_address("10.30.7.7")


def foreign(to: str, standing: RouteValue, on_conflict: OnConflict | None = None) -> Drift:
    key = route_key(to)
    entry = a_route(to=to, on_conflict=on_conflict)
    return Drift(Nature.FOREIGN, Kind.ROUTE, key.slot, (key.member,), Want(entry, WANTED), (standing,))


THEIR_ROUTE = route_value(hop(2), protocol=THEIRS)


def lifeline_of(drift: Drift, limits: Limits) -> Reason | None:
    return find_lifeline(drift, limits, OWNERS[drift.kind])


def test_an_ordinary_foreign_route_is_displaced() -> None:
    assert lifeline_of(foreign("10.30.0.0/16", THEIR_ROUTE), Limits()) is None


@pytest.mark.parametrize("to", ["0.0.0.0/0", "::/0"])
def test_the_first_contact_with_a_foreign_default_route_is_refused(to: str) -> None:
    assert lifeline_of(foreign(to, THEIR_ROUTE), Limits()) == FirstContact()


def test_the_first_contact_with_the_route_of_a_live_ssh_session_is_refused() -> None:
    limits = Limits(ssh_peers=frozenset({PEER}))
    reason = lifeline_of(foreign("10.30.0.0/16", THEIR_ROUTE), limits)
    assert reason == FirstContact(parse_address("10.30.7.7"))
    assert lifeline_of(foreign("10.31.0.0/16", THEIR_ROUTE), limits) is None


def test_a_default_route_that_was_ours_before_is_taken_back() -> None:
    limits = Limits(contacted={route_key("0.0.0.0/0")})
    assert lifeline_of(foreign("0.0.0.0/0", THEIR_ROUTE), limits) is None


def test_on_conflict_replace_takes_over_even_a_lifeline() -> None:
    assert lifeline_of(foreign("0.0.0.0/0", THEIR_ROUTE, OnConflict.REPLACE), Limits()) is None


def test_on_conflict_refuse_leaves_any_foreign_object_alone() -> None:
    assert lifeline_of(foreign("10.30.0.0/16", THEIR_ROUTE, OnConflict.REFUSE), Limits()) is LeftAlone.REFUSED


@pytest.mark.parametrize("protocol", sorted(names.NEVER_OURS))
def test_the_kernels_own_route_is_left_alone_unless_told_otherwise(protocol: int) -> None:
    own = THEIR_ROUTE._replace(protocol=protocol)
    assert lifeline_of(foreign("10.30.0.0/16", own), Limits()) is not None
    assert lifeline_of(foreign("10.30.0.0/16", own, OnConflict.REPLACE), Limits()) is None


def test_the_same_default_route_under_another_protocol_is_adopted_at_first_contact() -> None:
    assert lifeline_of(foreign("0.0.0.0/0", WANTED._replace(protocol=THEIRS)), Limits()) is None


def test_our_own_route_with_another_content_is_never_a_lifeline() -> None:
    drift = foreign("0.0.0.0/0", THEIR_ROUTE)._replace(nature=Nature.DIFFERENT)
    assert lifeline_of(drift, Limits()) is None


def deletion(count: int, first: int = 0, table: int = 254) -> Operation:
    members = tuple(bytes((10, first + number, 0, 0, 16)) for number in range(count))
    drift = Drift(Nature.SURPLUS, Kind.ROUTE, route_key(table=table).slot, members, None, (WANTED,))
    (operation,) = KINDS[Kind.ROUTE].cure(drift, OWNERS[Kind.ROUTE])
    return operation


def addition(count: int, name: str = "lan", table: int = 254) -> Operation:
    members = tuple(bytes((11, number, 0, 0, 16)) for number in range(count))
    slot = route_key(table=table).slot
    return Operation(Verb.ADD, Kind.ROUTE, slot, members, WANTED, a_route(name), Flaw.MISSING)


def is_allowed(*operations: Operation, owned: int, limits: Limits | None = None) -> bool:
    allowed, refused = limit_deletions(operations, owned, limits or Limits())
    assert bool(refused) == (len(allowed) < len(operations))
    return not refused


def test_ten_deletions_are_always_allowed() -> None:
    assert is_allowed(deletion(FEW), owned=FEW)
    assert is_allowed(deletion(FEW), owned=FEW, limits=Limits(max_deletes=0.0))


def test_above_ten_only_the_share_of_what_we_own_is_allowed() -> None:
    assert is_allowed(deletion(50), owned=100)
    assert not is_allowed(deletion(51), owned=100)


def test_a_force_allows_any_number() -> None:
    assert is_allowed(deletion(100), owned=100, limits=Limits(is_forced=True))


def test_an_entry_that_exchanges_its_prefixes_deletes_nothing_net() -> None:
    limits = Limits(count_former=lambda *_: {"route/lan": 100})
    assert is_allowed(deletion(100), addition(95, "lan"), owned=100, limits=limits)
    assert not is_allowed(deletion(100), addition(5, "lan"), owned=100, limits=limits)


def test_what_goes_because_a_check_said_so_does_not_count() -> None:
    down = Required("wan", is_up=False, why=None)
    for why in (down, ServerOut(b"\x0a\0\0\x01", 80, down), Several((down, NoLink("eth9")))):
        assert is_allowed(deletion(100)._replace(reason=Withdrawn("route/lan", why)), owned=100)
    assert not is_allowed(deletion(100)._replace(reason=Withdrawn("route/lan", NoLink("eth9"))), owned=100)
    gone = deletion(60)
    assert not is_allowed(deletion(100)._replace(reason=Withdrawn("route/lan", down)), gone, owned=100)


def test_what_another_entry_adds_in_another_slot_pays_for_nothing() -> None:
    limits = Limits(count_former=lambda *_: {"route/gone": 100})
    assert not is_allowed(deletion(100), addition(100, "new", table=77), owned=100, limits=limits)


def test_after_a_restart_the_additions_in_the_same_slot_count() -> None:
    assert is_allowed(deletion(100), addition(100), owned=100)


def test_additions_pass_when_deletions_are_held_and_the_refusal_says_how_to_release_them() -> None:
    added = addition(3, "new", table=77)
    allowed, (refusal,) = limit_deletions([added, deletion(80)], 100, Limits())
    assert allowed == [added]
    assert refusal.by_guard
    assert len(refusal.drift.members) == 80
    assert refusal.reason == TooMany(80, 100, 50)


def test_taking_away_a_stale_alias_of_a_wanted_route_is_no_deletion_to_the_guard() -> None:
    stale = [deletion(100)._replace(nature=Nature.EXTRA)]
    assert is_allowed(*stale, owned=100)


def test_deletions_are_counted_over_all_groups_together() -> None:
    assert not is_allowed(deletion(8), deletion(8, table=77), owned=16)
    assert is_allowed(deletion(4), deletion(4, table=77), owned=16)


def test_who_wanted_them_is_asked_only_where_it_matters() -> None:
    asked: list[object] = []

    def count_former(kind: Kind, slot: Slot, members: Sequence[Member]) -> Mapping[str, int]:
        asked.append((kind, slot, len(members)))
        return {}

    limits = Limits(count_former=count_former)
    assert is_allowed(deletion(10), owned=10, limits=limits)
    assert asked == []
    assert not is_allowed(deletion(11), owned=11, limits=limits)
    assert asked == [(Kind.ROUTE, route_key().slot, 11)]
