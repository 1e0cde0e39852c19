"""What becomes of the objects between two states that files come to, whatever stands in the kernel."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routed.core.between import compare
from routed.core.desired import Desired
from routed.core.entries import resolve
from routed.model.change import Operation, Verb
from routed.model.entries import Entry, RouteEntry
from routed.model.facts import Facts, Link
from routed.model.objects import Key
from tests.property.rig import OURS, a_route

FACTS = Facts(links={1: Link(1, "v0", is_up=True, has_carrier=True)})

RTAX_MTU = 2  # linux/rtnetlink.h
worlds = st.dictionaries(st.integers(1, 4), st.tuples(st.integers(1, 3), st.sampled_from((0, 1400, 1500))), max_size=4)


def desired(*entries: Entry) -> Desired:
    wanted = Desired()
    for entry in entries:
        wanted.put(resolve(entry, FACTS, OURS))
    return wanted


def an_entry(number: int, size: int, mtu: int) -> RouteEntry:
    """So many prefixes of its own, with one content."""
    to = tuple(f"10.{number}.{n}.0/24" for n in range(size))
    return a_route(name=f"route/{number}", to=to, metrics=((RTAX_MTU, mtu),) if mtu else ())


def list_changes(operations: tuple[Operation, ...]) -> dict[Key, Operation]:
    return {Key(one.kind, one.slot, member): one for one in operations for member in one.members}


def list_all(wanted: Desired) -> dict[Key, object]:
    return {
        Key(kind, slot, member): want.value
        for kind, slots in wanted.wants.items()
        for slot, members in slots.items()
        for member, want in members.items()
    }


def test_the_same_state_twice_comes_to_nothing() -> None:
    assert compare(desired(an_entry(1, 3, 1400)), desired(an_entry(1, 3, 1400))).operations == ()


@given(worlds, worlds)
def test_each_object_that_differs_is_told_once_and_no_other(
    first: dict[int, tuple[int, int]], second: dict[int, tuple[int, int]]
) -> None:
    before, after = (desired(*(an_entry(n, *of) for n, of in world.items())) for world in (first, second))
    plan = compare(before, after)
    changes, old, new = list_changes(plan.operations), list_all(before), list_all(after)
    assert len(changes) == sum(len(one.members) for one in plan.operations)
    assert changes.keys() == {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    for key, one in changes.items():
        assert one.entry is not None
        assert (one.verb is Verb.DELETE) == (key not in new)
        assert one.before == (old.get(key) if key in new else None)
        assert one.value == (new.get(key) or old.get(key))
    verbs = [one.verb is Verb.DELETE for one in plan.operations]
    assert verbs == sorted(verbs), "what goes, goes last"
