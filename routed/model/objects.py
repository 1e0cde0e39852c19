"""The objects that routed keeps: routes, policy rules, addresses, and the links that it made for them.

Every object has an identity in three parts and a content:

* ``kind``: a :class:`Kind`;
* ``slot``: the part of the kernel's key that many objects share (of a route: family, table, metric, tos, source);
* ``member``: the rest of the key (of a route: its packed prefix, 5 or 17 bytes);
* the *value*: everything that may differ under one key. Its ``protocol`` says whose it is.

A route set is one slot, one value and many members; a single route is a set of one. So a million routes cost one long
string of bytes (``model.prefixes``) and one value. All types are tuples: equality and hashing run at C speed.

A value holds what the kernel reads back, not what was asked for: codecs and ``core.resolve`` bring both sides to the
same form. What routed has no word for (an encapsulation, realms) is kept raw in ``extra``, so that an object that
carries it never counts as equal to one that does not.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeAlias, final

from routed.model.lifetime import Lifetime
from routed.model.prefixes import Packed


@final
class Kind(str):
    """What an object is: one word, and one value for each word.

    No list says which there are: the tables of kinds do, of which each floor that has to know something of a kind has
    one.
    """

    __slots__ = ()

    LINK: ClassVar[Kind]
    ADDRESS: ClassVar[Kind]
    NEIGHBOUR: ClassVar[Kind]
    PROXY: ClassVar[Kind]
    NEXTHOP: ClassVar[Kind]
    ROUTE: ClassVar[Kind]
    RULE: ClassVar[Kind]
    SERVICE: ClassVar[Kind]
    SERVER: ClassVar[Kind]
    TIMEOUT: ClassVar[Kind]

    def __new__(cls, word: str) -> Kind:
        """Always the same for the same word."""
        return _KINDS.setdefault(word, super().__new__(cls, word))


_KINDS: Final[dict[str, Kind]] = {}

Kind.LINK = Kind("link")
Kind.ADDRESS = Kind("address")
Kind.NEIGHBOUR = Kind("neighbour")
Kind.PROXY = Kind("proxy")
Kind.NEXTHOP = Kind("nexthop")
Kind.ROUTE = Kind("route")
Kind.RULE = Kind("rule")
Kind.SERVICE = Kind("service")
Kind.SERVER = Kind("server")
Kind.TIMEOUT = Kind("timeout")


class LinkSlot(NamedTuple):
    """What all links share: they have no family."""

    family: int = 0  # AF_UNSPEC


class LinkMember(NamedTuple):
    """The name of a link: the ifindex is the kernel's choice, and another one after each creation."""

    name: str


class Ipip(NamedTuple):
    """What an IPIP link has beyond any link: IFLA_IPTUN_* of its IFLA_INFO_DATA, and its MTU (net/ipv4/ipip.c)."""

    local: bytes  # packed, the source of the outer header; b"" for any, as the fallback device of the module has it
    mtu: int  # bytes
    ttl: int = 0  # of the outer header; 0: that of the packet inside
    pmtudisc: bool = True  # is the outer header marked not to be fragmented?
    remote: bytes = b""  # packed; b"" for any: a packet goes to the gateway of its route
    carries: int = 4  # the IP protocol of what is inside, 0 for any
    is_external: bool = False  # do routes say the addresses (collect_md)?
    extra: bytes = b""  # attributes that routed has no word for


class LinkValue(NamedTuple):
    """The content of a link that the file has routed make."""

    protocol: int  # as the link's alias has it (names.ALIAS); 0 for a link that somebody else made
    kind: str  # IFLA_INFO_KIND
    is_up: bool = True  # IFF_UP
    data: Ipip | None = None  # what its kind has beyond any link; None for a kind that nothing more is wanted of


class AddressSlot(NamedTuple):
    """What all addresses of one family share."""

    family: int


class AddressMember(NamedTuple):
    """The kernel's key of an address within its family (find_matching_ifa in net/ipv4/devinet.c)."""

    dev: int  # ifindex
    address: bytes  # packed; IFA_LOCAL, for IPv6 without a peer IFA_ADDRESS
    prefixlen: int


class AddressValue(NamedTuple):
    """The content of an address."""

    protocol: int  # IFA_PROTO, kernel 5.18 and later; 0 where it is absent
    scope: int = 0
    flags: int = 0  # IFA_F_*, those of names.ADDRESS_FLAGS only
    deprecated: bool = False  # preferred_lft 0: never chosen as a source
    dynamic: bool = False  # a finite lifetime: somebody else's clock removes it
    peer: bytes = b""  # packed, for a point-to-point address
    broadcast: bytes = b""
    label: str = ""  # IPv4 only
    metric: int = 0  # of the prefix route (IFA_RT_PRIORITY); 0 is the kernel's default
    has_failed: bool = False  # IFA_F_DADFAILED: another host has it, and the kernel uses it for nothing
    lifetime: Lifetime | None = None  # with which it is put; what is read never has one


class NeighbourSlot(NamedTuple):
    """What all neighbours of one family share, and what all proxies do."""

    family: int


class NeighbourMember(NamedTuple):
    """The kernel's key of a neighbour, or of a proxy, within its family (neigh_lookup in net/core/neighbour.c)."""

    dev: int  # ifindex
    address: bytes  # packed


class NeighbourValue(NamedTuple):
    """The content of a neighbour that stays, or of a proxy: then without a link address."""

    protocol: int  # NDA_PROTOCOL; 0 where it is absent
    lladdr: bytes = b""
    router: bool = False  # NTF_ROUTER
    extra: bytes = b""  # attributes that routed has no word for


class NexthopSlot(NamedTuple):
    """What all next hops share: their numbers know no family."""

    family: int = 0  # AF_UNSPEC


