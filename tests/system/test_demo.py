"""`routed demo`, as a user runs it: what it shows, what it needs, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from routed.cli.demo.breakages import BREAKAGES
from tests.kernel import netns

DEMO = [sys.executable, "-m", "routed", "demo"]
ROOT = Path(__file__).parents[2]
WITHOUT_SYS_ADMIN = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]


def demo(surroundings: dict[str, str], *options: str, through: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*through, *DEMO, *options],
        cwd=ROOT,
        env=os.environ | surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Where temporary files go, so that a test sees what is left of them."""
    return {"TMPDIR": str(tmp_path)}


def test_every_breakage_is_repaired_told_and_measured(home: dict[str, str]) -> None:
    done = demo(home, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)["breakages"]
    assert [breakage["title"] for breakage in shown] == [breakage.title for breakage in BREAKAGES]
    for breakage in shown:
        assert breakage["restored"], breakage
        assert breakage["changes"], breakage
        assert breakage["audit"], breakage


def test_a_person_sees_command_audit_and_a_table_without_colour_in_a_pipe(home: dict[str, str]) -> None:
    shown = demo(home).stdout
    assert "$ ip route del 10.30.0.0/16\n  routed: route/storage-lan 10.30.0.0/16 deleted by" in shown
    assert f"{len(BREAKAGES)} of {len(BREAKAGES)} repaired." in shown
    assert "\x1b" not in shown


def test_the_host_is_as_it_was(home: dict[str, str]) -> None:
    def see() -> list[str]:
        return [
            netns.ip(f"-j {what}") for what in ("link", "-4 address", "-4 route show table all", "-4 rule", "-6 rule")
        ]

    with netns.private_network():
        netns.veth("wan0", "10.20.0.11/21")
        netns.wait_until(lambda: netns.ip_json("link show wan0")[0]["operstate"] == "UP")
        before = see()
        assert demo(home, "-q").returncode == 0
        assert see() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_it_when_it_is_interrupted(home: dict[str, str], tmp_path: Path, number: int) -> None:
    with running_demo(home) as process:
        os.killpg(process.pid, number)
        assert process.wait(10) == 130
    netns.wait_until(is_gone(process.pid))
    assert list(tmp_path.iterdir()) == []


def test_the_daemon_does_not_outlive_a_demo_that_is_killed(home: dict[str, str]) -> None:
    with running_demo(home) as process:
        process.kill()
    netns.wait_until(is_gone(process.pid))


def running_demo(surroundings: dict[str, str]) -> subprocess.Popen[str]:
    """A demo in a process group of its own that has repaired something already."""
    process = subprocess.Popen(
        DEMO,
        cwd=ROOT,
        env=os.environ | surroundings | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    while "routed: " not in process.stdout.readline():
        assert process.poll() is None
    return process


def is_gone(group: int) -> Callable[[], bool]:
    """Is no process of this group left?"""

    def ask() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    return ask


def test_it_runs_in_a_user_namespace_where_it_may_not_make_networks_as_root(home: dict[str, str]) -> None:
    done = demo(home, "-q", through=WITHOUT_SYS_ADMIN)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_says_what_it_needs_where_no_namespace_can_be_made(home: dict[str, str]) -> None:
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    done = demo(home, through=["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "-", *WITHOUT_SYS_ADMIN])
    assert done.returncode == 77
    assert done.stderr.startswith("routed: a network namespace cannot be made here: run the demo as root")


def test_it_refuses_a_namespace_that_is_not_its_own(home: dict[str, str]) -> None:
    with netns.private_network():
        netns.veth("v0")
        before = netns.ip("-j link")
        for outside in ("net:[1]", str(Path("/proc/thread-self/ns/net").readlink())):
            done = demo(home | {"ROUTED_DEMO_OUTSIDE": outside})
            assert done.returncode == 77
            assert "is not the demo's own" in done.stderr
        assert netns.ip("-j link") == before
