"""Timeouts of IPVS: what is written stands, what somebody changed is put back, the others are left alone.

Over a peer that behaves as IPVS in the kernel does: first the dataplane by itself, then the story.
"""

from __future__ import annotations

from errno import EINVAL, EPERM
from pathlib import Path

import pytest

from routed.audit.records import Context, record_outcomes
from routed.core.troubles import State
from routed.daemon.ipvs import CLAIMS
from routed.daemon.report import Report
from routed.daemon.status import describe_entries, vocabulary_of
from routed.kernel.dump import finish
from routed.model.entries import TimeoutsEntry
from routed.model.ipvs import LONGEST_TIMEOUT, TimeoutValue
from routed.model.net import FAMILIES
from routed.model.objects import Kind, Scope
from routed.model.owner import Marks
from tests.property.fake_ipvs import SET_CONFIG
from tests.property.ipvs_scene import OURS, Scene
from tests.property.rig import ORIGIN
from tests.property.test_services import Scene as Host

KERNELS = [900, 120, 300]


def timeouts(**seconds: int) -> TimeoutsEntry:
    return TimeoutsEntry(name="ipvs/timeouts", origin=ORIGIN, timeouts=tuple(seconds.items()))


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_timeouts_of_the_namespace_are_read_and_set(scene: Scene) -> None:
    assert scene.timeouts() == {"tcp": (0, 900), "tcp_fin": (0, 120), "udp": (0, 300)}
    assert scene.set_timeout("tcp", TimeoutValue(OURS, 1800)) == []
    assert scene.timeouts() == {"tcp": (OURS, 1800), "tcp_fin": (0, 120), "udp": (0, 300)}
    assert scene.peer.timeouts == [1800, 120, 300]


def test_who_sets_a_timeout_that_is_claimed_takes_no_claim_away(scene: Scene) -> None:
    scene.set_timeout("udp", TimeoutValue(OURS, 30))
    scene.peer.timeouts = [600, 60, 60]  # ipvsadm --set 600 60 60
    assert scene.timeouts() == {"tcp": (0, 600), "tcp_fin": (0, 60), "udp": (OURS, 60)}


def test_a_claimed_timeout_is_known_to_who_starts_anew_and_given_up_when_the_module_goes(scene: Scene) -> None:
    scene.set_timeout("tcp", TimeoutValue(OURS, 1800))
    scene.start()
    assert scene.timeouts()["tcp"] == (OURS, 1800)
    assert [one.family for one in scene.ipvs.find_owned(Kind.TIMEOUT, (0,), Marks(OURS))] == [0]
    assert list(scene.ipvs.find_owned(Kind.SERVICE, FAMILIES, Marks(OURS))) == []
    scene.peer.is_loaded = False
    assert scene.timeouts() == {}
    assert scene.store.claimed() == {}


def test_an_equal_timeout_is_claimed_and_given_up_without_a_request(scene: Scene) -> None:
    scene.timeouts()
    scene.peer.asked.clear()
    scene.set_timeout("tcp", TimeoutValue(OURS, 900), TimeoutValue(0, 900))
    assert scene.timeouts()["tcp"] == (OURS, 900)
    scene.set_timeout("tcp", TimeoutValue(0, 900), TimeoutValue(OURS, 900))
    assert scene.timeouts()["tcp"] == (0, 900)
    assert SET_CONFIG not in scene.peer.asked


def test_while_no_timeout_changes_their_dump_is_the_same(scene: Scene) -> None:
    scope = Scope(Kind.TIMEOUT, 0)
    first = finish(scene.ipvs.read_dump(scope)).fingerprint
    assert finish(scene.ipvs.read_dump(scope)).fingerprint == first
    scene.peer.timeouts[2] = 30
    assert finish(scene.ipvs.read_dump(scope)).fingerprint != first


@pytest.mark.parametrize("seconds", [0, LONGEST_TIMEOUT + 1])
def test_a_timeout_that_the_kernel_would_swallow_is_refused(scene: Scene, seconds: int) -> None:
    [failure] = scene.set_timeout("tcp", TimeoutValue(OURS, seconds))
    assert failure.errno == EINVAL
    assert "from 1 s to 24 days" in failure.text
    assert scene.peer.timeouts == [900, 120, 300]


def test_what_may_not_be_set_is_no_claim(scene: Scene) -> None:
    scene.timeouts()
    scene.peer.is_permitted = False
    [failure] = scene.set_timeout("tcp", TimeoutValue(OURS, 1800))
    assert failure.errno == EPERM
    assert scene.store.claimed() == {}


def test_who_is_killed_before_the_request_has_the_claim_and_who_comes_then_sees_what_stands(scene: Scene) -> None:
    def kill(command: int) -> None:
        if command == SET_CONFIG:
            raise KeyboardInterrupt

    scene.peer.before = kill
    with pytest.raises(KeyboardInterrupt):
        scene.set_timeout("tcp", TimeoutValue(OURS, 1800))
    scene.peer.before = lambda _command: None
    scene.start()
    assert scene.timeouts()["tcp"] == (OURS, 900)
    assert scene.set_timeout("tcp", TimeoutValue(OURS, 1800), TimeoutValue(OURS, 900)) == []
    assert scene.peer.timeouts == [1800, 120, 300]


def take_settings(host: Host) -> int:
    """How often they were set since the last time."""
    count = host.peer.asked.count(SET_CONFIG)
    host.peer.asked.clear()
    return count


