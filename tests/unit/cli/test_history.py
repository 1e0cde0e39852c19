"""``routed history`` and ``routed blame`` over real journal files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.audit.catalogue import Message
from routed.audit.records import Record, make_record
from routed.cli import history, main
from routed.cli.exits import Exit
from routed.cli.moments import parse_moment
from tests.journal_files import write_journal

BEGAN = 1_764_000_000.0
HOUR = 3600.0
Output = pytest.CaptureFixture[str]
Ask = Callable[..., list[str]]


def repaired(entry: str, *, comm: str = "ip", pid: int = 7, unit: str = "session-3.scope", **others: str) -> Record:
    words = {"subject": entry, "trouble": f' deleted by "{comm}" (pid {pid})', "cure": "restored", "elapsed": "1 ms"}
    fields = {
        "ROUTED_ENTRY": entry,
        "ROUTED_ACTOR_PORT": str(pid),
        "ROUTED_ACTOR_PID": str(pid),
        "ROUTED_ACTOR_COMM": comm,
        "ROUTED_ACTOR_CMDLINE": f"{comm} route del",
        "ROUTED_ACTOR_UID": "0",
        "ROUTED_ACTOR_UNIT": unit,
    }
    return make_record(Message.REPAIRED, words, fields | others)


def by_the_kernel(entry: str) -> Record:
    words = {"subject": entry, "trouble": " dropped by the kernel (link v0 went down)", "cure": "restored"}
    fields = {"ROUTED_ENTRY": entry, "ROUTED_CAUSE": "kernel: link v0 went down"}
    return make_record(Message.REPAIRED, words | {"elapsed": "1 ms"}, fields)


def as_entry(record: Record, at: float, **others: str) -> dict[str, str]:
    origin = {"SYSLOG_IDENTIFIER": "routed", "_UID": "0", "_SYSTEMD_UNIT": "routed.service"}
    return {
        "at": str(at),
        "MESSAGE": record.message,
        "PRIORITY": str(record.priority),
        **origin,
        **record.fields,
        **others,
    }


ADDED = make_record(Message.ADDED, {"subject": "route/lan", "elapsed": "1 ms"}, {"ROUTED_ENTRY": "route/lan"})
STORY = [
    as_entry(ADDED, BEGAN),
    *(as_entry(repaired("route/lan", pid=number), BEGAN + HOUR + number) for number in range(5)),
    as_entry(repaired("route/lan", comm="networkd", unit="systemd-networkd.service"), BEGAN + 2 * HOUR),
    as_entry(repaired("rule/lan"), BEGAN + 2 * HOUR + 1),
    as_entry(by_the_kernel("route/lan"), BEGAN + 3 * HOUR),
    as_entry(repaired("route/other"), BEGAN + 4 * HOUR),
]  # fmt: skip
STRANGERS = [
    as_entry(repaired("route/lan", comm="forged"), BEGAN, _UID="1000", _SYSTEMD_UNIT="evil.service"),
    {"at": str(BEGAN), "MESSAGE": "a line on stderr", "SYSLOG_IDENTIFIER": "routed", "_UID": "0"},
    {"at": str(BEGAN), "MESSAGE": "something else", "SYSLOG_IDENTIFIER": "sshd", "_UID": "0"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with a story, and with records of others that look like ours."""
    folder = tmp_path_factory.mktemp("journal")
    write_journal(folder, [*STRANGERS, *STORY])
    return folder


@pytest.fixture
def ask(folder: Path, capsys: Output) -> Ask:
    """Run a command over the journal; the lines that it prints."""

    def run(*words: str) -> list[str]:
        assert main([*words, f"--directory={folder}"]) == Exit.DONE
        return capsys.readouterr().out.splitlines()

    return run


def test_history_tells_everything_of_ours_and_nothing_of_others_newest_last(ask: Ask) -> None:
    lines = ask("history")
    assert [line.partition("  ")[2] for line in lines] == [entry["MESSAGE"] for entry in STORY]


