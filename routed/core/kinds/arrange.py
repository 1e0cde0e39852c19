"""Several routes of ours under one key, in an order: what is wrong with it, and by which requests it is put right.

Routes can be put only in front of all that stands there, or behind all of it, and what is deleted is the first that
fits the request. So there are several ways to an order, and each is gone in mind first (``linux.aliases``): the
shortest that comes out right is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from routed.core.kinds.cures import find_reason
from routed.core.linux.aliases import come_to
from routed.model.change import AliasRequest, Drift, Nature, Operation, Verb, Want
from routed.model.objects import RouteValue
from routed.model.owner import Stamp

_Ways = tuple[RouteValue, ...]


def judge_order(want: Want, standing: _Ways, stamp: Stamp) -> Nature | None:
    """Ours have to stand first, in their order, and none of ours besides."""
    if not standing:
        return Nature.MISSING
    assert want.value is not None
    ours = tuple(value for value in standing if stamp(value).is_ours)
    for value in (want.value, *want.also):
        if standing[: len(value.aliases)] == value.aliases:
            return Nature.EXTRA if len(ours) > len(value.aliases) else None
    wanted = want.value.aliases
    if frozenset(ours) == frozenset(wanted):
        return Nature.DIFFERENT if standing[: len(ours)] == ours else Nature.BEHIND
    return Nature.DIFFERENT if stamp(standing[0]).is_ours else Nature.FOREIGN


def cure_order(drift: Drift, stamp: Stamp) -> Operation:
    """The fewest requests, and the key never without a route if that can be."""
    assert drift.want is not None
    assert drift.want.value is not None
    wanted: RouteValue = drift.want.value
    ours = frozenset(value for value in drift.standing if stamp(value).is_ours)
    first, *rest = drift.standing or (None,)
    before = first and first._replace(append=tuple(rest))
    requests = find_requests(wanted.aliases, drift.standing, ours)
    return Operation(
        Verb.ARRANGE, drift.kind, drift.slot, drift.members, wanted, drift.want.entry, find_reason(drift), before,
        drift.nature, requests=requests,
    )  # fmt: skip


def find_requests(wanted: _Ways, standing: _Ways, ours: frozenset[RouteValue]) -> tuple[AliasRequest, ...]:
    """By which requests these come to stand first, in their order, and nothing else of ours stands there."""
    strangers = [value for value in standing if value not in ours]
    goal = [*wanted, *strangers]
    is_replaced = len(standing) == 1 and strangers  # as a single route takes the place of a stranger's
    goals = [goal, [*wanted]] if is_replaced else [goal]
    found = [(way, ends) for way in _list_ways(wanted, standing, ours) if (ends := _go(way, standing)) is not None]
    right = [(way, ends) for way, ends in found if ends[-1] in goals]
    without_gap = [way for way, ends in right if all(ends[1:])]
    best = without_gap or [way for way, _ in right]
    return min(best, key=len) if best else _begin_anew(wanted, standing, ours)


def _go(way: tuple[AliasRequest, ...], standing: _Ways) -> list[list[RouteValue]] | None:
    """What stands before, and after each request; None where one would be refused."""
    ends = [list(standing)]
    for request in way:
        after = come_to(ends[-1], request)
        if after is None:
            return None
        ends.append(after)
    return ends


def _list_ways(wanted: _Ways, standing: _Ways, ours: frozenset[RouteValue]) -> Iterator[tuple[AliasRequest, ...]]:
    """Those that may do, the best of equals first."""
    surplus = [value for value in standing if value in ours and value not in wanted]
    away = [AliasRequest(Verb.DELETE, value) for value in surplus]
    for start, stop in _list_kept(wanted, standing):
        put = [*_put_behind(wanted[stop:], standing), *_put_in_front(wanted[:start], standing)]
        yield (*put, *away)
        yield (*away, *put)
    others = [AliasRequest(Verb.DELETE, value) for value in standing[1:] if value in ours]
    left = standing[:1]
    if not standing:
        yield (AliasRequest(Verb.ADD, wanted[0]), *_put_behind(wanted[1:], left))
    elif standing[0] in surplus:
        yield (AliasRequest(Verb.REPLACE, wanted[0]), *away[1:])
    if standing and (standing[0] in ours or len(standing) == 1):
        yield (*others, AliasRequest(Verb.REPLACE, wanted[0]), *_put_behind(wanted[1:], left))
        yield (*others, AliasRequest(Verb.REPLACE, wanted[-1]), *_put_in_front(wanted[:-1], left))
    yield (*away, *_put_in_front(wanted, standing))


def _list_kept(wanted: _Ways, standing: _Ways) -> Iterator[tuple[int, int]]:
    """Which of the wanted ones may stay: some that follow each other, as they do where they stand."""
    places = {value: at for at, value in enumerate(standing)}
    for start in range(len(wanted)):
        at = -1
        for stop in range(start, len(wanted)):
            if places.get(wanted[stop], -1) <= at:
                break
            at = places[wanted[stop]]
            yield start, stop + 1


def _put_behind(values: Sequence[RouteValue], standing: Sequence[RouteValue]) -> Iterator[AliasRequest]:
    """Each behind all that stands there; what stands there already has to go before, as the kernel has none twice."""
    return chain.from_iterable(_move(Verb.APPEND, value, standing) for value in values)


def _put_in_front(values: Sequence[RouteValue], standing: Sequence[RouteValue]) -> Iterator[AliasRequest]:
    return chain.from_iterable(_move(Verb.PREPEND, value, standing) for value in reversed(values))


def _move(verb: Verb, value: RouteValue, standing: Sequence[RouteValue]) -> Iterator[AliasRequest]:
    if value in standing:
        yield AliasRequest(Verb.DELETE, value)
    yield AliasRequest(verb, value)


def _begin_anew(wanted: _Ways, standing: _Ways, ours: frozenset[RouteValue]) -> tuple[AliasRequest, ...]:
    """Each of ours goes, from the first: so nothing in front of it can go in its place."""
    away = [AliasRequest(Verb.DELETE, value) for value in standing if value in ours]
    return (*away, *(AliasRequest(Verb.PREPEND, value) for value in reversed(wanted)))
