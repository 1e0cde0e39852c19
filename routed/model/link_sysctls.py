"""The sysctls of one link by which the kernel lets other things happen to what stands on it."""

from __future__ import annotations

from typing import Final, NamedTuple


class LinkSysctls(NamedTuple):
    """As they count: of ``all`` and of the link itself the kernel takes the one or the other, or both."""

    promotes_secondaries: bool = True  # net.ipv4.conf.*.promote_secondaries
    keeps_addresses: bool = False  # net.ipv6.conf.*.keep_addr_on_down
    ignores_linkdown: frozenset[int] = frozenset()  # families: net.*.conf.*.ignore_routes_with_linkdown
    is_router: bool = False  # net.ipv6.conf.*.forwarding
    makes_link_local: bool = True  # net.ipv6.conf.*.addr_gen_mode is 0: from its MAC


DEFAULT_SYSCTLS: Final = LinkSysctls()
