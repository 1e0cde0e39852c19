"""What was in force before, and how it differs: with the daemon and without, by the objects and by the text."""

from __future__ import annotations

import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest

from tests.system.daemon import PROJECT, Daemon
from tests.system.worlds import GATEWAY, WORLD, blackholes

OTHER = '[[route]]\nname = "other"\nto = "192.0.5.0/24"\nvia = "10.0.0.2"\n'
LATER = '[[route]]\nname = "later"\nto = "192.0.7.0/24"\ndev = "nosuch0"\n'


def told(steps: list[dict[str, Any]], theirs: set[str]) -> set[tuple[str, str, str, str, int]]:
    keys = ("symbol", "object", "before", "after", "count")
    return {tuple(one[key] for key in keys) for one in steps if one["object"] not in theirs}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (GATEWAY, f"{GATEWAY}metric = 2\n"),
        (f"{GATEWAY}{OTHER}", f"{GATEWAY}mtu = 1400\n{LATER}"),
        ("", WORLD),
        (WORLD, ""),
        (GATEWAY, GATEWAY + blackholes(40)),
    ],
)
def test_a_diff_says_what_a_plan_would_where_the_first_is_in_the_kernel(
    daemon: Daemon, first: str, second: str
) -> None:
    daemon.start(first, daemon='max_deletes = "100%"')
    daemon.write(second, daemon='max_deletes = "100%"')
    plan, diff = daemon.ask_json("plan"), daemon.ask_json("diff")
    theirs = {one["object"] for one in plan["steps"] if "unspec" in one["before"] + one["after"]}  # no matter of a diff
    assert told(diff["steps"], theirs) == told(plan["steps"], theirs) != set()
    assert diff["waiting"] == plan["waiting"]
    assert (diff["schema"], diff["before"], diff["after"]) == ("routed.diff/1", 1, str(daemon.config))


def test_a_diff_is_printed_as_a_plan_is_and_says_between_what(daemon: Daemon) -> None:
    daemon.start(GATEWAY + OTHER)
    daemon.apply(f"{GATEWAY}mtu = 1400\n")
    assert daemon.ask("diff", "1", "2").out.splitlines() == [
        "~ route/lan  192.0.2.0/24 via 10.0.0.2 dev v0 proto routed mtu 1400",
        "      was: 192.0.2.0/24 via 10.0.0.2 dev v0 proto routed",
        f"      {daemon.config}:4: no mtu instead of 1400",
        "- route/other  192.0.5.0/24 via 10.0.0.2 dev v0 proto routed",
        f"      {daemon.config}:8: ours, and no entry wants it",
        "From revision 1 to revision 2: 1 to change, 1 to remove.",
    ]
    daemon.write(f"# for the night\n{GATEWAY}mtu = 1400\n")
    assert daemon.ask("diff").out == (
        f"No object differs between revision 2 and {daemon.config}; routed diff --text shows what does.\n"
    )
    assert "+# for the night" in daemon.ask("diff", "--text").out.splitlines()


def test_files_are_read_by_the_command_and_not_by_the_daemon(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(GATEWAY)
    mine = tmp_path / "mine"
    mine.mkdir()
    script = (
        f"mount -t tmpfs none {mine} && printf 'version = 1\\n{GATEWAY}metric = 9\\n' >{mine}/other.toml"
        f' && exec "$0" -m routed --runtime-dir={tmp_path}/run diff {mine}/other.toml'.replace("\n", "\\n")
    )
    command = ["unshare", "--mount", "sh", "-c", script, sys.executable]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"From revision 1 to {mine}/other.toml: 1 to add, 1 to remove." in done.stdout
    assert list(mine.iterdir()) == []


def test_files_that_are_invalid_are_not_compared(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.write("nonsense")
    answer = daemon.ask("diff")
    assert (answer.code, answer.out) == (78, "")
    assert f"{daemon.config}:4:1:" in answer.err


def test_without_a_daemon_the_folder_tells_and_it_is_said_that_none_is_in_force(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.apply(f"{GATEWAY}metric = 2\n")
    daemon.stop()
    answer = daemon.ask("revisions")
    assert answer.code == 0
    assert "no daemon is running, so none is in force" in answer.err
    assert [line.split()[0] for line in answer.out.splitlines()] == ["REVISION", "2", "1"]
    assert "From revision 1 to revision 2: 1 to add, 1 to remove." in daemon.ask("diff", "1", "2").out
    assert "+metric = 2" in daemon.ask("diff", "--text", "1", "2").out.splitlines()
    answer = daemon.ask("diff")
    assert (answer.code, "name a revision" in answer.err) == (1, True)
    assert daemon.ask("diff", "1", "7").code == 4
    assert daemon.ask("rollback").code == 69


def test_who_may_not_read_the_folder_is_told_so(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.stop()
    command = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-m", "routed"]
    words = [f"--state-dir={daemon.state}", f"--runtime-dir={daemon.folder}/run", "revisions"]
    for parent in takewhile(lambda one: one != Path(gettempdir()), (daemon.folder, *daemon.folder.parents)):
        parent.chmod(0o755)
    done = subprocess.run([*command, *words], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (77, "")
    assert "may not read" in done.stderr


def test_the_table_of_revisions_fits_a_terminal_and_says_all_of_each(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.write(f"{GATEWAY}metric = 2\n")
    assert daemon.ask("apply", "--confirm", "5m", "--comment", "new router").code == 0
    lines = daemon.ask("revisions").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split(maxsplit=1)[0] == "2*"
    assert lines[1].endswith("root   in force, verified, not confirmed  new router")
