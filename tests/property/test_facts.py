"""Facts are read in slices: what is heard between two of them is newer than what was read before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from routed.model.change import Verb
from routed.model.entries import HopSpec, Intent, Settings
from routed.model.net import parse_address
from tests.property.fake_kernel import STRANGER, FakeKernel
from tests.property.rig import Rig, a_host, a_route, a_rule, address_key, give_address, route_key, via

RESYNC = Settings(resync=60.0)
OTHER = address_key("203.0.113.1/24", 2)


def take_address(kernel: FakeKernel) -> None:
    kernel.request(Verb.DELETE, OTHER, kernel.standing(OTHER)[0], STRANGER)


DEEDS: dict[str, Callable[[FakeKernel], object]] = {
    "a link goes down": lambda kernel: kernel.set_down(1),
    "a link goes": lambda kernel: kernel.delete_link(1),
    "a link comes": lambda kernel: kernel.make_link("v9"),
    "an address goes": take_address,
    "an address comes": lambda kernel: give_address(kernel, "203.0.113.2/24", 1, "v0"),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
@pytest.mark.parametrize("turn", range(4))
def test_what_changes_while_the_facts_are_read_is_known_after_that_pass(
    deed: Callable[[FakeKernel], object], turn: int
) -> None:
    kernel = a_host()
    give_address(kernel, "203.0.113.1/24", 2, "v1")
    rig = Rig(kernel)
    rig.start(a_route(hops=(via("192.0.2.2"),)), settings=RESYNC)
    turns = 0

    def act_once() -> None:
        nonlocal turns
        turns += 1
        if turns == turn + 1:
            deed(kernel)

    kernel.mischief.meanwhile = act_once
    rig.resync()
    assert turns > turn
    assert rig.host.world.facts.links == kernel.links
    assert rig.host.world.facts.addresses == kernel.addresses()


def test_an_address_that_has_nothing_to_do_with_us_costs_no_reading_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(hops=(via("192.0.2.2"),)), settings=RESYNC)
    read: list[str] = []
    monkeypatch.setattr(FakeKernel, "read_addresses", lambda _: read.append("all"))
    for number in range(20):
        give_address(kernel, f"203.0.113.{number}/32", 2, "v1")
        rig.run()
    assert rig.host.world.facts.addresses == kernel.addresses()
    assert read == []


def test_addresses_that_no_file_needs_are_not_read() -> None:
    asked: list[str] = []
    kernel = a_host(mischief=lambda kernel: setattr(kernel.mischief, "fail", asked.append))
    rig = Rig(kernel)
    rig.start(a_route(), a_rule(), settings=RESYNC)
    rig.resync()
    give_address(kernel, "203.0.113.1/32", 2, "v1")
    rig.run()
    assert "read_links" in asked
    assert "read_addresses" not in asked
    assert rig.host.world.facts.addresses == {}


def test_an_address_that_goes_takes_routes_along_that_come_back_though_no_file_needs_addresses() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(hops=(HopSpec(dev="v1"),)), settings=RESYNC)
    (member,) = (one for one in kernel.addresses() if one.dev == 2 and len(one.address) == 4)
    key = address_key("198.51.100.1/24", 2)
    assert key.member == member
    kernel.request(Verb.DELETE, key, kernel.standing(key)[0], STRANGER)
    rig.run()
    assert kernel.standing(route_key())


def test_files_that_need_addresses_later_know_them_from_their_first_pass_on() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(), settings=RESYNC)
    assert rig.host.world.facts.addresses == {}
    rig.enforce(Intent(RESYNC, (a_route(src="192.0.2.1"),)))
    assert rig.host.world.facts.addresses == kernel.addresses()
    (standing,) = kernel.standing(route_key())
    assert standing.src == parse_address("192.0.2.1")
    rig.enforce(Intent(RESYNC, (a_route(),)))
    assert rig.host.world.facts.addresses == {}


def test_a_link_that_goes_down_asks_no_source_that_no_file_needs() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(), settings=RESYNC)
    asked: list[str] = []
    kernel.mischief.fail = asked.append
    kernel.set_down(2)
    rig.run()
    assert not {"read_links", "read_addresses", "locate_gateways", "look_up", "read_default_routes"} & set(asked)
