from __future__ import annotations

import json
from typing import Any

import pytest

from routed.cli.exits import Exit

CLEAN: dict[str, Any] = {
    "schema": "routed.apply/1",
    "revision": 4,
    "changed": 3,
    "in_sync": 12,
    "problems": [],
    "failures": [],
    "refusals": [],
    "waiting": [],
}
PROBLEM = {"file": "f.toml", "line": 2, "column": 1, "message": "bad", "source_line": "x = 1", "hint": "do better"}
FAILURE = {"entry": "route/a", "origin": "f.toml:3", "object": "10.0.0.0/8", "reason": "Invalid argument"}
REFUSAL = {
    "entry": "route/b",
    "origin": "f.toml:9",
    "kind": "route",
    "object": "default",
    "count": 1,
    "reason": "first contact with a foreign default route",
    "by_guard": True,
    "standing": "default via 10.0.0.1 dev eth0 proto dhcp",
}
WAITING = {"entry": "route/c", "origin": "f.toml:15", "reason": "link eth9 is not there"}


@pytest.mark.parametrize(
    ("difference", "code"),
    [
        ({}, Exit.DONE),
        ({"waiting": [WAITING]}, Exit.DONE),
        ({"failures": [FAILURE]}, Exit.FAILED),
        ({"refusals": [REFUSAL]}, Exit.REFUSED),
        ({"refusals": [REFUSAL | {"by_guard": False}]}, Exit.DONE),
        ({"refusals": [REFUSAL], "failures": [FAILURE]}, Exit.FAILED),
        ({"problems": [PROBLEM]}, Exit.INVALID),
    ],
)
def test_the_exit_code_says_what_came_of_it(
    routed: Any, serve: Any, replying: Any, difference: dict[str, Any], code: Exit
) -> None:
    serve(replying(CLEAN | difference))
    assert routed("apply").returncode == code


def test_the_result_lists_what_is_not_in_force_and_counts_the_rest(routed: Any, serve: Any, replying: Any) -> None:
    serve(replying(CLEAN | {"failures": [FAILURE], "refusals": [REFUSAL], "waiting": [WAITING], "notices": ["note"]}))
    ended = routed("apply")
    assert ended.stdout == (
        "Left alone:\n"
        "  route/b default (f.toml:9): first contact with a foreign default route\n"
        "      there now: default via 10.0.0.1 dev eth0 proto dhcp\n"
        "Waiting:\n"
        "  route/c (f.toml:15): link eth9 is not there\n"
        "Revision 4 is in force: 3 changed, 12 in sync, 1 failed, 1 left alone, 1 waiting.\n"
    )
    assert ended.stderr == "note\nrouted: route/a 10.0.0.0/8 (f.toml:3): Invalid argument\n"


def test_the_last_line_counts_all_objects_however_few_are_listed(routed: Any, serve: Any, replying: Any) -> None:
    counts = {"in-sync": 12, "failed": 300, "drift": 3, "conflict": 4, "waiting": 500, "held": 7, "paused": 8}
    serve(replying(CLEAN | {"waiting": [WAITING], "counts": counts, "leftovers": 2000}))
    assert routed("apply").stdout.splitlines()[-1] == (
        "Revision 4 is in force: 3 changed, 12 in sync, 300 failed, 2007 left alone, 500 waiting, 7 held, 8 paused."
    )


def test_a_daemon_that_knows_no_trials_is_no_way_back_and_that_is_said(routed: Any, serve: Any, replying: Any) -> None:
    serve(replying(CLEAN))
    ended = routed("apply", "--confirm", "5m")
    assert ended.returncode == Exit.FAILED
    assert "does not undo itself" in ended.stderr


def test_a_bad_file_shows_its_problems_as_check_does(routed: Any, serve: Any, replying: Any) -> None:
    serve(replying(CLEAN | {"problems": [PROBLEM]}))
    ended = routed("apply")
    assert (ended.stdout, ended.stderr) == ("", "f.toml:2:1: bad\n    x = 1\n    ^\n    help: do better\n")


def test_json_is_the_daemons_document(routed: Any, serve: Any, replying: Any) -> None:
    calls = serve(replying(CLEAN))
    assert json.loads(routed("apply", "--json", "--force").stdout) == CLEAN
    assert calls == [{"method": "io.routed.Reload", "parameters": {"force": True}}]


def test_a_daemon_that_hangs_exits_3(routed: Any, serve: Any) -> None:
    serve(lambda connection, _call: connection.recv(1))  # until the client goes away
    assert routed("apply", "--timeout", "200ms").returncode == Exit.TIMED_OUT


def test_pause_and_resume_ask_for_the_entry(routed: Any, serve: Any, replying: Any) -> None:
    calls = serve(replying({}))
    assert routed("pause", "route/a", "--for", "5m", "--reason", "why").stdout == "route/a is paused for 5 min\n"
    assert routed("resume").stdout == "everything is enforced again\n"
    assert [call["parameters"] for call in calls] == [
        {"entry": "route/a", "seconds": 300.0, "reason": "why"},
        {"entry": ""},
    ]
