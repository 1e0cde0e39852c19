"""Schema: which tables and keys the file has, and what each key may hold.

Here stand the keys, one pydantic model a table, each key with the sentence that editors show. Arrays hold one shape
each (no tagged unions), so that editors point at the key that is wrong. Those of checks and of services have files of
their own, and so has what a key may hold (``schema_values``). Rules between keys stand in ``checks``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, PlainValidator

from routed.intent import words
from routed.intent.schema_check import CheckTable
from routed.intent.schema_members import MemberTable, SourceTable
from routed.intent.schema_neighbour import NeighbourTable
from routed.intent.schema_nexthop import NexthopId, NexthopTable
from routed.intent.schema_service import ServiceTable
from routed.intent.schema_values import (
    Address,
    AddressWithLength,
    Broadcast,
    Destination,
    Duration,
    EntryTable,
    Family,
    FightLimit,
    Interface,
    IpProtocol,
    KnownInterface,
    Label,
    LinkName,
    Lockable,
    Mark,
    MetricsAddress,
    Name,
    NameOrNumber,
    Number,
    Percentage,
    PollInterval,
    Ports,
    PreferredLifetime,
    Prefix,
    Requires,
    RuleSelector,
    ScopeNumber,
    SourceAddress,
    SourceSelector,
    Table,
    TableLater,
    Timeout,
    Uids,
    VipAddress,
    show_text_or_number,
)
from routed.intent.schema_words import add_words
from routed.model.attributes import HOP_WORDS, METRIC_WORDS, ROUTE_WORDS, RULE_VALUE_WORDS, RULE_WORDS
from routed.model.names import WRITABLE_TYPES

RouteType: TypeAlias = Literal[tuple(WRITABLE_TYPES)]  # type: ignore[valid-type]


EntryProtocol: TypeAlias = Annotated[
    NameOrNumber | None,
    Field(description="The number that marks it: one of [daemon] protocols. That of [daemon] protocol."),
]


class ProbeTable(Table):
    """``[daemon] probe``: how questions with ``via`` find their way."""

    mark: Annotated[
        int, PlainValidator(words.mark), show_text_or_number(words.UINT32, minimum=1, pattern="^0[xX][0-9A-Fa-f]+$")
    ] = Field(0x3100, description="Firewall mark of the first way; each other one has the next. 0x3100.")
    priority: Annotated[int, Field(ge=1, le=32765)] = Field(10, description="Priority of their rules. 10.")
    table: Annotated[int, Field(ge=1, le=words.UINT32)] = Field(
        31000, description="Routing table of the first way; each other one has the next. 31000."
    )


class Sysctls(Table):
    """``[ipvs] sysctl``: for each whether it is needed; left out, the services decide."""

    expire_nodest_conn: bool | None = Field(None, description="Connections to a server that has gone end at once.")
    expire_quiescent_template: bool | None = Field(
        None, description="Clients that stay with a server leave it when it has weight 0."
    )
    conntrack: bool | None = Field(None, description="Its packets pass NAT and stateful rules: for SNAT.")
    ip_forward: bool | None = Field(None, description="Packets of others go to servers elsewhere with masq.")
    arp_ignore: bool | None = Field(None, description="A local VIP on a link is answered for.")
    accept_local: bool | None = Field(None, description="This host gets answers of direct and tunnel servers.")
    rp_filter: bool | None = Field(None, description="Such answers are not dropped for the way they come.")


class TimeoutsTable(Table):
    """``[ipvs] timeouts``: after how long without a packet connections are forgotten; left out, one is left alone."""

    tcp: Timeout | None = Field(None, description='One of TCP that is established. The kernel has "15m".')
    tcp_fin: Timeout | None = Field(None, description='One of TCP that is being closed. The kernel has "2m".')
    udp: Timeout | None = Field(None, description='One of UDP. The kernel has "5m".')


class Daemon(Table):
    """``[daemon]``: how the daemon itself behaves."""

    protocol: NameOrNumber | None = Field(
        None, description="Ownership mark on routes, rules and addresses: a number or a name of rt_protos. 114."
    )
    protocols: list[NameOrNumber] | None = Field(
        None, description="Further such numbers, each as wholly routed's; entries say which with `protocol`."
    )
    resync: Duration | None = Field(None, description='Time between full comparisons, with its unit. "60s".')
    watch: Literal["check", "apply"] | None = Field(
        None, description="When the file is saved: only check it, or apply it. Prefix files always apply."
    )
    on_stop: Literal["keep", "remove"] | None = Field(
        None, description="What becomes of the objects when the daemon stops."
    )
    max_deletes: Percentage | None = Field(
        None, description='Share of the owned objects that one pass may delete, above 10. "50%".'
    )
    fight_limit: FightLimit = Field(
        30, description='Repairs of one object against other programs within 60 s before it is held, or "off".'
    )
    probe: ProbeTable | None = Field(None, description="How the questions of checks with `via` find their way.")
    confirm: Duration | None = Field(
        None,
        description='After so long, with its unit, an apply or reload undoes itself unless it is confirmed. "5m".',
    )
    metrics: MetricsAddress = Field(
        None,
        description='Address and port at which Prometheus is answered, or "off". Of this host alone, "127.0.0.1:9914".',
    )
    metrics_public: bool = Field(default=False, description="That address may be one at which others reach this host.")


class IpvsTable(Table):
    """``[ipvs]``: how IPVS is looked at, and what it takes of the host."""

    poll: PollInterval | None = Field(None, description='Time between two looks at its services, with its unit. "5s".')
    timeouts: TimeoutsTable | None = Field(
        None, description="After how long without a packet connections are forgotten; what is left out is left alone."
    )
    sysctl: Sysctls | None = Field(
        None, description="Which sysctls are needed whatever the services look like (true), or not looked at (false)."
    )


class RoutingTable(Table):
    """``[[table]]``: a name for a routing table."""

    NEEDS = (("name",), ("id",))

    name: Name | None = Field(None, description="The name, as entries of this file write it.")
    id: Annotated[int, Field(ge=1, le=words.UINT32)] | None = Field(None, description="The table's number.")
    disabled: bool = Field(default=False, description="Take the table of this name away.")


if TYPE_CHECKING:
    HopWords: TypeAlias = Table
    RouteWords: TypeAlias = MemberTable
    RuleWords: TypeAlias = MemberTable
else:
    HopWords = add_words(Table, HOP_WORDS)
    RouteWords = add_words(MemberTable, (*METRIC_WORDS, *ROUTE_WORDS, *HOP_WORDS))
    RuleWords = add_words(MemberTable, (*RULE_WORDS, *RULE_VALUE_WORDS))


class Hop(HopWords):
    """One next hop of a multipath route."""

    NEEDS = (("via", "dev"),)

    via: Address | None = Field(None, description="The gateway's address.")
    dev: Interface | None = Field(None, description="The interface; left out, it is the gateway's link.")
    weight: Annotated[int, Field(ge=1, le=256)] = Field(1, description="The share of this hop, 1 to 256.")
    onlink: bool = Field(default=False, description="Take the gateway for a neighbour although no address says so.")
    requires: Requires | None = Field(
        None, description='A [[check]] that has to be up, "@name", or down, "!@name". Else this hop is left out.'
    )


class Route(RouteWords):
    """``[[route]]``: one prefix or many, with one shape."""

    NEEDS = (("to", "prefixes", "prefixes_file"), ("via", "dev", "hops", "type"))

    to: Destination | None = Field(None, description='The destination: a prefix, a bare host or "default".')
    prefixes: list[Prefix] | None = Field(None, description="Many destinations that share everything else.")
    prefixes_file: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="A file with one prefix or bare host a line; # and ; begin comments."
    )
    family: Family | None = Field(None, description="The family, where no address of the entry tells it.")
    source: Prefix | None = Field(
        None, alias="from", description="Only for packets from this prefix; IPv6 only, part of the route's key."
    )
    type: RouteType = Field("unicast", description="What happens to packets for the destination.")
    via: Address | None = Field(None, description="The gateway. An IPv4 route may have an IPv6 gateway.")
    dev: Interface | None = Field(None, description="The interface; left out, it is the gateway's link.")
    onlink: bool = Field(default=False, description="Take the gateway for a neighbour although no address says so.")
    hops: list[Hop] | None = Field(None, description="Several next hops that share the traffic by weight.")
    nhid: NexthopId | None = Field(None, description="The id of a [[nexthop]], which says where the route leads.")
    append: list[Annotated[Any, TableLater("routed.intent.schema_append", "Appended")]] | None = Field(
        None, description="What stands behind it under its key, in order: packets go by the first whose link is up."
    )
    src: SourceAddress | None = Field(None, description="The source address that the host prefers on this route.")
    table: NameOrNumber | None = Field(None, description="The routing table, by name or number. main.")
    metric: Number | None = Field(None, description="The priority, lower first. IPv4 0, IPv6 1024.")
    down_metric: Number | None = Field(
        None, description="With requires: while a check is not as it says, the route stays under this metric."
    )
    when_all_down: Literal["keep", "withdraw"] | None = Field(
        None,
        description="With requires: what becomes of it when every route there is out of force. keep beside others.",
    )
    tos: NameOrNumber | None = Field(None, description="Type of service, IPv4 only: part of the route's key.")
    scope: ScopeNumber | None = Field(None, description="global, site, link, host or a number; IPv4 only.")
    protocol: EntryProtocol = None
    lock: list[Lockable] = Field([], description="Which of these metrics the kernel must not learn by itself.")


class Rule(RuleWords):
    """``[[rule]]``: one policy rule, of one family or both."""

    NEEDS = (("priority",), ("table", "goto", "type", "l3mdev"))

    priority: Number | None = Field(None, description="The place among the rules, lower first. Required.")
    family: Family | None = Field(None, description="The family, where neither from nor to tells it.")
    inverted: bool = Field(default=False, alias="not", description="Match what the selectors do not match.")
    source: SourceSelector | None = Field(
        None, alias="from", description='Source prefix, "all", or "@name": each address of that interface.'
    )
    destination: RuleSelector | None = Field(None, alias="to", description='Destination prefix, or "all".')
    iif: Interface | None = Field(None, description="Incoming interface; lo means packets of this host.")
    oif: Interface | None = Field(None, description="Outgoing interface of sockets bound to it.")
    fwmark: Mark | None = Field(None, description='Firewall mark, with a mask if need be: "0x30/0xff".')
    ipproto: IpProtocol | None = Field(None, description="IP protocol by name or number.")
    sport: Ports | None = Field(None, description='Source port, range or mask: 80, "1000-2000", "80/0xfff0".')
    dport: Ports | None = Field(None, description='Destination port, range or mask: 80, "1000-2000", "80/0xfff0".')
    uidrange: Uids | None = Field(None, description='User id or range of the socket\'s owner: "0-99".')
    tos: NameOrNumber | None = Field(None, description="Type of service.")
    table: NameOrNumber | None = Field(None, description="The routing table to look in, by name or number.")
    goto: Number | None = Field(None, description="Go on at the rule of this higher priority.")
    type: Literal["blackhole", "unreachable", "prohibit", "nop"] | None = Field(
        None, description="What happens to packets that match, instead of a table."
    )
    l3mdev: bool = Field(default=False, description="Look in the table of the packet's VRF.")
    suppress_prefixlength: Annotated[int, Field(ge=0, le=128)] | None = Field(
        None, description="Ignore what the table says with a prefix this short or shorter."
    )
    suppress_ifgroup: Annotated[int, Field(ge=0, le=0x7FFFFFFF)] | None = Field(
        None, description="Ignore what the table says through an interface of this group."
    )
    protocol: EntryProtocol = None


class AddressTable(MemberTable):
    """``[[address]]``: one address on one interface."""

    NEEDS = (("address",), ("dev",))

    address: AddressWithLength | None = Field(None, description="The address and its prefix length. Required.")
    dev: Interface | None = Field(None, description="The interface. Required.")
    peer: Address | None = Field(None, description="The far end of a point-to-point link.")
    broadcast: Broadcast | None = Field(None, description='Broadcast address; "+" all ones, "-" all zeros.')
    label: Label | None = Field(None, description="Label, IPv4 only. The interface's name.")
    scope: ScopeNumber | None = Field(None, description="global, site, link, host or a number; IPv4 only.")
    metric: Number | None = Field(None, description="Metric of the prefix route.")
    protocol: EntryProtocol = None
    noprefixroute: bool = Field(default=False, description="Make no route to the address's prefix.")
    nodad: bool = Field(default=False, description="No duplicate address detection; IPv6 only.")
    optimistic: bool = Field(
        default=False, description="Use it while duplicates are looked for, if optimistic_dad is set; IPv6 only."
    )
    home: bool = Field(default=False, description="A Mobile IPv6 home address.")
    mngtmpaddr: bool = Field(default=False, description="Make temporary addresses from this one; IPv6 /64 only.")
    autojoin: bool = Field(default=False, description="Join the multicast group of this address.")
    preferred_lft: PreferredLifetime = Field(
        default=False, description='0: never chosen as a source (deprecated). "forever" is the default.'
    )


class Announce(Table):
    """How the neighbours are told that a VIP is here."""

    count: Annotated[int, Field(ge=0, le=100)] | None = Field(None, description="How often; 0 for never. 3.")
    interval: Duration | None = Field(None, description='Time between two of them, with its unit. "1s".')


class Vip(MemberTable):
    """``[[vip]]``: a service address, routed by this host's own address or held by this host."""

    NEEDS = (("address",), ("node", "dev"))

    address: VipAddress | None = Field(
        None, description="The address; /32 or /128 unless told. With `node` it may be a prefix. Required."
    )
    node: SourceAddress | None = Field(
        None, description="Route mode: this host's own address from which traffic to the VIP leaves, or its @name."
    )
    protocol: EntryProtocol = None
    when: Literal["not-default", "source-differs", "always"] | None = Field(
        None, description="Route mode: when the route is needed. not-default."
    )
    metric: Number | None = Field(None, description="Route mode: the priority, lower first. IPv4 0, IPv6 1024.")
    table: NameOrNumber | None = Field(None, description="Route mode: the routing table. main.")
    local: bool = Field(
        default=False, description="Route mode: this host answers for the VIP itself, without holding it as an address."
    )
    dev: Interface | None = Field(None, description="Address mode: the interface that holds the address.")
    create: Literal["dummy"] | None = Field(
        None, description="Address mode: make the interface of this kind where it is not there, and keep it."
    )
    label: Label | None = Field(None, description="Address mode: label, IPv4 only. The interface's name.")
    scope: ScopeNumber | None = Field(
        None, description="Address mode: global, site, link, host or a number; IPv4 only."
    )
    broadcast: Broadcast | None = Field(
        None, description='Address mode: broadcast address; "+" all ones, "-" all zeros. IPv4 only.'
    )
    announce: Announce | None = Field(
        None,
        description="Address mode: gratuitous ARP or neighbour advertisements, when it comes and when its link does.",
    )


