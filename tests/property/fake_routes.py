"""Routes on the fake kernel: aliases for IPv4, legs for IPv6. The sources are those that ``fake_kernel`` names."""

from __future__ import annotations

from errno import EEXIST, ESRCH
from typing import TYPE_CHECKING

from routed.model.change import Verb
from routed.model.net import IPV4, IPV6
from routed.model.objects import Hop, Key, RouteValue, Value

if TYPE_CHECKING:
    from tests.property.fake_kernel import FakeKernel


def insert_route(kernel: FakeKernel, verb: Verb | str, key: Key, value: RouteValue, port: int) -> int:
    """RTM_NEWROUTE: aliases for IPv4, legs for IPv6."""
    error = kernel._refusal_of(key.slot.family, value)
    if error:
        return error
    standing = list(kernel.standing(key))
    if not standing:
        kernel._put(key, [value])
        is_multipath = key.slot.family == IPV6 and len(value.hops) > 1  # ip6_route_multipath_add knows no EXCL here
        flag = "excl" if not is_multipath else "replace" if verb is Verb.REPLACE else ""
        kernel._announce(key, value, port, flag=flag)
        return 0
    if verb is Verb.ADD:
        return EEXIST
    if verb is Verb.REPLACE:
        return _replace_first(kernel, key, standing, value, port)
    return _add_beside(kernel, verb, key, standing, value, port)


def _replace_first(kernel: FakeKernel, key: Key, standing: list[RouteValue], value: RouteValue, port: int) -> int:
    if key.slot.family == IPV4 and value in standing:
        return 0 if standing[0] == value else EEXIST
    kernel._put(key, [value, *standing[1:]])
    kernel._announce(key, value, port, flag="replace")
    return 0


def _add_beside(
    kernel: FakeKernel, verb: Verb | str, key: Key, standing: list[RouteValue], value: RouteValue, port: int
) -> int:
    if value in standing:
        return EEXIST
    if key.slot.family == IPV6 and _merges(value):
        for index, host in enumerate(standing):
            if _merges(host):
                if set(value.hops) <= set(host.hops):
                    return EEXIST
                more = tuple(hop for hop in value.hops if hop not in host.hops)  # rt6_add_sibling: at the end
                standing[index] = host._replace(hops=host.hops + more)
                kernel._put(key, standing)
                kernel._announce(key, standing[index], port)
                return 0
    is_first = verb is Verb.PREPEND and key.slot.family == IPV4
    kernel._put(key, [value, *standing] if is_first else [*standing, value])
    kernel._announce(key, value, port)
    return 0


def delete_route(kernel: FakeKernel, key: Key, value: RouteValue, port: int) -> int:
    """RTM_DELROUTE by full specification; protocol 0 is anybody's."""
    for candidate in kernel.standing(key):
        if value.protocol not in {0, candidate.protocol} or value.type != candidate.type:
            continue
        if key.slot.family == IPV4 or not value.hops:
            if _is_met_by(value, candidate):
                kernel._take(key, candidate, port)
                return 0
            continue
        gone = tuple(hop for hop in candidate.hops if hop in value.hops)
        if gone:
            _take_legs(kernel, key, candidate, gone, port)
            return 0
    return ESRCH


def _is_met_by(asked: RouteValue, standing: RouteValue) -> bool:
    """IPv4 takes the first alias of which nothing speaks against it: fib_table_delete and fib_nh_match.

    What the request leaves out is not compared. Of its legs only as many count as the alias has; a request for one hop
    is met by a route whose first leg is that hop.
    """
    pairs = zip(asked.hops, standing.hops, strict=False)
    return (
        asked.scope == standing.scope
        and asked.src in {b"", standing.src}
        and asked.metrics in {(), standing.metrics}
        and (len(asked.hops) >= len(standing.hops) or len(asked.hops) <= 1)
        and all((mine.dev, mine.gateway) == (theirs.dev, theirs.gateway) for mine, theirs in pairs)
    )


def _take_legs(kernel: FakeKernel, key: Key, route: RouteValue, gone: tuple[Hop, ...], port: int) -> None:
    left = tuple(hop for hop in route.hops if hop not in gone)
    if len(left) == 1:
        left = (left[0]._replace(weight=1),)
    changed = [route._replace(hops=left)] if left else []
    values: list[Value] = []
    for value in kernel.standing(key):
        values += changed if value == route else [value]
    kernel._put(key, values)
    kernel._announce(key, route._replace(hops=gone), port, is_removal=True)


def _merges(route: RouteValue) -> bool:
    """Can this IPv6 route be a leg of another (rt6_qualify_for_ecmp)?"""
    return bool(route.hops) and all(hop.gateway for hop in route.hops)
