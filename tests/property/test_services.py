"""The story of services: what is written stands, what somebody changed is put back, what is theirs is left alone.

Over a peer that behaves as IPVS in the kernel does; ``ipvsadm`` is played by its dictionaries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET
from struct import pack
from typing import Any

import pytest

from routed.core.troubles import State
from routed.daemon.claims import ClaimsFile
from routed.daemon.ipvs import CLAIMS, SeldomIpvs
from routed.daemon.status import count_states, describe_entries
from routed.daemon.traffic import add_traffic
from routed.kernel.ipvs.claims import ClaimOrigin
from routed.kernel.ipvs.dataplane import Ipvs
from routed.model import ipvs
from routed.model.checks import Ruling, key_of
from routed.model.entries import Listen, OnConflict, Requirement, ServerSpec, ServiceEntry
from routed.model.facts import Fact, Freshness
from routed.model.ipvs import ServerValue, ServiceMember, ServiceSlot
from routed.model.net import IPV4, parse_address
from routed.model.objects import Key, Kind
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
        kernel = self.rig.kernel if hasattr(self, "rig") else a_host()
        self.rig = Rig(kernel, others=(plane,))

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

    def take_changes(self) -> list[int]:
        changes = [command for command in self.peer.asked if command in CHANGES]
        self.peer.asked.clear()
        return changes

    def set_weight(self, address: bytes, weight: int) -> None:
        """``ipvsadm -e``."""
        self.peer.services[KEY].dests[int(AF_INET), address, PORT][4] = pack("=I", weight)

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
    scene.peer.services[KEY].dests[int(AF_INET), TWO, PORT] = dict(
        scene.peer.services[KEY].dests[int(AF_INET), ONE, PORT]
    )
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
    scene.peer.is_permitted = True
    scene.rig.run(120.0)
    assert scene.weights() == {ONE: 1, TWO: 3}
    assert not scene.rig.host.ledger.troubles


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


def test_status_shows_what_is_counted_and_nothing_where_it_cannot_be_asked(scene: Scene) -> None:
    scene.rig.start(BOTH)
    scene.peer.counted[int(AF_INET), ONE, PORT] = (3, 12, 0)
    documents = describe_entries(scene.rig.host, str)
    plane = scene.rig.reconciler.dataplanes.by_kind[Kind.SERVER]
    assert isinstance(plane, SeldomIpvs)
    add_traffic(documents, scene.rig.host, plane.read_traffic)
    shown = {thing["object"]: thing["traffic"]["active"] for thing in documents[0]["objects"]}
    assert shown == {
        "TCP 10.0.0.1:443": 3,
        "TCP 10.0.0.1:443 -> 10.0.0.11:443": 3,
        "TCP 10.0.0.1:443 -> 10.0.0.12:443": 0,
    }
    scene.peer.is_permitted = False
    documents = describe_entries(scene.rig.host, str)
    add_traffic(documents, scene.rig.host, plane.read_traffic)
    assert not any("traffic" in thing for thing in documents[0]["objects"])
