"""Flows of UDP to servers that are gone end, and no others; what cannot be ended is told, once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from errno import EBUSY, EINVAL, EOPNOTSUPP, EPERM, ETIMEDOUT
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.audit.records import Context, record_outcomes
from routed.daemon.flows import Flows
from routed.kernel.conntrack import PATIENCE, EndedFlows, GoneServer, end_flows
from routed.model.entries import Intent, Listen, ServerSpec, ServiceEntry, Settings
from routed.model.ipvs import TCP, UDP, ServerMember, ServerSlot, ServerValue, ServiceMember
from routed.model.net import IPV4, IPV6, parse_address
from routed.model.text import Vocabulary
from tests.property.fake_conntrack import FakeConntrack, Tracked
from tests.property.test_services import Scene, a_service

SERVICES = {IPV4: ("10.9.9.9", "10.9.9.8"), IPV6: ("fd00:9::9", "fd00:9::8")}
SERVERS = {IPV4: ("10.0.0.11", "10.0.0.12"), IPV6: ("fd00::11", "fd00::12")}
CLIENTS = {IPV4: "192.0.2.1", IPV6: "2001:db8::1"}
PORTS = (53, 54)


@st.composite
def servers(draw: st.DrawFn) -> GoneServer:
    family = draw(st.sampled_from((IPV4, IPV6)))
    ports = st.sampled_from((*PORTS, 0))
    service = ServiceMember(
        draw(st.sampled_from((UDP, UDP, TCP))), parse_address(draw(st.sampled_from(SERVICES[family]))), draw(ports)
    )
    member = ServerMember(parse_address(draw(st.sampled_from(SERVERS[family]))), draw(ports))
    return ServerSlot(family, service), member


@st.composite
def tracked(draw: st.DrawFn) -> Tracked:
    family = draw(st.sampled_from((IPV4, IPV6)))
    return Tracked(
        family,
        draw(st.sampled_from((UDP, UDP, UDP, TCP))),
        parse_address(CLIENTS[family]),
        draw(st.integers(20000, 20003)),
        parse_address(draw(st.sampled_from((*SERVICES[family], SERVERS[family][0])))),
        draw(st.sampled_from(PORTS)),
        parse_address(draw(st.sampled_from(SERVERS[family]))),
        draw(st.sampled_from(PORTS)),
        draw(st.sampled_from((0, 0, 7))),
        draw(st.integers(1, 3)),
    )


def leads(flow: Tracked, server: GoneServer) -> bool:
    slot, member = server
    return (
        flow.protocol == slot.service.ipproto == UDP
        and flow.source != flow.target
        and (flow.target, flow.source) == (slot.service.address, member.address)
        and slot.service.port in {0, flow.target_port}
        and member.port in {0, flow.source_port}
    )


def one_each(flows: Iterable[Tracked]) -> list[Tracked]:
    """No two with one tuple in one zone: the kernel has none."""
    return list({(one.write_tuple(is_reply=False), one.zone): one for one in flows}.values())


@given(
    st.lists(tracked(), max_size=12).map(one_each),
    st.lists(servers(), max_size=5, unique=True),
    st.booleans(),
    st.booleans(),
    st.integers(1, 4),
)
def test_exactly_the_flows_end_that_lead_to_these_servers(
    flows: list[Tracked], gone: list[GoneServer], knows_filters: bool, doubles: bool, piece: int
) -> None:
    kernel = FakeConntrack(list(flows), knows_filters=knows_filters, doubles=doubles, piece=piece)
    ended = end_flows(gone, connect=kernel.connect, count=lambda: len(kernel.flows))
    expected = [flow for flow in flows if any(leads(flow, server) for server in gone)]
    assert Counter(kernel.flows) == Counter(flows) - Counter(expected)
    assert ended.error is None
    assert sum(ended.counts.values()) == len(expected)
    assert all(any(leads(flow, server) for flow in expected) for server in ended.counts)
    assert kernel.dumps <= len({slot.family for slot, _ in gone})
    assert not kernel.sockets


def a_flow(port: int, server: str = "10.0.0.11", number: int = 1) -> Tracked:
    ends = (parse_address("192.0.2.1"), port, parse_address("10.9.9.9"), 53, parse_address(server), 53)
    return Tracked(IPV4, UDP, *ends, number=number)


ONE: GoneServer = (
    ServerSlot(IPV4, ServiceMember(UDP, parse_address("10.9.9.9"), 53)),
    ServerMember(a_flow(1).source, 53),
)


def test_another_flow_with_the_tuple_of_one_that_has_ended_stays() -> None:
    kernel = FakeConntrack([a_flow(1), a_flow(2)], piece=1)

    def between() -> None:
        if kernel.flows[-1] == a_flow(2):  # it is read next, and is another one by then
            kernel.flows[-1] = a_flow(2, number=9)

    kernel.between = between
    assert end_flows([ONE], connect=kernel.connect, count=lambda: 2).counts == {ONE: 1}
    assert kernel.flows == [a_flow(2, number=9)]


@pytest.mark.parametrize("errno", [EINVAL, EOPNOTSUPP, EPERM, EBUSY])
def test_what_the_kernel_refuses_is_in_the_answer(errno: int) -> None:
    kernel = FakeConntrack([a_flow(1)], refuse=errno)
    ended = end_flows([ONE], connect=kernel.connect, count=lambda: 1)
    assert ended.error is not None
    assert (ended.counts, ended.error.errno, kernel.sockets) == ({}, errno, 0)


def test_it_ends_after_a_while_however_many_flows_there_are() -> None:
    kernel, now = FakeConntrack([a_flow(port) for port in range(1, 100)], piece=1), [0.0]

    def between() -> None:
        now[0] += PATIENCE / 10

    kernel.between = between
    ended = end_flows([ONE], connect=kernel.connect, count=lambda: 99, clock=lambda: now[0])
    assert ended.error is not None
    assert (ended.error.errno, ended.counts[ONE]) == (ETIMEDOUT, 99 - len(kernel.flows))
    assert 10 <= ended.counts[ONE] <= 12
    assert not kernel.sockets


# --- the story --------------------------------------------------------------------------------------------------------


class KilledError(BaseException):
    """It ends here."""


class DnsScene(Scene):
    """A host with a service of UDP, and clients of its servers."""

    def __init__(self, folder: Path, flows: Iterable[Tracked]) -> None:
        self.tracked = FakeConntrack(list(flows))
        self.complaints: list[str] = []
        self.asked = 0
        super().__init__(folder)

    def begin(self) -> None:
        super().begin()
        self.rig.reconciler.dataplanes.flows = Flows(self.end, self.complaints.append)

    def end(self, gone: Iterable[GoneServer]) -> EndedFlows:
        self.asked += 1
        standing = {address[:4] for service in self.peer.services.values() for _, address, _ in service.dests}
        gone = list(gone)
        assert not standing & {member.address for _, member in gone}  # the kernel has removed them by now
        return end_flows(gone, connect=self.tracked.connect, count=lambda: len(self.tracked.flows))

    def die_before_the_flows(self, entry: ServiceEntry) -> None:
        """``kill -9`` when the kernel has removed the servers."""
        with patch.object(self, "end", side_effect=KilledError):
            self.rig.reconciler.dataplanes.flows = Flows(self.end)
            self.enforce(entry)

    def enforce(self, *entries: ServiceEntry) -> list[tuple[str, str]]:
        """Put these in force: what is said behind the reason of each removal, and how many flows its record counts."""
        reports = self.rig.enforce(Intent(Settings(), entries), is_forced=True)
        outcomes = [outcome for report in reports for outcome in report.outcomes]
        records = record_outcomes(outcomes, Context(Vocabulary()))
        return [(one.message.partition(")")[2], one.fields.get("ROUTED_FLOWS", "")) for one in records]


def dns(*addresses: str, ipproto: int = UDP) -> ServiceEntry:
    """A service at 10.9.9.9 port 53."""
    specs = [ServerSpec(parse_address(one), 53, ServerValue(0)) for one in addresses]
    return replace(a_service(*specs), listens=(Listen(ipproto, parse_address("10.9.9.9"), 53),), drain=0.0)


def test_the_flows_to_a_server_go_with_it_and_its_record_counts_them(tmp_path: Path) -> None:
    scene = DnsScene(tmp_path, [a_flow(1), a_flow(2), a_flow(3, "10.0.0.12")])
    scene.rig.start(dns("10.0.0.11", "10.0.0.12"))
    assert scene.enforce(dns("10.0.0.12")) == [("; 2 tracked flows of UDP ended", "2")]
    assert scene.tracked.flows == [a_flow(3, "10.0.0.12")]
    assert not scene.complaints


def test_a_service_that_goes_takes_the_flows_to_all_its_servers_with_it_in_one_look(tmp_path: Path) -> None:
    scene = DnsScene(tmp_path, [a_flow(1), a_flow(2), a_flow(3, "10.0.0.12")])
    scene.rig.start(dns("10.0.0.11", "10.0.0.12"))
    scene.enforce()
    assert not scene.tracked.flows
    assert scene.tracked.dumps == scene.asked == 1


def test_very_many_servers_are_one_sum(tmp_path: Path) -> None:
    many = [f"10.0.0.{number}" for number in range(11, 40)]
    scene = DnsScene(tmp_path, [a_flow(number, server) for number, server in enumerate(many, 1)])
    scene.rig.start(dns(*many))
    said = scene.enforce(dns(many[0]))
    assert said[-1] == ("; 28 tracked flows of UDP ended", "28")
    assert (scene.tracked.dumps, scene.tracked.flows) == (1, [a_flow(1)])


@pytest.mark.parametrize(("ipproto", "asked"), [(TCP, 0), (UDP, 1)])
def test_for_tcp_nobody_asks_and_of_no_flows_nothing_is_said(tmp_path: Path, ipproto: int, asked: int) -> None:
    scene = DnsScene(tmp_path, [a_flow(3, "10.0.0.12")])
    scene.rig.start(dns("10.0.0.11", "10.0.0.12", ipproto=ipproto))
    assert scene.enforce(dns("10.0.0.12", ipproto=ipproto)) == [("", "")]
    assert (scene.asked, scene.tracked.dumps) == (asked, asked)


@pytest.mark.parametrize(("errno", "told"), [(EPERM, 0), (EINVAL, 0), (EOPNOTSUPP, 0), (EBUSY, 1)])
def test_what_cannot_be_ended_is_told_once_and_fails_nothing(tmp_path: Path, errno: int, told: int) -> None:
    scene = DnsScene(tmp_path, [a_flow(1), a_flow(3, "10.0.0.12")])
    scene.tracked.refuse = errno
    scene.rig.start(dns("10.0.0.11", "10.0.0.12", "10.0.0.13"))
    assert scene.enforce(dns("10.0.0.12", "10.0.0.13")) == [("", "")]
    assert scene.enforce(dns("10.0.0.13")) == [("", "")]
    assert scene.asked == 2
    assert len(scene.complaints) == told
    assert not scene.rig.host.ledger.troubles
    assert not scene.rig.errors


def test_who_was_killed_in_between_leaves_the_flows_and_they_are_not_looked_for_again(tmp_path: Path) -> None:
    scene = DnsScene(tmp_path, [a_flow(1)])
    scene.rig.start(dns("10.0.0.11", "10.0.0.12"))
    with pytest.raises(KilledError):
        scene.die_before_the_flows(dns("10.0.0.12"))
    scene.begin()
    scene.rig.start(dns("10.0.0.12"))
    assert (scene.asked, scene.tracked.flows) == (0, [a_flow(1)])


def test_who_removes_no_server_of_udp_imports_nothing_of_it() -> None:
    code = "import sys, routed.daemon.run; assert 'routed.kernel.conntrack' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
