"""Whose an object of the kernel is: what something else on the host made and keeps stays out of the file.

Only what says so of itself is left out: by its protocol number, its lifetime, or the interface that it stands on. Here
must never live: what the file has no word for.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

from routed.model import names, net
from routed.model.facts import Facts
from routed.model.net import IPV6, family_of
from routed.model.objects import (
    AddressMember,
    AddressValue,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
)

# What people write by hand, by scripts and by files of networkd and NetworkManager
BY_HAND: Final = names.PROTOCOLS_OF_PEOPLE
BY_KERNEL: Final = "the kernel made it by itself"
_WHO: Final = {
    names.PROTOCOL_REDIRECT: "a router redirected packets there (proto redirect)",
    names.PROTOCOL_KERNEL: BY_KERNEL,
    names.PROTOCOL_RA: "router advertisements made it (proto ra)",
    16: "DHCP made it (proto dhcp)",
}
_LINK_LOCAL: Final = net.parse_prefix("fe80::/10")
_LOOPBACK: Final = (net.parse_prefix("127.0.0.0/8"), net.parse_prefix("::1/128"))

# Interfaces that a program makes, and all that stands on them, by the names that it gives them.
_MAKERS: Final = tuple(
    (re.compile(pattern), maker)
    for pattern, maker in (
        (r"docker\d+|docker_gwbridge|br-[0-9a-f]{12}", "Docker"),
        (r"virbr\d+(-nic)?|vnet\d+", "libvirt"),
        (r"lxcbr\d+|lxdbr\d+|incusbr\d+", "LXC"),
        (r"podman\d+|cni-podman\d+", "Podman"),
        (r"cni\d+|cbr\d+", "a CNI plugin"),
        (r"flannel(\.\d+|-wg(-v6)?|\.ipip|-v6\.\d+)", "flannel"),
        (r"cali[0-9a-f]{11}|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali", "Calico"),
        (r"cilium_\w+|lxc[0-9a-f]{12}|lxc_health", "Cilium"),
        (r"kube-ipvs0|nodelocaldns|kube-bridge|kube-dummy-if", "Kubernetes"),
        (r"weave|vethwe\w*", "Weave"),
        (r"tailscale\d+", "Tailscale"),
        (r"zt[0-9a-z]{8,}", "ZeroTier"),
    )
)


def find_maker(link: str) -> str:
    """Why what stands on an interface of this name stays out; empty where nobody is known to make it."""
    for pattern, maker in _MAKERS:
        if pattern.fullmatch(link):
            return f"it stands on {link}, which {maker} makes"
    return ""


def find_program(protocol: int, ours: Container[int]) -> str:
    """Why what carries this number stays out; empty where people write it, or it is one of ``ours``."""
    if protocol in BY_HAND or protocol in ours:
        return ""
    name = names.name_or_number(names.PROTOCOLS, protocol)
    return _WHO.get(protocol) or f"a program keeps it under this number (proto {name})"


def judge_route(value: RouteValue, facts: Facts, ours: Container[int]) -> str:
    """Why a route stays out; empty where it does not. What carries one of ``ours`` is taken."""
    links = (facts.links[hop.dev].name for hop in value.hops if hop.dev in facts.links)
    return find_program(value.protocol, ours) or next(filter(None, map(find_maker, links)), "")


def judge_rule(slot: RuleSlot, rule: RuleMember, value: RuleValue, ours: Container[int]) -> str:
    """Why a rule stays out; empty where it does not."""
    default = names.DEFAULT_RULES[slot.family].get(rule.priority)
    if default is not None and rule == RuleMember(rule.priority, table=default):
        return BY_KERNEL
    return find_program(value.protocol, ours) or find_maker(rule.iif) or find_maker(rule.oif)


def judge_address(member: AddressMember, value: AddressValue, facts: Facts, ours: Container[int]) -> str:
    """Why an address stays out; empty where it does not."""
    link = facts.links.get(member.dev)
    is_loopback = (
        link is not None and link.name == "lo" and any(net.is_inside(member.address, one) for one in _LOOPBACK)
    )
    if value.protocol in names.KERNEL_ADDRESS_PROTOCOLS or is_loopback:
        return BY_KERNEL
    if value.dynamic:
        return "it has a lifetime: DHCP or a router advertisement made it"
    if family_of(member.address) == IPV6 and net.is_inside(member.address, _LINK_LOCAL):
        is_marked = any(one.protocol in names.KERNEL_ADDRESS_PROTOCOLS for one in facts.addresses.values())
        if not is_marked:
            return BY_KERNEL  # kernels before 5.18 do not say so
        if any(member.address[8:12]):
            return "it is a link-local address of the kind that the kernel and network managers make"
    return find_program(value.protocol, ours) or (find_maker(link.name) if link else "")
