"""IPVS as a dataplane, over a peer that behaves as the kernel does: nothing here needs one that has IPVS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from errno import EEXIST, EINVAL, ENOENT, ENOSPC, EPERM, ESRCH
from itertools import count
from socket import AF_INET, AF_INET6
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.daemon.dataplane import Dataplane
from routed.kernel.dump import finish
from routed.kernel.ipvs.claims import Claim, ClaimOrigin
from routed.kernel.ipvs.codec import Timeouts
from routed.kernel.ipvs.dataplane import Ipvs
from routed.model.change import Failure, Operation, Verb
from routed.model.ipvs import (
    DIRECT,
    FORWARDS,
    GRE,
    GUE,
    IPIP,
    IPPROTOS,
    LONGEST,
    MASQ,
    ONE_PACKET,
    PERSISTENT,
    SCHEDULER_1,
    SCHEDULER_2,
    TCP,
    TUNNEL,
    UDP,
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    Traffic,
)
from routed.model.net import ADDRESS_LENGTH
from routed.model.objects import Chunk, Key, Kind, Member, Scope, Slot, Standing, Value
from routed.model.owner import Marks, Owner
from routed.model.reasons import Flaw
from tests.property import fake_ipvs
from tests.property.fake_ipvs import FakeIpvs

V4, V6 = int(AF_INET), int(AF_INET6)
OURS: Final = 114
HERE: Final = ClaimOrigin("this boot", "this namespace")
SLOT: Final = ServiceSlot(V4)
WEB: Final = ServiceMember(TCP, bytes((10, 0, 0, 9)), 80)
DNS: Final = ServiceMember(UDP, bytes((10, 0, 0, 9)), 53)
IN_WEB: Final = ServerSlot(V4, WEB)
RR: Final = ServiceValue(OURS, "rr", prefixlen=32)
ONE, TWO, THREE = (ServerMember(bytes((10, 0, 1, n)), 80) for n in (1, 2, 3))
UP: Final = ServerValue(OURS)


class Killed(BaseException):
    """kill -9."""


@dataclass(slots=True)
class MemoryStore:
    """Claims that outlive a daemon, and not the test."""

    origin: ClaimOrigin | None = None
    kept: list[Claim] = field(default_factory=list)
    is_full: bool = False
    writes: int = 0

    def read(self, origin: ClaimOrigin) -> list[Claim]:
        return list(self.kept) if origin == self.origin else []

    def append(self, claims: Iterable[Claim]) -> None:
        self._check()
        self.kept += claims

    def replace(self, origin: ClaimOrigin, claims: Iterable[Claim]) -> None:
        self._check()
        self.origin, self.kept = origin, list(claims)

    def _check(self) -> None:
        if self.is_full:
            raise OSError(ENOSPC, "No space left on device")
        self.writes += 1

    def claimed(self) -> dict[Key, Value]:
        return {key: value for key, value in dict(self.kept).items() if value is not None}


@dataclass(slots=True)
class Scene:
    """One kernel, one state folder, one daemon at a time."""

    peer: FakeIpvs = field(default_factory=FakeIpvs)
    store: MemoryStore = field(default_factory=MemoryStore)
    now: float = 100.0
    together: float = 0.0
    origin: ClaimOrigin = HERE
    ipvs: Ipvs = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The daemon starts, perhaps after it was killed."""
        self.ipvs = self.begin()

    def begin(self) -> Ipvs:
        return Ipvs(
            self.store,
            connect=self.peer.connect,
            outside=self.peer,
            find_origin=lambda: self.origin,
            clock=lambda: self.now,
            together=self.together,
        )

    def read(self, kind: Kind, family: int = V4) -> dict[tuple[Slot, Member], Value]:
        return {(slot, member): value for slot, member, value in read(self.ipvs, kind, family)}

    def services(self, family: int = V4) -> dict[Member, Value]:
        return {member: value for (_, member), value in self.read(Kind.SERVICE, family).items()}

    def servers(self, service: ServiceMember = WEB, family: int = V4) -> dict[Member, Value]:
        slot = ServerSlot(family, service)
        return {member: value for (one, member), value in self.read(Kind.SERVER, family).items() if one == slot}

    def do(
        self, verb: Verb, slot: Slot, members: Iterable[Member], value: Value, before: Value | None = None
    ) -> list[Failure]:
        return apply(self.ipvs, verb, slot, members, value, before)

    def stranger(self) -> Stranger:
        return Stranger(self.peer)


