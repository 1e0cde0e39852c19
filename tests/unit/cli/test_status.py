from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from routed.cli.ages import format_age
from routed.cli.exits import Exit
from routed.cli.picking import pick, read_wishes
from routed.cli.status import MOST, render_checks, render_objects, render_status

NOW = datetime(2026, 11, 21, 12, 0, 0, 0, UTC)


def find_entries(status: Any, asked: str) -> Any:
    (wish,) = read_wishes(asked)
    return pick(status, wish)["entries"]


@pytest.fixture
def status() -> Any:
    return json.loads((Path(__file__).parent / "status.json").read_text(encoding="utf-8"))


def test_status_tells_what_is_in_force_how_the_files_stand_and_every_entry(status: Any) -> None:
    assert "\n".join(render_status(status, NOW, is_colored=False)) == (
        "revision 3 in force: 4998 objects in sync, 1 held, 2 failed\n"
        "/etc/routed.toml: invalid\n"
        "  /etc/routed.toml:7:1: unknown key `lookup`\n"
        "ENTRY              STATE    SINCE  OBJECTS    NOTE\n"
        "route/storage-lan  in-sync  2 h    1/1\n"
        "route/failed       failed   3 min  4998/5000  Invalid argument\n"
        "rule/failed        waiting  -      0/0        link eth9 is not there\n"
        "(route)            held     5 s    1          10.99.0.0/16: 40 of 50 owned objects would go at once"
    )


def test_status_names_each_former_protocol_number(status: Any) -> None:
    status["former_protocols"] = [112, 113]
    lines = list(render_status(status, NOW, is_colored=False))
    assert lines[3:5] == [
        "former protocol 112: what carries it is ours as well, until nothing does",
        "former protocol 113: what carries it is ours as well, until nothing does",
    ]


def a_thing(name: str, kind: str = "server", **more: Any) -> Any:
    thing = {"kind": kind, "object": name, "state": "in-sync", "reason": "", "since": "2026-11-21T10:00:00+00:00"}
    return {**thing, "count": 1, "ip": {}, **more}


def counted(active: int, inactive: int, rate: int) -> dict[str, int]:
    return {"active": active, "inactive": inactive, "rate": rate}


def test_status_of_a_service_is_as_ipvsadm_shows_it(status: Any) -> None:
    place, why = "TCP 10.103.97.2:6443", "check/web[172.16.111.122:6443] is down"
    (entry,) = status["entries"] = [find_entries(status, "route/storage-lan")[0] | {"entry": "service/api"}]
    entry["total"], entry["objects"] = 3, [
        a_thing(place, "service", ip={"scheduler": "rr"}, traffic=counted(3, 12, 4)),
        a_thing(f"{place} -> 172.16.111.121:6443", ip={"weight": 1}, traffic=counted(3, 10, 0)),
        a_thing(f"{place} -> 172.16.111.122:6443", ip={"weight": 0}, traffic=counted(0, 2, 0), reason=why),
        a_thing("TCP 10.9.9.9:1 -> 172.16.111.123:6443", state="failed", reason="no"),
    ]  # fmt: skip
    lines = list(render_objects(status, NOW, is_colored=False))[2:]
    assert lines == [
        "OBJECT                                        STATE    SINCE  WEIGHT  ACTIVE  INACT  RATE  NOTE",
        "TCP 10.103.97.2:6443 rr                       in-sync  2 h            3       12     4",
        "  -> 172.16.111.121:6443                      in-sync  2 h    1       3       10     0",
        f"  -> 172.16.111.122:6443                      in-sync  2 h    0       0       2      0     {why}",
        "server TCP 10.9.9.9:1 -> 172.16.111.123:6443  failed   2 h                                 no",
    ]


def test_the_table_of_a_service_has_room_in_80_columns(status: Any) -> None:
    place = "TCP 255.255.255.255:65535"
    (entry,) = status["entries"] = [find_entries(status, "route/storage-lan")[0]]
    entry["objects"] = [a_thing(place, "service", ip={"scheduler": "wrr"}, traffic=counted(12345, 12345, 123))]
    entry["objects"] += [
        a_thing(f"{place} -> 255.255.255.255:65535", ip={"weight": 100}, traffic=counted(12345, 12345, 1234))
    ] * 16
    assert max(map(len, list(render_objects(status, NOW, is_colored=False))[2:])) <= 80


def test_what_leaves_is_shown_with_what_is_connected(status: Any) -> None:
    status["leftovers"][0]["traffic"] = counted(3, 12, 4)
    assert "3 active, 12 inactive, 4/s" in list(render_status(status, NOW, is_colored=False))[-1]


def test_colour_changes_no_word_and_paints_the_state_not_the_name(status: Any) -> None:
    plain = list(render_status(status, NOW, is_colored=False))
    colored = list(render_status(status, NOW, is_colored=True))
    assert [re.sub(r"\x1b\[\d*m", "", line) for line in colored] == plain
    assert colored[5].startswith("route/failed       \x1b[31mfailed\x1b[0m ")


def test_status_of_an_entry_shows_its_objects(status: Any) -> None:
    status["entries"] = find_entries(status, "route/storage-lan")
    assert "\n".join(render_objects(status, NOW, is_colored=False)) == (
        "route/storage-lan is in-sync since 2 h\n"
        "/etc/routed.toml:12, enforce = repair, 1/1 in sync\n"
        "OBJECT                            STATE    SINCE  NOTE\n"
        "route 10.30.0.0/16 table storage  in-sync  2 h"
    )


