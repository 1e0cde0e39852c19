"""A storm of routes is told of in few events: what they make dirty is what the same make dirty one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routed.core.desired import Desired
from routed.core.dirt import Dirt
from routed.core.entries import resolve
from routed.core.schedule import Schedule
from routed.model import names
from routed.model.events import KERNEL, Event, ObjectEvent
from routed.model.facts import Facts, Link
from routed.model.objects import RouteValue
from tests.property.fake_kernel import OUR_PORT, STRANGER, join_alike
from tests.property.rig import OURS, OWNERS, THEIRS, a_route, hop, route_key, route_value

FACTS = Facts(links={1: Link(1, "v0", is_up=True, has_carrier=True)})
WRITTEN_OUT = tuple(f"10.1.{number}.0/24" for number in range(4))
OF_A_FILE = tuple(f"10.1.{number}.0/24" for number in range(4, 8))
UNWANTED = tuple(f"10.1.{number}.0/24" for number in range(8, 10))

prefixes = st.sampled_from((*WRITTEN_OUT, *OF_A_FILE, *UNWANTED))
values = st.sampled_from((route_value(hop(1), protocol=OURS, scope=names.LINK), route_value(hop(2), protocol=THEIRS)))
happenings = st.sampled_from(((True, False, False), (False, True, False), (False, False, True), (False, False, False)))


@st.composite
def runs(draw: st.DrawFn) -> list[Event]:
    """Some routes, and the same that happened to each of them."""
    value: RouteValue = draw(values)
    how, port = draw(happenings), draw(st.sampled_from((STRANGER, KERNEL, OUR_PORT)))
    keys = [route_key(prefix) for prefix in draw(st.lists(prefixes, min_size=1, max_size=12))]
    return [ObjectEvent(key.kind, key.slot, (key.member,), value, *how, port) for key in keys]


def note(events: list[Event]) -> Schedule:
    desired, schedule = Desired(), Schedule()
    for entry in (a_route("out", WRITTEN_OUT), a_route("file", OF_A_FILE, is_file=True)):
        desired.put(resolve(entry, FACTS, OURS))
    for event in events:
        schedule.note(event, FACTS, desired, OWNERS, OUR_PORT, 1.0)
    return schedule


def content_of(dirt: Dirt) -> tuple[object, ...]:
    causes = {(place, member): cause for place, members in dirt.causes.items() for member, cause in members.items()}
    return dirt.keys, causes, dirt.scopes, dirt.sources


@given(st.lists(runs(), max_size=4))
def test_events_of_many_routes_make_the_same_dirty_as_those_of_one_route_each(happened: list[list[Event]]) -> None:
    singles = [event for run in happened for event in run]
    one_by_one, together = note(singles), note(join_alike(singles))
    assert content_of(together.dirt) == content_of(one_by_one.dirt)