@dataclass(slots=True)
class Stranger:
    """ipvsadm: somebody who claims nothing."""

    peer: FakeIpvs

    def do(self, verb: Verb, slot: Slot, members: Iterable[Member], value: Value) -> None:
        other = Ipvs(MemoryStore(), connect=self.peer.connect, outside=self.peer, find_origin=lambda: HERE)
        assert apply(other, verb, slot, members, value._replace(protocol=0)) == []


def read(ipvs: Ipvs, kind: Kind, family: int = V4) -> Iterator[Standing]:
    for chunk in finish(ipvs.read_dump(Scope(kind, family))).chunks():
        yield from as_list(chunk)


def as_list(chunk: Chunk) -> list[Standing]:
    assert isinstance(chunk, list)
    return chunk


def apply(
    ipvs: Ipvs, verb: Verb, slot: Slot, members: Iterable[Member], value: Value, before: Value | None = None
) -> list[Failure]:
    kind = Kind.SERVER if isinstance(slot, ServerSlot) else Kind.SERVICE
    operation = Operation(verb, kind, slot, tuple(members), value, None, Flaw.MISSING, before)
    return [failure for batch in ipvs.apply(operation) for failure in batch]


def as_dataplane(ipvs: Ipvs) -> Dataplane:
    return ipvs


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def web(scene: Scene) -> Scene:
    """A service of ours with two servers, read once."""
    assert scene.do(Verb.ADD, SLOT, [WEB], RR) == []
    assert scene.do(Verb.ADD, IN_WEB, [ONE, TWO], UP) == []
    assert scene.services() == {WEB: RR}
    assert scene.servers() == {ONE: UP, TWO: UP}
    scene.peer.asked.clear()
    return scene


# --- every value ------------------------------------------------------------------------------------------------------

families = st.sampled_from((V4, V6))
ports = st.integers(1, 0xFFFF)


def addresses(family: int) -> st.SearchStrategy[bytes]:
    width = ADDRESS_LENGTH[family]
    return st.binary(min_size=width, max_size=width).map(lambda one: bytes((10,)) + one[1:])


@st.composite
def services(draw: st.DrawFn) -> tuple[ServiceSlot, ServiceMember, ServiceValue]:
    family = draw(families)
    is_persistent = draw(st.booleans())
    flags = draw(st.sampled_from((0, ONE_PACKET))) | draw(st.sampled_from((0, SCHEDULER_1, SCHEDULER_1 | SCHEDULER_2)))
    width = 8 * ADDRESS_LENGTH[family]
    value = ServiceValue(
        OURS,
        draw(st.sampled_from(sorted(fake_ipvs.SCHEDULERS))),
        flags | (PERSISTENT if is_persistent else 0),
        draw(st.integers(1, LONGEST)) if is_persistent else 0,
        draw(st.integers(1, width)) if is_persistent else width,
        draw(st.sampled_from(("", "sip"))),
        draw(st.booleans()),
    )
    member = draw(
        st.one_of(
            st.builds(
                ServiceMember,
                st.sampled_from(sorted(IPPROTOS)),
                addresses(family),
                st.integers(0, 0xFFFF) if is_persistent else ports,
                st.just(0),
            ),
            st.builds(ServiceMember, st.just(0), st.just(b""), st.just(0), st.integers(1, 0xFFFFFFFF)),
        )
    )
    return ServiceSlot(family), member, value


@st.composite
def servers(draw: st.DrawFn, family: int, *, is_one_packet: bool) -> tuple[ServerMember, ServerValue]:
    forward = draw(st.sampled_from(sorted(set(FORWARDS) - ({MASQ} if is_one_packet else set()))))
    numbers = st.integers(0, 0x7FFFFFFF)
    upper = draw(numbers)
    value = ServerValue(OURS, forward, draw(numbers), upper, draw(st.integers(0, upper)))
    if forward == TUNNEL:
        family = draw(families)
        tunnel = draw(st.sampled_from((IPIP, GUE, GRE)))
        port = draw(ports) if tunnel == GUE else 0
        value = value._replace(tunnel=tunnel, tunnel_port=port, tunnel_flags=draw(st.integers(0, 3)))
    return ServerMember(draw(addresses(family)), draw(st.integers(0, 0xFFFF))), value


