"""The story of services: what is written stands, what somebody changed is put back, what is theirs is left alone.

Over a peer that behaves as IPVS in the kernel does; ``ipvsadm`` is played by its dictionaries.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from errno import EACCES
from pathlib import Path
from socket import AF_INET
from struct import pack
from typing import Any
from unittest.mock import patch

import pytest

from routed.audit.reasons import describe_reason
from routed.core.services import list_vips
from routed.core.troubles import State
from routed.daemon.claims import ClaimsFile
from routed.daemon.drains import DrainsFile, KeptDrains
from routed.daemon.ipvs import CLAIMS, SeldomIpvs
from routed.daemon.revisions import decode_displaced, encode_displaced
from routed.daemon.status import count_states, describe_entries
from routed.daemon.traffic import MOST_SERVERS, add_traffic
from routed.kernel.ipvs.claims import ClaimOrigin
from routed.kernel.ipvs.dataplane import Ipvs
from routed.model import ipvs
from routed.model.checks import Ruling, key_of
from routed.model.entries import (
    Enforce,
    IpvsSettings,
    Listen,
    OnConflict,
    OnFail,
    Requirement,
    ServerSpec,
    ServiceEntry,
    Settings,
)
from routed.model.facts import Fact, Freshness
from routed.model.ipvs import ServerMember, ServerSlot, ServerValue, ServiceMember, ServiceSlot, Traffic
from routed.model.lifetime import BootTime
from routed.model.net import IPV4, parse_address
from routed.model.objects import Key, Kind, Value
from routed.model.reasons import Withdrawn, is_by_check
from tests.property.fake_ipvs import FakeIpvs, Service
from tests.property.rig import ORIGIN, Rig, a_host, a_route, via

VIP, ONE, TWO = (parse_address(text) for text in ("10.0.0.1", "10.0.0.11", "10.0.0.12"))
PORT = 443
KEY = (int(AF_INET), ipvs.TCP, VIP, PORT, 0)
MEMBER = ServiceMember(ipvs.TCP, VIP, PORT)
HERE = ClaimOrigin("this boot", "this namespace")
NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = range(1, 9)
CHANGES = {NEW_SERVICE, SET_SERVICE, DEL_SERVICE, NEW_DEST, SET_DEST, DEL_DEST}


def server(address: bytes, *checks: str, weight: int = 1) -> ServerSpec:
    return ServerSpec(address, PORT, ServerValue(0, weight=weight), tuple(map(Requirement, checks)))


def a_service(*servers: ServerSpec, scheduler: str = "rr", **more: Any) -> ServiceEntry:
    listens = (Listen(ipvs.TCP, VIP, PORT),)
    return ServiceEntry(name="service/a", origin=ORIGIN, listens=listens, scheduler=scheduler, servers=servers, **more)


BOTH = a_service(server(ONE), server(TWO, weight=3))


@dataclass
class Scene:
    """One host whose kernel has IPVS."""

    folder: Path
    peer: FakeIpvs = field(default_factory=FakeIpvs)
    rig: Rig = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A daemon begins, perhaps after another was killed."""
        plane = SeldomIpvs(self.folder, may_write=True, poll_interval=5.0, make=self._open)
        kernel, now = (self.rig.kernel, self.rig.now) if hasattr(self, "rig") else (a_host(), 1000.0)
        self.rig = Rig(kernel, now, others=(plane,))
        drains, reconciler = DrainsFile(self.folder), self.rig.reconciler
        reconciler.count = plane.read_traffic
        reconciler.find_moment = lambda: BootTime(HERE.boot, self.rig.now)
        reconciler.save_drains = lambda some, risen: drains.save(KeptDrains(some, risen), HERE.boot)
        reconciler.save_displaced = self._save_displaced
        if (displaced := self.folder / "displaced.json").exists():
            self.rig.host.ledger.take_up_displaced(decode_displaced(displaced.read_bytes()))
        kept = drains.load(HERE.boot)
        self.rig.host.ledger.note_drains(kept.drains)
        self.rig.host.world.note(risen=kept.risen)

    def _save_displaced(self, displaced: dict[Key, Value]) -> None:
        (self.folder / "displaced.json").write_bytes(encode_displaced(displaced))

    def _open(self) -> Ipvs:
        return Ipvs(
            ClaimsFile(self.folder),
            connect=self.peer.connect,
            outside=self.peer,
            find_origin=lambda: HERE,
            clock=lambda: self.rig.now,
        )

    def weights(self) -> dict[bytes, int]:
        service = self.peer.services.get(KEY)
        dests = service.dests if service else {}
        return {address[:4]: int.from_bytes(values[4], "little") for (_, address, _), values in dests.items()}

    def connect(self, address: bytes, active: int = 0, inactive: int = 0, persistent: int = 0) -> None:
        """So many connections to a server, from now on."""
        self.peer.counted[int(AF_INET), address, PORT] = (active, inactive, persistent)

    def take_changes(self) -> list[int]:
        changes = [command for command in self.peer.asked if command in CHANGES]
        self.peer.asked.clear()
        return changes

    def set_weight(self, address: bytes, weight: int) -> None:
        """``ipvsadm -e``."""
        self.peer.services[KEY].dests[int(AF_INET), address, PORT][4] = pack("=I", weight)

    def put_server(self, address: bytes) -> None:
        """``ipvsadm -a``, just as the first one."""
        dests = self.peer.services[KEY].dests
        dests[int(AF_INET), address, PORT] = dict(dests[int(AF_INET), ONE, PORT])

    def states(self) -> list[str]:
        return [one["state"] for one in describe_entries(self.rig.host, str)]

    def tell(self, **rulings: bool) -> None:
        told = {
            key_of(name): Fact(Ruling(is_up, since=self.rig.now), Freshness.LIVE) for name, is_up in rulings.items()
        }
        self.rig.engine.deliver(told)
        self.rig.run()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_service_stands_with_its_servers_and_a_start_over_it_changes_nothing(scene: Scene) -> None:
    scene.rig.start(BOTH)
    assert scene.peer.services[KEY].scheduler == "rr"
    assert scene.weights() == {ONE: 1, TWO: 3}
    assert not scene.rig.host.ledger.troubles
    assert scene.take_changes() == [NEW_SERVICE, NEW_DEST, NEW_DEST]
    scene.begin()
    scene.rig.start(BOTH)
    assert scene.rig.plan_is_empty()
    assert scene.take_changes() == []


