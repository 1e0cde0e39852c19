"""The host of the fault tests: its files in three versions, and what stands in the kernel, by one run of `ip`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any, Final

from tests.kernel import netns
from tests.system.daemon import Daemon
from tests.system.worlds import WORLD, prefixes

MARKED: Final = "rule/version-b"  # the entry by which a status shows that it speaks of B
SETTINGS: Final = 'max_deletes = "100%"\nfight_limit = "off"\nresync = "{resync}"'
_FOREIGN: Final = "198.51.100.0/24"
_LISTED: Final = 300

# All that stands in every version: one of each sort, a VIP by its route, a VIP that is held, and a list.
_COMMON: Final = """
[[route]]
name = "outward"
to = "default"
via = "10.1.0.2"
[[vip]]
name = "api"
address = "10.103.97.2"
node = "10.0.0.1"
[[vip]]
name = "web"
address = "10.0.0.80"
dev = "v0"
[[route]]
name = "drop"
prefixes_file = "drop.txt"
type = "blackhole"
"""
_ADDED: Final = {
    "A": '[[route]]\nname = "only-a"\nto = "192.0.10.0/24"\nvia = "10.0.0.2"\n',
    "B": """
[[route]]
name = "only-b"
to = "192.0.11.0/24"
via = "10.0.0.2"
[[rule]]
name = "version-b"
priority = 1400
from = "10.30.0.0/16"
table = 120
""",
}
# C has an object in the place of a foreign one.
_ADDED["C"] = _ADDED["A"] + f'[[route]]\nname = "displacing"\nto = "{_FOREIGN}"\nvia = "10.0.0.2"\n'
# L differs from A in the list only, which the daemon takes in by itself.
_ADDED["L"] = _ADDED["A"]
VERSIONS: Final = tuple(_ADDED)

Look = frozenset[str]

_SHOW: Final = "route show table all\nrule show\naddress show\n"
_FLEETING: Final = {"flags", "cache", "expires", "valid_life_time", "preferred_life_time", "tentative"}
_KERNEL: Final = "2"


def make_network() -> None:
    """Two links with two addresses each, and a foreign route."""
    netns.veth("v0", "10.0.0.1/24", "fd00::1/64")
    netns.veth("v1", "10.1.0.1/24", "fd01::1/64")
    netns.wait_until_quiet(links=4)
    netns.ip(f"route add {_FOREIGN} via 10.0.0.9 proto static")


def write_files(daemon: Daemon, version: str, resync: str = "1h") -> None:
    """Write the files of this version."""
    write_list(daemon, version)
    text = (WORLD + _COMMON + _ADDED[version]).replace("drop.txt", str(daemon.folder / "drop.txt"))
    daemon.write(text, SETTINGS.format(resync=resync))


def write_list(daemon: Daemon, version: str) -> None:
    """Write the list alone."""
    first = {"B": 150, "L": 100}.get(version, 0)
    (daemon.folder / "drop.txt").write_text(prefixes(_LISTED, first))


def look() -> Look:
    """All routes and rules but the kernel's own, and all addresses but the link-local ones, each as a line of JSON."""
    return frozenset(
        family + json.dumps(thing, sort_keys=True) for family in ("-4", "-6") for thing in _read(_show(family))
    )


def _show(family: str) -> str:
    command = ["ip", family, "-j", "-d", "-N", "-batch", "-"]
    return subprocess.run(command, input=_SHOW, text=True, capture_output=True, check=True).stdout


def _read(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        things, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        for thing in things:
            if "addr_info" in thing:
                for address in thing["addr_info"]:
                    if not address["local"].startswith("fe80:"):
                        yield _plain(address) | {"dev": thing["ifname"]}
            elif thing and thing.get("protocol") != _KERNEL:
                yield _plain(thing)


def _plain(thing: dict[str, Any]) -> dict[str, Any]:
    """Without what changes by itself, its legs in an order of their own."""
    plain = {name: value for name, value in thing.items() if name not in _FLEETING}
    if "nexthops" in plain:
        plain["nexthops"] = sorted((_plain(hop) for hop in plain["nexthops"]), key=str)
    return plain
