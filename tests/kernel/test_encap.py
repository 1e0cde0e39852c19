"""Encapsulations on the real kernel: what is asked for stands as `ip` shows it, and is read back as it was asked."""

from __future__ import annotations

from errno import EINVAL, ENODEV, EOPNOTSUPP, EPERM
from pathlib import Path
from typing import Any

import pytest
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # type: ignore[import-untyped]

from routed.core.linux.requests import request
from routed.core.linux.state import LinuxState
from routed.kernel.codec.attributes import HEADER_SIZE, walk
from routed.kernel.codec.route import HEAD
from routed.kernel.kernel import Kernel
from routed.model.attributes import ENCAP, HOP_WORDS, NEXTHOP_WORDS, has_more, join, list_words
from routed.model.change import Verb
from routed.model.facts import Link
from routed.model.net import IPV4
from routed.model.objects import (
    Hop,
    Key,
    Kind,
    NexthopMember,
    NexthopSlot,
    NexthopValue,
    Scope,
    Standing,
)
from tests.kernel.conftest import Network
from tests.kernel.netns import has_module, ip, ip_json
from tests.kernel.objects import OURS, TABLE, V6, do, packed, read, route, scope_of

GW, GW6 = packed("10.0.0.2"), packed("fd00::2")
TO, TO6 = "192.0.2.0/24", "2001:db8::/48"
NEXTHOPS = Scope(Kind.NEXTHOP, 0)

IP = {"type": "ip", "id": 7, "dst": packed("10.9.9.9"), "src": packed("10.0.0.1"), "ttl": 9, "tos": 4}
IP6 = {"type": "ip6", "id": 7, "dst": packed("fd00::9"), "hoplimit": 9, "tc": 8, "csum": True, "seq": True}
SEG6 = {"type": "seg6", "mode": "encap", "segs": [packed("fd00::a"), packed("fd00::b")]}
END = {"type": "seg6local", "action": "End"}
# What the file says → how `ip route add` says it, and how it is written back where that is another way
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "ip": ("encap ip id 7 dst 10.9.9.9 src 10.0.0.1 ttl 9 tos 4", IP),
    "ip with a key": ("encap ip id 7 dst 10.9.9.9 key", {"type": "ip", "id": 7, "dst": IP["dst"], "key": True}),
    "ip6": ("encap ip6 id 7 dst fd00::9 hoplimit 9 tc 8 csum seq", IP6),
    "seg6": ("encap seg6 mode encap segs fd00::a,fd00::b", SEG6),
    "seg6 within a frame": ("encap seg6 mode l2encap segs fd00::a,fd00::b", SEG6 | {"mode": "l2encap"}),
}
FORMS6: dict[str, tuple[str, dict[str, Any]]] = FORMS | {
    "seg6 within the header": ("encap seg6 mode inline segs fd00::a,fd00::b", SEG6 | {"mode": "inline"}),
    "seg6 without its first segment": ("encap seg6 mode encap.red segs fd00::a,fd00::b", SEG6 | {"mode": "encap.red"}),
    "End": ("encap seg6local action End", END),
    "End.X": ("encap seg6local action End.X nh6 fd00::2", END | {"action": "End.X", "nh6": GW6}),
    "End.T": ("encap seg6local action End.T table 7", END | {"action": "End.T", "table": 7}),
    "End.DX4": ("encap seg6local action End.DX4 nh4 10.0.0.2", END | {"action": "End.DX4", "nh4": GW}),
    "End.DX6": ("encap seg6local action End.DX6 nh6 fd00::2", END | {"action": "End.DX6", "nh6": GW6}),
    "End.DT6": ("encap seg6local action End.DT6 table 7", END | {"action": "End.DT6", "table": 7}),
}


def around(said: dict[str, Any]) -> bytes:
    return join(ENCAP.pack(said))


@pytest.mark.parametrize(("words", "said"), FORMS6.values(), ids=FORMS6)
def test_of_ipv6_it_is_put_read_and_taken_as_ip_does(
    network: Network, kernel: Kernel, words: str, said: dict[str, Any]
) -> None:
    ours = route(TO6, Hop(network.v0, extra=around(said)))
    ip(f"-6 route add {TO6} {words} dev v0 table {TABLE} metric 50 proto 114")
    shown = ip_json(f"-6 route show table {TABLE}")
    assert read(kernel, scope_of(ours)) == [ours]
    assert do(kernel, Verb.DELETE, ours) == []
    assert do(kernel, Verb.ADD, ours) == []
    assert ip_json(f"-6 route show table {TABLE}") == shown
    assert do(kernel, Verb.REPLACE, route(TO6, Hop(network.v0))) == []
    assert "encap" not in ip_json(f"-6 route show table {TABLE}")[0]


