"""Which route the kernel sends a packet by, whatever a rule selects it by. ``ip route get fibmatch`` is the judge."""

from __future__ import annotations

from errno import EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from routed.core.rules import DEAD_ENDS, RULE_ERRORS, make_flow, selects
from routed.kernel.kernel import Kernel
from routed.model import names
from routed.model.lookup import Decision, Flow, Question
from routed.model.net import IPV4, IPV6, format_prefix, parse_address, parse_prefix
from routed.model.objects import Kind, RouteSlot, RuleMember, Scope
from tests.kernel.conftest import Network
from tests.kernel.netns import ip, ip_json


class Family(NamedTuple):
    """The same case in a family of addresses."""

    option: str
    number: int
    gateway: str
    own: str
    foreign: str
    to: str
    elsewhere: str


FAMILIES = [
    pytest.param(Family("", IPV4, "10.0.0.2", "10.0.0.1", "10.7.0.9", "192.0.2.1", "192.0.2.0/24"), id="IPv4"),
    pytest.param(Family("-6 ", IPV6, "fd00::2", "fd00::1", "fd07::9", "2001:db8::1", "2001:db8::/32"), id="IPv6"),
]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, network: Network) -> Family:
    found: Family = request.param
    for number in (10, 20):
        ip(f"{found.option}route add default via {found.gateway} dev v0 table {number}")
    return found


def links() -> dict[str, int]:
    return {one["ifname"]: one["ifindex"] for one in ip_json("link show")}


def decide(kernel: Kernel, family: Family, flow: Flow = Flow(), to: str = "") -> Decision:  # noqa: B008  a value
    return kernel.find_winner(Question(parse_address(to or family.to), flow), links())


def table_of(decision: Decision) -> int:
    assert decision.winner is not None, decision
    assert isinstance(decision.winner.slot, RouteSlot)
    return decision.winner.slot.table


def test_the_route_is_the_one_that_ip_names(network: Network, family: Family, kernel: Kernel) -> None:
    ip(f"{family.option}route add {family.elsewhere} dev v1 metric 7")
    decision = decide(kernel, family)
    assert decision.winner is not None
    slot, member, value = decision.winner
    assert isinstance(member, bytes)
    (shown,) = ip_json(f"{family.option}route get fibmatch {family.to}")
    assert format_prefix(member) == shown["dst"]
    assert (slot.metric, value.hops[0].dev) == (shown["metric"], network.v1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("selector", "rule"),
    [
        ("from OWN", {"source": "OWN"}),
        ("fwmark 7", {"fwmark": 7, "fwmask": 0xFFFFFFFF}),
        ("fwmark 0x10/0x30", {"fwmark": 0x10, "fwmask": 0x30}),
        ("not fwmark 7", {"fwmark": 7, "fwmask": 0xFFFFFFFF, "inverted": True}),
        ("iif lo", {"iif": "lo"}),
        ("oif v0", {"oif": "v0"}),
        ("tos 0x10", {"tos": 0x10}),
        ("uidrange 55-60", {"uidrange": (55, 60)}),
        ("ipproto udp dport 53-54", {"ipproto": 17, "dport": (53, 54)}),
        ("ipproto tcp sport 22", {"ipproto": 6, "sport": (22, 22)}),
    ],
)
def test_a_packet_that_a_rule_is_for_goes_where_the_rule_leads(
    kernel: Kernel, family: Family, selector: str, rule: dict[str, Any]
) -> None:
    ip(f"{family.option}rule add pref 100 {selector.replace('OWN', family.own)} lookup 10")
    ip(f"{family.option}rule add pref 200 lookup 20")
    given: dict[str, Any] = {
        name: parse_prefix(family.own) if value == "OWN" else value for name, value in rule.items()
    }
    member = RuleMember(100, table=10, **given)
    flow = make_flow(member, family.number, {parse_address(family.own)}, links())
    assert flow is not None
    assert table_of(decide(kernel, family, flow)) == 10
    for other in (Flow(), Flow(mark=7), Flow(parse_address(family.own)), Flow(tos=16), Flow(uid=57)):
        is_for = selects(member, Question(parse_address(family.to), other))
        assert table_of(decide(kernel, family, other)) == (10 if is_for else 20), other


def test_a_source_that_is_not_this_hosts_comes_in_by_a_link(kernel: Kernel, family: Family) -> None:
    ip(f"{family.option}rule add pref 100 from {family.foreign} lookup 10")
    rule = RuleMember(100, table=10, source=parse_prefix(family.foreign))
    flow = make_flow(rule, family.number, {parse_address(family.own)}, links())
    assert flow is not None
    if family.number == IPV4:  # while this host does not forward, such packets go nowhere
        assert decide(kernel, family, flow) == Decision(errno=EHOSTUNREACH)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    assert table_of(decide(kernel, family, flow)) == 10


def test_of_what_drops_packets_the_error_alone_is_told(kernel: Kernel, family: Family) -> None:
    kinds = {"blackhole": EINVAL, "unreachable": EHOSTUNREACH, "prohibit": EACCES}
    for number, (word, errno) in enumerate(kinds.items()):
        ip(f"{family.option}route replace {word} {family.elsewhere}")
        assert decide(kernel, family) == Decision(errno=errno) == Decision(errno=DEAD_ENDS[names.WRITABLE_TYPES[word]])
        ip(f"{family.option}route del {word} {family.elsewhere}")
        ip(f"{family.option}rule add pref {number} {word}")
        assert decide(kernel, family) == Decision(errno=RULE_ERRORS[names.WRITABLE_TYPES[word]])
        ip(f"{family.option}rule del pref {number} {word}")
    assert decide(kernel, family) == Decision(errno=ENETUNREACH)


@pytest.mark.parametrize("has_rules", [False, True])
def test_an_address_of_this_host_is_decided_by_table_local(kernel: Kernel, family: Family, has_rules: bool) -> None:
    if has_rules:
        ip(f"{family.option}rule add pref 900 lookup 20")
    assert table_of(decide(kernel, family, to=family.own)) == names.TABLE_LOCAL


def test_the_dump_has_the_rules_in_the_order_in_which_the_kernel_goes_through_them(
    kernel: Kernel, family: Family
) -> None:
    for priority, mark in ((500, 1), (100, 2), (500, 3), (100, 4)):
        ip(f"{family.option}rule add pref {priority} fwmark {mark} lookup 10")
    members = [one.member for chunk in kernel.dump(Scope(Kind.RULE, family.number)) for one in chunk]
    ours = [(one[0], one[10]) for one in members if one[0] in {100, 500}]
    assert ours == [(100, 2), (100, 4), (500, 1), (500, 3)]
