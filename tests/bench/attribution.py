"""How many short-lived commands are named: the share of deletions by ``ip`` whose command line the audit tells.

    python -m tests.bench.attribution [DELETIONS [NICENESS]]

One route after the other is deleted by an ``ip route del`` of its own, which its parent takes away as soon as it has
ended, as a shell does; each deletion is waited for until it is repaired and told. Afterwards the cost of a look at
/proc is measured. It is a race against a process that ends: run it on a machine that does nothing else. The share of
time in which the processors were idle is printed with it; a run of it alone leaves about half.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from routed.kernel.processes import read_process
from tests.kernel import netns
from tests.system.daemon import Daemon

ENTRIES = 50  # so that no entry has more records than are written one by one
PACE = 0.02  # seconds between two deletions; the daemon falls asleep, as it is when somebody deletes a route
LOOKS = 2000


def write_entries() -> str:
    """The entries whose routes are deleted in turn."""
    return "".join(f'[[route]]\nname = "{n}"\nto = "10.30.{n}.0/24"\nvia = "10.0.0.2"\n' for n in range(ENTRIES))


def name_deletions(daemon: Daemon, deletions: int) -> tuple[Counter[str], list[int]]:
    """How often each kind of answer was given, and microseconds from event to cure, for so many deletions."""
    answers: Counter[str] = Counter()
    elapsed: list[int] = []
    for number in range(deletions):
        daemon.forget()
        time.sleep(PACE)
        command = ["ip", "route", "del", f"10.30.{number % ENTRIES}.0/24"]
        child = subprocess.Popen(command)
        assert child.wait() == 0
        fields = daemon.wait_for("repaired")["fields"]
        elapsed.append(int(fields["ROUTED_ELAPSED_USEC"]))
        assert fields["ROUTED_ACTOR_PORT"] == str(child.pid)
        if fields.get("ROUTED_ACTOR_CMDLINE") == " ".join(command):
            answers["named, with its arguments"] += 1
        elif fields.get("ROUTED_ACTOR_COMM") == "ip":
            answers["named, without them"] += 1
        else:
            answers["not named"] += 1
    return answers, elapsed


def measure_looks() -> float:
    """Seconds that one look at a process takes, on average."""
    began = time.perf_counter()
    for _ in range(LOOKS):
        assert read_process(os.getpid())
    return (time.perf_counter() - began) / LOOKS


def read_idle() -> tuple[int, int]:
    """Ticks that all processors were idle, and all ticks (proc_stat(5))."""
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def main() -> None:
    """Print the figures."""
    deletions = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    niceness = sys.argv[2] if len(sys.argv) > 2 else "0"
    with TemporaryDirectory() as folder, netns.private_network():
        netns.veth("v0", "10.0.0.1/24")
        daemon = Daemon(Path(folder))
        daemon.start(write_entries(), daemon='fight_limit = "off"', before=("nice", "-n", niceness))
        before = read_idle()
        answers, elapsed = name_deletions(daemon, deletions)
        idle, every = (after - then for after, then in zip(read_idle(), before, strict=True))
        daemon.close()
        for answer, count in answers.most_common():
            print(f"{answer:>26}  {count:>5}  {count / deletions:.1%}")
        print(f"{'event to cure (median)':>26}  {statistics.median(elapsed):>5.0f} µs")
        print(f"{'one look at a process':>26}  {measure_looks() * 1e6:>5.1f} µs")
        print(f"{'idle meanwhile':>26}  {idle / every:>5.0%}")


if __name__ == "__main__":
    main()
