"""What one member's change costs with few and with many members, in a network namespace. A line for each size.

    unshare --net --mount sh -c 'ip link set lo up && python -m tests.bench.members 50 5000'

The daemon runs as a process. The time is that from the new document to the route that the kernel tells of; 0.2 s of it
are the silence that the watch of files waits for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.kernel import netns
from tests.system.daemon import Daemon
from tests.system.fleet import PODS, Fleet
from tests.system.monitor import Monitor

TIMES: Final = 8
REST: Final = 2.0  # seconds: until all that follows a change is done
SOURCE: Final = """
[[source]]
name = "fleet"
type = "file"
path = "fleet.json"
prefixes_within = ["10.244.0.0/16"]
addresses_within = ["10.0.0.0/16"]
"""


def node(number: int, gateway: str = "") -> dict[str, Any]:
    """The member of this number."""
    address = gateway or f"10.0.{number // 200}.{2 + number % 200}"
    prefix = f"10.244.{number // 64}.{number % 64 * 4}/30"
    return {"name": f"n{number:05}", "addresses": [address], "prefixes": [prefix]}


def read_cpu(pid: int) -> float:
    """The seconds of processor that it had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(count: int, folder: Path) -> str:
    """The change of one of so many."""
    fleet, daemon = Fleet(folder), Daemon(folder)
    members = [node(number) for number in range(count)]
    fleet.tell(*members)
    began = time.perf_counter()
    daemon.start(SOURCE + PODS)
    started, monitor = time.perf_counter() - began, Monitor()
    times, cpu = [], []
    try:
        for turn in range(TIMES):
            time.sleep(REST)
            members[count // 2] = node(count // 2, f"10.0.99.{10 + turn}")
            monitor.heard()
            spent, began = read_cpu(daemon.pid), time.perf_counter()
            fleet.tell(*members)
            assert monitor.wait()
            times.append(time.perf_counter() - began)
            time.sleep(REST)
            cpu.append(read_cpu(daemon.pid) - spent)
        memory = next(line for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines() if "VmRSS" in line)
    finally:
        monitor.close()
        daemon.stop()
        daemon.close()
        subprocess.run(["ip", "route", "flush", "proto", "114"], check=False)
    return (
        f"{count} members: start {started:.2f} s, change to route {median(times) * 1000:.0f} ms (worst "
        f"{max(times) * 1000:.0f}), processor {median(cpu) * 1000:.0f} ms, {memory}"
    )


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
