"""The table of classes is whole: each call of a daemon fails in some test, or is left out with a reason."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults import world
from tests.faults.classes import CLASSES, LEFT_OUT
from tests.faults.control import CHILDREN, DAEMON, read_classes
from tests.faults.phases import PHASES, STARTS, count_calls
from tests.faults.stage import Stage
from tests.kernel.netns import ip, private_network, wait_until
from tests.system.daemon import Daemon

# What no phase need call: only some ways to do the same work do, or other files ask for it (drivers of interfaces).
SELDOM = frozenset({"lock", "spawn", "connect", "ioctl"})


def test_the_library_and_the_table_name_the_same_classes(library: Path) -> None:
    assert read_classes(library) == list(CLASSES)


def test_nothing_is_both_a_class_and_left_out() -> None:
    covered = {name for row in CLASSES.values() for name in row.syscalls.split()}
    assert covered & LEFT_OUT.keys() == set()


def test_every_error_has_a_source() -> None:
    assert all(row.errors and all(row.errors.values()) for row in CLASSES.values())


def test_every_call_that_a_daemon_makes_has_a_class_or_a_reason(tmp_path: Path) -> None:
    """What it calls is counted by strace from its start to its end, with a reload, a repair and a conversation."""
    covered = {name for row in CLASSES.values() for name in row.syscalls.split()}
    counted = tmp_path / "counted"
    with private_network():
        world.make_network()
        daemon = Daemon(tmp_path)
        try:
            world.write_files(daemon, "A")
            daemon.start(before=["strace", "-D", "-f", "-c", "-U", "calls,name", "-o", str(counted)])
            world.write_files(daemon, "C")
            assert daemon.ask("apply").code == 0
            wanted = world.look()
            ip("route flush proto 114")
            wait_until(lambda: world.look() == wanted, within=20)
            assert daemon.ask("plan", "--exit-code").code == 0
            assert daemon.ask("status").code == 0
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: counted.exists() and "total" in counted.read_text(), within=20)
            assert daemon.wait() == 0
        finally:
            daemon.close()
    lines = [line.split() for line in counted.read_text().splitlines()]
    made = {words[1] for words in lines if len(words) == 2 and words[0].isdigit()} - {"total"}
    assert len(made) > 40, counted.read_text()
    assert made - covered - LEFT_OUT.keys() == set()


@pytest.mark.timeout(300)
def test_every_class_is_met_by_some_phase(stage: Stage) -> None:
    """What no phase calls nothing tests: an alias is missing in the library, or the row is dead."""
    met: set[str] = set()
    for phase in (*STARTS, *PHASES):
        stage.make_ready()
        counts = count_calls(stage, phase)
        met |= {of for whom in (DAEMON, CHILDREN) for of, calls in counts[whom].items() if calls}
    assert CLASSES.keys() - met - SELDOM == set()
