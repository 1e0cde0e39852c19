"""What is read of IPVS: nothing vanishes by a dump that skips, and nothing is asked while nothing has changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.kernel.dump import finish
from routed.kernel.ipvs.dataplane import Ipvs
from routed.model.change import Verb
from routed.model.ipvs import (
    SCHEDULER_1,
    TCP,
    ServerMember,
    ServerSlot,
    ServiceMember,
    ServiceSlot,
)
from routed.model.objects import Kind, Member, Scope, Slot, Value
from routed.model.owner import Marks
from tests.property import fake_ipvs
from tests.property.fake_ipvs import FakeIpvs
from tests.property.ipvs_scene import (
    DNS,
    IN_WEB,
    ONE,
    OURS,
    RR,
    SLOT,
    THREE,
    TWO,
    UP,
    V4,
    V6,
    WEB,
    MemoryStore,
    Scene,
    apply,
    as_list,
    read,
)


def test_while_nothing_changes_nothing_is_asked_and_the_dump_is_the_same(web: Scene) -> None:
    scope = Scope(Kind.SERVER, V4)
    first = finish(web.ipvs.read_dump(scope)).fingerprint
    web.peer.counted = {(V4, ONE.address, 80): (3, 2, 1)}  # what is counted is no change
    web.now += 59
    assert finish(web.ipvs.read_dump(scope)).fingerprint == first
    assert web.peer.asked == []
    web.now += 2  # in the end all is asked for, whatever /proc says
    assert finish(web.ipvs.read_dump(scope)).fingerprint == first
    assert fake_ipvs.GET_SERVICE in web.peer.asked


@pytest.mark.parametrize("shows_table", [True, False])
def test_what_others_do_is_seen_by_the_next_read(web: Scene, shows_table: bool) -> None:
    web.peer.shows_table = shows_table
    stranger = web.stranger()
    stranger.do(Verb.REPLACE, IN_WEB, [ONE], UP._replace(weight=9))
    assert web.servers() == {ONE: UP._replace(weight=9), TWO: UP}
    stranger.do(Verb.DELETE, IN_WEB, [ONE], UP)
    assert web.servers() == {TWO: UP}
    stranger.do(Verb.ADD, IN_WEB, [THREE], UP)
    assert web.servers() == {TWO: UP, THREE: UP}  # in our service that is not shared: ours to take away
    stranger.do(Verb.REPLACE, SLOT, [WEB], RR._replace(scheduler="dh"))
    assert web.services() == {WEB: RR._replace(scheduler="dh")}
    stranger.do(Verb.ADD, SLOT, [DNS], RR)
    assert web.services()[DNS].protocol == 0
    web.peer.clear()
    assert (web.services(), web.servers()) == ({}, {})


def test_the_scopes_of_one_pass_are_shown_by_one_look() -> None:
    scene = Scene(together=0.05)
    assert scene.do(Verb.ADD, SLOT, [WEB], RR) == []
    scopes = [Scope(kind, family) for kind in (Kind.SERVICE, Kind.SERVER) for family in (V4, V6)]
    for _ in range(3):
        before = scene.peer.looks
        for scope in scopes:
            finish(scene.ipvs.read_dump(scope))
        assert scene.peer.looks == before + 1
    scene.stranger().do(Verb.ADD, IN_WEB, [ONE], UP)
    assert scene.servers() == {ONE: UP}  # who asks again wants to know it anew
    assert scene.do(Verb.ADD, IN_WEB, [TWO], UP) == []
    assert scene.services().keys() == {WEB}
    scene.stranger().do(Verb.ADD, IN_WEB, [THREE], UP)
    scene.now += 0.06
    assert scene.servers().keys() == {ONE, TWO, THREE}


def test_what_proc_does_not_show_is_seen_in_the_end(web: Scene) -> None:
    web.stranger().do(Verb.REPLACE, IN_WEB, [ONE], UP._replace(upper=7))
    web.now += 61
    assert web.servers()[ONE] == UP._replace(upper=7)


def test_when_the_module_has_other_users_all_services_are_looked_at(web: Scene) -> None:
    flagged = RR._replace(flags=SCHEDULER_1)  # which /proc does not show
    web.stranger().do(Verb.REPLACE, SLOT, [WEB], flagged)
    assert web.services() == {WEB: RR}
    web.peer.users += 1
    assert web.services() == {WEB: flagged}


def test_a_server_that_one_dump_skips_is_still_there_and_still_ours(web: Scene) -> None:
    behind = [ServerMember(bytes((10, 0, 2, n)), 80) for n in range(9)]
    assert web.do(Verb.REPLACE, SLOT, [WEB], RR._replace(is_shared=True), RR) == []
    assert web.do(Verb.DELETE, IN_WEB, [ONE, TWO], UP) == []
    web.stranger().do(Verb.ADD, IN_WEB, [THREE], UP)
    assert web.do(Verb.ADD, IN_WEB, behind, UP) == []
    assert web.servers().keys() == {THREE, *behind}

    def go() -> None:
        """The first one goes as soon as it was shown: what follows moves up, and one is skipped."""
        if web.peer.asked[-1] == fake_ipvs.GET_DEST:
            web.peer.services[V4, TCP, WEB.address, 80, 0].dests.pop((V4, THREE.address, 80), None)

    web.peer.meanwhile = go
    web.now += 61
    found = web.servers()
    assert set(behind) <= found.keys()
    assert {found[member].protocol for member in behind} == {OURS}


def test_a_change_of_ten_of_many_services_costs_what_ten_cost(scene: Scene) -> None:
    many = [WEB._replace(port=port) for port in range(1, 1001)]
    assert scene.do(Verb.ADD, SLOT, many, RR) == []
    assert len(scene.services()) == 1000
    scene.peer.asked.clear()
    for service in many[100:110]:
        scene.stranger().do(Verb.ADD, ServerSlot(V4, service), [ONE], UP)
    scene.peer.asked.clear()
    assert len(scene.read(Kind.SERVER)) == 10
    assert len(scene.peer.asked) == 20


def test_a_service_of_a_mark_is_one_in_each_family(scene: Scene) -> None:
    mark = ServiceMember(fwmark=7)
    assert scene.do(Verb.ADD, SLOT, [mark], RR) == []
    assert scene.services() == {mark: RR}
    assert scene.services(V6) == {}
    in_v6 = RR._replace(prefixlen=128)
    assert scene.do(Verb.ADD, ServiceSlot(V6), [mark], in_v6) == []
    assert scene.services(V6) == {mark: in_v6}
    scene.peer.services = {key: one for key, one in scene.peer.services.items() if key[0] == V6}
    assert scene.services() == {}


@given(st.lists(st.tuples(st.integers(0, 14), st.booleans()), max_size=40), st.booleans())
def test_a_dump_that_skips_or_doubles_never_makes_anything_vanish(
    changes: list[tuple[int, bool]], shows_table: bool
) -> None:
    scene = Scene()
    scene.peer.shows_table = shows_table
    steady = [WEB._replace(port=port) for port in range(1000, 1020)]
    behind = [ServerMember(bytes((10, 0, 2, n)), 80) for n in range(20)]
    slot = ServerSlot(V4, steady[7])
    assert scene.do(Verb.ADD, SLOT, steady[:10], RR) == []
    churn_ = [WEB._replace(port=port) for port in range(1, 16)]
    scene.stranger().do(Verb.ADD, SLOT, churn_, RR)
    assert scene.do(Verb.ADD, SLOT, steady[10:], RR) == []
    assert scene.do(Verb.ADD, slot, behind, UP) == []
    assert scene.services().keys() >= set(steady)
    left = iter(changes)

    def churn() -> None:
        """Somebody adds and deletes, in front of what the dump has reached."""
        for place, is_server in left:
            if is_server:
                dest = (V4, bytes((10, 0, 3, place)), 80)
                dests = scene.peer.services[V4, TCP, WEB.address, steady[7].port, 0].dests
                if dests.pop(dest, None) is None:
                    kept = dict(dests)
                    dests.clear()
                    dests[dest] = next(iter(kept.values()))
                    dests.update(kept)
            else:
                key = (V4, TCP, WEB.address, churn_[place].port, 0)
                if scene.peer.services.pop(key, None) is None:
                    scene.peer.services[key] = fake_ipvs.Service("rr", 2, 0, b"\xff" * 4, "")
            return

    scene.peer.meanwhile = churn
    for _ in range(4):
        scene.now += 61
        found = scene.services()
        assert set(steady) <= found.keys()
        assert {found[member].protocol for member in steady} == {OURS}
        assert set(behind) <= scene.servers(steady[7]).keys()


steps = st.tuples(
    st.sampled_from(("put", "set", "delete", "read", "restart")),
    st.booleans(),  # by us?
    st.sampled_from((WEB, DNS, ServiceMember(fwmark=7))),
    st.sampled_from((None, ONE, TWO)),  # a server of it, or the service itself
    st.integers(0, 3),
)


@given(st.lists(steps, max_size=40), st.booleans())
def test_whatever_happens_a_read_shows_what_stands_and_whose_it_is(
    story: list[tuple[str, bool, ServiceMember, ServerMember | None, int]], shows_table: bool
) -> None:
    scene = Scene()
    scene.peer.shows_table = shows_table
    ours: set[tuple[Slot, Member]] = set()
    for what, is_ours, service, server, number in story:
        slot: Slot = SLOT if server is None else ServerSlot(V4, service)
        member: Member = service if server is None else server
        value = (RR._replace(scheduler=("rr", "lc", "wlc", "sed")[number], is_shared=True), UP._replace(weight=number))
        actor = scene.ipvs if is_ours else Ipvs(MemoryStore(), connect=scene.peer.connect, outside=scene.peer)
        wanted: Value = value[server is not None]._replace(protocol=OURS if is_ours else 0)
        if what in {"put", "set", "delete"}:
            verb = {"put": Verb.ADD, "set": Verb.REPLACE, "delete": Verb.DELETE}[what]
            failed = apply(actor, verb, slot, [member], wanted) != []
            if is_ours and not failed:
                if verb is not Verb.DELETE:
                    ours.add((slot, member))
                elif server is None:
                    ours = {key for key in ours if key != (slot, member) and key[0] != ServerSlot(V4, service)}
                else:
                    ours.discard((slot, member))
        elif what == "restart":
            scene.start()
        found = scene.read(Kind.SERVICE) | scene.read(Kind.SERVER) if what == "read" else None
        if found is not None:
            ours &= found.keys()
            assert {key for key, one in found.items() if one.protocol} == ours
            truth = Ipvs(MemoryStore(), connect=scene.peer.connect, outside=FakeIpvs(shows_table=False))
            plain = [one for kind in (Kind.SERVICE, Kind.SERVER) for one in read(truth, kind)]
            assert {(one.slot, one.member): one.value for one in plain} == {
                key: one._replace(protocol=0, **({"is_shared": False} if key[0] == SLOT else {}))
                for key, one in found.items()
            }


def test_changes_of_our_own_between_two_slices_are_in_the_dump(scene: Scene) -> None:
    many = [WEB._replace(port=port) for port in range(1, 301)]
    assert scene.do(Verb.ADD, SLOT, many, RR) == []
    stands = RR
    theirs = RR._replace(protocol=0)
    scene.now += 61
    slices = sum(1 for _ in scene.ipvs.read_dump(Scope(Kind.SERVICE, V4)))
    for stop in range(slices + 1):
        scene.now += 61
        reading = scene.ipvs.read_dump(Scope(Kind.SERVICE, V4))
        for _ in range(stop):
            next(reading)
        wanted = RR._replace(scheduler="lc" if stop % 2 else "wlc")
        assert scene.do(Verb.REPLACE, SLOT, many[5:6], wanted, stands) == []
        assert scene.do(Verb.DELETE, SLOT, many[7:8], RR) == []
        found = {one.member: one.value for chunk in finish(reading).chunks() for one in as_list(chunk)}
        assert found[many[5]] == wanted
        assert many[7] not in found
        scene.stranger().do(Verb.ADD, SLOT, [DNS], RR)
        scene.now += 61
        reading = scene.ipvs.read_dump(Scope(Kind.SERVICE, V4))
        for _ in range(stop):
            next(reading)
        assert scene.do(Verb.DELETE, SLOT, [DNS], theirs) == []  # of which no claim tells
        assert DNS not in {one.member for chunk in finish(reading).chunks() for one in as_list(chunk)}
        assert scene.do(Verb.ADD, SLOT, many[7:8], RR) == []
        stands = wanted


def test_a_reading_that_was_abandoned_is_no_look(web: Scene) -> None:
    web.together = 1.0
    web.start()
    web.services()
    web.stranger().do(Verb.ADD, IN_WEB, [THREE], UP)
    reading = web.ipvs.read_dump(Scope(Kind.SERVICE, V4))
    next(reading)
    reading.close()
    assert web.servers().keys() == {ONE, TWO, THREE}


def test_a_reading_that_was_abandoned_leaves_nothing_out(web: Scene) -> None:
    assert web.do(Verb.REPLACE, IN_WEB, [ONE], UP._replace(weight=4), UP) == []
    reading = web.ipvs.read_dump(Scope(Kind.SERVER, V4))
    next(reading)
    reading.close()
    assert web.servers()[ONE].weight == 4


def test_after_the_module_was_loaded_anew_the_family_is_found_again(web: Scene) -> None:
    web.peer.reload()
    assert web.do(Verb.ADD, SLOT, [DNS], RR) == []
    web.peer.reload()
    assert web.services() == {}
    assert web.do(Verb.ADD, SLOT, [DNS], RR) == []
    web.peer.reload()
    web.stranger().do(Verb.ADD, SLOT, [WEB], RR)
    assert web.do(Verb.DELETE, SLOT, [WEB], RR) == []  # by the new id, and not taken for gone
    assert web.peer.services == {}


def test_ten_thousand_services(scene: Scene) -> None:
    scene.peer.piece = 100
    for third in range(40):
        address = bytes((10, 1, third, 1))
        members = [ServiceMember(TCP, address, port) for port in range(1, 251)]
        assert scene.do(Verb.ADD, SLOT, members, RR) == []
    assert len(scene.services()) == 10_000
    scene.start()
    assert set(scene.services().values()) == {RR}
    scene.peer.asked.clear()
    assert len(scene.services()) == 10_000
    assert scene.peer.asked == []


def test_where_nothing_is_claimed_nothing_has_to_be_read_once_that_is_known(scene: Scene) -> None:
    assert len(list(scene.ipvs.find_owned(Kind.SERVICE, (V4, V6), Marks(OURS)))) == 2  # claims are read by a dump
    assert scene.services() == {}
    assert list(scene.ipvs.find_owned(Kind.SERVICE, (V4, V6), Marks(OURS))) == []
    assert scene.do(Verb.ADD, SLOT, [WEB], RR) == []
    scene.start()
    assert len(scene.services()) == 1
    assert list(scene.ipvs.find_owned(Kind.SERVICE, (V4, V6), Marks(OURS))) == [Scope(Kind.SERVICE, V4)]
    assert list(scene.ipvs.find_owned(Kind.SERVER, (V4, V6), Marks(OURS))) == [Scope(Kind.SERVER, V4)]
