"""A schedule to which events are told, and the events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from routed.core.desired import Desired
from routed.core.dirt import Dirt
from routed.core.entries import resolve
from routed.core.schedule import Schedule
from routed.model import names
from routed.model.entries import Entry
from routed.model.events import Event, ObjectEvent
from routed.model.facts import Facts, HostAddress, Link
from routed.model.net import parse_address
from routed.model.objects import AddressMember, Key, Kind, RouteValue, Scope, Value
from tests.property.fake_kernel import OUR_PORT, STRANGER
from tests.property.rig import (
    OURS,
    OWNERS,
    THEIRS,
    a_route,
    hop,
    route_key,
    route_value,
)

V0 = Link(1, "v0", is_up=True, has_carrier=True)
MEMBER = AddressMember(1, parse_address("192.0.2.1"), 24)
ADDRESS = HostAddress(1, MEMBER.address, 24, 0)
FACTS = Facts(links={1: V0}, addresses={MEMBER: ADDRESS})
KEY = route_key()
MAIN = Scope(Kind.ROUTE, 2, names.TABLE_MAIN)
WANTED = route_value(hop(1), protocol=OURS, scope=names.LINK)
THEIR = route_value(hop(2), protocol=THEIRS)


class Listener:
    """A schedule with a desired side, to which events are told."""

    def __init__(self, *entries: Entry) -> None:
        self.schedule = Schedule()
        self.desired = Desired()
        self.facts = replace(FACTS, links=dict(FACTS.links), addresses=dict(FACTS.addresses))
        for entry in entries or (a_route(),):
            self.desired.put(resolve(entry, FACTS, OURS))

    def hear(self, *events: Event, now: float = 1.0) -> Dirt:
        for event in events:
            self.schedule.note(event, self.facts, self.desired, OWNERS, OUR_PORT, now)
        return self.schedule.dirt


def an_event(key: Key, value: Value, *how: Any) -> ObjectEvent:
    return ObjectEvent(key.kind, key.slot, (key.member,), value, *how)


def deleted(value: RouteValue = WANTED, key: Key = KEY, port: int = STRANGER) -> ObjectEvent:
    return an_event(key, value, True, False, False, port)


def appeared(value: RouteValue, how: str = "", key: Key = KEY, port: int = STRANGER) -> ObjectEvent:
    return an_event(key, value, False, how == "replace", how == "add", port)


def storm(count: int) -> list[ObjectEvent]:
    return [deleted(key=route_key(f"10.{number >> 8}.{number & 255}.0/24")) for number in range(count)]


def big_entry(count: int) -> Entry:
    return a_route(to=tuple(f"10.{number >> 8}.{number & 255}.0/24" for number in range(count)))