def test_many_leftovers_are_a_line_that_says_whose_they_were(status: Any) -> None:
    status["leftovers"][0] |= {"object": "route/gone", "count": 2000}
    last = list(render_status(status, NOW, is_colored=False))[-1]
    assert last.split(None, 4)[3:] == ["s", "2000       of route/gone before: 40 of 50 owned objects would go at once"]
    status["leftovers"][0] |= {"object": ""}
    assert list(render_status(status, NOW, is_colored=False))[-1].split(None, 5)[5].startswith("40 of 50 owned")


def test_an_entry_is_found_by_its_whole_name_or_by_its_own(status: Any) -> None:
    assert [entry["entry"] for entry in find_entries(status, "failed")] == ["route/failed", "rule/failed"]
    assert [entry["entry"] for entry in find_entries(status, "rule/failed")] == ["rule/failed"]
    assert find_entries(status, "route") == []


def test_names_from_outside_cannot_drive_the_terminal(status: Any) -> None:
    status["entries"][0]["reason"] = "\x1b[2Jgone\nforged"
    text = "\n".join(render_status(status, NOW, is_colored=False))
    assert "\x1b" not in text
    assert "\nforged" not in text


@pytest.mark.parametrize(
    ("moment", "age"),
    [
        ("2026-11-21T11:59:55.5+00:00", "4 s"),
        ("2026-11-21T12:00:05+00:00", "0 s"),
        ("2026-11-21T13:57:00+02:00", "3 min"),
        ("2026-11-21T10:00:00Z", "2 h"),
        ("2026-11-17T12:00:00Z", "4 d"),
        ("", "-"),
        ("2026-11-21T10:00:00", "-"),
    ],
)
def test_an_age_has_one_unit(moment: str, age: str) -> None:
    assert format_age(moment, NOW) == age


def test_the_command_prints_the_table_and_json_prints_the_document(
    routed: Any, serve: Any, replying: Any, status: Any
) -> None:
    serve(replying(status))
    assert routed("status").stdout.startswith("revision 3 in force")
    assert json.loads(routed("status", "--json").stdout) == status
    assert len(json.loads(routed("status", "rule/failed", "--json").stdout)["entries"]) == 1
    assert routed("-q", "status").stdout == ""
    missing = routed("status", "route/none")
    assert (missing.returncode, missing.stderr) == (Exit.FAILED, "routed: there is no entry route/none in force\n")


def test_a_pipe_gets_colour_only_on_demand(routed: Any, serve: Any, replying: Any, status: Any) -> None:
    serve(replying(status))
    assert "\x1b" not in routed("status").stdout
    assert "\x1b" in routed("status", "--color", "always", NO_COLOR="1").stdout


def a_check(*targets: Any, state: str = "up", reason: str = "", **more: str) -> Any:
    return {"check": "check/wan1", "type": "icmp", "state": state, "since": "2026-11-21T11:59:00+00:00",
            "reason": reason, "origin": "f:1", "late": 0.0, "targets": list(targets), **more}  # fmt: skip


def a_target(state: str = "up", last: str = "icmp: answered", **measured: float) -> Any:
    moment = "2026-11-21T11:59:00+00:00"
    return {"target": "9.9.9.9", "state": state, "since": moment, "last": last, "asked": moment, "seconds": 0.013,
            **measured}  # fmt: skip


@pytest.mark.parametrize(
    ("check", "note"),
    [
        (a_check(a_target(loss=0.0, rtt=0.01234)), "12.3 ms, 0 % loss"),
        (a_check(a_target("down", "icmp: no answer in 2 s", loss=1.0), a_target(loss=0.004, rtt=0.2)),
         "200 ms, 0.4 % loss"),
        (a_check(a_target("down", loss=0.3, rtt=0.2), state="down", reason="30 % loss over 60 s, at most 20 %"),
         "30 % loss over 60 s, at most 20 %"),
        (a_check(a_target(last="tcp: answered")), "tcp: answered in 13.0 ms"),
        (a_check(a_target(last="exec: x is not there"), state="failed", reason="x is not there", counts_as="up"),
         "x is not there (it still counts as up)"),
        (a_check(a_target(last="exec: x is not there"), state="failed", reason="x is not there", counts_as=""),
         "x is not there"),
    ],
)  # fmt: skip
def test_status_of_a_check_tells_the_time_and_loss_of_the_first_target_that_is_up(
    status: Any, check: Any, note: str
) -> None:
    status["checks"] = [check]
    (line,) = [one for one in render_status(status, NOW, is_colored=False) if one.startswith("check/wan1")]
    assert line.endswith(f"  {note}")
    assert f"  {check['state']} " in line


def test_status_of_a_check_tells_time_and_loss_of_each_target() -> None:
    check = a_check(a_target(loss=0.05, rtt=0.012), a_target("down", "icmp: no answer in 2 s", loss=1.0))
    lines = list(render_checks([check], NOW, is_colored=False))
    assert lines[-2].endswith("icmp: answered in 13.0 ms, median 12 ms, 5 % loss")
    assert lines[-1].endswith("icmp: no answer in 2 s, 100 % loss")


def test_of_500_problems_of_the_files_the_first_are_shown_and_the_others_counted(status: Any) -> None:
    status["files"]["problems"] *= 500
    lines = list(render_status(status, NOW, is_colored=False))
    assert lines[1 + MOST : 4 + MOST] == [
        "  /etc/routed.toml:7:1: unknown key `lookup`",
        f"  {500 - MOST} more problems, which routed check -v shows",
        "ENTRY              STATE    SINCE  OBJECTS    NOTE",
    ]
