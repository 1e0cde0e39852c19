"""Schema: which tables and keys the file has, and what each key may hold.

Here stand the keys, one pydantic model a table, each key with the sentence that editors show. Arrays hold one shape
each (no tagged unions), so that editors point at the key that is wrong. Rules between keys stand in ``checks``; the
parsing of a single value in ``words``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from routed.intent import words
from routed.model.names import METRICS


def _text(pattern: str = "", **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **({"pattern": pattern} if pattern else {}), **more})


def _one_or_more(item: dict[str, Any], **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, **more}]})


def _text_or_number(maximum: int, minimum: int = 0, pattern: str = "") -> WithJsonSchema:
    text = {"type": "string"} | ({"pattern": pattern} if pattern else {})
    return WithJsonSchema({"anyOf": [text, {"type": "integer", "minimum": minimum, "maximum": maximum}]})


_ADDRESS = "^[0-9A-Fa-f:.]+$"
_PREFIX = "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"
_WITH_LENGTH = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"

# What the file holds, as the model holds it: the type is what the validator makes of the TOML value.
Name = Annotated[str, PlainValidator(words.entry_name), _text("^[A-Za-z0-9._-]+$")]
Address = Annotated[bytes, PlainValidator(words.address), _text(_ADDRESS)]
Prefix = Annotated[bytes, PlainValidator(words.prefix), _text(_PREFIX)]
Destination = Annotated[bytes, PlainValidator(words.destination), _text(f"^default$|{_PREFIX}")]
RuleSelector = Annotated[bytes, PlainValidator(words.selector), _text(f"^all$|{_PREFIX}")]
SourceSelector = Annotated[
    bytes | str, PlainValidator(words.source_selector), _text(f"^all$|^@[A-Za-z0-9._-]+$|{_PREFIX}")
]
SourceAddress = Annotated[bytes | str, PlainValidator(words.source_address), _text(f"^@[A-Za-z0-9._-]+$|{_ADDRESS}")]
AddressWithLength = Annotated[tuple[bytes, int], PlainValidator(words.address_with_length), _text(_WITH_LENGTH)]
VipAddress = Annotated[tuple[bytes, int], PlainValidator(words.vip_address), _text(_PREFIX)]
Broadcast = Annotated[bytes | str, PlainValidator(words.broadcast), _text(rf"^[+-]$|{_ADDRESS}")]
_REFERENCE = "^@[A-Za-z0-9._-]+$"
# A link by its name, or @name of an [[interface]]
Interface = Annotated[str, PlainValidator(words.link), _text(rf"{_REFERENCE}|^[^@/:\s][^/:\s]{{0,14}}$")]
LinkName = Annotated[
    str, PlainValidator(words.interface), _text(r"^[^@/:\s][^/:\s]*$", maxLength=words.INTERFACE_NAME_LENGTH)
]
Label = Annotated[str, PlainValidator(words.label), _text(minLength=1, maxLength=words.INTERFACE_NAME_LENGTH)]
Congctl = Annotated[str, PlainValidator(words.congctl), _text("^[A-Za-z0-9._-]+$", maxLength=words.CONGCTL_LENGTH)]
Duration = Annotated[float, PlainValidator(words.duration), _text(r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$")]
Percentage = Annotated[float, PlainValidator(words.percentage), _text("^(100|[0-9]{1,2})%$")]
FightLimit = Annotated[
    int | None, PlainValidator(words.fight_limit), _text_or_number(1_000_000, minimum=1, pattern="^off$")
]
NameOrNumber = Annotated[str | int, PlainValidator(words.name_or_number), _text_or_number(words.UINT32)]
ScopeNumber = Annotated[int, PlainValidator(words.scope), _text_or_number(254, pattern="^(global|site|link|host)$")]
Mark = Annotated[
    tuple[int, int],
    PlainValidator(words.fwmark),
    _text_or_number(words.UINT32, pattern="^(0[xX][0-9A-Fa-f]+|[0-9]+)(/(0[xX][0-9A-Fa-f]+|[0-9]+))?$"),
]
IpProtocol = Annotated[int, PlainValidator(words.ip_protocol), _text_or_number(255, minimum=1)]
Ports = Annotated[
    tuple[int, int],
    PlainValidator(words.ports),
    _text_or_number(words.MAXIMUM_PORT, minimum=1, pattern="^[0-9]+(-[0-9]+)?$"),
]
Uids = Annotated[
    tuple[int, int], PlainValidator(words.uids), _text_or_number(words.MAXIMUM_UID, pattern="^[0-9]+(-[0-9]+)?$")
]
PreferredLifetime = Annotated[bool, PlainValidator(words.is_deprecated), WithJsonSchema({"enum": [0, "forever"]})]
Number = Annotated[int, Field(ge=0, le=words.UINT32)]
Positive = Annotated[int, Field(ge=1, le=words.UINT32)]
Family = Literal["ipv4", "ipv6", "both"]
Lockable: TypeAlias = Literal[tuple(METRICS)]  # type: ignore[valid-type]
Requires = Annotated[
    tuple[tuple[str, bool], ...],
    PlainValidator(words.requirements),
    _one_or_more({"type": "string", "pattern": "^!?@(service/)?[A-Za-z0-9._-]+$"}, minItems=1),
]
AddressAndPort = Annotated[
    tuple[bytes, int],
    PlainValidator(words.address_and_port),
    _text(r"^([0-9A-Fa-f:.]+|[0-9.]+:[0-9]+|\[[0-9A-Fa-f:.]+\]:[0-9]+)$"),
]
StatusRanges = Annotated[
    tuple[tuple[int, int], ...],
    PlainValidator(words.one_or_more(words.status_range)),
    _one_or_more(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"},
                {"type": "integer", "minimum": 100, "maximum": 599},
            ]
        }
    ),
]
HostName = Annotated[str, PlainValidator(words.host_name), _text("^[A-Za-z0-9._-]+$", maxLength=253)]
CommandWords = Annotated[
    tuple[str, ...],
    PlainValidator(words.command),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
]
UserName = Annotated[str, PlainValidator(words.user), _text(r"^[A-Za-z_][A-Za-z0-9_.-]*\$?$", maxLength=32)]
AbsolutePath = Annotated[str, PlainValidator(words.absolute_path), _text("^/")]
PathOrCredential = Annotated[str, PlainValidator(words.path_or_credential), _text("^(/|[A-Za-z0-9_-][A-Za-z0-9._-]*$)")]
HttpPath = Annotated[str, PlainValidator(words.http_path), _text("^/[!-~]*$")]


Listens = Annotated[
    tuple[tuple[int, bytes, int, str], ...],
    PlainValidator(words.one_or_more(words.listen)),
    _one_or_more(
        {
            "type": "string",
            "pattern": r"^(@[A-Za-z0-9._-]+:[0-9]+|[0-9.]+(:[0-9]+)?|[0-9A-Fa-f:.]+|\[[0-9A-Fa-f:.]+\]:[0-9]+)"
            r"(/(tcp|udp|sctp))?$",
        }
    ),
]
MinHealthy = Annotated[
    int | float,
    PlainValidator(words.min_healthy),
    _text_or_number(words.UINT32, minimum=1, pattern="^(100|[0-9]{1,2})%$"),
]
Scheduler: TypeAlias = Literal[
    "rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "twos"
]
Forward: TypeAlias = Literal["masq", "direct", "tunnel"]
Weight = Annotated[int, Field(ge=0, le=0x7FFFFFFF)]  # IP_VS_DEST: more is refused
Connections = Annotated[int, Field(ge=1, le=0x7FFFFFFF)]


class Table(BaseModel):
    """Any table of the file."""

    # Built when first used: a file without rules does not pay for theirs.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)


class EntryTable(Table):
    """The keys that every entry has."""

    name: Name | None = Field(None, description="The entry's name; left out, it is called after its key.")
    enforce: Literal["repair", "observe", "once"] = Field(
        "repair", description="What to do about drift: put it back, only report it, or install once and leave alone."
    )
    on_conflict: Literal["replace", "refuse"] | None = Field(
        None, description="What to do when something foreign stands in the entry's place."
    )
    requires: Requires | None = Field(
        None,
        description='A [[check]] that has to be up, "@name", or down, "!@name"; several in an array. Else withheld.',
    )
    disabled: bool = Field(default=False, description="Take the entry of this name away.")


class ProbeTable(Table):
    """``[daemon] probe``: how questions with ``via`` find their way."""

    mark: Annotated[
        int, PlainValidator(words.mark), _text_or_number(words.UINT32, minimum=1, pattern="^0[xX][0-9A-Fa-f]+$")
    ] = Field(0x3100, description="Firewall mark of the first way; each other one has the next. 0x3100.")
    priority: Annotated[int, Field(ge=1, le=32765)] = Field(10, description="Priority of their rules. 10.")
    table: Annotated[int, Field(ge=1, le=words.UINT32)] = Field(
        31000, description="Routing table of the first way; each other one has the next. 31000."
    )


class Daemon(Table):
    """``[daemon]``: how the daemon itself behaves."""

    protocol: NameOrNumber | None = Field(
        None, description="Ownership mark on routes, rules and addresses: a number or a name of rt_protos. 114."
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


class RoutingTable(Table):
    """``[[table]]``: a name for a routing table."""

    name: Name | None = Field(None, description="The name, as entries of this file write it.")
    id: Annotated[int, Field(ge=1, le=words.UINT32)] | None = Field(None, description="The table's number.")
    disabled: bool = Field(default=False, description="Take the table of this name away.")


class Hop(Table):
    """One next hop of a multipath route."""

    via: Address | None = Field(None, description="The gateway's address.")
    dev: Interface | None = Field(None, description="The interface; left out, it is the gateway's link.")
    weight: Annotated[int, Field(ge=1, le=256)] = Field(1, description="The share of this hop, 1 to 256.")
    onlink: bool = Field(default=False, description="Take the gateway for a neighbour although no address says so.")
    requires: Requires | None = Field(
        None, description='A [[check]] that has to be up, "@name", or down, "!@name". Else this hop is left out.'
    )


class Route(EntryTable):
    """``[[route]]``: one prefix or many, with one shape."""

    to: Destination | None = Field(None, description='The destination: a prefix, a bare host or "default".')
    prefixes: list[Prefix] | None = Field(None, description="Many destinations that share everything else.")
    prefixes_file: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="A file with one prefix or bare host a line; # and ; begin comments."
    )
    family: Family | None = Field(None, description="The family, where no address of the entry tells it.")
    type: Literal["unicast", "local", "blackhole", "unreachable", "prohibit", "throw"] = Field(
        "unicast", description="What happens to packets for the destination."
    )
    via: Address | None = Field(None, description="The gateway. An IPv4 route may have an IPv6 gateway.")
    dev: Interface | None = Field(None, description="The interface; left out, it is the gateway's link.")
    onlink: bool = Field(default=False, description="Take the gateway for a neighbour although no address says so.")
    hops: list[Hop] | None = Field(None, description="Several next hops that share the traffic by weight.")
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
    mtu: Annotated[int, Field(ge=1, le=65520)] | None = Field(None, description="Path MTU in bytes.")
    advmss: Annotated[int, Field(ge=1, le=65495)] | None = Field(None, description="Advertised TCP MSS in bytes.")
    initcwnd: Positive | None = Field(None, description="Initial TCP congestion window in segments.")
    initrwnd: Positive | None = Field(None, description="Initial TCP receive window in segments.")
    congctl: Congctl | None = Field(None, description="TCP congestion control algorithm.")
    window: Positive | None = Field(None, description="Largest TCP window to advertise, in bytes.")
    cwnd: Positive | None = Field(None, description="Clamp for the TCP congestion window; only with its lock.")
    ssthresh: Positive | None = Field(None, description="Initial TCP slow start threshold.")
    reordering: Positive | None = Field(None, description="Largest reordering on the path before loss is assumed.")
    hoplimit: Annotated[int, Field(ge=1, le=255)] | None = Field(None, description="Hop limit of packets sent.")
    quickack: bool = Field(default=False, description="Acknowledge at once.")
    fastopen_no_cookie: bool = Field(default=False, description="TCP fast open without a cookie.")
    lock: list[Lockable] = Field([], description="Which of these metrics the kernel must not learn by itself.")


class Rule(EntryTable):
    """``[[rule]]``: one policy rule, of one family or both."""

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
    sport: Ports | None = Field(None, description='Source port or range: 80, "1000-2000".')
    dport: Ports | None = Field(None, description='Destination port or range: 80, "1000-2000".')
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


class AddressTable(EntryTable):
    """``[[address]]``: one address on one interface."""

    address: AddressWithLength | None = Field(None, description="The address and its prefix length. Required.")
    dev: Interface | None = Field(None, description="The interface. Required.")
    peer: Address | None = Field(None, description="The far end of a point-to-point link.")
    broadcast: Broadcast | None = Field(None, description='Broadcast address; "+" all ones, "-" all zeros.')
    label: Label | None = Field(None, description="Label, IPv4 only; begins with the interface's name.")
    scope: ScopeNumber | None = Field(None, description="global, site, link, host or a number; IPv4 only.")
    metric: Number | None = Field(None, description="Metric of the prefix route.")
    noprefixroute: bool = Field(default=False, description="Make no route to the address's prefix.")
    nodad: bool = Field(default=False, description="No duplicate address detection; IPv6 only.")
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


class Vip(EntryTable):
    """``[[vip]]``: a service address, routed by this host's own address or held by this host."""

    address: VipAddress | None = Field(
        None, description="The address; /32 or /128 unless told. With `node` it may be a prefix. Required."
    )
    node: SourceAddress | None = Field(
        None, description="Route mode: this host's own address from which traffic to the VIP leaves, or its @name."
    )
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
    announce: Announce | None = Field(
        None,
        description="Address mode: gratuitous ARP or neighbour advertisements, when it comes and when its link does.",
    )


