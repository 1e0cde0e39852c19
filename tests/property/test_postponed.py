"""What nobody wants: when it has to stay for a while, and that it goes in the end."""

from __future__ import annotations

from dataclasses import replace
from errno import EINVAL

from routed.model.change import Operation, Verb
from routed.model.checks import Ruling, key_of
from routed.model.entries import HopSpec, Intent, Requirement, Settings, WhenDown
from routed.model.facts import Fact, Freshness
from routed.model.net import parse_prefix
from routed.model.objects import Member
from tests.property.rig import OURS, Rig, a_host, a_route, hop, route_key, route_value, via

LEFTOVER = route_key("10.7.0.0/16", table=77)


def test_a_leftover_stays_until_what_failed_is_tried_again_and_needs_no_resync_to_go() -> None:
    kernel = a_host()
    refused = parse_prefix("10.1.0.0/16")

    def refuse(_operation: Operation, member: Member) -> int:
        return EINVAL if member == refused else 0

    kernel.mischief.refuse = refuse
    rig = Rig(kernel)
    entry = a_route("lan", "10.1.0.0/16", hops=(via("192.0.2.2"),))
    rig.start(entry, settings=Settings(resync=1e9))
    kernel.request(Verb.ADD, LEFTOVER, route_value(hop(1, "192.0.2.9"), protocol=OURS))
    rig.host.ledger.holds.active.clear()
    rig.host.make_dirty(rig.host.schedule.dirt, [route_key("10.1.0.0/16")], rig.host.schedule.dirt.cause_of(LEFTOVER))
    rig.run()
    assert kernel.standing(LEFTOVER)
    kernel.mischief.refuse = lambda _operation, _member: 0
    rig.run(70.0)
    assert kernel.standing(route_key("10.1.0.0/16"))
    assert not kernel.standing(LEFTOVER)


def test_ours_goes_with_its_entry_also_where_what_it_displaced_stood_on_a_link_that_is_gone() -> None:
    kernel = a_host()
    key = route_key("10.1.0.0/16")
    kernel.request(Verb.ADD, key, route_value(hop(1, "192.0.2.3")))
    rig = Rig(kernel)
    rig.start(a_route("lan", "10.1.0.0/16", hops=(HopSpec(dev="v1"),)), settings=Settings(resync=1e9))
    assert kernel.standing(key)[0].protocol == OURS

    kernel.delete_link(1)
    rig.enforce(Intent())
    rig.run(1.0)

    assert not kernel.standing(key)
    assert not rig.host.ledger.displaced
    assert not rig.host.ledger.troubles


CHECKED = replace(
    a_route("wan", "10.2.0.0/16", hops=(via("192.0.2.2"),), metric=20),
    requires=(Requirement("wan"),),
    when_down=WhenDown(keeps=False),
)
WAN = route_key("10.2.0.0/16", metric=20)


def told(rig: Rig, *, is_up: bool) -> None:
    rig.engine.deliver({key_of("wan"): Fact(Ruling(is_up, since=rig.now), Freshness.LIVE)})
    rig.run()


def test_what_its_check_takes_away_goes_though_another_entry_cannot_be_put() -> None:
    kernel = a_host()
    kernel.mischief.refuse = lambda _operation, member: EINVAL if member == parse_prefix("10.1.0.0/16") else 0
    rig = Rig(kernel)
    bad = replace(
        a_route("bad", "10.1.0.0/16", hops=(via("192.0.2.2"),)), requires=(Requirement("wan", is_inverted=True),)
    )
    rig.start(bad, CHECKED, settings=Settings(resync=1e9))
    told(rig, is_up=True)
    assert kernel.standing(WAN)
    told(rig, is_up=False)
    assert not kernel.standing(WAN)


def test_it_stays_while_the_one_that_is_to_take_its_place_cannot_be_put() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    second = replace(
        CHECKED, name="route/second", metric=30, requires=(Requirement("wan", is_inverted=True),), origin=CHECKED.origin
    )
    rig.start(CHECKED, second, settings=Settings(resync=1e9))
    told(rig, is_up=True)
    kernel.mischief.refuse = lambda operation, _member: EINVAL if operation.verb is Verb.ADD else 0
    told(rig, is_up=False)
    assert kernel.standing(WAN)
    kernel.mischief.refuse = lambda _operation, _member: 0
    rig.run(70.0)
    assert not kernel.standing(WAN)
    assert kernel.standing(route_key("10.2.0.0/16", metric=30))


def test_what_cannot_be_put_in_another_table_keeps_nothing_in_this_one() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    dead = replace(CHECKED, prefixes=a_route(to="0.0.0.0/0").prefixes)
    elsewhere = replace(dead, name="route/other", table=200, requires=(Requirement("wan", is_inverted=True),))
    rig.start(dead, elsewhere, settings=Settings(resync=1e9))
    told(rig, is_up=True)
    kernel.mischief.refuse = lambda operation, _member: EINVAL if operation.verb is Verb.ADD else 0
    told(rig, is_up=False)
    assert not kernel.standing(route_key("0.0.0.0/0", metric=20))


def test_of_many_that_a_check_takes_away_those_stay_whose_place_cannot_be_taken() -> None:
    to = tuple(f"10.2.{number}.0/24" for number in range(9))
    kernel = a_host()
    rig = Rig(kernel)
    dead = replace(CHECKED, prefixes=a_route(to=to).prefixes)
    second = replace(dead, name="route/second", metric=30, requires=(Requirement("wan", is_inverted=True),))
    rig.start(dead, second, settings=Settings(resync=1e9))
    told(rig, is_up=True)
    kernel.mischief.refuse = lambda operation, member: (
        EINVAL if (operation.verb, member) == (Verb.ADD, parse_prefix(to[7])) else 0
    )
    told(rig, is_up=False)
    assert [one for one in to if kernel.standing(route_key(one, metric=20))] == [to[7]]
    kernel.mischief.refuse = lambda _operation, _member: 0
    rig.run(70.0)
    assert not kernel.standing(route_key(to[7], metric=20))
    assert kernel.standing(route_key(to[7], metric=30))
