"""What is refused: by us, before the kernel swallows it, and by the kernel, which has no words of its own for it.

IPVS sets no extended acknowledgement, so an errno is all that it says. Here belongs every sentence about that. Here
must never live: a request.
Sources: ip_vs_add_service, ip_vs_edit_service, ip_vs_new_dest, ip_vs_genl_set_cmd in net/netfilter/ipvs/ip_vs_ctl.c;
ip_vs_scheduler_get in ip_vs_sched.c. What the kernel swallows was tried out on Linux 6.1.
"""

from __future__ import annotations

from errno import EAFNOSUPPORT, EEXIST, EINVAL, ENOENT, ENOPROTOOPT, EPERM, ERANGE, ESRCH
from os import strerror
from typing import Final

from routed.model.ipvs import (
    FORWARDS,
    GUE,
    IPPROTOS,
    KNOWN_FLAGS,
    LONGEST,
    LONGEST_TIMEOUT,
    MASQ,
    ONE_PACKET,
    PERSISTENT,
    TUNNEL,
    TUNNELS,
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    TimeoutMember,
    TimeoutSlot,
    TimeoutValue,
)
from routed.model.net import ADDRESS_LENGTH

MOST: Final = 0x7FFFFFFF  # weight and thresholds: signed in the kernel
NO_IPVS: Final = "this kernel has no IPVS: its module ip_vs is missing or barred (modprobe ip_vs says more)"
MISLED: Final = "with one-packet and masq clients would get answers from the own address of the server"
_GONE: Final = "somebody has deleted it meanwhile"
_THERE: Final = "somebody else has put it meanwhile"
_ANYWHERE: Final = {
    EPERM: "IPVS takes CAP_NET_ADMIN in the initial user namespace",
    ENOPROTOOPT: "its module is going away",
}


def find_service_fault(slot: ServiceSlot, member: ServiceMember, value: ServiceValue) -> str:
    """What the kernel would swallow of a service, in words; empty where there is nothing."""
    if not (0 <= member.fwmark <= 0xFFFFFFFF and 0 <= member.port <= 0xFFFF):
        return "a mark has 32 bits, and a port 16"
    if not member.fwmark:
        if not member.address:
            return "a service takes an address, or a mark that is not 0"
        if len(member.address) != ADDRESS_LENGTH[slot.family]:
            return "its address is of another family"
        if member.ipproto not in IPPROTOS:
            return f"IPVS knows nothing of protocol {member.ipproto}: {', '.join(IPPROTOS.values())}"
        if not member.port and not value.flags & PERSISTENT:
            return "port 0 takes persistence"
    if unknown := value.flags & ~KNOWN_FLAGS:
        return f"nothing is known of the flags {unknown:#x}"
    if not 0 <= value.timeout <= LONGEST:
        return f"persistence of {value.timeout} s is longer than {LONGEST // 86400} days"
    if not 0 <= value.prefixlen <= 8 * ADDRESS_LENGTH[slot.family]:
        return "its mask of clients is no prefix length"
    return ""


def find_server_fault(service: ServiceValue | None, value: ServerValue) -> str:
    """What the kernel would swallow of a server, in words; ``service`` is what is known of its service."""
    if value.forward not in FORWARDS:
        return f"nothing can be forwarded by method {value.forward}"
    if value.tunnel not in TUNNELS:
        return f"nothing is known of tunnels of type {value.tunnel}"
    for name, given in ("weight", value.weight), ("upper threshold", value.upper), ("lower threshold", value.lower):
        if not 0 <= given <= MOST:
            return f"a {name} is a number from 0 to {MOST}"
    if service is not None and is_misled(service, value):
        return MISLED
    return ""


def find_timeout_fault(value: TimeoutValue) -> str:
    """What the kernel would swallow of a timeout, in words: it takes 0 for no change."""
    if not 1 <= value.seconds <= LONGEST_TIMEOUT:
        return f"a timeout is from 1 s to {LONGEST_TIMEOUT // 86400} days"
    return ""


def is_misled(service: ServiceValue, value: ServerValue) -> bool:
    """Would clients of the service get answers from the address of this server? An engine puts that right."""
    return value.forward == MASQ and bool(service.flags & ONE_PACKET) and not service.engine


def explain_anywhere(errno: int) -> str:
    """An errno about any question in words."""
    return _join(errno, _ANYWHERE)


def explain_service(errno: int, slot: ServiceSlot, _member: ServiceMember, value: ServiceValue) -> str:
    """An errno about a service in words."""
    modules = f"scheduler {value.scheduler} (module ip_vs_{value.scheduler})"
    if value.engine:
        modules += f", or no persistence engine {value.engine} (module ip_vs_pe_{value.engine})"
    hints = _ANYWHERE | {
        ENOENT: f"this kernel has no {modules}",
        ESRCH: _GONE,
        EEXIST: _THERE,
        EAFNOSUPPORT: "IPv6 is off, or this kernel has none for IPVS",
        EINVAL: "its IPVS does not know what is asked for",
    }
    del slot
    return _join(errno, hints)


def explain_server(errno: int, slot: ServerSlot, member: ServerMember, value: ServerValue) -> str:
    """An errno about a server in words."""
    hints = _ANYWHERE | {
        ENOENT: _GONE,
        ESRCH: "its service is not there",
        EEXIST: _THERE,
        ERANGE: "a lower threshold above the upper one, or a weight that is too large",
        EINVAL: _explain_invalid(slot, member, value),
    }
    return _join(errno, hints)


def explain_timeout(errno: int, _slot: TimeoutSlot, _member: TimeoutMember, _value: TimeoutValue) -> str:
    """An errno about a timeout in words."""
    return explain_anywhere(errno)


def _explain_invalid(slot: ServerSlot, member: ServerMember, value: ServerValue) -> str:
    if len(member.address) != ADDRESS_LENGTH[slot.family]:
        if value.forward != TUNNEL:
            return "to a server of the other family only a tunnel leads"
        return "a server of the other family and the synchronisation of connections exclude each other"
    if value.tunnel == GUE and not value.tunnel_port:
        return "a gue tunnel takes a port"
    return "its address is no unicast address, or a link-local one that is not this host's"


def _join(errno: int, hints: dict[int, str]) -> str:
    said = strerror(errno)
    return f"{said}: {hints[errno]}" if errno in hints else said
