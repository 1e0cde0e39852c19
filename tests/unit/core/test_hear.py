"""Hearing: what an event makes dirty, and which facts it changes."""

from __future__ import annotations

import pytest

from routed.core.dirt import Dirt
from routed.core.sources import ROUTE
from routed.model.change import Cause
from routed.model.events import AddressEvent, Event, LinkEvent
from routed.model.facts import HostAddress, Link
from routed.model.net import parse_address
from routed.model.objects import AddressMember
from routed.model.process import Process
from routed.model.reasons import Deed, LinkChange, LinkTurn
from tests.property.fake_kernel import OUR_PORT, STRANGER
from tests.property.rig import (
    OWNERS,
    THEIRS,
    a_rule,
    a_rule_value,
    hop,
    route_key,
    route_value,
    rule_key,
)
from tests.unit.core.listener import (
    ADDRESS,
    FACTS,
    KEY,
    MAIN,
    MEMBER,
    THEIR,
    V0,
    WANTED,
    Listener,
    an_event,
    appeared,
    deleted,
)


def test_a_deleted_object_is_looked_at_at_once_and_without_a_dump() -> None:
    listener = Listener()
    dirt = listener.hear(deleted(), now=5.0)
    assert dirt.keys == {KEY: ()}
    assert not dirt.needs_dump
    assert dirt.cause_of(KEY) == Cause(STRANGER, Deed.DELETED)
    assert listener.schedule.find_due(5.0) == 5.0


def test_a_replacement_says_what_stands_now() -> None:
    dirt = Listener().hear(appeared(THEIR, "replace"))
    assert dirt.keys == {KEY: (THEIR,)}
    assert dirt.cause_of(KEY).reason is Deed.REPLACED


def test_the_last_event_says_what_stands_and_the_first_says_why() -> None:
    dirt = Listener().hear(deleted(), appeared(THEIR, "add", port=77))
    assert dirt.keys == {KEY: (THEIR,)}
    assert dirt.cause_of(KEY) == Cause(STRANGER, Deed.DELETED)


def test_our_own_echo_is_not_news_and_settles_what_was_dirty() -> None:
    assert not Listener().hear(appeared(WANTED, "add", port=OUR_PORT))
    assert not Listener().hear(deleted(), appeared(WANTED, "add", port=OUR_PORT))


def test_the_echo_of_our_own_deletion_does_not_hide_a_strangers_change() -> None:
    dirt = Listener().hear(appeared(THEIR, "replace"), deleted(port=OUR_PORT))
    assert dirt


def test_an_alias_needs_a_dump_since_an_event_does_not_tell_the_order() -> None:
    listener = Listener()
    dirt = listener.hear(appeared(THEIR), now=5.0)
    assert set(dirt.scopes) == {MAIN}
    assert listener.schedule.find_due(5.0) == 5.0


def test_a_strangers_alias_that_goes_from_under_our_key_needs_a_dump() -> None:
    assert set(Listener().hear(deleted(THEIR)).scopes) == {MAIN}


def test_what_strangers_do_beside_ours_is_no_news() -> None:
    other = route_key("10.77.0.0/16")
    assert not Listener().hear(appeared(THEIR, "add", other), appeared(THEIR, "replace", other), deleted(THEIR, other))


def test_something_new_under_our_protocol_is_looked_at() -> None:
    other = route_key("10.77.0.0/16")
    assert Listener().hear(appeared(WANTED, "add", other)).keys == {other: (WANTED,)}
    assert not Listener().hear(appeared(WANTED, "add", other), deleted(WANTED, other))


def test_a_strangers_twin_of_our_rule_is_no_news_but_the_loss_of_ours_is() -> None:
    key, ours = rule_key(), a_rule_value()
    listener = Listener(a_rule())
    assert not listener.hear(an_event(key, a_rule_value(THEIRS), False, False, False, STRANGER))
    assert not listener.hear(an_event(key, a_rule_value(THEIRS), True, False, False, STRANGER))
    assert listener.hear(an_event(key, ours, True, False, False, STRANGER)).keys == {key: ()}


def test_a_link_that_goes_down_makes_everything_over_it_dirty_since_the_kernel_drops_routes_in_silence() -> None:
    listener = Listener()
    dirt = listener.hear(LinkEvent(V0._replace(is_up=False), is_removal=False), now=5.0)
    assert set(dirt.scopes) == {MAIN}
    assert dirt.sources == {"link"}
    assert dirt.cause_of(KEY) == Cause(0, LinkChange(LinkTurn.WENT_DOWN, "v0"))
    assert listener.facts.links[1].is_up is False
    assert listener.schedule.find_due(5.0) == 5.0


@pytest.mark.parametrize(
    ("link", "is_removal", "change"),
    [
        (V0, True, LinkChange(LinkTurn.DELETED, "v0")),
        (V0._replace(name="lan0"), False, LinkChange(LinkTurn.RENAMED, "v0", "lan0")),
        (V0._replace(has_carrier=False), False, LinkChange(LinkTurn.LOST_CARRIER, "v0")),
        (V0._replace(altnames=("lan0",)), False, LinkChange(LinkTurn.OTHER_ALTNAMES, "v0")),
        (V0._replace(mac=b"123456"), False, LinkChange(LinkTurn.CHANGED, "v0")),
    ],
    ids=["deleted", "renamed", "carrier", "altnames", "other"],
)
def test_the_cause_says_what_happened_to_a_link(link: Link, is_removal: bool, change: LinkChange) -> None:
    assert Listener().hear(LinkEvent(link, is_removal)).cause_of(KEY).reason == change


