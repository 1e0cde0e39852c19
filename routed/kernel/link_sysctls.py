"""The sysctls of links, as ``/proc/sys/net`` of this network namespace has them.

Source: ip-sysctl.rst of Linux, which says how that of ``all`` and that of a link come together; IN_DEV_ORCONF and
IN_DEV_ANDCONF in include/linux/inetdevice.h, addrconf_ifdown in net/ipv6/addrconf.c.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from routed.model.facts import Link
from routed.model.link_sysctls import LinkSysctls
from routed.model.net import IPV4, IPV6

ROOT: Final = Path("/proc/sys/net")


def read_link_sysctls(links: Iterable[Link], root: Path = ROOT) -> dict[int, LinkSysctls]:
    """Those of each link, by ifindex. What cannot be read counts as the kernel's default."""
    promotes, keeps_all = (
        _read(root, "ipv4", "all", "promote_secondaries"),
        _read(root, "ipv6", "all", "keep_addr_on_down"),
    )
    found = {}
    for link in links:
        ignores = {
            family
            for family, name in ((IPV4, "ipv4"), (IPV6, "ipv6"))
            if _read(root, name, link.name, "ignore_routes_with_linkdown")
            or _read(root, name, "all", "ignore_routes_with_linkdown")
        }
        found[link.ifindex] = LinkSysctls(
            promotes_secondaries=bool(promotes or _read(root, "ipv4", link.name, "promote_secondaries")),
            keeps_addresses=(keeps_all or _read(root, "ipv6", link.name, "keep_addr_on_down")) > 0,
            ignores_linkdown=frozenset(ignores),
            is_router=bool(_read(root, "ipv6", link.name, "forwarding")),
            makes_link_local=not _read(root, "ipv6", link.name, "addr_gen_mode"),
        )
    return found


def _read(root: Path, family: str, name: str, which: str) -> int:
    try:
        return int(root.joinpath(family, "conf", name, which).read_bytes())
    except (OSError, ValueError):
        return 0
