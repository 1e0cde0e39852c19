"""A fleet: hosts on one network, each a network namespace with a pod network and a daemon, that meet in a real etcd.

The namespace in the middle has the network, two bridges with a cable between them, and the one server; each of three
servers has a namespace of its own. Here must never live: what is tested with it.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.kernel import netns
from tests.kernel.netns import SLOWNESS, ip, ip_json, wait_until
from tests.members import etcds
from tests.system.daemon import Daemon

MIDDLE: Final = "192.0.2.254"
PORT: Final = 2379
CLOSED: Final = 9
NEAR, FAR = "lan", "far"  # the bridges
SEATS: Final = {251: NEAR, 252: NEAR, 253: FAR}  # where three servers are: by the last part of their addresses
SLOW: Final = ("--heartbeat-interval=300", "--election-timeout=3000")  # fifty hosts share the processors with them
ENTRIES: Final = "/proc/net/stat/arp_cache"  # how many neighbours all namespaces know, and what did not fit
CROWD: Final = 4  # hosts that ask everybody before what they know of their neighbours is forgotten
OPTIONS: Final = (
    f"--listen-client-urls=http://127.0.0.1:2379,http://{MIDDLE}:{PORT}",
    f"--advertise-client-urls=http://{MIDDLE}:{PORT}",
)


def configuration(
    number: int, endpoints: Iterable[str] = (f"http://{MIDDLE}:{PORT}",), options: str = "", **register: str
) -> str:
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
{options}
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

    @property
    def side(self) -> str:
        """The bridge that it is at."""
        return find_side(self.number)

    def routes(self) -> dict[str, str]:
        """Its ways to the pod networks of others."""
        with netns.inside(self.namespace):
            return {one["dst"]: one["gateway"] for one in ip_json("route show proto 114")}

    def list_unreached(self, others: Iterable[Host]) -> dict[str, str]:
        """The pod networks of these from which no answer comes, and why. Nobody listens there: it is a refusal."""
        with netns.inside(self.namespace):
            found = {other.pod: _find_why_silent(other.pod) for other in others if other is not self}
        return {pod: why for pod, why in found.items() if why}


def find_side(number: int) -> str:
    """The bridge at which the host of this number is: every third one is far."""
    return FAR if number % 3 == 0 else NEAR


def _find_why_silent(address: str) -> str:
    """Why no answer comes from there; empty where one does."""
    try:
        socket.create_connection((address, CLOSED), timeout=2 * SLOWNESS).close()
    except ConnectionRefusedError:
        return ""
    except OSError as error:
        with suppress(OSError):
            route, neighbours = ip(f"route get {address}"), ip("neigh show")
            return f"{error!r}: {route}{neighbours}{Path(ENTRIES).read_text()}"
        return repr(error)
    return ""


class Seat:
    """A server of etcd with a place of its own on the network."""

    def __init__(self, folder: Path, number: int, namespace: Path) -> None:
        self.namespace = namespace
        url = f"http://192.0.2.{number}"
        members = ",".join(f"m{one}=http://192.0.2.{one}:2380" for one in SEATS)
        options = {
            "listen-client-urls": f"{url}:{PORT},http://127.0.0.1:{PORT}",
            "advertise-client-urls": f"{url}:{PORT}",
            "listen-peer-urls": f"{url}:2380",
            "initial-advertise-peer-urls": f"{url}:2380",
            "initial-cluster": members,
        }
        program = next(iter(etcds.PROGRAMS.values()))
        words = [f"--{name}={value}" for name, value in options.items()]
        self.server = etcds.Server(program, folder, f"m{number}", PORT, *words, *SLOW)
        self._cluster = etcds.Cluster([self.server])

    def start(self) -> None:
        with netns.inside(self.namespace):
            self.server.start()

    def answers(self) -> bool:
        """Does it, and has it a quorum?"""
        with netns.inside(self.namespace):
            return self._cluster.answers()

    def leads(self) -> bool:
        with netns.inside(self.namespace), suppress(AssertionError):
            return self._cluster.leader is self.server
        return False


@dataclass
class Fleet:
    """All hosts, and what they meet in."""

    folder: Path
    middle: Path
    stack: ExitStack
    endpoints: tuple[str, ...] = (f"http://{MIDDLE}:{PORT}",)
    options: str = ""  # of the source
    hosts: dict[int, Host] = field(default_factory=dict)
    seats: list[Seat] = field(default_factory=list)

    def add(self, *numbers: int, **register: str) -> list[Host]:
        """Hosts whose daemons are started, one after another, without waiting for what follows."""
        added = [self._make(number) for number in numbers]
        for host in added:
            with netns.inside(host.namespace):
                host.daemon.write(configuration(host.number, self.endpoints, self.options, **register))
                host.daemon.launch()
        for host in added:
            host.daemon.wait_until_ready()
        return added

    def _make(self, number: int) -> Host:
        folder = self.folder / f"node{number}"
        folder.mkdir()
        namespace = self._plug(number, find_side(number))
        with netns.inside(namespace):
            ip(f"address add 10.5.{number}.1/32 dev lo")
            daemon = Daemon(folder)
        self.stack.callback(daemon.close)
        host = self.hosts[number] = Host(number, namespace, daemon)
        return host

    def _plug(self, number: int, bridge: str) -> Path:
        """A namespace on the network, with the address of this number."""
        namespace = self.stack.enter_context(netns.new_namespace())
        with netns.inside(self.middle):
            ip(f"link add h{number} type veth peer name eth0 netns {namespace}")
            ip(f"link set h{number} master {bridge} up")
        with netns.inside(namespace):
            ip("link set lo up")
            ip("link set eth0 up")
            ip(f"address add 192.0.2.{number}/24 dev eth0")
        return namespace

    def seat_servers(self) -> None:
        """Three servers that are a cluster; the third one is far."""
        self.seats = [Seat(self.folder, number, self._plug(number, bridge)) for number, bridge in SEATS.items()]
        self.endpoints = tuple(f"http://192.0.2.{number}:{PORT}" for number in SEATS)
        for seat in self.seats:
            self.stack.callback(seat.server.remove)
            seat.start()
        self.wait_for_servers()

    def wait_for_servers(self) -> None:
        """Each of them is one of the cluster."""
        wait_until(lambda: all(seat.answers() for seat in self.seats), 60)

    def cut(self) -> None:
        """The cable between the bridges."""
        self._set_cable("down")

    def mend(self) -> None:
        self._set_cable("up")

    def _set_cable(self, state: str) -> None:
        with netns.inside(self.middle):
            ip(f"link set cable {state}")

    def list_side(self, side: str) -> list[Host]:
        return [host for host in self.hosts.values() if host.side == side]

    def list_ways(self, host: Host) -> dict[str, str]:
        """What the routes of a host should be."""
        return {f"10.5.{one}.0/24": f"192.0.2.{one}" for one in self.hosts if one != host.number}

    def is_whole(self) -> bool:
        """Does each host know the way to each other one, and to nobody else?"""
        return all(host.routes() == self.list_ways(host) for host in self.hosts.values())

    def wait_until_whole(self, within: float = 20.0) -> None:
        wait_until(self.is_whole, within)

    def assert_everybody_reaches_everybody(self, among: Iterable[Host] = ()) -> None:
        """All of them, or of these."""
        everybody = list(among) or list(self.hosts.values())
        for number, host in enumerate(everybody):
            assert host.list_unreached(everybody) == {}, host
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
def network(folder: Path) -> Iterator[Fleet]:
    """No host yet, and no server."""
    with ExitStack() as stack:
        middle = stack.enter_context(netns.new_namespace())
        with netns.inside(middle):
            ip("link set lo up")
            for bridge in (NEAR, FAR):
                ip(f"link add {bridge} type bridge")
                ip(f"link set {bridge} up")
            ip("link add cable type veth peer name elbac")
            ip(f"link set cable master {NEAR} up")
            ip(f"link set elbac master {FAR} up")
            ip(f"address add {MIDDLE}/24 dev {NEAR}")
        yield Fleet(folder, middle, stack)


@contextmanager
def running(folder: Path) -> Iterator[tuple[Fleet, etcds.Cluster]]:
    """No host yet, and an etcd of one member."""
    with network(folder) as fleet:
        with netns.inside(fleet.middle):
            program = next(iter(etcds.PROGRAMS.values()))
            cluster = fleet.stack.enter_context(etcds.running(program, folder, 1, None, *OPTIONS, awaits=False))
            cluster.servers[0].port = PORT
            wait_until(cluster.answers, 20)
        yield fleet, cluster


def spread(numbers: Iterable[int], size: int) -> list[list[int]]:
    """These in groups of so many."""
    rest = iter(numbers)
    return list(iter(lambda: list(itertools.islice(rest, size)), []))
