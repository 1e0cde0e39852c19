"""Two lines to the same far host, each through a gateway in a network namespace of its own: v0 and v1."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.kernel import netns
from tests.kernel.netns import ip

FAR: Final = {4: "198.51.100.9", 6: "2001:db8:9::9"}
GATEWAYS: Final = {4: ("10.0.0.2", "10.1.0.2"), 6: ("fd00::2", "fd01::2")}
PORT: Final = 80  # where the far host takes connections, and says nothing


class Uplinks:
    """The gateways of both lines, and what becomes of the lines behind them."""

    def __init__(self, namespaces: list[Path]) -> None:
        self._namespaces = namespaces

    def cut(self, line: int) -> None:
        """The line is dead behind its gateway, and its carrier is up."""
        for far in FAR.values():
            self.run(line, f"address delete {far} dev lo")

    def mend(self, line: int) -> None:
        """It is as it was."""
        for far in FAR.values():
            self.run(line, f"address add {far} dev lo")

    def lose(self, line: int, percent: int) -> None:
        """The far host of this line hears so many echo requests fewer; 0 is as it was."""
        drop = f"numgen random mod 100 < {percent} drop"
        kinds = "icmp type echo-request", "icmpv6 type echo-request"
        rules = " ".join(f"{kind} {drop};" for kind in kinds) if percent else ""
        self.filter(line, f"chain input {{ type filter hook input priority 0; {rules} }}")

    def filter(self, line: int, chains: str) -> None:
        """Chains of nftables at the gateway, in place of those that were there."""
        rules = f"table inet far {{}}\ndelete table inet far\ntable inet far {{ {chains}\n }}\n"
        with netns.inside(self._namespaces[line]):
            subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)

    def find_namespace(self, line: int) -> Path:
        """That of the gateway."""
        return self._namespaces[line]

    def run(self, line: int, command: str) -> None:
        """`ip` at the gateway."""
        with netns.inside(self._namespaces[line]):
            ip(command)


@contextmanager
def two_lines() -> Iterator[Uplinks]:
    """The far ends of v0 and v1, moved to gateways that have the far host."""
    with ExitStack() as stack:
        namespaces = [stack.enter_context(netns.new_namespace()) for _ in range(2)]
        for line, namespace in enumerate(namespaces):
            ip(f"link set v{line}p netns {namespace}")
            with netns.inside(namespace):
                Path(f"/proc/sys/net/ipv6/conf/v{line}p/accept_dad").write_text("0")
                ip(f"link set v{line}p up")
                ip(f"address add {GATEWAYS[4][line]}/24 dev v{line}p")
                ip(f"address add {GATEWAYS[6][line]}/64 dev v{line}p nodad")
                server = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1000)
                stack.enter_context(server)
        uplinks = Uplinks(namespaces)
        for line in range(2):
            uplinks.mend(line)
            with netns.inside(namespaces[line]):
                netns.wait_until_usable()
        yield uplinks
