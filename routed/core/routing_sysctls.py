"""Sysctls that routes, rules and VIPs take: a table of rows beside that of services, over what the files come to.

What the file cannot do without is told, and nothing else. Here must never live: reading one, or words
(``audit.sysctls``).
Sources: ip-sysctl.rst of Linux; fib_validate_source and ip_route_input_slow in net/ipv4, ndisc_recv_ns and
addrconf_ifdown in net/ipv6. That ``all`` counts for ignore_routes_with_linkdown of IPv4, and not of IPv6, was tried out
on Linux 6.18.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, NamedTuple

from routed.core.desired import ObjectSet
from routed.model import names
from routed.model.checks import HANDED_OVER, Check
from routed.model.entries import AddressEntry, Entry, RouteEntry, VipEntry
from routed.model.facts import Facts
from routed.model.net import IPV4, IPV6, family_of, is_inside, network_of
from routed.model.objects import RouteSlot, RuleMember, Standing
from routed.model.sysctls import Sysctl, SysctlNeed

_CONF: Final[Mapping[int, Sysctl]] = {IPV4: ("net", "ipv4", "conf"), IPV6: ("net", "ipv6", "conf")}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingView:
    """What the rows look at."""

    entries: Sequence[Entry] = ()
    routes: Sequence[tuple[Entry, ObjectSet]] = ()  # that are wanted, as far as they may be there now
    wanted_rules: Sequence[tuple[Entry, ObjectSet]] = ()  # likewise
    facts: Facts = field(default_factory=Facts)
    defaults: Sequence[Standing] = ()
    rules: Mapping[int, Collection[RuleMember]] = field(default_factory=dict)  # family → those that stand
    checks: Sequence[Check] = ()
    is_managed: bool = False  # does a network manager put addresses back when a link comes up?


FoundSysctls = Iterator[tuple[str, tuple[Sysctl, ...]]]  # entries, and the sysctls that count


class RoutingRow(NamedTuple):
    """When one is needed, and what it has to be."""

    find: Callable[[RoutingView], FoundSysctls]
    good: tuple[int, ...]


def find_routing_needs(view: RoutingView) -> tuple[SysctlNeed, ...]:
    """What these files take, each once."""
    needs: dict[tuple[str, tuple[Sysctl, ...]], SysctlNeed] = {}
    for word, row in ROUTING_ROWS.items():
        for entry, sysctls in row.find(view):
            needs.setdefault((word, sysctls), SysctlNeed(word, sysctls, row.good, entry))
    return tuple(needs.values())


def _find_filtered(view: RoutingView) -> FoundSysctls:
    """Answers that come in by a link to which the kernel finds no way without a mark, or who asked: rp_filter.

    It looks the source up as if the answer were sent from here, without the mark of what it answers.
    """
    leading = [rule for rule in view.rules.get(IPV4, ()) if rule.action == names.TO_TABLE]
    plain = {rule.table for rule in leading if not _is_for_marked(rule) and rule.iif in {"", "lo"} and not rule.oif}
    marked = {rule.table for rule in leading if _is_for_marked(rule)} - plain
    first = _find_default_link(view)
    for entry, group in view.routes:
        assert isinstance(group.slot, RouteSlot)
        if group.slot.family == IPV4 and group.slot.table in marked and group.value is not None:
            for dev in _list_devs(group):
                if dev not in {0, first}:
                    yield entry.name, _names_of(view, IPV4, dev, "rp_filter")


def _is_for_marked(rule: RuleMember) -> bool:
    """Does it ask for what the kernel does not know of an answer? That it looks up by its addresses alone."""
    return bool(rule.fwmark or rule.uidrange or rule.ipproto or rule.sport[1] or rule.dport[1])


def _find_filtered_checks(view: RoutingView) -> FoundSysctls:
    first = _find_default_link(view)
    for check in view.checks:
        if not check.via or family_of(check.via) != IPV4 or check.type in HANDED_OVER:
            continue
        dev = _find_link(view, check.dev) or next(
            (
                fact.dev
                for fact in view.facts.addresses.values()
                if is_inside(check.via, network_of(fact.address, fact.prefixlen))
            ),
            0,
        )
        if dev not in {0, first}:
            yield f"check/{check.name}", _names_of(view, IPV4, dev, "rp_filter")


def _find_forwarded(view: RoutingView) -> FoundSysctls:
    """Rules for what comes in by a link: what is for this host itself never gets to them."""
    for entry, group in view.wanted_rules:
        for rule in group.members:
            assert isinstance(rule, RuleMember)
            if rule.iif and rule.iif != "lo" and rule.action == names.TO_TABLE:
                at = rule.iif if group.slot.family == IPV4 else "all"
                yield entry.name, ((*_CONF[group.slot.family], at, "forwarding"),)


def _find_alternatives(view: RoutingView) -> FoundSysctls:
    """Routes that are to stand in for others, which the kernel goes on using when their link has lost its carrier."""
    tables: defaultdict[tuple[int, int], _Table] = defaultdict(_Table)
    for _, group in view.routes:
        assert isinstance(group.slot, RouteSlot)
        tables[group.slot.family, group.slot.table].add(group)
    for entry, group in view.routes:
        assert isinstance(group.slot, RouteSlot)
        table = tables[group.slot.family, group.slot.table]
        for dev in _list_devs(group):
            if not entry.conditions and (_has_other(group, dev) or table.has_other_way(group, dev)):
                yield entry.name, _names_of(view, group.slot.family, dev, "ignore_routes_with_linkdown")


FEW: Final = 64  # prefixes of a set that are found each by itself


class _Table:
    """The routes of one table: those of small sets by their prefixes, and the large sets."""

    def __init__(self) -> None:
        self._by_prefix: defaultdict[Any, list[ObjectSet]] = defaultdict(list)
        self._large: list[ObjectSet] = []

    def add(self, group: ObjectSet) -> None:
        if len(group.members) > FEW:
            self._large.append(group)
        for member in group.members if len(group.members) <= FEW else ():
            self._by_prefix[member].append(group)

    def has_other_way(self, group: ObjectSet, dev: int) -> bool:
        """Is there a route of a higher metric to the same, that does not go by this link?"""
        assert isinstance(group.slot, RouteSlot)
        metric = group.slot.metric
        return any(other.slot.metric > metric and _has_other(other, dev) for other in self._find_beside(group))  # type: ignore[attr-defined]

    def _find_beside(self, group: ObjectSet) -> Iterator[ObjectSet]:
        """Sets that have a prefix of this one, or one of them for each."""
        is_small = len(group.members) <= FEW
        for prefix in group.members if is_small else self._by_prefix:
            if is_small or prefix in group.members:
                yield from self._by_prefix.get(prefix, ())
        for other in self._large:
            few, many = sorted((group.members, other.members), key=len)
            if other is not group and any(member in many for member in few):
                yield other


def _has_other(group: ObjectSet, dev: int) -> bool:
    """Is there a leg by another link?"""
    return any(one != dev for one in _list_devs(group))


def _list_devs(group: ObjectSet) -> list[int]:
    ways = () if group.value is None else group.value.aliases
    return [hop.dev for one in ways for hop in one.hops if hop.dev]


def _find_lost_sources(view: RoutingView) -> FoundSysctls:
    """IPv6 addresses of others that entries stand on: they go with the link, and nobody brings them back."""
    if view.is_managed:
        return
    declared = {entry.address for entry in view.entries if isinstance(entry, AddressEntry)}
    sources = {entry.src: entry.name for entry in view.entries if isinstance(entry, RouteEntry) and entry.src}
    sources |= {entry.node: entry.name for entry in view.entries if isinstance(entry, VipEntry) and entry.node}
    for fact in view.facts.addresses.values():
        name = sources.get(fact.address)
        is_the_kernels = fact.protocol in names.KERNEL_ADDRESS_PROTOCOLS
        if name and family_of(fact.address) == IPV6 and fact.address not in declared and not is_the_kernels:
            yield name, _names_of(view, IPV6, fact.dev, "keep_addr_on_down")


def find_unanswered(entries: Iterable[Entry], facts: Facts) -> Iterator[tuple[VipEntry, int]]:
    """IPv6 VIPs that this host takes without holding them, and the link of whose network they are.

    No neighbour hears of them there but by a proxy (ndisc_recv_ns).
    """
    for entry in entries:
        if isinstance(entry, VipEntry) and entry.is_local and family_of(entry.prefix) == IPV6:
            for fact in facts.addresses.values():
                is_network = len(fact.address) == len(entry.prefix) - 1 and fact.prefixlen < entry.prefix[-1]
                if is_network and is_inside(entry.prefix[:-1], network_of(fact.address, fact.prefixlen)):
                    yield entry, fact.dev


def _find_proxies(word: str) -> Callable[[RoutingView], FoundSysctls]:
    """What a proxy for neighbours takes, beside itself."""

    def find(view: RoutingView) -> FoundSysctls:
        for entry, dev in find_unanswered(view.entries, view.facts):
            yield entry.name, _names_of(view, IPV6, dev, word)

    return find


def _find_flux(word: str) -> Callable[[RoutingView], FoundSysctls]:
    """Two links in one network, where rules choose one by the address: neighbours have to be told the same."""

    def find(view: RoutingView) -> FoundSysctls:
        networks: defaultdict[bytes, dict[int, list[bytes]]] = defaultdict(dict)
        for fact in view.facts.addresses.values():
            if family_of(fact.address) == IPV4 and fact.prefixlen < 32:
                networks[network_of(fact.address, fact.prefixlen)].setdefault(fact.dev, []).append(fact.address)
        for entry, group in view.wanted_rules:
            for rule in group.members:
                assert isinstance(rule, RuleMember)
                for links in networks.values():
                    held = [one for some in links.values() for one in some]
                    if len(links) > 1 and rule.source and any(is_inside(one, rule.source) for one in held):
                        yield from ((entry.name, _names_of(view, IPV4, dev, word)) for dev in links)

    return find


def _find_default_link(view: RoutingView) -> int:
    """The link of the best IPv4 default route of table main; 0 where there is none, or several legs."""
    found: list[tuple[int, Standing]] = []
    for one in view.defaults:
        assert isinstance(one.slot, RouteSlot)
        assert isinstance(one.member, bytes)
        if (one.slot.family, one.slot.table) == (IPV4, names.TABLE_MAIN) and not one.member[-1]:
            found.append((one.slot.metric, one))
    _, best = min(found, key=itemgetter(0), default=(0, None))
    return best.value.hops[0].dev if best is not None and len(best.value.hops) == 1 else 0


def _find_link(view: RoutingView, dev: str) -> int:
    """The ifindex of a link as the file names it; 0 where it is not there."""
    if dev.startswith("@"):
        choice = view.facts.chosen.get(dev[1:])
        return choice.dev if choice else 0
    link = view.facts.link_named(dev) if dev else None
    return link.ifindex if link else 0


_FOR_ALL: Final = frozenset({"rp_filter", "arp_ignore", "arp_announce", "keep_addr_on_down", "proxy_ndp"})


def _names_of(view: RoutingView, family: int, dev: int, word: str) -> tuple[Sysctl, ...]:
    """From that of all links, where it counts, to that of one."""
    counts_for_all = word in _FOR_ALL or family == IPV4
    places = ["all", view.facts.name_of(dev)] if counts_for_all else [view.facts.name_of(dev)]
    return tuple((*_CONF[family], place, word) for place in places)


ROUTING_ROWS: Final[Mapping[str, RoutingRow]] = {
    "answers": RoutingRow(_find_filtered, (2, 0)),
    "probes": RoutingRow(_find_filtered_checks, (2, 0)),
    "forwarding": RoutingRow(_find_forwarded, (1,)),
    "ignore_routes_with_linkdown": RoutingRow(_find_alternatives, (1,)),
    "keep_addr_on_down": RoutingRow(_find_lost_sources, (1,)),
    "proxy_ndp": RoutingRow(_find_proxies("proxy_ndp"), (1,)),
    "proxy_forwarding": RoutingRow(_find_proxies("forwarding"), (1,)),
    "arp_flux": RoutingRow(_find_flux("arp_ignore"), (1, 2)),
    "arp_announce": RoutingRow(_find_flux("arp_announce"), (2, 1)),
}
