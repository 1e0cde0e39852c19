"""IPVS as a dataplane, over a peer that behaves as the kernel does: every value, what is refused, and each verb."""

from __future__ import annotations

from errno import EINVAL, ENOENT, EPERM, ESRCH

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.kernel.ipvs.dataplane import Ipvs
from routed.model.change import Verb
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
    TUNNEL,
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    Traffic,
)
from routed.model.net import ADDRESS_LENGTH
from routed.model.objects import Kind, Slot
from routed.model.owner import Marks
from tests.property import fake_ipvs
from tests.property.ipvs_scene import (
    DNS,
    HERE,
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
    Scene,
    as_dataplane,
    read,
)

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


def test_the_connections_of_a_service_are_those_of_its_servers(web: Scene) -> None:
    web.peer.counted = {(V4, ONE.address, 80): (3, 2, 1), (V4, TWO.address, 80): (10, 0, 0)}
    service, servers_ = web.ipvs.read_traffic(IN_WEB)
    assert service == Traffic(active=13, inactive=2, persistent=1)
    assert servers_ == {ONE: Traffic(3, 2, 1), TWO: Traffic(10)}
