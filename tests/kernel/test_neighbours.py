"""Neighbours and proxies on the real kernel: they stand as `ip neigh` shows them, and are read as they were asked."""

from __future__ import annotations

from routed.kernel.kernel import Kernel
from routed.model.change import Operation, Verb
from routed.model.events import ObjectEvent
from routed.model.net import IPV4, IPV6
from routed.model.objects import Kind, NeighbourMember, NeighbourSlot, NeighbourValue, Scope, Standing
from routed.model.reasons import Flaw
from tests.kernel.conftest import Network
from tests.kernel.netns import ip, ip_json, wait_until
from tests.kernel.objects import OURS, packed, read

MAC = bytes.fromhex("020000000005")


def a_neighbour(network: Network, address: str = "10.0.0.5", lladdr: bytes = MAC, *, router: bool = False) -> Standing:
    family = IPV6 if ":" in address else IPV4
    value = NeighbourValue(OURS, lladdr, router)
    return Standing(NeighbourSlot(family), NeighbourMember(network.v0, packed(address)), value)


def do(kernel: Kernel, verb: Verb, kind: Kind, one: Standing) -> list[str]:
    operation = Operation(verb, kind, one.slot, (one.member,), one.value, None, Flaw.MISSING)
    return [failure.text for batch in kernel.apply(operation) for failure in batch]


def show(words: str = "") -> list[tuple[str, str, str]]:
    """Those with a protocol: address, link address, protocol."""
    shown = [one for one in ip_json(f"neigh show {words}") if "protocol" in one]
    return [(one["dst"], one.get("lladdr", ""), one["protocol"]) for one in shown]


def test_neighbours_of_both_families_stand_and_are_read_back(network: Network, kernel: Kernel) -> None:
    four, six = a_neighbour(network), a_neighbour(network, "fd00::5", router=True)
    for one in (four, six):
        assert do(kernel, Verb.ADD, Kind.NEIGHBOUR, one) == []
    assert sorted(show()) == [("10.0.0.5", "02:00:00:00:00:05", "114"), ("fd00::5", "02:00:00:00:00:05", "114")]
    assert read(kernel, Scope(Kind.NEIGHBOUR, IPV4)) == [four]
    assert read(kernel, Scope(Kind.NEIGHBOUR, IPV6)) == [six]


def test_what_the_kernel_learned_gives_way_and_is_none_of_ours_before(network: Network, kernel: Kernel) -> None:
    ip("neigh add 10.0.0.5 lladdr 02:00:00:00:00:09 dev v0 nud reachable")
    assert read(kernel, Scope(Kind.NEIGHBOUR, IPV4)) == []
    assert do(kernel, Verb.ADD, Kind.NEIGHBOUR, a_neighbour(network)) == []
    assert show() == [("10.0.0.5", "02:00:00:00:00:05", "114")]


def test_another_link_address_is_set_in_place(network: Network, kernel: Kernel) -> None:
    do(kernel, Verb.ADD, Kind.NEIGHBOUR, a_neighbour(network))
    assert do(kernel, Verb.REPLACE, Kind.NEIGHBOUR, a_neighbour(network, lladdr=MAC[::-1])) == []
    assert show() == [("10.0.0.5", "05:00:00:00:00:02", "114")]


def test_proxies_are_another_kind_under_the_same_key(network: Network, kernel: Kernel) -> None:
    proxies = [a_neighbour(network, address, b"") for address in ("10.0.0.77", "fd00::77")]
    for one in proxies:
        assert do(kernel, Verb.ADD, Kind.PROXY, one) == []
    assert show("proxy") == [("10.0.0.77", "", "114"), ("fd00::77", "", "114")]
    assert [*read(kernel, Scope(Kind.PROXY, IPV4)), *read(kernel, Scope(Kind.PROXY, IPV6))] == proxies
    assert read(kernel, Scope(Kind.NEIGHBOUR, IPV4)) == []
    for one in proxies:
        assert do(kernel, Verb.DELETE, Kind.PROXY, one) == []
        assert do(kernel, Verb.DELETE, Kind.PROXY, one) == []
    assert show("proxy") == []


def test_one_is_deleted_and_a_second_time_is_no_failure(network: Network, kernel: Kernel) -> None:
    do(kernel, Verb.ADD, Kind.NEIGHBOUR, a_neighbour(network))
    assert do(kernel, Verb.DELETE, Kind.NEIGHBOUR, a_neighbour(network)) == []
    assert show() == []


def test_that_one_went_is_heard_while_neighbours_are_followed(network: Network, kernel: Kernel) -> None:
    do(kernel, Verb.ADD, Kind.NEIGHBOUR, a_neighbour(network))
    kernel.open_events()
    kernel.follow({Kind.NEIGHBOUR})
    ip("neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0 nud reachable")
    ip("neigh del 10.0.0.5 dev v0")
    heard: list[ObjectEvent] = []

    def is_heard() -> bool:
        heard.extend(one for one in kernel.read_events() if isinstance(one, ObjectEvent) and one.is_removal)
        return any(one.members == (a_neighbour(network).member,) for one in heard)

    wait_until(is_heard)
    assert {one.kind for one in heard} == {Kind.NEIGHBOUR}