class TunnelTable(EntryTable):
    """``[[tunnel]]``: an interface that carries packets to the gateways of its routes, wherever these are."""

    NEEDS = (("dev",), ("local",))

    dev: LinkName | None = Field(None, description="The interface to make and keep. Required.")
    mode: Literal["ipip"] = Field("ipip", description="How packets are carried: IPv4 within IPv4.")
    local: SourceAddress | None = Field(
        None, description="This host's own address from which it sends, or its @name. Required."
    )
    mtu: Annotated[int, Field(ge=68, le=65515)] | None = Field(
        None, description="Largest packet inside, in bytes: that of the way less 20. 1480."
    )
    ttl: Annotated[int, Field(ge=1, le=255)] | None = Field(
        None, description="TTL of the outer packets; left out, that of the packet inside."
    )
    nopmtudisc: bool = Field(default=False, description="Outer packets may be fragmented on the way; not with ttl.")


class Match(Table):
    """One way to recognise an interface: one key, and ``gateway`` beside ``can_reach``."""

    NEEDS = (("name", "regex", "cidr", "can_reach", "mac", "default", "driver"),)

    name: KnownInterface | None = Field(None, description="Its name, or one of its altnames.")
    regex: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="A regular expression that fits its whole name."
    )
    cidr: Annotated[str, Field(min_length=1)] | None = Field(None, description="It has an address in this prefix.")
    can_reach: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="The kernel would send packets to this address over it. None is sent."
    )
    gateway: bool = Field(default=False, description="With can_reach: an address behind a gateway counts, too.")
    mac: Annotated[str, Field(min_length=1)] | None = Field(None, description="Its MAC address.")
    default: bool = Field(default=False, description="The default route leads over it.")
    driver: Annotated[str, Field(min_length=1)] | None = Field(None, description="Its driver, as ethtool -i says.")