@given(st.data())
def test_every_service_and_server_reads_back_as_it_was_sent(data: st.DataObject) -> None:
    scene = Scene()
    slot, service, value = data.draw(services())
    assert scene.do(Verb.ADD, slot, [service], value) == []
    assert scene.services(slot.family) == {service: value}
    one_packet = bool(value.flags & ONE_PACKET) and not value.engine
    behind = dict(data.draw(st.lists(servers(slot.family, is_one_packet=one_packet), max_size=5)))
    for member, one in behind.items():
        assert scene.do(Verb.ADD, ServerSlot(slot.family, service), [member], one) == []
    assert scene.servers(service, slot.family) == behind
    _, _, other = data.draw(services())
    if not (other.flags & ONE_PACKET and any(one.forward == MASQ for one in behind.values())):
        other = other._replace(prefixlen=8 * ADDRESS_LENGTH[slot.family])
        assert scene.do(Verb.REPLACE, slot, [service], other, value) == [] or not service.port
        for member, one in behind.items():
            changed = one._replace(weight=one.weight ^ 1)
            assert scene.do(Verb.REPLACE, ServerSlot(slot.family, service), [member], changed, one) == []
            behind[member] = changed
        assert scene.servers(service, slot.family) == behind
    scene.start()  # all of that is known from the kernel and the store alone
    assert scene.servers(service, slot.family) == behind
    assert scene.do(Verb.DELETE, slot, [service], value) == []
    assert (scene.services(slot.family), scene.servers(service, slot.family)) == ({}, {})
    assert scene.store.claimed() == {}


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        (ServiceMember(), RR, "a mark that is not 0"),
        (WEB._replace(ipproto=1), RR, "protocol 1"),
        (WEB._replace(port=0), RR, "port 0 takes persistence"),
        (WEB, RR._replace(flags=0x100), "0x100"),
        (WEB, RR._replace(flags=PERSISTENT, timeout=LONGEST + 1), "31 days"),
        (WEB, RR._replace(prefixlen=-1), "prefix length"),
        (WEB._replace(address=bytes(16)), RR, "another family"),
    ],
)
def test_what_the_kernel_would_swallow_of_a_service_is_never_sent(
    scene: Scene, member: ServiceMember, value: ServiceValue, words: str
) -> None:
    for verb in (Verb.ADD, Verb.REPLACE, Verb.CHANGE):
        [failure] = scene.do(verb, SLOT, [member], value)
        assert failure.member == member
        assert failure.errno == EINVAL
        assert words in failure.text
    assert scene.peer.asked == []
    assert scene.store.kept == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (UP._replace(forward=7), "method 7"),
        (UP._replace(forward=TUNNEL, tunnel=3), "type 3"),
        (UP._replace(weight=-1), "weight"),
        (UP._replace(upper=1 << 31), "upper threshold"),
    ],
)
def test_what_the_kernel_would_swallow_of_a_server_is_never_sent(web: Scene, value: ServerValue, words: str) -> None:
    [failure] = web.do(Verb.ADD, IN_WEB, [THREE], value)
    assert words in failure.text
    assert web.peer.asked == []


def test_one_packet_and_masq_exclude_each_other_whichever_comes_first(web: Scene) -> None:
    one_packet = RR._replace(flags=ONE_PACKET)
    [failure] = web.do(Verb.REPLACE, SLOT, [WEB], one_packet, RR)
    assert "one-packet" in failure.text
    assert web.do(Verb.ADD, SLOT, [DNS], one_packet) == []
    [failure] = web.do(Verb.ADD, ServerSlot(V4, DNS), [ONE], UP)
    assert "one-packet" in failure.text
    assert web.do(Verb.ADD, ServerSlot(V4, DNS), [ONE], UP._replace(forward=DIRECT)) == []


def test_the_refused_of_a_batch_do_not_keep_the_others_from_it(scene: Scene) -> None:
    failures = scene.do(Verb.ADD, SLOT, [WEB, WEB._replace(port=0), DNS], RR)
    assert [failure.member for failure in failures] == [WEB._replace(port=0)]
    assert scene.services() == {WEB: RR, DNS: RR}


