"""Dirt: what has to be looked at, and why."""

from __future__ import annotations

import pytest

from routed.core.dirt import STORM, Dirt
from routed.model import names
from routed.model.change import Cause, Nature
from routed.model.objects import Key, Kind, Scope
from routed.model.reasons import AddressChange, AddressTurn, Deed, LinkChange, LinkTurn, Look, Sign
from tests.property.fake_kernel import STRANGER
from tests.property.rig import route_key
from tests.unit.core.listener import KEY, MAIN, THEIR, Listener, big_entry, storm

DELETED = Cause(STRANGER, Deed.DELETED)
DOWN = Cause(0, LinkChange(LinkTurn.WENT_DOWN, "v0"))
UNEXPLAINED = Cause(0, Deed.DELETED)
CAME = Cause(None, AddressChange(AddressTurn.CAME, b"1234"))
WEAK = [
    CAME,
    Cause(None, Look.COMPARISON),
    Cause(None, Look.STORM),
    Cause(None, Sign.GATEWAY),
    Cause(None, Sign.IN_LINE),
]
OTHER = Scope(Kind.ROUTE, 10, names.TABLE_MAIN)


def dirt_of(*keys: Key, cause: Cause = DELETED) -> Dirt:
    dirt = Dirt()
    for key in keys:
        dirt.add_keys(key.kind, key.slot, (key.member,), (), cause)
    return dirt


def test_equal_causes_are_one_value_however_many_keys_share_it() -> None:
    dirt = Listener(big_entry(3)).hear(*storm(3))
    (causes,) = dirt.causes.values()
    assert len({id(cause) for cause in causes.values()}) == 1
    assert list(dirt.distinct) == [DELETED]


def test_what_is_as_wanted_again_is_still_looked_at_but_its_cause_is_forgotten() -> None:
    dirt = dirt_of(KEY)
    dirt.add_keys(KEY.kind, KEY.slot, (KEY.member,), (THEIR,), None)
    assert dirt.keys == {KEY: (THEIR,)}
    assert dirt.cause_of(KEY) == Cause(None, Look.COMPARISON)


def test_more_keys_than_a_storm_are_one_dump_and_each_keeps_its_cause() -> None:
    keys = [route_key(f"10.{number >> 8}.{number & 255}.0/24") for number in range(STORM + 1)]
    dirt = dirt_of(*keys)
    assert (set(dirt.scopes), dirt.stormy, dirt.keys) == ({MAIN}, {MAIN}, {})
    assert {dirt.cause_of(key) for key in keys} == {DELETED}
    assert dirt.cause_of_rest(KEY.kind, KEY.slot) == Cause(None, Look.STORM)


def test_only_what_went_without_a_reason_is_explained_by_the_loss_of_what_it_stood_on() -> None:
    other = route_key("10.77.0.0/16")
    dirt = dirt_of(KEY, cause=UNEXPLAINED)
    dirt.absorb(dirt_of(other))
    dirt.add_scopes([MAIN], DOWN)
    assert (dirt.cause_of(KEY), dirt.cause_of(other)) == (DOWN, DELETED)
    taken = dirt.take_keys([KEY, other])
    assert (taken.cause_of(KEY), taken.cause_of(other)) == (DOWN, DELETED)


@pytest.mark.parametrize("weak", WEAK, ids=lambda cause: str(cause.reason))
def test_of_a_dump_a_loss_is_the_cause_whatever_else_makes_it_dirty_before_or_after(weak: Cause) -> None:
    for first, second in ((weak, DOWN), (DOWN, weak)):
        told, absorbed = Dirt(scopes={MAIN: first}), Dirt(scopes={MAIN: first})
        told.add_scopes([MAIN], second)
        absorbed.absorb(Dirt(scopes={MAIN: second}))
        assert told.scopes == absorbed.scopes == {MAIN: DOWN}


def test_what_was_heard_since_a_pass_began_explains_what_its_dumps_show_and_nothing_else() -> None:
    heard, dirt = Dirt(scopes={MAIN: DOWN, OTHER: DOWN}), Dirt(everything=Cause(None, Look.REGULAR))
    dirt.learn(heard, [MAIN])
    assert dirt.cause_of(KEY) == DOWN
    assert OTHER not in dirt.scopes
    assert heard.scopes[MAIN] == DOWN


def test_of_an_object_that_came_and_went_the_loss_is_told_and_of_one_that_stands_who_put_it_there() -> None:
    added = Cause(STRANGER, Deed.ADDED)
    for causes in ((added, DELETED), (DELETED, added)):
        dirt = dirt_of(KEY, cause=causes[0])
        dirt.absorb(dirt_of(KEY, cause=causes[1]))
        assert dirt.cause_of(KEY, Nature.MISSING) == DELETED
    dirt = dirt_of(KEY, cause=UNEXPLAINED)
    dirt.add_keys(KEY.kind, KEY.slot, (KEY.member,), (THEIR,), added)
    dirt.add_scopes([MAIN], DOWN)
    assert dirt.cause_of(KEY, Nature.FOREIGN) == added
    assert dirt.cause_of(KEY, Nature.MISSING) == DOWN


def test_of_two_causes_the_one_that_was_here_stays() -> None:
    dirt = dirt_of(KEY)
    dirt.add_scopes([MAIN], DOWN)
    other = Dirt(everything=Cause(None, Look.OVERRUN), scopes={MAIN: UNEXPLAINED}, sources={"link"}, regained={1})
    other.absorb(dirt_of(KEY, cause=UNEXPLAINED))
    dirt.absorb(other)
    assert (dirt.cause_of(KEY), dirt.scopes[MAIN], dirt.everything) == (DELETED, DOWN, Cause(None, Look.OVERRUN))
    assert (dirt.sources, dirt.regained) == ({"link"}, {1})


def test_keys_that_are_taken_take_their_cause_along_and_the_rest_stays() -> None:
    other = route_key("10.77.0.0/16")
    dirt = dirt_of(KEY, other)
    taken = dirt.take_keys([KEY])
    assert (list(taken.keys), list(dirt.keys)) == ([KEY], [other])
    assert taken.cause_of(KEY) == DELETED
    assert KEY.member not in dirt.causes_in(KEY.kind, KEY.slot)


def test_what_is_forgotten_is_not_dirty_any_more() -> None:
    dirt = dirt_of(KEY)
    dirt.forget(KEY.kind, KEY.slot, (KEY.member, route_key("10.77.0.0/16").member))
    assert not dirt
    assert not dirt.causes_in(KEY.kind, KEY.slot)
