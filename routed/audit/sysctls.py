"""Why services, routes, rules and VIPs take a sysctl, and how it is set, in words."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Final

from routed.model.documents import SysctlDocument
from routed.model.sysctls import Sysctl, SysctlLack

WHY: Final[Mapping[str, str]] = {
    "expire_nodest_conn": "connections to a server that has gone hang for up to 15 minutes, instead of ending at once",
    "expire_quiescent_template": "clients that stay with a server do not leave it while it has weight 0",
    "conntrack": "packets of IPVS pass no NAT and no stateful rule",
    "ip_forward": "packets of others do not come to servers elsewhere",
    "arp_ignore": "no neighbour gets an answer for the VIP",
    "accept_local": "this host itself gets no answer of the servers",
    "rp_filter": "this host itself gets no answer of the servers",
}
# Likewise why routes, rules and VIPs take one.
ROUTING_WHY: Final[Mapping[str, str]] = {
    "answers": "answers that come in there are dropped: without the mark the kernel finds another way to their sender",
    "probes": "answers to the check are dropped: the kernel finds another way to its target",
    "forwarding": "what comes in there for others is dropped, whatever the rule says",
    "ignore_routes_with_linkdown": "the route is used although its link has no carrier, and no other takes its place",
    "keep_addr_on_down": "the address it stands on goes with the link, and nobody puts it back",
    "proxy_ndp": "no neighbour gets an answer for the VIP, whatever proxy there is for it",
    "proxy_forwarding": "no neighbour gets an answer for the VIP: only a link that forwards answers for others;"
    " with it, router advertisements there count only with accept_ra=2",
    "arp_flux": "both links answer for the addresses of either, so neighbours send to the wrong one",
    "arp_announce": "it asks neighbours with an address of the other link, and they send their answers there",
}


def format_sysctl(name: Sysctl) -> str:
    """As sysctl(8) reads it: with slashes where a link has a dot in its name."""
    return ("/" if any("." in part for part in name) else ".").join(name)


def describe_lack(lack: SysctlLack) -> SysctlDocument:
    """What stands otherwise, for whom, what follows from it, and what cures it."""
    name = format_sysctl(lack.name)
    return SysctlDocument(
        sysctl=name,
        value=lack.value,
        wanted=lack.wanted,
        entry=lack.need.entry,
        reason={**WHY, **ROUTING_WHY}[lack.need.word],
        command=f"sysctl -w {quote(f'{name}={lack.wanted}')}",
    )
