"""``[[nexthop]]`` and ``nhid``: what they may say, and what the kernel would refuse."""

from __future__ import annotations

import pytest

from routed.model.entries import HopSpec, NexthopEntry, RouteEntry
from routed.model.net import IPV4, IPV6, parse_address
from routed.model.objects import Leg, Resilient
from tests.unit.intent.intent_help import complaint, read

ONE = '[[nexthop]]\nid = 1\nvia = "192.0.2.1"\ndev = "eth0"\n'
TWO = '[[nexthop]]\nid = 2\nvia = "203.0.113.1"\n'
GROUP = "[[nexthop]]\nid = 10\ngroup = [{ id = 1, weight = 3 }, { id = 2 }]\n"
ROUTE = '[[route]]\nto = "10.0.0.0/8"\nnhid = 10\n'
LEFT, RIGHT = HopSpec(parse_address("192.0.2.1"), "eth0"), HopSpec(parse_address("203.0.113.1"))


def test_a_group_knows_its_members_and_a_route_where_its_next_hop_leads() -> None:
    one, two, group, route = read(ONE + TWO + GROUP + ROUTE).entries
    assert isinstance(group, NexthopEntry)
    assert isinstance(route, RouteEntry)
    assert (one.name, group.name) == ("nexthop/1", "nexthop/10")
    assert (group.group, group.members) == ((Leg(1, 3), Leg(2)), (one, two))
    assert (route.nhid, route.hops) == (10, (LEFT, RIGHT))


def test_the_order_of_the_file_does_not_matter() -> None:
    route, group, *_ = read(ROUTE + GROUP + TWO + ONE).entries
    assert isinstance(route, RouteEntry)
    assert isinstance(group, NexthopEntry)
    assert route.hops == group.hops == (LEFT, RIGHT)


def test_a_resilient_group_has_the_defaults_of_the_kernel() -> None:
    *_, group = read(ONE + TWO + GROUP + 'type = "resilient"\nidle_timer = "1m"\n').entries
    assert isinstance(group, NexthopEntry)
    assert group.resilient == Resilient(128, 60, 0)


def test_without_a_gateway_it_is_for_ipv4_unless_told() -> None:
    first, second = read(
        '[[nexthop]]\nid = 1\ndev = "eth0"\n[[nexthop]]\nid = 2\nblackhole = true\nfamily = "ipv6"'
    ).entries
    assert isinstance(first, NexthopEntry)
    assert isinstance(second, NexthopEntry)
    assert (first.family, second.family) == (IPV4, IPV6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[nexthop]]\nvia = "192.0.2.1"', "`id` is missing"),
        ("[[nexthop]]\nid = 1", "the next hop leads nowhere"),
        (TWO + "blackhole = true", "`blackhole` and `via` exclude each other"),
        (ONE + 'type = "resilient"', "`type` goes with `group` only"),
        (ONE + "buckets = 7", '`buckets` goes with type = "resilient" only'),
        (ONE + 'family = "ipv6"', "`family` is ipv6, and 192.0.2.1 is not"),
        (ONE + ONE.replace("192", "191"), "`id` 1 is also that of nexthop/1"),
        (ONE + "[[nexthop]]\nid = 2\ngroup = []", "`group` is empty"),
        (ONE + "[[nexthop]]\nid = 2\ngroup = [{ id = 1 }, { id = 1 }]", "`id` 1 stands there already"),
        (ONE + "[[nexthop]]\nid = 2\ngroup = [{ id = 9 }]", "no [[nexthop]] has the id 9"),
        (ONE + TWO + GROUP + "[[nexthop]]\nid = 11\ngroup = [{ id = 10 }]", "is a group itself"),
        (ONE + "[[nexthop]]\nid = 3\nblackhole = true\n[[nexthop]]\nid = 4\ngroup = [{ id = 1 }, { id = 3 }]",
         "can only be in a group by itself"),
        (ROUTE, "`nhid`: no [[nexthop]] has the id 10"),
        (ONE + '[[route]]\nto = "10.0.0.0/8"\nnhid = 1\ndev = "eth0"', "`dev` and `nhid` exclude each other"),
        (ONE + '[[route]]\nto = "2001:db8::/32"\nnhid = 1', "is for IPv4, and this route is of IPv6"),
        (ONE + '[[route]]\nto = "10.0.0.0/8"\ntype = "blackhole"\nnhid = 1', "a route of type blackhole leads nowhere"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(text: str, said: str) -> None:
    assert said in str(complaint(text))
