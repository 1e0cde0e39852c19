"""What `why` explains, against the kernel: random packets over random rules, tables and routes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from routed.core.agreement import find_disagreement
from routed.core.chosen_source import choose_source
from routed.core.in_front import Contender, FibObject, find_behind, find_decider, list_for
from routed.core.lookup import explain
from routed.kernel.fib import FibReader
from routed.kernel.kernel import Kernel
from routed.model import net
from routed.model.change import Operation, Verb
from routed.model.fib import Explanation, Fib
from routed.model.lookup import Flow, Question
from routed.model.names import PROTOCOL_KERNEL, UNICAST
from routed.model.net import family_of, format_address, parse_address
from routed.model.reasons import Flaw
from tests.kernel.netns import ip, ip_batch, ip_json, private_network, veth, wait_until, wait_until_usable
from tests.kernel.random_ways import (
    FLAT,
    IPV4,
    IPV6,
    VRF,
    VRF_TABLE,
    WITH_VRF,
    Family,
    Ground,
    make_packet,
    make_troubles,
    make_world,
)
from tests.system.drivers import needs_vrf

NUMBERS = {IPV4: net.IPV4, IPV6: net.IPV6}
FAMILIES = [pytest.param(IPV4, id="IPv4"), pytest.param(IPV6, id="IPv6")]
PACKETS = 60  # in one world


@contextmanager
def a_host(ground: Ground = FLAT) -> Iterator[None]:
    """With two links of three in a VRF, where there is one."""
    with private_network():
        if ground.has_vrf:
            ip_batch(f"link add {VRF} type vrf table {VRF_TABLE}\nlink set {VRF} up")
        for number in range(3):
            name = f"v{number}"
            veth(name)
            if ground.has_vrf and number:
                ip(f"link set {name} master {VRF}")
            ip_batch(f"addr add 10.{number}.0.1/24 dev {name}\naddr add fd0{number}::1/64 dev {name} nodad")
        ip("link set v1 group 5")
        wait_until_usable()
        yield


@pytest.fixture
def host() -> Iterator[None]:
    with a_host():
        yield


def set_up(random: Random, family: Family, ground: Ground = FLAT, *, has_rules: bool = True) -> None:
    for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", path).write_text(random.choice("011"))
    for link in ("v0", "v1", "v2"):
        Path(f"/proc/sys/net/ipv4/conf/{link}/rp_filter").write_text(random.choice("0012"))
    for folder in ("ipv4", "ipv6"):
        for link in ("all", "v1"):
            Path(f"/proc/sys/net/{folder}/conf/{link}/ignore_routes_with_linkdown").write_text(random.choice("01"))
    ip_batch(make_world(random, family, ground, has_rules=has_rules), family.option, is_forced=True)
    ip_batch(make_troubles(random), is_forced=True)
    wait_until(has_settled)


def has_settled() -> bool:
    """Has the link whose other end is down lost its carrier? The kernel does that a moment later (link_watch.c)."""
    links = {link["ifname"]: link for link in ip_json("link show")}
    return bool(("UP" in links["v1p"]["flags"]) == (links["v1"]["operstate"] == "UP"))


def compare(random: Random, family: Family, reader: FibReader, packets: int, ground: Ground = FLAT) -> None:
    number = NUMBERS[family]
    for _ in range(packets):
        question = make_packet(random, family, ground)
        fib = reader.read([number], {question.destination, question.flow.source} - {b""}, question.flow.iif)
        explained = explain(fib, question)
        if ground.has_vrf and question.flow.iif and len(explained.hops) > 1:
            continue  # in which VRF its source is looked up is then a matter of the hop that the flow takes
        decision, sent = reader.find_winner(question, fib), reader.find_way(question, fib)
        found = find_disagreement(explained, decision, sent, choose_source(fib, explained))
        assert found is None, describe(family, question, explained, (found, decision, sent))


def describe(family: Family, question: Question, explained: Explanation, found: object) -> str:
    rules, routes = ip(f"{family.option} rule show"), ip(f"{family.option} route show table all")
    steps = "\n".join(f"  {step.rule.member} {step.why} {step.route}" for step in explained.steps)
    end = explained._replace(steps=())
    return f"{format_address(question.destination)} {question}\n{steps}\n{end}\n{found}\n{rules}\n{routes}"


def look(reader: FibReader, question: Question) -> tuple[Fib, Explanation]:
    """What is read of the kernel, and what it explains; it has to be what the kernel says."""
    family = family_of(question.destination)
    fib = reader.read([family], {question.destination, question.flow.source} - {b""}, question.flow.iif)
    explained = explain(fib, question)
    answers = reader.find_winner(question, fib), reader.find_way(question, fib)
    assert find_disagreement(explained, *answers, choose_source(fib, explained)) is None, (question, explained, answers)
    return fib, explained


def take_away(kernel: Kernel, gone: FibObject) -> None:
    """Have the kernel without this very object."""
    operation = Operation(Verb.DELETE, gone.key.kind, gone.slot, (gone.key.member,), gone.value, None, Flaw.UNWANTED)
    assert [*kernel.apply(operation)] == [()], gone


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(7))
def test_the_explained_way_is_the_one_that_the_kernel_takes(host: None, family: Family, seed: int) -> None:
    random = Random(seed)  # noqa: S311  the same each time
    with FibReader() as reader:
        set_up(random, family)
        compare(random, family, reader, PACKETS)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_it_is_so_while_nobody_has_touched_a_rule(host: None, family: Family, seed: int) -> None:
    random = Random(seed)  # noqa: S311  the same each time
    with FibReader() as reader:
        set_up(random, family, has_rules=False)
        compare(random, family, reader, PACKETS)


@needs_vrf
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(8))
def test_it_is_so_where_links_are_in_a_vrf(family: Family, seed: int) -> None:
    random = Random(500 + seed)  # noqa: S311  the same each time
    with a_host(WITH_VRF), FibReader() as reader:
        set_up(random, family, WITH_VRF, has_rules=bool(seed % 3))
        compare(random, family, reader, PACKETS, WITH_VRF)
        for link in WITH_VRF.links if family is IPV6 else ():
            look(reader, Question(parse_address("fe80::77"), Flow(oif=link)))


def ask_ip(family: Family, question: Question) -> dict[str, Any] | None:
    """What `ip route get` says of this packet; None where it says no."""
    flow = question.flow
    words: dict[str, object] = {
        "from": format_address(flow.source) if flow.source else "",
        "iif": flow.iif,
        "oif": flow.oif,
        "mark": flow.mark,
        "tos": f"0x{flow.tos:x}" if flow.tos else "",
        "ipproto": flow.ipproto,
        "sport": flow.sport,
        "dport": flow.dport,
        "uid": "" if flow.iif else flow.uid,
    }
    said = [word for name, one in words.items() if one or (name == "uid" and one == 0) for word in (name, str(one))]
    command = ["ip", family.option, "-j", "-N", "route", "get", format_address(question.destination), *said]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout)[0] if done.returncode == 0 else None


@pytest.mark.parametrize("family", FAMILIES)
def test_ip_route_get_says_the_same(host: None, family: Family) -> None:
    random = Random(77)  # noqa: S311  the same each time
    sent = dropped = 0
    with FibReader() as reader:
        set_up(random, family)
        for _ in range(PACKETS):
            question = make_packet(random, family)
            fib, explained = look(reader, question)
            shown = ask_ip(family, question)
            explained = explained.otherwise if explained.otherwise and shown is None else explained
            assert (shown is None) is bool(explained.errno), describe(family, question, explained, shown)
            if shown is None:
                dropped += 1
            elif explained.route is None or explained.route.value.type == UNICAST:
                gateway = parse_address(shown["gateway"]) if "gateway" in shown else b""
                routes = explained.equals or ()
                hops = [*explained.hops, *(hop for route in routes for hop in route.value.hops)]
                assert (fib.links[shown["dev"]].ifindex, gateway) in {(hop.dev, hop.gateway) for hop in hops}
                sent += 1
    assert sent
    assert dropped


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_so_for_ten_thousand_packets(family: Family) -> None:
    for seed in range(100):
        random = Random(1000 + seed)  # noqa: S311  the same each time
        with a_host(), FibReader() as reader:
            set_up(random, family, has_rules=bool(seed % 5))
            compare(random, family, reader, 100)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_named_is_what_decides_for_without_it_something_else_does(family: Family) -> None:
    taken = 0
    for seed in range(4):
        random = Random(seed)  # noqa: S311  the same each time
        with a_host(), FibReader() as reader, Kernel() as kernel:
            set_up(random, family)
            taken += sum(without_what_decides(reader, kernel, make_packet(random, family)) for _ in range(PACKETS))
    assert taken


def without_what_decides(reader: FibReader, kernel: Kernel, question: Question) -> bool:
    fib, explained = look(reader, question)
    decider = find_decider(explained)
    if decider is None or explained.aside or is_kernels(decider):
        return False
    before = reader.find_winner(question, fib)
    take_away(kernel, decider)
    fib, explained = look(reader, question)
    assert find_decider(explained) != decider
    if before.winner is not None:
        assert reader.find_winner(question, fib) != before
    return True


@pytest.mark.parametrize("family", FAMILIES)
def test_without_what_is_named_as_in_front_the_one_behind_decides(family: Family) -> None:
    cleared = 0
    for seed in range(6):
        random = Random(seed)  # noqa: S311  the same each time
        with a_host(), FibReader() as reader, Kernel() as kernel:
            set_up(random, family)
            cleared += sum(without_what_is_in_front(random, reader, kernel, family) for _ in range(PACKETS))
    assert cleared


def without_what_is_in_front(random: Random, reader: FibReader, kernel: Kernel, family: Family) -> bool:
    question = make_packet(random, family)
    fib, explained = look(reader, question)
    found = find_behind(fib, explained, map(Contender, list_for(fib, question.destination)))
    some = [one for one in found if one.in_front and not any(map(is_kernels, one.in_front))]
    if not some or explained.aside:
        return False
    one = random.choice(some)
    for gone in one.in_front:
        take_away(kernel, gone)
    assert find_decider(look(reader, question)[1]) == one.contender.object
    return True


def is_kernels(one: FibObject) -> bool:
    return bool(one.value.protocol == PROTOCOL_KERNEL)
