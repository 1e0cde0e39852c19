"""What failed is tried again when something changes that its entry stands on, and not by the timer alone."""

from __future__ import annotations

from errno import EINVAL

import pytest

from routed.core.troubles import State
from routed.model.entries import HopSpec, Settings
from routed.model.events import Ipv6Event
from tests.property.rig import Rig, a_host, a_route, address_key, an_address, route_key

TO6 = "2001:db8:9::/48"


@pytest.mark.parametrize("to", ["10.30.0.0/16", TO6])
def test_what_failed_is_tried_again_when_its_link_changes(to: str) -> None:
    kernel = a_host()
    kernel.mischief.refuse = lambda _operation, _member: EINVAL if kernel.links[1].mtu < 1500 else 0
    rig = Rig(kernel)
    rig.start(a_route(to=to), settings=Settings(resync=1e9))
    rig.run(30.0)
    assert [one.trouble.state for one in rig.host.ledger.troubles] == [State.FAILED]
    before = kernel.writes
    kernel.change_link(2, mtu=9000)  # of another one
    rig.run(0.01)
    assert kernel.writes == before
    kernel.change_link(1, mtu=1500)
    rig.run(0.01)
    assert kernel.standing(route_key(to))


def test_ipv6_that_comes_to_a_link_brings_what_waited_for_it_and_ipv4_never_waits() -> None:
    kernel = a_host()
    for link in (1, 2):
        kernel.change_link(link, has_ipv6=False, mtu=1500)
    rig = Rig(kernel)
    rig.start(
        a_route("both", to=("10.30.0.0/16", TO6), hops=(HopSpec(dev="v0"),)),
        an_address("fd01::5/64", "v1"),
        settings=Settings(resync=1e9),
    )
    assert kernel.standing(route_key())
    assert not kernel.standing(route_key(TO6))
    assert [key for _, key, _ in kernel.requested] == [route_key()]
    for link in (1, 2):
        kernel.links[link] = kernel.links[link]._replace(has_ipv6=True)
        kernel.tell(Ipv6Event(link, has_ipv6=True))
    rig.run(0.01)
    assert kernel.standing(route_key(TO6))
    assert kernel.standing(address_key("fd01::5/64", 2))
    assert len(rig.host.ledger.troubles) == 0
