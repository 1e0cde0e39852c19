"""All by which the kernel decides about a packet, as plain values: rules, tables, and what of the host counts in them.

Nothing here says whose a route or a rule is. Here must never live: how a packet is looked up (``core.lookup``), or how
the kernel is read (``kernel.fib``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from routed.model.lookup import Question
from routed.model.objects import Hop, Key, Kind, RouteSlot, RouteValue, RuleMember, RuleSlot, RuleValue
from routed.model.reasons import Reason


class FibRule(NamedTuple):
    """One policy rule as it stands."""

    slot: RuleSlot
    member: RuleMember
    value: RuleValue

    @property
    def key(self) -> Key:
        """Its identity."""
        return Key(Kind.RULE, self.slot, self.member)


class FibRoute(NamedTuple):
    """One route as it stands."""

    slot: RouteSlot
    prefix: bytes
    value: RouteValue
    dead: frozenset[int] = frozenset()  # places of the hops that nothing can go by: no link, or no carrier that counts
    preference: int = 0  # of the router that told it (RFC 4191): 1 high, 0 medium, -1 low; IPv6 only

    @property
    def key(self) -> Key:
        """Its identity. Several routes of IPv4 may share one."""
        return Key(Kind.ROUTE, self.slot, self.prefix)


class FibLink(NamedTuple):
    """What of a link counts where a packet is looked up."""

    ifindex: int
    group: int = 0
    master: int = 0  # ifindex of the bridge, bond or VRF
    table: int = 0  # of a VRF: where its packets are looked up; 0 for any other link
    is_up: bool = True
    altnames: tuple[str, ...] = ()


class FibAddress(NamedTuple):
    """What of an address of IPv4 counts where the kernel chooses a source."""

    dev: int  # ifindex
    address: bytes
    prefixlen: int
    scope: int = 0
    peer: bytes = b""


class Entrance(NamedTuple):
    """What this host does with packets of IPv4 that come in by one link."""

    forwards: bool = True  # net.ipv4.conf.LINK.forwarding
    rp_filter: int = 0  # the larger one of conf.all and conf.LINK: 1 strict, 2 loose
    accepts_local: bool = False  # does a source that is an address of this host pass?
    uses_mark: bool = False  # src_valid_mark: is the source looked up with the packet's mark?
    takes_loopback: bool = False  # route_localnet: may 127.0.0.0/8 come in by it?
    has_address: bool = True  # has the link any of IPv4? Else rp_filter is strict, whatever it says
    sends_redirects: bool = True  # then more is asked of what leaves by the link that it came in by


# (family, table) → prefix → its routes, in the kernel's order
Tables = Mapping[tuple[int, int], Mapping[bytes, Sequence[FibRoute]]]


@dataclass(frozen=True, slots=True)
class Fib:
    """What the kernel holds of routing in one namespace."""

    rules: tuple[FibRule, ...] = ()  # of both families, in the kernel's order
    tables: Tables = field(default_factory=dict)
    links: Mapping[str, FibLink] = field(default_factory=dict)  # by name
    own: frozenset[bytes] = frozenset()  # packed addresses of this host
    addresses: tuple[FibAddress, ...] = ()  # of IPv4, those of a link in the kernel's order
    # IPv4: as long as nobody ever touched a rule, the kernel keeps tables local and main as one (fib_trie_alias in
    # net/ipv4/fib_trie.c), and the longest prefix of both comes first
    is_merged: bool = False
    # IPv6: a host that does not forward passes over gateways that it knows to be silent (rt6_score_route)
    forwards_ipv6: bool = True
    silent: frozenset[tuple[int, bytes]] = frozenset()  # (ifindex, address) of neighbours that failed
    entrances: Mapping[str, Entrance] = field(default_factory=dict)  # by the name of the link

    def list_rules(self, family: int) -> list[FibRule]:
        """The rules of a family, in the kernel's order."""
        return [rule for rule in self.rules if rule.slot.family == family]

    def name_link(self, ifindex: int) -> str:
        """The name of a link; empty where there is none."""
        return next((name for name, link in self.links.items() if link.ifindex == ifindex), "")

    def find_name(self, word: str) -> str:
        """What the link of this name or altname is called; the word itself where there is none."""
        if word in self.links:
            return word
        return next((name for name, link in self.links.items() if word in link.altnames), word)

    def find_group(self, ifindex: int) -> int:
        """The group of a link; that of a new one where it is not known."""
        return next((link.group for link in self.links.values() if link.ifindex == ifindex), 0)

    def add_route(self, route: FibRoute) -> Fib:
        """The same with this route, behind those that are equal in rank."""
        place = (route.slot.family, route.slot.table)
        table = dict(self.tables.get(place, {}))
        table[route.prefix] = sort_routes([*table.get(route.prefix, ()), route])
        return replace(self, tables={**self.tables, place: table})

    def add_rule(self, rule: FibRule) -> Fib:
        """The same with this rule, behind those of its priority."""
        rules = sorted([*self.rules, rule], key=lambda one: one.member.priority)
        return replace(self, rules=tuple(rules), is_merged=False)

    def remove(self, gone: FibRoute | FibRule) -> Fib:
        """The same without this one."""
        if isinstance(gone, FibRule):
            return replace(self, rules=tuple(rule for rule in self.rules if rule != gone), is_merged=False)
        place = (gone.slot.family, gone.slot.table)
        table = dict(self.tables.get(place, {}))
        table[gone.prefix] = [route for route in table.get(gone.prefix, ()) if route != gone]
        return replace(self, tables={**self.tables, place: table})


