"""Several routes of ours under one key: which requests bring them into their order, tried on aliases in memory."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

import pytest

from routed.core.kinds.arrange import find_requests
from routed.core.linux.aliases import come_to
from routed.model.change import AliasRequest, Verb
from routed.model.objects import RouteValue
from tests.property.rig import OURS, THEIRS, hop, route_value

A, B, C = (route_value(hop(1, f"192.0.2.{number}"), protocol=OURS) for number in (1, 2, 3))
OLD = route_value(hop(1, "192.0.2.8"), protocol=OURS)
STRANGER, OTHER = (route_value(hop(1, f"192.0.2.{number}"), protocol=THEIRS) for number in (9, 10))
# over the same gateway: what asks for one of these away may take another one
PLAIN = A
SOURCE, MTU = A._replace(src=b"\xc0\0\2\x64"), A._replace(metrics=((2, 1400),))

Routes = tuple[RouteValue, ...]


def orders(values: Routes, most: int) -> list[Routes]:
    return [order for count in range(most + 1) for order in permutations(values, count)]


def requests(wanted: Routes, standing: Routes) -> tuple[AliasRequest, ...]:
    return find_requests(wanted, standing, frozenset(one for one in standing if one.protocol == OURS))


def go(standing: Routes, some: Iterable[AliasRequest]) -> list[list[RouteValue]]:
    """All that stands there from the beginning to the end; nothing may be refused."""
    moments = [list(standing)]
    for request in some:
        after = come_to(moments[-1], request)
        assert after is not None, f"{request} is refused"
        moments.append(after)
    return moments


WANTED = [order for order in orders((A, B, C), 3) if len(order) > 1]


@pytest.mark.parametrize("standing", orders((A, B, C, OLD, STRANGER), 5), ids=str)
def test_from_whatever_stands_there_it_is_never_without_a_route_and_no_stranger_goes(standing: Routes) -> None:
    strangers = [one for one in standing if one.protocol != OURS]
    for wanted in WANTED:
        moments = go(standing, requests(wanted, standing))
        is_alone = standing == (STRANGER,)  # gives its place, as to a single route
        assert moments[-1] == [*wanted, *([] if is_alone else strangers)]
        assert all(moments[1:]) or not standing


@pytest.mark.parametrize("standing", orders((PLAIN, SOURCE, MTU, STRANGER, OTHER), 5), ids=str)
def test_those_that_a_request_cannot_tell_apart_come_into_their_order(standing: Routes) -> None:
    strangers = [one for one in standing if one.protocol != OURS]
    for wanted in [order for order in orders((PLAIN, SOURCE, MTU), 3) if len(order) > 1]:
        end = go(standing, requests(wanted, standing))[-1]
        assert end == [*wanted, *([] if standing in {(STRANGER,), (OTHER,)} else strangers)]


def test_what_is_in_order_is_not_touched() -> None:
    assert requests((A, B, C), (A, B, C)) == ()
    assert requests((A, B), (A, B, STRANGER)) == ()


def test_what_lacks_at_an_end_is_put_there_and_nothing_else_is_done() -> None:
    assert requests((A, B, C), (A, B)) == (AliasRequest(Verb.APPEND, C),)
    assert requests((A, B, C), (B, C)) == (AliasRequest(Verb.PREPEND, A),)
    assert requests((A, B), (OLD, B)) == (AliasRequest(Verb.REPLACE, A),)
    assert requests((A, B), (OLD,)) == (AliasRequest(Verb.REPLACE, A), AliasRequest(Verb.APPEND, B))


def test_one_at_the_wrong_place_is_the_only_one_that_moves() -> None:
    assert requests((A, B, C), (B, C, A)) == (AliasRequest(Verb.DELETE, A), AliasRequest(Verb.PREPEND, A))
