"""The kernel's numbers and the field's names for them, as ``ip`` prints them.

Sources: include/uapi/linux/rtnetlink.h, if_addr.h, fib_rules.h, and iproute2's etc/iproute2/ files. What the host's own
/etc/iproute2 adds is read elsewhere (``intent.names``); here stand only the numbers that never differ.
"""

from __future__ import annotations

from typing import Final

from routed.model.net import IPV4, IPV6

# rtm_type (enum in linux/rtnetlink.h). An operator may write those of WRITABLE_TYPES; the others are only observed.
UNICAST: Final = 1
LOCAL: Final = 2
BROADCAST: Final = 3
ANYCAST: Final = 4
MULTICAST: Final = 5
BLACKHOLE: Final = 6
UNREACHABLE: Final = 7
PROHIBIT: Final = 8
THROW: Final = 9
ROUTE_TYPES: Final = {
    0: "unspec", 1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast",
    6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw", 10: "nat", 11: "xresolve",
}  # fmt: skip
WRITABLE_TYPES: Final = {
    name: number
    for number, name in ROUTE_TYPES.items()
    if number in {UNICAST, LOCAL, BROADCAST, ANYCAST, MULTICAST, BLACKHOLE, UNREACHABLE, PROHIBIT, THROW}
}
CAST_TYPES: Final = frozenset({BROADCAST, ANYCAST, MULTICAST})  # that ``ip route`` gives the scope link
ON_LINK_TYPES: Final = frozenset({LOCAL, BROADCAST, ANYCAST})  # that have a link and no gateway
TYPES_WITHOUT_HOP: Final = frozenset({BLACKHOLE, UNREACHABLE, PROHIBIT, THROW})

# rtm_scope
UNIVERSE: Final = 0
SITE: Final = 200
LINK: Final = 253
HOST: Final = 254
NOWHERE: Final = 255
SCOPES: Final = {UNIVERSE: "global", SITE: "site", LINK: "link", HOST: "host", NOWHERE: "nowhere"}

# rtm_table
TABLE_DEFAULT: Final = 253
TABLE_MAIN: Final = 254
TABLE_LOCAL: Final = 255
TABLES: Final = {TABLE_DEFAULT: "default", TABLE_MAIN: "main", TABLE_LOCAL: "local"}

# rtm_protocol. NEVER_OURS are written by the kernel itself: redirect, kernel, ra.
PROTOCOL_REDIRECT: Final = 1
PROTOCOL_KERNEL: Final = 2
PROTOCOL_RA: Final = 9
NEVER_OURS: Final = frozenset({PROTOCOL_REDIRECT, PROTOCOL_KERNEL, PROTOCOL_RA})
PROTOCOLS: Final = {
    0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra",
    12: "bird", 13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 18: "keepalived", 42: "babel", 84: "ovn",
    99: "openr", 186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
}  # fmt: skip
# Numbers that daemons mark their own routes with, beside those that the kernel has names for: FRR's, those of VyOS and
# of kube-vip (zebra/rt_netlink.h, cmd/kube-vip.go).
PROTOCOLS_OF_DAEMONS: Final = {
    111: "vyos", 193: "ldp", 194: "sharp", 195: "pbr", 196: "frr", 197: "openfabric", 198: "srte", 248: "kube-vip",
}  # fmt: skip
TAKEN_PROTOCOLS: Final = PROTOCOLS | PROTOCOLS_OF_DAEMONS
PROTOCOLS_OF_PEOPLE: Final = frozenset({0, 3, 4})  # what is written by hand and by scripts: unspec, boot, static

# What a route without a metric, or with 0, gets (IP6_RT_PRIO_USER in net/ipv6/route.c).
DEFAULT_METRIC: Final = {IPV4: 0, IPV6: 1024}

# The rules that the kernel makes for every namespace: priority → table (fib_default_rules_init in
# net/ipv4/fib_rules.c, fib6_rules_net_init in net/ipv6/fib6_rules.c). In IPv6 there is no table "default".
DEFAULT_RULES: Final = {
    IPV4: {0: TABLE_LOCAL, 32766: TABLE_MAIN, 32767: TABLE_DEFAULT},
    IPV6: {0: TABLE_LOCAL, 32766: TABLE_MAIN},
}
KERNEL_PRIORITIES: Final = frozenset(priority for rules in DEFAULT_RULES.values() for priority in rules)

# IFAPROT_KERNEL_LO, _RA and _LL (linux/if_addr.h): addresses that the kernel gives itself
KERNEL_ADDRESS_PROTOCOLS: Final = frozenset({1, 2, 3})

# RTAX_*: the metric of a route that is a name, and the bit mask over the numbers of all; see ``attributes``.
RTAX_LOCK: Final = 1
RTAX_CC_ALGO: Final = 16

# The action of a rule (FR_ACT_*, linux/fib_rules.h)
TO_TABLE: Final = 1
GOTO: Final = 2
NOP: Final = 3
ACTIONS: Final = {TO_TABLE: "lookup", GOTO: "goto", NOP: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}

# Bytes of the name of a link (IFNAMSIZ - 1, linux/if.h) and of its altnames (ALTIFNAMSIZ - 1).
INTERFACE_NAME_LENGTH: Final = 15
ALTNAME_LENGTH: Final = 127

# ifa_flags (linux/if_addr.h): only these are configuration, the others are the kernel's state.
IFA_NODAD: Final = 0x02
IFA_OPTIMISTIC: Final = 0x04  # gone as soon as nobody else was found to have the address
IFA_HOMEADDRESS: Final = 0x10
IFA_MANAGETEMPADDR: Final = 0x100
IFA_NOPREFIXROUTE: Final = 0x200
IFA_MCAUTOJOIN: Final = 0x400
ADDRESS_FLAGS: Final = {
    "home": IFA_HOMEADDRESS, "nodad": IFA_NODAD, "mngtmpaddr": IFA_MANAGETEMPADDR,
    "noprefixroute": IFA_NOPREFIXROUTE, "autojoin": IFA_MCAUTOJOIN, "optimistic": IFA_OPTIMISTIC,
}  # fmt: skip

# The kinds of link that the file may ask to be created (IFLA_INFO_KIND), and what is written into the alias of those
# that we made (IFLA_IFALIAS): a link has no field for a protocol.
CREATABLE: Final = frozenset({"dummy", "ipip"})
ALIAS: Final = "routed:"  # our protocol number follows
BARE: Final = frozenset({"dummy"})  # of these kinds those that carry nothing but the VIPs that they were made for
# The device that the module of a kind makes for itself in each namespace: it can be neither changed nor deleted
# (ip_tunnel_changelink and ip_tunnel_dellink in net/ipv4/ip_tunnel.c), and is nobody's, whatever its alias.
FALLBACK_LINKS: Final = frozenset({"tunl0"})

# What an IPIP link carries, by IP protocol, as ``ip -d link`` says it (iproute2, ip/link_iptnl.c)
TUNNELLED: Final = {4: "ipip", 137: "mplsip", 0: "any"}

IP_PROTOCOLS: Final = {
    1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah",
    58: "ipv6-icmp", 89: "ospf", 112: "vrrp", 132: "sctp", 136: "udplite",
}  # fmt: skip


def name_or_number(names: dict[int, str], number: int) -> str:
    """The name for ``number``, or the number itself as text, as ``ip`` prints an unknown one."""
    return names.get(number) or str(number)
