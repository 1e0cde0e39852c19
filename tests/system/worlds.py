"""Files that several tests enforce."""

from __future__ import annotations

# One of each sort, in both families, over v0; nothing here stands on what nobody declared but v0's two addresses.
WORLD = """
[[route]]
name = "gateway"
to = "192.0.2.0/24"
via = "10.0.0.2"
[[route]]
name = "device"
to = "192.0.3.0/24"
dev = "v0"
[[route]]
name = "multipath"
to = "192.0.4.0/24"
hops = [ { via = "10.0.0.2" }, { via = "10.1.0.2", weight = 3 } ]
[[route]]
name = "blackhole"
to = "192.0.5.0/24"
type = "blackhole"
[[route]]
name = "storage"
to = "default"
via = "10.0.0.2"
table = 120
[[route]]
name = "gateway6"
to = "2001:db8:2::/48"
via = "fd00::2"
[[route]]
name = "device6"
to = "2001:db8:3::/48"
dev = "v0"
[[route]]
name = "multipath6"
to = "2001:db8:4::/48"
hops = [ { via = "fd00::2" }, { via = "fd01::2", weight = 3 } ]
[[route]]
name = "blackhole6"
to = "2001:db8:5::/48"
type = "blackhole"
[[route]]
name = "storage6"
to = "default"
via = "fd00::2"
table = 120
[[rule]]
name = "from-storage"
priority = 1200
from = "10.20.0.0/21"
table = 120
[[rule]]
name = "marked"
priority = 1300
family = "both"
fwmark = "0x1/0xff"
table = 120
[[address]]
name = "storage"
address = "10.20.0.11/21"
dev = "v0"
[[address]]
name = "storage6"
address = "2001:db8:20::1/64"
dev = "v0"
nodad = true
[[address]]
name = "home"
address = "10.0.0.1/24"
dev = "v0"
[[address]]
name = "home6"
address = "fd00::1/64"
dev = "v0"
nodad = true
"""

LAN = '[[route]]\nname = "lan"\nto = "192.0.2.0/24"\n'  # waits for its hop
GATEWAY = f'{LAN}via = "10.0.0.2"\n'
GATEWAY6 = '[[route]]\nname = "lan"\nto = "2001:db8::/48"\nvia = "fd00::2"\n'

# What others have beside ours: in our table, under our prefix with another metric, in a table of theirs.
STRANGERS = (
    "route add 198.51.100.0/24 via 10.0.0.9 proto static",
    "route add 192.0.2.0/24 via 10.0.0.9 proto bird metric 700",
    "route add blackhole 192.0.2.0/24 proto static table 77",
    "route add default via 10.0.0.9 proto dhcp metric 100",
    "-6 route add 2001:db8:2::/48 via fd00::9 proto static metric 700",
    "-6 route add 2001:db8:99::/48 dev v1 proto static",
    "rule add priority 900 from 10.99.0.0/16 lookup 77",
    "rule add priority 1200 from 10.21.0.0/16 lookup 77 protocol static",
    "-6 rule add priority 900 from 2001:db8:99::/48 lookup 77",
    "addr add 10.88.0.1/32 dev v0",
    "addr add 10.20.0.12/21 dev v1",
    "addr add 2001:db8:88::1/64 dev v1 nodad",
)


def blackholes(count: int) -> str:
    """A file with so many routes, an entry each."""
    return "".join(
        f'[[route]]\nname = "drop-{number}"\nto = "10.{100 + number // 256}.{number % 256}.0/24"\ntype = "blackhole"\n'
        for number in range(count)
    )


def prefixes(count: int, first: int = 0) -> str:
    """The lines of a prefix file with so many prefixes."""
    return "".join(f"10.{64 + number // 256}.{number % 256}.0/24\n" for number in range(first, first + count))
