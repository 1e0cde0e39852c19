"""``routed import`` of services: what is written comes to the same services."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.core.entries import resolve
from routed.intent.export import export
from routed.model import ipvs
from routed.model.facts import Facts
from routed.model.ipvs import ServerMember, ServerSlot, ServerValue, ServiceMember, ServiceSlot, ServiceValue
from routed.model.net import ADDRESS_LENGTH, FAMILIES, IPV4
from routed.model.objects import Kind, Standing
from tests.unit.intent.intent_help import HEAD, read

OURS = 114
PORTS = st.integers(1, 65535)
VIP = ServiceMember(ipvs.TCP, bytes((10, 0, 0, 1)), 443)


@st.composite
def servers(draw: st.DrawFn, slot: ServerSlot) -> list[Standing]:
    """Those of one service, as the file can say them."""
    width = ADDRESS_LENGTH[slot.family]
    tunnel = draw(
        st.sampled_from(
            [(ipvs.IPIP, 0, 0), (ipvs.GUE, 6080, ipvs.CHECKSUM), (ipvs.GRE, 0, ipvs.CHECKSUM), (ipvs.GRE, 0, 0)]
        )
    )
    found = []
    for address in draw(st.sets(st.binary(min_size=width, max_size=width), max_size=3)):
        forward = draw(st.sampled_from(list(ipvs.FORWARDS)))
        port = draw(PORTS) if forward == ipvs.MASQ and slot.service.address else slot.service.port
        upper = draw(st.integers(0, 100))
        value = ServerValue(OURS, forward, draw(st.integers(0, 9)), upper, draw(st.integers(0, upper)))
        if forward == ipvs.TUNNEL:
            value = value._replace(tunnel=tunnel[0], tunnel_port=tunnel[1], tunnel_flags=tunnel[2])
        found.append(Standing(slot, ServerMember(address, port), value))
    return found


@st.composite
def services(draw: st.DrawFn) -> tuple[Standing, list[Standing]]:
    """A service and its servers."""
    family = draw(st.sampled_from(FAMILIES))
    width = ADDRESS_LENGTH[family]
    if draw(st.booleans()):
        member = ServiceMember(
            draw(st.sampled_from(list(ipvs.IPPROTOS))), draw(st.binary(min_size=width, max_size=width)), draw(PORTS)
        )
    else:
        member = ServiceMember(fwmark=draw(st.integers(1, 0xFFFFFFFF)))
    scheduler = draw(st.sampled_from(["rr", "wrr", "sh", "mh"]))
    flags = draw(st.sampled_from([0, ipvs.SCHEDULER_1, ipvs.SCHEDULER_1 | ipvs.SCHEDULER_2]))
    value = ServiceValue(OURS, scheduler, flags if scheduler in {"sh", "mh"} else 0, 0, width * 8)
    if draw(st.booleans()):
        value = value._replace(
            flags=value.flags | ipvs.PERSISTENT,
            timeout=draw(st.integers(1, ipvs.LONGEST)),
            prefixlen=draw(st.integers(1, width * 8)),
        )
    return Standing(ServiceSlot(family), member, value), draw(servers(ServerSlot(family, member)))


@given(services())
def test_what_is_written_of_a_service_comes_to_the_same(drawn: tuple[Standing, list[Standing]]) -> None:
    service, its = drawn
    exported = export([(Kind.SERVICE, service), *((Kind.SERVER, one) for one in its)], Facts(), {})
    assert exported.left_out == ()
    (entry,) = read(exported.text.removeprefix(HEAD)).entries
    sets = resolve(entry, Facts(), OURS).sets
    objects = {(one.kind, one.slot, member): one.value for one in sets for member in one.members}
    assert objects == {(Kind.SERVICE, *service[:2]): service.value} | {
        (Kind.SERVER, *one[:2]): one.value for one in its
    }


@pytest.mark.parametrize(
    ("value", "servers", "why"),
    [
        (ServiceValue(0, "none", prefixlen=32), (), "scheduler"),
        (ServiceValue(0, "lc", ipvs.SCHEDULER_1, prefixlen=32), (), "flag"),
        (ServiceValue(0, "sh", ipvs.SCHEDULER_3, prefixlen=32), (), "flag"),
        (ServiceValue(0, "rr", prefixlen=32), (ServerValue(0, ipvs.LOCAL),), "forward 1"),
        (
            ServiceValue(0, "rr", prefixlen=32),
            (ServerValue(0, ipvs.TUNNEL), ServerValue(0, ipvs.TUNNEL, tunnel=ipvs.GRE)),
            "several forms",
        ),
    ],
)
def test_what_the_file_has_no_word_for_is_told(value: ServiceValue, servers: tuple[ServerValue, ...], why: str) -> None:
    slot = ServerSlot(IPV4, VIP)
    its = [Standing(slot, ServerMember(bytes((10, 0, 0, n)), 443), one) for n, one in enumerate(servers, start=11)]
    service = Standing(ServiceSlot(IPV4), VIP, value)
    text, (told,) = export([(Kind.SERVICE, service), *((Kind.SERVER, one) for one in its)], Facts(), {})
    assert text == HEAD
    assert told.startswith("service TCP 10.0.0.1:443: ")
    assert why in told
