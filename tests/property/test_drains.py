"""The story of servers that leave: they get no new connections, and go when they have none or their time is over."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from routed.core.dirt import Dirt
from routed.core.sources import DRAIN
from routed.core.troubles import State
from routed.daemon.pauses import PausesFile, list_kept, take_up
from routed.daemon.status import (
    count_leftovers,
    count_states,
    describe_entries,
    describe_leftovers,
    describe_pauses,
    summarise,
    summarise_pauses,
)
from routed.model import ipvs
from routed.model.change import Cause, Verb
from routed.model.entries import Intent, Listen, ServiceEntry, Settings
from routed.model.reasons import Drained, Draining, Look
from tests.property.rig import ORIGIN, a_route, route_key, via
from tests.property.test_services import (
    CHANGES,
    DEL_DEST,
    DEL_SERVICE,
    KEY,
    NEW_DEST,
    ONE,
    PORT,
    SET_DEST,
    TWO,
    VIP,
    Scene,
    a_service,
    server,
)

BOTH = (server(ONE), server(TWO, weight=3))
ALONE = a_service(server(ONE))
DRAINS = "drains.json"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def begin(scene: Scene, **more: Any) -> None:
    """Both servers stand, and TWO has connections."""
    scene.rig.start(a_service(*BOTH, **more))
    scene.connect(TWO, active=2, inactive=5)
    scene.take_changes()


def reload(scene: Scene, *entries: ServiceEntry, **settings: Any) -> None:
    scene.rig.enforce(Intent(Settings(**settings), entries))


def test_a_server_that_leaves_the_file_gets_no_new_connections_and_goes_when_it_has_none(scene: Scene) -> None:
    begin(scene, drain=60.0)
    reload(scene, a_service(server(ONE), drain=60.0))
    assert scene.weights() == {ONE: 1, TWO: 0}
    assert scene.take_changes() == [SET_DEST]
    scene.rig.run(20.0)
    assert scene.take_changes() == []  # it waits
    scene.connect(TWO, inactive=5)  # what is closed is not waited for
    scene.rig.run(5.1)
    assert scene.weights() == {ONE: 1}
    assert scene.take_changes() == [DEL_DEST]
    assert not (scene.folder / DRAINS).exists()
    assert scene.rig.plan_is_empty()


def test_it_goes_when_its_time_is_over_whatever_is_connected(scene: Scene) -> None:
    begin(scene, drain=12.0)
    reload(scene, a_service(server(ONE), drain=12.0))
    scene.rig.run(11.9)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(0.2)
    assert scene.weights() == {ONE: 1}
    reasons = [outcome.operation.reason for report in scene.rig.reports for outcome in report.outcomes]
    assert isinstance(reasons[-2], Draining)
    assert reasons[-1] == Drained(is_empty=False)


def test_a_template_of_persistence_is_a_client_that_comes_back_so_it_is_waited_for(scene: Scene) -> None:
    begin(scene)
    reload(scene, a_service(server(ONE)))
    scene.connect(TWO, persistent=1)
    scene.rig.run(29.0)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(1.1)
    assert scene.weights() == {ONE: 1}


def test_who_was_about_to_connect_is_waited_for(scene: Scene) -> None:
    begin(scene)
    scene.connect(TWO, inactive=1)  # a handshake under way counts so
    reload(scene, a_service(server(ONE)))
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(0.5)
    scene.connect(TWO, active=1)
    scene.rig.run(5.1)
    assert scene.weights() == {ONE: 1, TWO: 0}


@pytest.mark.parametrize(
    ("more", "counted"),
    [({}, (0, 0, 0)), ({"drain": 0.0}, (2, 0, 0)), ({"scheduler": "sh"}, (2, 0, 0)), ({"scheduler": "dh"}, (2, 0, 0))],
)
def test_it_goes_at_once_without_connections_without_time_or_where_weight_0_would_refuse_clients(
    scene: Scene, more: dict[str, Any], counted: tuple[int, int, int]
) -> None:
    begin(scene, **more)
    scene.connect(TWO, *counted)
    reload(scene, a_service(server(ONE), **more))
    assert scene.take_changes() == [DEL_DEST]
    assert scene.weights() == {ONE: 1}


def test_a_hash_that_looks_for_another_server_drains(scene: Scene) -> None:
    more: dict[str, Any] = {"scheduler": "mh", "flags": ipvs.SCHEDULER_1}
    begin(scene, **more)
    reload(scene, a_service(server(ONE), **more))
    assert scene.weights() == {ONE: 1, TWO: 0}


def test_of_udp_nothing_is_waited_for(scene: Scene) -> None:
    listens = (Listen(ipvs.UDP, VIP, PORT),)
    entry = ServiceEntry(name="service/u", origin=ORIGIN, listens=listens, scheduler="rr", servers=BOTH)
    scene.rig.start(entry)
    scene.connect(TWO, inactive=9, persistent=1)
    scene.take_changes()
    reload(scene, ServiceEntry(name="service/u", origin=ORIGIN, listens=listens, scheduler="rr", servers=BOTH[:1]))
    assert scene.take_changes() == [DEL_DEST]


def test_a_server_that_returns_amid_it_is_simply_up_again_and_keeps_what_is_connected(scene: Scene) -> None:
    begin(scene)
    reload(scene, a_service(server(ONE)))
    scene.rig.run(10.0)
    scene.take_changes()
    reload(scene, a_service(*BOTH))
    assert scene.weights() == {ONE: 1, TWO: 3}
    assert scene.take_changes() == [SET_DEST]
    scene.rig.run(60.0)
    assert scene.take_changes() == []
    assert not scene.rig.host.ledger.drains
    assert not (scene.folder / DRAINS).exists()


def test_a_restart_keeps_the_deadline(scene: Scene) -> None:
    begin(scene)
    reload(scene, a_service(server(ONE)))
    scene.rig.run(20.0)
    scene.take_changes()
    scene.begin()
    scene.rig.start(a_service(server(ONE)))
    assert scene.take_changes() == []
    scene.rig.run(9.9)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(0.2)
    assert scene.weights() == {ONE: 1}


class KilledError(BaseException):
    """``kill -9``."""


@pytest.mark.parametrize("is_late", [False, True])
def test_killed_between_the_deadline_on_disk_and_the_request_it_drains_all_the_same(
    scene: Scene, *, is_late: bool
) -> None:
    begin(scene)

    def die(command: int) -> None:
        if command in CHANGES:
            raise KilledError

    scene.peer.before = die
    with pytest.raises(KilledError):
        reload(scene, a_service(server(ONE)))
    scene.peer.before = lambda _: None
    assert (scene.folder / DRAINS).exists()
    assert scene.weights() == {ONE: 1, TWO: 3}
    scene.rig.now += 60.0 if is_late else 10.0
    scene.begin()
    scene.rig.start(a_service(server(ONE)))
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(29.0 if is_late else 19.0)  # it never got its time in the first place, or has what is left of it
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(1.1)
    assert scene.weights() == {ONE: 1}


def test_files_that_changed_while_no_daemon_ran_drain_what_left_them(scene: Scene) -> None:
    begin(scene)
    scene.begin()
    scene.rig.start(a_service(server(ONE)))
    assert scene.weights() == {ONE: 1, TWO: 0}


def test_the_clock_of_the_wall_is_not_asked(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(scene)
    reload(scene, a_service(server(ONE)))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    scene.rig.reconciler.find_time = lambda: 0.0
    scene.rig.run(29.0)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(1.1)
    assert scene.weights() == {ONE: 1}


def test_another_boot_knows_nothing_of_it(scene: Scene) -> None:
    begin(scene)
    reload(scene, a_service(server(ONE)))
    kept = (scene.folder / DRAINS).read_text()
    assert '"boot": "this boot"' in kept
    (scene.folder / DRAINS).write_text(kept.replace("this boot", "another boot"))
    scene.begin()
    assert not scene.rig.host.ledger.drains


def test_who_gives_it_weight_again_changes_nothing(scene: Scene) -> None:
    begin(scene)
    reload(scene, a_service(server(ONE)))
    scene.rig.run(10.0)
    scene.set_weight(TWO, 3)
    scene.rig.run(5.1)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(15.0)
    assert scene.weights() == {ONE: 1}


def test_a_service_that_leaves_keeps_what_is_connected_and_the_way_to_it_which_goes_before_it(scene: Scene) -> None:
    way = a_route("vip", "10.0.0.1/32", (via("192.0.2.2", "v0"),))
    scene.rig.start(a_service(*BOTH), way)
    scene.connect(TWO, active=1)
    scene.take_changes()
    reload(scene)
    assert scene.weights() == {TWO: 0}
    assert scene.rig.kernel.standing(route_key("10.0.0.1/32"))
    assert not scene.rig.host.ledger.troubles.has("", State.FAILED)
    scene.rig.run(20.0)
    assert scene.weights() == {TWO: 0}
    order: list[str] = []
    scene.peer.before = lambda command: order.append("ipvs") if command in CHANGES else None
    scene.rig.kernel.inspect = lambda verb, *_: order.append("route") if verb is Verb.DELETE else None
    scene.connect(TWO)
    scene.rig.run(5.1)
    assert scene.peer.services == {}
    assert order == ["route", "ipvs", "ipvs"]
    assert scene.rig.plan_is_empty()
    scene.rig.run(120.0)
    assert order == ["route", "ipvs", "ipvs"]


def test_a_service_whose_time_is_over_goes_with_the_way_to_it(scene: Scene) -> None:
    begin(scene, drain=12.0)
    scene.connect(ONE, active=1)
    reload(scene)
    assert scene.weights() == {ONE: 0, TWO: 0}
    scene.take_changes()
    scene.rig.run(12.1)
    assert scene.peer.services == {}
    assert scene.take_changes() == [DEL_DEST, DEL_DEST, DEL_SERVICE]
    assert not scene.rig.host.ledger.troubles


def test_what_could_not_be_put_in_its_place_keeps_it_at_work(scene: Scene) -> None:
    begin(scene)
    bad = server(b"\xe0\0\0\1")  # the kernel takes no such address
    reload(scene, a_service(server(ONE), bad))
    assert scene.weights() == {ONE: 1, TWO: 3}


def test_the_guard_counts_what_begins_to_drain_and_not_again_what_has_drained(scene: Scene) -> None:
    many = [server(bytes([10, 0, 0, number])) for number in range(11, 51)]
    scene.rig.start(a_service(*many))
    for one in many:
        scene.connect(one.address, active=1)
    reload(scene, a_service(*many[:10]))
    assert set(scene.weights().values()) == {1}  # too many would go at once
    assert scene.rig.host.ledger.drains == {}
    scene.rig.enforce(Intent(Settings(), (a_service(*many[:10]),)), is_forced=True)
    assert list(scene.weights().values()).count(0) == 30
    scene.rig.run(31.0)
    assert len(scene.weights()) == 10


def test_services_that_left_by_force_are_not_held_when_they_have_drained(scene: Scene) -> None:
    def at(port: int) -> ServiceEntry:
        listens = (Listen(ipvs.TCP, VIP, port),)
        return ServiceEntry(name=f"service/{port}", origin=ORIGIN, listens=listens, scheduler="rr", servers=BOTH)

    scene.rig.start(*map(at, range(1, 41)))
    scene.connect(ONE, active=1)
    scene.connect(TWO, active=1)
    scene.rig.enforce(Intent(Settings(max_deletes=0.2), (at(1),)), is_forced=True)
    assert len(scene.peer.services) == 40
    scene.rig.run(31.0)
    assert len(scene.peer.services) == 1
    assert not scene.rig.host.ledger.troubles


def test_when_the_daemon_stops_and_takes_away_what_is_its_own_nobody_waits(scene: Scene) -> None:
    begin(scene)
    scene.rig.host.enforce(Intent(), scene.rig.now)
    scene.rig.settle(Dirt(everything=Cause(None, Look.STOP)), is_forced=True)
    assert scene.peer.services == {}


def test_status_says_so_and_the_rest_is_in_sync(scene: Scene) -> None:
    begin(scene)
    reload(scene, a_service(server(ONE)))
    host = scene.rig.host
    assert count_states(host) == {"in-sync": 2, "draining": 1}
    assert count_leftovers(host) == 0
    assert describe_leftovers(host, str) == []
    [entry] = describe_entries(host, str)
    assert (entry["state"], entry["total"]) == ("in-sync", 2)
    leaving = entry["objects"][-1]
    assert (leaving["object"], leaving["state"]) == ("TCP 10.0.0.1:443 -> 10.0.0.12:443", "draining")
    assert leaving["reason"].startswith("it goes when nothing is connected any more, or at ")
    assert summarise(host, 1).endswith("2 objects in sync, 1 draining")
    reload(scene)
    assert {one["state"] for one in describe_leftovers(host, str)} == {"draining"}
    assert count_leftovers(host) == 0


def test_a_plan_says_what_drains_and_remembers_nothing(scene: Scene) -> None:
    begin(scene)
    plan = scene.rig.plan(Intent(Settings(), (a_service(server(ONE)),)))
    [operation] = plan.operations
    assert isinstance(operation.reason, Draining)
    assert not scene.rig.host.ledger.drains
    assert not (scene.folder / DRAINS).exists()


def say(scene: Scene, subject: str, seconds: float = 0.0) -> None:
    """``routed drain``, or without seconds ``routed resume``."""
    holds = scene.rig.host.ledger.holds
    if seconds:
        now = scene.rig.now
        holds.pause(subject, "a new kernel", now + seconds, now, "alice", is_drain=True)
    else:
        assert holds.resume(subject)
    scene.rig.host.ask_again(DRAIN)
    scene.rig.run()


SUBJECT = "service/a[10.0.0.12:443]"


def test_what_the_operator_drains_gets_no_new_connections_and_stays_until_he_says_otherwise(scene: Scene) -> None:
    begin(scene)
    say(scene, SUBJECT, 3600.0)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.connect(TWO)
    scene.rig.run(600.0)
    assert scene.weights() == {ONE: 1, TWO: 0}
    [entry] = describe_entries(scene.rig.host, str)
    assert entry["state"] == "in-sync"
    assert entry["reason"] == "server 10.0.0.12:443 is out: drained by alice: a new kernel"
    [pause] = describe_pauses(scene.rig.host, str)
    assert (pause["entry"], pause["drained"], pause["author"]) == (SUBJECT, True, "alice")
    assert summarise_pauses(scene.rig.host, str).startswith(f"{SUBJECT} is drained until ")
    say(scene, SUBJECT)
    assert scene.weights() == {ONE: 1, TWO: 3}


def test_it_ends_by_itself(scene: Scene) -> None:
    begin(scene)
    say(scene, SUBJECT, 60.0)
    scene.rig.run(59.0)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(2.0)
    scene.rig.host.ask_again(DRAIN)  # as the service does when it is told that a pause is over
    scene.rig.run()
    assert scene.weights() == {ONE: 1, TWO: 3}


def test_what_the_operator_says_counts_more_than_that_no_other_server_is_up(scene: Scene) -> None:
    scene.rig.start(a_service(server(ONE, "one"), server(TWO, weight=3)))
    scene.tell(one=False)
    assert scene.weights() == {ONE: 0, TWO: 3}
    say(scene, SUBJECT, 60.0)
    assert scene.weights() == {ONE: 1, TWO: 0}  # all are down, so the one that nobody drains is kept


def test_under_a_hash_what_the_operator_drains_goes(scene: Scene) -> None:
    begin(scene, scheduler="sh")
    say(scene, SUBJECT, 60.0)
    assert scene.weights() == {ONE: 1}
    say(scene, SUBJECT)
    assert scene.weights() == {ONE: 1, TWO: 3}


def test_a_server_that_leaves_while_the_operator_drains_it_goes_as_any_other(scene: Scene) -> None:
    begin(scene)
    say(scene, SUBJECT, 3600.0)
    reload(scene, a_service(server(ONE)))
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.connect(TWO)
    scene.rig.run(5.1)
    assert scene.weights() == {ONE: 1}


def test_a_drain_outlives_a_restart_with_whoever_said_it(scene: Scene) -> None:
    begin(scene)
    say(scene, SUBJECT, 3600.0)
    pauses = PausesFile(scene.folder)
    pauses.save(list_kept(scene.rig.host.ledger.holds, 0.0), "b")
    scene.take_changes()
    scene.begin()
    take_up(pauses.load("b"), scene.rig.host.ledger.holds, scene.rig.now, scene.rig.now)
    scene.rig.start(a_service(*BOTH))
    assert scene.take_changes() == []
    assert describe_pauses(scene.rig.host, str)[0]["author"] == "alice"


def test_a_server_that_cannot_be_counted_stays_until_its_time_is_over(scene: Scene) -> None:
    begin(scene)
    reload(scene, a_service(server(ONE)))

    def refuse(_slot: object) -> Any:
        raise OSError

    scene.rig.reconciler.count = refuse
    scene.rig.run(29.0)
    assert scene.weights() == {ONE: 1, TWO: 0}
    scene.rig.run(1.1)
    assert scene.weights() == {ONE: 1}
    assert KEY in scene.peer.services
    assert NEW_DEST not in scene.take_changes()


FULL = (server(ONE, "one", weight=100), server(TWO, "two", weight=100))


def slowly(*servers: Any) -> ServiceEntry:
    return a_service(*servers, slow_start=40.0)


def up(scene: Scene) -> None:
    """Both servers are up, and the service stands with all of their weights: it is new itself."""
    scene.rig.start(slowly(*FULL))
    scene.tell(one=True, two=True)
    scene.rig.run(60.0)
    assert scene.weights() == {ONE: 100, TWO: 100}
    scene.take_changes()


def test_a_server_that_returns_gets_its_weight_in_steps(scene: Scene) -> None:
    up(scene)
    scene.tell(one=False, two=True)
    scene.rig.run(10.0)
    scene.take_changes()
    scene.tell(one=True)
    seen = [scene.weights()[ONE]]
    for _ in range(4):
        scene.rig.run(10.0)
        seen.append(scene.weights()[ONE])
    assert seen == [20, 40, 60, 80, 100]
    assert scene.weights()[TWO] == 100
    assert scene.take_changes() == [SET_DEST] * 5
    scene.rig.run(300.0)
    assert scene.take_changes() == []


def test_so_does_one_that_comes_into_the_file_and_one_that_the_operator_lets_go(scene: Scene) -> None:
    scene.rig.start(slowly(server(ONE, weight=100)))
    assert scene.weights() == {ONE: 100}
    reload(scene, slowly(server(ONE, weight=100), server(TWO, weight=10)))
    assert scene.weights() == {ONE: 100, TWO: 2}
    scene.rig.run(40.1)
    assert scene.weights() == {ONE: 100, TWO: 10}
    say(scene, "service/a[10.0.0.12:443]", 60.0)
    assert scene.weights() == {ONE: 100, TWO: 0}
    say(scene, "service/a[10.0.0.12:443]")
    assert scene.weights() == {ONE: 100, TWO: 2}


def test_a_step_is_as_wanted_so_that_nothing_is_in_drift_and_what_somebody_does_is_put_back(scene: Scene) -> None:
    up(scene)
    scene.tell(one=False)
    scene.tell(one=True)
    assert scene.weights()[ONE] == 20
    assert count_states(scene.rig.host) == {"in-sync": 3}
    assert scene.rig.plan_is_empty()
    scene.set_weight(ONE, 100)
    scene.rig.run(5.1)
    assert scene.weights()[ONE] == 20


def test_a_reload_amid_it_does_not_begin_it_anew(scene: Scene) -> None:
    up(scene)
    scene.tell(one=False)
    scene.tell(one=True)
    scene.rig.run(20.0)
    assert scene.weights()[ONE] == 60
    reload(scene, slowly(*FULL, server(b"\n\0\0\x0d", weight=100)))
    assert scene.weights() == {ONE: 60, TWO: 100, b"\n\0\0\x0d": 20}
    scene.rig.run(20.1)
    assert scene.weights() == {ONE: 100, TWO: 100, b"\n\0\0\x0d": 60}


def test_so_does_a_restart_and_what_is_over_is_forgotten(scene: Scene) -> None:
    entry = slowly(server(ONE, weight=100))
    scene.rig.start(entry)
    entry = slowly(server(ONE, weight=100), server(TWO, weight=100))
    reload(scene, entry)
    scene.rig.run(20.0)
    assert scene.weights() == {ONE: 100, TWO: 60}
    scene.take_changes()
    scene.begin()
    scene.rig.start(entry)
    assert scene.take_changes() == []
    scene.rig.run(10.1)
    assert scene.weights() == {ONE: 100, TWO: 80}
    scene.rig.run(10.1)
    assert scene.weights() == {ONE: 100, TWO: 100}
    scene.rig.resync()
    assert not scene.rig.host.world.facts.risen
    assert not (scene.folder / DRAINS).exists()


def test_where_all_are_down_and_kept_nobody_begins_slowly(scene: Scene) -> None:
    up(scene)
    scene.tell(one=False, two=False)
    assert scene.weights() == {ONE: 100, TWO: 100}