class Match(Table):
    """One way to recognise an interface: one key, and ``gateway`` beside ``can_reach``."""

    name: LinkName | None = Field(None, description="Its name.")
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


class CheckTable(Table):
    """``[[check]]``: a question that is asked again and again; entries require that it is answered well."""

    name: Name | None = Field(None, description='The name; entries write requires = "@name". Required.')
    type: Literal["icmp", "arp", "tcp", "tls", "http", "https", "dns", "udp", "file", "exec"] | None = Field(
        None, description="What is asked. Required."
    )
    target: AddressAndPort | None = Field(None, description='Who is asked: "192.0.2.1", "192.0.2.1:443".')
    targets: list[AddressAndPort] | None = Field(None, description="Several who are asked.")
    need: Annotated[int, Field(ge=1)] | Literal["any", "all"] = Field(
        "any", description="How many of the targets have to be up."
    )
    every: Duration | None = Field(None, description='Time between two questions, with its unit. "5s".')
    timeout: Duration | None = Field(None, description="How long an answer may take. 2 s, or half of `every`.")
    fall: Annotated[int, Field(ge=1, le=100)] = Field(3, description="Bad answers in a row until it is down.")
    rise: Annotated[int, Field(ge=1, le=100)] = Field(2, description="Good answers in a row until it is up again.")
    fast: Duration | None = Field(None, description="Time between two questions while in doubt. A fifth of `every`.")
    hold: Duration | None = Field(None, description="Least time that it stays down; doubled while it flaps. None.")
    loss: Percentage | None = Field(None, description='ICMP: down above this share without an answer. "20%".')
    rtt: Duration | None = Field(None, description='ICMP: down above this median time of an answer. "200ms".')
    window: Duration | None = Field(None, description="ICMP: over so long both are measured. 60 s.")
    dev: Interface | None = Field(None, description="The interface by which the question leaves.")
    src: Address | None = Field(None, description="The source address of the question.")
    via: Address | None = Field(
        None, description="The gateway of the question: a way of its own, whatever the routes of the host are."
    )
    host: HostName | None = Field(None, description="TLS and HTTP: the name that is meant, for Host and SNI.")
    path: HttpPath | None = Field(None, description="HTTP: the path. /")
    method: Literal["GET", "HEAD", "OPTIONS"] | None = Field(None, description="HTTP: the method. GET.")
    status: StatusRanges | None = Field(None, description='HTTP: the good ones. "200-399".')
    body: Annotated[str, Field(min_length=1)] | None = Field(None, description="HTTP: a text that has to be in it.")
    headers_file: PathOrCredential | None = Field(
        None, description="HTTP: a file with headers, a line each; a path, or the name of a credential of the unit."
    )
    verify: bool | None = Field(None, description="TLS: check the certificate. Yes where `host` or `ca` is given.")
    ca: AbsolutePath | None = Field(None, description="TLS: a file with the certificates of the issuers to trust.")
    send: Annotated[str, Field(min_length=1)] | None = Field(None, description="TCP, TLS, UDP: a text to send.")
    expect: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="TCP, TLS, UDP: a text that has to be in the answer."
    )
    query: HostName | None = Field(None, description="DNS: the name to ask for.")
    record: Literal["A", "AAAA", "NS", "SOA", "SRV", "TXT"] | None = Field(None, description="DNS: the record. A.")
    file: AbsolutePath | None = Field(None, description="FILE: up while it exists and its first word is not `down`.")
    command: CommandWords | None = Field(
        None, description="EXEC: a program and its arguments; up while it ends with 0."
    )
    user: UserName | None = Field(None, description="EXEC: who runs it. Whoever runs commands here.")
    disabled: bool = Field(default=False, description="Take the check of this name away.")