def test_a_host_without_services_asks_ipvs_nothing_and_keeps_no_claims(scene: Scene) -> None:
    scene.rig.start()
    scene.rig.resync()
    assert scene.peer.asked == []
    assert not (scene.folder / CLAIMS).exists()


def test_what_somebody_did_is_put_back_by_the_next_look_and_nothing_else_is_sent(scene: Scene) -> None:
    scene.rig.start(BOTH)
    scene.take_changes()
    scene.set_weight(ONE, 7)
    scene.rig.run(5.1)
    assert scene.weights() == {ONE: 1, TWO: 3}
    assert scene.take_changes() == [SET_DEST]
    del scene.peer.services[KEY].dests[int(AF_INET), TWO, PORT]
    scene.rig.run(5.1)
    assert scene.weights() == {ONE: 1, TWO: 3}
    assert scene.take_changes() == [NEW_DEST]
    scene.peer.services[KEY].scheduler = "wlc"
    scene.rig.run(5.1)
    assert (scene.peer.services[KEY].scheduler, scene.take_changes()) == ("rr", [SET_SERVICE])
    scene.peer.clear()
    scene.rig.run(5.1)
    assert scene.weights() == {ONE: 1, TWO: 3}
    assert scene.take_changes() == [NEW_SERVICE, NEW_DEST, NEW_DEST]
    scene.rig.run(60.0)
    assert scene.take_changes() == []


