"""ChooseHostInterface, sentence by sentence."""

from __future__ import annotations

import pytest

from routed.core.choose_host import (
    LOOPBACK,
    DefaultRoute,
    NoHostAddressError,
    choose_host_address,
    find_default_routes,
    is_global_unicast,
)
from routed.model.facts import Facts, HostAddress, Link
from routed.model.names import UNREACHABLE
from routed.model.net import IPV4, IPV6, format_address, parse_address, parse_prefix
from routed.model.objects import AddressMember, Hop, RouteSlot, RouteValue, Standing
from routed.model.reasons import NoHostAddress

ENS32, ENS33 = 2, 3


def make_facts(*addresses: tuple[int, str], down: int = 0) -> Facts:
    links = {
        dev: Link(dev, name, is_up=dev != down, has_carrier=True)
        for dev, name in ((LOOPBACK, "lo"), (ENS32, "ens32"), (ENS33, "ens33"))
    }
    held = [HostAddress(dev, parse_address(address), 24, 0) for dev, address in addresses]
    return Facts(links, {AddressMember(fact.dev, fact.address, 24): fact for fact in held})


def choose(routes: list[DefaultRoute], facts: Facts, preferred: int = IPV4) -> str:
    return format_address(choose_host_address(routes, facts, preferred))


def standing(prefix: str, *hops: Hop, table: int = 254, type_: int = 1, metric: int = 0) -> Standing:
    packed = parse_prefix(prefix)
    family = IPV4 if len(packed) == 5 else IPV6
    return Standing(RouteSlot(family, table, metric), packed, RouteValue(type_, 3, hops=hops))


BOTH = make_facts((ENS33, "192.168.160.243"), (ENS32, "192.168.253.129"), (ENS32, "192.168.253.200"))


def test_the_first_address_of_the_first_default_routes_interface_is_chosen() -> None:
    assert choose([DefaultRoute(IPV4, ENS32), DefaultRoute(IPV4, ENS33)], BOTH) == "192.168.253.129"
    assert choose([DefaultRoute(IPV4, ENS33), DefaultRoute(IPV4, ENS32)], BOTH) == "192.168.160.243"


def test_an_interface_that_is_down_is_passed_over() -> None:
    facts = make_facts((ENS33, "192.168.160.243"), (ENS32, "192.168.253.129"), down=ENS32)
    assert choose([DefaultRoute(IPV4, ENS32), DefaultRoute(IPV4, ENS33)], facts) == "192.168.160.243"


def test_a_loopback_address_comes_before_the_next_route() -> None:
    facts = make_facts((LOOPBACK, "127.0.0.1"), (LOOPBACK, "10.9.9.9"), (ENS33, "192.168.160.243"))
    assert choose([DefaultRoute(IPV4, ENS32), DefaultRoute(IPV4, ENS33)], facts) == "10.9.9.9"


def test_the_loopback_needs_to_be_up() -> None:
    facts = make_facts((LOOPBACK, "10.9.9.9"), (ENS33, "192.168.160.243"), down=LOOPBACK)
    assert choose([DefaultRoute(IPV4, ENS32), DefaultRoute(IPV4, ENS33)], facts) == "192.168.160.243"


def test_ipv4_is_preferred_unless_the_other_family_is_asked_for() -> None:
    facts = make_facts((ENS32, "192.168.253.129"), (ENS33, "fd00::1"))
    routes = [DefaultRoute(IPV6, ENS33), DefaultRoute(IPV4, ENS32)]
    assert choose(routes, facts) == "192.168.253.129"
    assert choose(routes, facts, IPV6) == "fd00::1"
    assert choose(routes[:1], facts, IPV4) == "fd00::1"


def test_link_local_addresses_are_never_chosen() -> None:
    facts = make_facts((ENS33, "fe80::1"), (ENS33, "fd00::1"), (ENS32, "169.254.0.1"), (ENS32, "192.168.253.129"))
    assert choose([DefaultRoute(IPV6, ENS33)], facts) == "fd00::1"
    assert choose([DefaultRoute(IPV4, ENS32)], facts) == "192.168.253.129"


@pytest.mark.parametrize(
    ("routes", "why"),
    [
        ([], NoHostAddress.NO_DEFAULT_ROUTE),
        ([DefaultRoute(IPV4, 0), DefaultRoute(IPV4, ENS32)], NoHostAddress.NO_INTERFACE),
        ([DefaultRoute(IPV6, ENS32)], NoHostAddress.NO_GLOBAL_ADDRESS),
    ],
)
def test_where_it_gives_up_the_reason_is_said(routes: list[DefaultRoute], why: NoHostAddress) -> None:
    with pytest.raises(NoHostAddressError) as error:
        choose_host_address(routes, BOTH)
    assert error.value.reason is why


def test_mask_and_metric_of_a_default_route_are_ignored() -> None:
    routes = [
        standing("0.0.0.0/1", Hop(ENS33), metric=9),
        standing("0.0.0.0/0", Hop(ENS32)),
        standing("128.0.0.0/1", Hop(4)),
    ]
    assert list(find_default_routes(routes)) == [DefaultRoute(IPV4, ENS33), DefaultRoute(IPV4, ENS32)]


def test_ipv4_looks_into_table_main_alone_and_ipv6_into_all_tables() -> None:
    assert list(find_default_routes([standing("0.0.0.0/0", Hop(ENS33), table=120)])) == []
    gateway = parse_address("fe80::1")
    assert list(find_default_routes([standing("::/0", Hop(ENS33, gateway), table=120)])) == [DefaultRoute(IPV6, ENS33)]


def test_a_source_prefix_is_ignored_as_kubernetes_does() -> None:
    plain = standing("::/0", Hop(ENS33, parse_address("fe80::1")))
    assert isinstance(plain.slot, RouteSlot)
    narrow = plain._replace(slot=plain.slot._replace(source=parse_prefix("2001:db8:a::/48")))
    assert list(find_default_routes([narrow])) == [DefaultRoute(IPV6, ENS33)]


def test_an_ipv6_route_without_a_gateway_is_no_default_route() -> None:
    assert list(find_default_routes([standing("::/0", Hop(ENS33))])) == []


def test_a_default_route_without_an_interface_counts_for_ipv4() -> None:
    assert list(find_default_routes([standing("0.0.0.0/0", type_=UNREACHABLE)])) == [DefaultRoute(IPV4, 0)]


@pytest.mark.parametrize(
    ("address", "is_global"),
    [
        ("10.0.0.1", True),
        ("192.168.0.1", True),
        ("240.0.0.1", True),
        ("fd00::1", True),
        ("127.1.2.3", False),
        ("169.254.1.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("0.0.0.0", False),  # noqa: S104  # nothing is bound here
        ("::1", False),
        ("fe80::1", False),
        ("ff02::1", False),
    ],
)
def test_global_is_what_go_calls_global_unicast(address: str, is_global: bool) -> None:
    assert is_global_unicast(parse_address(address)) is is_global