def test_a_missing_scheduler_or_engine_is_named_with_its_module(web: Scene) -> None:
    [failure] = web.do(Verb.ADD, SLOT, [DNS], RR._replace(scheduler="twos"))
    assert (failure.errno, failure.member) == (ENOENT, DNS)
    assert "ip_vs_twos" in failure.text
    [failure] = web.do(Verb.REPLACE, SLOT, [WEB], RR._replace(engine="foo"), RR)
    assert "ip_vs_pe_foo" in failure.text
    assert web.services() == {WEB: RR}  # it has the old one, and is still ours


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        (ServerMember(bytes((224, 0, 0, 5)), 80), UP, "unicast"),
        (ServerMember(bytes(16), 80), UP, "only a tunnel"),
        (THREE, UP._replace(forward=TUNNEL, tunnel=GUE), "takes a port"),
        (THREE, UP._replace(upper=5, lower=9), "lower threshold"),
        (ONE, UP, "somebody else"),
    ],
)
def test_an_errno_about_a_server_has_words(web: Scene, member: ServerMember, value: ServerValue, words: str) -> None:
    [failure] = web.do(Verb.ADD, IN_WEB, [member], value)
    assert words in failure.text


def test_without_the_right_it_is_said_which(scene: Scene) -> None:
    scene.peer.is_permitted = False
    with pytest.raises(OSError, match="Operation not permitted") as caught:
        scene.services()
    assert caught.value.errno == EPERM
    [failure] = scene.do(Verb.ADD, SLOT, [WEB], RR)
    assert "CAP_NET_ADMIN in the initial user namespace" in failure.text
    assert scene.store.claimed() == {}


def test_a_host_without_ipvs_says_so_and_keeps_no_claim(scene: Scene) -> None:
    scene.peer.is_there = False
    with pytest.raises(OSError, match="this kernel has no IPVS"):
        scene.services()
    with pytest.raises(OSError, match="this kernel has no IPVS"):
        scene.do(Verb.ADD, SLOT, [WEB], RR)
    assert scene.store.kept == []


def test_nothing_is_opened_before_the_first_read(scene: Scene) -> None:
    opened = []

    def connect() -> fake_ipvs.FakeSocket:
        opened.append(1)
        return scene.peer.connect()

    ipvs = Ipvs(scene.store, connect=connect, outside=scene.peer, find_origin=lambda: HERE)
    as_dataplane(ipvs).make_stamp(Kind.SERVICE, Marks(OURS))
    assert opened == []
    list(read(ipvs, Kind.SERVICE))
    assert opened == [1]


# --- verbs ------------------------------------------------------------------------------------------------------------


def test_a_set_keeps_the_servers_and_a_change_loses_them(web: Scene) -> None:
    wlc = RR._replace(scheduler="wlc")
    assert web.do(Verb.REPLACE, SLOT, [WEB], wlc, RR) == []
    assert web.services() == {WEB: wlc}
    assert web.servers() == {ONE: UP, TWO: UP}
    assert web.do(Verb.CHANGE, SLOT, [WEB], RR, wlc) == []
    assert web.services() == {WEB: RR}
    assert web.servers() == {}


@pytest.mark.parametrize("slot", [SLOT, IN_WEB])
def test_what_differs_in_its_owner_alone_sends_nothing(web: Scene, slot: Slot) -> None:
    members, value = ([WEB], RR) if slot == SLOT else ([ONE], UP)
    for other in (value._replace(protocol=115), value._replace(protocol=0)):
        assert web.do(Verb.REPLACE, slot, members, other, value) == []
    assert web.peer.asked == []


def test_a_service_that_becomes_shared_sends_nothing(web: Scene) -> None:
    assert web.do(Verb.REPLACE, SLOT, [WEB], RR._replace(is_shared=True), RR) == []
    assert web.peer.asked == []
    assert web.services() == {WEB: RR._replace(is_shared=True)}
    assert web.peer.asked == []


def test_what_is_gone_already_is_no_failure_of_a_deletion(web: Scene) -> None:
    web.peer.clear()
    assert web.do(Verb.DELETE, IN_WEB, [ONE, TWO], UP) == []
    assert web.do(Verb.DELETE, SLOT, [WEB], RR) == []
    assert web.store.claimed() == {}
    [failure] = web.do(Verb.REPLACE, SLOT, [WEB], RR._replace(scheduler="wlc"), RR)
    assert failure.errno == ESRCH


