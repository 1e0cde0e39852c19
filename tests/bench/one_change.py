"""What one member's change costs with few members and with many, over etcd, in one run: a line for each, and the ratio.

    unshare --net --mount sh -c 'ip link set lo up && python -m tests.bench.one_change [FEW MANY [TURNS]]'

Both daemons run at once, each on a host of its own, and take turns: while one works, the other has nothing to do. A
change is sent when the one before is in the kernel, so that no two are done in one go. The processor time is that of
the daemon's threads (/proc/PID/task/TID/schedstat), and so says the same on a machine that is busy. With
``ROUTED_BENCH_PROFILE=FILE`` the changes are profiled, into FILE.50 and FILE.5000, and the times say nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.churn import PREFIX, SOURCE, fill
from tests.bench.members import node
from tests.kernel import netns
from tests.members import etcds
from tests.system.daemon import Daemon
from tests.system.fleet import PODS
from tests.system.monitor import Monitor

DEFAULTS: Final = (50, 5000, 12)  # few, many, turns
AT_ONCE: Final = 40  # changes in a turn
PROFILE: Final = os.environ.get("ROUTED_BENCH_PROFILE", "")
REST: Final = 2.0  # seconds after a turn: whatever follows a change is done, such as what is kept of it


@dataclass
class Subject:
    """A daemon on a host of its own."""

    count: int
    namespace: Path
    daemon: Daemon
    cluster: etcds.Cluster
    monitor: Monitor
    done: int = 0
    spent: list[float] = field(default_factory=list)  # ms a change, of each turn

    def change_some(self) -> None:
        """One member after another."""
        before = read_run_time(self.daemon.pid)
        with netns.inside(self.namespace):
            for _ in range(AT_ONCE):
                self.done += 1
                number = (self.done * 7919) % self.count
                other = node(number, f"10.0.99.{10 + self.done % 200}")
                self.monitor.heard()
                self.cluster.put(PREFIX + other["name"], json.dumps(other))
                while other["prefixes"][0] not in {change.to for change in self.monitor.heard()}:
                    assert self.monitor.wait(30)
        time.sleep(REST)
        self.spent.append((read_run_time(self.daemon.pid) - before) * 1000 / AT_ONCE)


def read_run_time(pid: int) -> float:
    """Seconds that all threads of it ran."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in threads) / 1e9


@contextmanager
def running(count: int, folder: Path) -> Iterator[Subject]:
    """A daemon with so many members."""
    folder.mkdir()
    profiled = f'p=$1; shift; exec "$p" -m tests.bench.profiled {PROFILE}.{count} "$@"'
    with netns.new_namespace() as namespace, netns.inside(namespace):
        netns.veth("v0", "10.0.0.1/16")
        netns.wait_until_quiet(links=2)
        daemon = Daemon(folder)
        with etcds.running(next(iter(etcds.PROGRAMS.values())), folder, 1, None) as cluster:
            fill(cluster, [node(number) for number in range(count)])
            daemon.write(SOURCE.replace("{port}", str(cluster.servers[0].port)) + PODS)
            daemon.launch(before=["sh", "-c", profiled, "sh"] if PROFILE else [])
            monitor = Monitor()
            try:
                netns.wait_until(lambda: len(netns.ip_json("route show proto 114")) == count, 300)
                yield Subject(count, namespace, daemon, cluster, monitor)
            finally:
                monitor.close()
                daemon.stop()
                daemon.close()


def main() -> None:
    """Measure both."""
    few, many, turns = [*map(int, sys.argv[1:]), *DEFAULTS[len(sys.argv) - 1 :]]
    with (
        tempfile.TemporaryDirectory() as name,
        running(few, Path(name, "few")) as one,
        running(many, Path(name, "many")) as other,
    ):
        time.sleep(REST)
        if PROFILE:
            for subject in (one, other):
                subject.daemon.signal(signal.SIGRTMIN)
        for _ in range(turns):
            one.change_some()
            other.change_some()
    for subject in (one, other):
        spent = sorted(subject.spent)
        sys.stdout.write(
            f"{subject.count} members: {median(spent):.2f} ms of processor a change ({spent[0]:.2f}-{spent[-1]:.2f})\n"
        )
    ratios = [b / a for a, b in zip(one.spent, other.spent, strict=True)]
    sys.stdout.write(
        f"{many} to {few}: {median(other.spent) / median(one.spent):.2f} (turn by turn: {median(ratios):.2f})\n"
    )


if __name__ == "__main__":
    main()
