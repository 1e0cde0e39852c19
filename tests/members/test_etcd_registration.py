"""This host among the members of a real etcd: it comes, stays, is lost, comes again, and goes."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path

import pytest

from routed.members import turns
from routed.model import net
from routed.model.etcd import EtcdSettings, OnStop, Registration
from routed.model.members import Member
from tests.members.conftest import following
from tests.members.etcds import Cluster, running
from tests.members.proxy import between

ADDRESS = net.parse_address("192.0.2.1")
PREFIX = net.parse_prefix("10.5.52.0/24")


def of_host(cluster: Cluster, uid: str = "one", ttl: int = 60, on_stop: OnStop = OnStop.KEEP) -> EtcdSettings:
    member = Member("node1", uid, (ADDRESS,), (PREFIX,), labels=(("rack", "7"),))
    return EtcdSettings(cluster.endpoints, "/fleet/", register=Registration(member, ttl, on_stop))


def test_a_host_puts_its_own_document_under_a_lease_and_is_seen_by_others(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster:
        settings = of_host(cluster)
        with following(settings) as host, following(EtcdSettings(cluster.endpoints, "/fleet/")) as other:
            host.wait_registered()
            other.wait_for("node1")
            assert settings.register
            assert other.snapshot.members == (settings.register.member,)
            lease = cluster.get("/fleet/node1")["lease"]
            assert cluster.ask("/lease/timetolive", {"ID": lease})["grantedTTL"] == "60"


@pytest.mark.parametrize("on_stop", OnStop)
def test_a_host_that_stops_stays_or_leaves_at_once_as_it_is_written(
    program: Path, tmp_path: Path, on_stop: OnStop
) -> None:
    with running(program, tmp_path) as cluster:
        with following(of_host(cluster, on_stop=on_stop)) as host:
            host.wait_registered()
        assert bool(cluster.get("/fleet/node1")) is (on_stop is OnStop.KEEP)


def test_a_host_of_which_other_words_are_to_stand_there_is_never_gone(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster:
        settings = of_host(cluster, on_stop=OnStop.REMOVE)
        with following(settings, is_leaving=False) as host:
            host.wait_registered()
        before = cluster.get("/fleet/node1")
        assert settings.register
        changed = settings.register._replace(member=settings.register.member._replace(port=80))
        with following(settings._replace(register=changed)) as host:
            host.wait_registered()
            after = cluster.get("/fleet/node1")
        assert after["create_revision"] == before["create_revision"]
        assert after["value"]["port"] == 80
        assert not cluster.get("/fleet/node1")  # now it left


def test_a_host_that_begins_again_takes_over_what_it_left_there(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster:
        with following(of_host(cluster)) as host:
            host.wait_registered()
        before = cluster.get("/fleet/node1")
        with following(of_host(cluster)) as host:
            host.wait_registered()
            after = cluster.get("/fleet/node1")
        assert after["create_revision"] == before["create_revision"]  # it was never gone
        assert after["lease"] != before["lease"]
        assert not any("another host" in host.why_not for _ in host.states)


def test_a_name_that_another_host_has_is_refused_and_named_until_it_is_free(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster:
        with following(of_host(cluster, on_stop=OnStop.REMOVE)) as first:
            first.wait_registered()
            with following(of_host(cluster, uid="two")) as second:
                second.wait_why_not("another host that lives has this name: 192.0.2.1, uid one")
                assert cluster.get("/fleet/node1")["value"]["uid"] == "one"
                assert first.is_registered
                cluster.delete("/fleet/node1")  # whoever is first has it
                first.wait_until(lambda: bool(cluster.get("/fleet/node1")))
        with following(of_host(cluster, uid="two")) as second:
            second.wait_registered()


def test_a_registration_that_somebody_deletes_or_changes_is_put_there_again(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster, following(of_host(cluster)) as host:
        host.wait_registered()
        cluster.delete("/fleet/node1")
        host.wait_why_not("somebody deleted")
        host.wait_until(lambda: bool(cluster.get("/fleet/node1")))
        host.wait_registered()
        value = cluster.get("/fleet/node1")["value"]
        cluster.put("/fleet/node1", {**value, "prefixes": ["0.0.0.0/0"]})
        host.wait_until(lambda: cluster.get("/fleet/node1")["value"] == value)


def test_a_lease_that_is_gone_is_granted_anew(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster, following(of_host(cluster)) as host:
        host.wait_registered()
        lost = cluster.get("/fleet/node1")["lease"]
        cluster.ask("/lease/revoke", {"ID": lost})
        host.wait_why_not("the lease of this host has run out")
        host.wait_until(lambda: cluster.get("/fleet/node1").get("lease", lost) != lost)
        host.wait_registered()


def test_a_host_that_could_not_reach_etcd_for_longer_than_its_lease_says_so_and_comes_again(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LAST", 0.5)
    with running(program, tmp_path) as cluster, between(cluster.servers[0].port) as proxy:
        settings = of_host(cluster, ttl=5)._replace(endpoints=(proxy.endpoint,))
        with following(settings) as host, following(EtcdSettings(cluster.endpoints, "/fleet/")) as other:
            host.wait_registered()
            host.wait_for("node1")
            other.wait_for("node1")
            proxy.cut()
            other.wait_for(within=20)  # the lease ran out
            host.wait_why_not("closed the connection", within=20)
            assert host.names == ["node1"]  # and nobody is removed here for that
            proxy.mend()
            host.wait_registered(within=20)
            other.wait_for("node1")


def test_a_lease_that_is_kept_alive_lasts(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster, following(of_host(cluster, ttl=5)) as host:
        host.wait_registered()
        lease = cluster.get("/fleet/node1")["lease"]
        seen: list[int] = []

        def was_renewed_twice() -> bool:
            seen.append(int(cluster.ask("/lease/timetolive", {"ID": lease})["TTL"]))
            return sum(after > before for before, after in itertools.pairwise(seen)) == 2

        host.wait_until(was_renewed_twice, within=20)
        assert len(host.states) == 1


def test_a_host_stays_registered_when_the_member_that_it_speaks_to_is_killed(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path, 3) as cluster, following(of_host(cluster, ttl=10)) as host:
        host.wait_registered()
        lease = cluster.get("/fleet/node1")["lease"]
        cluster.servers[0].kill()
        cluster.servers.pop(0)

        heard: list[int] = []  # seconds that are left

        def was_renewed() -> bool:
            with suppress(ConnectionError, AssertionError):  # while they choose a leader
                heard.append(int(cluster.ask("/lease/timetolive", {"ID": lease}).get("TTL", 0)))
            return any(after > before for before, after in itertools.pairwise(heard))

        host.wait_until(was_renewed, within=20)
        assert len(host.states) == 1


def test_a_host_that_stops_leaves_though_the_member_that_it_spoke_to_was_killed(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path, 3) as cluster:
        with following(of_host(cluster, ttl=600, on_stop=OnStop.REMOVE)) as host:
            host.wait_registered()
            cluster.servers[0].kill()
            cluster.servers.pop(0)
            host.wait_until(cluster.answers, within=20)  # they have a leader
        host.wait_until(lambda: not cluster.get("/fleet/node1"), within=2)
