"""Programs as sources of members: the daemon as a process, and real programs that fail, write halves and go on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.netns import wait_until
from tests.probes.programs import LEAVES_MANY, a_folder, a_mark, a_program, find_children, find_processes
from tests.system.daemon import Daemon
from tests.system.host import shown


@pytest.fixture
def folder() -> Iterator[Path]:
    with a_folder() as folder:
        yield folder


ROUTE = """
[[route]]
name = "pods"
for_each = "@fleet"
to = "{prefix}"
via = "{address}"
"""


def a_source(program: Path, keys: str = 'every = "1s"', more: str = "") -> str:
    return f"""
[[source]]
name = "fleet"
type = "exec"
command = ["{program}"]
user = "nobody"
prefixes_within = ["10.9.0.0/16"]
addresses_within = ["10.0.0.0/24"]
max_loss = "off"
{keys}
{more}
{ROUTE}"""


def a_document(*numbers: int) -> str:
    members = [{"name": f"n{one}", "addresses": [f"10.0.0.{one}"], "prefixes": [f"10.9.{one}.0/24"]} for one in numbers]
    return json.dumps({"schema": "routed.members/1", "members": members})


def routes() -> set[int]:
    """The numbers of the members that have their route."""
    return {one for one in range(2, 10) if shown(f"10.9.{one}.0/24")}


def the_source(daemon: Daemon) -> str:
    return daemon.ask("members").out.splitlines()[0]


def publish(path: Path, text: str) -> None:
    """Put this there at once, for everybody to read."""
    new = path.with_name("new")
    new.write_text(text)
    new.chmod(0o644)
    new.rename(path)


# --- run again and again ----------------------------------------------------------------------------------------------


def test_whom_a_program_names_is_a_member_and_nobody_goes_while_it_fails(daemon: Daemon, folder: Path) -> None:
    publish(folder / "members", a_document(2, 3))
    program = a_program(folder, f". {folder}/how\necho noise >&2\ncat {folder}/members")
    publish(folder / "how", "")
    daemon.start(a_source(program))
    assert routes() == {2, 3}  # a start waits for it
    publish(folder / "members", a_document(3, 4))
    wait_until(lambda: routes() == {3, 4})
    publish(folder / "how", f"echo no inventory >&2; echo '{a_document(5)}'; exit 3")
    wait_until(lambda: "exec: exit code 3: no inventory" in the_source(daemon))
    assert "stale" in the_source(daemon)
    assert routes() == {3, 4}
    assert "source/fleet: exec: exit code 3" in daemon.status()["state"]
    failed = daemon.wait_for("source-failed", "source/fleet")
    assert "exec: exit code 3: no inventory" in failed["fields"]["ROUTED_REASON"]
    publish(folder / "how", "")
    publish(folder / "members", a_document(5))
    wait_until(lambda: routes() == {5})
    assert "live" in the_source(daemon)
    assert daemon.stop() == 0
    assert find_processes(str(folder)) == []


def test_a_program_that_is_not_there_yet_or_that_others_may_write_changes_nothing(daemon: Daemon, folder: Path) -> None:
    program = folder / "members"
    daemon.start(a_source(program))
    assert "does not exist: install it, or change `command`" in the_source(daemon)
    assert daemon.entry("route/pods")["state"] == "waiting"
    checked = daemon.ask("check")
    assert checked.code == 0
    assert f"{program} does not exist, so source/fleet cannot be asked" in checked.out + checked.err
    a_program(folder, f"echo '{a_document(2)}'", "members")
    wait_until(lambda: routes() == {2})
    program.chmod(0o777)
    wait_until(lambda: f"somebody else than root may write {program}" in the_source(daemon))
    checked = daemon.ask("check")
    assert checked.code == 78  # and no files with it come into force
    assert f"`command`: somebody else than root may write {program}" in checked.err
    assert routes() == {2}


def test_what_was_known_of_a_program_that_fails_after_a_restart_is_there_from_the_start(
    daemon: Daemon, folder: Path
) -> None:
    program = a_program(folder, f"echo '{a_document(2, 3)}'")
    daemon.start(a_source(program))
    wait_until((daemon.state / "members" / "fleet.json").exists)
    daemon.kill()
    daemon.forget()
    program.unlink()
    os.system("ip route flush proto 114")  # noqa: S605  as after a boot
    assert routes() == set()
    daemon.start()
    assert routes() == {2, 3}
    assert the_source(daemon).startswith("source/fleet  cached for")
    assert "does not exist" in the_source(daemon)
    a_program(folder, f"echo '{a_document(3)}'")
    wait_until(lambda: routes() == {3})


# --- a stream ---------------------------------------------------------------------------------------------------------


def a_stream(folder: Path, mark: str) -> Path:
    """A program that writes each file ``1``, ``2``, … as soon as it is there, and leaves processes behind."""
    (folder / "documents").mkdir(mode=0o755, exist_ok=True)
    body = f"""{LEAVES_MANY.format(mark=mark)}
