"""The documents' three situations, each with its example: four hosts, and a connection of node01 to the VIP.

The proof is the connection itself: the address that the master sees, and the NIC that every packet of it passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kernel import netns
from tests.kernel.netns import wait_until
from tests.system.cluster import ADDRESSES, INNER_ROUTER, OUTER_ROUTER, Cards, Cluster, Connection, documents_cluster
from tests.system.daemon import PROJECT

EXAMPLES = PROJECT / "examples"
ENTRY = "vip/apiserver"
SAME = dict.fromkeys(ADDRESSES, Cards("ens33", "ens32"))
DIFFERENT = {
    "master1": Cards("eth0", "enp5s0f0"),
    "master2": Cards("ens33", "ens32"),
    "master3": Cards("em1", "p1p1"),
    "node01": Cards("enp3s0", "ens1f1"),
}


class Situation(NamedTuple):
    """One of the documents' situations, and who routes beyond the inner network there."""

    example: str
    cards: dict[str, Cards]
    inner_router: bool
    inner_gateway: str


SITUATIONS = {
    "the NICs are called alike": Situation("nodes-same-names.toml", SAME, False, ADDRESSES["master1"][1]),
    "the inner network has a router": Situation("nodes-with-router.toml", DIFFERENT, True, INNER_ROUTER),
    "only the addresses tell": Situation("nodes-by-selector.toml", DIFFERENT, False, ADDRESSES["master1"][1]),
}


@pytest.fixture(params=SITUATIONS)
def situation(request: pytest.FixtureRequest) -> Situation:
    return SITUATIONS[request.param]


@pytest.fixture
def cluster(situation: Situation, tmp_path: Path) -> Iterator[Cluster]:
    with documents_cluster(tmp_path, situation.cards, inner_router=situation.inner_router) as made:
        yield made


def start(cluster: Cluster, example: str) -> None:
    """The same file on every host."""
    for host in cluster.hosts.values():
        host.daemon.config.write_bytes((EXAMPLES / example).read_bytes())
        with netns.inside(host.namespace):
            host.daemon.start()


class Seen(NamedTuple):
    """A connection in short: whom the master saw, from where and over which NICs packets went, and came."""

    by_master: str
    sources: set[str]
    out: set[str]
    back: set[str]


def sum_up(connection: Connection) -> Seen:
    sent = {packet for packet in connection.packets if packet.is_sent}
    came = connection.packets - sent
    return Seen(
        connection.seen_by_master,
        {packet.source for packet in sent},
        {packet.card for packet in sent},
        {packet.card for packet in came},
    )


def assert_it_is_an_inner_one(cluster: Cluster, connection: Connection) -> None:
    node = cluster.node
    assert sum_up(connection) == Seen(node.inner, {node.inner}, {node.cards.inner}, {node.cards.inner})


def test_without_routed_the_outer_address_is_taken_and_the_answers_come_by_the_outer_nic(cluster: Cluster) -> None:
    node = cluster.node
    assert sum_up(cluster.connect()) == Seen(node.outer, {node.outer}, {node.cards.inner}, {node.cards.outer})


def test_node01_reaches_the_vip_by_the_inner_network_whatever_becomes_of_nic_and_default_route(
    cluster: Cluster, situation: Situation
) -> None:
    start(cluster, situation.example)
    node = cluster.node
    assert_it_is_an_inner_one(cluster, cluster.connect())

    node.flap(node.cards.inner)
    wait_until(lambda: len(node.vip_routes()) == 1)
    assert_it_is_an_inner_one(cluster, cluster.connect())

    node.ip(f"route replace default via {situation.inner_gateway} dev {node.cards.inner}")
    wait_until(lambda: node.vip_routes() == [])
    assert_it_is_an_inner_one(cluster, cluster.connect())

    node.ip(f"route replace default via {OUTER_ROUTER} dev {node.cards.outer}")
    wait_until(lambda: len(node.vip_routes()) == 1)
    assert_it_is_an_inner_one(cluster, cluster.connect())


def test_one_file_for_all_hosts_pins_each_to_its_own_inner_address(cluster: Cluster, situation: Situation) -> None:
    start(cluster, situation.example)
    for host in cluster.hosts.values():
        assert host.daemon.entry(ENTRY)["state"] == "in-sync"
        (route,) = host.vip_routes()
        assert (route["gateway"], route["dev"], route["prefsrc"]) == (host.inner, host.cards.inner, host.inner)
        assert host.chosen_source() == host.inner
        with netns.inside(host.namespace):
            assert host.daemon.ask_json("select", "@internal")["ifname"] == host.cards.inner  # what calico is told


@pytest.mark.parametrize("situation", ["the inner network has a router"], indirect=True)
def test_the_router_as_the_documents_misspell_it_chooses_no_nic_rather_than_the_outer_one(
    cluster: Cluster, situation: Situation
) -> None:
    node = cluster.node
    text = (EXAMPLES / situation.example).read_text()
    assert text.count('"192.168.253.1"') == 1
    node.daemon.config.write_text(text.replace('"192.168.253.1"', '"192.158.253.1"'))
    with netns.inside(node.namespace):
        node.daemon.start()
    entry = node.daemon.entry(ENTRY)
    assert (entry["state"], entry["reason"]) == ("waiting", "no interface of this host is @internal")
    assert node.vip_routes() == []


@pytest.mark.parametrize("situation", ["the NICs are called alike"], indirect=True)
def test_what_would_leave_by_the_outer_nic_leaves_by_the_inner_one(cluster: Cluster, situation: Situation) -> None:
    cluster.let_a_master_hold_the_vip()
    node = cluster.node
    assert sum_up(cluster.connect()) == Seen(node.outer, {node.outer}, {node.cards.outer}, {node.cards.outer})
    start(cluster, situation.example)
    assert_it_is_an_inner_one(cluster, cluster.connect())


@pytest.mark.parametrize("situation", ["the NICs are called alike"], indirect=True)
def test_where_reverse_paths_are_filtered_no_connection_comes_about_without_routed(
    cluster: Cluster, situation: Situation
) -> None:
    for master in cluster.masters:
        master.set_reverse_path_filter(1)
        assert_it_is_an_inner_one(cluster, cluster.connect(to=master.inner))
    with cluster.knocking() as capture:
        wait_until(lambda: any(master.count_refused_by_reverse_path() for master in cluster.masters))
        assert {(packet.is_sent, packet.source) for packet in capture.read()} == {(True, cluster.node.outer)}
    start(cluster, situation.example)
    assert_it_is_an_inner_one(cluster, cluster.connect())