def test_a_line_begins_with_local_time(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    when = datetime.fromtimestamp(BEGAN).astimezone().strftime("%Y-%m-%d %H:%M:%S.000")
    assert ask("history")[0].startswith(f"{when}  route/lan added")


@pytest.mark.parametrize(("name", "count"), [("route/lan", 8), ("rule/lan", 1), ("lan", 9), ("route/none", 0)])
def test_history_of_an_entry_is_found_by_its_whole_name_or_the_name_alone(ask: Ask, name: str, count: int) -> None:
    assert len(ask("history", name)) == count


def test_history_is_bounded_by_a_moment_and_by_a_number_of_lines(ask: Ask) -> None:
    assert len(ask("history", "--since", f"@{BEGAN + 2 * HOUR}")) == 4
    assert [line.partition("  ")[2] for line in ask("history", "-n", "2")] == [e["MESSAGE"] for e in STORY[-2:]]
    assert len(ask("history", "-n", "3", "--since", f"@{BEGAN + 4 * HOUR}")) == 1
    assert ask("history", "-n", "0") == []


def test_without_bounds_only_the_last_lines_are_told(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "FEW", 3)
    assert len(ask("history")) == 3


def test_json_has_the_fields_of_the_journal_and_cursors_that_turn_the_page(ask: Ask) -> None:
    first = json.loads("\n".join(ask("history", "--json", "--since", "@0", "-n", "100")))
    assert first["schema"] == "routed.history/1"
    record = first["records"][1]
    assert record["ROUTED_ACTOR_CMDLINE"] == "ip route del"
    assert record["__REALTIME_TIMESTAMP"] == str(int((BEGAN + HOUR) * 1_000_000))
    assert all(isinstance(value, str) for value in record.values())
    after = first["records"][3]["__CURSOR"]
    second = json.loads("\n".join(ask("history", "--json", "--after-cursor", after, "-n", "2")))
    assert second["records"] == first["records"][4:6]


def test_a_table_with_members_has_the_records_of_its_parts_and_a_part_its_own_alone(
    tmp_path: Path, capsys: Output
) -> None:
    names = ["route/pods[node1]", "route/pods[node2]", "route/pods", "route/pods2", "route/lan"]
    write_journal(tmp_path, [as_entry(repaired(name, pid=at), BEGAN + at) for at, name in enumerate(names, 1)])

    def ask(*words: str) -> list[str]:
        assert main([*words, f"--directory={tmp_path}"]) == Exit.DONE
        return [line.partition("  ")[2].split()[0] for line in capsys.readouterr().out.splitlines()]

    assert ask("history", "route/pods") == names[:3]
    assert ask("history", "pods") == names[:3]
    assert ask("history", "route/pods[node2]") == ["route/pods[node2]"]
    assert main(["blame", "route/pods", f"--directory={tmp_path}", "--json"]) == Exit.DONE
    [culprit] = json.loads(capsys.readouterr().out)["culprits"]
    assert culprit["count"] == 3


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


@pytest.mark.parametrize("asked", [(), ("route/pods",)])
def test_history_that_follows_tells_what_was_and_then_what_comes(tmp_path: Path, asked: tuple[str, ...]) -> None:
    write_journal(tmp_path, [as_entry(repaired("route/pods[node1]"), BEGAN)])
    command = [sys.executable, "-m", "routed", "history", *asked, "-f", "--json", f"--directory={tmp_path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as following:
        told = [json.loads(read_line(following))]
        later = [as_entry(repaired("route/lan"), BEGAN + 1)] if asked else []
        later.append(as_entry(repaired("route/pods[node2]"), BEGAN + 2))  # a part that nobody had heard of
        write_journal(tmp_path, later, name="later")
        told.append(json.loads(read_line(following)))
        following.send_signal(signal.SIGINT)
        assert following.wait() == Exit.INTERRUPTED
    assert [one["schema"] for one in told] == ["routed.history/1"] * 2
    assert [one["records"][0]["ROUTED_ENTRY"] for one in told] == ["route/pods[node1]", "route/pods[node2]"]


def test_blame_counts_by_program_user_and_unit_and_shows_the_lines(ask: Ask) -> None:
    lines = ask("blame", "route/lan")
    table = [re.split(r"  +", line) for line in lines[: lines.index("")]]
    assert table[0] == ["WHO", "TIMES", "LAST", "WHAT BECAME OF IT", "LAST COMMAND"]
    assert [(row[0], row[1], row[3]) for row in table[1:]] == [
        ("ip (uid 0, session-3.scope)", "5", "5 repaired"),
        ("the kernel (link v0 went down)", "1", "1 repaired"),
        ("networkd (uid 0, systemd-networkd.service)", "1", "1 repaired"),
        ("routed, as the files say", "1", "1 added"),
    ]
    assert table[1][4] == "ip route del"
    assert len(lines) - lines.index("") - 1 == 8


def test_blame_counts_everything_however_few_lines_are_shown(ask: Ask) -> None:
    document = json.loads("\n".join(ask("blame", "lan", "-n", "1", "--json")))
    assert document["schema"] == "routed.blame/1"
    worst = document["culprits"][0]
    assert (worst["who"], worst["count"]) == ("ip (uid 0, session-3.scope)", 6)
    assert len(document["records"]) == 1


def test_a_hostile_record_does_not_drive_the_terminal(tmp_path: Path, capsys: Output) -> None:
    record = repaired("route/lan")._replace(message="route/lan \x1b[2J\u202e deleted")
    write_journal(tmp_path, [as_entry(record, BEGAN, ROUTED_ACTOR_COMM="\x1b[31mip")])
    for command in (["history"], ["blame", "lan"]):
        assert main([*command, f"--directory={tmp_path}"]) == Exit.DONE
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\\x1b[2J" in said


def test_nothing_to_tell_is_said_and_is_no_error(folder: Path, capsys: Output) -> None:
    assert main(["history", "route/none", f"--directory={folder}"]) == Exit.DONE
    assert capsys.readouterr() == ("", "routed: the journal has no record of route/none from this time\n")


@pytest.mark.parametrize("verb", ["history", "blame"])
def test_an_entry_that_is_no_text_has_no_records(folder: Path, capsys: Output, verb: str) -> None:
    assert main([verb, f"--directory={folder}", "route/\udcff"]) == Exit.DONE
    assert capsys.readouterr().err == "routed: the journal has no record of route/\\xff from this time\n"


@pytest.mark.parametrize("cursor", ["x", "\udcff"])
def test_a_cursor_that_is_none_is_a_usage_error(folder: Path, capsys: Output, cursor: str) -> None:
    assert main(["history", f"--directory={folder}", "--after-cursor", cursor]) == Exit.USAGE
    assert "is not the __CURSOR of a record" in capsys.readouterr().err


def test_where_there_is_no_journal_that_is_said_with_what_to_do(tmp_path: Path, capsys: Output) -> None:
    assert main(["history", f"--directory={tmp_path}"]) == Exit.FAILED
    said = capsys.readouterr().err
    assert f"there is no journal in {tmp_path}" in said
    assert "stderr" in said


def test_where_the_journal_may_not_be_read_that_is_said_with_what_to_do(
    folder: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A test that is root may read everything, so the answer of the system call is what is changed here.
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).is_dir())
    assert main(["blame", "lan", f"--directory={folder}"]) == Exit.NOT_PERMITTED
    assert "systemd-journal" in capsys.readouterr().err


ZONE = timezone(timedelta(hours=1))
NOW = datetime(2026, 11, 24, 14, 30, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1h", NOW - timedelta(hours=1)),
        ("-90s", NOW - timedelta(seconds=90)),
        ("2d ago", NOW - timedelta(days=2)),
        ("now", NOW),
        ("today", NOW.replace(hour=0, minute=0)),
        ("yesterday", NOW.replace(day=23, hour=0, minute=0)),
        ("2026-11-24", NOW.replace(hour=0, minute=0)),
        ("2026-11-24 10:00", NOW.replace(hour=10, minute=0)),
        ("2026-11-24 10:00:05", NOW.replace(hour=10, minute=0, second=5)),
        ("2026-11-24T10:00:00+00:00", NOW.replace(hour=11, minute=0)),
        ("10:00", NOW.replace(hour=10, minute=0)),
        ("@0", datetime(1970, 1, 1, 1, tzinfo=ZONE)),
    ],
)
def test_a_moment_is_read_as_journalctl_reads_it(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


@given(st.text())
def test_what_is_no_moment_is_refused_with_a_sentence(text: str) -> None:
    complaint = ""
    try:
        parse_moment(text, NOW)
    except ValueError as error:
        complaint = str(error)
    assert not complaint or complaint.startswith(f'"{text}" is no moment: write one such as 1h')


@pytest.mark.parametrize("words", [["--since", "tomorrow-ish"], ["-n", "-5"], ["-n", "many"]])
def test_a_wrong_bound_is_a_usage_error(words: list[str], capsys: Output) -> None:
    assert main(["history", *words]) == Exit.USAGE


@pytest.mark.parametrize("verb", ["history", "blame"])
def test_without_systemds_library_it_is_said_what_to_install_and_how_to_read_the_records_meanwhile(
    folder: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.delitem(sys.modules, "routed.audit.journal", raising=False)
    monkeypatch.setitem(sys.modules, "systemd", None)
    assert main([verb, "route/lan", f"--directory={folder}"]) == Exit.FAILED
    said = " ".join(capsys.readouterr().err.split())
    assert "pip install 'routed[systemd]'" in said
    assert said.endswith(f"journalctl -D {folder} SYSLOG_IDENTIFIER=routed ROUTED_ENTRY=route/lan")
