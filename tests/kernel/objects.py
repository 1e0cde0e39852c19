"""Short ways to write the objects that kernel tests speak of."""

from __future__ import annotations

from collections.abc import Sequence
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any

from routed.kernel.kernel import Kernel
from routed.model.change import Failure, Operation, Verb
from routed.model.net import parse_prefix
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Hop,
    Kind,
    LinkSlot,
    Member,
    NeighbourSlot,
    NexthopSlot,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
    Scope,
    Slot,
    Standing,
    Value,
)
from routed.model.reasons import Flaw

OURS = 114
TABLE = 100
V4, V6 = 2, 10


def packed(text: str) -> bytes:
    return inet_pton(AF_INET6 if ":" in text else AF_INET, text)


def route(to: str, *hops: Hop, **options: Any) -> Standing:
    """A route of ours in table 100 with metric 50, unicast unless another type is said."""
    prefix = parse_prefix(to)
    key = {name: options.pop(name) for name in ("table", "metric", "tos", "source") if name in options}
    chosen: dict[str, Any] = {"table": TABLE, "metric": 50} | key
    slot = RouteSlot(V6 if ":" in to else V4, **chosen)
    return Standing(slot, prefix, RouteValue(**({"type": 1, "protocol": OURS} | options), hops=hops))


def rule(family: int, **selector: Any) -> Standing:
    return Standing(RuleSlot(family), RuleMember(**({"priority": 1000, "table": TABLE} | selector)), RuleValue(OURS))


def address(dev: int, text: str, **options: Any) -> Standing:
    prefix, _, length = text.partition("/")
    member = AddressMember(dev, packed(prefix), int(length))
    label = {} if ":" in text else {"label": "v0"}
    return Standing(
        AddressSlot(V6 if ":" in text else V4), member, AddressValue(**({"protocol": OURS} | label | options))
    )


KINDS: dict[type[Slot], Kind] = {
    LinkSlot: Kind.LINK,
    NeighbourSlot: Kind.NEIGHBOUR,
    NexthopSlot: Kind.NEXTHOP,
    RouteSlot: Kind.ROUTE,
    RuleSlot: Kind.RULE,
    AddressSlot: Kind.ADDRESS,
}


def kind_of(standing: Standing) -> Kind:
    return KINDS[type(standing.slot)]


def operation(
    verb: Verb, standing: Standing, members: Sequence[Member] | None = None, before: Value | None = None
) -> Operation:
    chosen = (standing.member,) if members is None else tuple(members)
    return Operation(verb, kind_of(standing), standing.slot, chosen, standing.value, None, Flaw.MISSING, before)


def do(
    kernel: Kernel, verb: Verb, standing: Standing, members: Sequence[Member] | None = None, before: Value | None = None
) -> list[Failure]:
    """Apply one operation to its end; the failures."""
    return [failure for batch in kernel.apply(operation(verb, standing, members, before)) for failure in batch]


def scope_of(standing: Standing) -> Scope:
    table = standing.slot.table if isinstance(standing.slot, RouteSlot) else 0
    return Scope(kind_of(standing), standing.slot.family, table)


def read(kernel: Kernel, scope: Scope) -> list[Standing]:
    return [standing for chunk in kernel.dump(scope) for standing in chunk]
