"""From which address a packet goes to which nobody has given one, as the kernel chooses it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routed.core.chosen_source import NONE, choose_source, list_primaries
from routed.core.lookup import explain
from routed.model.fib import Fib, FibAddress, FibLink
from routed.model.lookup import Question
from routed.model.names import HOST, LINK
from routed.model.net import format_address, parse_address
from tests.unit.core.fib import IPV6, LINKS, fib, packet, route, rule

DEFAULT = route("default", "10.0.0.9 eth0")
OF = {name: link.ifindex for name, link in LINKS.items()}


def addresses(*texts: str) -> tuple[FibAddress, ...]:
    """`10.0.0.1/24 eth0`, with the number of its scope behind it where it is not global."""
    found = []
    for text in texts:
        local, dev, *scope = text.split()
        address, _, length = local.partition("/")
        found.append(FibAddress(OF[dev], parse_address(address), int(length), int(scope[0]) if scope else 0))
    return tuple(found)


def chosen(world: Fib, question: Question | None = None) -> str | None:
    source = choose_source(world, explain(world, question or packet("203.0.113.7")))
    return None if source is None else format_address(source)


@pytest.mark.parametrize(
    ("there", "source"),
    [
        (["10.0.0.1/24 eth0", "10.0.0.2/24 eth0"], "10.0.0.1"),
        (["10.5.0.1/24 eth0", "10.0.0.1/24 eth0"], "10.0.0.1"),  # beside the gateway
        (["10.5.0.1/24 eth0", "10.6.0.1/24 eth0"], "10.5.0.1"),  # the first, where none is
        ([f"10.0.0.1/24 eth0 {HOST}", f"10.0.0.2/25 eth0 {LINK}", "10.0.0.3/26 eth0"], "10.0.0.3"),  # by scope
        ([f"10.0.0.1/24 eth0 {LINK}", "10.1.0.1/24 eth1"], "10.1.0.1"),  # none of its own: that of another link
        (["10.1.0.1/24 eth1", "192.0.2.1/32 lo"], "192.0.2.1"),  # of which lo comes first
        ([f"127.0.0.1/8 lo {HOST}", "10.1.0.1/24 eth1"], "10.1.0.1"),
        (["10.1.0.1/24 eth1", "10.2.0.1/24 eth2"], None),  # in which order the kernel keeps them nobody knows
        ([], "0.0.0.0"),  # noqa: S104
    ],
)
def test_the_source_is_the_first_that_fits_of_the_link_beside_the_gateway(there: list[str], source: str | None) -> None:
    assert chosen(replace(fib(DEFAULT), addresses=addresses(*there))) == source


def test_what_the_route_and_the_packet_say_comes_first() -> None:
    said = DEFAULT._replace(value=DEFAULT.value._replace(src=parse_address("10.0.0.7")))
    world = replace(fib(said), addresses=addresses("10.0.0.1/24 eth0"))
    assert chosen(world) == "10.0.0.7"
    assert chosen(world, packet("203.0.113.7", "10.0.0.3")) == "10.0.0.3"


def test_what_is_for_this_host_comes_from_itself_and_what_leaves_by_several_hops_from_what_is_the_same_for_all() -> (
    None
):
    own = route("10.0.0.1", "eth0", type="local", table=255)
    assert chosen(fib(own), packet("10.0.0.1")) == "10.0.0.1"
    both = fib(route("default", "10.0.0.9 eth0", "10.1.0.9 eth1"))
    assert chosen(replace(both, addresses=addresses("10.0.0.1/24 eth0", "10.1.0.1/24 eth1"))) is None
    assert chosen(replace(both, addresses=addresses("192.0.2.1/32 lo"))) == "192.0.2.1"


def test_a_link_of_a_vrf_without_an_address_takes_that_of_the_vrf_before_those_of_its_other_links() -> None:
    inside = route("default", "10.1.0.9 eth1", table=10)
    world = fib(inside, rule(1000, l3mdev=True))
    links = {**LINKS, "blue": FibLink(9, table=10), "eth1": FibLink(3, master=9), "eth2": FibLink(4, master=9)}
    world = replace(world, links=links, addresses=addresses("192.0.2.1/32 lo", "10.2.0.1/24 eth2"))
    asked = packet("203.0.113.7", oif="eth1")
    assert chosen(world, asked) == "10.2.0.1"
    of_vrf = FibAddress(9, parse_address("10.9.0.1"), 32)
    assert chosen(replace(world, addresses=(*world.addresses, of_vrf)), asked) == "10.9.0.1"


def test_what_leaves_a_vrf_by_a_link_of_none_comes_from_the_vrf_whatever_the_route_says() -> None:
    leak = route("default", "10.0.0.9 eth0", table=10)
    leak = leak._replace(value=leak.value._replace(src=parse_address("10.0.0.7")))
    links = {**LINKS, "blue": FibLink(9, table=10), "eth1": FibLink(3, master=9)}
    world = fib(leak, rule(1000, l3mdev=True))
    world = replace(world, links=links, addresses=addresses("10.0.0.7/24 eth0", "10.1.0.1/24 eth1"))
    assert chosen(world, packet("203.0.113.7", oif="blue")) == "10.1.0.1"


def test_of_ipv6_it_is_known_only_where_the_route_says_it() -> None:
    plain = route("default", "fd00::9 eth0", family=IPV6)
    said = plain._replace(value=plain.value._replace(src=parse_address("fd00::7")))
    asked = packet("2001:db8::1")
    assert chosen(fib(plain, family=IPV6), asked) is None
    assert chosen(fib(said, family=IPV6), asked) == "fd00::7"


def test_a_second_address_of_a_network_is_secondary_whatever_its_peer() -> None:
    one, other = (
        FibAddress(2, parse_address(f"10.0.0.{last}"), 24, 0, parse_address(f"10.0.0.{last + 1}")) for last in (1, 3)
    )
    elsewhere = FibAddress(3, other.address, 24)
    assert list(list_primaries((one, other, elsewhere))) == [one, elsewhere]
    assert bytes(4) == NONE
