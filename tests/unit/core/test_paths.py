"""From where a question is handed to a gateway."""

from __future__ import annotations

import pytest

from routed.core.paths import find_link_towards, find_source
from routed.model.facts import Facts, HostAddress, Link
from routed.model.names import LINK, UNIVERSE
from routed.model.net import format_address, parse_address
from routed.model.objects import AddressMember

V0, V1, TUN0 = (Link(number, name, True, True) for number, name in ((1, "v0"), (2, "v1"), (3, "tun0")))
HELD = [
    HostAddress(1, parse_address("10.0.0.1"), 24, UNIVERSE),
    HostAddress(1, parse_address("192.0.2.1"), 24, UNIVERSE),
    HostAddress(1, parse_address("fe80::1"), 64, LINK),
    HostAddress(1, parse_address("fd00::1"), 64, UNIVERSE),
    HostAddress(2, parse_address("192.0.2.129"), 25, UNIVERSE),
    HostAddress(2, parse_address("fd01::1"), 64, UNIVERSE, is_tentative=True),
]
FACTS = Facts(
    {link.ifindex: link for link in (V0, V1, TUN0)},
    {AddressMember(held.dev, held.address, held.prefixlen): held for held in HELD},
)


@pytest.mark.parametrize(
    ("gateway", "link", "source"),
    [
        ("10.0.0.2", V0, "10.0.0.1"),
        ("192.0.2.2", V0, "192.0.2.1"),  # the address in the network of the gateway
        ("198.51.100.1", V0, "10.0.0.1"),  # else the first
        ("fe80::2", V0, "fd00::1"),  # a far host answers no address of the link alone
        ("fd01::2", V1, ""),  # it cannot be used yet
        ("10.0.0.2", TUN0, ""),
    ],
)
def test_a_question_comes_from_the_address_in_the_network_of_its_gateway(gateway: str, link: Link, source: str) -> None:
    found = find_source(parse_address(gateway), link, FACTS)
    assert (found and format_address(found)) == (source or b"")


def test_a_written_source_counts_while_this_host_has_it() -> None:
    gateway = parse_address("10.0.0.2")
    assert find_source(gateway, V0, FACTS, parse_address("192.0.2.129")) == parse_address("192.0.2.129")
    assert find_source(gateway, V0, FACTS, parse_address("192.0.2.77")) == b""


def test_without_a_link_the_one_with_the_longest_network_around_the_gateway_is_meant() -> None:
    assert find_link_towards(parse_address("10.0.0.2"), FACTS) == V0
    assert find_link_towards(parse_address("192.0.2.130"), FACTS) == V1
    assert find_link_towards(parse_address("198.51.100.1"), FACTS) is None
