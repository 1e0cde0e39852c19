"""``routed import`` of services: what is written comes to the same services."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.core.entries import resolve
from routed.intent.export import export
from routed.kernel.ipvs.codec import normalise_service
from routed.kernel.ipvs.refusals import find_server_fault, find_service_fault
from routed.model import ipvs
from routed.model.facts import Facts
from routed.model.ipvs import (
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    TimeoutMember,
    TimeoutSlot,
    TimeoutValue,
)
from routed.model.net import ADDRESS_LENGTH, FAMILIES, IPV4
from routed.model.objects import Kind, Standing
from tests.unit.intent.intent_help import HEAD, read

OURS = 114
PORTS = st.integers(1, 65535)
VIP = ServiceMember(ipvs.TCP, bytes((10, 0, 0, 1)), 443)


def addresses(width: int) -> st.SearchStrategy[bytes]:
    """Packed, of hosts."""
    return st.binary(min_size=width - 1, max_size=width - 1).map(lambda rest: b"\x0a" + rest)


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
    for address in draw(st.sets(addresses(width), max_size=3)):
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
        member = ServiceMember(draw(st.sampled_from(list(ipvs.IPPROTOS))), draw(addresses(width)), draw(PORTS))
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


@st.composite
def anything(draw: st.DrawFn) -> tuple[Standing, list[Standing]]:
    """A service and its servers as the kernel may hold them, whether or not that means anything."""
    family = draw(st.sampled_from(FAMILIES))
    address = st.binary(min_size=ADDRESS_LENGTH[family], max_size=ADDRESS_LENGTH[family])
    port = st.sampled_from([0, 80, 443])
    member = draw(
        st.one_of(
            st.builds(ServiceMember, st.sampled_from([1, *ipvs.IPPROTOS]), address, port),
            st.integers(1, 0xFFFFFFFF).map(lambda mark: ServiceMember(fwmark=mark)),
        )
    )
    value = ServiceValue(
        OURS,
        draw(st.sampled_from(["rr", "wlc", "dh", "sh", "mh", "none", "of-somebody"])),
        draw(st.integers(0, 0x3F)) & ipvs.KNOWN_FLAGS,
        draw(st.sampled_from([0, 1, 300, ipvs.LONGEST, ipvs.LONGEST + 1])),
        draw(st.sampled_from([-1, 0, 1, 24, 32, 64, 128])),
        draw(st.sampled_from(["", "", "sip", "other"])),
    )
    numbers = st.sampled_from([0, 1, 2, 0x7FFFFFFF])
    servers = st.builds(
        lambda value, form: value._replace(**form) if value.forward == ipvs.TUNNEL else value,
        st.builds(ServerValue, st.just(OURS), st.integers(0, 4), numbers, numbers, numbers),
        st.sampled_from(
            [
                {"tunnel": type_, "tunnel_port": port, "tunnel_flags": flags}
                for type_ in (*ipvs.TUNNELS, 3)
                for port in (0, 6080)
                for flags in range(4)
            ]
        ),
    )
    theirs = st.one_of(address, st.binary(min_size=4, max_size=4), st.just(bytes(4)))
    its = draw(st.dictionaries(st.builds(ServerMember, theirs, port), servers, max_size=2))
    slot = ServerSlot(family, member)
    value = normalise_service(family, value)
    return Standing(ServiceSlot(family), member, value), [Standing(slot, one, its[one]) for one in its]


def check_that_it_comes_back(service: Any, its: list[Standing], text: str) -> None:
    (entry,) = read(text.removeprefix(HEAD)).entries
    sets = resolve(entry, Facts(), OURS).sets
    objects = {(one.kind, one.slot, member): one.value for one in sets for member in one.members}
    assert objects == {(Kind.SERVICE, *service[:2]): service.value} | {
        (Kind.SERVER, *one[:2]): one.value for one in its
    }
    assert not find_service_fault(*service)  # the file takes nothing that is refused later
    assert not any(find_server_fault(service.value, one.value) for one in its)


@given(services())
def test_what_is_written_of_a_service_comes_to_the_same(drawn: tuple[Standing, list[Standing]]) -> None:
    service, its = drawn
    exported = export([(Kind.SERVICE, service), *((Kind.SERVER, one) for one in its)], Facts())
    assert exported.left_out == ()
    check_that_it_comes_back(service, its, exported.text)


@given(anything())
def test_what_the_kernel_takes_and_the_file_does_not_is_told_and_all_else_comes_to_the_same(
    drawn: tuple[Standing, list[Standing]],
) -> None:
    service, its = drawn
    exported = export([(Kind.SERVICE, service), *((Kind.SERVER, one) for one in its)], Facts())
    if exported.left_out:
        assert exported.text == HEAD
    else:
        check_that_it_comes_back(service, its, exported.text)


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
    text, (told,) = export([(Kind.SERVICE, service), *((Kind.SERVER, one) for one in its)], Facts())
    assert text == HEAD
    assert str(told).startswith("service TCP 10.0.0.1:443: ")
    assert why in told.reason


def test_timeouts_that_are_not_the_kernels_own_are_written_in_one_table() -> None:
    values = {"tcp": 7200, "tcp_fin": 120, "udp": 30}
    standing = [
        (Kind.TIMEOUT, Standing(TimeoutSlot(), TimeoutMember(word), TimeoutValue(0, seconds)))
        for word, seconds in values.items()
    ]
    exported = export(standing, Facts())
    assert exported.text == 'version = 1\n\n[ipvs]\ntimeouts = { tcp = "7200s", udp = "30s" }\n'
    (entry,) = read(exported.text.removeprefix(HEAD)).entries
    made = [(one.kind, *one.members, one.value) for one in resolve(entry, Facts(), OURS).sets]
    assert made == [
        (Kind.TIMEOUT, TimeoutMember("tcp"), TimeoutValue(OURS, 7200)),
        (Kind.TIMEOUT, TimeoutMember("udp"), TimeoutValue(OURS, 30)),
    ]


def test_the_kernels_own_timeouts_are_not_written_and_one_that_the_file_does_not_take_is_told() -> None:
    kernels = [
        (Kind.TIMEOUT, Standing(TimeoutSlot(), TimeoutMember(word), TimeoutValue(0, seconds)))
        for word, seconds in ipvs.TIMEOUTS.items()
    ]
    assert export(kernels, Facts()).text == "version = 1\n"
    long = Standing(TimeoutSlot(), TimeoutMember("tcp"), TimeoutValue(0, 8_000_000))
    exported = export([(Kind.TIMEOUT, long)], Facts())
    assert exported.text == "version = 1\n"
    assert tuple(map(str, exported.left_out)) == ("timeout tcp: the file does not take 8000000s",)
