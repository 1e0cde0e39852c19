"""The lock and namespaces, strangers and crowds. Needs root, to make namespaces and to be somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP

import pytest

from routed.daemon.lock import AlreadyRunningError, acquire
from tests.kernel.netns import ip_json, wait_until
from tests.system.daemon import PATIENCE, Daemon
from tests.system.host import routes
from tests.system.worlds import GATEWAY, LAN

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network namespace")

PROTOCOL = 2_000_000 + os.getpid()
TAKE = """
import sys
from pathlib import Path
from signal import SIGHUP
from routed.daemon.lock import acquire
lock = acquire(int(sys.argv[1]), Path(sys.argv[2]))
"""
# Two steps, so that many begin the second one at once; what was got is held until all have said.
RACE = """
import sys
from pathlib import Path
from signal import SIGHUP
from routed.daemon.lock import AlreadyRunningError, acquire
print('ready', flush=True)
input()
try:
    lock = acquire(int(sys.argv[1]), Path(sys.argv[2]))
    print('held', flush=True)
except AlreadyRunningError:
    print('refused', flush=True)
input()
"""
# Needs no rights and nothing of routed, as a stranger would have it.
SQUAT = """
import socket, sys, time
protocol, count, backlog = map(int, sys.argv[1:])
taken = []
for number in range(count):
    name = f'\\0routed/{protocol}' + (f'/{number}' if number else '')
    taken.append(socket.socket(socket.AF_UNIX))
    taken[-1].bind(name)
    taken[-1].listen(backlog)
    while not backlog:  # fill it, so that whoever asks is kept waiting
        taken.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        try:
            taken[-1].connect(name)
        except BlockingIOError:
            break
print('taken', flush=True)
input()
"""
# Fills the backlog of the first names again and again, with as many connections as a process may have.
FLOOD = """
import os, resource, socket, sys, time
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held, told = [], False
while True:
    try:
        held.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        held[-1].connect(f'\\0routed/{sys.argv[1]}')
    except BlockingIOError:
        held.pop()
        if not told:
            print('full', flush=True)
            told = True
    except OSError:
        held.clear()
    if len(held) > 20000:
        held.clear()
