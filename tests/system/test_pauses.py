"""Pauses: what outlives the daemon, what is seen of them, and what ends them."""

from __future__ import annotations

import json

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.daemon import Daemon
from tests.system.host import routes
from tests.system.worlds import GATEWAY

OTHER = '[[route]]\nname = "other"\nto = "192.0.5.0/24"\nvia = "10.0.0.2"\n'


@pytest.fixture
def paused(daemon: Daemon) -> Daemon:
    """A host of two routes whose first was paused, and is gone."""
    daemon.start(GATEWAY + OTHER)
    assert daemon.ask("pause", "route/lan", "--for", "1h", "--reason", "new router").code == 0
    ip("route del 192.0.2.0/24")
    wait_until(lambda: daemon.entry("route/lan")["objects"][0]["state"] == "paused")
    return daemon


def destinations() -> list[str]:
    return [route["dst"] for route in routes()]


def test_status_says_what_is_paused_until_when_and_by_whom(paused: Daemon) -> None:
    status = paused.ask_json("status")
    [pause] = status["pauses"]
    assert (pause["entry"], pause["reason"], pause["author"]) == ("route/lan", "new router", "root")
    assert status["state"].startswith(f"route/lan is paused until {pause['until']}; ")
    assert f"route/lan paused until {pause['until']} by root: new router" in paused.ask("status").out


def test_an_entry_may_be_paused_and_resumed_by_its_short_name(daemon: Daemon) -> None:
    daemon.start(GATEWAY + OTHER)
    assert daemon.ask("pause", "other").code == 0
    assert [pause["entry"] for pause in daemon.ask_json("status")["pauses"]] == ["route/other"]
    assert daemon.ask("resume", "other").code == 0
    assert daemon.ask_json("status")["pauses"] == []


def test_a_short_name_that_two_entries_have_is_refused_with_both_names(daemon: Daemon) -> None:
    rule = '[[rule]]\nname = "other"\npriority = 1200\nfrom = "192.0.2.0/24"\ntable = "main"\n'
    daemon.start(OTHER + rule)
    refused = daemon.ask("pause", "other")
    assert (refused.code, refused.err) == (4, "routed: other may be route/other or rule/other: write which\n")
    unknown = daemon.ask("pause", "nobody")
    assert (unknown.code, unknown.err) == (1, "routed: there is no entry nobody in force\n")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_pause_outlives_the_daemon(paused: Daemon, end: str) -> None:
    until = paused.ask_json("status")["pauses"][0]["until"]
    getattr(paused, end)()
    paused.start()
    assert destinations() == ["192.0.5.0/24"]
    [pause] = paused.ask_json("status")["pauses"]
    assert pause["entry"] == "route/lan"
    assert abs(as_seconds(pause["until"]) - as_seconds(until)) < 1.0
    assert paused.ask("resume", "route/lan").code == 0
    wait_until(lambda: "192.0.2.0/24" in destinations())
    assert not (paused.state / "pauses.json").exists()


def as_seconds(moment: str) -> float:
    clock = moment.partition("T")[2].partition("+")[0]
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def test_what_is_paused_is_left_alone_without_a_daemon_too(paused: Daemon) -> None:
    paused.stop()
    assert paused.ask_json("plan")["steps"] == []
    assert paused.ask("apply", "--direct").code == 0
    assert destinations() == ["192.0.5.0/24"]


def test_a_pause_ends_with_the_boot(paused: Daemon) -> None:
    paused.stop()
    path = paused.state / "pauses.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"boot": "another"}))
    paused.start()
    assert len(destinations()) == 2
    assert paused.ask_json("status")["pauses"] == []


