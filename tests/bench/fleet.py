"""A fleet in etcd: from a registration to the route on another host, and what a source costs a daemon.

unshare --net --mount sh -c 'ip link set lo up && exec .venv/bin/python -m tests.bench.fleet [JOINS]'
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from tests.kernel import netns
from tests.kernel.netns import ip
from tests.system import etcd_fleet
from tests.system.daemon import Daemon

JOINS: Final = 20
PLAIN: Final = '[[route]]\nto = "10.99.0.0/16"\nvia = "192.0.2.254"\n'


def measure_joins(folder: Path, joins: int) -> list[float]:
    """Seconds from the answer of etcd to a route that the kernel has, one after another."""
    took = []
    with etcd_fleet.running(folder) as (fleet, cluster):
        first, *_ = fleet.add(1, 2, 3)
        fleet.wait_until_whole()
        for number in range(100, 100 + joins):
            time.sleep(0.5)
            member = {"name": f"n{number}", "addresses": [f"192.0.2.{number}"], "prefixes": [f"10.5.{number}.0/24"]}
            with netns.inside(fleet.middle):
                cluster.put(f"/routed/fleet/n{number}", json.dumps(member))
            began = time.monotonic()
            with netns.inside(first.namespace):
                while not ip(f"route show 10.5.{number}.0/24"):
                    assert time.monotonic() < began + 10
            took.append(time.monotonic() - began)
    return took


def measure_daemon(folder: Path, toml: str) -> tuple[float, float]:
    """Seconds until it is ready, and its memory in MB (PSS) a moment later."""
    daemon = Daemon(folder)
    try:
        began = time.monotonic()
        daemon.start(toml)
        took = time.monotonic() - began
        time.sleep(2.0)
        rollup = Path(f"/proc/{daemon.pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss: +(\d+)", rollup, re.MULTILINE)
        assert found
        return took, int(found[1]) / 1024
    finally:
        daemon.close()


@contextmanager
def host() -> Iterator[None]:
    with netns.private_network():
        netns.veth("eth0", "192.0.2.10/24")
        yield


def main() -> None:
    """Print all of it."""
    joins = int(sys.argv[1]) if len(sys.argv) > 1 else JOINS
    with TemporaryDirectory() as name:
        folder = Path(name)
        took = measure_joins(folder, joins)
        sys.stdout.write(f"join: median {median(took) * 1000:.0f} ms, worst {max(took) * 1000:.0f} ms of {joins}\n")
        (folder / "members.json").write_text('{"members": []}')
        source = f'[[source]]\nname = "fleet"\ntype = "file"\npath = "{folder}/members.json"\n'
        source += 'prefixes_within = ["10.5.0.0/16"]\naddresses_within = ["192.0.2.0/24"]\n'
        each = '[[route]]\nname = "pods"\nfor_each = "@fleet"\nto = "{prefixes}"\nvia = "{address}"\n'
        for title, toml in (("without a source", PLAIN), ("with a file", PLAIN + source + each)):
            with host():
                place = folder / title.replace(" ", "-")
                place.mkdir()
                seconds, memory = measure_daemon(place, toml)
                sys.stdout.write(f"{title}: ready after {seconds:.2f} s, {memory:.1f} MB\n")


if __name__ == "__main__":
    main()
