"""`routed plan` says what `routed apply` does next: with a daemon, without one, and for whoever may not do it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.callers import BECOME, NOBODY, open_folder
from tests.system.daemon import PATIENCE, PROJECT, Answer, Daemon
from tests.system.host import OURS, routes
from tests.system.worlds import prefixes

FOREIGN = "10.88.0.0/24 via 10.0.0.3"
ENTRY = '[[route]]\nname = "lan"\nto = "10.88.0.0/24"\nvia = "10.0.0.2"\n'
OTHER = '[[route]]\nname = "other"\nto = "10.89.0.0/24"\nvia = "10.0.0.2"\n'
# Everything is imported by root: not everybody may read the folders of these tests.
PLAN = f"""
import routed.cli, routed.cli.plan, routed.daemon.direct, routed.daemon.marks, routed.daemon.results
{BECOME}
sys.exit(routed.cli.main(sys.argv[3:]))
"""


@pytest.fixture
def open_daemon(network: None) -> Iterator[Daemon]:
    """A daemon whose files everybody may read, but for its revisions."""
    with open_folder() as folder:
        daemon = Daemon(folder)
        try:
            yield daemon
        finally:
            daemon.close()


def way_of(prefix: str = "10.88.0.0/24") -> list[tuple[str, str]]:
    return [(route["gateway"], route["protocol"]) for route in routes("") if route["dst"] == prefix]


def displace(daemon: Daemon) -> None:
    """Ours stands where a foreign route stood, and the file has lost the entry since."""
    ip(f"route add {FOREIGN} proto static")
    daemon.start(ENTRY)
    assert way_of() == [("10.0.0.2", OURS)]
    daemon.write("")


def plan_as_nobody(daemon: Daemon, *words: str) -> Answer:
    options = [f"--config={daemon.config}", f"--state-dir={daemon.state}", f"--runtime-dir={daemon.folder}/run"]
    command = [sys.executable, "-c", PLAN, "", str(NOBODY), *options, "--json", "plan", *words]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=PATIENCE * 3)
    return Answer(done.returncode, done.stdout, done.stderr)


def assert_puts_back(plan: dict[str, Any]) -> None:
    (step,) = plan["steps"]
    assert (step["verb"], step["after"]) == ("replace", f"{FOREIGN} dev v0 proto static")
    assert "put back" in step["reason"]


def test_the_daemons_plan_puts_back_what_an_entry_took_the_place_of_as_apply_does(daemon: Daemon) -> None:
    displace(daemon)
    assert_puts_back(daemon.ask_json("plan"))
    answer = daemon.ask("plan")
    assert (answer.code, answer.err) == (0, "")
    assert "1 to change" in answer.out
    assert way_of() == [("10.0.0.2", OURS)]
    assert daemon.ask("apply").code == 0
    assert way_of() == [("10.0.0.3", "4")]
    assert daemon.ask_json("plan")["steps"] == []


def test_a_plan_without_a_daemon_puts_it_back_as_apply_direct_does(daemon: Daemon) -> None:
    displace(daemon)
    daemon.stop()
    assert_puts_back(daemon.ask_json("plan"))
    assert daemon.ask("apply", "--direct").code == 0
    assert way_of() == [("10.0.0.3", "4")]
    assert daemon.ask_json("plan")["steps"] == []


def test_a_plan_for_another_file_is_made_from_the_state_on_disk(daemon: Daemon) -> None:
    displace(daemon)
    daemon.write(ENTRY)
    other = daemon.folder / "other.toml"
    other.write_text("version = 1\n")
    assert_puts_back(daemon.ask_json("plan", str(other)))
    daemon.write("nonsense\n")  # of the daemon's own files nobody spoke
    answer = daemon.ask("plan", str(other))
    assert (answer.code, answer.err) == (0, "")
    assert "1 to change" in answer.out


def test_what_is_paused_is_left_alone_by_the_plan_for_its_reason(daemon: Daemon) -> None:
    daemon.start(ENTRY + OTHER)
    assert daemon.ask("pause", "route/lan", "--for", "1h", "--reason", "a new switch").code == 0
    for prefix in ("10.88.0.0/24", "10.89.0.0/24"):
        ip(f"route del {prefix}")
    wait_until(lambda: way_of("10.89.0.0/24") != [])
    plan = daemon.ask_json("plan")
    assert plan["steps"] == []
    (refusal,) = plan["refusals"]
    assert (refusal["entry"], refusal["reason"], refusal["by_guard"]) == ("route/lan", "paused: a new switch", False)
    assert daemon.ask("apply").code == 0
    assert way_of() == []
    assert daemon.ask("resume", "route/lan").code == 0
    wait_until(lambda: way_of() != [])


def test_a_plan_is_made_while_a_large_file_is_put_in_force(daemon: Daemon) -> None:
    path = daemon.folder / "many"
    path.write_text(prefixes(20_000, 30 * 256))
    toml = f'[[route]]\nname = "many"\ntype = "blackhole"\nprefixes_file = "{path}"\n'
    daemon.start(ENTRY)
    daemon.write(ENTRY + toml)
    command = [sys.executable, "-m", "routed", *daemon._options, "apply"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL) as apply:
        plans = [daemon.ask_json("plan") for _ in range(3)]
        assert apply.wait(PATIENCE) == 0
    assert {sum(step["count"] for step in plan["steps"]) for plan in plans} <= {0, 20_000}
    assert daemon.ask_json("plan")["steps"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_gets_the_daemons_plan(open_daemon: Daemon) -> None:
    displace(open_daemon)
    answer = plan_as_nobody(open_daemon)
    assert (answer.code, answer.err) == (0, "")
    assert_puts_back(json.loads(answer.out))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_without_a_daemon_is_told_what_could_not_be_read(open_daemon: Daemon) -> None:
    displace(open_daemon)
    open_daemon.stop()
    answer = plan_as_nobody(open_daemon)
    assert answer.code == 0
    assert f"may not read {open_daemon.state}/revisions" in answer.err
    (step,) = json.loads(answer.out)["steps"]
    assert step["symbol"] == "-"


def test_a_daemon_that_reads_other_files_than_the_command_is_told_of(daemon: Daemon) -> None:
    daemon.start(ENTRY)
    elsewhere = daemon.folder / "elsewhere.toml"
    elsewhere.write_text("version = 1\n")
    # As in another mount namespace: at the same place stands another file.
    words = " ".join((sys.executable, "-m", "routed", *daemon._options, "plan"))
    command = f"mount --bind {elsewhere} {daemon.config} && exec {words}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "reads other files" in done.stderr
    assert "Nothing to do" in done.stdout