def test_a_batch_is_one_datagram_of_at_most_32_messages(scene: Scene) -> None:
    assert scene.do(Verb.ADD, SLOT, [DNS], RR) == []  # so that the family is known
    before = scene.peer.datagrams
    members = [WEB._replace(port=port) for port in range(1, 101)]
    assert scene.do(Verb.ADD, SLOT, members, RR) == []
    assert scene.peer.datagrams - before == 4


def test_the_timeouts_of_the_namespace_are_read_and_set(scene: Scene) -> None:
    assert scene.ipvs.read_timeouts() == Timeouts(900, 120, 300)
    scene.ipvs.write_timeouts(Timeouts(tcp=1800))
    assert scene.ipvs.read_timeouts() == Timeouts(1800, 120, 300)


def test_the_connections_of_a_service_are_those_of_its_servers(web: Scene) -> None:
    web.peer.counted = {(V4, ONE.address, 80): (3, 2, 1), (V4, TWO.address, 80): (10, 0, 0)}
    service, servers_ = web.ipvs.read_traffic(IN_WEB)
    assert service == Traffic(active=13, inactive=2, persistent=1)
    assert servers_ == {ONE: Traffic(3, 2, 1), TWO: Traffic(10)}


# --- looking ----------------------------------------------------------------------------------------------------------


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
    for stop in range(14):
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


def test_where_nothing_is_claimed_nothing_has_to_be_read(scene: Scene) -> None:
    assert list(scene.ipvs.find_owned(Kind.SERVICE, (V4, V6), Marks(OURS))) == []
    assert scene.do(Verb.ADD, SLOT, [WEB], RR) == []
    scene.start()
    assert list(scene.ipvs.find_owned(Kind.SERVICE, (V4, V6), Marks(OURS))) == [Scope(Kind.SERVICE, V4)]
    assert list(scene.ipvs.find_owned(Kind.SERVER, (V4, V6), Marks(OURS))) == [Scope(Kind.SERVER, V4)]


# --- whose it is ------------------------------------------------------------------------------------------------------


def test_the_stamp_reads_the_number_of_the_claim(web: Scene) -> None:
    stamp = web.ipvs.make_stamp(Kind.SERVICE, Marks(OURS, frozenset({115})))
    assert [stamp(RR._replace(protocol=number)) for number in (OURS, 115, 0)] == [
        Owner.OURS,
        Owner.FORMER,
        Owner.FOREIGN,
    ]


def test_a_difference_from_the_claim_is_drift_and_proves_nothing(web: Scene) -> None:
    stranger = web.stranger()
    stranger.do(Verb.DELETE, SLOT, [WEB], RR)
    stranger.do(Verb.ADD, SLOT, [WEB], RR._replace(scheduler="sh"))
    assert web.services() == {WEB: RR._replace(scheduler="sh")}  # nobody saw it gone: ours, and different


def test_what_was_seen_gone_is_not_ours_when_somebody_else_puts_it(web: Scene) -> None:
    web.peer.clear()
    assert web.services() == {}
    assert web.store.claimed() == {}
    web.stranger().do(Verb.ADD, SLOT, [WEB], RR)
    assert web.services() == {WEB: RR._replace(protocol=0)}


def test_in_a_shared_service_only_the_servers_that_we_made_are_ours(scene: Scene) -> None:
    shared = RR._replace(is_shared=True)
    assert scene.do(Verb.ADD, SLOT, [WEB], shared) == []
    assert scene.do(Verb.ADD, IN_WEB, [ONE], UP) == []
    scene.stranger().do(Verb.ADD, IN_WEB, [TWO], UP)
    assert scene.servers() == {ONE: UP, TWO: UP._replace(protocol=0)}
    assert scene.do(Verb.REPLACE, SLOT, [WEB], RR, shared) == []
    assert scene.servers() == {ONE: UP, TWO: UP}


