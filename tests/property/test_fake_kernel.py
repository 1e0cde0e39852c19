"""The fake kernel does what Linux 6.18 was measured to do: what the properties stand on."""

from __future__ import annotations

from errno import EEXIST, EHOSTUNREACH, EINVAL, ENETDOWN, ENETUNREACH, ENODEV, ENOENT, ESRCH

from routed.model import names
from routed.model.change import Verb
from routed.model.events import Event, ObjectEvent
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import (
    OURS,
    THEIRS,
    a_host,
    a_rule_value,
    address_key,
    give_address,
    hop,
    route_key,
    route_value,
    rule_key,
)

V4, V6 = route_key(), route_key("2001:db8::/32")
VIA = route_value(hop(1, "192.0.2.2"))
OTHER = route_value(hop(2, "198.51.100.2"), protocol=OURS)
LEG = route_value(hop(1, "fd00::2"), protocol=OURS)
OTHER_LEG = route_value(hop(2, "fd01::2"))


def routes_told(events: list[Event]) -> list[tuple[bool, bool, bool]]:
    """(is it a removal, a replacement, an addition?) of each route event."""
    told = [event for event in events if isinstance(event, ObjectEvent) and event.kind == "route"]
    return [(event.is_removal, event.is_replacement, event.is_addition) for event in told]


def with_both() -> FakeKernel:
    kernel = a_host()
    assert kernel.request(Verb.ADD, V4, VIA) == 0
    assert kernel.request(Verb.ADD, V6, LEG) == 0
    kernel.read_events()
    return kernel


def test_an_addition_under_a_key_that_is_taken_fails_whoever_holds_it() -> None:
    kernel = with_both()
    assert kernel.request(Verb.ADD, V4, OTHER) == EEXIST
    assert kernel.request(Verb.ADD, V6, OTHER_LEG) == EEXIST


def test_replace_takes_the_first_alias_even_a_strangers_and_fails_when_a_later_one_is_the_same() -> None:
    kernel = with_both()
    assert kernel.request(Verb.APPEND, V4, OTHER) == 0
    assert kernel.request(Verb.REPLACE, V4, OTHER) == EEXIST
    third = VIA._replace(metrics=((2, 1400),))
    assert kernel.request(Verb.REPLACE, V4, third) == 0
    assert kernel.standing(V4) == (third, OTHER)


def test_a_route_of_another_source_stands_beside_and_is_not_met_by_a_deletion() -> None:
    kernel = with_both()
    beside = route_key("2001:db8::/32", source="2001:db8:a::/48")
    assert kernel.request(Verb.ADD, beside, OTHER_LEG) == 0
    assert kernel.request(Verb.DELETE, V6, OTHER_LEG) == ESRCH
    assert kernel.request(Verb.REPLACE, V6, OTHER_LEG) == 0
    assert kernel.request(Verb.DELETE, V6, OTHER_LEG) == 0
    assert kernel.standing(beside) == (OTHER_LEG,)


def test_an_identical_ipv4_replace_says_nothing_and_an_identical_ipv6_replace_says_so() -> None:
    kernel = with_both()
    assert kernel.request(Verb.REPLACE, V4, VIA) == 0
    assert routes_told(kernel.read_events()) == []
    assert kernel.request(Verb.REPLACE, V6, LEG) == 0
    assert routes_told(kernel.read_events()) == [(False, True, False)]


def test_a_prepend_comes_first_and_an_identical_one_is_refused() -> None:
    kernel = with_both()
    assert kernel.request(Verb.PREPEND, V4, OTHER) == 0
    assert kernel.standing(V4) == (OTHER, VIA)
    assert kernel.request(Verb.PREPEND, V4, VIA) == EEXIST
    assert routes_told(kernel.read_events()) == [(False, False, False)]


def test_a_full_specification_deletes_exactly_that_alias() -> None:
    kernel = with_both()
    kernel.request(Verb.PREPEND, V4, OTHER)
    assert kernel.request(Verb.DELETE, V4, VIA._replace(protocol=OURS)) == ESRCH
    assert kernel.request(Verb.DELETE, V4, VIA) == 0
    assert kernel.standing(V4) == (OTHER,)


