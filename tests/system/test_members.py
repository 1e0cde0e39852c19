"""Members of a source of type file: who joins, leaves and moves, and that no fault of the file takes a route away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.fleet import Fleet, node, pods, source
from tests.system.monitor import Monitor

TWO = {"10.244.1.0/24": "10.0.0.101", "10.244.2.0/24": "10.0.0.102"}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def wait_for_pods(expected: dict[str, str]) -> None:
    try:
        wait_until(lambda: pods() == expected)
    except AssertionError:
        assert pods() == expected


def test_who_joins_is_routed_to_who_moves_is_followed_and_who_leaves_is_not(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(node(1))
    daemon.start(source('max_loss = "off"'))
    assert pods() == {"10.244.1.0/24": "10.0.0.101"}

    fleet.tell(node(1), node(2))
    wait_for_pods(TWO)
    came = daemon.wait_for("members-changed", "source/fleet", "node2 came")
    assert came["message"] == "source/fleet: node2 came; 2 members now"
    assert daemon.wait_for("added", "route/pods?node2]")

    fleet.tell(node(1), node(2, addresses=["10.0.0.77"]))
    wait_for_pods(TWO | {"10.244.2.0/24": "10.0.0.77"})
    daemon.wait_for("members-changed", "source/fleet", "node2 changed")

    fleet.tell(node(2, addresses=["10.0.0.77"]))
    wait_for_pods({"10.244.2.0/24": "10.0.0.77"})
    daemon.wait_for("members-changed", "source/fleet", "node1 went; 1 member now")
    assert daemon.status()["leftovers"] == []


def test_apply_has_in_force_what_was_written_before_it(daemon: Daemon, fleet: Fleet) -> None:
    daemon.start("")
    fleet.tell(node(1))
    daemon.write(source())
    planned = daemon.ask_json("plan")
    assert [step["entry"] for step in planned["steps"]] == ["route/pods[node1]"]
    answer = daemon.ask("apply")
    assert (answer.code, answer.err) == (0, "")
    assert pods() == {"10.244.1.0/24": "10.0.0.101"}
    fleet.tell(node(1), node(2))
    applied = daemon.ask_json("apply")
    assert (applied["changed"], applied["in_sync"]) == (1, 2)
    assert pods() == TWO
    assert daemon.ask_json("plan")["steps"] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text(""),
        lambda path: path.write_text(path.read_text()[: len(path.read_text()) // 2]),
        lambda path: path.write_bytes(b"\x00\xff\x1b[31m" * 100),
        lambda path: path.write_text('{"members": 3}'),
        lambda path: path.write_text("[]"),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["away", "empty", "cut off", "garbage", "no list", "no table", "a folder"],
)
def test_a_file_that_says_nothing_takes_nobody_away(
    daemon: Daemon, fleet: Fleet, monitor: Monitor, spoil: Callable[[Path], None]
) -> None:
    fleet.tell(node(1), node(2))
    daemon.start(source('max_loss = "off"'))
    monitor.heard()
    daemon.forget()
    spoil(fleet.path)
    said = daemon.wait_for("source-failed", "source/fleet")
    assert "its 2 members stay" in said["message"]
    assert said["message"].isprintable()
    (shown,) = daemon.ask("members").out.splitlines()[:1]
    assert shown.startswith("source/fleet  stale for ")
    assert daemon.ask("apply").code == 0
    assert pods() == TWO
    # nor does a start while it is so
    daemon.kill()
    daemon.start()
    assert pods() == TWO
    assert monitor.heard() == []
    if fleet.path.is_dir():
        fleet.path.rmdir()
    fleet.tell(node(1), node(2), node(3))
    daemon.wait_for("source-live")
    wait_for_pods(TWO | {"10.244.3.0/24": "10.0.0.103"})


def test_too_many_stay_until_the_operator_lets_them_go(daemon: Daemon, fleet: Fleet) -> None:
    everybody = [node(number) for number in range(1, 9)]
    fleet.tell(*everybody)
    daemon.start(source())
    assert daemon.ask("members").code == 0
    fleet.tell(*everybody[:4])
    daemon.wait_for("members-held", saying="4 of 8 members would go within a minute")
    assert len(pods()) == 8
    answer = daemon.ask("members")
    assert answer.code == 4
    assert "held" in answer.out.splitlines()[0]
    answer = daemon.ask("apply")
    assert answer.code == 4
    assert "4 of 8 members would go within a minute" in answer.out + answer.err
    assert len(pods()) == 8
    assert daemon.entry("route/pods")["state"] == "held"
    assert daemon.ask("apply", "--force").code == 0
    wait_until(lambda: len(pods()) == 4)
    assert daemon.ask("apply").code == 0
    assert daemon.ask("members").code == 0


def test_none_at_all_is_believed_by_force_alone(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(node(1))
    daemon.start(source('max_loss = "off"'))
    fleet.tell()
    daemon.wait_for("members-held", saying="it tells of no member at all")
    assert pods() == {"10.244.1.0/24": "10.0.0.101"}
    assert daemon.ask("apply", "--force").code == 0
    assert pods() == {}


@pytest.mark.parametrize("is_written_meanwhile", [False, True])
def test_a_restart_adopts_what_stands_and_writes_nothing(
    daemon: Daemon, fleet: Fleet, monitor: Monitor, is_written_meanwhile: bool
) -> None:
    fleet.tell(*[node(number) for number in range(1, 40)])
    daemon.start(source())
    wait_until((daemon.state / "members/fleet.json").exists)
    monitor.heard()
    daemon.kill()
    if is_written_meanwhile:
        fleet.path.unlink()
    daemon.start()
    assert len(pods()) == 39
    assert monitor.heard() == []
    assert daemon.ask("plan", "--exit-code").code == 0
    assert not daemon.records("removed")


def test_a_member_that_came_a_moment_before_a_crash_loses_nothing_while_the_file_is_away(
    daemon: Daemon, fleet: Fleet, monitor: Monitor
) -> None:
    fleet.tell(node(1))
    daemon.start(source())
    wait_until((daemon.state / "members/fleet.json").exists)
    fleet.tell(node(1), node(2))
    wait_for_pods(TWO)
    daemon.kill()  # before it is kept
    monitor.heard()
    fleet.path.unlink()
    daemon.start()
    assert pods() == TWO
    assert monitor.heard() == []


def test_the_routes_of_all_members_are_back_after_a_flap_without_the_source(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(*[node(n, addresses=[f"10.0.0.{2 + n % 200}"], prefixes=[f"10.244.{n % 250}.{n // 250 * 16}/28"])
                 for n in range(1000)])  # fmt: skip
    daemon.start(source())
    before = pods()
    assert len(before) == 1000
    fleet.path.unlink()
    daemon.wait_for("source-failed")
    ip("link set v0 down")
    wait_until(lambda: pods() == {})
    ip("link set v0 up")
    wait_for_pods(before)


def test_a_member_off_the_link_waits_and_says_so(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(node(1), node(2, addresses=["10.9.0.2"]))
    daemon.start(source())
    assert pods() == {"10.244.1.0/24": "10.0.0.101"}
    entry = daemon.entry("route/pods[node2]")
    assert entry["state"] == "waiting"
    assert "10.9.0.2" in entry["reason"]
    answer = daemon.ask("apply")
    assert answer.code == 0
    assert "route/pods[node2]" in answer.out
    ip("address add 10.9.0.1/24 dev v1")
    wait_for_pods({"10.244.1.0/24": "10.0.0.101", "10.244.2.0/24": "10.9.0.2"})


def test_a_foreign_route_in_the_place_of_a_members_is_taken_over_and_repaired(daemon: Daemon, fleet: Fleet) -> None:
    ip("route add 10.244.1.0/24 via 10.0.0.9")
    fleet.tell(node(1))
    daemon.start(source())
    wait_for_pods({"10.244.1.0/24": "10.0.0.101"})
    ip("route replace 10.244.1.0/24 via 10.0.0.9")
    daemon.wait_for("repaired", "route/pods?node1]")
    wait_for_pods({"10.244.1.0/24": "10.0.0.101"})


def test_a_pause_of_the_table_holds_its_parts_and_that_of_a_part_only_it(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(node(1), node(2))
    daemon.start(source())
    assert daemon.ask("pause", "route/pods", "--for", "1h").code == 0
    ip("route del 10.244.1.0/24")
    ip("route del 10.244.2.0/24")
    assert daemon.ask("apply").code == 0
    assert pods() == {}
    assert daemon.entry("route/pods[node1]")["state"] == "paused"
    assert daemon.ask("resume", "route/pods").code == 0
    wait_for_pods(TWO)
    assert daemon.ask("pause", "route/pods[node2]", "--for", "1h").code == 0
    ip("route del 10.244.1.0/24")
    ip("route del 10.244.2.0/24")
    wait_for_pods({"10.244.1.0/24": "10.0.0.101"})


def test_a_table_that_goes_takes_its_routes_along_as_the_plan_says(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(node(1), node(2))
    daemon.start(source())
    daemon.write("")
    steps = daemon.ask_json("plan")["steps"]
    assert sorted(step["object"] for step in steps) == ["10.244.1.0/24", "10.244.2.0/24"]
    assert {step["verb"] for step in steps} == {"delete"}
    assert daemon.ask("apply").code == 0
    assert pods() == {}
    assert daemon.ask("members", "fleet").code == 1


def test_a_change_of_the_source_takes_no_route_away_for_a_moment(
    daemon: Daemon, fleet: Fleet, monitor: Monitor
) -> None:
    fleet.tell(node(1), node(2))
    daemon.start(source("cache = false"))
    monitor.heard()
    daemon.write(source('cache = false\ngone_after = "5s"'))
    assert daemon.ask("apply").code == 0
    assert pods() == TWO
    assert monitor.heard() == []


def test_this_host_is_a_member_without_a_route_to_itself(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(node(1), {"name": "me", "addresses": ["10.0.0.1"], "prefixes": ["10.244.9.0/24"]})
    daemon.start(source())
    assert pods() == {"10.244.1.0/24": "10.0.0.101"}
    assert "self" in next(line for line in daemon.ask("members").out.splitlines() if line.startswith("me"))
    assert daemon.entry("route/pods")["state"] == "in-sync"


def test_of_two_that_claim_a_prefix_the_first_has_it_and_the_other_takes_its_place(
    daemon: Daemon, fleet: Fleet, monitor: Monitor
) -> None:
    fleet.tell(node(2))
    daemon.start(source('max_loss = "off"'))
    fleet.tell(node(2), node(1, prefixes=["10.244.2.0/24"]))
    wait_until(lambda: daemon.status()["entries"][-1]["entry"] == "route/pods[node1]")
    claimed = daemon.entry("route/pods[node1]")
    assert (claimed["state"], claimed["reason"]) == ("conflict", "route/pods[node2] wants the same object")
    assert pods() == {"10.244.2.0/24": "10.0.0.102"}
    kept = daemon.state / "members/fleet.json"
    wait_until(lambda: kept.exists() and "node1" in kept.read_text())
    monitor.heard()
    daemon.kill()
    daemon.start()  # though node1 comes first by its name
    assert monitor.heard() == []

    fleet.tell(node(1, prefixes=["10.244.2.0/24"]))
    wait_for_pods({"10.244.2.0/24": "10.0.0.101"})
    assert [change.what for change in monitor.heard()] == ["route"]  # in its place
    fleet.tell(node(1, prefixes=["10.244.2.0/24"]), node(3, prefixes=["10.244.2.0/24"]))
    daemon.wait_for("members-changed", saying="node3 came")
    monitor.heard()
    fleet.tell(node(1, prefixes=["10.244.2.0/24"]))
    daemon.wait_for("members-changed", saying="node3 went")
    assert daemon.ask("apply").code == 0
    assert monitor.heard() == []
    assert pods() == {"10.244.2.0/24": "10.0.0.101"}


def test_what_a_member_lacks_is_told_in_status_and_once_in_the_journal(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(node(1), node(2, prefixes=[]), node(3, prefixes=["0.0.0.0/0"]))
    daemon.start(source())
    entry = daemon.entry("route/pods")
    assert entry["state"] == "waiting"
    assert "member node2 has nothing of IPv4 for `to`" in entry["reason"]
    daemon.wait_for("waiting", "route/pods", "member node2 has nothing of IPv4 for `to`")
    broken = daemon.wait_for("member-broken", saying="node3")
    assert "0.0.0.0/0" in broken["message"]
    assert not [one for one in ip_json("route show") if one["dst"] == "default"]
    assert daemon.ask("apply").code == 0
    assert len(daemon.records("waiting", "route/pods")) == 1


def test_status_folds_the_members_of_a_table_and_shows_each_where_it_is_asked_for(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(node(1), node(2), node(3, addresses=["10.9.0.2"]))
    daemon.start(source())
    (row,) = [line for line in daemon.ask("status").out.splitlines() if "pods" in line]
    assert "3 members, 2 in sync, 1 waiting (node3: " in row
    assert daemon.ask("status", "-v").out.count("route/pods[node2]") == 2
    shown = daemon.ask("status", "route/pods").out
    assert [f"route/pods[node{number}] is " in shown for number in (1, 2, 3)] == [True] * 3
    shown = daemon.ask("status", "route/pods[node2]").out
    assert shown.startswith("route/pods[node2] is in-sync")
    assert "node1" not in shown
    assert len(daemon.ask_json("status", "pods")["entries"]) == 4
    assert daemon.ask("status", "route/pods[node9]").code == 1


@pytest.mark.parametrize("is_empty", [False, True], ids=["gone", "without prefixes"])
def test_the_guard_of_deletions_stands_behind_that_of_the_source(daemon: Daemon, fleet: Fleet, is_empty: bool) -> None:
    fleet.tell(*[node(number) for number in range(1, 41)])
    daemon.start(source('max_loss = "off"'))
    assert len(pods()) == 40
    fleet.tell(node(1), *[node(number, prefixes=[]) for number in range(2, 41) if is_empty])
    daemon.wait_for("guard-held", saying="39 of 40 owned objects would go at once")
    answer = daemon.ask("apply")
    assert answer.code == 4
    assert "39 of 40 owned objects would go at once" in answer.out
    assert len(pods()) == 40
    assert daemon.ask("apply", "--force").code == 0
    assert pods() == {"10.244.1.0/24": "10.0.0.101"}


def test_who_is_let_go_goes_however_many_they_are(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(*[node(number) for number in range(1, 41)])
    daemon.start(source())
    fleet.tell(node(1))
    daemon.wait_for("members-held", saying="39 of 40 members would go within a minute")
    assert daemon.ask("apply", "--force").code == 0
    assert pods() == {"10.244.1.0/24": "10.0.0.101"}


def test_a_daemon_that_removes_its_objects_as_it_stops_removes_those_of_members(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(node(1), node(2))
    daemon.start(source(), daemon='on_stop = "remove"')
    assert pods() == TWO
    assert daemon.stop() == 0
    assert pods() == {}
    daemon.start()
    assert pods() == TWO


def test_a_source_that_is_written_at_last_is_followed_from_then_on(daemon: Daemon, fleet: Fleet) -> None:
    daemon.start(source())
    entry = daemon.entry("route/pods")
    assert entry["state"] == "waiting"
    assert "fleet.json" in entry["reason"]
    assert daemon.ask("apply").code == 0
    assert "loading" in daemon.ask("members").out
    fleet.tell(node(1))
    wait_for_pods({"10.244.1.0/24": "10.0.0.101"})
    assert daemon.entry("route/pods")["state"] == "in-sync"


def test_history_knows_the_story_of_one_member(daemon: Daemon, fleet: Fleet) -> None:
    fleet.tell(node(1))
    daemon.start(source())
    ip("route del 10.244.1.0/24")
    repaired = daemon.wait_for("repaired", "route/pods?node1]")
    assert repaired["fields"]["ROUTED_ENTRY"] == "route/pods[node1]"
    assert repaired["fields"]["ROUTED_ORIGIN"].startswith(str(daemon.config))
    assert "deleted by" in repaired["message"]


def test_a_member_that_goes_while_it_is_paused_leaves_its_route_until_it_is_resumed(
    daemon: Daemon, fleet: Fleet
) -> None:
    fleet.tell(node(1), node(2))
    daemon.start(source('max_loss = "off"'), daemon='resync = "1s"')
    assert daemon.ask("pause", "route/pods[node2]", "--for", "1h").code == 0
    fleet.tell(node(1))
    daemon.wait_for("members-changed", saying="node2 went")
    assert daemon.ask("apply").code == 0
    assert pods() == TWO
    assert "paused" in daemon.ask("status").out
    assert daemon.ask("resume", "route/pods[node2]").code == 0
    wait_for_pods({"10.244.1.0/24": "10.0.0.101"})
