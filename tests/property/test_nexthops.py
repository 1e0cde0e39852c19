"""Next hops, groups and the routes over them, on a kernel that takes them away in silence and misbehaves."""

from __future__ import annotations

import errno
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routed.core.kinds.nexthop import name_nexthop
from routed.core.linux import links
from routed.model.change import Verb
from routed.model.entries import Entry, HopSpec, Intent, NexthopEntry, Settings
from routed.model.net import IPV4, IPV6, family_of, parse_address
from routed.model.objects import Key, Kind, Leg, NexthopValue, RouteValue
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import ORIGIN, OURS, THEIRS, Rig, a_host, a_route, route_key, via
from tests.property.test_invariants import assert_in_force
from tests.property.worlds import Act, Meanwhile, dev, heal

NO_RESYNC = Settings(resync=1e9, fight_limit=None)
WITH_RESYNC = Settings(resync=60.0, fight_limit=None)
FOREIGN = (route_key("10.99.0.0/16"), route_key("2001:db8:99::/48"))

thorough = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def a_way(id_: int, hop: HopSpec) -> NexthopEntry:
    family = family_of(hop.via) if hop.via else IPV4
    return NexthopEntry(name=f"nexthop/{id_}", origin=ORIGIN, id=id_, family=family, hop=hop)


def a_group(id_: int, *members: NexthopEntry) -> NexthopEntry:
    legs = tuple(Leg(one.id, weight) for weight, one in enumerate(members, 1))
    return NexthopEntry(name=f"nexthop/{id_}", origin=ORIGIN, id=id_, group=legs, members=members)


def over(to: str, nexthop: NexthopEntry) -> Entry:
    return replace(a_route(to, to, nexthop.hops), nhid=nexthop.id)


WAYS = {
    1: (via("192.0.2.2", "v0"), via("192.0.2.3", "v0"), HopSpec(dev="v1")),
    2: (via("198.51.100.2", "v1"), via("198.51.100.3", "v1")),
    6: (via("fd00::2", "v0"), via("fd01::2", "v1")),
}


@st.composite
def files(draw: st.DrawFn) -> tuple[Entry, ...]:
    """Any of three next hops, a group of those, and routes over what there is."""
    chosen = draw(st.sets(st.sampled_from(sorted(WAYS))))
    ways = {id_: a_way(id_, draw(st.sampled_from(WAYS[id_]))) for id_ in sorted(chosen)}
    some: list[NexthopEntry] = draw(st.permutations([one for one in ways.values() if one.family == IPV4]))
    has_group = draw(st.booleans())
    groups = {10: a_group(10, *some)} if some and has_group else {}
    entries: list[Entry] = [*ways.values(), *groups.values()]
    for number, nexthop in enumerate((ways | groups).values()):
        entries += [over(f"10.{number}.0.0/16", nexthop)] if draw(st.booleans()) else []
        is_ipv6 = nexthop.family == IPV6 and draw(st.booleans())
        entries += [over(f"2001:db8:{number}::/48", nexthop)] if is_ipv6 else []
    return tuple(entries)


def a_value(kernel: FakeKernel, gateway: str, name: str, protocol: int = THEIRS) -> NexthopValue:
    address = parse_address(gateway)
    return NexthopValue(protocol, family_of(address), dev(kernel, name), address)


def _put(id_: int, place: tuple[str, str], verb: Verb) -> Act:
    return Act(
        f"{verb} nexthop {id_}",
        lambda kernel: kernel.request(verb, name_nexthop(id_), a_value(kernel, *place)),
    )


def _delete(id_: int) -> Act:
    def do(kernel: FakeKernel) -> None:
        for value in kernel.standing(name_nexthop(id_)):
            kernel.request(Verb.DELETE, name_nexthop(id_), value)

    return Act(f"delete nexthop {id_}", do)


def _use(key: Key, id_: int) -> Act:
    return Act(f"use {id_}", lambda kernel: kernel.request(Verb.ADD, key, RouteValue(1, THEIRS, nhid=id_)))


def _on_link(name: str, what: str) -> Act:
    def do(kernel: FakeKernel) -> None:
        if index := dev(kernel, name):
            match what:
                case "down":
                    kernel.set_down(index)
                case "up":
                    kernel.set_up(index)
                case _:
                    links.lose_carrier(kernel, index)

    return Act(f"{name} {what}", do)


