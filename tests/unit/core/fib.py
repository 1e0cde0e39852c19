"""Rules, routes and packets in the words of `ip`, as values of a `Fib`."""

from __future__ import annotations

from typing import Any

from routed.model import names
from routed.model.fib import Fib, FibLink, FibRoute, FibRule, index_routes
from routed.model.lookup import Flow, Question
from routed.model.net import IPV4, IPV6, parse_address, parse_prefix
from routed.model.objects import Hop, RouteSlot, RouteValue, RuleMember, RuleSlot, RuleValue

LINKS = {"lo": FibLink(1), "eth0": FibLink(2), "eth1": FibLink(3, group=5), "eth2": FibLink(4)}
TYPES = {word: number for number, word in names.ROUTE_TYPES.items()}


def prefix_of(text: str, family: int) -> bytes:
    if text == "default":
        return bytes(5 if family == IPV4 else 17)
    return parse_prefix(text)


def hop(text: str) -> Hop:
    """`10.0.0.2 eth0`, or `eth0` for on-link."""
    *gateway, dev = text.split()
    return Hop(LINKS[dev].ifindex, parse_address(gateway[0]) if gateway else b"")


def route(
    to: str, *hops: str, family: int = IPV4, table: int = 254, dead: frozenset[int] = frozenset(), **more: Any
) -> FibRoute:
    """A route; without a hop it is of the type that is named."""
    source = prefix_of(more.pop("source"), family) if "source" in more else b""
    slot = RouteSlot(family, table, more.pop("metric", 0), more.pop("tos", 0), source)
    value = RouteValue(TYPES[more.pop("type", "unicast")], 3, hops=tuple(map(hop, hops)))
    return FibRoute(slot, prefix_of(to, family), value, dead, **more)


def rule(priority: int, table: int = 0, family: int = IPV4, **more: Any) -> FibRule:
    given: dict[str, Any] = {
        name: prefix_of(one, family) if name in {"source", "destination"} else one for name, one in more.items()
    }
    return FibRule(RuleSlot(family), RuleMember(priority, table=table, **given), RuleValue(3))


def default_rules(family: int = IPV4) -> list[FibRule]:
    return [rule(priority, table, family) for priority, table in names.DEFAULT_RULES[family].items()]


def fib(*objects: FibRule | FibRoute, family: int = IPV4, **more: Any) -> Fib:
    """These, with the rules of the kernel."""
    rules = [*default_rules(family), *(one for one in objects if isinstance(one, FibRule))]
    routes = [one for one in objects if isinstance(one, FibRoute)]
    in_order = tuple(sorted(rules, key=lambda one: one.member.priority))
    return Fib(in_order, index_routes(routes), LINKS, **more)


def packet(to: str, source: str = "", **more: Any) -> Question:
    return Question(parse_address(to), Flow(parse_address(source) if source else b"", **more))


__all__ = ["IPV4", "IPV6", "LINKS", "default_rules", "fib", "hop", "packet", "prefix_of", "route", "rule"]
