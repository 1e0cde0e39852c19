"""How many short-lived commands are named: the share of deletions by ``ip`` whose command line the audit tells.

    python -m tests.bench.attribution [DELETIONS]

A route is deleted by one ``ip route del`` after the other; each is waited for until it is repaired and told. Afterwards
the cost of a look at /proc is measured. Run it on a machine that does nothing else, once per way of being reaped: a
parent that waits for its child, as a shell does, takes its traces away at once.
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

ROUTE = '[[route]]\nname = "lan"\nto = "10.30.0.0/24"\nvia = "10.0.0.2"\n'
COMMAND = ["ip", "route", "del", "10.30.0.0/24"]
LOOKS = 2000


def name_deletions(daemon: Daemon, deletions: int) -> tuple[Counter[str], list[int]]:
    """How often each kind of answer was given, and microseconds from event to cure, for so many deletions."""
    answers: Counter[str] = Counter()
    elapsed: list[int] = []
    for _ in range(deletions):
        daemon.forget()
        time.sleep(0.002)  # let the daemon fall asleep, as it is when somebody deletes a route
        child = subprocess.Popen(COMMAND)
        assert child.wait() == 0
        fields = daemon.wait_for("repaired")["fields"]
        elapsed.append(int(fields["ROUTED_ELAPSED_USEC"]))
        assert fields["ROUTED_ACTOR_PORT"] == str(child.pid)
        if fields.get("ROUTED_ACTOR_CMDLINE") == " ".join(COMMAND):
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


def main() -> None:
    """Print the figures."""
    deletions = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with TemporaryDirectory() as folder, netns.private_network():
        netns.veth("v0", "10.0.0.1/24")
        daemon = Daemon(Path(folder))
        daemon.start(ROUTE, daemon='fight_limit = "off"')
        answers, elapsed = name_deletions(daemon, deletions)
        daemon.close()
        for answer, count in answers.most_common():
            print(f"{answer:>26}  {count:>5}  {count / deletions:.1%}")
        print(f"{'event to cure (median)':>26}  {statistics.median(elapsed):>5.0f} µs")
        print(f"{'one look at a process':>26}  {measure_looks() * 1e6:>5.1f} µs")


if __name__ == "__main__":
    main()
