"""How the tables would stand: what two states differ in, as a change of what was read from the kernel.

So all that no state knows (VRFs, groups, sysctls of what comes in) stays as it was read. Here must never live: which
route decides (``core.lookup``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from routed.core.linux.lookup import is_free_of_link, is_leg_usable, is_usable
from routed.core.linux.state import LinuxState, compare
from routed.model.fib import (
    Fib,
    FibAddress,
    FibChange,
    FibLink,
    FibLinkChange,
    FibRoute,
    FibRule,
    RoutesChange,
    sort_routes,
)
from routed.model.net import IPV4, IPV6, network_of
from routed.model.objects import AddressMember, Hop, Kind, RouteSlot, RouteValue, Value


def find_fib_change(before: LinuxState, after: LinuxState, addresses: Collection[bytes]) -> FibChange:
    """All that decides about packets to these addresses, and from them, and is otherwise in ``after``."""
    old, new = (tuple(_list_rules(state)) for state in (before, after))
    had, has = (frozenset(_list_own(state)) for state in (before, after))
    had_ipv4, has_ipv4 = (tuple(_list_ipv4(state)) for state in (before, after))
    return FibChange(
        routes=tuple(_list_routes(before, after, addresses)),
        rules=None if old == new else new,
        links=tuple(_list_links(before, after)),
        gained=has - had,
        lost=had - has,
        addresses=None if had_ipv4 == has_ipv4 else has_ipv4,
    )


def _list_routes(before: LinuxState, after: LinuxState, addresses: Collection[bytes]) -> Iterator[RoutesChange]:
    prefixes = {network_of(address, length) for address in addresses for length in range(len(address) * 8 + 1)}
    for key, _, values in compare(before, after, (Kind.ROUTE,)):
        slot, prefix = key.slot, key.member
        if isinstance(slot, RouteSlot) and isinstance(prefix, bytes) and prefix in prefixes:
            yield RoutesChange(slot, prefix, tuple(_make_route(after, slot, prefix, value) for value in values))


def _make_route(state: LinuxState, slot: RouteSlot, prefix: bytes, value: Value) -> FibRoute:
    assert isinstance(value, RouteValue)
    dead = (place for place, hop in enumerate(value.hops) if not is_leg_usable(state, slot.family, value, hop))
    return FibRoute(slot, prefix, value, frozenset(dead))


def _list_rules(state: LinuxState) -> Iterator[FibRule]:
    yield from (FibRule(*standing) for standing in state.stand(Kind.RULE))  # type: ignore[arg-type]  # a rule


def _list_own(state: LinuxState) -> Iterator[bytes]:
    for members in state.objects[Kind.ADDRESS].values():
        yield from (member.address for member in members if isinstance(member, AddressMember))


def _list_ipv4(state: LinuxState) -> Iterator[FibAddress]:
    for slot, member, value in state.stand(Kind.ADDRESS):
        if slot.family == IPV4 and isinstance(member, AddressMember):
            yield FibAddress(*member, value.scope, value.peer)


def _list_links(before: LinuxState, after: LinuxState) -> Iterator[FibLinkChange]:
    for ifindex, link in before.links.items():
        if ifindex not in after.links:
            yield FibLinkChange(link.name, ifindex, is_there=False, is_up=False, dead=frozenset({IPV4, IPV6}))
    for ifindex, link in after.links.items():
        if link != before.links.get(ifindex):
            dead = (family for family in (IPV4, IPV6) if not is_usable(after, family, Hop(ifindex)))
            yield FibLinkChange(link.name, ifindex, is_up=link.is_up, master=link.master, dead=frozenset(dead))


def change_fib(fib: Fib, change: FibChange) -> Fib:
    """The same as it would be then."""
    tables = {place: dict(table) for place, table in fib.tables.items()}
    links = {link.ifindex: link.dead for link in change.links}
    for table in tables.values() if links else ():
        table.update({prefix: [_look_again(route, links) for route in routes] for prefix, routes in table.items()})
    for one in change.routes:
        table = tables.setdefault((one.slot.family, one.slot.table), {})
        table[one.prefix] = _put(table.get(one.prefix, ()), one)
    return replace(
        fib,
        tables=tables,
        rules=_choose_rules(fib, change),
        links=_change_links(fib, change),
        own=(fib.own | change.gained) - change.lost,
        addresses=fib.addresses if change.addresses is None else change.addresses,
        is_merged=fib.is_merged and change.rules is None,
    )


def _look_again(route: FibRoute, links: Mapping[int, frozenset[int]]) -> FibRoute:
    """Which of its hops are dead, where their links are others."""
    if is_free_of_link(route.slot.family, route.value):
        return route
    dead = {
        place
        for place, hop in enumerate(route.value.hops)
        if (route.slot.family in links[hop.dev] if hop.dev in links else place in route.dead)
    }
    return route if dead == route.dead else route._replace(dead=frozenset(dead))


def _put(there: Sequence[FibRoute], change: RoutesChange) -> list[FibRoute]:
    """What is for one prefix then. What stood there before keeps what only the kernel tells of it."""
    known = {route.value: route.preference for route in there if route.slot == change.slot}
    others = [route for route in there if route.slot != change.slot]
    put = [route._replace(preference=known.get(route.value, route.preference)) for route in change.routes]
    return sort_routes([*others, *put])


def _choose_rules(fib: Fib, change: FibChange) -> tuple[FibRule, ...]:
    """A reading may be of one family."""
    if change.rules is None:
        return fib.rules
    families = {rule.slot.family for rule in fib.rules}
    return tuple(rule for rule in change.rules if not families or rule.slot.family in families)


def _change_links(fib: Fib, change: FibChange) -> dict[str, FibLink]:
    links = dict(fib.links)
    for one in change.links:
        known = links.get(one.name)
        if not one.is_there:
            links.pop(one.name, None)
        elif known is not None and known.ifindex == one.ifindex:
            links[one.name] = known._replace(is_up=one.is_up, master=one.master)
        else:
            links[one.name] = FibLink(one.ifindex, master=one.master, is_up=one.is_up)
    return links