@pytest.mark.parametrize(("words", "said"), FORMS.values(), ids=FORMS)
def test_of_ipv4_it_is_put_read_and_taken_as_ip_does(
    network: Network, kernel: Kernel, words: str, said: dict[str, Any]
) -> None:
    ours = route(TO, Hop(network.v0, GW, extra=around(said)))
    ip(f"route add {TO} {words} via 10.0.0.2 dev v0 table {TABLE} metric 50 proto 114")
    shown = ip_json(f"route show table {TABLE}")
    assert read(kernel, scope_of(ours)) == [ours]
    assert do(kernel, Verb.REPLACE, route(TO, Hop(network.v0, GW))) == []
    assert "encap" not in ip_json(f"route show table {TABLE}")[0]
    assert do(kernel, Verb.REPLACE, ours) == []
    assert ip_json(f"route show table {TABLE}") == shown
    assert do(kernel, Verb.DELETE, ours) == []
    assert read(kernel, scope_of(ours)) == []


@pytest.mark.parametrize(("to", "gateway"), [(TO, GW), (TO6, GW6)])
def test_hops_of_one_gateway_differ_in_it(network: Network, kernel: Kernel, to: str, gateway: bytes) -> None:
    legs: list[dict[str, Any]] = [SEG6, SEG6 | {"segs": [packed("fd00::c")]}, IP]
    ours = route(to, *(Hop(network.v0, gateway, 2, extra=around(leg)) for leg in legs))
    assert do(kernel, Verb.ADD, ours) == []
    assert read(kernel, scope_of(ours)) == [ours]
    assert do(kernel, Verb.DELETE, ours) == []
    assert read(kernel, scope_of(ours)) == []


def test_ipv4_takes_the_alias_with_the_encapsulation_that_is_asked_for(network: Network, kernel: Kernel) -> None:
    plain = route(TO, Hop(network.v0, GW))
    one, other = (route(TO, Hop(network.v0, GW, extra=around(said))) for said in (IP, IP | {"id": 8}))
    for first, second, gone, left in ((one, other, other, one), (plain, one, one, plain), (plain, one, plain, plain)):
        state = LinuxState()
        state.links = {network.v0: Link(network.v0, "v0", is_up=True, has_carrier=True)}
        key = Key(Kind.ROUTE, one.slot, one.member)
        state.put(key, [first.value])
        for verb, standing in ((Verb.ADD, first), (Verb.PREPEND, second), (Verb.DELETE, gone)):
            assert do(kernel, verb, standing) == []
        state.put(key, [second.value, first.value])
        request(state, Verb.DELETE, key, gone.value, 0)
        there = read(kernel, scope_of(one))
        assert [route_.value for route_ in there] == list(state.standing(key))
        assert there == [left]
        assert do(kernel, Verb.DELETE, left) == []


def test_ipv6_takes_the_first_leg_over_the_gateway_whatever_is_asked_for(network: Network, kernel: Kernel) -> None:
    one, other = (
        Hop(network.v0, GW6, extra=around(SEG6 | {"segs": [segment]})) for segment in (GW6, packed("fd00::b"))
    )
    ours, second = route(TO6, one, other), route(TO6, other)
    state, key = LinuxState(), Key(Kind.ROUTE, ours.slot, ours.member)
    state.put(key, [ours.value])
    assert do(kernel, Verb.ADD, ours) == []
    for gone in (second, second):
        assert do(kernel, Verb.DELETE, gone) == []
        assert request(state, Verb.DELETE, key, gone.value, 0) == 0
        assert [standing.value for standing in read(kernel, scope_of(ours))] == list(state.standing(key))
        assert all(other in value.hops for value in state.standing(key))
    assert list(state.standing(key)) == []


@pytest.mark.parametrize("said", [IP, SEG6])
def test_next_hops_have_it_too(network: Network, kernel: Kernel, said: dict[str, Any]) -> None:
    (row,) = NEXTHOP_WORDS
    value = NexthopValue(OURS, IPV4, network.v0, GW, extra=join(row.pack(said)))
    ours = Standing(NexthopSlot(), NexthopMember(7), value)
    assert do(kernel, Verb.ADD, ours) == []
    assert read(kernel, NEXTHOPS) == [ours]
    assert ip_json("nexthop show id 7")[0]["encap"] == said["type"]
    plain = ours._replace(value=value._replace(extra=b""))
    assert do(kernel, Verb.REPLACE, plain) == []
    assert read(kernel, NEXTHOPS) == [plain]


