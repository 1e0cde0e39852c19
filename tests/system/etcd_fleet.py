"""A fleet: hosts on one network, each a network namespace with a pod network and a daemon, that meet in a real etcd.

The namespace in the middle has the network, a bridge, and the servers. Here must never live: what is tested with it.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.kernel import netns
from tests.kernel.netns import ip, ip_json, wait_until
from tests.members import etcds
from tests.system.daemon import Daemon

MIDDLE: Final = "192.0.2.254"
PORT: Final = 2379
CLOSED: Final = 9
CROWD: Final = 8  # hosts that ask everybody before what they know of their neighbours is forgotten
OPTIONS: Final = (
    f"--listen-client-urls=http://127.0.0.1:2379,http://{MIDDLE}:{PORT}",
    f"--advertise-client-urls=http://{MIDDLE}:{PORT}",
)


def configuration(number: int, endpoints: Iterable[str] = (f"http://{MIDDLE}:{PORT}",), **register: str) -> str:
    """What each host says: whom to follow, what itself is, and where the others are."""
    said = {"name": f'"node{number}"', "address": '"@internal"', "prefixes": f'["10.5.{number}.0/24"]', "ttl": '"10s"'}
    said |= {key: f'"{value}"' for key, value in register.items()}
    listed = ", ".join(f'"{one}"' for one in endpoints)
    return f"""
[[interface]]
name = "internal"
match = [{{ cidr = "192.0.2.0/24" }}]

[[source]]
name = "fleet"
type = "etcd"
endpoints = [{listed}]
prefix = "/routed/fleet/"
prefixes_within = ["10.5.0.0/16"]
addresses_within = ["192.0.2.0/24"]
register = {{ {", ".join(f"{key} = {value}" for key, value in said.items())} }}

[[route]]
name = "pods"
for_each = "@fleet"
where = {{ on_link = true }}
to = "{{prefixes}}"
via = "{{address}}"
"""


@dataclass
class Host:
    """One of them."""

    number: int
    namespace: Path
    daemon: Daemon

    @property
    def pod(self) -> str:
        """An address of its pod network."""
        return f"10.5.{self.number}.1"

    def routes(self) -> dict[str, str]:
        """Its ways to the pod networks of others."""
        with netns.inside(self.namespace):
            return {one["dst"]: one["gateway"] for one in ip_json("route show proto 114")}

    def reaches(self, others: Iterable[Host]) -> bool:
        """Does an answer come from the pod network of each of these? Nobody listens there, so it is a refusal."""
        with netns.inside(self.namespace):
            return all(_is_refused(other.pod) for other in others if other is not self)


def _is_refused(address: str) -> bool:
    try:
        socket.create_connection((address, CLOSED), timeout=2).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


@dataclass
class Fleet:
    """All hosts, and what they meet in."""

    folder: Path
    middle: Path
    stack: ExitStack
    hosts: dict[int, Host] = field(default_factory=dict)

    def add(self, *numbers: int, **register: str) -> list[Host]:
        """Hosts whose daemons are started, one after another, without waiting for what follows."""
        added = [self._make(number) for number in numbers]
        for host in added:
            with netns.inside(host.namespace):
                host.daemon.write(configuration(host.number, **register))
                host.daemon.launch()
        for host in added:
            host.daemon.wait_until_ready()
        return added

    def _make(self, number: int) -> Host:
        namespace = self.stack.enter_context(netns.new_namespace())
        with netns.inside(self.middle):
            ip(f"link add h{number} type veth peer name eth0 netns {namespace}")
            ip(f"link set h{number} master lan up")
        folder = self.folder / f"node{number}"
        folder.mkdir()
        with netns.inside(namespace):
            ip("link set lo up")
            ip("link set eth0 up")
            ip(f"address add 192.0.2.{number}/24 dev eth0")
            ip(f"address add 10.5.{number}.1/32 dev lo")
            daemon = Daemon(folder)
        self.stack.callback(daemon.close)
        host = self.hosts[number] = Host(number, namespace, daemon)
        return host

    def list_ways(self, host: Host) -> dict[str, str]:
        """What the routes of a host should be."""
        return {f"10.5.{one}.0/24": f"192.0.2.{one}" for one in self.hosts if one != host.number}

    def is_whole(self) -> bool:
        """Does each host know the way to each other one, and to nobody else?"""
        return all(host.routes() == self.list_ways(host) for host in self.hosts.values())

    def wait_until_whole(self, within: float = 20.0) -> None:
        wait_until(self.is_whole, within)

    def assert_everybody_reaches_everybody(self) -> None:
        everybody = list(self.hosts.values())
        for number, host in enumerate(everybody):
            assert host.reaches(everybody), host
            if number % CROWD == CROWD - 1:
                self._forget_neighbours()

    def _forget_neighbours(self) -> None:
        """All namespaces share the places for neighbours (gc_thresh3 in arp(7)), and many hosts would fill them."""
        for host in self.hosts.values():
            with netns.inside(host.namespace):
                ip("neigh flush dev eth0")

    def remove(self, number: int) -> None:
        """A host goes, as its daemon is stopped."""
        self.hosts.pop(number).daemon.stop()


@contextmanager
def running(folder: Path) -> Iterator[tuple[Fleet, etcds.Cluster]]:
    """No host yet, and an etcd of one member."""
    with ExitStack() as stack:
        middle = stack.enter_context(netns.new_namespace())
        with netns.inside(middle):
            ip("link set lo up")
            ip("link add lan type bridge")
            ip("link set lan up")
            ip(f"address add {MIDDLE}/24 dev lan")
            program = next(iter(etcds.PROGRAMS.values()))
            cluster = stack.enter_context(etcds.running(program, folder, 1, None, *OPTIONS, awaits=False))
            cluster.servers[0].port = PORT
            wait_until(cluster.answers, 20)
        yield Fleet(folder, middle, stack), cluster


def spread(numbers: Iterable[int], size: int) -> list[list[int]]:
    """These in groups of so many."""
    rest = iter(numbers)
    return list(iter(lambda: list(itertools.islice(rest, size)), []))