# A template by its name, or a check of its own: then a table without `name`, since the service has one.
ServerCheck = Annotated[CheckTable, BeforeValidator(words.check_of_servers, json_schema_input_type=CheckTable | str)]


class Server(Table):
    """One server of a service."""

    address: AddressAndPort | None = Field(None, description="The server's address, with its port: 10.0.0.11:443.")
    weight: Weight = Field(1, description="Its share of new connections; 0: none. 1.")
    max_connections: Connections | None = Field(None, description="From so many connections on it gets no more.")
    min_connections: Connections | None = Field(
        None, description="… until it has fewer than these. Three quarters of `max_connections`."
    )
    forward: Forward | None = Field(None, description="How packets come to it. As the service says.")
    requires: Requires | None = Field(None, description="A [[check]] without which it gets no new connections.")
    check: ServerCheck | None = Field(None, description="How it is asked. As the service says.")
    disabled: bool = Field(default=False, description="Leave this server out.")


# A server by its address alone, or as a table.
ServerOrAddress = Annotated[Server, BeforeValidator(words.server, json_schema_input_type=AddressAndPort | Server)]


class Tunnel(Table):
    """``tunnel``: the form of packets to servers with ``forward = "tunnel"``."""

    type: Literal["ipip", "gue", "gre"] = Field("ipip", description="ipip, gue or gre.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, description="gue: the UDP port of the servers.")
    checksum: bool = Field(default=False, description="gue and gre: with a checksum.")
    remote_checksum: bool = Field(default=False, description="gue: with remote checksum offload.")


class ServiceTable(EntryTable):
    """``[[service]]``: a virtual service of IPVS and its servers."""

    listen: Listens | None = Field(
        None, description='address:port[/udp|/sctp]; "@local:PORT" for each address of this host, "@name:PORT".'
    )
    fwmark: Annotated[int, Field(ge=1, le=words.UINT32)] | None = Field(
        None, description="In place of listen: the firewall mark of its packets."
    )
    family: Family | None = Field(None, description="Of a fwmark. ipv4.")
    scheduler: Scheduler = Field("wrr", description="How a new connection finds its server. wrr.")
    flags: list[Literal["fallback", "port", "one-packet"]] = Field(
        [], description="sh and mh: fallback, port; of UDP: one-packet."
    )
    persistence: Duration | None = Field(
        None, description='How long a client stays with its server: "3h". At most 31d.'
    )
    persistence_prefix: Annotated[int, Field(ge=1, le=128)] | None = Field(
        None, description="Clients whose addresses begin alike, by so many bits, are one."
    )
    persistence_engine: Literal["sip"] | None = Field(None, description="What else tells clients apart: sip.")
    forward: Forward = Field("masq", description="How packets come to the servers: masq, direct or tunnel.")
    tunnel: Tunnel | None = Field(None, description="The form of packets in a tunnel.")
    servers: list[ServerOrAddress] | None = Field(
        None, description='The servers: "10.0.0.11:443", or tables. Without a port it is that of the service.'
    )
    check: ServerCheck | None = Field(
        None, description='How each server is asked: "@name" of a [[check]] without target, or such a table.'
    )
    on_fail: Literal["drain", "remove"] = Field(
        "drain", description="A server whose check is down: no new connections and gone later, or gone at once."
    )
    remove_after: Duration = Field(30.0, description='After so long a server that is down goes: "30s".')
    when_all_down: Literal["keep", "refuse", "remove"] = Field(
        "keep", description="Without a server that is up: keep all as written, refuse clients, or remove the service."
    )
    min_healthy: MinHealthy = Field(
        1, description='With fewer servers up than this they count as all down: a number, or "50%".'
    )
    sorry: AddressAndPort | None = Field(None, description="The server that stands in when all are down.")
    others: Literal["remove", "keep"] = Field("remove", description="Servers that somebody else puts into it.")


class File(Table):
    """The whole file."""

    version: Literal[1] | None = Field(None, description="The version of this form. Required in the main file.")
    daemon: Daemon | None = Field(None, description="How the daemon itself behaves.")
    interface: list[InterfaceTable] = Field([], description="An interface, chosen by what it is.")
    check: list[CheckTable] = Field([], description="A question that entries may require to be answered well.")
    table: list[RoutingTable] = Field([], description="A name for a routing table.")
    route: list[Route] = Field([], description="A route, or many of one shape.")
    rule: list[Rule] = Field([], description="A policy rule.")
    address: list[AddressTable] = Field([], description="An address on an interface.")
    vip: list[Vip] = Field([], description="A service address.")
    service: list[ServiceTable] = Field([], description="A virtual service of IPVS.")


# The tables of the file by their word. What stands in ENTRY_TABLES is written with two brackets.
ENTRY_TABLES: Final[dict[str, type[Table]]] = {
    "interface": InterfaceTable,
    "check": CheckTable,
    "table": RoutingTable,
    "route": Route,
    "rule": Rule,
    "address": AddressTable,
    "vip": Vip,
    "service": ServiceTable,
}