@pytest.mark.parametrize(
    "words",
    ["encap seg6local action End count", "encap seg6local action End flavors psp",
     "encap seg6local action End.B6 srh segs fd00::a"],
)  # fmt: skip
def test_what_has_no_word_is_known_as_such(network: Network, kernel: Kernel, words: str) -> None:
    try:
        ip(f"-6 route add {TO6} {words} dev v0 table {TABLE}")
    except AssertionError as error:
        pytest.skip(f"this kernel has no such word either: {error}")
    (standing,) = read(kernel, Scope(Kind.ROUTE, V6, TABLE))
    (hop,) = standing.value.hops
    assert list(list_words(HOP_WORDS, hop.extra)) == []
    assert has_more(HOP_WORDS, hop.extra)


@pytest.fixture
def vrf(network: Network) -> None:
    """A VRF with table 7."""
    try:
        ip("link add vrf7 type vrf table 7")
    except AssertionError as error:
        pytest.skip(f"no VRF can be made here: {error}")
    ip("link set vrf7 up")
    Path("/proc/sys/net/vrf/strict_mode").write_text("1")


@pytest.mark.parametrize("action", ["End.DT4", "End.DT6", "End.DT46"])
@pytest.mark.usefixtures("vrf")
def test_a_segment_leads_into_a_vrf(network: Network, kernel: Kernel, action: str) -> None:
    ours = route(TO6, Hop(network.v0, extra=around(END | {"action": action, "vrftable": 7})))
    assert do(kernel, Verb.ADD, ours) == []
    assert read(kernel, scope_of(ours)) == [ours]
    (shown,) = ip_json(f"-6 route show table {TABLE}")
    assert (shown["action"], shown["vrftable"]) == (action, "7")


@pytest.mark.usefixtures("vrf")
def test_a_table_without_a_vrf_is_said(network: Network, kernel: Kernel) -> None:
    lost = route(TO6, Hop(network.v0, extra=around(END | {"action": "End.DT4", "vrftable": 8})))
    (failure,) = do(kernel, Verb.ADD, lost)
    assert (failure.errno, "vrftable 8: a VRF has to have this table" in failure.text) == (ENODEV, True)


def test_a_vrf_that_the_kernel_lacks_is_said(network: Network, kernel: Kernel) -> None:
    lost = route(TO6, Hop(network.v0, extra=around(END | {"action": "End.DT4", "vrftable": 7})))
    (failure,) = do(kernel, Verb.ADD, lost)
    assert failure.errno in {EINVAL, ENODEV, EPERM}
    assert "a VRF has to have this table" in failure.text


def test_labels_are_written_as_pyroute2_writes_them() -> None:
    """Who judges where the kernel has no MPLS."""
    theirs = rtmsg()
    theirs["family"] = IPV4
    stack = ("MPLS_IPTUNNEL_DST", [{"label": 100, "bos": 0}, {"label": 200, "bos": 1}])
    encap = {"attrs": [stack, ("MPLS_IPTUNNEL_TTL", 9)]}
    theirs["attrs"] = [("RTA_ENCAP_TYPE", 1), ("RTA_ENCAP", encap)]
    theirs.encode()
    ours = ENCAP.pack({"type": "mpls", "labels": (100, 200), "ttl": 9})
    assert walk(bytes(theirs.data), HEADER_SIZE + HEAD.size, len(theirs.data)) == ours


def test_labels_are_put_and_read_or_it_is_said_what_the_kernel_lacks(network: Network, kernel: Kernel) -> None:
    labels = route(TO, Hop(network.v0, GW, extra=around({"type": "mpls", "labels": (100, 200), "ttl": 9})))
    failures = do(kernel, Verb.ADD, labels)
    if not has_module("mpls_iptunnel"):
        (failure,) = failures
        assert (failure.errno, "encap mpls: its module mpls_iptunnel" in failure.text) == (EOPNOTSUPP, True)
        return
    assert failures == []
    assert read(kernel, scope_of(labels)) == [labels]
    assert "encap mpls 100/200 ttl 9 via 10.0.0.2" in " ".join(ip(f"route show table {TABLE}").split())
    assert do(kernel, Verb.REPLACE, route(TO, Hop(network.v0, GW))) == []
    assert do(kernel, Verb.REPLACE, labels) == []
    assert do(kernel, Verb.DELETE, labels) == []
    assert read(kernel, scope_of(labels)) == []