def test_it_is_looked_each_second_for_a_while_after_a_change_and_then_as_seldom_as_the_file_says(scene: Scene) -> None:
    scene.rig.start(BOTH, settings=Settings(ipvs=IpvsSettings(poll=20.0)))
    for patience in (20.1, 1.1, 1.1):
        scene.set_weight(ONE, 7)
        scene.rig.run(patience)
        assert scene.weights() == {ONE: 1, TWO: 3}
    scene.rig.run(31.0)
    scene.set_weight(ONE, 7)
    scene.rig.run(1.1)
    assert scene.weights() == {ONE: 7, TWO: 3}
    scene.rig.run(20.0)
    assert scene.weights() == {ONE: 1, TWO: 3}


def put_by_another(scene: Scene, *servers: bytes, scheduler: str = "rr") -> None:
    """``ipvsadm -A`` and ``-a``."""
    dests = {
        (int(AF_INET), one, PORT): {3: pack("=I", 0), 4: pack("=I", 1), 5: bytes(4), 6: bytes(4)}
        | {13: b"\0", 14: b"\0\0", 15: b"\0\0"}
        for one in servers
    }
    scene.peer.services[KEY] = Service(scheduler, 2, 0, b"\xff" * 4, "", dests)


def test_what_somebody_else_made_just_so_does_its_work_and_is_never_deleted(scene: Scene) -> None:
    put_by_another(scene, ONE)
    scene.rig.start(a_service(server(ONE)))
    assert scene.rig.plan_is_empty()
    assert scene.take_changes() == []
    scene.rig.start()
    assert scene.weights() == {ONE: 1}


def test_one_that_differs_is_left_alone_with_its_servers_and_the_entry_is_in_conflict(scene: Scene) -> None:
    put_by_another(scene, ONE, scheduler="wlc")
    scene.rig.start(a_service(server(ONE), server(TWO), on_conflict=OnConflict.REFUSE))
    for _ in range(2):
        assert (scene.peer.services[KEY].scheduler, scene.weights()) == ("wlc", {ONE: 1})
        trouble = scene.rig.host.ledger.troubles.get(Key(Kind.SERVICE, ServiceSlot(IPV4), MEMBER))
        assert trouble is not None
        assert trouble.state is State.CONFLICT
        scene.rig.run(30.0)
    del scene.peer.services[KEY]
    scene.rig.run(5.1)
    assert (scene.peer.services[KEY].scheduler, scene.weights()) == ("rr", {ONE: 1, TWO: 1})


@pytest.mark.parametrize("scheduler", ["rr", "wlc"])
def test_what_the_file_takes_over_is_as_written_and_goes_with_the_entry(scene: Scene, scheduler: str) -> None:
    put_by_another(scene, ONE, TWO, scheduler=scheduler)
    scene.rig.start(a_service(server(ONE), on_conflict=OnConflict.REPLACE))
    assert scene.take_changes() == ([] if scheduler == "rr" else [SET_SERVICE])  # else it is a matter of the claim
    scene.rig.run(5.1)
    assert scene.take_changes() == [DEL_DEST]
    scene.rig.start()
    assert KEY not in scene.peer.services


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_server_that_somebody_else_puts_into_a_service_of_ours_goes_unless_it_is_shared(
    scene: Scene, is_shared: bool
) -> None:
    scene.rig.start(a_service(server(ONE), is_shared=is_shared))
    scene.put_server(TWO)
    scene.rig.run(5.1)
    assert scene.weights() == ({ONE: 1, TWO: 1} if is_shared else {ONE: 1})


def test_a_service_that_no_entry_wants_any_more_goes_also_after_a_kill(scene: Scene) -> None:
    scene.rig.start(BOTH)
    scene.begin()
    scene.rig.start()
    assert scene.peer.services == {}
    assert scene.rig.plan_is_empty()


