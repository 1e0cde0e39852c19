"""IPVS: services, the servers behind them, and how long connections are remembered, as objects of three kinds.

The kernel has no place for an owner: whose a service is stands in a claim on disk (``kernel.ipvs``), and what is read
has our protocol number where it is claimed. Source of the numbers: include/uapi/linux/ip_vs.h. Here must never live:
how any of it is written in a file (``intent``), or sent (``kernel.ipvs``).
"""

from __future__ import annotations

from typing import Final, NamedTuple

MASQ, LOCAL, TUNNEL, DIRECT = 0, 1, 2, 3  # IP_VS_CONN_F_*: how packets come to a server
FORWARDS: Final = {MASQ: "masq", TUNNEL: "tunnel", DIRECT: "direct"}  # of a server that is written; ipvsadm: -m, -i, -g

PERSISTENT, ONE_PACKET = 0x1, 0x4  # IP_VS_SVC_F_*
SCHEDULER_1, SCHEDULER_2, SCHEDULER_3 = 0x8, 0x10, 0x20  # IP_VS_SVC_F_SCHED*: what they mean, says the scheduler
HASHED: Final = 0x2  # the kernel's own
HASHING: Final = frozenset({"sh", "mh"})  # schedulers of which these two have words (IP_VS_SVC_F_SCHED_SH_FALLBACK …)
FLAG_WORDS: Final = {"fallback": SCHEDULER_1, "port": SCHEDULER_2, "one-packet": ONE_PACKET}
KNOWN_FLAGS: Final = PERSISTENT | ONE_PACKET | SCHEDULER_1 | SCHEDULER_2 | SCHEDULER_3

IPIP, GUE, GRE = 0, 1, 2  # IP_VS_CONN_F_TUNNEL_TYPE_*
TUNNELS: Final = {IPIP: "ipip", GUE: "gue", GRE: "gre"}
CHECKSUM, REMOTE_CHECKSUM = 0x1, 0x2  # IP_VS_TUNNEL_ENCAP_FLAG_*

TCP, UDP, SCTP = 6, 17, 132
IPPROTOS: Final = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}

# What the kernel takes and does not mean: with more, its clock in ticks overflows (HZ 250: 17 179 869 s).
LONGEST: Final = 31 * 86400  # seconds, as ipvsadm

# After so many seconds the kernel forgets a connection that is silent, unless somebody says otherwise: one that is
# established, one of which an end was seen, one of UDP (tcp_timeouts in ip_vs_proto_tcp.c, udp_timeouts beside it).
TIMEOUTS: Final = {"tcp": 900, "tcp_fin": 120, "udp": 300}
# It counts them in ticks, of which there are at most 1000 a second, in 31 bits (ip_vs_set_timeout in ip_vs_ctl.c).
LONGEST_TIMEOUT: Final = 24 * 86400  # seconds


class ServiceSlot(NamedTuple):
    """What all services of one family share."""

    family: int


class ServiceMember(NamedTuple):
    """The kernel's key of a service within its family, an address or a mark (__ip_vs_service_find in ip_vs_ctl.c)."""

    ipproto: int = 0  # 0 of a mark
    address: bytes = b""  # packed; b"" of a mark
    port: int = 0
    fwmark: int = 0


class ServiceValue(NamedTuple):
    """The content of a service."""

    protocol: int  # our number where it is claimed, otherwise 0
    scheduler: str  # as the kernel names it; "none" where nothing is scheduled
    flags: int = 0  # those of KNOWN_FLAGS
    timeout: int = 0  # seconds of persistence; 0 where it has none
    prefixlen: int = 0  # of the clients that persistence takes for one; the width of the family where it has none
    engine: str = ""  # of persistence: "sip"
    is_shared: bool = False  # are servers of others in it left alone? Known of what is claimed only


class ServerSlot(NamedTuple):
    """What all servers of one service share."""

    family: int  # of the service
    service: ServiceMember


class ServerMember(NamedTuple):
    """The kernel's key of a server within its service; behind a tunnel it may be of the other family."""

    address: bytes  # packed
    port: int  # 0 behind a mark: that of the packet


class ServerValue(NamedTuple):
    """The content of a server."""

    protocol: int  # our number where it is claimed, or stands in a claimed service that is not shared; otherwise 0
    forward: int = MASQ
    weight: int = 1
    upper: int = 0  # connections from which on it gets no more; 0: no limit
    lower: int = 0  # … until it has fewer than these; 0: three quarters of the upper
    tunnel: int = IPIP  # of forward TUNNEL
    tunnel_port: int = 0
    tunnel_flags: int = 0


class TimeoutSlot(NamedTuple):
    """What all timeouts of a network namespace share: they have no family."""

    family: int = 0  # AF_UNSPEC


class TimeoutMember(NamedTuple):
    """Of which connections a timeout is. The kernel always has all of them."""

    word: str  # one of TIMEOUTS


class TimeoutValue(NamedTuple):
    """The content of a timeout."""

    protocol: int  # our number where it is claimed, otherwise 0
    seconds: int


class Traffic(NamedTuple):
    """What the kernel counts of a service or of a server. Rates are of the last seconds."""

    active: int = 0  # connections that are established; of a service those of all its servers
    inactive: int = 0
    persistent: int = 0  # templates
    connections: int = 0  # ever
    rate: int = 0  # connections a second
    bytes_in: int = 0
    bytes_out: int = 0