def test_an_ipv6_append_merges_its_leg_and_a_deletion_takes_one_out() -> None:
    kernel = with_both()
    assert kernel.request(Verb.APPEND, V6, OTHER_LEG) == 0
    assert kernel.standing(V6) == (LEG._replace(hops=tuple(sorted((*LEG.hops, *OTHER_LEG.hops)))),)
    assert kernel.request(Verb.DELETE, V6, OTHER_LEG._replace(protocol=0)) == 0
    assert kernel.standing(V6) == (LEG,)


def test_a_link_that_goes_down_takes_ipv4_routes_in_silence_and_ipv6_with_a_word() -> None:
    kernel = with_both()
    kernel.set_down(1)
    assert kernel.standing(V4) == kernel.standing(V6) == ()
    removed = [event for event in kernel.read_events() if isinstance(event, ObjectEvent)]
    assert {event.slot.family for event in removed} == {0, 10}  # the link itself has none
    assert kernel.standing(address_key("192.0.2.1/24", 1))
    assert not kernel.standing(address_key("fd00::1/64", 1))


def test_a_link_that_comes_up_brings_its_networks_back_and_nothing_else() -> None:
    kernel = with_both()
    kernel.set_down(1)
    kernel.set_up(1)
    assert kernel.standing(route_key("192.0.2.0/24"))
    assert kernel.standing(V4) == ()


def test_the_last_ipv4_address_of_a_link_takes_its_routes_in_silence() -> None:
    kernel = with_both()
    key = address_key("192.0.2.1/24", 1)
    kernel.request(Verb.DELETE, key, kernel.standing(key)[0])
    assert kernel.standing(V4) == ()
    assert len(routes_told(kernel.read_events())) == 1  # of the kernel's own network only
    assert kernel.standing(V6)


def test_a_preferred_source_that_goes_takes_an_ipv4_route_and_strips_an_ipv6_one_in_silence() -> None:
    kernel = a_host()
    for text in ("10.9.9.9/32", "fd09::9/128"):
        assert give_address(kernel, text, 1) == 0
    kernel.request(Verb.ADD, V4, route_value(hop(2, "198.51.100.2"), src="10.9.9.9"))
    kernel.request(Verb.ADD, V6, route_value(hop(2, "fd01::2"), src="fd09::9"))
    kernel.read_events()
    for text in ("10.9.9.9/32", "fd09::9/128"):
        kernel.request(Verb.DELETE, address_key(text, 1), kernel.standing(address_key(text, 1))[0])
    assert kernel.standing(V4) == ()
    assert [value.src for value in kernel.standing(V6)] == [b""]
    assert routes_told(kernel.read_events()) == [(True, False, False)]


def test_what_cannot_be_is_refused_with_the_kernels_errno() -> None:
    kernel = a_host()
    down = kernel.make_link("v2", is_up=False)
    assert kernel.request(Verb.ADD, V4, route_value(hop(1, "203.0.113.1"))) == ENETUNREACH
    assert kernel.request(Verb.ADD, V6, route_value(hop(1, "fd77::1"))) == EHOSTUNREACH
    assert kernel.request(Verb.ADD, V4, route_value(hop(9))) == ENODEV
    assert kernel.request(Verb.ADD, V4, route_value(hop(down))) == ENETDOWN
    assert kernel.request(Verb.ADD, V4, route_value(hop(1), src="203.0.113.9")) == EINVAL


def test_the_protocol_is_part_of_a_rules_key() -> None:
    kernel = a_host()
    assert kernel.request(Verb.ADD, rule_key(), a_rule_value(OURS)) == 0
    assert kernel.request(Verb.ADD, rule_key(), a_rule_value(OURS)) == EEXIST
    assert kernel.request(Verb.ADD, rule_key(), a_rule_value(THEIRS)) == 0
    assert kernel.request(Verb.DELETE, rule_key(), a_rule_value(names.PROTOCOL_RA)) == ENOENT