@pytest.mark.parametrize(
    "taker", [V0._replace(ifindex=9, name="v9", altnames=("lan0",)), V0._replace(ifindex=9, name="lan0")]
)
def test_an_altname_is_that_of_the_link_that_said_so_last(taker: Link) -> None:
    """Of a link that is down the kernel does not tell that it lost one (netdev_state_change)."""
    listener = Listener()
    listener.hear(LinkEvent(V0._replace(is_up=False, altnames=("lan0", "lan1")), is_removal=False))
    assert listener.facts.link_named("lan0") == listener.facts.links[V0.ifindex]
    listener.hear(LinkEvent(taker, is_removal=False))
    assert listener.facts.link_named("lan0") == taker
    assert listener.facts.link_named("lan1") == listener.facts.links[V0.ifindex]


def test_a_link_event_that_changes_nothing_is_no_news() -> None:
    assert not Listener().hear(LinkEvent(V0, is_removal=False))


class Asked:
    """Names every process, and remembers of whom it was asked."""

    def __init__(self) -> None:
        self.ports: list[int] = []

    def __call__(self, port: int) -> Process:
        self.ports.append(port)
        return Process(port, "ip")


def ask_about(*events: Event) -> tuple[Dirt, list[int]]:
    listener, asked = Listener(), Asked()
    for event in events:
        listener.schedule.note(event, FACTS, listener.desired, OWNERS, OUR_PORT, 1.0, asked)
    return listener.schedule.dirt, asked.ports


def test_whoever_touches_ours_is_asked_for_at_once() -> None:
    dirt, asked = ask_about(deleted())
    assert asked == [STRANGER]
    assert dirt.cause_of(KEY) == Cause(STRANGER, Deed.DELETED, Process(STRANGER, "ip"))
    assert ask_about(appeared(THEIR, "replace"))[1] == [STRANGER]
    assert ask_about(appeared(WANTED, "add", route_key("10.77.0.0/16")))[1] == [STRANGER]


def test_nobody_is_asked_for_the_kernel_ourselves_what_a_stranger_takes_away_and_what_is_as_wanted() -> None:
    elsewhere = route_key("10.99.0.0/16")
    for event in (
        deleted(port=0),
        appeared(WANTED, "add", port=OUR_PORT),
        deleted(THEIR, elsewhere),
        appeared(WANTED, "add"),
    ):
        assert ask_about(event)[1] == []


def test_whoever_took_an_address_away_is_asked_for_only_where_something_of_ours_stood_on_it() -> None:
    assert ask_about(AddressEvent(MEMBER, ADDRESS, True, STRANGER))[1] == [STRANGER]
    other = AddressMember(9, MEMBER.address, 24)
    assert ask_about(AddressEvent(other, ADDRESS._replace(dev=9), True, STRANGER))[1] == []


def test_a_deletion_by_the_kernel_is_explained_by_the_link_event_that_follows_or_came_before() -> None:
    down = LinkEvent(V0._replace(is_up=False), is_removal=False)
    for events in ((deleted(port=0), down), (down, deleted(port=0))):
        assert Listener().hear(*events).cause_of(KEY) == Cause(0, LinkChange(LinkTurn.WENT_DOWN, "v0"))
    assert Listener().hear(deleted(), down).cause_of(KEY) == Cause(STRANGER, Deed.DELETED)


def test_an_address_that_goes_makes_the_routes_over_its_link_dirty() -> None:
    listener = Listener()
    dirt = listener.hear(AddressEvent(MEMBER, ADDRESS, is_removal=True))
    assert set(dirt.scopes) == {MAIN}
    assert dirt.sources == {"address"}
    assert not listener.facts.addresses


def test_an_ipv6_address_that_goes_sweeps_no_ipv4_route_away() -> None:
    six = AddressMember(1, parse_address("2001:db8::1"), 64)
    dirt = Listener().hear(AddressEvent(six, HostAddress(1, six.address, 64, 0), is_removal=True))
    assert dirt.sources == {"address"}
    assert not dirt.scopes


def test_an_address_that_comes_is_a_new_fact_and_no_dump() -> None:
    other = AddressMember(1, parse_address("192.0.2.9"), 24)
    dirt = Listener().hear(AddressEvent(other, ADDRESS._replace(address=other.address), is_removal=False))
    assert dirt.sources == {"address"}
    assert not dirt.needs_dump


def test_a_new_network_is_a_new_fact_only_while_something_waits_for_a_gateway() -> None:
    network = appeared(route_value(hop(1), protocol=2), "add", route_key("192.0.2.0/24"), port=0)
    listener = Listener()
    assert not listener.hear(network)
    listener.schedule.is_reach_awaited = True
    assert listener.hear(network).sources == {ROUTE}
