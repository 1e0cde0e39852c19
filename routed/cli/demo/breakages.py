"""What the demo breaks, and how: one row a scene.

Only commands of ``ip`` stand here. A row is a thing that really happens to hosts.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Breakage(NamedTuple):
    """One scene: the clock starts with the last command's first effect."""

    title: str
    commands: tuple[str, ...]
    tidy: str = ""  # afterwards: takes away what routed rightly leaves alone


BREAKAGES: Final = (
    Breakage("a route is deleted", ("ip route del 10.30.0.0/16",)),
    Breakage("a route gets another gateway", ("ip route replace 10.30.0.0/16 via 10.20.0.9",)),
    Breakage(
        "an mtu is changed, under routed's own mark",
        ("ip route change 10.40.0.0/16 via 10.20.0.1 mtu 1300 proto 114",),
    ),
    Breakage("a blackhole is deleted", ("ip route del blackhole 198.51.100.0/24",)),
    Breakage("an IPv6 default route is deleted", ("ip -6 route del default",)),
    Breakage(
        "a stranger's alias goes in front",
        ("ip route prepend 10.30.0.0/16 via 10.20.0.9 proto static",),
        tidy="ip route del 10.30.0.0/16 via 10.20.0.9 proto static",
    ),
    Breakage("a policy rule is deleted", ("ip rule del priority 1200",)),
    Breakage("a table is flushed", ("ip route flush table 120",)),
    Breakage("a service address is deleted", ("ip address del 192.0.2.80/32 dev lo",)),
    Breakage("an address goes, and all routes through it", ("ip address del 10.20.0.11/21 dev lan0",)),
    Breakage("an interface goes down and comes up again", ("ip link set wan0 down", "ip link set wan0 up")),
)
