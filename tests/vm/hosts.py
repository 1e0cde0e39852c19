"""Small hosts inside the machine, each a network namespace with a server in it, and who asks them.

Here must never live: what is tested with them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from tests.vm.host import HERE, SLOW, Host

SERVE: Final = f"python3 {HERE}/ipvs/serve.py"
ASK: Final = f"python3 {HERE}/ipvs/ask.py"


class Wire(NamedTuple):
    """One small host: its name, which is also that of the link to it, its address with a length, and its gateway."""

    name: str
    address: str
    gateway: str
    bridge: str = ""

    @property
    def command(self) -> str:
        """What makes it."""
        inside = f"ip -n {self.name}"
        lines = [
            f"ip netns add {self.name}",
            f"ip link add name {self.name} type veth peer name eth0 netns {self.name}",
            f"ip link set dev {self.name} up",
            f"{inside} link set lo up",
            f"{inside} link set eth0 up",
            f"{inside} addr add {self.address} dev eth0",
            f"{inside} route add default via {self.gateway}",
        ]
        lines += [f"ip link set dev {self.name} master {self.bridge}"] if self.bridge else []
        return " && ".join(lines)


def make(host: Host, links: Iterable[str], wires: Iterable[Wire]) -> None:
    """Make the links of this host by these commands, and then the small hosts."""
    host.do(" && ".join([*links, *(wire.command for wire in wires)]), within=SLOW)


def clear(host: Host, names: Iterable[str]) -> None:
    """End what was served in these small hosts, take them away, and all services."""
    listed = " ".join(names)
    host.do(
        f"systemctl stop routed {listed} 2>/dev/null; ipvsadm -C; sysctl -q net.ipv4.ip_forward=0;"
        f" for one in {listed}; do ip netns del $one 2>/dev/null; done; true",
        within=SLOW,
    )


def serve(host: Host, servers: Mapping[str, str], port: int, *more: str) -> None:
    """In each of these small hosts answer at its address with its name; return when all do. Units of those names."""
    for name, address in servers.items():
        command = f"ip netns exec {name} {SERVE} {name} {address} {port} {' '.join(more)}"
        host.do(f"systemd-run --quiet --collect --unit={name} {command}")
    for name in servers:
        host.wait_until(f"ip netns exec {name} ss -Hltn sport = :{port} | grep -q LISTEN")


def ask(host: Host, address: str, port: int, count: int = 2, inside: str = "client") -> list[str]:
    """Who answers, each time over a new connection."""
    where = f"ip netns exec {inside} " if inside else ""
    return sorted(host.do(f"{where}{ASK} {address} {port} {count}", within=SLOW).split())


def listed(text: str) -> set[tuple[str, ...]]:
    """What ``ipvsadm -Ln`` prints, without the numbers of connections: each service with its servers, in no order."""
    found: list[list[str]] = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith("  -> ") and found:
            found[-1].append(" ".join(words[:4]))
        elif re.match(r"TCP|UDP|FWM", line):
            found.append([" ".join(words)])
    return {(head, *sorted(servers)) for head, *servers in found}


def wait_for_list(host: Host, text: str) -> None:
    """Wait until ``ipvsadm -Ln`` prints that."""
    end = time.monotonic() + SLOW
    while listed(host.do("ipvsadm -Ln")) != listed(text) and time.monotonic() < end:
        host.do("sleep 0.2")
    assert listed(host.do("ipvsadm -Ln")) == listed(text)


def everything(host: Host, inside: str = "") -> list[str]:
    """All that ``ipvsadm`` tells: its lines to be saved, and the thresholds, which these leave out."""
    where = f"ip netns exec {inside} " if inside else ""
    return sorted(host.do(f"{where}ipvsadm -Sn; {where}ipvsadm -Ln --thresholds").splitlines())
