"""The four hosts of the documents of `sealos route`: master1 to master3 and node01, each a network namespace.

Their NICs are veths; a fifth namespace holds the outer and the inner network, a bridge each, and the routers. Nobody
has the address of the VIP: as in a cluster, each host turns connections to it into connections to the masters' inner
addresses. Where IPVS does that, a destination NAT of nftables stands in: it, too, translates after the kernel has
chosen the source, which is what the documents are about.
"""

from __future__ import annotations

import select
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from tests.kernel import netns
from tests.kernel.netns import ip, ip_json
from tests.system.daemon import PATIENCE, Daemon

VIP = "10.103.97.2"
PORT = 6443
OUTER_NET, OUTER_ROUTER = 23, "192.168.160.1"
INNER_NET, INNER_ROUTER = 24, "192.168.253.1"
ADDRESSES = {
    "master1": ("192.168.160.243", "192.168.253.129"),
    "master2": ("192.168.160.244", "192.168.253.128"),
    "master3": ("192.168.160.245", "192.168.253.130"),
    "node01": ("192.168.160.246", "192.168.253.131"),
}
MASTERS = ("master1", "master2", "master3")

_NAT = """
table ip services {
    chain output {
        type nat hook output priority -100
        ip daddr %s tcp dport %d dnat to numgen inc mod 3 map { %s }
    }
}
"""
_ETH_P_ALL, _ETH_P_IP = 0x0003, 0x0800  # of a socket for one protocol the kernel hides what is sent


class Cards(NamedTuple):
    """What the two NICs of a host are called."""

    outer: str
    inner: str


class Packet(NamedTuple):
    """One packet of a connection to the masters' port, as it passes a NIC."""

    card: str
    is_sent: bool
    source: str
    destination: str


class Connection(NamedTuple):
    """A connection that came about: what both ends know of it."""

    seen_by_master: str  # the address that it comes from
    packets: frozenset[Packet]  # of the one who opened it


@dataclass
class Host:
    """One of the four."""

    name: str
    cards: Cards
    namespace: Path
    daemon: Daemon
    door: socket.socket  # listens where the API server would

    @property
    def outer(self) -> str:
        return ADDRESSES[self.name][0]

    @property
    def inner(self) -> str:
        return ADDRESSES[self.name][1]

    def ip(self, command: str) -> None:
        with netns.inside(self.namespace):
            ip(command)

    def vip_routes(self) -> list[dict[str, object]]:
        with netns.inside(self.namespace):
            return ip_json(f"route show {VIP}")

    def chosen_source(self) -> str:
        """The source that the kernel picks for the VIP."""
        with netns.inside(self.namespace):
            return str(ip_json(f"route get {VIP}")[0]["prefsrc"])

    def configure(self, card: str) -> None:
        """Bring a NIC up as NetworkManager does: the route to its network is made apart (`noprefixroute`)."""
        address, length = (self.outer, OUTER_NET) if card == self.cards.outer else (self.inner, INNER_NET)
        with netns.inside(self.namespace):
            ip(f"link set {card} up")
            ip(f"address replace {address}/{length} dev {card} noprefixroute")
            network = address.rpartition(".")[0] if length == INNER_NET else "192.168.160"
            ip(f"route replace {network}.0/{length} dev {card} proto kernel scope link src {address} metric 101")

    def flap(self, card: str) -> None:
        self.ip(f"link set {card} down")
        self.configure(card)

    def set_reverse_path_filter(self, mode: int) -> None:
        with netns.inside(self.namespace):
            for name in ("all", *self.cards):
                Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text(str(mode))

    def count_refused_by_reverse_path(self) -> int:
        """How many packets came in by another NIC than answers would leave by (`IPReversePathFilter`)."""
        with netns.inside(self.namespace):
            names, values = Path("/proc/thread-self/net/netstat").read_text().splitlines()[:2]
        return int(dict(zip(names.split(), values.split(), strict=True))["IPReversePathFilter"])


