"""A fleet in etcd: from a registration to the route on another host, and what a source costs a daemon.

unshare --net --mount sh -c 'ip link set lo up && exec .venv/bin/python -m tests.bench.fleet [JOINS [TURNS]]'

Of memory three numbers are told: what is resident, the share of it that is this process's (PSS: of a page that two
processes have, each has a half), and what is this process's alone (USS). Pages of a library are the host's where others
have it loaded, too. The daemons that are compared take turns, and the median is told.
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
from typing import Final, NamedTuple

from tests.kernel import netns
from tests.kernel.netns import ip
from tests.members import etcds
from tests.members.certificates import Authority, context_of, options_of
from tests.system import etcd_fleet
from tests.system.daemon import Daemon

JOINS: Final = 20
TURNS: Final = 5
MEMBER: Final = {"name": "n1", "addresses": ["192.0.2.11"], "prefixes": ["10.5.1.0/24"]}
WITHIN: Final = """prefixes_within = ["10.5.0.0/16"]
addresses_within = ["192.0.2.0/24"]

[[route]]
name = "pods"
for_each = "@fleet"
to = "{prefixes}"
via = "{address}"
"""
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


class Figures(NamedTuple):
    """What a daemon costs: seconds until it is ready, and MB a moment later."""

    ready: float
    resident: float
    share: float
    own: float


def measure_daemon(folder: Path, toml: str) -> Figures:
    """One daemon with these files."""
    daemon = Daemon(folder)
    try:
        began = time.monotonic()
        daemon.start(toml)
        took = time.monotonic() - began
        time.sleep(2.0)
        rollup = Path(f"/proc/{daemon.pid}/smaps_rollup").read_text()
        told = {name: int(kb) / 1024 for name, kb in re.findall(r"^(\w+): +(\d+) kB", rollup, re.MULTILINE)}
        assert all(one["state"] == "in-sync" for one in daemon.status()["entries"])
        return Figures(took, told["Rss"], told["Pss"], told["Private_Clean"] + told["Private_Dirty"])
    finally:
        daemon.close()


@contextmanager
def host() -> Iterator[None]:
    with netns.private_network():
        netns.veth("eth0", "192.0.2.10/24")
        yield


def measure_sources(folder: Path, turns: int) -> Iterator[tuple[str, Figures]]:
    """What each type of source costs, beside none."""
    authority = Authority(folder / "ca")
    ours, server = authority.issue("ours"), authority.issue("server")
    program = next(iter(etcds.PROGRAMS.values()))
    (folder / "members.json").write_text(json.dumps({"members": [MEMBER]}))
    for name in ("plain", "tls"):
        (folder / name).mkdir()
    with (
        host(),
        etcds.running(program, folder / "plain", 1, None) as plain,
        etcds.running(program, folder / "tls", 1, context_of(ours), *options_of(server)) as encrypted,
    ):
        for cluster in (plain, encrypted):
            cluster.put("/routed/fleet/n1", MEMBER)
        etcd = 'prefix = "/routed/fleet/"\nendpoints = ["{scheme}://127.0.0.1:{port}"]'
        tls = f'tls = {{ ca = "{ours.ca}", cert = "{ours.cert}", key = "{ours.key}" }}'
        sources = {
            "with a file": f'type = "file"\npath = "{folder}/members.json"',
            "with etcd": f'type = "etcd"\n{etcd.format(scheme="http", port=plain.servers[0].port)}',
            "with etcd over TLS": (
                f'type = "etcd"\n{etcd.format(scheme="https", port=encrypted.servers[0].port)}\n{tls}'
            ),
        }
        files = {"without a source": PLAIN} | {
            title: f'{PLAIN}[[source]]\nname = "fleet"\n{text}\n{WITHIN}' for title, text in sources.items()
        }
        found: dict[str, list[Figures]] = {title: [] for title in files}
        for turn in range(turns):
            for number, (title, toml) in enumerate(files.items()):
                place = folder / f"{turn}-{number}"
                place.mkdir()
                found[title].append(measure_daemon(place, toml))
                netns.ip("route flush proto 114")
    yield from ((title, Figures(*map(median, zip(*some, strict=True)))) for title, some in found.items())


def main() -> None:
    """Print all of it."""
    joins = int(sys.argv[1]) if len(sys.argv) > 1 else JOINS
    with TemporaryDirectory() as name:
        folder = Path(name)
        if joins:
            took = measure_joins(folder, joins)
            sys.stdout.write(f"join: median {median(took) * 1000:.0f} ms, worst {max(took) * 1000:.0f} ms of {joins}\n")
        before = None
        for title, one in measure_sources(folder, int(sys.argv[2]) if len(sys.argv) > 2 else TURNS):
            before = before or one
            more = ", ".join(
                f"{kind} {value:.1f} MB ({value - base:+.1f})"
                for kind, value, base in (
                    ("resident", one.resident, before.resident),
                    ("PSS", one.share, before.share),
                    ("USS", one.own, before.own),
                )
            )
            sys.stdout.write(f"{title}: ready after {one.ready:.2f} s, {more}\n")


if __name__ == "__main__":
    main()