"""


@contextmanager
def stranger(program: str, *words: object, says: str) -> Iterator[subprocess.Popen[str]]:
    """An ordinary user who runs a program, from its first word until the end of the block."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with subprocess.Popen(
        [*nobody, sys.executable, "-c", program, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == f"{says}\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def other(daemon: Daemon, tmp_path: Path) -> Iterator[Daemon]:
    """A second daemon beside the first one, with folders of its own, as in another mount namespace."""
    (tmp_path / "other").mkdir()
    other = Daemon(tmp_path / "other")
    try:
        yield other
    finally:
        other.close()


def take(folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Take the lock in a process of its own, and end."""
    command = [*before, sys.executable, "-c", TAKE, str(PROTOCOL), str(folder)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_each_network_namespace_has_a_lock_of_its_own(tmp_path: Path) -> None:
    with acquire(PROTOCOL, tmp_path):
        assert take(tmp_path, "unshare", "--net").returncode == 0
        assert f"another routed (pid {os.getpid()})" in take(tmp_path).stderr


def test_the_lock_spans_mount_namespaces(tmp_path: Path) -> None:
    with acquire(PROTOCOL, tmp_path):
        elsewhere = take(tmp_path, "unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {tmp_path}; exec "$0" "$@"')
    assert f"another routed (pid {os.getpid()})" in elsewhere.stderr


@pytest.mark.parametrize("squatted", [0, 3])
def test_of_many_that_start_at_once_no_two_hold_it(tmp_path: Path, squatted: int) -> None:
    command = [sys.executable, "-c", RACE, str(PROTOCOL)]
    with stranger(SQUAT, PROTOCOL, squatted, 1, says="taken"):
        racers = [
            subprocess.Popen(
                [*command, str(tmp_path / str(number))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for number in range(8)
        ]
        said = []
        for line in ("ready\n", ""):
            for racer in racers:
                assert racer.stdin
                assert racer.stdout
                said.append(racer.stdout.readline())
                assert not line or said.pop() == line
            for racer in racers:
                assert racer.stdin
                racer.stdin.write("\n")
                racer.stdin.flush()
        for racer in racers:
            racer.communicate()
    assert set(said) <= {"held\n", "refused\n"}
    assert said.count("held\n") <= 1


@pytest.mark.parametrize("backlog", [1, 0])
def test_a_squatter_on_the_lock_does_not_keep_the_daemon_out_nor_a_second_one_in(
    daemon: Daemon, other: Daemon, backlog: int
) -> None:
    with stranger(SQUAT, 114, 64, backlog, says="taken"):
        daemon.start(GATEWAY)
        other.write(GATEWAY)
        refused = other.ask("run", "--log-format", "json")
        direct = other.ask("apply", "--direct")
    for answer in (refused, direct):
        assert answer.code == 4
        assert f"another routed (pid {daemon.pid})" in answer.err


def test_a_squatter_who_takes_names_once_the_daemon_runs_hides_it_from_nobody(daemon: Daemon, other: Daemon) -> None:
    with stranger(SQUAT, 114, 3, 1, says="taken") as squatter:
        daemon.start(GATEWAY)
        squatter.kill()
        squatter.wait()
    with stranger(SQUAT, 114, 2, 1, says="taken"):  # the first free name is another one than that of the daemon now
        other.write(GATEWAY)
        assert other.ask("apply", "--direct").code == 4


def test_a_user_who_floods_the_lock_with_questions_does_not_hide_the_daemon(daemon: Daemon, other: Daemon) -> None:
    daemon.start(GATEWAY)
    other.write(GATEWAY)
    with stranger(FLOOD, 114, says="full"):
        for _ in range(3):
            answer = other.ask("apply", "--direct")
            assert answer.code == 4
            assert f"another routed (pid {daemon.pid})" in answer.err
        assert daemon.ask("apply").code == 0


def test_a_start_waits_for_a_holder_that_goes(daemon: Daemon) -> None:
    with acquire(114, daemon.folder / "elsewhere"):
        daemon.write(GATEWAY)
        daemon.launch()
        wait_until(lambda: any((daemon.folder / "run").glob("lock-*")), PATIENCE)  # now it asks
    daemon.wait_until_ready()


def test_a_reload_to_a_number_that_another_daemon_holds_is_refused_and_changes_nothing(
    daemon: Daemon, other: Daemon
) -> None:
    daemon.start(GATEWAY)
    other.start(f'{LAN}via = "10.0.0.3"\nmetric = 7\n', daemon="protocol = 115")
    before = ip_json("route show table all")
    revision = daemon.ask_json("status")["revision"]
    other.write(f'{LAN}via = "10.0.0.3"\nmetric = 8\n', daemon="protocol = 114")

    answer = other.ask("apply")

    assert answer.code == 4
    assert f"another routed (pid {daemon.pid})" in answer.err
    assert ip_json("route show table all") == before
    status = other.ask_json("status")
    assert (status["protocol"], status["former_protocols"], status["revision"]) == (115, [], revision)
    assert status["files"]["state"] == "changed, not in force"
    assert other.ask("apply", "--direct").code == 4
    assert ip_json("route show table all") == before

    other.write(f'{LAN}via = "10.0.0.3"\nmetric = 8\n', daemon="protocol = 116")
    assert other.ask("apply").code == 1  # in force, and shadowed by the route of the first daemon
    assert (len(routes("114")), len(routes("115")), len(routes("116"))) == (1, 0, 1)


@pytest.mark.parametrize("way", ["SIGHUP", "watch"])
def test_a_reload_that_nobody_waits_for_says_in_the_journal_who_holds_the_number(
    daemon: Daemon, other: Daemon, way: str
) -> None:
    daemon.start(GATEWAY)
    other.start(f'{LAN}via = "10.0.0.3"\nmetric = 7\n', daemon='protocol = 115\nwatch = "apply"')
    other.write(f'{LAN}via = "10.0.0.3"\nmetric = 7\n', daemon='protocol = 114\nwatch = "apply"')
    if way == "SIGHUP":
        other.signal(SIGHUP)
    said = other.wait_for("protocol-taken", saying=f"another routed (pid {daemon.pid})")
    assert said["fields"]["ROUTED_OBJECT"] == "protocol 114"
    assert (len(routes("114")), len(routes("115"))) == (1, 1)
    assert len(other.records("protocol-taken")) == 1
    daemon.stop()
    assert other.ask("apply").code == 0
    assert len(routes("115")) == 0


def test_two_daemons_cannot_swap_their_numbers_at_once(daemon: Daemon, other: Daemon) -> None:
    daemon.start(GATEWAY)
    other.start(f'{LAN}via = "10.0.0.3"\nmetric = 7\n', daemon="protocol = 115")
    daemon.write(GATEWAY, daemon="protocol = 115")
    other.write(f'{LAN}via = "10.0.0.3"\nmetric = 7\n', daemon="protocol = 114")
    assert [each.ask("apply").code for each in (daemon, other)] == [4, 4]
    assert (len(routes("114")), len(routes("115"))) == (1, 1)


def test_the_lock_of_a_former_number_is_held_as_long_as_something_carries_it(daemon: Daemon, other: Daemon) -> None:
    many = "".join(f'[[route]]\nto = "10.5.{number}.0/24"\ntype = "blackhole"\n' for number in range(30))
    daemon.start(many)
    assert [r["by_guard"] for r in daemon.apply(GATEWAY, daemon="protocol = 115")["refusals"]][:1] == [True]
    with pytest.raises(AlreadyRunningError):
        acquire(114, daemon.folder / "elsewhere")
    assert daemon.ask("apply", "--force").code == 0
    acquire(114, daemon.folder / "elsewhere").close()