def test_a_pause_whose_time_ends_while_nobody_runs_is_over_and_said(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    assert daemon.ask("pause", "route/lan", "--for", "1h").code == 0
    daemon.kill()
    ip("route del 192.0.2.0/24")
    kept = json.loads((daemon.state / "pauses.json").read_text())
    kept["pauses"][0]["until"] -= 3600.0
    (daemon.state / "pauses.json").write_text(json.dumps(kept))
    daemon.forget()
    daemon.start()
    assert destinations() == ["192.0.2.0/24"]
    assert "the pause is over" in daemon.wait_for("resumed", "route/lan")["message"]


def test_an_entry_can_be_resumed_out_of_a_pause_of_everything(daemon: Daemon) -> None:
    daemon.start(GATEWAY + OTHER)
    assert daemon.ask("pause", "--for", "1h").code == 0
    ip("route flush proto 114")
    assert daemon.ask("resume", "route/lan").code == 0
    wait_until(lambda: destinations() == ["192.0.2.0/24"])
    assert daemon.ask_json("status")["state"].startswith("everything but route/lan is paused until ")
    daemon.kill()
    ip("route flush proto 114")
    daemon.start()
    assert destinations() == ["192.0.2.0/24"]
    assert daemon.ask("resume").code == 0
    wait_until(lambda: len(destinations()) == 2)


def test_pauses_that_cannot_be_kept_hold_and_status_says_that_a_restart_would_not_know_them(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    (daemon.state / "pauses.json").mkdir()
    assert daemon.ask("pause", "route/lan", "--for", "1h").code == 0
    assert "pauses.json" in daemon.ask_json("status")["unsaved"]
    (daemon.state / "pauses.json").rmdir()
    wait_until(lambda: daemon.ask_json("status")["unsaved"] == "", within=20.0)
    assert (daemon.state / "pauses.json").is_file()


def test_a_damaged_file_of_pauses_is_said_and_does_not_keep_the_daemon_from_starting(daemon: Daemon) -> None:
    daemon.state.mkdir(parents=True, exist_ok=True)
    (daemon.state / "pauses.json").write_text("{")
    daemon.start(GATEWAY)
    assert destinations() == ["192.0.2.0/24"]
    assert "what was paused is not known" in (daemon.folder / "log").read_text()


def test_pauses_that_cannot_be_read_just_now_are_not_replaced_and_taken_up_later(paused: Daemon) -> None:
    paused.kill()
    path = paused.state / "pauses.json"
    away = path.rename(path.with_name("away"))
    path.mkdir()  # not damaged: nothing of it can be read
    paused.start()
    assert "what was paused is not known" in paused.ask_json("status")["unsaved"]
    assert paused.ask("pause", "route/other", "--for", "1h").code == 0
    path.rmdir()
    away.rename(path)
    wait_until(lambda: paused.ask_json("status")["unsaved"] == "", within=20.0)
    assert {pause["entry"] for pause in paused.ask_json("status")["pauses"]} == {"route/lan", "route/other"}
    kept = json.loads(path.read_text())["pauses"]
    assert {pause["subject"] for pause in kept} == {"route/lan", "route/other"}


SERVICE = '[[service]]\nname = "api"\nlisten = "10.103.97.2:443"\nservers = ["10.0.0.11:6443", "10.0.0.12:6443"]\n'
SERVER = "service/api[10.0.0.12:6443]"


def test_who_drains_a_server_is_told_with_its_end_and_it_outlives_a_kill(daemon: Daemon) -> None:
    """Also on a kernel without IPVS: it counts as soon as that has some."""
    daemon.start(GATEWAY + SERVICE)
    done = daemon.ask("drain", SERVER, "--for", "1h", "--reason", "a new kernel")
    assert (done.code, done.out.strip()) == (0, f"{SERVER} gets no new connections for 1 h")
    daemon.kill()
    daemon.start()
    status = daemon.ask_json("status")
    [pause] = status["pauses"]
    assert (pause["entry"], pause["reason"], pause["author"]) == (SERVER, "a new kernel", "root")
    assert pause["drained"]
    assert status["state"].startswith(f"{SERVER} is drained until {pause['until']}; ")
    assert f"{SERVER} drained until {pause['until']} by root: a new kernel" in daemon.ask("status").out
    assert "for 1 h, drained by root: a new kernel" in daemon.records("drains", "service/api")[0]["message"]
    assert daemon.ask("resume", SERVER).code == 0
    assert daemon.ask_json("status")["pauses"] == []


@pytest.mark.parametrize(
    "wrong", ["service/api[10.0.0.13:6443]", "service/api", "service/web[10.0.0.12:6443]", "route/lan"]
)
def test_what_is_no_server_of_the_files_cannot_be_drained(daemon: Daemon, wrong: str) -> None:
    daemon.start(GATEWAY + SERVICE)
    assert daemon.ask("drain", wrong).code == 1
    assert daemon.ask_json("status")["pauses"] == []


def test_of_a_service_that_is_left_alone_nothing_can_be_drained_and_the_answer_says_why(daemon: Daemon) -> None:
    daemon.start(GATEWAY + SERVICE)
    assert daemon.ask("pause", "service/api", "--for", "1h", "--reason", "by hand").code == 0
    refused = daemon.ask("drain", SERVER)
    assert refused.code == 4
    assert "service/api is left alone: paused: by hand" in refused.err
    assert [pause["entry"] for pause in daemon.ask_json("status")["pauses"]] == ["service/api"]
    assert daemon.ask("resume", "service/api").code == 0
    assert daemon.ask("drain", SERVER).code == 0
