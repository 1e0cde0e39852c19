"""How fast and how large: the figures of one daemon in one namespace with one veth pair.

    python -m tests.bench.figures [ROUTES …]

For each number of routes: from exec to READY, resident memory, and the time from the request that deletes a route to
the notice that it is back, as a third party sees both. Run it on a machine that does nothing else; compare ratios only.
"""

from __future__ import annotations

import select
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from routed.kernel.kernel import Kernel
from routed.model.change import Operation, Verb
from routed.model.events import ObjectEvent
from routed.model.net import parse_address, parse_prefix
from routed.model.objects import Hop, Kind, RouteSlot, RouteValue
from tests.kernel import netns
from tests.system.daemon import Daemon

VIA = "10.0.0.2"
REPAIRS = 200
MANY = 1000  # more routes than this come from a prefix file


def write_files(folder: Path, routes: int) -> str:
    """The main file for so many routes; the first one is the one that gets deleted."""
    first = f'[[route]]\nname = "first"\nto = "10.30.0.0/24"\nvia = "{VIA}"\ndev = "v0"\n'
    if routes > MANY:
        prefixes = (
            f"{11 + number // 65536}.{number // 256 % 256}.{number % 256}.0/24\n" for number in range(routes - 1)
        )
        (folder / "prefixes").write_text("".join(prefixes))
        return f'{first}[[route]]\nname = "many"\nprefixes_file = "{folder}/prefixes"\nvia = "{VIA}"\ndev = "v0"\n'
    others = (
        f'[[route]]\nto = "10.31.{number}.0/24"\nvia = "{VIA}"\ndev = "v0"\n' for number in range(routes - 1)
    )  # fmt: skip
    return first + "".join(others)


def measure_repairs() -> list[float]:
    """Seconds from the deletion of the first route to its return, once for each of REPAIRS deletions."""
    with Kernel() as kernel:
        kernel.open_events()
        hop = Hop(netns.index_of("v0"), parse_address(VIA))
        value = RouteValue(type=1, protocol=114, hops=(hop,))
        member = parse_prefix("10.30.0.0/24")
        delete = Operation(Verb.DELETE, Kind.ROUTE, RouteSlot(2, 254, 0), (member,), value, None, "")
        readable = select.poll()
        readable.register(kernel.events_fileno(), select.POLLIN)
        return [_measure_repair(kernel, delete, readable) for _ in range(REPAIRS)]


def _measure_repair(kernel: Kernel, delete: Operation, readable: select.poll) -> float:
    time.sleep(0.002)  # let the daemon fall asleep, as it is when somebody deletes a route
    kernel.read_events()
    began = time.perf_counter()
    assert list(kernel.apply(delete)) == [()]
    while True:
        assert readable.poll(1000), "not repaired within a second"
        events = [event for event in kernel.read_events() if isinstance(event, ObjectEvent)]
        if any(event.member == delete.members[0] and not event.is_removal for event in events):
            return time.perf_counter() - began


def read_memory(pid: int) -> float:
    """Resident memory in MB (VmRSS of proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def measure(routes: int) -> str:
    """One row of the table."""
    with TemporaryDirectory() as folder, netns.private_network():
        netns.veth("v0", "10.0.0.1/24")
        daemon = Daemon(Path(folder))
        daemon.write(write_files(Path(folder), routes), daemon='fight_limit = "off"')
        began = time.perf_counter()
        daemon.launch()
        daemon.wait_until_ready()
        ready = time.perf_counter() - began
        standing = subprocess.run(["ip", "route", "show", "proto", "114"], capture_output=True, check=True).stdout
        assert standing.count(b"\n") == routes
        memory = read_memory(daemon.pid)
        repairs = sorted(measure_repairs())
        daemon.close()
    median, late = statistics.median(repairs), repairs[int(len(repairs) * 0.99)]
    return f"{routes:>8}  {ready:>8.3f} s  {memory:>5.1f} MB  {median * 1e6:>6.0f} µs  {late * 1e6:>6.0f} µs"


def main() -> None:
    """Print the table."""
    print("  ROUTES  TO READY      RSS   REPAIRED (MEDIAN, P99)")
    for routes in [int(word) for word in sys.argv[1:]] or [10, 100_000]:
        print(measure(routes), flush=True)


if __name__ == "__main__":
    main()
