"""A source of type etcd beside real servers: who comes and goes, and what befalls the servers and the way to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routed.members import etcd, streams
from routed.members.follower import Consequence, Follower
from routed.members.session import Login
from routed.model import net
from routed.model.etcd import EtcdSettings, Format, Unheard
from routed.model.members import Broken, Member, Snapshot
from tests.members.conftest import add_change, following
from tests.members.etcds import base, running
from tests.members.proxy import between


def test_members_come_change_and_go(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster, following(EtcdSettings(cluster.endpoints, "/fleet/")) as heard:
        heard.wait_for()
        cluster.put("/fleet/a", {"addresses": ["192.0.2.1"]})
        heard.wait_for("a")
        cluster.put("/fleet/b", {"addresses": ["192.0.2.2"]})
        cluster.put("/fleets", "none of ours")
        heard.wait_for("a", "b")
        cluster.put("/fleet/a", {"addresses": ["192.0.2.3"], "prefixes": ["10.5.52.0/24"]})
        changed = Member("a", addresses=(net.parse_address("192.0.2.3"),), prefixes=(net.parse_prefix("10.5.52.0/24"),))
        heard.wait_until(lambda: changed in heard.snapshot.members)
        cluster.delete("/fleet/a")
        heard.wait_for("b")
        assert heard.snapshot.is_complete


def test_who_stood_there_before_is_told_at_once(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster:
        for name in "ab":
            cluster.put(f"/fleet/{name}", {})
        with following(EtcdSettings(cluster.endpoints, "/fleet/")) as heard:
            heard.wait_for("a", "b")
            assert len(heard.told) == 1


def test_a_broken_value_is_a_fault_of_that_member_alone(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster, following(EtcdSettings(cluster.endpoints, "/fleet/")) as heard:
        cluster.put("/fleet/a", "{")
        cluster.put("/fleet/b", {"prefixes": ["10.0.0.1/8"]})
        cluster.put("/fleet/deep/c", {})
        cluster.put("/fleet/d", {})
        heard.wait_for("d")
        assert [one.name for one in heard.snapshot.broken] == ["a", "b", "deep/c"]
        assert heard.snapshot.broken[0] == Broken("a", "its value is no JSON")
        cluster.put("/fleet/a", {})
        heard.wait_for("a", "d")


def test_the_leases_of_flannel_are_members(program: Path, tmp_path: Path) -> None:
    prefix = "/coreos.com/network/subnets/"
    with running(program, tmp_path) as cluster:
        cluster.put(f"{prefix}10.5.52.0-24", {"PublicIP": "192.168.50.1", "BackendType": "host-gw"})
        with following(EtcdSettings(cluster.endpoints, prefix, Format.FLANNEL)) as heard:
            heard.wait_for("10.5.52.0-24")
            assert heard.snapshot.members[0] == Member(
                "10.5.52.0-24",
                addresses=(net.parse_address("192.168.50.1"),),
                prefixes=(net.parse_prefix("10.5.52.0/24"),),
                labels=(("backend", "host-gw"),),
            )


def test_a_hundred_who_join_at_once_are_all_there(program: Path, tmp_path: Path) -> None:
    names = [f"n{number:03}" for number in range(100)]
    with running(program, tmp_path) as cluster, following(EtcdSettings(cluster.endpoints, "/fleet/")) as heard:
        for name in names:
            cluster.put(f"/fleet/{name}", {})
        heard.wait_for(*names)


def test_what_comes_as_one_line_of_more_than_a_megabyte_is_read(program: Path, tmp_path: Path) -> None:
    names = [f"n{number:02}" for number in range(20)]
    padded = '{"port": 80' + " " * 50_000 + "}"
    with running(program, tmp_path) as cluster, following(EtcdSettings(cluster.endpoints, "/fleet/")) as heard:
        heard.wait_for()
        puts = [{"request_put": {"key": base(f"/fleet/{name}"), "value": base(padded)}} for name in names]
        cluster.ask("/kv/txn", {"success": puts})
        heard.wait_for(*names)
        assert not heard.snapshot.broken


# --- what befalls the way to it -----------------------------------------------------------------------------------


def test_what_happened_and_was_compacted_while_the_way_was_cut_is_told_after_it(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster, between(cluster.servers[0].port) as proxy:
        for name in "abc":
            cluster.put(f"/fleet/{name}", {})
        with following(EtcdSettings((proxy.endpoint,), "/fleet/")) as heard:
            heard.wait_for("a", "b", "c")
            proxy.cut()
            heard.wait_why("closed the connection")
            cluster.delete("/fleet/a")
            cluster.put("/fleet/b", {"port": 80})
            cluster.put("/fleet/d", {})
            cluster.compact()
            assert heard.names == ["a", "b", "c"]
            proxy.mend()
            heard.wait_for("b", "c", "d")
            assert heard.snapshot.members[0].port == 80


def test_a_watch_that_carries_nothing_any_more_is_left(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd, "QUIET", 0.3)
    with (
        running(program, tmp_path) as cluster,
        between(cluster.servers[0].port) as proxy,
        following(EtcdSettings((proxy.endpoint,), "/fleet/")) as heard,
    ):
        heard.wait_for()
        proxy.freeze()
        cluster.put("/fleet/a", {})
        heard.wait_for("a")
        proxy.freeze()
        cluster.delete("/fleet/a")
        heard.wait_for()


def test_a_watch_with_nothing_to_tell_stays(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd, "QUIET", 0.1)
    with running(program, tmp_path) as cluster, between(cluster.servers[0].port) as proxy:
        cluster.put("/fleet/a", {})
        with following(EtcdSettings((proxy.endpoint,), "/fleet/")) as heard:
            heard.wait_for("a")
            cluster.put("/elsewhere", {})
            heard.wait_until(lambda: proxy.begun > 5)  # the watch, and some who looked after it
            cluster.put("/fleet/b", {})
            heard.wait_for("a", "b")
            assert len(heard.told) == 2  # one more would have been read anew


def test_a_server_that_answers_nothing_any_more_is_said_to_be_silent(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd, "QUIET", 0.3)
    monkeypatch.setattr(etcd, "ANSWER", 0.5)
    with running(program, tmp_path) as cluster:
        cluster.put("/fleet/a", {})
        with following(EtcdSettings(cluster.endpoints, "/fleet/")) as heard:
            heard.wait_for("a")
            cluster.servers[0].pause()
            heard.wait_why("no answer in")
            assert heard.names == ["a"]
            cluster.servers[0].go_on()
            heard.wait_for("a")


# --- what befalls its members -------------------------------------------------------------------------------------


def test_another_member_is_asked_when_one_is_killed_and_nothing_is_lost(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path, 3) as cluster:
        cluster.put("/fleet/a", {})
        with following(EtcdSettings(cluster.endpoints, "/fleet/")) as heard:
            heard.wait_for("a")
            cluster.servers[0].kill()
            cluster.put("/fleet/b", {})
            heard.wait_for("a", "b")
            cluster.servers[0].start()
            cluster.leader.kill()
            heard.wait_until(lambda: cluster.try_put("/fleet/c", {}))
            heard.wait_for("a", "b", "c")
            assert not any(isinstance(one, Unheard) for one in heard.told)


def test_without_a_quorum_nobody_is_removed_and_the_source_says_why(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path, 3) as cluster:
        cluster.put("/fleet/a", {})
        with following(EtcdSettings(cluster.endpoints, "/fleet/")) as heard:
            heard.wait_for("a")
            for server in cluster.servers[1:]:
                server.kill()
            heard.wait_why("it has no quorum", within=30)
            assert heard.why.count("connection refused") == 2
            assert heard.names == ["a"]
            for server in cluster.servers[1:]:
                server.start()
            heard.wait_until(lambda: cluster.try_put("/fleet/b", {}), within=30)
            heard.wait_for("a", "b", within=30)


def test_a_server_whose_state_is_another_one_is_read_anew(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster, between(cluster.servers[0].port) as proxy:
        for name in "abcdef":
            cluster.put(f"/fleet/{name}", {})
        with following(EtcdSettings((proxy.endpoint,), "/fleet/")) as heard:
            heard.wait_for(*"abcdef")
            cluster.servers[0].wipe()
            heard.wait_until(cluster.answers, 20)
            cluster.put("/fleet/z", {})
            heard.wait_for("z")


def test_a_dead_way_is_noticed_in_time() -> None:
    assert etcd.QUIET + streams.CONNECT + etcd.ANSWER <= 90


# --- what it says, cut anywhere -----------------------------------------------------------------------------------


def test_what_a_real_server_said_may_be_cut_at_any_byte(program: Path, tmp_path: Path) -> None:
    with recording() as said, running(program, tmp_path) as cluster:
        cluster.put("/fleet/a", {})
        settings = EtcdSettings(cluster.endpoints, "/fleet/")
        with following(settings) as heard:
            heard.wait_for("a")
            cluster.put("/fleet/b", {"port": 80})
            heard.wait_for("a", "b")
            cluster.put("/fleet/b", {"port": 81})
            cluster.delete("/fleet/a")
            heard.wait_for("b")
    told = play(settings, said)
    assert told == heard.snapshot
    read, watched = said[0], b"".join(said[1:])
    for cut in range(len(read)):
        assert play(settings, [read[:cut], read[cut:], watched]) == told
    for cut in range(len(watched)):
        assert play(settings, [read, watched[:cut], watched[cut:]]) == told


@contextmanager
def recording() -> Iterator[list[bytes]]:
    """All that followers hear to the end of the block."""
    said: list[bytes] = []
    receive = Follower.receive

    def listen(self: Follower, data: bytes) -> Consequence:
        said.append(data)
        return receive(self, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Follower, "receive", listen)
        yield said


def play(settings: EtcdSettings, pieces: list[bytes]) -> Snapshot | None:
    """What another follower makes of these."""
    follower = Follower(settings, Login())
    told: Snapshot | None = None
    follower.begin(settings.endpoints[0].authority)
    for piece in filter(None, pieces):
        if (now := follower.receive(piece).told) is not None:
            told = now if told is None or now.gone is None else add_change(told, now)
    return told