def test_a_new_service_has_its_servers_before_the_way_to_it_and_keeps_them_until_that_is_gone(scene: Scene) -> None:
    way = a_route("vip", "10.0.0.1/32", (via("192.0.2.2", "v0"),))
    order: list[str] = []
    scene.peer.before = lambda command: order.append("ipvs") if command in CHANGES else None
    scene.rig.kernel.inspect = lambda *_: order.append("route")
    scene.rig.start(BOTH, way)
    assert order == ["ipvs"] * 3 + ["route"]
    order.clear()
    scene.rig.start()
    assert order[0] == "route"


def test_without_permission_nothing_is_known_and_it_is_tried_again(scene: Scene) -> None:
    scene.peer.is_permitted = False
    scene.rig.start(BOTH)
    assert [one.state for one in scene.rig.host.world.unread.values()] == [State.UNKNOWN] * 2
    assert all("CAP_NET_ADMIN" in describe_reason(one.reason) for one in scene.rig.host.world.unread.values())
    scene.peer.is_permitted = True
    scene.rig.run(120.0)
    assert scene.weights() == {ONE: 1, TWO: 3}
    assert not scene.rig.host.ledger.troubles


def test_a_state_folder_that_may_not_be_looked_into_makes_services_unknown_and_nothing_else(scene: Scene) -> None:
    way = a_route("vip", "10.0.0.1/32", (via("192.0.2.2", "v0"),))
    with (
        patch.object(Path, "exists", side_effect=PermissionError(EACCES, "Permission denied")),
        patch.object(Path, "read_bytes", side_effect=PermissionError(EACCES, "Permission denied")),
    ):
        scene.rig.start(way)
        reasons = {describe_reason(one.reason) for one in scene.rig.host.world.unread.values()}
    assert reasons == {"it cannot be read: Permission denied"}
    assert count_states(scene.rig.host)["in-sync"] == 1


def test_an_unknown_scheduler_fails_alone_and_says_which_module_is_missing(scene: Scene) -> None:
    scene.rig.start(a_service(server(ONE), scheduler="twos"))
    trouble = scene.rig.host.ledger.troubles.get(Key(Kind.SERVICE, ServiceSlot(IPV4), MEMBER))
    assert trouble is not None
    assert trouble.state is State.FAILED
    assert "ip_vs_twos" in str(trouble.reason)


def test_a_kernel_without_ipvs_says_so_and_is_asked_again(scene: Scene) -> None:
    scene.peer.is_there = False
    scene.rig.start(BOTH)
    assert scene.rig.host.ledger.troubles or scene.rig.host.world.unread
    scene.peer.is_there = True
    scene.rig.run(120.0)
    assert scene.weights() == {ONE: 1, TWO: 3}


def test_a_server_that_is_down_is_drained_removed_and_put_back(scene: Scene) -> None:
    entry = a_service(server(ONE, "one"), server(TWO))
    scene.rig.start(entry)
    scene.tell(one=True)
    assert scene.weights() == {ONE: 1, TWO: 1}
    scene.tell(one=False)
    assert scene.weights() == {ONE: 0, TWO: 1}
    scene.rig.run(entry.remove_after + 0.1)
    assert scene.weights() == {TWO: 1}
    scene.tell(one=True)
    assert scene.weights() == {ONE: 1, TWO: 1}


def many() -> list[bytes]:
    return [bytes((10, 0, 1, number)) for number in range(1, 31)]


def test_any_number_of_servers_that_a_check_takes_out_goes_and_the_journal_names_the_check(scene: Scene) -> None:
    entry = a_service(*(server(one, "rack") for one in many()), server(ONE), on_fail=OnFail.REMOVE)
    scene.rig.start(entry)
    scene.tell(rack=True)
    assert len(scene.weights()) == 31
    scene.begin()
    scene.rig.start(entry)
    scene.tell(rack=False)
    assert scene.weights() == {ONE: 1}
    gone = [o.operation.reason for report in scene.rig.reports for o in report.outcomes]
    whys = [one.why for one in gone if isinstance(one, Withdrawn)]
    assert whys
    assert all(is_by_check(why) for why in whys)