def test_what_could_not_be_put_is_not_claimed(scene: Scene) -> None:
    scene.stranger().do(Verb.ADD, SLOT, [WEB], RR)
    [failure] = scene.do(Verb.ADD, SLOT, [WEB], RR)
    assert failure.errno == EEXIST
    assert scene.store.claimed() == {}
    assert scene.services() == {WEB: RR._replace(protocol=0)}


def test_what_is_put_for_somebody_else_is_theirs(web: Scene) -> None:
    theirs = RR._replace(protocol=0, scheduler="sh")
    assert web.do(Verb.REPLACE, SLOT, [WEB], theirs, RR) == []
    assert web.services() == {WEB: theirs}
    assert Key(Kind.SERVICE, SLOT, WEB) not in web.store.claimed()


@pytest.mark.parametrize(
    "other", [ClaimOrigin("another boot", HERE.namespace), ClaimOrigin(HERE.boot, "another namespace")]
)
def test_claims_of_another_boot_or_namespace_are_void(web: Scene, other: ClaimOrigin) -> None:
    web.origin = other
    web.start()
    assert web.services() == {WEB: RR._replace(protocol=0)}
    assert web.do(Verb.REPLACE, SLOT, [WEB], RR, RR._replace(protocol=0)) == []
    assert web.store.claimed() == {Key(Kind.SERVICE, SLOT, WEB): RR}


def test_with_a_full_disk_nothing_is_sent_and_it_is_said(web: Scene) -> None:
    web.store.is_full = True
    before = dict(web.peer.services)
    for verb, slot, member, value in (
        (Verb.ADD, SLOT, DNS, RR),
        (Verb.REPLACE, SLOT, WEB, RR._replace(scheduler="lc")),
        (Verb.ADD, IN_WEB, THREE, UP),
    ):
        [failure] = web.do(verb, slot, [member], value)
        assert failure.errno == ENOSPC
        assert "no claim can be kept: No space left on device" in failure.text
    assert web.peer.asked == []
    assert web.peer.services == before


def test_what_was_deleted_on_a_full_disk_is_given_up_as_soon_as_there_is_room(web: Scene) -> None:
    web.store.is_full = True
    assert web.do(Verb.DELETE, SLOT, [WEB], RR) == []
    web.stranger().do(Verb.ADD, SLOT, [WEB], RR)
    assert web.services() == {WEB: RR._replace(protocol=0)}
    web.store.is_full = False
    assert web.do(Verb.ADD, SLOT, [DNS], RR) == []
    web.start()
    assert web.services() == {WEB: RR._replace(protocol=0), DNS: RR}


@pytest.mark.parametrize("fatal", range(10))
@pytest.mark.parametrize("is_carried_out", [False, True])
def test_a_kill_at_any_request_leaves_nothing_of_ours_without_a_claim(fatal: int, is_carried_out: bool) -> None:
    scene = Scene()
    turns = count()

    def die(*_command: int) -> None:
        if next(turns) == fatal:
            raise Killed

    if is_carried_out:
        scene.peer.after = die
    else:
        scene.peer.before = die
    try:
        scene.do(Verb.ADD, SLOT, [WEB, DNS], RR)
        scene.do(Verb.ADD, IN_WEB, [ONE, TWO], UP)
        scene.do(Verb.REPLACE, IN_WEB, [ONE], UP._replace(weight=0), UP)
        scene.do(Verb.DELETE, IN_WEB, [ONE], UP)
        scene.do(Verb.DELETE, SLOT, [DNS, WEB], RR)
    except Killed:
        pass
    scene.peer.before = lambda _command: None
    scene.peer.after = lambda: None
    scene.start()
    assert {value.protocol for value in scene.services().values()} <= {OURS}
    assert {value.protocol for value in scene.servers().values()} <= {OURS}
    standing = {(slot, member) for kind in (Kind.SERVICE, Kind.SERVER) for slot, member in scene.read(kind)}
    assert {(key.slot, key.member) for key in scene.store.claimed()} == standing  # and no claim without an object


def test_a_long_life_does_not_make_the_store_grow_without_end(web: Scene) -> None:
    for turn in range(3000):
        value = UP._replace(weight=turn)
        assert web.do(Verb.REPLACE, IN_WEB, [ONE], value, UP._replace(weight=turn - 1)) == []
    assert len(web.store.kept) < 1200
    assert web.store.claimed()[Key(Kind.SERVER, IN_WEB, ONE)].weight == 2999
