"""Every option: written by us, read back equal, judged by `ip -j`, and removed again by full specification."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from routed.kernel.kernel import Kernel
from routed.model.change import Verb
from routed.model.objects import Hop, Standing
from tests.kernel.conftest import Network
from tests.kernel.netns import ip_json
from tests.kernel.objects import V4, V6, address, do, packed, read, route, rule, scope_of

Case = tuple[Callable[[Network], Standing], dict[str, Any]]

GW, GW6, GW1, GW16 = packed("10.0.0.2"), packed("fd00::2"), packed("10.1.0.2"), packed("fd01::2")
TO, TO6 = "192.0.2.0/24", "2001:db8::/48"

ROUTES: dict[str, Case] = {
    "via": (lambda n: route(TO, Hop(n.v0, GW)), {"dst": TO, "gateway": "10.0.0.2", "dev": "v0", "metric": 50}),
    "on-link": (lambda n: route(TO, Hop(n.v0), scope=253), {"dev": "v0", "scope": "253", "protocol": "114"}),
    "host": (lambda n: route("192.0.2.7/32", Hop(n.v0, GW)), {"dst": "192.0.2.7"}),
    "default": (lambda n: route("0.0.0.0/0", Hop(n.v0, GW)), {"dst": "default"}),
    "tos": (lambda n: route(TO, Hop(n.v0, GW), tos=16), {"tos": "0x10"}),
    "metric 0": (lambda n: route(TO, Hop(n.v0, GW), metric=0), {"gateway": "10.0.0.2"}),
    "table beyond a byte": (lambda n: route(TO, Hop(n.v0, GW), table=70000), {"table": "70000"}),
    "onlink": (lambda n: route(TO, Hop(n.v0, packed("203.0.113.9"), onlink=True)), {"flags": ["onlink"]}),
    "src": (lambda n: route(TO, Hop(n.v0, GW), src=packed("10.1.0.1")), {"prefsrc": "10.1.0.1"}),
    "v4 via v6": (lambda n: route(TO, Hop(n.v0, GW6)), {"via": {"family": "inet6", "host": "fd00::2"}}),
    "blackhole": (lambda _: route(TO, type=6), {"type": "6"}),
    "unreachable": (lambda _: route(TO, type=7), {"type": "7"}),
    "prohibit": (lambda _: route(TO, type=8), {"type": "8"}),
    "throw": (lambda _: route(TO, type=9), {"type": "9"}),
    "local": (lambda n: route(TO, Hop(n.v0), type=2, scope=254), {"type": "2", "dev": "v0"}),
    "multipath": (
        lambda n: route(TO, Hop(n.v0, GW, 3), Hop(n.v1, GW1, 256)),
        {"nexthops": [
            {"gateway": "10.0.0.2", "dev": "v0", "weight": 3, "flags": []},
            {"gateway": "10.1.0.2", "dev": "v1", "weight": 256, "flags": []},
        ]},
    ),
    "metrics": (
        lambda n: route(TO, Hop(n.v0, GW), metrics=((2, 1400), (8, 1300), (11, 20), (14, 30), (15, 1))),
        {"metrics": [{"mtu": 1400, "advmss": 1300, "initcwnd": 20, "initrwnd": 30, "quickack": 1}]},
    ),
    "locks": (
        lambda n: route(TO, Hop(n.v0, GW), metrics=((2, 1400), (7, 9)), lock=1 << 2 | 1 << 7),
        {"metrics": [{"mtu": 1400, "cwnd": 9}]},
    ),
    "congctl": (lambda n: route(TO, Hop(n.v0, GW), metrics=((16, "reno"),)), {"metrics": [{"congestion": "reno"}]}),
    "via, IPv6": (lambda n: route(TO6, Hop(n.v0, GW6)), {"dst": TO6, "gateway": "fd00::2", "metric": 50}),
    "on-link, IPv6": (lambda n: route(TO6, Hop(n.v0)), {"dev": "v0", "protocol": "114"}),
    "host, IPv6": (lambda n: route("2001:db8::7/128", Hop(n.v0, GW6)), {"dst": "2001:db8::7"}),
    "default, IPv6": (lambda n: route("::/0", Hop(n.v0, GW6)), {"dst": "default"}),
    "table beyond a byte, IPv6": (lambda n: route(TO6, Hop(n.v0, GW6), table=70000), {"table": "70000"}),
    "onlink, IPv6": (lambda n: route(TO6, Hop(n.v0, packed("2001:db8:9::9"), onlink=True)), {"flags": ["onlink"]}),
    "src, IPv6": (lambda n: route(TO6, Hop(n.v0, GW6), src=packed("fd01::1")), {"prefsrc": "fd01::1"}),
    "blackhole, IPv6": (lambda _: route(TO6, type=6), {"type": "6"}),
    "unreachable, IPv6": (lambda _: route(TO6, type=7), {"type": "7"}),
    "prohibit, IPv6": (lambda _: route(TO6, type=8), {"type": "8"}),
    "throw, IPv6": (lambda _: route(TO6, type=9), {"type": "9"}),
    "local, IPv6": (lambda n: route(TO6, Hop(n.v0), type=2), {"type": "2", "dev": "v0"}),
    "multipath, IPv6": (
        lambda n: route(TO6, Hop(n.v0, GW6, 3), Hop(n.v1, GW16, 5)),
        {"nexthops": [
            {"gateway": "fd00::2", "dev": "v0", "weight": 3, "flags": []},
            {"gateway": "fd01::2", "dev": "v1", "weight": 5, "flags": []},
        ]},
    ),
    "metrics, IPv6": (
        lambda n: route(TO6, Hop(n.v0, GW6), metrics=((2, 1400), (8, 1300), (10, 9), (16, "reno")), lock=1 << 2),
        {"metrics": [{"mtu": 1400, "advmss": 1300, "hoplimit": 9, "congestion": "reno"}]},
    ),
}  # fmt: skip


def _rules(family: int, prefix: str) -> dict[str, Case]:
    net = prefix.partition("/")[0]
    source = packed(net) + bytes((int(prefix.partition("/")[2]),))
    options: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "table": ({}, {"priority": 1000, "src": "all", "table": "100", "protocol": "114"}),
        "table beyond a byte": ({"table": 70000}, {"table": "70000"}),
        "from": ({"source": source}, {"src": net}),
        "to": ({"destination": source}, {"dst": net}),
        "not": ({"source": source, "inverted": True}, {"not": None}),
        "tos": ({"tos": 16}, {"tos": "0x10"}),
        "iif": ({"iif": "v0"}, {"iif": "v0"}),
        "iif of a link that does not exist": ({"iif": "nosuch"}, {"iif": "nosuch"}),
        "oif": ({"oif": "v0"}, {"oif": "v0"}),
        "fwmark": ({"fwmark": 5, "fwmask": 0xFFFFFFFF}, {"fwmark": "0x5"}),
        "fwmark with mask": ({"fwmark": 0, "fwmask": 0xFF}, {"fwmark": "0", "fwmask": "0xff"}),
        "ipproto": ({"ipproto": 6}, {"ipproto": "ipproto-6"}),
        "port": ({"ipproto": 6, "sport": (80, 80), "dport": (443, 443)}, {"sport": 80, "dport": 443}),
        "ports": ({"ipproto": 6, "dport": (1000, 2000)}, {"dport_start": 1000, "dport_end": 2000}),
        "uidrange": ({"uidrange": (0, 1000)}, {"uid_start": 0, "uid_end": 1000}),
        "suppress_prefixlength": ({"suppress_prefixlength": 0}, {"suppress_prefixlen": 0}),
        "suppress_ifgroup": ({"suppress_ifgroup": 7}, {"suppress_ifgroup": "7"}),
        "goto": ({"action": 2, "table": 0, "target": 32766}, {"goto": 32766}),
        "nop": ({"action": 3, "table": 0}, {"nop": None}),
        "blackhole": ({"action": 6, "table": 0}, {"action": "6"}),
        "unreachable": ({"action": 7, "table": 0}, {"action": "7"}),
        "prohibit": ({"action": 8, "table": 0}, {"action": "8"}),
        "priority 0": ({"priority": 0, "source": source}, {"priority": 0}),
    }

    def case(selector: dict[str, Any]) -> Callable[[Network], Standing]:
        return lambda _: rule(family, **selector)

    return {name: (case(selector), judged) for name, (selector, judged) in options.items()}


RULES = {f"{name}, IPv4": case for name, case in _rules(V4, "198.51.100.0/24").items()} | {
    f"{name}, IPv6": case for name, case in _rules(V6, "2001:db8::/48").items()
}

ADDRESSES: dict[str, Case] = {
    "plain": (lambda n: address(n.v0, "198.51.100.1/24"), {"local": "198.51.100.1", "prefixlen": 24}),
    "host": (lambda n: address(n.v0, "198.51.100.1/32"), {"prefixlen": 32}),
    "scope": (lambda n: address(n.v0, "198.51.100.1/32", scope=253), {"scope": "253"}),
    "peer": (
        lambda n: address(n.v0, "198.51.100.1/32", peer=packed("198.51.100.9")),
        {"local": "198.51.100.1", "address": "198.51.100.9"},
    ),
    "broadcast": (
        lambda n: address(n.v0, "198.51.100.1/24", broadcast=packed("198.51.100.255")),
        {"broadcast": "198.51.100.255"},
    ),
    "label": (lambda n: address(n.v0, "198.51.100.1/24", label="v0:vip"), {"label": "v0:vip"}),
    "label without the link's name": (lambda n: address(n.v0, "198.51.100.1/24", label="web"), {"label": "web"}),
    "metric": (lambda n: address(n.v0, "198.51.100.1/24", metric=77), {"metric": 77}),
    "noprefixroute": (lambda n: address(n.v0, "198.51.100.1/24", flags=0x200), {"noprefixroute": True}),
    "deprecated": (lambda n: address(n.v0, "198.51.100.1/24", deprecated=True), {"deprecated": True}),
    "plain, IPv6": (lambda n: address(n.v0, "2001:db8::1/64"), {"local": "2001:db8::1"}),
    "peer, IPv6": (
        lambda n: address(n.v0, "2001:db8::1/128", peer=packed("2001:db8::9")),
        {"local": "2001:db8::1", "address": "2001:db8::9"},
    ),
    "metric, IPv6": (lambda n: address(n.v0, "2001:db8::1/64", metric=77), {"metric": 77}),
    "nodad, IPv6": (lambda n: address(n.v0, "2001:db8::1/64", flags=0x02), {"nodad": True}),
    "home, IPv6": (lambda n: address(n.v0, "2001:db8::1/128", flags=0x10), {"home": True}),
    "noprefixroute, IPv6": (lambda n: address(n.v0, "2001:db8::1/64", flags=0x200), {"noprefixroute": True}),
    "deprecated, IPv6": (
        lambda n: address(n.v0, "2001:db8::1/64", deprecated=True),
        {"deprecated": True, "preferred_life_time": 0, "valid_life_time": 0xFFFFFFFF},
    ),
}  # fmt: skip


def _option(family: int) -> str:
    return "-4" if family == V4 else "-6"


def _judge_route(standing: Standing) -> dict[str, Any]:
    (shown,) = (r for r in ip_json(f"{_option(standing.slot.family)} route show table all") if r["protocol"] == "114")
    return shown


def _judge_rule(standing: Standing) -> dict[str, Any]:
    (shown,) = (r for r in ip_json(f"{_option(standing.slot.family)} rule show") if r.get("protocol") == "114")
    return shown


def _judge_address(standing: Standing) -> dict[str, Any]:
    (link,) = ip_json(f"{_option(standing.slot.family)} addr show dev v0")
    shown: dict[str, Any]
    (shown,) = (a for a in link["addr_info"] if a["local"] in {"198.51.100.1", "2001:db8::1"})
    return shown


CASES = [
    pytest.param(make, judged, judge, id=f"{kind}: {name}")
    for kind, cases, judge in (
        ("route", ROUTES, _judge_route), ("rule", RULES, _judge_rule), ("address", ADDRESSES, _judge_address)
    )
    for name, (make, judged) in cases.items()
]  # fmt: skip


@pytest.mark.parametrize(("make", "judged", "judge"), CASES)
def test_what_is_written_is_what_is_read_and_what_ip_shows(
    network: Network,
    kernel: Kernel,
    make: Callable[[Network], Standing],
    judged: dict[str, Any],
    judge: Callable[[Standing], dict[str, Any]],
) -> None:
    wanted = make(network)
    scope = scope_of(wanted)
    before = read(kernel, scope)

    assert do(kernel, Verb.ADD, wanted) == []
    assert [standing for standing in read(kernel, scope) if standing not in before] == [wanted]
    shown = judge(wanted)
    assert {name: shown.get(name) for name in judged} == judged

    assert do(kernel, Verb.DELETE, wanted) == []
    assert read(kernel, scope) == before
