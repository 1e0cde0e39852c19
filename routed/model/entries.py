"""What the operator wrote: one entry a table of the file, checked, with its place and interface names still in it.

Entries say nothing about the host as it is now; ``core.resolve`` turns them and the facts into objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from routed.model.ipvs import ServerValue
from routed.model.names import TABLE_LOCAL, TABLE_MAIN, UNICAST
from routed.model.net import FAMILIES, family_of
from routed.model.objects import Leg, Resilient, RuleMember

if TYPE_CHECKING:  # it has the origin of an entry
    from routed.model.checks import Check, Target
    from routed.model.members import MemberSource
    from routed.model.reasons import Reason


class Enforce(StrEnum):
    """What to do about drift of an entry."""

    REPAIR = "repair"  # put it back
    OBSERVE = "observe"  # report it, change nothing
    ONCE = "once"  # install it when it is missing at start or reload, then leave it alone


class OnConflict(StrEnum):
    """What to do when something foreign stands exactly in the place of an object."""

    REPLACE = "replace"
    REFUSE = "refuse"


class Origin(NamedTuple):
    """Where an entry stands."""

    file: str
    line: int  # from 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Requirement(NamedTuple):
    """A check that has to be up, or down."""

    check: str  # or "service/NAME"
    is_inverted: bool = False
    dev: str = ""  # the way of its questions: what takes this away makes the check down at once
    src: bytes = b""
    via: bytes = b""  # likewise; the way is looked for by the addresses of this host
    servers: tuple[tuple[Requirement, ...], ...] = ()  # of a service: what each of its servers requires …
    need: int = 1  # … of which so many have to be up
    is_empty: bool = False  # of a service that has no server

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of all checks that decide it."""
        if not (self.servers or self.is_empty):
            return (self.check,)
        return tuple(name for requires in self.servers for one in requires for name in one.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The head that every entry has."""

    name: str  # "route/storage-lan": the kind of table and the name, unique among all entries
    origin: Origin
    enforce: Enforce = Enforce.REPAIR
    on_conflict: OnConflict | None = None  # None: replace, but for the first contact with a foreign default route
    place: int = 0  # among the entries of all files, from 0
    requires: tuple[Requirement, ...] = ()  # checks; unmet, the entry is withheld
    when_down: WhenDown | None = None  # of what requires anything: what stands in for it then
    protocol: int = 0  # that marks its objects; 0: that of ``[daemon]``

    @property
    def turn(self) -> tuple[bool, int]:
        """When its objects come among those that stand in line with them: the lower the earlier."""
        return False, self.place

    @property
    def conditions(self) -> tuple[Requirement, ...]:
        """Everything that it, or a part of it, requires."""
        return self.requires

    @property
    def asked(self) -> frozenset[str]:
        """The checks that are asked for its sake."""
        return frozenset(name for one in self.conditions for name in one.checks)

    @property
    def templates(self) -> frozenset[str]:
        """The checks without a target that it has for parts of its own; "" for those that stand within it."""
        return frozenset()

    @property
    def follows(self) -> str:
        """The source whose members make it, or make parts of it; empty where it is as it is written."""
        return ""

    @property
    def size(self) -> int:
        """How many prefixes it lists; 1 where it lists none."""
        return 1


class WhenDown(NamedTuple):
    """What becomes of a route whose requirements are not met."""

    down_metric: int | None = None  # it stays, under this one
    # Of the entries with its table and destination: what each other one requires. Where none of these is met either,
    # and it is the preferred one, it stays as it is.
    alternatives: tuple[tuple[Requirement, ...], ...] = ()
    keeps: bool | None = None  # None: the file does not say
    is_preferred: bool = False


class HopSpec(NamedTuple):
    """One next hop as written. At least one of ``via`` and ``dev`` is there."""

    via: bytes = b""
    dev: str = ""
    weight: int = 1
    onlink: bool = False
    requires: tuple[Requirement, ...] = ()  # unmet, this leg is left out
    extra: bytes = b""  # words that are attributes of their own, as ``attributes`` packs them


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEntry(Entry):
    """``[[route]]``: a set of prefixes that share everything else."""

    prefixes: dict[int, AbstractSet[bytes]]  # family → packed prefixes; those of a file as a PrefixSet
    table: int = TABLE_MAIN
    type: int = UNICAST
    metric: int | None = None
    tos: int = 0
    scope: int | None = None
    src: bytes = b""
    hops: tuple[HopSpec, ...] = ()
    metrics: tuple[tuple[int, int | str], ...] = ()
    lock: int = 0
    src_of: str = ""  # the [[interface]] whose address is meant, in place of ``src``
    extra: bytes = b""  # as of a hop
    source: bytes = b""  # packed prefix of the packets' source, IPv6 alone; b"" for all
    is_src_routed: bool = False  # does another entry make ``src`` an address of this host?
    nhid: int = 0  # of the [[nexthop]] that says where it leads; then ``hops`` are those of that one
    append: tuple[RouteEntry, ...] = ()  # what stands behind it under its keys, in order; its name and keys are in each

    @property
    def ways(self) -> tuple[RouteEntry, ...]:
        """It and what stands behind it: each leads somewhere by itself."""
        return (self, *self.append)

    @property
    def every_hop(self) -> tuple[HopSpec, ...]:
        """All next hops of all its ways."""
        return tuple(hop for way in self.ways for hop in way.hops) if self.append else self.hops

    @property
    def conditions(self) -> tuple[Requirement, ...]:
        """Everything that it, or one of its legs, requires."""
        return (*self.requires, *(one for hop in self.hops for one in hop.requires))

    @property
    def size(self) -> int:
        """How many prefixes it lists."""
        return sum(map(len, self.prefixes.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class NexthopEntry(Entry):
    """``[[nexthop]]``: a way, the end of all ways, or a group of others."""

    id: int
    family: int = 0  # of a way
    hop: HopSpec | None = None
    blackhole: bool = False
    group: tuple[Leg, ...] = ()
    resilient: Resilient | None = None
    members: tuple[NexthopEntry, ...] = ()  # of the group, as they are written; in its order

    @property
    def hops(self) -> tuple[HopSpec, ...]:
        """Where it leads."""
        return (self.hop,) if self.hop else tuple(hop for one in self.members for hop in one.hops)

    @property
    def every_hop(self) -> tuple[HopSpec, ...]:
        """The same, by the name that it has of a route."""
        return self.hops

    @property
    def ends(self) -> bool:
        """Is there an end of all ways in it?"""
        return self.blackhole or any(one.blackhole for one in self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourEntry(Entry):
    """``[[neighbour]]``: one that is never asked for its link address, or for whom this host answers."""

    to: bytes
    dev: str
    lladdr: bytes = b""
    router: bool = False
    proxy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEntry(Entry):
    """``[[rule]]``: one rule for each of its families."""

    families: tuple[int, ...]
    rule: RuleMember  # as written: its ``iif`` and ``oif`` may be references
    source_of: str = ""  # the [[interface]] whose addresses are meant, in place of the ``source`` of the rule
    extra: bytes = b""  # words that are no part of its key, as of a hop


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressEntry(Entry):
    """``[[address]]``, and ``[[vip]]`` held as an address."""

    address: bytes
    prefixlen: int
    dev: str
    scope: int | None = None
    peer: bytes = b""
    broadcast: bytes = b""
    label: str = ""
    metric: int = 0
    flags: int = 0
    deprecated: bool = False


class When(StrEnum):
    """Under which condition a VIP is routed."""

    NOT_DEFAULT = "not-default"  # the node's address is not the one that ChooseHostInterface picks
    SOURCE_DIFFERS = "source-differs"  # the kernel by itself would choose another source
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class VipEntry(Entry):
    """``[[vip]]`` in route mode: traffic to the prefix leaves from the node's own address."""

    prefix: bytes
    node: bytes = b""
    node_of: str = ""  # the [[interface]] whose address is meant, in place of ``node``
    when: When = When.NOT_DEFAULT
    metric: int | None = None
    table: int = TABLE_MAIN

    @property
    def is_local(self) -> bool:
        """Does this host answer for it, without holding it as an address? Nothing else is put into that table."""
        return self.table == TABLE_LOCAL

    @property
    def prefixes(self) -> dict[int, frozenset[bytes]]:
        """The destination as a route has it."""
        return {family_of(self.prefix): frozenset({self.prefix})}

    @property
    def tos(self) -> int:
        """A VIP is routed for every type of service."""
        return 0

    @property
    def source(self) -> bytes:
        """And for packets from everybody."""
        return b""


DEFAULT_ANNOUNCEMENTS: Final = 3  # MAX_NEIGHBOR_ADVERTISEMENT of RFC 4861; RFC 5227 is content with two
DEFAULT_INTERVAL: Final = 1.0  # seconds; RetransTimer of RFC 4861


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldVipEntry(AddressEntry):
    """``[[vip]]`` with ``dev``: an address that this host holds for others, and that never stands for the host."""

    create: str = ""  # the kind of link that ``dev`` is made as, where it is not there
    announcements: int = DEFAULT_ANNOUNCEMENTS  # how often its neighbours are told that it is here; 0 for never
    interval: float = DEFAULT_INTERVAL  # seconds between two of them

    @property
    def turn(self) -> tuple[bool, int]:
        """Behind the addresses of the host itself, wherever the file has it."""
        return True, self.place


LOCAL: Final = "@local"  # where a service is: at each address of this host


class Listen(NamedTuple):
    """Where a service is: an address of this host or of anybody, or a mark of packets."""

    ipproto: int = 0
    address: bytes = b""
    port: int = 0
    own: str = (
        ""  # in place of the address each own one: "@NAME" of an [[interface]], or "@local" for those of all links
    )
    fwmark: int = 0
    family: int = 0  # of a mark, where the address does not tell it


class ServerSpec(NamedTuple):
    """A server as written, with what the service says of all of them."""

    address: bytes
    port: int
    value: ServerValue  # nobody's yet
    requires: tuple[Requirement, ...] = ()  # unmet, it gets no new connections
    check: tuple[Check, Target] | None = None  # the template of a check of its own, and who is asked
    agent: str = ""  # the check that asks what share of its weight it takes


class Where(NamedTuple):
    """Which members of a source are meant; None: whatever they are."""

    is_self: bool | None = None  # does this host hold an address of it?
    on_link: bool | None = None  # is an address of it in a network of this host?
    is_ready: bool | None = None
    labels: tuple[tuple[str, str], ...] = ()  # it has each of these


class Fill(NamedTuple):
    """A key that each member fills: ``via = "{address}"``."""

    key: str
    template: str  # text with at least one field in braces


ANY_MEMBER: Final = Where()


class EachServer(NamedTuple):
    """``servers`` with ``for_each``: a server for each member of a source."""

    source: str
    body: ServerSpec  # the server but for what the members fill
    fills: tuple[Fill, ...]
    where: Where = ANY_MEMBER
    prefixes_within: tuple[bytes, ...] = ()  # nothing that a member fills is outside of these, …
    addresses_within: tuple[bytes, ...] = ()  # … or of these
    families: tuple[int, ...] = FAMILIES  # that the service suits
    share: float | None = None  # of the servers, that have to be up; None: a number is written
    ports: tuple[int, ...] = ()  # of the service
    has_port: bool = True  # is its check asked at a port?


class OnFail(StrEnum):
    """What becomes of a server whose requirements are not met."""

    DRAIN = "drain"  # weight 0: what is connected stays; it goes after ``remove_after``
    REMOVE = "remove"  # at once


class WhenAllDown(StrEnum):
    """What becomes of a service without a server that is up."""

    KEEP = "keep"  # all servers stay with the weight that is written
    REFUSE = "refuse"  # clients are refused
    REMOVE = "remove"  # it goes


DEFAULT_REMOVE_AFTER: Final = 30.0  # seconds
DEFAULT_DRAIN: Final = 30.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry(Entry):
    """``[[service]]``: services of IPVS that share their servers."""

    listens: tuple[Listen, ...]
    scheduler: str
    servers: tuple[ServerSpec, ...]
    flags: int = 0
    timeout: int = 0  # seconds of persistence
    prefixlen: int | None = None  # of the clients that persistence takes for one; None: of one client
    engine: str = ""
    is_shared: bool = False  # servers of others in it are left alone
    on_fail: OnFail = OnFail.DRAIN
    remove_after: float = DEFAULT_REMOVE_AFTER
    when_all_down: WhenAllDown = WhenAllDown.KEEP
    min_healthy: int = 1  # with fewer servers up than this they count as all down
    sorry: ServerSpec | None = None  # the server that stands in then
    drain: float = DEFAULT_DRAIN  # seconds that a server that leaves the files keeps what is connected; 0: none
    slow_start: float = 0.0  # seconds within which a server that comes gets its weight in steps; 0: at once
    agent: tuple[Check, int] | None = None  # how each server is asked for its share, and at which port
    each: EachServer | None = None  # members make its servers, which are known once they are, …
    lacking: tuple[Reason, ...] = ()  # … and so is why they make no more

    @property
    def follows(self) -> str:
        """The source of its servers."""
        return self.each.source if self.each else ""

    @property
    def conditions(self) -> tuple[Requirement, ...]:
        """Everything that it, or one of its servers, requires."""
        return (*self.requires, *(one for server in self.servers for one in server.requires))

    @property
    def asked(self) -> frozenset[str]:
        """What it requires, and the agents of its servers."""
        required = (name for one in self.conditions for name in one.checks)
        return frozenset([*required, *(server.agent for server in self.servers if server.agent)])

    @property
    def templates(self) -> frozenset[str]:
        """Those of its servers."""
        agents = [self.agent[0].name] if self.agent else []
        servers = (*self.servers, *([self.each.body] if self.each else ()))
        return frozenset([*agents, *(server.check[0].name for server in servers if server.check)])


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutsEntry(Entry):
    """``[ipvs] timeouts``: after how long IPVS forgets connections. What is not written is nobody's business."""

    timeouts: tuple[tuple[str, int], ...]  # of model.ipvs.TIMEOUTS, each with its seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class EachEntry(Entry):
    """A table with ``for_each``: an entry for each member of a source."""

    source: str
    body: Entry  # the entry but for what the members fill
    fills: tuple[Fill, ...]
    where: Where = ANY_MEMBER
    prefixes_within: tuple[bytes, ...] = ()  # nothing that a member fills is outside of these, …
    addresses_within: tuple[bytes, ...] = ()  # … or of these, where it is one address
    families: tuple[int, ...] = FAMILIES  # that the rest of the table suits
    lacking: tuple[Reason, ...] = ()  # why members make no more; known once they are

    @property
    def follows(self) -> str:
        """Its source."""
        return self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEntry(Entry):
    """A link that entries want to be created. No table of the file: it comes from the ``create`` of these."""

    link: str  # its name
    kind: str

    @property
    def ends(self) -> tuple[object, ...]:
        """What no two of its kind may have alike; empty where that is nothing."""
        return ()


IPIP_MTU: Final = 1480  # what the kernel gives a tunnel without a far end: ETH_DATA_LEN less a header


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelEntry(LinkEntry):
    """``[[tunnel]]``: an IPIP link without a far end. A packet goes to the gateway of its route."""

    local: bytes = b""
    local_of: str = ""  # the [[interface]] whose address is meant, in place of ``local``
    mtu: int = IPIP_MTU
    ttl: int = 0  # 0: that of the packet inside
    pmtudisc: bool = True

    @property
    def ends(self) -> tuple[object, ...]:
        """Where it begins."""
        return self.kind, self.local, self.local_of


class Form(NamedTuple):
    """What a kind of entry is written as."""

    table: str  # of the file; empty where none is written: it comes from other entries
    parts: tuple[type[Any], ...] = ()  # types of its own that its fields are made of, beside those of every entry


FORMS: Final[dict[type[Entry], Form]] = {
    AddressEntry: Form("address"),
    EachEntry: Form("", (Where, Fill)),
    HeldVipEntry: Form("vip"),
    LinkEntry: Form(""),
    NeighbourEntry: Form("neighbour"),
    NexthopEntry: Form("nexthop", (HopSpec, Leg, Resilient)),
    RouteEntry: Form("route", (HopSpec,)),
    RuleEntry: Form("rule", (RuleMember,)),
    ServiceEntry: Form("service", (Listen, ServerSpec, EachServer, ServerValue, OnFail, WhenAllDown)),
    TimeoutsEntry: Form("ipvs"),
    TunnelEntry: Form("tunnel"),
    VipEntry: Form("vip", (When,)),
}


class How(StrEnum):
    """By what an interface is recognised."""

    NAME = "name"
    REGEX = "regex"
    CIDR = "cidr"
    CAN_REACH = "can_reach"
    MAC = "mac"
    DEFAULT = "default"
    DRIVER = "driver"


class Matcher(NamedTuple):
    """One way to recognise an interface."""

    how: How
    text: str  # as written
    packed: bytes = b""  # of cidr a prefix, of can_reach an address, of mac its bytes
    through_gateway: bool = False  # of can_reach: does an answer through a gateway count?


DEFAULT_HOLD: Final = 10.0  # seconds

# Interfaces that other programs make and take away; none of them is a NIC.
DEFAULT_SKIP: Final = (
    "lo", "docker*", "podman*", "br-*", "virbr*", "lxcbr*", "cbr*", "veth*", "dummy*", "cali*", "tunl*", "flannel*",
    "cni*", "vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali", "kube-ipvs*", "kube-bridge",
    "nodelocaldns",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """``[[interface]]``: an interface that is chosen once, and written as ``@name``."""

    name: str
    origin: Origin
    match: tuple[Matcher, ...]  # the first that recognises anything decides
    skip: tuple[str, ...] = DEFAULT_SKIP  # shell patterns; a matcher by name is not asked for them
    up: bool = True
    picks_first: bool = False  # of several the one of the lowest ifindex; otherwise several are none
    hold: float = DEFAULT_HOLD  # seconds that another choice has to last before it is followed


class ProbeWays(NamedTuple):
    """``[daemon] probe``: what marks the questions of checks with ``via``, and where they are routed.

    Each way has a mark and a table of its own, counted up from these.
    """

    mark: int = 0x3100
    priority: int = 10  # of their rules: before whatever else could take them
    table: int = 31000


DEFAULT_WAYS: Final = ProbeWays()


class IpvsSettings(NamedTuple):
    """``[ipvs]``."""

    poll: float = 5.0  # seconds between two looks at what tells of no changes
    sysctl: tuple[tuple[str, bool], ...] = ()  # by their words: is it needed, whatever the services look like?


DEFAULT_IPVS: Final = IpvsSettings()


@dataclass(frozen=True, slots=True)
class Settings:
    """``[daemon]``, and what the tables of single dataplanes say. Durations in seconds."""

    protocol: int = 114
    protocols: frozenset[int] = frozenset()  # further ones, of which single entries say one
    resync: float = 60.0
    watch: str = "check"  # check | apply
    on_stop: str = "keep"  # keep | remove
    max_deletes: float = 0.5  # share of the owned objects, 0 to 1
    fight_limit: int | None = 30  # None: off
    probe: ProbeWays = DEFAULT_WAYS
    confirm: float | None = None  # after so long an apply undoes itself unless it is confirmed; None: never
    ipvs: IpvsSettings = DEFAULT_IPVS
    metrics: tuple[bytes, int] | None = None  # the address and port at which they are served
    metrics_public: bool = False  # may others than this host ask there?

    @property
    def numbers(self) -> frozenset[int]:
        """The protocol numbers of all that is ours."""
        return self.protocols | {self.protocol}

    @property
    def polls(self) -> Mapping[str, float]:
        """Seconds between two looks at a dataplane that tells of no changes, by its name."""
        return {"ipvs": self.ipvs.poll}


class Source(NamedTuple):
    """One file that was read, whole."""

    path: str
    content: bytes
    role: str  # "main", "drop-in", one of LISTS, or "names" for what /etc/iproute2 says


WRITTEN: Final = frozenset({"main", "drop-in"})  # roles of files that the operator writes
LISTS: Final = frozenset({"prefixes", "servers"})  # roles of files that programs write, and that always apply


@dataclass(frozen=True, slots=True)
class Intent:
    """All entries of all files, without a contradiction among them."""

    settings: Settings = field(default_factory=Settings)
    entries: tuple[Entry, ...] = ()
    sources: tuple[Source, ...] = ()
    table_names: dict[int, str] = field(default_factory=dict)
    digest: str = ""  # of the sources: equal digests mean equal intents
    selectors: tuple[Selector, ...] = ()
    checks: tuple[Check, ...] = ()
    member_sources: tuple[MemberSource, ...] = ()
    written: str = ""  # the digest of what the operator wrote alone: the main file and the drop-ins, without lists
