"""On which link a gateway is where addresses on two links fit it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routed.core.gateways import prefer_first
from routed.model.entries import Entry
from routed.model.facts import Facts, GatewayLink, HostAddress, Link
from routed.model.net import parse_address
from routed.model.objects import AddressMember
from tests.property.rig import an_address

V0, V1 = (Link(index, f"v{index - 1}", is_up=True, has_carrier=True) for index in (1, 2))
FAMILIES = pytest.mark.parametrize(
    ("texts", "gateway"), [(("192.0.2.1/24", "192.0.2.2/24"), "192.0.2.9"), (("fd00::1/64", "fd00::2/64"), "fd00::9")]
)


def on(dev: int, text: str, place: int) -> tuple[AddressMember, Entry]:
    entry = replace(an_address(text, f"v{dev - 1}"), place=place)
    return AddressMember(dev, entry.address, entry.prefixlen), entry


def facts(*members: AddressMember, links: tuple[Link, ...] = (V0, V1)) -> Facts:
    return Facts().put(
        links={link.ifindex: link for link in links},
        addresses={member: HostAddress(*member, scope=0) for member in members},
    )


@FAMILIES
@pytest.mark.parametrize("kernels", [1, 2])
def test_it_is_on_the_link_of_the_first_address_in_the_files(
    texts: tuple[str, str], gateway: str, kernels: int
) -> None:
    wanted = [on(2, texts[0], 7), on(1, texts[1], 3)]
    located = {parse_address(gateway): GatewayLink(kernels, is_onlink=True)}
    found = prefer_first(located, wanted, facts(*(member for member, _ in wanted)))
    assert found == {parse_address(gateway): GatewayLink(1, is_onlink=True)}


@FAMILIES
def test_an_address_that_does_not_stand_or_whose_link_is_down_does_not_count(
    texts: tuple[str, str], gateway: str
) -> None:
    wanted = [on(1, texts[0], 1), on(2, texts[1], 2)]
    located = {parse_address(gateway): GatewayLink(2, is_onlink=True)}
    members = [member for member, _ in wanted]
    assert prefer_first(located, wanted, facts(members[1])) == located
    down = facts(*members, links=(V0._replace(is_up=False), V1))
    assert prefer_first(located, wanted, down) == located


@pytest.mark.parametrize(
    "where", [GatewayLink(3, is_onlink=True), GatewayLink(2, is_onlink=False)], ids=["another link", "behind a gateway"]
)
def test_what_the_kernel_has_on_none_of_them_stays_there(where: GatewayLink) -> None:
    wanted = [on(1, "192.0.2.1/24", 1), on(2, "192.0.2.2/24", 2)]
    located = {parse_address("192.0.2.9"): where}
    assert prefer_first(located, wanted, facts(*(member for member, _ in wanted))) == located


def test_a_longer_network_that_only_one_link_has_decides() -> None:
    wanted = [on(1, "192.0.2.1/24", 1), on(2, "192.0.2.2/24", 2), on(2, "192.0.2.3/28", 3)]
    located = {parse_address("192.0.2.9"): GatewayLink(2, is_onlink=True)}
    assert prefer_first(located, wanted, facts(*(member for member, _ in wanted))) == located