number=1
while :; do
    while [ ! -e {folder}/documents/$number ]; do sleep 0.05; done
    . {folder}/documents/$number
    number=$((number + 1))
done"""
    return a_program(folder, body)


def say(folder: Path, number: int, *members: int) -> None:
    publish(folder / "documents" / str(number), f"echo '{a_document(*members)}'\n")


def test_each_line_of_a_program_that_goes_on_is_news(daemon: Daemon, folder: Path) -> None:
    mark = a_mark()
    program = a_stream(folder, mark)
    say(folder, 1, 2)
    daemon.start(a_source(program, ""))
    wait_until(lambda: routes() == {2})
    say(folder, 2, 2, 3)
    wait_until(lambda: routes() == {2, 3})
    say(folder, 3, 4)
    wait_until(lambda: routes() == {4})
    (running,) = find_processes(str(program))
    half = a_document(2, 3)[:40]
    publish(folder / "documents" / "4", f"printf '%s' '{half}'; exit 0")
    wait_until(lambda: "it ended, and without `every` it has to go on" in the_source(daemon))
    assert routes() == {4}
    for number in ("2", "3", "4"):
        (folder / "documents" / number).unlink()
    say(folder, 1, 5)  # of the next run
    wait_until(lambda: routes() == {5})
    assert running not in find_processes(str(program))
    wait_until(lambda: len(find_processes(mark)) == 4)  # of the one that runs, and none of the other


def test_a_stream_of_which_a_line_is_no_document_says_nothing_and_is_begun_again(daemon: Daemon, folder: Path) -> None:
    program = a_stream(folder, a_mark())
    say(folder, 1, 2)
    daemon.start(a_source(program, ""))
    wait_until(lambda: routes() == {2})
    publish(folder / "documents" / "2", "echo '{\"members\": 1}'")
    wait_until(lambda: "it has no list `members`" in the_source(daemon))
    assert routes() == {2}
    (folder / "documents" / "2").unlink()
    wait_until(lambda: "live" in the_source(daemon))


def test_a_stream_that_writes_no_document_in_time_is_begun_again(daemon: Daemon, folder: Path) -> None:
    program = a_stream(folder, a_mark())
    daemon.start(a_source(program, 'timeout = "300ms"'))
    wait_until(lambda: "it wrote no document in 0.3 s" in the_source(daemon))
    say(folder, 1, 2)
    wait_until(lambda: routes() == {2})
    wait_until(lambda: "live" in the_source(daemon))


def test_a_stream_without_end_keeps_nobody_waiting(daemon: Daemon, folder: Path) -> None:
    program = a_program(folder, f"exec yes '{a_document(2)}'")
    daemon.start(a_source(program, ""))
    wait_until(lambda: routes() == {2})
    os.system("ip route del 10.9.2.0/24")  # noqa: S605
    wait_until(lambda: routes() == {2})
    assert daemon.stop() == 0
    assert find_processes("yes") == []


def find_with_children(pid: int) -> set[int]:
    """The helpers of a daemon, and theirs."""
    helpers = find_children(pid, "--user")
    return {*helpers, *(one for helper in helpers for one in find_children(helper, "--user"))}


def test_nothing_is_left_of_a_program_at_a_reload_a_stop_and_when_the_daemon_or_its_helper_is_killed(
    daemon: Daemon, folder: Path
) -> None:
    mark = a_mark()
    program = a_stream(folder, mark)
    say(folder, 1, 2)
    text = a_source(program, "")

    def runs() -> bool:
        return len(find_processes(mark)) == 4 and routes() == {2}

    daemon.start(text)
    wait_until(runs)
    daemon.apply("")
    wait_until(lambda: find_processes(mark) == [] and find_children(daemon.pid, "--user") == [])
    daemon.apply(text)
    wait_until(runs)
    (helper,) = find_children(daemon.pid, "--user")
    (keeper,) = find_children(helper, "--user")
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: "whoever runs commands here ended meanwhile" in str(daemon.records("source-failed")))
    wait_until(runs)
    os.kill(helper, signal.SIGKILL)  # whoever keeps the program goes on
    say(folder, 2, 2, 3)
    wait_until(lambda: routes() == {2, 3})
    (folder / "documents" / "2").unlink()
    helpers = find_with_children(daemon.pid)
    daemon.kill()
    wait_until(lambda: find_processes(mark) == [] and helpers.isdisjoint(find_processes("--user")))
    daemon.start()
    wait_until(runs)
    helpers = find_with_children(daemon.pid)
    assert daemon.stop() == 0
    assert find_processes(mark) == []
    wait_until(lambda: helpers.isdisjoint(find_processes("--user")))