@pytest.mark.parametrize("word", ["paused", *Enforce])
def test_what_an_entry_leaves_alone_it_leaves_in_its_service_too(scene: Scene, word: str) -> None:
    scene.rig.start(a_service(server(ONE)))
    entry = a_service(server(ONE), enforce=Enforce.REPAIR if word == "paused" else Enforce(word))
    scene.rig.start(entry)
    if word == "paused":
        scene.rig.host.ledger.holds.pause(entry.name, "", 1e9, scene.rig.now)
    scene.put_server(TWO)
    scene.rig.run(5.1)
    if word == "repair":
        assert (scene.weights(), *scene.states()) == ({ONE: 1}, "in-sync")
    else:
        assert (scene.weights(), *scene.states()) == ({ONE: 1, TWO: 1}, "paused" if word == "paused" else "drift")


def test_of_two_entries_with_one_service_the_second_puts_nothing_into_it_and_has_it_when_the_first_goes(
    scene: Scene,
) -> None:
    first, second = a_service(server(ONE)), replace(a_service(server(TWO)), name="service/b")
    scene.rig.start(first, second)
    assert scene.weights() == {ONE: 1}
    assert scene.states() == ["in-sync", "conflict"]
    scene.rig.enforce(replace(scene.rig.host.wanted.intent, entries=(second,)))
    assert scene.weights() == {TWO: 1}
    assert scene.states() == ["in-sync"]


def test_a_restart_in_which_nobody_knows_yet_leaves_servers_as_they_are(scene: Scene) -> None:
    entry = a_service(server(ONE, "one"), server(TWO))
    scene.rig.start(entry)
    scene.tell(one=False)
    scene.take_changes()
    scene.begin()
    scene.rig.start(entry)
    assert scene.weights() == {ONE: 0, TWO: 1}
    assert scene.take_changes() == []


def test_a_server_that_fails_is_not_hidden_by_another_of_which_nothing_is_known_yet(scene: Scene) -> None:
    bad = ServerSpec(parse_address("224.0.0.1"), PORT, ServerValue(0))  # the kernel takes no such address
    entry = a_service(server(ONE, "one"), bad)
    scene.rig.start(entry)
    states = count_states(scene.rig.host)
    assert (states["in-sync"], states["waiting"], states["failed"]) == (1, 1, 1)


def test_only_what_status_shows_is_counted_and_of_that_no_more_than_a_thousand_servers(scene: Scene) -> None:
    def named(name: str, number: int, *wrong: ServerSpec) -> ServiceEntry:
        servers = (server(parse_address(f"10.1.{n >> 8}.{n & 255}")) for n in range(number))
        listens = (Listen(ipvs.TCP, VIP, PORT + number),)
        return replace(a_service(*servers, *wrong), name=f"service/{name}", listens=listens)

    bad = ServerSpec(parse_address("224.0.0.1"), PORT, ServerValue(0))  # the kernel takes no such address
    scene.rig.start(named("huge", MOST_SERVERS, bad), named("many", 100), named("wrong", 101, bad), named("two", 2))
    documents = describe_entries(scene.rig.host, str)
    asked: list[int] = []

    def count(slot: ServerSlot) -> tuple[Traffic, dict[ServerMember, Traffic]]:
        asked.append(slot.service.port - PORT)
        return Traffic(), {}

    add_traffic(documents, [], scene.rig.host, count)
    assert sorted(asked) == [2, 101]  # of "many" status shows but the number, and "huge" would take too long