class NexthopMember(NamedTuple):
    """The number by which routes and groups name it (NHA_ID), from 1."""

    id: int


class Leg(NamedTuple):
    """A next hop as it is in a group."""

    id: int
    weight: int = 1  # from 1


class Resilient(NamedTuple):
    """A group in which a flow keeps its leg while others come and go (NHA_RES_GROUP, net/ipv4/nexthop.c)."""

    buckets: int = 128  # as many as the kernel makes where nothing is said, like the times
    idle_timer: int = 120  # seconds without a packet after which a bucket may change its leg
    unbalanced_timer: int = 0  # seconds out of balance after which one has to; 0: none ever has to


class NexthopValue(NamedTuple):
    """The content of a next hop: a group, or a way, or the end of all ways."""

    protocol: int
    way_family: int = 0  # of the routes that it is for; those of IPv4 may use one of IPv6. 0 of a group
    dev: int = 0  # ifindex
    gateway: bytes = b""  # packed
    onlink: bool = False
    blackhole: bool = False
    group: tuple[Leg, ...] = ()  # in the kernel's order
    resilient: Resilient | None = None
    extra: bytes = b""  # attributes that routed has no word for


class RouteSlot(NamedTuple):
    """The kernel's key of a route but for its prefix (fib_find_alias in net/ipv4/fib_trie.c, fib6_add in ip6_fib.c).

    IPv6 has no tos, and IPv4 no source.
    """

    family: int
    table: int
    metric: int
    tos: int = 0
    source: bytes = b""  # packed prefix of the packets' source, ``from`` of ip-route(8); b"" for all


class Hop(NamedTuple):
    """One next hop."""

    dev: int  # ifindex
    gateway: bytes = b""  # packed; of the other family for v4-via-v6; b"" on-link
    weight: int = 1  # 1 to 256, as ``ip`` writes it (rtnh_hops + 1)
    onlink: bool = False
    extra: bytes = b""  # attributes of a multipath leg that routed has no word for


class RouteValue(NamedTuple):
    """The content of a route."""

    type: int
    protocol: int
    scope: int = 0  # always 0 for IPv6 (net/ipv6/route.c ignores it)
    hops: tuple[Hop, ...] = ()  # in the kernel's order, by which flows are shared out; empty for blackhole and its like
    src: bytes = b""  # RTA_PREFSRC
    metrics: tuple[tuple[int, int | str], ...] = ()  # (RTAX_*, value), sorted by number
    lock: int = 0  # RTAX_LOCK: bit n set when metric n is locked
    extra: bytes = b""
    # RTA_NH_ID: the next hop object that says all of where it leads; then ``hops`` is empty, and ``type`` is unicast
    nhid: int = 0
    # IPv4, as an entry wants it: what stands behind it under its key, in order. The kernel has each as a route of its
    # own, so what is read never has any.
    append: tuple[RouteValue, ...] = ()

    @property
    def aliases(self) -> tuple[RouteValue, ...]:
        """It and what stands behind it, each as the kernel has it."""
        return (self._replace(append=()), *self.append) if self.append else (self,)


class RuleSlot(NamedTuple):
    """What all rules of one family share."""

    family: int


class RuleMember(NamedTuple):
    """The kernel's key of a rule but for its protocol: the whole selector and action (rule_exists in fib_rules.c)."""

    priority: int
    action: int = 1  # names.ACTIONS
    table: int = 0
    target: int = 0  # of goto
    inverted: bool = False
    source: bytes = b""  # packed prefix, b"" for all
    destination: bytes = b""
    tos: int = 0
    iif: str = ""
    oif: str = ""
    fwmark: int = 0
    fwmask: int = 0
    ipproto: int = 0
    sport: tuple[int, int] = (0, 0)
    dport: tuple[int, int] = (0, 0)
    uidrange: tuple[int, int] | None = None
    l3mdev: bool = False
    suppress_prefixlength: int = -1
    suppress_ifgroup: int = -1
    extra: bytes = b""


class RuleValue(NamedTuple):
    """The content of a rule: only its owner, since everything else is key."""

    protocol: int
    extra: bytes = b""


class Slot(Protocol):
    """What a slot of any kind is: a tuple that says the family of what stands in it."""

    @property
    def family(self) -> int:
        """AF_INET, AF_INET6, or AF_UNSPEC where the kind knows none."""


Member: TypeAlias = tuple[Any, ...] | bytes
# The kinds have no common supertype but "a tuple with a protocol"; the tables of kinds pair each with its own.
Value: TypeAlias = Any


class Key(NamedTuple):
    """The identity of one object."""

    kind: Kind
    slot: Slot
    member: Member


def list_aliases(value: Value) -> tuple[Value, ...]:
    """All that is wanted under a key by this content, in order, each as a dataplane shows it."""
    return value.aliases if isinstance(value, RouteValue) else (value,)


SlotKey: TypeAlias = tuple[Kind, Slot]  # what the keys of a slot have in common


class Scope(NamedTuple):
    """What one dump reads: a kind and a family, and for routes one table, protocol and type, where they are not 0."""

    kind: Kind
    family: int
    table: int = 0
    protocol: int = 0
    type: int = 0


class Standing(NamedTuple):
    """One object as it was seen in the kernel."""

    slot: Slot
    member: Member
    value: Value


class AlikeRoutes(NamedTuple):
    """Routes that the kernel showed one after another and that differ in nothing but their prefix."""

    slot: RouteSlot
    members: Packed
    value: RouteValue

    def spread(self) -> list[Standing]:
        """The same, one by one."""
        slot, value = self.slot, self.value
        return [Standing(slot, member, value) for member in self.members]


Chunk: TypeAlias = list[Standing] | AlikeRoutes  # a part of a dump
