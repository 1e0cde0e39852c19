"""Aliases of IPv4: the routes under one key, in the order in which lookups take the first that can be used.

Sources: fib_table_insert and fib_table_delete in net/ipv4/fib_trie.c, fib_nh_match in net/ipv4/fib_semantics.c; all
were tried out with ``ip`` as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from routed.model.attributes import ENCAP, split
from routed.model.change import AliasRequest, Verb
from routed.model.objects import Hop, RouteValue

ANY_PROTOCOL: Final = 0  # in a delete request: whoever installed it

_Standing = Sequence[RouteValue]


def find_met(asked: RouteValue, standing: _Standing) -> int | None:
    """Which of these a request to delete takes: the first that nothing speaks against. None: it is refused."""
    return next((at for at, one in enumerate(standing) if _is_met_by(asked, one)), None)


def _is_met_by(asked: RouteValue, standing: RouteValue) -> bool:
    """What the request leaves out is not compared.

    Of its legs only as many count as the alias has; a request for one hop is met by a route whose first leg is that
    hop. An encapsulation counts in a request for one hop alone.
    """
    pairs = zip(asked.hops, standing.hops, strict=False)
    return (
        asked.protocol in {ANY_PROTOCOL, standing.protocol}
        and asked.type == standing.type
        and asked.scope == standing.scope
        and asked.nhid in {0, standing.nhid}
        and asked.src in {b"", standing.src}
        and asked.lock in {0, standing.lock}
        and set(asked.metrics) <= set(standing.metrics)
        and (len(asked.hops) >= len(standing.hops) or len(asked.hops) <= 1)
        and all((mine.dev, mine.gateway) == (theirs.dev, theirs.gateway) for mine, theirs in pairs)
        and (len(asked.hops) != 1 or _encap_of(asked.hops[0]) in {(), _encap_of(standing.hops[0])})
    )


def _encap_of(hop: Hop) -> tuple[bytes, ...]:
    found = split(hop.extra)
    return tuple(found[number] for number in (ENCAP.tag, ENCAP.number) if number in found)


def _add(standing: _Standing, value: RouteValue) -> list[RouteValue] | None:
    return None if standing else [value]


def _replace(standing: _Standing, value: RouteValue) -> list[RouteValue] | None:
    """The first goes, whoever's it is; refused where the same stands further behind."""
    return None if value in standing[1:] else [value, *standing[1:]]


def _prepend(standing: _Standing, value: RouteValue) -> list[RouteValue] | None:
    return None if value in standing else [value, *standing]


def _append(standing: _Standing, value: RouteValue) -> list[RouteValue] | None:
    return None if value in standing else [*standing, value]


def _delete(standing: _Standing, value: RouteValue) -> list[RouteValue] | None:
    at = find_met(value, standing)
    return None if at is None else [*standing[:at], *standing[at + 1 :]]


COMES_TO: Final[dict[Verb, Callable[[_Standing, RouteValue], list[RouteValue] | None]]] = {
    Verb.ADD: _add,
    Verb.REPLACE: _replace,
    Verb.PREPEND: _prepend,
    Verb.APPEND: _append,
    Verb.DELETE: _delete,
}


def come_to(standing: _Standing, request: AliasRequest) -> list[RouteValue] | None:
    """What stands there after a request; None where it is refused."""
    return COMES_TO[request.verb](standing, request.value)
