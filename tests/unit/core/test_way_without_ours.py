"""The way to a VIP without our own route to it: what is known while that route stands."""

from __future__ import annotations

import pytest

from routed.core.vip import find_beside, find_way_without_ours
from routed.model.facts import Way, WayWithoutOurs
from routed.model.names import UNICAST
from routed.model.net import IPV4, format_address, parse_address, parse_prefix
from routed.model.objects import Kind, RouteSlot, RouteValue, Standing
from tests.property.rig import OWNERS

VIP = parse_prefix("10.103.97.2")
BESIDE = parse_address("10.103.97.3")


def way(source: str, prefix: str = "0.0.0.0/0", protocol: int = 3) -> Way:
    winner = Standing(RouteSlot(IPV4, 254, 0), parse_prefix(prefix), RouteValue(UNICAST, protocol))
    return Way(2, b"", parse_address(source), UNICAST, winner)


OUTER, INNER = way("192.0.2.1"), way("198.51.100.1")
PINNED = way("198.51.100.1", "10.103.97.2/32", 114)


def way_without_ours(asked: Way | None, beside: Way | None, former: WayWithoutOurs | None = None) -> Way | None:
    ways = {VIP[:-1]: asked, BESIDE: beside}
    return find_way_without_ours(
        VIP, {address: one for address, one in ways.items() if one}, former, OWNERS[Kind.ROUTE]
    ).way


@pytest.mark.parametrize(
    ("prefix", "beside"),
    [
        ("10.103.97.2", "10.103.97.3"),
        ("10.103.96.0/23", "10.103.98.0"),
        ("fd00::1", "fd00::"),
        ("0.0.0.0/1", "128.0.0.0"),
    ],
)
def test_the_address_beside_shares_every_shorter_prefix(prefix: str, beside: str) -> None:
    assert format_address(find_beside(parse_prefix(prefix))) == beside


def test_nothing_is_beside_everything() -> None:
    assert find_beside(parse_prefix("0.0.0.0/0")) == b""


def test_while_ours_is_absent_the_kernels_answer_counts() -> None:
    assert way_without_ours(OUTER, INNER) == OUTER
    assert way_without_ours(None, INNER) is None


def test_while_ours_stands_the_former_answer_is_kept() -> None:
    assert way_without_ours(PINNED, INNER, WayWithoutOurs(OUTER, INNER)) == OUTER


def test_when_the_way_beside_changes_it_counts_for_the_vip() -> None:
    assert way_without_ours(PINNED, INNER, WayWithoutOurs(OUTER, OUTER)) == INNER


def test_after_a_restart_the_way_beside_is_all_that_is_known() -> None:
    assert find_way_without_ours(VIP, {VIP[:-1]: PINNED, BESIDE: OUTER}, None, OWNERS[Kind.ROUTE]) == WayWithoutOurs(
        OUTER, OUTER, is_certain=False
    )


def test_a_route_to_the_neighbour_alone_says_nothing() -> None:
    assert way_without_ours(PINNED, way("203.0.113.1", "10.103.97.3/32"), WayWithoutOurs(OUTER, None)) == OUTER