def test_what_is_written_stands_and_a_start_over_it_changes_nothing(host: Host) -> None:
    host.rig.start(timeouts(tcp=7200, udp=30))
    assert host.peer.timeouts == [7200, 120, 30]
    assert host.states() == ["in-sync"]
    assert take_settings(host) == 2
    host.begin()
    host.rig.start(timeouts(tcp=7200, udp=30))
    assert host.rig.plan_is_empty()
    assert take_settings(host) == 0


def test_what_somebody_changed_is_put_back_by_the_next_look_and_what_is_not_written_is_left(host: Host) -> None:
    host.rig.start(timeouts(tcp=7200))
    take_settings(host)
    host.peer.timeouts = [600, 60, 60]  # ipvsadm --set 600 60 60
    host.rig.run(5.1)
    assert host.peer.timeouts == [7200, 60, 60]
    assert take_settings(host) == 1
    host.rig.run(60.0)
    assert take_settings(host) == 0


def test_a_fight_over_a_timeout_ends_and_is_told(host: Host) -> None:
    host.rig.start(timeouts(tcp=7200))
    for _ in range(40):
        host.peer.timeouts[0] = 600
        host.rig.run(5.1)
    assert host.states() == [State.HELD]


def test_what_stood_there_is_put_back_when_no_file_wants_it_any_more(host: Host) -> None:
    host.peer.timeouts = [600, 60, 60]
    host.rig.start(timeouts(tcp=7200, udp=30))
    assert host.peer.timeouts == [7200, 60, 30]
    host.rig.start(timeouts(udp=30))
    assert host.peer.timeouts == [600, 60, 30]
    host.rig.start()
    assert host.peer.timeouts == [600, 60, 60]
    host.peer.timeouts = [601, 60, 60]
    host.rig.resync()
    assert host.peer.timeouts == [601, 60, 60]


def test_where_the_module_was_not_there_the_kernels_own_is_put_back(host: Host) -> None:
    host.peer.is_loaded = False
    host.rig.start(timeouts(tcp=7200))
    assert host.peer.is_loaded
    assert host.peer.timeouts == [7200, 120, 300]
    host.rig.start()
    assert host.peer.timeouts == KERNELS
    assert host.rig.plan_is_empty()


def test_what_is_claimed_and_in_no_file_at_the_next_start_is_given_back(host: Host) -> None:
    host.rig.start(timeouts(tcp=7200, udp=30))
    host.begin()
    host.rig.start(timeouts(udp=30))
    assert host.peer.timeouts == [900, 120, 30]
    host.begin()
    host.rig.start()
    assert host.peer.timeouts == KERNELS


def test_an_equal_one_is_adopted_without_a_request(host: Host) -> None:
    host.rig.start(timeouts(tcp=900))
    assert host.states() == ["in-sync"]
    assert take_settings(host) == 0
    host.peer.timeouts[0] = 600
    host.rig.run(5.1)
    assert host.peer.timeouts == KERNELS


def test_after_the_module_was_loaded_anew_they_are_put_again(host: Host) -> None:
    host.rig.start(timeouts(tcp=7200))
    host.peer.reload()
    host.rig.run(5.1)
    assert host.peer.timeouts == [7200, 120, 300]
    host.peer.is_loaded, host.peer.timeouts, host.peer.family = False, list(KERNELS), 77
    host.rig.run(5.1)
    assert host.peer.timeouts == [7200, 120, 300]
    assert host.states() == ["in-sync"]


def test_a_kernel_without_ipvs_says_why(host: Host) -> None:
    host.peer.is_there = host.peer.is_loaded = False
    host.rig.start(timeouts(tcp=7200))
    [entry] = describe_entries(host.rig.host, str)
    assert entry["state"] == "failed"
    assert "this kernel has no IPVS" in entry["reason"]
    host.peer.is_there = True
    host.rig.run(120.0)
    assert host.states() == ["in-sync"]


def test_a_host_that_writes_none_asks_for_none(host: Host) -> None:
    host.rig.start()
    host.rig.resync()
    assert host.peer.asked == []
    assert not (host.folder / CLAIMS).exists()


def say(host: Host, reports: list[Report], *, is_initial: bool = False) -> list[str]:
    """The journal's sentences about them."""
    context = Context(vocabulary_of(host.rig.host), is_initial=is_initial)
    records = [record for report in reports for record in record_outcomes(report.outcomes, context)]
    return [record.message for record in records]


def test_the_operator_is_told_as_of_any_object(host: Host) -> None:
    host.peer.timeouts = [600, 60, 60]
    started = say(host, host.rig.start(timeouts(tcp=7200)), is_initial=True)
    assert started == ["ipvs/timeouts tcp took the place of a foreign object: tcp 600s"]
    host.peer.timeouts[0] = 601
    [repaired] = say(host, host.rig.run(5.1))
    assert repaired.startswith("ipvs/timeouts tcp: timeout 601 instead of 7200 (found by")
    [entry] = describe_entries(host.rig.host, str)
    assert [(thing["kind"], thing["object"], thing["state"]) for thing in entry["objects"]] == [
        (Kind.TIMEOUT, "tcp", State.IN_SYNC)
    ]
    assert say(host, host.rig.start()) == ["timeout tcp put back, as it stood before routed took its place: tcp 600s"]
