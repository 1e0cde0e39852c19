"""Echoes that are handed to a gateway: no route, rule or filter of this host has a say in them. Real links and loss."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path as File
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.model.net import parse_address
from routed.probes import neighbour, packet
from routed.probes.sockets import Path
from tests.kernel import netns
from tests.kernel.netns import ip
from tests.probes import servers
from tests.probes.servers import serving
from tests.probes.test_probes import found
from tests.probes.tunnel import tunnel

FAMILIES = pytest.mark.parametrize("family", [4, 6])
FAR = {4: "198.51.100.9", 6: "2001:db8:9::9"}
GATEWAY = {4: "10.0.0.2", 6: "fd00::2"}
OTHER_GATEWAY = {4: "10.1.0.2", 6: "fd01::2"}
SOURCE = {4: "10.0.0.1", 6: "fd00::1"}


class Lines(NamedTuple):
    """The gateways behind v0 and v1."""

    first: File
    second: File


@pytest.fixture
def lines() -> Iterator[Lines]:
    """v0 and v1, each to a gateway; only the first has the far host. This host has no route to it."""
    with netns.private_network(), netns.new_namespace() as first, netns.new_namespace() as second:
        for number, far in enumerate((first, second)):
            netns.veth(f"v{number}", f"10.{number}.0.1/24", f"fd0{number}::1/64")
            ip(f"link set v{number}p netns {far}")
            with netns.inside(far):
                File(f"/proc/sys/net/ipv6/conf/v{number}p/accept_dad").write_text("0")
                ip(f"link set v{number}p up")
                ip(f"address add 10.{number}.0.2/24 dev v{number}p")
                ip(f"address add fd0{number}::2/64 dev v{number}p nodad")
        netns.wait_until(lambda: all("LOWER_UP" in ip(f"link show v{number}") for number in range(2)))
        with netns.inside(first):
            for family in FAR.values():
                ip(f"address add {family} dev lo")
        for far in (first, second):
            with netns.inside(far):
                netns.wait_until_usable()
        yield Lines(first, second)


def through(family: int, gateway: str = "", link: str = "v0") -> Path:
    packed = parse_address(gateway or GATEWAY[family])
    return Path(link, netns.index_of(link), parse_address(SOURCE[family]), gateway=packed)


def nft(rules: str, where: File | None = None) -> None:
    """Load rules of nftables, here or there."""
    if where is not None:
        with netns.inside(where):
            return nft(rules)
    done = subprocess.run(["nft", "-f", "-"], input=rules, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return None


@FAMILIES
def test_an_echo_needs_no_route(lines: Lines, family: int) -> None:
    assert found("icmp", address=FAR[family])[0] == "LOCAL"
    for _ in range(3):  # the first asks for the gateway
        assert found("icmp", address=FAR[family], path=through(family)) == ("GOOD", "icmp: answered")


@FAMILIES
@pytest.mark.parametrize("hindrance", ["better route", "blackhole", "rule", "strict rp_filter"])
def test_no_route_rule_or_filter_of_this_host_has_a_say(lines: Lines, family: int, hindrance: str) -> None:
    far, other = FAR[family], OTHER_GATEWAY[family]
    if hindrance == "better route":
        ip(f"-{family} route add {far} via {other} dev v1")
    elif hindrance == "blackhole":
        ip(f"-{family} route add blackhole {far}")
    elif hindrance == "rule":
        ip(f"-{family} rule add priority 1 prohibit")
    else:
        ip(f"-{family} route add default via {other} dev v1")  # the answer comes in by another way than that
        for name in ("all", "v0"):
            File(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("1")
    assert found("icmp", address=far, path=through(family))[0] == "GOOD"


def test_what_a_bound_socket_cannot_hear_under_a_strict_rp_filter_a_packet_socket_does(lines: Lines) -> None:
    ip("route add default via 10.1.0.2 dev v1")
    ip("route add default via 10.0.0.2 dev v0 metric 100")
    bound = Path("v0", netns.index_of("v0"), parse_address("10.0.0.1"))
    assert found("icmp", address=FAR[4], path=bound)[0] == "GOOD"
    File("/proc/sys/net/ipv4/conf/v0/rp_filter").write_text("1")
    assert found("icmp", address=FAR[4], path=bound)[0] == "SILENCE"
    assert found("icmp", address=FAR[4], path=through(4))[0] == "GOOD"


@FAMILIES
def test_a_packet_filter_of_this_host_has_no_say(lines: Lines, family: int) -> None:
    kinds = "icmp type { echo-request, echo-reply }", "icmpv6 type { echo-request, echo-reply }"
    hooks = "".join(
        f"chain {hook} {{ type filter hook {hook} priority 0; {' drop; '.join(kinds)} drop; }}\n"
        for hook in ("input", "output")
    )
    nft(f"table inet wall {{ {hooks} }}")
    ip(f"-{family} route add {FAR[family]} via {GATEWAY[family]}")
    assert found("icmp", address=FAR[family])[0] in {"LOCAL", "SILENCE"}
    assert found("icmp", address=FAR[family], path=through(family))[0] == "GOOD"


@FAMILIES
def test_a_line_that_is_dead_behind_its_gateway_is_told_from_a_dead_gateway(lines: Lines, family: int) -> None:
    path = through(family)
    assert found("icmp", address=FAR[family], path=path)[0] == "GOOD"
    with netns.inside(lines.first):
        ip(f"address delete {FAR[family]} dev lo")
    assert found("icmp", address=FAR[family], path=path)[0] == "SILENCE"
    with netns.inside(lines.first):
        ip(f"address delete {GATEWAY[family]}/{24 if family == 4 else 64} dev v0p")
    words = f"icmp: gateway {GATEWAY[family]} does not answer"
    assert found("icmp", address=FAR[family], path=path) == ("NO_GATEWAY", words)


@FAMILIES
def test_a_gateway_with_a_new_card_costs_one_question(lines: Lines, family: int) -> None:
    path = through(family)
    assert found("icmp", address=FAR[family], path=path)[0] == "GOOD"
    with netns.inside(lines.first):
        ip("link set v0p address 02:00:00:00:00:99")
    assert found("icmp", address=FAR[family], path=path)[0] == "SILENCE"
    assert found("icmp", address=FAR[family], path=path)[0] == "GOOD"


@FAMILIES
def test_a_gateway_that_is_no_longer_where_it_was_is_noticed_though_the_host_there_still_answers(
    lines: Lines, family: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packet, "REACHABLE", 0.0)
    assert found("icmp", address=FAR[family], path=through(family))[0] == "GOOD"
    with netns.inside(lines.first):
        ip(f"address delete {GATEWAY[family]}/{24 if family == 4 else 64} dev v0p")
    assert found("icmp", address=FAR[family], path=through(family))[0] == "NO_GATEWAY"


@FAMILIES
def test_an_answer_that_is_lost_is_a_question_without_an_answer(lines: Lines, family: int) -> None:
    kind = "icmp" if family == 4 else "icmpv6"
    path = through(family)
    chain = "chain input { type filter hook input priority 0; %s type echo-request numgen random mod 100 < 50 drop; }"
    nft(f"table inet loss {{ {chain % kind}\n }}", lines.first)
    answers = [found("icmp", address=FAR[family], path=path, timeout=0.1)[0] for _ in range(40)]
    assert set(answers) - {"LOCAL"} == {"GOOD", "SILENCE"}  # a busy host knows nothing of some
    assert 5 <= answers.count("SILENCE") <= 35


@FAMILIES
def test_what_others_answer_is_not_heard(lines: Lines, family: int) -> None:
    other = OTHER_GATEWAY[family]  # an address of another host, at which nobody behind the first gateway is
    assert found("icmp", address=other, path=through(family))[0] in {"SILENCE", "NO_GATEWAY"}


@given(st.sampled_from([bytes(4), bytes(16)]), st.binary(max_size=120), st.integers(0, 0xFFFF), st.binary(max_size=16))
def test_what_anybody_may_send_is_read_without_an_error(target: bytes, sent: bytes, number: int, token: bytes) -> None:
    assert packet.is_answer(sent, target, number, b"%routed%" + token) is False
    assert neighbour.read_reply(sent, target) in {b"", sent[22:28]}
    assert len(neighbour.read_option(sent)) in {0, 6}


@pytest.mark.parametrize(("hops", "is_heard"), [(255, True), (254, False), (64, False)])
def test_an_advertisement_that_came_over_a_router_is_not_heard(lines: Lines, hops: int, is_heard: bool) -> None:
    """A router takes one off the hop limit: RFC 4861 7.1.2."""
    nobody, card = parse_address("fd00::77"), b"\x02\0\0\0\0\x77"
    advertisement = struct.pack("!BBHI16s", 136, 0, 0, 0x60000000, nobody) + b"\x02\x01" + card
    with netns.inside(lines.first):
        liar = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    liar.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)

    async def ask() -> bytes:
        asked = asyncio.ensure_future(neighbour.find_neighbour(nobody, through(6)))
        for _ in range(20):
            liar.sendto(advertisement, (SOURCE[6], 0))
            await asyncio.wait([asked], timeout=0.02)
        if asked.done():
            return asked.result()
        asked.cancel()
        return b""

    with liar:
        assert asyncio.run(ask()) == (card if is_heard else b"")


def test_gateways_of_links_that_are_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet, "_known", {})
    for ifindex in range(packet.MOST_KNOWN + 10):
        packet._know((ifindex, b"", b""), b"\x02\0\0\0\0\x77", 0.0)
    assert len(packet._known) == packet.MOST_KNOWN
    assert (0, b"", b"") not in packet._known


# --- links without neighbours -------------------------------------------------------------------------------------


@pytest.fixture
def far_end(lines: Lines) -> Iterator[File]:
    """The far host is behind tun0, too, and this host has no route by it."""
    with tunnel(lines.first):
        netns.wait_until(lambda: "LOWER_UP" in ip("link show tun0"))
        yield lines.first


@FAMILIES
def test_on_a_link_without_neighbours_the_link_is_the_way(far_end: File, family: int) -> None:
    source = {4: "10.9.0.1", 6: "fd09::1"}[family]
    gateway = {4: "10.9.0.2", 6: "fd09::2"}[family]
    path = Path("tun0", netns.index_of("tun0"), parse_address(source), gateway=parse_address(gateway))
    ip(f"-{family} route add {FAR[family]} via {OTHER_GATEWAY[family]} dev v1")
    assert found("icmp", address=FAR[family], path=path)[0] == "GOOD"


def test_a_socket_bound_to_such_a_link_needs_no_route_of_ipv4_and_one_of_ipv6(far_end: File) -> None:
    bound = Path("tun0", netns.index_of("tun0"))
    for family, asked in ((4, "GOOD"), (6, "LOCAL")):
        ip(f"-{family} route add {FAR[family]} via {OTHER_GATEWAY[family]} dev v1")
        assert found("icmp", address=FAR[family], path=bound)[0] == asked
        with ExitStack() as stack:
            with netns.inside(far_end):
                port = stack.enter_context(serving(servers.hang, FAR[family]))
            assert found("tcp", port, FAR[family], bound)[0] == asked
    ip("-6 route add default dev tun0 metric 9999")
    assert found("icmp", address=FAR[6], path=bound)[0] == "GOOD"
