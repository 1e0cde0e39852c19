"""Next hops on the real kernel: what is asked for stands as `ip nexthop` shows it, and is read back as it was asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from routed.kernel.kernel import Kernel
from routed.model.change import Verb
from routed.model.events import ObjectEvent
from routed.model.net import IPV4, IPV6
from routed.model.objects import (
    Kind,
    Leg,
    NexthopMember,
    NexthopSlot,
    NexthopValue,
    Resilient,
    Scope,
    Standing,
)
from tests.kernel.conftest import Network
from tests.kernel.netns import ip, ip_json, wait_until
from tests.kernel.objects import OURS, do, packed, read, route

NEXTHOPS = Scope(Kind.NEXTHOP, 0)
GATEWAY, GATEWAY6 = packed("10.0.0.2"), packed("fd00::2")


def a_nexthop(id_: int, **content: object) -> Standing:
    return Standing(NexthopSlot(), NexthopMember(id_), NexthopValue(OURS, **content))  # type: ignore[arg-type]


def a_way(network: Network, id_: int = 1) -> Standing:
    return a_nexthop(id_, way_family=IPV4, dev=network.v0, gateway=GATEWAY)


def show(id_: int) -> dict[str, object]:
    found = {one["id"]: one for one in ip_json("nexthop show")}
    return {key: value for key, value in found[id_].items() if key not in {"id", "scope", "flags"}}


def test_each_form_stands_as_ip_shows_it_and_is_read_back_as_it_was_asked_for(network: Network, kernel: Kernel) -> None:
    resilient = Resilient(buckets=32, idle_timer=60, unbalanced_timer=300)
    asked = [
        a_way(network),
        a_nexthop(2, way_family=IPV6, dev=network.v0, gateway=GATEWAY6),
        a_nexthop(3, way_family=IPV4, blackhole=True),
        a_nexthop(4, way_family=IPV6, dev=network.v0),
        a_nexthop(5, way_family=IPV4, dev=network.v0, gateway=packed("198.51.100.1"), onlink=True),
        a_nexthop(10, group=(Leg(2), Leg(1, 254))),
        a_nexthop(11, group=(Leg(1), Leg(2, 3)), resilient=resilient),
    ]
    for one in asked:
        assert do(kernel, Verb.ADD, one) == []
    assert read(kernel, NEXTHOPS) == asked
    assert show(1) == {"gateway": "10.0.0.2", "dev": "v0", "protocol": "114"}
    assert show(3) == {"blackhole": None, "protocol": "114"}
    assert show(4) == {"dev": "v0", "protocol": "114"}
    assert show(10) == {"group": [{"id": 2}, {"id": 1, "weight": 254}], "protocol": "114"}
    timers = {"buckets": 32, "idle_timer": 60, "unbalanced_timer": 300, "unbalanced_time": 0}
    assert show(11)["resilient_args"] == timers


def test_what_ip_puts_is_read_as_it_is(network: Network, kernel: Kernel) -> None:
    ip("nexthop add id 7 via 10.0.0.2 dev v0 onlink proto static")
    ip("nexthop add id 8 group 7,200 type resilient buckets 128 proto static")
    way = NexthopValue(4, IPV4, network.v0, GATEWAY, onlink=True)
    group = NexthopValue(4, group=(Leg(7, 200),), resilient=Resilient())
    assert [one.value for one in read(kernel, NEXTHOPS)] == [way, group]


def test_one_is_replaced_in_place_and_the_routes_that_use_it_go_the_other_way(network: Network, kernel: Kernel) -> None:
    do(kernel, Verb.ADD, a_way(network))
    ip("route add 192.0.2.0/24 nhid 1 proto static")
    other = a_nexthop(1, way_family=IPV4, dev=network.v0, gateway=packed("10.0.0.9"))
    assert do(kernel, Verb.REPLACE, other) == []
    assert ip_json("route show 192.0.2.0/24")[0]["gateway"] == "10.0.0.9"


def test_one_that_is_gone_already_is_deleted_without_a_failure(network: Network, kernel: Kernel) -> None:
    do(kernel, Verb.ADD, a_way(network))
    assert do(kernel, Verb.DELETE, a_way(network)) == []
    assert do(kernel, Verb.DELETE, a_way(network)) == []
    assert read(kernel, NEXTHOPS) == []


def test_a_route_that_uses_one_is_read_without_where_that_one_leads(network: Network, kernel: Kernel) -> None:
    do(kernel, Verb.ADD, a_way(network))
    do(kernel, Verb.ADD, a_nexthop(3, way_family=IPV4, blackhole=True))
    for nhid in (1, 3):
        asked = route("192.0.2.0/24", nhid=nhid, metric=nhid)
        assert do(kernel, Verb.ADD, asked) == []
        assert read(kernel, Scope(Kind.ROUTE, IPV4, 100))[-1] == asked
    assert [one.get("nhid") for one in ip_json("route show table 100")] == [1, 3]
    for nhid in (1, 3):
        assert do(kernel, Verb.DELETE, route("192.0.2.0/24", nhid=nhid, metric=nhid)) == []
    assert ip_json("route show table 100") == []


def test_of_two_routes_under_one_key_the_one_with_this_next_hop_is_deleted(network: Network, kernel: Kernel) -> None:
    do(kernel, Verb.ADD, a_way(network))
    ip("route add 192.0.2.0/24 via 10.0.0.3 table 100 metric 50 proto 114")
    mine = route("192.0.2.0/24", nhid=1)
    assert do(kernel, Verb.PREPEND, mine) == []
    assert do(kernel, Verb.DELETE, mine) == []
    (left,) = ip_json("route show table 100")
    assert left["gateway"] == "10.0.0.3"


def test_changes_are_told_while_they_are_followed_and_not_else(network: Network, kernel: Kernel) -> None:
    kernel.open_events()
    ip("nexthop add id 1 via 10.0.0.2 dev v0")
    assert not [one for one in kernel.read_events() if isinstance(one, ObjectEvent) and one.kind is Kind.NEXTHOP]
    kernel.follow({Kind.NEXTHOP})
    ip("nexthop replace id 1 via 10.0.0.9 dev v0")
    ip("nexthop del id 1")
    heard: list[ObjectEvent] = []

    def is_heard() -> bool:
        heard.extend(one for one in kernel.read_events() if isinstance(one, ObjectEvent) and one.kind is Kind.NEXTHOP)
        return len(heard) == 2

    wait_until(is_heard)
    assert [(one.members, one.is_removal, one.is_replacement) for one in heard] == [
        ((NexthopMember(1),), False, True), ((NexthopMember(1),), True, False),
    ]  # fmt: skip
    kernel.follow(set())
    ip("nexthop add id 1 via 10.0.0.2 dev v0")
    assert kernel.read_events() == []


def test_with_an_ipv4_next_hop_its_routes_go_without_a_word_and_a_group_loses_a_leg(
    network: Network, kernel: Kernel
) -> None:
    ip("nexthop add id 1 via 10.0.0.2 dev v0")
    ip("nexthop add id 2 via 10.1.0.2 dev v1")
    ip("nexthop add id 3 group 1/2")
    ip("route add 192.0.2.0/24 nhid 1")
    ip("route add 192.0.3.0/24 nhid 3")
    kernel.open_events()
    ip("nexthop del id 1")
    assert [one["dst"] for one in ip_json("route show proto boot")] == ["192.0.3.0/24"]
    assert show(3)["group"] == [{"id": 2}]
    assert not [one for one in kernel.read_events() if isinstance(one, ObjectEvent) and one.kind is Kind.ROUTE]


@pytest.mark.parametrize("legs", [(Leg(99),), (Leg(1), Leg(1))], ids=["unknown", "twice"])
def test_what_the_kernel_refuses_is_told_in_its_words(network: Network, kernel: Kernel, legs: tuple[Leg, ...]) -> None:
    do(kernel, Verb.ADD, a_way(network))
    (failure,) = do(kernel, Verb.ADD, a_nexthop(10, group=legs))
    assert failure.text


def test_the_words_of_next_hops_are_read_only_where_there_is_one(network: Network) -> None:
    del network
    script = (
        "import sys; from routed.kernel.kernel import Kernel; from routed.model.objects import Kind, Scope\n"
        "with Kernel() as kernel:\n"
        "    for family in (2, 10): list(kernel.dump(Scope(Kind.ROUTE, family)))\n"
        "    list(kernel.dump(Scope(Kind.NEXTHOP, 0)))\n"
        "assert 'routed.kernel.codec.nexthop' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
