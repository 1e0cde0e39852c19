"""A small host and its entries, as the audit sees them."""

from __future__ import annotations

from typing import Any

import pytest

from routed.model.change import Cause, Drift, Failure, Nature, Operation, Outcome, Verb, Want
from routed.model.entries import Origin, RouteEntry
from routed.model.net import IPV4, parse_address, parse_prefix
from routed.model.objects import Hop, Kind, RouteSlot, RouteValue
from routed.model.process import Process
from routed.model.reasons import Deed, Flaw
from routed.model.text import Vocabulary

SLOT = RouteSlot(IPV4, 120, 0)
OURS, STATIC = 114, 4
IP = Process(4242, "ip", "ip route del 10.30.0.0/16", "session-3.scope", 0)
DELETED = Cause(4242, Deed.DELETED, IP)


class Story:
    """Builds outcomes and drifts of one route set."""

    vocabulary = Vocabulary({2: "eth1"}, {120: "storage", 254: "main"}, {OURS: "routed", STATIC: "static"})
    slot = SLOT

    def entry(self, name: str = "storage-lan") -> RouteEntry:
        return RouteEntry(name=f"route/{name}", origin=Origin("/etc/routed.toml", 12), prefixes={})

    def value(self, gateway: str = "10.20.0.1", protocol: int = OURS, **others: Any) -> RouteValue:
        return RouteValue(1, protocol, hops=(Hop(2, parse_address(gateway)),), **others)

    def outcome(self, verb: Verb = Verb.ADD, nature: Nature = Nature.MISSING, **others: Any) -> Outcome:
        """One operation; ``others`` are before, cause, members, entry, reason, value, failures, elapsed."""
        members = others.get("members", ["10.30.0.0/16"])
        operation = Operation(
            verb,
            Kind.ROUTE,
            SLOT,
            tuple(parse_prefix(member) for member in members),
            others.get("value", self.value()),
            others.get("entry", self.entry()),
            others.get("reason", Flaw.MISSING),
            others.get("before"),
            nature,
        )
        failures = tuple(Failure(parse_prefix(m), number, text) for m, number, text in others.get("failures", ()))
        return Outcome(operation, others.get("cause", DELETED), failures, others.get("elapsed", 0.0004))

    def drift(self, nature: Nature, *standing: RouteValue, count: int = 1, is_wanted: bool = True) -> Drift:
        members = tuple(parse_prefix(f"10.{30 + number}.0.0/16") for number in range(count))
        want = Want(self.entry(), self.value()) if is_wanted else None
        return Drift(nature, Kind.ROUTE, SLOT, members, want, standing)


@pytest.fixture
def story() -> Story:
    return Story()
