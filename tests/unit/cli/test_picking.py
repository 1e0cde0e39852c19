"""What of a status is wished for: by a name, a pattern, an address, or because it has failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from routed.cli.exits import Exit
from routed.cli.picking import CALM, is_like, pick, pick_failed, read_wishes
from routed.core.troubles import State

NAMES = ("route/pods", "route/pods[node2]", "route/pods[node3+2]", "rule/pods", "route/storage-lan", "vip/192.0.2.80")


@pytest.fixture
def status() -> Any:
    return json.loads((Path(__file__).parent / "status.json").read_text(encoding="utf-8"))


def an_entry(name: str, state: str = "in-sync", **more: Any) -> dict[str, Any]:
    entry = {"entry": name, "state": state, "reason": "", "since": "", "origin": "f:1", "enforce": "repair"}
    return {**entry, "total": 1, "objects": [], **more}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("route/pods*", ("route/pods", "route/pods[node2]", "route/pods[node3+2]")),
        ("pods*", ("route/pods", "route/pods[node2]", "route/pods[node3+2]", "rule/pods")),
        ("*/pods", ("route/pods", "rule/pods")),
        ("r?le/*", ("rule/pods",)),
        ("*lan", ("route/storage-lan",)),
        ("vip/192.0.*", ("vip/192.0.2.80",)),
        ("r[ou]*/pods", ("route/pods", "rule/pods")),
        ("Route/*", ()),
        ("route/pods[node2]", ("route/pods[node2]",)),
        ("route/pods[[]*", ("route/pods[node2]", "route/pods[node3+2]")),
        ("*", NAMES),
    ],
)
def test_a_pattern_is_as_a_shell_reads_it_by_the_whole_name_or_without_its_kind(
    pattern: str, found: tuple[str, ...]
) -> None:
    assert tuple(name for name in NAMES if is_like(name, pattern)) == found


@pytest.mark.parametrize(
    ("asked", "parameters"),
    [
        ("", [{}]),
        ("route/storage-lan", [{"entry": "route/storage-lan"}]),
        ("route/pods[node2]", [{"entry": "route/pods[node2]"}, {}]),
        ("route/pods*", [{}]),
        ("10.30.0.1", [{"address": "10.30.0.1"}]),
        ("2001:db8::1", [{"address": "2001:db8::1"}]),
        ("10.30.0.0/16", [{"entry": "10.30.0.0/16"}]),
        ("10.30.0.256", [{"entry": "10.30.0.256"}]),
    ],
)
def test_what_is_asked_for_is_a_name_a_pattern_or_an_address(asked: str, parameters: list[dict[str, str]]) -> None:
    assert [wish.parameters for wish in read_wishes(asked)] == parameters


def test_every_state_of_the_daemon_is_known_to_be_calm_or_not() -> None:
    assert set(State) > CALM
    assert set(State) - CALM == {"drift", "held", "shadowed", "conflict", "degraded", "failed", "unknown"}


def test_what_a_newer_daemon_may_say_has_failed(status: Any) -> None:
    status["entries"] = [an_entry("route/a"), an_entry("route/b", "bewitched")]
    assert [entry["entry"] for entry in pick_failed(status)["entries"]] == ["route/b"]


def test_a_check_that_is_down_has_not_failed_and_one_that_cannot_be_made_has(status: Any) -> None:
    status["checks"] = [{"check": f"check/{state}", "state": state} for state in ("up", "down", "unknown", "failed")]
    assert [check["check"] for check in pick_failed(status)["checks"]] == ["check/failed"]
    assert len(status["checks"]) == 4


def test_an_address_is_no_wish_for_checks_or_for_what_is_left_over(status: Any) -> None:
    (wish,) = read_wishes("10.30.0.1")
    status["checks"] = [{"check": "check/a", "state": "up"}]
    picked = pick(status, wish)
    assert (picked["checks"], picked["leftovers"]) == ([], [])
    assert len(picked["entries"]) == 3


def test_failed_shows_the_headline_and_what_has_failed_and_exits_with_1(
    routed: Any, serve: Any, replying: Any, status: Any
) -> None:
    serve(replying(status))
    done = routed("status", "--failed")
    assert done.returncode == Exit.FAILED
    assert done.stdout.splitlines()[0] == status["state"]
    assert [line.split()[0] for line in done.stdout.splitlines()[4:]] == ["route/failed", "(route)"]
    document = json.loads(routed("status", "--failed", "--json").stdout)
    assert [entry["entry"] for entry in document["entries"]] == ["route/failed"]


def test_where_nothing_has_failed_that_is_said(routed: Any, serve: Any, replying: Any, status: Any) -> None:
    status["entries"], status["leftovers"] = [an_entry("route/a"), an_entry("route/b", "waiting")], []
    status["files"] = {"state": "in force", "problems": []}
    serve(replying(status))
    done = routed("status", "--failed")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (Exit.DONE, "Nothing has failed.")


@pytest.mark.parametrize("wrong", ["files", "absent", "unsaved", "coming"])
def test_what_is_wrong_with_the_whole_host_is_a_failure_where_no_entry_is_named(
    routed: Any, serve: Any, replying: Any, status: Any, wrong: str
) -> None:
    absent = [{"family": "IPv4", "missing": "32766: from all lookup main", "command": "ip rule add"}]
    ways = {"files": status["files"], "absent": absent, "unsaved": "No space left on device", "coming": 2}
    status["entries"], status["leftovers"] = [an_entry("route/a")], []
    status |= {"files": {"state": "in force", "problems": []}, wrong: ways[wrong]}
    serve(replying(status))
    done = routed("status", "--failed")
    assert (done.returncode, done.stdout.splitlines()[-1][:20]) == (Exit.FAILED, "No entry has failed;")
    assert routed("status", "--failed", "--json").returncode == Exit.FAILED
    done = routed("status", "--failed", "route/*")
    assert (done.returncode, done.stdout) == (Exit.DONE, "Nothing has failed.\n")


def test_a_fold_with_a_failed_member_is_shown_whole(routed: Any, serve: Any, replying: Any, status: Any) -> None:
    status["entries"] = [
        an_entry("route/pods", total=0),
        an_entry("route/pods[a]"),
        an_entry("route/pods[b]", "failed"),
    ]
    status["leftovers"] = []
    serve(replying(status))
    line = routed("status", "--failed").stdout.splitlines()[-1]
    assert line.split()[:2] == ["route/pods", "failed"]
    assert "2 members, 1 in sync, 1 failed (b)" in line


def test_a_pattern_lists_what_is_like_it_and_nothing_else(routed: Any, serve: Any, replying: Any, status: Any) -> None:
    serve(replying(status))
    lines = routed("status", "route/*").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ENTRY", "route/storage-lan", "route/failed"]
    assert "OBJECT " in routed("-v", "status", "route/*").stdout
    nothing = routed("status", "rou*te/none")
    assert (nothing.returncode, nothing.stderr) == (Exit.FAILED, "routed: no entry in force is like rou*te/none\n")


def test_brackets_are_of_a_name_first_and_else_a_pattern(routed: Any, serve: Any, replying: Any, status: Any) -> None:
    status["entries"] = [an_entry("route/pods[a]"), an_entry("route/podsa")]
    calls = serve(replying(status))
    assert routed("status", "route/pods[a]").stdout.startswith("route/pods[a] is in-sync")
    assert routed("status", "route/pod[s]a").stdout.splitlines()[1].startswith("route/podsa ")
    assert [call["parameters"] for call in calls] == [{"entry": "route/pods[a]"}, {"entry": "route/pod[s]a"}, {}]


def test_an_address_that_nothing_is_for_is_said(routed: Any, serve: Any, replying: Any, status: Any) -> None:
    status["entries"] = []
    serve(replying(status))
    done = routed("status", "192.0.2.77")
    assert (done.returncode, done.stderr) == (Exit.FAILED, "routed: no entry is for 192.0.2.77\n")


@pytest.mark.parametrize("words", [("--failed",), ("route/*",), ("*",)])
def test_the_tables_have_room_in_80_columns(
    routed: Any, serve: Any, replying: Any, status: Any, words: tuple[str, ...]
) -> None:
    status["entries"] = [an_entry("route/storage-lan", "failed"), an_entry("route/pods", "shadowed", reason="x" * 20)]
    status["leftovers"] = []
    serve(replying(status))
    lines = routed("status", *words).stdout.splitlines()
    assert max(len(line) for line in lines if line.startswith(("ENTRY", "route/"))) <= 80
