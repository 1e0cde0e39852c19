"""From where a question is handed to a gateway."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routed.core.paths import find_source, may_have_source
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
        ("fd01::2", V1, "fd00::1"),  # its own cannot be used yet
        ("10.0.0.2", TUN0, "10.0.0.1"),  # a line without an address of its own
    ],
)
def test_a_question_comes_from_the_address_that_is_nearest_to_its_gateway(
    gateway: str, link: Link, source: str
) -> None:
    found = find_source(parse_address(gateway), link, FACTS)
    assert (found and format_address(found)) == (source or b"")


def test_a_written_source_counts_while_this_host_has_it() -> None:
    gateway = parse_address("10.0.0.2")
    assert find_source(gateway, V0, FACTS, parse_address("192.0.2.129")) == parse_address("192.0.2.129")
    assert find_source(gateway, V0, FACTS, parse_address("192.0.2.77")) == b""


@pytest.mark.parametrize(
    ("held", "source"),
    [
        ([("lo", "192.0.2.9", {})], "192.0.2.9"),  # an unnumbered line borrows the address of another link
        ([("lo", "192.0.2.9", {}), ("v0", "10.9.9.9", {"is_deprecated": True})], "10.9.9.9"),
        ([("v0", "10.9.9.9", {"is_deprecated": True}), ("v0", "10.8.8.8", {})], "10.8.8.8"),
        ([("v0", "10.9.9.9", {"is_tentative": True}), ("lo", "192.0.2.9", {})], "192.0.2.9"),
        ([("v0", "10.9.9.9", {"has_failed_dad": True})], ""),
        ([("v0", "169.254.0.9", {"scope": LINK})], ""),
    ],
)
def test_without_an_address_in_that_network_the_one_that_the_kernel_would_take_is_used(
    held: list[tuple[str, str, dict[str, Any]]], source: str
) -> None:
    dev = {"lo": 9, "v0": 1}
    found = [
        HostAddress(dev[name], parse_address(text), 32, **{"scope": UNIVERSE, **flags}) for name, text, flags in held
    ]
    facts = replace(FACTS, addresses={AddressMember(one.dev, one.address, 32): one for one in found})
    assert find_source(parse_address("10.0.0.2"), V0, facts) == (parse_address(source) if source else b"")


def test_a_vip_of_ours_asks_nobody() -> None:
    facts = replace(FACTS, service_addresses=frozenset(held.address for held in HELD))
    assert not find_source(parse_address("10.0.0.2"), V0, facts)
    assert not may_have_source(parse_address("10.0.0.2"), facts)


def test_an_address_that_is_still_tried_out_is_none_to_ask_from_and_a_reason_to_wait() -> None:
    tried = HostAddress(2, parse_address("fd01::1"), 64, UNIVERSE, is_tentative=True)
    facts = replace(FACTS, addresses={AddressMember(2, tried.address, 64): tried})
    assert not find_source(parse_address("fd01::2"), V1, facts)
    assert may_have_source(parse_address("fd01::2"), facts)
