"""Every file of examples/ does what it says: it is valid, it is put in force whole, and then nothing is left to do."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kernel import netns
from tests.kernel.ipvsadm import ipvsadm
from tests.system.drivers import needs_dummy, needs_ipip, needs_ipvs

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
OURS = "114"

Json = dict[str, Any]


def routed(*words: str, state: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "routed", *words, "--state-dir", str(state)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"routed {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def enforce(example: str, state: Path, waits: str = "") -> None:
    """Check, apply, and see that a second plan is empty and that nothing waits but what ``waits`` says."""
    config = ["--config", str(EXAMPLES / example)]
    routed("check", *config, state=state)
    assert apply(*config, state=state)["changed"] > 0
    # An IPv6 address is tentative for a moment, and what has it as its source waits so long.
    said = [waits] if waits else []
    netns.wait_until(lambda: [one["reason"] for one in apply(*config, state=state)["waiting"]] == said, 20)
    plan = json.loads(routed("plan", "--json", *config, state=state))
    assert plan["steps"] == plan["refusals"] == []
    assert [one["reason"] for one in plan["waiting"]] == said


def apply(*config: str, state: Path) -> Json:
    result: Json = json.loads(routed("apply", "--direct", "--json", *config, state=state))
    assert result["failures"] == result["refusals"] == []
    return result


def routes(family: str = "-4", table: str = "main") -> dict[str, Json]:
    """Our routes of a table by destination."""
    shown = netns.ip_json(f"{family} route show table {table} proto {OURS}")
    return {route["dst"] + (f" metric {route['metric']}" if "metric" in route else ""): route for route in shown}


def rules(family: str = "-4") -> dict[int, Json]:
    return {rule["priority"]: rule for rule in netns.ip_json(f"{family} rule show") if rule.get("protocol") == OURS}


def addresses(dev: str) -> dict[str, Json]:
    (link,) = netns.ip_json(f"address show dev {dev}")
    return {f"{address['local']}/{address['prefixlen']}": address for address in link["addr_info"]}


def check_minimal() -> None:
    assert routes()["10.30.0.0/16"]["gateway"] == "192.0.2.1"
    assert routes()["10.30.0.0/16"]["dev"] == "eth0"


def check_policy_routing() -> None:
    assert {dst: route["dev"] for dst, route in routes().items()} == {
        "default metric 100": "eth0",
        "default metric 200": "eth1",
    }
    assert list(rules()) == [1000, 1010, 1020]
    for source, gateway in (("192.0.2.10", "192.0.2.1"), ("203.0.113.10", "203.0.113.1")):
        (answer,) = netns.ip_json(f"route get 8.8.8.8 from {source}")
        assert answer["gateway"] == gateway
    (answer,) = netns.ip_json("route get 8.8.8.8")
    assert (answer["gateway"], answer["prefsrc"]) == ("192.0.2.1", "192.0.2.10")


def check_multipath() -> None:
    for family, destination, gateways in (
        ("-4", "10.64.0.0/12", ["192.0.2.1", "203.0.113.1"]),
        ("-6", "2001:db8:64::/48 metric 1024", ["fe80::1", "fe80::1"]),
    ):
        hops = routes(family)[destination]["nexthops"]
        assert [(hop["gateway"], hop["dev"], hop["weight"]) for hop in hops] == [
            (gateways[0], "eth0", 3),
            (gateways[1], "eth1", 1),
        ]


def check_nexthops() -> None:
    shown = {one["id"]: one for one in netns.ip_json("nexthop show")}
    assert [(shown[id_]["gateway"], shown[id_]["dev"]) for id_ in (1, 2)] == [
        ("192.0.2.1", "eth0"), ("203.0.113.1", "eth1")
    ]  # fmt: skip
    assert shown[10]["group"] == [{"id": 1, "weight": 3}, {"id": 2}]
    assert {to: route["nhid"] for to, route in routes().items()} == {
        "10.64.0.0/12": 10, "10.96.0.0/12": 10, "172.16.0.0/12 metric 900": 3, "192.168.0.0/16 metric 900": 3,
    }  # fmt: skip


def check_segments() -> None:
    assert routes()["10.64.0.0/12"]["segs"] == ["2001:db8:a::1", "2001:db8:b::1"]
    hops = routes()["10.96.0.0/12"]["nexthops"]
    assert [(hop["segs"], hop["weight"]) for hop in hops] == [
        (["2001:db8:a::1", "2001:db8:c::1"], 3), (["2001:db8:c::1"], 1)
    ]  # fmt: skip
    shown = {to.partition(" ")[0]: route for to, route in routes("-6").items()}
    assert {to: route["action"] for to, route in shown.items()} == {"2001:db8:f::1": "End", "2001:db8:f::4": "End.DX4"}


def check_neighbours() -> None:
    shown = [one for one in netns.ip_json("neigh show") if one.get("protocol") == OURS]
    assert [(one["dst"], one["dev"], one["lladdr"], one["state"]) for one in shown] == [
        ("192.0.2.77", "eth0", "02:00:00:00:00:77", ["PERMANENT"])
    ]
    assert [one["dst"] for one in netns.ip_json("neigh show proxy")] == ["192.0.2.200"]


def check_drop_list() -> None:
    assert set(routes()) == {"198.51.100.0/24", "203.0.113.0/24", "192.0.2.250", "198.51.100.64/26"}
    assert set(routes("-6")) == {"2001:db8:bad::/48 metric 1024"}
    assert netns.ip_json("route get 198.51.100.70")[0]["gateway"] == "192.0.2.1"


def check_vip_address() -> None:
    assert {"192.0.2.80/32", "2001:db8::80/128"} <= set(addresses("lo"))
    eth0 = addresses("eth0")
    assert (eth0["10.99.0.5/24"]["broadcast"], eth0["10.99.0.5/24"]["label"]) == ("10.99.0.255", "eth0:mgmt")
    assert eth0["192.0.2.53/32"]["deprecated"]


def check_vip_dummy() -> None:
    (link,) = netns.ip_json("link show type dummy up")
    assert link["ifname"] == "services"
    assert {"192.0.2.80/32", "2001:db8::80/128"} <= set(addresses("services"))


def check_ipv6() -> None:
    six = routes("-6")
    assert six["default metric 512"]["gateway"] == "fe80::1"
    assert six["2001:db8:5::/48 metric 1024"]["prefsrc"] == "2001:db8:0:1::10"
    assert routes()["10.5.0.0/16"]["via"] == {"family": "inet6", "host": "fe80::5"}
    assert list(rules("-4")) == list(rules("-6")) == [2000]
    assert "default metric 1024" in routes("-6", "200")


def check_demo() -> None:
    assert routes()["10.40.0.0/16"]["metrics"] == [{"mtu": 1400}]
    assert set(routes(table="120")) == {"default", "10.31.0.0/16", "10.32.0.0/16", "10.33.0.0/16"}
    assert "192.0.2.80/32" in addresses("lo")


def check_nodes() -> None:
    """On four hosts, with connections, they are tested in test_nodes."""
    (route,) = routes().values()
    node = "192.168.253.131"
    assert (route["dst"], route["gateway"], route["dev"], route["prefsrc"]) == ("10.103.97.2", node, "ens32", node)


def check_service_direct() -> None:
    """With clients and servers it is tested in tests/vm/test_direct.py."""
    assert [line.split() for line in ipvsadm("-Sn").splitlines()] == [
        ["-A", "-t", "192.0.2.80:80", "-s", "wrr"],
        ["-a", "-t", "192.0.2.80:80", "-r", "192.0.2.11:80", "-g", "-w", "3"],
        ["-a", "-t", "192.0.2.80:80", "-r", "192.0.2.12:80", "-g", "-w", "1"],
    ]
    [route] = netns.ip_json("route show table local type local 192.0.2.80")
    assert route["prefsrc"] == "192.0.2.10"


def check_service_members() -> None:
    """Those who are ready, and nobody from elsewhere. How they come and go is tested in tests/property."""
    assert [line.split() for line in ipvsadm("-Sn").splitlines()] == [
        ["-A", "-t", "192.0.2.80:443", "-s", "wlc"],
        ["-a", "-t", "192.0.2.80:443", "-r", "192.0.2.11:8443", "-m", "-w", "3"],
        ["-a", "-t", "192.0.2.80:443", "-r", "192.0.2.12:8443", "-m", "-w", "1"],
    ]


def check_overlay_ipip() -> None:
    """With packets it is tested in tests/vm/test_tunnel.py."""
    (link,) = netns.ip_json("-d link show routed-ipip")
    data = link["linkinfo"]["info_data"]
    assert (data["local"], data["remote"], link["mtu"]) == ("192.0.2.10", "any", 1480)
    assert {dst: (route["gateway"], route["dev"]) for dst, route in routes().items()} == {
        "10.244.2.0/24": ("192.0.2.11", "eth0"),
        "10.244.3.0/24": ("198.51.100.7", "routed-ipip"),
    }


class Example(NamedTuple):
    """One file: what its comments promise, and the NICs and addresses that they say the host has."""

    check: Callable[[], None]
    links: Mapping[str, tuple[str, ...]]
    default: str = ""
    waits: str = ""  # what somebody waits for without end


def check_fleet() -> None:
    """Of the others those on the link, in both families; this host is one, and one is elsewhere."""
    found = {dst: route["gateway"] for family in ("-4", "-6") for dst, route in routes(family).items()}
    assert {dst.partition(" ")[0]: gateway for dst, gateway in found.items()} == {
        "10.244.1.0/24": "192.0.2.11", "10.244.2.0/24": "192.0.2.12", "2001:db8:244:2::/64": "2001:db8::12",
    }  # fmt: skip


HOST = {"eth0": ("192.0.2.10/24",), "eth1": ()}
TWO_PROVIDERS = HOST | {"eth1": ("203.0.113.10/24",)}
NODE01 = Example(
    check_nodes,
    {"ens33": ("192.168.160.246/23",), "ens32": ("192.168.253.131/24",)},
    default="via 192.168.160.1 dev ens33",
)
TESTED = {
    "minimal.toml": Example(check_minimal, HOST),
    "policy-routing.toml": Example(check_policy_routing, TWO_PROVIDERS),
    "multipath.toml": Example(check_multipath, TWO_PROVIDERS),
    "nexthops.toml": Example(check_nexthops, TWO_PROVIDERS),
    "segments.toml": Example(check_segments, HOST),
    "neighbours.toml": Example(check_neighbours, HOST),
    "drop-list.toml": Example(check_drop_list, HOST),
    "vip-address.toml": Example(check_vip_address, HOST),
    "vip-dummy.toml": Example(check_vip_dummy, HOST),
    "ipv6.toml": Example(check_ipv6, {"eth0": (), "eth1": ()}),
    "demo.toml": Example(check_demo, {"wan0": (), "lan0": ()}),
    "nodes-same-names.toml": NODE01,
    "nodes-with-router.toml": NODE01,
    "nodes-by-selector.toml": NODE01,
    "service-direct.toml": Example(check_service_direct, HOST),
    "service-members.toml": Example(
        check_service_members, HOST, waits="member elsewhere has nothing of IPv4 for `address`"
    ),
    "fleet.toml": Example(check_fleet, {"eth0": ("192.0.2.10/24", "2001:db8::10/64")}),
    "overlay-ipip.toml": Example(check_overlay_ipip, HOST),
}
NEEDS = {
    "vip-dummy.toml": [needs_dummy],
    "service-direct.toml": [needs_ipvs],
    "service-members.toml": [needs_ipvs],
    "overlay-ipip.toml": [needs_ipip],
}


def test_no_example_is_without_a_test() -> None:
    assert {path.name for path in EXAMPLES.glob("*.toml")} == set(TESTED)


@pytest.mark.parametrize("file", [pytest.param(file, marks=NEEDS.get(file, [])) for file in TESTED])
def test_an_example_is_put_in_force_as_its_comments_say(file: str, tmp_path: Path) -> None:
    example = TESTED[file]
    with netns.private_network():
        for name, has in example.links.items():
            netns.veth(name, *has)
        if example.default:
            netns.ip(f"route add default {example.default}")
        enforce(file, tmp_path, example.waits)
        example.check()
