"""What stands in the kernel, as `ip -j` tells it, by protocol: ours and theirs, to be compared at two moments."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.kernel.netns import ip_json

OURS = "114"
KERNEL = "2"
_FLEETING = {"flags", "cache", "expires", "valid_life_time", "preferred_life_time", "tentative"}

Thing = dict[str, Any]


def routes(protocol: str = OURS) -> list[Thing]:
    """All routes of a protocol number in all tables, in an order of their own; "" for every protocol."""
    found = [
        _plain(route) | {"family": family}
        for family in ("4", "6")
        for route in ip_json(f"-{family} route show table all")
        if protocol in {"", route["protocol"]}
    ]
    return _sorted(found)


def rules(protocol: str = OURS) -> list[Thing]:
    """All rules of a protocol number."""
    found = [
        _plain(rule) | {"family": family}
        for family in ("4", "6")
        for rule in ip_json(f"-{family} rule show")
        if protocol in {"", rule["protocol"]}
    ]
    return _sorted(found)


def addresses(dev: str = "") -> list[Thing]:
    """All addresses, of one link if it is named. Link-local ones are the kernel's own affair."""
    found = [
        _plain(address) | {"dev": link["ifname"]}
        for link in ip_json("address show")
        for address in link["addr_info"]
        if dev in {"", link["ifname"]} and not address["local"].startswith("fe80:")
    ]
    return _sorted(found)


def everything(protocol: str = OURS) -> dict[str, list[Thing]]:
    """Routes and rules of a protocol, and all addresses."""
    return {"routes": routes(protocol), "rules": rules(protocol), "addresses": addresses()}


def route(to: str, options: str = "") -> Thing:
    """The one route that `ip route show TO OPTIONS` shows."""
    found = shown(to, options)
    assert len(found) == 1, found
    return found[0]


def shown(to: str, options: str = "") -> list[Thing]:
    """What `ip route show TO OPTIONS` shows, in the kernel's order."""
    family = "6" if ":" in to else "4"
    return ip_json(f"-{family} route show {to} {options}".rstrip())


def _plain(thing: Thing) -> Thing:
    """Without what changes by itself. The legs of a multipath route have no order."""
    plain = {name: value for name, value in thing.items() if name not in _FLEETING}
    if "nexthops" in plain:
        plain["nexthops"] = _sorted(_plain(hop) for hop in plain["nexthops"])
    return plain


def _sorted(things: Iterable[Thing]) -> list[Thing]:
    return sorted(things, key=lambda thing: json.dumps(thing, sort_keys=True))