class InterfaceTable(Table):
    """``[[interface]]``: an interface that is chosen once, and written as "@name"."""

    NEEDS = (("name",), ("match",))

    name: Name | None = Field(None, description='The name; entries write "@name". Required.')
    match: list[Match] | None = Field(
        None, description="Ways to recognise it, the first that recognises any interface decides. Required."
    )
    skip: list[Annotated[str, Field(min_length=1)]] | None = Field(
        None, description="Shell patterns of names that never come into question; only `name` does not ask them."
    )
    up: bool = Field(default=True, description="Only an interface that is up.")
    pick: Literal["only", "first"] = Field(
        "only", description="Of several: none, which is an error, or the one of the lowest index."
    )
    hold: Duration | None = Field(None, description='How long another choice has to last to be followed. "10s".')
    disabled: bool = Field(default=False, description="Take the interface of this name away.")


class File(Table):
    """The whole file."""

    version: Literal[1] | None = Field(None, description="The version of this form. Required in the main file.")
    daemon: Daemon | None = Field(None, description="How the daemon itself behaves.")
    ipvs: IpvsTable | None = Field(None, description="How IPVS is looked at, and what it takes of the host.")
    interface: list[InterfaceTable] = Field([], description="An interface, chosen by what it is.")
    check: list[CheckTable] = Field([], description="A question that entries may require to be answered well.")
    source: list[SourceTable] = Field([], description="Where the members of a fleet come from.")
    table: list[RoutingTable] = Field([], description="A name for a routing table.")
    route: list[Route] = Field([], description="A route, or many of one shape.")
    rule: list[Rule] = Field([], description="A policy rule.")
    address: list[AddressTable] = Field([], description="An address on an interface.")
    vip: list[Vip] = Field([], description="A service address.")
    tunnel: list[TunnelTable] = Field([], description="An interface to gateways that are no neighbours.")
    neighbour: list[NeighbourTable] = Field([], description="A neighbour that is known for good, or a proxy.")
    nexthop: list[NexthopTable] = Field([], description="A next hop that routes name, or a group of such.")
    service: list[ServiceTable] = Field([], description="A virtual service of IPVS.")


# The tables of the file by their word. What stands in ENTRY_TABLES is written with two brackets.
ENTRY_TABLES: Final[dict[str, type[Table]]] = {
    "interface": InterfaceTable,
    "check": CheckTable,
    "source": SourceTable,
    "table": RoutingTable,
    "route": Route,
    "rule": Rule,
    "address": AddressTable,
    "vip": Vip,
    "tunnel": TunnelTable,
    "neighbour": NeighbourTable,
    "nexthop": NexthopTable,
    "service": ServiceTable,
}

# These are written with one bracket; a later file's keys take the place of an earlier one's.
SETTINGS_TABLES: Final[dict[str, type[Table]]] = {"daemon": Daemon, "ipvs": IpvsTable}

# What these tables say is no entry by itself.
NO_ENTRIES: Final = frozenset({"table", "interface", "check", "source"})
