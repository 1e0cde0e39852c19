"""Members that change without a pause, through the whole daemon: a real etcd, a real kernel. A line for each size.

    unshare --net --mount sh -c 'ip link set lo up && python -m tests.bench.churn 50 5000'

One member changes its address a hundred times a second. Told is the processor time that the daemon takes for one
change, its memory before and after, and how late a change is in the kernel, from the moment it was sent to etcd. With
``ROUTED_BENCH_PROFILE=FILE`` the daemon runs under cProfile, and the times say nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from tests.bench.members import node, read_cpu
from tests.kernel import netns
from tests.members import etcds
from tests.members.etcds import base
from tests.system.daemon import Daemon
from tests.system.fleet import PODS
from tests.system.monitor import Monitor

RATE: Final = 100  # changes a second
SECONDS: Final = 15.0
AT_ONCE: Final = 100  # keys of a transaction
PREFIX: Final = "/routed/fleet/"
SOURCE: Final = """
[[source]]
name = "fleet"
type = "etcd"
endpoints = ["http://127.0.0.1:{port}"]
prefix = "/routed/fleet/"
prefixes_within = ["10.244.0.0/16"]
addresses_within = ["10.0.0.0/16"]
"""


def read_memory(pid: int) -> float:
    """MB of it that are in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def fill(cluster: etcds.Cluster, members: list[dict[str, Any]]) -> None:
    """All of them into etcd."""
    for start in range(0, len(members), AT_ONCE):
        puts = [
            {"request_put": {"key": base(PREFIX + one["name"]), "value": base(json.dumps(one))}}
            for one in members[start : start + AT_ONCE]
        ]
        cluster.ask("/kv/txn", {"success": puts})


class Changes:
    """What was sent, and what the kernel told of it."""

    def __init__(self, monitor: Monitor) -> None:
        self.sent: dict[str, float] = {}
        self.late: list[float] = []
        self.is_over = False
        self._monitor = monitor
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def _hear(self) -> None:
        while not self.is_over or self.sent:
            if not self._monitor.wait(0.2) and self.is_over:
                break
            now = time.perf_counter()
            for change in self._monitor.heard():
                if (sent := self.sent.pop(change.to, None)) is not None:
                    self.late.append(now - sent)

    def end(self) -> None:
        self.is_over = True
        self._thread.join()


def change(port: int, members: list[dict[str, Any]], changes: Changes) -> int:
    """A member after another, at the rate. Returns how many."""
    began, done = time.perf_counter(), 0
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        while (elapsed := time.perf_counter() - began) < SECONDS:
            if done >= elapsed * RATE:
                time.sleep(done / RATE - elapsed)
                continue
            number = (done * 7919) % len(members)
            other = members[number] = node(number, f"10.0.99.{10 + done % 200}")
            changes.sent[other["prefixes"][0]] = time.perf_counter()
            body = {"key": base(PREFIX + other["name"]), "value": base(json.dumps(other))}
            connection.request("POST", "/v3/kv/put", json.dumps(body))
            connection.getresponse().read()
            done += 1
    return done


def measure(count: int, folder: Path) -> str:
    """So many members of which one after another changes."""
    members, daemon = [node(number) for number in range(count)], Daemon(folder)
    profile = os.environ.get("ROUTED_BENCH_PROFILE", "")
    with etcds.running(next(iter(etcds.PROGRAMS.values())), folder, 1, None) as cluster:
        fill(cluster, members)
        profiled = f'p=$1; shift; exec "$p" -m cProfile -o {profile}.{count} "$@"'
        daemon.write(SOURCE.replace("{port}", str(cluster.servers[0].port)) + PODS)
        daemon.launch(before=["sh", "-c", profiled, "sh"] if profile else [])
        monitor = Monitor()
        try:
            daemon.wait_until_ready()
            netns.wait_until(lambda: _count_routes() == count, 120)
            time.sleep(3.0)
            monitor.heard()
            spent, memory, changes = read_cpu(daemon.pid), read_memory(daemon.pid), Changes(monitor)
            done = change(cluster.servers[0].port, members, changes)
            time.sleep(2.0)
            changes.end()
            cpu, later = read_cpu(daemon.pid) - spent, read_memory(daemon.pid)
            late = [one * 1000 for one in changes.late]
        finally:
            monitor.close()
            daemon.stop()
            daemon.close()
            subprocess.run(["ip", "route", "flush", "proto", "114"], check=False)
    return (
        f"{count} members, {done / SECONDS:.0f} changes/s: processor {cpu * 1000 / done:.2f} ms a change"
        f" ({cpu / SECONDS * 100:.0f} % of one), memory {memory:.1f} -> {later:.1f} MB, late {median(late):.0f} ms"
        f" (95 %: {quantiles(late, n=20)[-1]:.0f}, worst {max(late):.0f}), {len(changes.sent)} never seen"
    )


def _count_routes() -> int:
    done = subprocess.run(["ip", "-o", "route", "show", "proto", "114"], capture_output=True, text=True, check=True)
    return done.stdout.count("\n")


def main() -> None:
    """Measure each size of the arguments."""
    with netns.private_network():
        netns.veth("v0", "10.0.0.1/16")
        netns.wait_until_quiet(links=2)
        for count in map(int, sys.argv[1:] or ["50", "5000"]):
            with tempfile.TemporaryDirectory() as folder:
                sys.stdout.write(measure(count, Path(folder)) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
