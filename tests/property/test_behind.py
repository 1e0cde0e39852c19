"""The routes that the kernel makes for an address: watched, put back as the kernel's, and never taken away by us."""

from __future__ import annotations

import pytest

from routed.model import names
from routed.model.change import Verb
from routed.model.entries import Intent, Settings
from routed.model.net import IPV6, host_prefix, parse_address
from routed.model.objects import Key, Kind, RouteSlot, Standing
from routed.model.reasons import Deed
from tests.property.fake_kernel import STRANGER
from tests.property.rig import OURS, Rig, a_host, an_address, route_key

LATE = Settings(resync=1e9)
NETWORKS = pytest.mark.parametrize(
    ("address", "network", "metric"),
    [("10.20.0.11/21", "10.20.0.0/21", 0), ("2001:db8:5::2/64", "2001:db8:5::/64", 256)],
)


@NETWORKS
def test_a_prefix_route_that_a_stranger_deletes_comes_back_as_the_kernels_and_stays_his(
    address: str, network: str, metric: int
) -> None:
    rig = Rig(a_host())
    rig.start(an_address(address, "v1"), settings=LATE)
    key = route_key(network, metric=metric)
    (made,) = rig.kernel.standing(key)
    rig.kernel.request(Verb.DELETE, key, made)
    rig.run(0.01)
    (back,) = rig.kernel.standing(key)
    assert (back.protocol, back.hops, back.scope) == (names.PROTOCOL_KERNEL, made.hops, made.scope)
    outcome = next(o for report in rig.reports for o in report.outcomes if o.operation.kind is Kind.ROUTE)
    assert (outcome.cause.port, outcome.cause.reason) == (STRANGER, Deed.DELETED)
    rig.run(1.0)
    assert len(rig.host.ledger.troubles) == 0
    assert rig.plan_is_empty()
    before = len(rig.kernel.requested)
    rig.enforce(Intent())
    assert [verb for verb, _, _ in rig.kernel.requested[before:]] == [Verb.DELETE]  # of the address, and nothing else
    assert rig.kernel.requested[-1][1].kind is Kind.ADDRESS


def test_an_ipv6_address_without_its_local_route_gets_one_of_ours_for_as_long_as_it_lasts() -> None:
    rig = Rig(a_host())
    rig.start(an_address("2001:db8:5::2/64"), settings=Settings(resync=60.0))
    own = host_prefix(parse_address("2001:db8:5::2"))
    (lost,) = (one for one in rig.kernel.read_kernel_routes() if one[1] == own and one[0].table == names.TABLE_LOCAL)  # type: ignore[attr-defined]
    assert isinstance(lost, Standing)
    rig.kernel.lost.append(lost)
    rig.resync()
    (key,) = (k for _, k, _ in rig.kernel.requested if k.kind is Kind.ROUTE)
    (ours,) = rig.kernel.standing(key)
    assert isinstance(key.slot, RouteSlot)
    assert (key.slot.table, key.member, ours.protocol, ours.type) == (names.TABLE_LOCAL, own, OURS, names.LOCAL)
    writes = rig.kernel.writes
    rig.resync()
    assert rig.kernel.writes == writes
    rig.kernel.lost.clear()  # the kernel made it anew, as with an address that comes back
    rig.resync()
    assert rig.kernel.standing(key) == ()
    assert Key(Kind.ROUTE, RouteSlot(IPV6, names.TABLE_LOCAL, 0), own) not in {k for _, k, _ in rig.kernel.requested}


@NETWORKS
def test_what_stands_behind_an_address_is_not_put_for_one_that_is_not_there(
    address: str, network: str, metric: int
) -> None:
    rig = Rig(a_host())
    rig.kernel.mischief.refuse = lambda operation, _: 13 if operation.kind is Kind.ADDRESS else 0
    rig.start(an_address(address, "v1"), settings=LATE)
    rig.run(5.0)
    assert rig.kernel.standing(route_key(network, metric=metric)) == ()
    assert {key.kind for _, key, _ in rig.kernel.requested} == {Kind.ADDRESS}
