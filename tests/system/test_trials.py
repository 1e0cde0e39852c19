"""Changes on trial, rollbacks, and the revisions that both go back to, by the commands and by what the kernel holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.daemon import Daemon
from tests.system.host import routes
from tests.system.worlds import GATEWAY, blackholes


def with_metric(number: int) -> str:
    return f"{GATEWAY}metric = {number}\n"


def metrics() -> list[int]:
    return [route.get("metric", 0) for route in routes()]


def record_of(daemon: Daemon) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((daemon.state / "revisions/deployment.json").read_text())
    return document


@pytest.fixture
def on_trial(daemon: Daemon) -> Daemon:
    """A host that tries metric 2 for five minutes; metric 1 was in force before."""
    daemon.start(with_metric(1))
    daemon.write(with_metric(2))
    answer = daemon.ask("apply", "--confirm", "5m", "--comment", "change 4711")
    assert answer.code == 0
    assert "routed confirm keeps it" in answer.err
    return daemon


def test_a_trial_is_in_force_and_says_until_when_and_what_comes_back(on_trial: Daemon) -> None:
    assert metrics() == [2]
    status = on_trial.ask_json("status")
    assert status["deployment"] == "pending"
    assert status["trial"]["base"] == 1
    assert 240 < status["trial"]["seconds"] <= 300
    assert status["state"].startswith(f"on trial until {status['trial']['until']}, then revision 1 comes back; ")
    assert "revision 1 comes back" in on_trial.wait_for("trial-begun")["message"]


def test_the_way_back_is_on_disk_before_anything_is_changed(on_trial: Daemon) -> None:
    record = record_of(on_trial)
    assert (record["phase"], record["revision"], record["base"]) == ("pending", 2, 1)
    on_trial.kill()
    on_trial.start()
    assert metrics() == [2]
    assert on_trial.ask_json("status")["trial"]["base"] == 1


def test_an_apply_without_a_daemon_is_part_of_the_trial(on_trial: Daemon) -> None:
    on_trial.kill()
    on_trial.write(with_metric(3))
    assert on_trial.ask("apply", "--direct").code == 0
    assert metrics() == [3]
    record = record_of(on_trial)
    assert (record["phase"], record["base"]) == ("pending", 1)


def test_what_is_confirmed_lasts(on_trial: Daemon) -> None:
    assert on_trial.ask("confirm").code == 0
    assert on_trial.ask_json("status")["deployment"] == "in force"
    assert not (on_trial.state / "revisions/deployment.json").exists()
    assert on_trial.wait_for("confirmed")
    on_trial.kill()
    on_trial.start()
    assert metrics() == [2]
    [second, first] = on_trial.ask_json("revisions")["revisions"]
    assert (second["confirmed"], second["in_force"], second["comment"]) == (True, True, "change 4711")
    assert (first["confirmed"], first["in_force"]) == (True, False)


def test_what_nobody_confirms_goes_and_what_it_displaced_comes_back(daemon: Daemon) -> None:
    ip("route add 192.0.5.0/24 via 10.0.0.9 proto static")
    daemon.start(with_metric(1))
    daemon.write(with_metric(2) + '[[route]]\nname = "mine"\nto = "192.0.5.0/24"\nvia = "10.0.0.2"\n')
    assert daemon.ask("apply", "--confirm", "2s").code == 0
    assert 2 in metrics()
    assert "revision 1 comes back" in daemon.wait_for("trial-over")["message"]
    wait_until(lambda: metrics() == [1])
    shown = [(route["gateway"], route["protocol"]) for route in json.loads(ip("-j route show 192.0.5.0/24"))]
    assert shown == [("10.0.0.9", "static")]
    status = daemon.ask_json("status")
    assert (status["deployment"], status["files"]["state"]) == ("rejected", "changed, not in force")
    assert "trial" not in status


def test_the_end_of_a_trial_takes_away_more_than_the_guard_lets_go_unasked(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    daemon.write(with_metric(1) + blackholes(60))
    assert daemon.ask("apply", "--confirm", "1s").code == 0
    wait_until(lambda: metrics() == [1])
    assert daemon.ask_json("status")["leftovers"] == []


def test_a_trial_that_ends_while_nobody_runs_is_over_at_the_start_whatever_the_guard_would_hold(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    daemon.write(with_metric(1) + blackholes(60))
    assert daemon.ask("apply", "--confirm", "1s").code == 0
    until = datetime.fromisoformat(daemon.ask_json("status")["trial"]["until"])
    daemon.kill()
    wait_until(lambda: datetime.now(UTC) > until)
    daemon.start()
    assert metrics() == [1]
    status = daemon.ask_json("status")
    assert (status["deployment"], status["leftovers"]) == ("rejected", [])


def test_where_no_other_revision_can_be_read_a_trial_stays_and_says_so(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    daemon.write(with_metric(2))
    assert daemon.ask("apply", "--confirm", "2s").code == 0
    (daemon.state / "revisions/1/manifest.json").write_text("{")
    wait_until(lambda: "no other can be read, so it stays in force" in (daemon.folder / "log").read_text())
    assert (metrics(), daemon.ask_json("status")["deployment"]) == ([2], "in force")


def test_a_trial_that_was_confirmed_in_time_does_not_end(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    daemon.write(with_metric(2))
    assert daemon.ask("apply", "--confirm", "1s").code == 0
    assert daemon.ask("confirm").code == 0
    daemon.apply(with_metric(3))
    until = datetime.now(UTC) + timedelta(seconds=1.2)
    wait_until(lambda: datetime.now(UTC) > until)
    assert metrics() == [3]


def test_where_nothing_is_on_trial_there_is_nothing_to_confirm(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    answer = daemon.ask("confirm")
    assert answer.code == 4
    assert "nothing is on trial" in answer.err


def test_files_that_are_in_force_already_cannot_be_tried(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    answer = daemon.ask("apply", "--confirm", "5m")
    assert answer.code == 4
    assert "nothing to try" in answer.err


def test_a_second_apply_on_trial_keeps_the_way_back_of_the_first(on_trial: Daemon) -> None:
    on_trial.write(with_metric(3))
    assert on_trial.ask("apply").code == 0
    assert metrics() == [3]
    record = record_of(on_trial)
    assert (record["phase"], record["revision"], record["base"]) == ("pending", 3, 1)


def test_a_trial_in_another_boot_is_over(on_trial: Daemon) -> None:
    on_trial.kill()
    path = on_trial.state / "revisions/deployment.json"
    path.write_text(json.dumps(record_of(on_trial) | {"boot": "another"}))
    on_trial.forget()
    on_trial.start()
    assert metrics() == [1]
    status = on_trial.ask_json("status")
    assert (status["deployment"], status["files"]["state"]) == ("rejected", "changed, not in force")
    assert "revision 1 comes back" in on_trial.wait_for("trial-over")["message"]


def test_a_trial_without_a_way_back_is_refused_and_changes_nothing(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    (daemon.state / "revisions/deployment.json").mkdir()  # so it cannot be written
    daemon.write(with_metric(2))
    answer = daemon.ask("apply", "--confirm", "5m")
    assert answer.code == 4
    assert "no way back" in answer.err
    assert metrics() == [1]
    status = daemon.ask_json("status")
    assert (status["deployment"], status["revision"]) == ("in force", 1)


def test_the_files_may_ask_for_a_trial_of_every_apply(daemon: Daemon) -> None:
    daemon.start(with_metric(1), daemon='confirm = "5m"')
    daemon.apply(with_metric(2), daemon='confirm = "5m"')
    assert daemon.ask_json("status")["deployment"] == "pending"
    assert daemon.ask("confirm").code == 0
    assert daemon.ask("apply").code == 0  # there is nothing to try
    assert daemon.ask_json("status")["deployment"] == "in force"


def test_a_rollback_enforces_the_revision_before_and_leaves_the_files_alone(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    daemon.apply(with_metric(2))
    text = daemon.config.read_text()

    answer = daemon.ask("rollback")

    assert answer.code == 0
    assert "Revision 1 is in force" in answer.out
    assert metrics() == [1]
    assert daemon.config.read_text() == text
    status = daemon.ask_json("status")
    assert (status["deployment"], status["files"]["state"]) == ("rolled back", "changed, not in force")
    assert status["state"].startswith("rolled back; ")
    daemon.kill()
    daemon.start()
    assert metrics() == [1]


def test_a_rollback_to_a_number_puts_back_what_the_present_revision_displaced(daemon: Daemon) -> None:
    ip("route add 192.0.5.0/24 via 10.0.0.9 proto static")
    daemon.start(with_metric(1))
    daemon.apply(with_metric(1) + '[[route]]\nname = "mine"\nto = "192.0.5.0/24"\nvia = "10.0.0.2"\n')
    assert {route.get("gateway") for route in routes()} == {"10.0.0.2"}

    assert daemon.ask("rollback", "1").code == 0

    shown = {
        (route["dst"], route["gateway"], route["protocol"]) for route in json.loads(ip("-j route show 192.0.5.0/24"))
    }
    assert shown == {("192.0.5.0/24", "10.0.0.9", "static")}


def test_a_rollback_to_what_is_not_there_is_refused(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    assert daemon.ask("rollback", "7").code == 4
    assert daemon.ask("diff", "0").code == 4
    assert daemon.records("started")  # and among them is no complaint of a revision that was never there
    answer = daemon.ask("rollback")
    assert answer.code == 4
    assert "no revision before" in answer.err


def test_a_rollback_of_a_trial_ends_it(on_trial: Daemon) -> None:
    assert on_trial.ask("rollback").code == 0
    assert metrics() == [1]
    status = on_trial.ask_json("status")
    assert (status["deployment"], status["revision"]) == ("rolled back", 1)


def test_a_rollback_may_be_on_trial_too(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    daemon.apply(with_metric(2))
    assert daemon.ask("rollback", "--confirm", "5m").code == 0
    assert daemon.ask_json("status")["deployment"] == "rollback pending"
    assert daemon.ask("confirm").code == 0
    assert daemon.ask_json("status")["deployment"] == "rolled back"
    assert metrics() == [1]


def test_whoever_goes_back_for_good_to_what_was_only_tried_confirms_it(on_trial: Daemon) -> None:
    on_trial.ask("rollback")
    assert "not confirmed" in on_trial.ask("revisions").out
    assert on_trial.ask("rollback", "2").code == 0
    assert "not confirmed" not in on_trial.ask("revisions").out


def test_a_trial_ends_before_another_begins_so_that_what_nobody_confirmed_does_not_come_back(on_trial: Daemon) -> None:
    answer = on_trial.ask("rollback", "--confirm", "5m")
    assert (answer.code, "revision 2 is on trial" in answer.err) == (4, True)
    assert on_trial.ask_json("status")["trial"]["base"] == 1
    assert on_trial.ask("rollback").code == 0
    on_trial.stop()
    on_trial.start()
    assert metrics() == [1]


def test_a_trial_of_the_files_before_it_ends_as_any_other_does(on_trial: Daemon) -> None:
    on_trial.write(with_metric(1))
    assert on_trial.ask("apply", "--confirm", "1s").code == 0
    assert on_trial.wait_for("trial-over")["message"].endswith("revision 1 comes back")
    wait_until(lambda: "trial" not in on_trial.ask_json("status"))
    assert (metrics(), on_trial.ask_json("status")["revision"]) == ([1], 1)


def test_revisions_tell_who_and_what_for(on_trial: Daemon) -> None:
    lines = on_trial.ask("revisions").out.splitlines()
    assert lines[0].split() == ["REVISION", "AGE", "BY", "STATE", "COMMENT"]
    assert lines[1].startswith("2*")
    assert "root" in lines[1]
    assert "not confirmed" in lines[1]
    assert lines[1].endswith("change 4711")
    assert lines[2].startswith("1 ")


def test_diff_shows_what_the_files_would_change_and_how_two_revisions_differ(on_trial: Daemon) -> None:
    on_trial.write(with_metric(3))
    lines = on_trial.ask("diff", "--text").out.splitlines()
    assert [line for line in lines if line[:1] in "+-" and "metric" in line] == ["-metric = 2", "+metric = 3"]
    lines = on_trial.ask("diff", "--text", "1", "2").out.splitlines()
    assert [line for line in lines if line[:1] in "+-" and "metric" in line] == ["-metric = 1", "+metric = 2"]


def test_a_route_is_neither_added_nor_deleted_amid_a_trial_or_a_rollback(on_trial: Daemon) -> None:
    words = ("--host", "192.0.9.9", "--gateway", "10.0.0.2")
    for verb in ("add", "del"):
        answer = on_trial.ask("route", verb, *words)
        assert (answer.code, "on trial" in answer.err) == (4, True)
    on_trial.ask("rollback")
    for verb in ("add", "del"):
        answer = on_trial.ask("route", verb, *words)
        assert (answer.code, "rollback holds" in answer.err) == (4, True)
    assert metrics() == [1]


def test_a_comment_of_two_lines_is_refused(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    daemon.write(with_metric(2))
    assert daemon.ask("apply", "--comment", "a\nb").code == 64
    assert metrics() == [1]