def test_status_shows_what_is_counted_and_nothing_where_it_cannot_be_asked(scene: Scene) -> None:
    scene.rig.start(BOTH)
    scene.peer.counted[int(AF_INET), ONE, PORT] = (3, 12, 0)
    documents = describe_entries(scene.rig.host, str)
    plane = scene.rig.reconciler.dataplanes.by_kind[Kind.SERVER]
    assert isinstance(plane, SeldomIpvs)
    add_traffic(documents, [], scene.rig.host, plane.read_traffic)
    shown = {thing["object"]: thing["traffic"]["active"] for thing in documents[0]["objects"]}
    assert shown == {
        "TCP 10.0.0.1:443": 3,
        "TCP 10.0.0.1:443 -> 10.0.0.11:443": 3,
        "TCP 10.0.0.1:443 -> 10.0.0.12:443": 0,
    }
    scene.peer.is_permitted = False
    documents = describe_entries(scene.rig.host, str)
    add_traffic(documents, [], scene.rig.host, plane.read_traffic)
    assert not any("traffic" in thing for thing in documents[0]["objects"])


def test_of_a_service_that_is_asked_for_all_servers_are_shown_with_their_weight_and_what_is_connected(
    scene: Scene,
) -> None:
    many = [server(bytes((10, 1, 0, number)), weight=number) for number in range(1, 101)]
    scene.rig.start(replace(a_service(*many), name="service/many"), a_route())
    scene.peer.counted[int(AF_INET), bytes((10, 1, 0, 50)), PORT] = (3, 12, 0)
    plane = scene.rig.reconciler.dataplanes.by_kind[Kind.SERVER]
    assert isinstance(plane, SeldomIpvs)
    folded, _ = describe_entries(scene.rig.host, str)
    assert (folded["total"], folded["objects"]) == (101, [])
    for asked in ("many", "service/many"):
        [whole] = describe_entries(scene.rig.host, str, asked)
        add_traffic([whole], [], scene.rig.host, plane.read_traffic)
        service, *servers = whole["objects"]
        assert (service["ip"]["scheduler"], service["traffic"]["active"]) == ("rr", 3)
        assert [one["ip"]["weight"] for one in servers] == list(range(1, 101))
        assert (servers[49]["traffic"]["active"], servers[49]["traffic"]["inactive"]) == (3, 12)
        assert {one["state"] for one in whole["objects"]} == {State.IN_SYNC}
    assert describe_entries(scene.rig.host, str, "man") == []


def test_of_each_server_that_is_out_it_is_said_why(scene: Scene) -> None:
    scene.rig.start(a_service(server(ONE, "one"), server(TWO, "two")))
    scene.tell(one=True, two=False)
    [shown] = describe_entries(scene.rig.host, str, "a")
    told = {
        thing["object"].partition(" -> ")[2]: (thing["ip"].get("weight"), thing["reason"]) for thing in shown["objects"]
    }
    assert told["10.0.0.11:443"] == (1, "")
    assert told["10.0.0.12:443"][0] == 0
    assert "two" in told["10.0.0.12:443"][1]


@pytest.mark.parametrize("weight", [0, 7])
def test_who_changes_a_server_again_and_again_is_left_alone_with_it_for_a_while(scene: Scene, weight: int) -> None:
    scene.rig.start(BOTH)
    for _ in range(6):
        assert scene.weights() == {ONE: 1, TWO: 3}
        scene.set_weight(TWO, weight)
        scene.rig.run(5.1)
    assert scene.weights() == {ONE: 1, TWO: 3}
    scene.set_weight(TWO, weight)
    scene.rig.run(5.1)
    assert scene.weights() == {ONE: 1, TWO: weight}
    assert scene.states() == ["held"]


def test_who_puts_a_server_again_and_again_is_left_alone_with_it_for_a_while(scene: Scene) -> None:
    scene.rig.start(a_service(server(ONE)))
    for _ in range(7):
        scene.put_server(TWO)
        scene.rig.run(5.1)
    assert scene.weights() == {ONE: 1, TWO: 1}
    assert scene.states() == ["held"]


def test_others_have_to_leave_alone_all_services_where_one_is_fought_over(scene: Scene) -> None:
    scene.rig.start(BOTH)
    desired = scene.rig.host.wanted.desired
    address = MEMBER.address
    for subject in (Key(Kind.SERVICE, ServiceSlot(IPV4), MEMBER), "service/a"):
        assert list_vips(desired, subject) == {address}
    assert list_vips(desired, "route/a") == set()