def acts(*, with_users: bool = True) -> st.SearchStrategy[Act]:
    ids = st.sampled_from((1, 2, 6, 10))
    places = st.sampled_from((("192.0.2.9", "v0"), ("198.51.100.9", "v1"), ("fd00::9", "v0")))
    verbs = st.sampled_from((Verb.ADD, Verb.REPLACE))
    each = [
        st.builds(_delete, ids),
        st.builds(_put, ids, places, verbs),
        st.builds(_on_link, st.sampled_from(("v0", "v1")), st.sampled_from(("down", "up", "carrier"))),
    ]
    return st.one_of(*each, *([st.builds(_use, st.sampled_from(FOREIGN), ids)] if with_users else []))


def bring_back(kernel: FakeKernel) -> None:
    """Nothing goes wrong any more, both links have a carrier, and no stranger uses a next hop."""
    heal(kernel)
    for link in list(kernel.links.values()):
        kernel.set_up(link.ifindex)
    for key in FOREIGN:
        for value in kernel.standing(key):
            kernel.request(Verb.DELETE, key, value)


@given(files())
@thorough
def test_applying_twice_writes_nothing_the_second_time(entries: tuple[Entry, ...]) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(*entries, settings=NO_RESYNC)
    assert_in_force(kernel, entries)
    written = kernel.writes
    rig.enforce(rig.host.wanted.intent)
    Rig(kernel).start(*entries, settings=NO_RESYNC)
    assert kernel.writes == written


@given(files(), st.lists(st.tuples(st.integers(1, 6), acts()), max_size=8), st.lists(acts(), max_size=8))
@thorough
def test_whatever_happens_all_stands_in_the_end(
    entries: tuple[Entry, ...], during: list[tuple[int, Act]], after: list[Act]
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    kernel.mischief.meanwhile = Meanwhile(kernel, during)
    rig.start(*entries, settings=WITH_RESYNC)
    for act in after:
        act.do(kernel)
        rig.run(0.1)
    bring_back(kernel)
    for _ in range(3):
        rig.resync()
    assert_in_force(kernel, entries)
    assert not rig.host.ledger.troubles


@given(files(), files(), st.lists(acts(with_users=False), max_size=6), st.booleans())
@thorough
def test_files_that_change_end_as_the_last_ones_say(
    entries: tuple[Entry, ...], others: tuple[Entry, ...], done: list[Act], is_lossy: bool
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(*entries, settings=WITH_RESYNC)
    if is_lossy:
        kernel.mischief.deliver = lambda _events: []
    for act in done:
        act.do(kernel)
        rig.run(0.1)
    kernel.mischief.deliver = lambda events: events
    rig.enforce(Intent(WITH_RESYNC, others), is_forced=True)
    bring_back(kernel)
    for _ in range(3):
        rig.resync()
    assert_in_force(kernel, others)
    ours = [one for one in kernel.stand(Kind.NEXTHOP) if one.value.protocol == OURS]
    assert len(ours) == sum(isinstance(one, NexthopEntry) for one in others)


@given(files(), files(), st.lists(acts(), max_size=4), st.sampled_from((1, 2, 6, 10)))
@thorough
def test_a_foreign_route_never_goes_by_our_doing(
    entries: tuple[Entry, ...], others: tuple[Entry, ...], done: list[Act], id_: int
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(*entries, settings=WITH_RESYNC)
    for act in done:
        act.do(kernel)
        rig.run(0.1)
    bring_back(kernel)
    rig.resync()
    _use(FOREIGN[0], id_).do(kernel)
    before = kernel.standing(FOREIGN[0])
    rig.enforce(Intent(WITH_RESYNC, others), is_forced=True)
    rig.enforce(Intent(WITH_RESYNC, ()), is_forced=True)
    rig.resync()
    assert kernel.standing(FOREIGN[0]) == before


@given(files(), st.lists(st.sampled_from((errno.EINVAL, errno.ENETUNREACH, errno.ENOMEM, 0)), max_size=8))
@thorough
def test_what_is_refused_is_put_once_it_is_taken_and_nothing_says_in_sync_before(
    entries: tuple[Entry, ...], errors: list[int]
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rest = iter(errors)
    kernel.mischief.refuse = lambda _operation, _member: next(rest, 0)
    rig.start(*entries, settings=WITH_RESYNC)
    wanted = {key for entry in entries for key in rig.host.wanted.desired.keys_of(entry.name)}
    missing = {key for key in wanted if not kernel.standing(key)}
    assert {key for key in missing if key not in rig.host.ledger.troubles} == set()
    kernel.mischief.refuse = lambda _operation, _member: 0
    for _ in range(3):
        rig.resync()
    assert_in_force(kernel, entries)


def test_of_next_hops_nothing_is_heard_while_no_file_has_any() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route())
    assert Kind.NEXTHOP not in kernel.followed
    rig.enforce(Intent(NO_RESYNC, (a_way(1, WAYS[1][0]),)))
    assert Kind.NEXTHOP in kernel.followed