class Cluster:
    """All four, and what passes between them."""

    def __init__(self, hosts: dict[str, Host], wires: Path) -> None:
        self.hosts = hosts
        self._wires = wires
        self.masters = [hosts[name] for name in MASTERS]
        self.node = hosts["node01"]

    def connect(self, to: str = VIP) -> Connection:
        """Have node01 open a connection, capture it on node01's NICs, and accept it on a master."""
        with netns.inside(self.node.namespace), Capture() as capture:
            with socket.create_connection((to, PORT), timeout=PATIENCE):
                doors, _, _ = select.select([master.door for master in self.masters], [], [], PATIENCE)
                assert len(doors) == 1, "no master was asked"
                accepted, (address, _) = doors[0].accept()
                accepted.close()
            return Connection(address, frozenset(capture.read()))

    def let_a_master_hold_the_vip(self) -> None:
        """Nothing is translated any more: master1 has the address, and the outer router knows the way to it."""
        (holder, *_) = self.masters
        holder.ip(f"address add {VIP}/32 dev lo")
        with netns.inside(self.node.namespace):
            subprocess.run(["nft", "delete", "table", "ip", "services"], check=True)
        with netns.inside(self._wires):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            ip(f"route add {VIP} via {holder.outer}")

    @contextmanager
    def knocking(self) -> Iterator[Capture]:
        """Have node01 go on asking for a connection to the VIP; what passes node01's NICs meanwhile."""
        with netns.inside(self.node.namespace), Capture() as capture, socket.socket() as caller:
            caller.setblocking(False)
            caller.connect_ex((VIP, PORT))
            yield capture


class Capture:
    """Every packet to and from the masters' port that passes a NIC of the calling thread's namespace (packet(7))."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.htons(_ETH_P_ALL)
        )
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def read(self) -> set[Packet]:
        """What came since the last call."""
        packets: set[Packet] = set()
        while True:
            try:
                packet, (card, protocol, kind, *_) = self._socket.recvfrom(1 << 16)
            except BlockingIOError:
                return packets
            if protocol != _ETH_P_IP:
                continue
            header = (packet[0] & 0x0F) * 4
            if packet[9] != socket.IPPROTO_TCP or PORT not in struct.unpack_from("!HH", packet, header):
                continue
            source, destination = (socket.inet_ntoa(packet[start : start + 4]) for start in (12, 16))
            packets.add(Packet(card, kind == socket.PACKET_OUTGOING, source, destination))


@contextmanager
def documents_cluster(folder: Path, cards: dict[str, Cards], *, inner_router: bool) -> Iterator[Cluster]:
    """The four hosts, with the default route over the outer NIC; ``cards`` names the NICs of each."""
    with ExitStack() as stack:
        wires = stack.enter_context(netns.new_namespace())
        with netns.inside(wires):
            _add_network("outer", f"{OUTER_ROUTER}/{OUTER_NET}")
            _add_network("inner", *([f"{INNER_ROUTER}/{INNER_NET}"] if inner_router else []))
        hosts = {name: _add_host(stack, wires, folder / name, name, cards[name]) for name in ADDRESSES}
        yield Cluster(hosts, wires)


def _add_network(name: str, *addresses: str) -> None:
    ip(f"link add {name} type bridge")
    ip(f"link set {name} up")
    for address in addresses:
        ip(f"address add {address} dev {name}")


def _add_host(stack: ExitStack, wires: Path, folder: Path, name: str, cards: Cards) -> Host:
    namespace = stack.enter_context(netns.new_namespace())
    with netns.inside(wires):
        for network, card in zip(("outer", "inner"), cards, strict=True):
            ip(f"link add {name}-{network} type veth peer name {card} netns {namespace}")
            ip(f"link set {name}-{network} master {network} up")
    folder.mkdir()
    with netns.inside(namespace):
        daemon = stack.enter_context(_closing(Daemon(folder)))
        door = stack.enter_context(socket.create_server(("", PORT), backlog=16))
        targets = ", ".join(f"{number} : {ADDRESSES[master][1]}" for number, master in enumerate(MASTERS))
        subprocess.run(["nft", "-f", "-"], input=_NAT % (VIP, PORT, targets), text=True, check=True)
    host = Host(name, cards, namespace, daemon, door)
    host.set_reverse_path_filter(0)
    for card in cards:
        host.configure(card)
    host.ip(f"route add default via {OUTER_ROUTER} dev {cards.outer}")
    return host


@contextmanager
def _closing(daemon: Daemon) -> Iterator[Daemon]:
    try:
        yield daemon
    finally:
        daemon.close()