def sort_routes(routes: Iterable[FibRoute]) -> list[FibRoute]:
    """Routes to one prefix of one table as the kernel goes through them; equals stay as they come.

    fib_insert_alias in net/ipv4/fib_trie.c, fib6_add_rt2node in net/ipv6/ip6_fib.c.
    """
    return sorted(routes, key=lambda route: (-route.slot.tos, route.slot.metric))


def index_routes(routes: Iterable[FibRoute]) -> dict[tuple[int, int], dict[bytes, Sequence[FibRoute]]]:
    """Routes as the tables of a ``Fib``; equals in the order in which they come, which is that of a dump."""
    tables: dict[tuple[int, int], dict[bytes, list[FibRoute]]] = {}
    for route in routes:
        place = (route.slot.family, route.slot.table)
        tables.setdefault(place, {}).setdefault(route.prefix, []).append(route)
    return {place: {prefix: sort_routes(those) for prefix, those in table.items()} for place, table in tables.items()}


class FibLinkChange(NamedTuple):
    """A link that is another then: made, gone, or in another state."""

    name: str
    ifindex: int
    is_there: bool = True
    is_up: bool = True
    master: int = 0
    dead: frozenset[int] = frozenset()  # families of which nothing can go by it


class RoutesChange(NamedTuple):
    """What stands under one key then, in the kernel's order."""

    slot: RouteSlot
    prefix: bytes
    routes: tuple[FibRoute, ...]  # nothing: it is gone


class FibChange(NamedTuple):
    """What of a ``Fib`` is otherwise in some case, as far as it counts for a few addresses."""

    routes: tuple[RoutesChange, ...] = ()
    rules: tuple[FibRule, ...] | None = None  # of both families, in the kernel's order; None: as they are now
    links: tuple[FibLinkChange, ...] = ()  # first those that are gone
    gained: frozenset[bytes] = frozenset()  # packed addresses that this host has then …
    lost: frozenset[bytes] = frozenset()  # … and has no more
    addresses: tuple[FibAddress, ...] | None = None  # of IPv4, in the kernel's order; None: as they are now


class WayStep(NamedTuple):
    """One rule on the way of a packet, and what came of it."""

    rule: FibRule
    why: Reason  # why it was passed, or that it decides
    route: FibRoute | None = None  # that was found by it, if one was


class Explanation(NamedTuple):
    """What decides about a packet, and why nothing before it did."""

    question: Question
    steps: tuple[WayStep, ...]
    rule: FibRule | None = None  # that decides, or leads to the route that does; None where none does
    route: FibRoute | None = None  # that decides; None where a rule does so by itself, or nothing does
    hops: tuple[Hop, ...] = ()  # by which the packet may go: one, or those among which a flow is shared out
    errno: int = 0  # why it goes nowhere, as the kernel puts it; 0 where it goes
    aside: Reason | None = None  # why the tables are not what decides in the end
    equals: tuple[FibRoute, ...] = ()  # default routes of IPv4 of which the kernel takes one whose gateway answers
    unseen: tuple[FibRoute, ...] = ()  # that the kernel does not look at for this source (see ``core.tables``)
    # IPv6: what decides about a flow that would go by one of the hops that a rule suppresses (suppress_ifgroup)
    otherwise: Explanation | None = None
