"""Addresses: what the kernel makes for them, and what goes with them.

Sources: fib_add_ifaddr, fib_del_ifaddr and fib_inetaddr_event in net/ipv4/fib_frontend.c, fib_sync_down_addr in
net/ipv4/fib_semantics.c, __inet_del_ifa in net/ipv4/devinet.c, inet6_addr_add, ipv6_del_addr, __ipv6_ifa_notify and
addrconf_join_anycast in net/ipv6/addrconf.c, fib6_remove_prefsrc in net/ipv6/route.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from errno import EADDRNOTAVAIL, EEXIST, ENODEV
from typing import Final, NamedTuple

from routed.core.linux.neighbours import flush_neighbours
from routed.core.linux.state import LinuxState
from routed.model import names
from routed.model.change import Verb
from routed.model.events import KERNEL
from routed.model.net import ADDRESS_LENGTH, IPV4, IPV6, host_prefix, network_of, parse_prefix
from routed.model.objects import AddressMember, AddressValue, Hop, Key, Kind, RouteSlot, RouteValue

CONNECTED_METRIC: Final = {IPV4: 0, IPV6: 256}  # IP6_RT_PRIO_ADDRCONF
ALL_MULTICAST: Final = parse_prefix("ff00::/8")
LONGEST_WITH_BROADCAST: Final = 30  # a network of two addresses has none
LONGEST_WITH_ANYCAST: Final = 126

MadeRoute = tuple[Key, RouteValue]


def insert_address(state: LinuxState, verb: Verb, key: Key, value: AddressValue, port: int) -> int:
    """RTM_NEWADDR: a replacement changes lifetimes, metric and, where it can, protocol, and is always announced."""
    member = key.member
    assert isinstance(member, AddressMember)
    if member.dev not in state.links:
        return ENODEV
    standing = state.standing(key)
    if standing and verb is not Verb.REPLACE:
        return EEXIST
    before = list_made(state, member.dev, key.slot.family)
    value = value._replace(flags=value.flags & ~names.IFA_OPTIMISTIC)
    if standing:
        keeps_protocol = len(member.address) == 4 and not state.can_mark_again
        value = standing[0]._replace(
            protocol=standing[0].protocol if keeps_protocol else value.protocol,
            metric=value.metric,
            deprecated=value.deprecated,
            dynamic=value.dynamic,
        )
    state.put(key, [value])
    if not standing and key.slot.family == IPV4:
        _arrange(state, member.dev, _place_new(state, member.dev, key, value))
    state.notify(key, value, port)
    after = list_made(state, member.dev, key.slot.family)
    for one in before:
        if one not in after:
            _unmake(state, *one)
    is_anew = standing and state.is_up(member.dev)  # then all that is missing comes
    make(state, [one for one in after if is_anew or one not in before])
    if key.slot.family == IPV6 and state.is_up(member.dev):
        make_multicast(state, member.dev)
    return 0


def delete_address(state: LinuxState, key: Key, _value: AddressValue, port: int) -> int:
    """RTM_DELADDR by its key: whose it is does not matter."""
    member = key.member
    assert isinstance(member, AddressMember)
    if not state.standing(key):
        return EADDRNOTAVAIL
    secondaries = list(list_secondaries(state, key))
    promotes = state.sysctls_of(member.dev).promotes_secondaries
    order = _place_promoted(state, member.dev, key, secondaries[0]) if promotes and secondaries else None
    for going in (key, *(() if promotes else secondaries)):
        take_address(state, going, port)
    if order is not None:
        _arrange(state, member.dev, [one for one in order if one != key])
    return 0


def take_address(state: LinuxState, key: Key, port: int = KERNEL, *, is_source_forgotten: bool = True) -> None:
    """One address goes, and with it what the kernel made for it, and routes that stand on it."""
    member, family = key.member, key.slot.family
    assert isinstance(member, AddressMember)
    before = list_made(state, member.dev, family)
    state.take(key, state.standing(key)[0], port)
    after = list_made(state, member.dev, family)
    for one in before:
        if one not in after:
            _unmake(state, *one)
    make(state, [one for one in after if one not in before])  # of what was secondary
    if family == IPV4 and not state.addresses_of(member.dev, IPV4):
        flush_neighbours(state, member.dev, (IPV4,))
        for over, lost in list(state.routes_over(member.dev)):
            if over.slot.family == IPV4 and all(is_dead(state, hop) or hop.dev == member.dev for hop in lost.hops):
                state.take(over, lost, is_told=False)
    if is_source_forgotten and not state.is_local(member.address):
        _forget_source(state, member)


def _forget_source(state: LinuxState, member: AddressMember) -> None:
    """Routes that prefer an address as their source: IPv4 ones of the main table go, IPv6 ones do without."""
    for where, user in list(state.routes_from(member.address)):
        if where.slot.family == IPV6:
            state.put(where, [v._replace(src=b"") if v == user else v for v in state.standing(where)])
        elif _table_of(where) == state.table_for(member.dev, names.TABLE_MAIN):  # fib_sync_down_addr
            state.take(where, user)


def _table_of(key: Key) -> int:
    assert isinstance(key.slot, RouteSlot)
    return key.slot.table


def is_dead(state: LinuxState, hop: Hop) -> bool:
    """Is this leg of no use (RTNH_F_DEAD)? Its link is down, or has lost the last address of IPv4.

    What no dump is asked for is taken from what stands: a gateway that is on-link needs an address beside it.
    """
    if not state.is_up(hop.dev):
        return True
    is_behind_gateway = len(hop.gateway) == ADDRESS_LENGTH[IPV4] and not hop.onlink
    return is_behind_gateway and not state.addresses_of(hop.dev, IPV4)


def list_secondaries(state: LinuxState, key: Key) -> Iterator[Key]:
    """What goes with an IPv4 address: __inet_del_ifa in net/ipv4/devinet.c, without promote_secondaries."""
    if key.slot.family != IPV4:
        return
    alike = [other.key for other in _list_ipv4(state, key.member.dev) if other.primary_key == key]  # type: ignore[union-attr]
    yield from (other for other in alike if other != key)


def list_all_secondaries(state: LinuxState, dev: int) -> set[Key]:
    """The IPv4 addresses of a link that are not the first of their network."""
    return {one.key for one in _list_ipv4(state, dev) if one.primary_key != one.key}


def _place_new(state: LinuxState, dev: int, key: Key, value: AddressValue) -> list[Key]:
    """The addresses of a link with a new one in its place: behind the last primary of no lower scope.

    A secondary goes to the end (__inet_insert_ifa).
    """
    there = _list_ipv4(state, dev)
    if there[-1].key != key or there[-1].primary_key != key:
        return [one.key for one in there]
    before = [place for place, one in enumerate(there[:-1], 1) if _is_before(one, value.scope)]
    order = [one.key for one in there[:-1]]
    order.insert(before[-1] if before else 0, key)
    return order


def _place_promoted(state: LinuxState, dev: int, going: Key, promoted: Key) -> list[Key]:
    """The same with the address that becomes primary behind the last primary of no lower scope (__inet_del_ifa)."""
    there = _list_ipv4(state, dev)
    order = [one.key for one in there]
    first, place = order.index(going), order.index(promoted)
    if place == first + 1:
        return order
    scope = there[first].value.scope
    before = [one.key for one in there[first + 1 : place] if _is_before(one, scope)] or order[:1]
    order.remove(promoted)
    order.insert(order.index(before[-1]) + 1, promoted)
    return order


def _is_before(one: _Ipv4, scope: int) -> bool:
    """Does a primary of this scope stand behind it?"""
    return one.primary_key == one.key and scope <= one.value.scope


def _arrange(state: LinuxState, dev: int, order: Sequence[Key]) -> None:
    """Have the addresses of IPv4 on a link stand in this order."""
    for slot, members in state.objects[Kind.ADDRESS].items():
        if slot.family == IPV4:
            here = iter(key.member for key in order if key.slot == slot)
            places = [next(here) if _is_on(member, dev) else member for member in members]
            if places != list(members):
                state.objects[Kind.ADDRESS][slot] = {member: members[member] for member in places}


def _is_on(member: object, dev: int) -> bool:
    return isinstance(member, AddressMember) and member.dev == dev


class _Ipv4(NamedTuple):
    key: Key
    member: AddressMember
    value: AddressValue
    primary_key: Key  # itself, or the first of its network

    @property
    def primary(self) -> bytes:
        member = self.primary_key.member
        assert isinstance(member, AddressMember)
        return member.address


def _list_ipv4(state: LinuxState, dev: int) -> list[_Ipv4]:
    """The IPv4 addresses of a link, each with the first of its network: inet_ifa_byprefix."""
    first: dict[tuple[bytes, bytes], Key] = {}
    found = []
    for key, value in state.addresses_of(dev, IPV4):
        member = key.member
        assert isinstance(member, AddressMember)
        network = network_of(value.peer or member.address, member.prefixlen)
        found.append(_Ipv4(key, member, value, first.setdefault((network, value.peer), key)))
    return found


def list_made(state: LinuxState, dev: int, family: int) -> list[MadeRoute]:
    """The routes that the kernel makes for the addresses of one family on a link, as it is now."""
    made = _make_ipv4(state, dev) if family == IPV4 else _make_ipv6(state, dev)
    if state.has_host_routes:
        return list(made)
    return [one for one in made if _table_of(one[0]) != names.TABLE_LOCAL and not is_own(one[0].member)]


def is_own(prefix: object) -> bool:
    """Is this the prefix of one address?"""
    return isinstance(prefix, bytes) and prefix[-1] == (len(prefix) - 1) * 8


def _make_ipv4(state: LinuxState, dev: int) -> Iterator[MadeRoute]:
    hops, is_up = (Hop(dev),), state.is_up(dev)
    local, main = (state.table_for(dev, table) for table in (names.TABLE_LOCAL, names.TABLE_MAIN))
    seen: set[MadeRoute] = set()
    for one in _list_ipv4(state, dev):
        value = one.value
        network = network_of(value.peer or one.member.address, one.member.prefixlen)
        found = [_local(IPV4, local, host_prefix(one.member.address), RouteValue(
            names.LOCAL, names.PROTOCOL_KERNEL, names.HOST, hops, one.primary))]  # fmt: skip
        broadcasts = [value.broadcast] if value.broadcast not in {b"", b"\xff" * 4} else []
        is_itself = is_own(network) and not value.peer
        if one.key == one.primary_key and network[0] and not is_itself:
            if one.member.prefixlen <= LONGEST_WITH_BROADCAST:
                broadcasts.append(_last_of(network))
            if not value.flags & names.IFA_NOPREFIXROUTE and is_up:
                is_loopback = state.is_loopback(dev)
                type_, scope = (names.LOCAL, names.HOST) if is_loopback else (names.UNICAST, names.LINK)
                slot = RouteSlot(IPV4, local if is_loopback else main, value.metric)
                route = RouteValue(type_, names.PROTOCOL_KERNEL, scope, hops, one.primary)
                found.append((Key(Kind.ROUTE, slot, network), route))
        if is_up:
            cast = RouteValue(names.BROADCAST, names.PROTOCOL_KERNEL, names.LINK, hops, one.primary)
            found += [_local(IPV4, local, host_prefix(last), cast) for last in broadcasts]
        for made in found:
            if made not in seen:
                seen.add(made)
                yield made


def _make_ipv6(state: LinuxState, dev: int) -> Iterator[MadeRoute]:
    hops, is_up = (Hop(dev),), state.is_up(dev)
    local, main = (state.table_for(dev, table) for table in (names.TABLE_LOCAL, names.TABLE_MAIN))
    is_router = is_up and state.sysctls_of(dev).is_router and not state.is_loopback(dev)
    seen: set[MadeRoute] = set()
    prefix_value = RouteValue(names.UNICAST, names.PROTOCOL_KERNEL, names.UNIVERSE, hops)
    for key, value in state.addresses_of(dev, IPV6):
        member = key.member
        assert isinstance(member, AddressMember)
        network = network_of(member.address, member.prefixlen)
        found = []
        if not value.has_failed:
            found.append(_local(IPV6, local, host_prefix(member.address), prefix_value._replace(type=names.LOCAL)))
        if is_router and member.prefixlen <= LONGEST_WITH_ANYCAST:
            cast = prefix_value._replace(type=names.ANYCAST)
            found.append(_local(IPV6, local, host_prefix(network[:-1]), cast))
        if is_up and not value.flags & names.IFA_NOPREFIXROUTE and value.scope != names.HOST:
            slot = RouteSlot(IPV6, main, value.metric or CONNECTED_METRIC[IPV6])
            peer = [host_prefix(value.peer)] if value.peer else []
            found += [(Key(Kind.ROUTE, slot, prefix), prefix_value) for prefix in (network, *peer)]
        for made in found:
            if made not in seen:
                seen.add(made)
                yield made


def make_multicast(state: LinuxState, dev: int) -> None:
    """The place for multicast of IPv6 on a link: addrconf_add_mroute."""
    if state.has_host_routes and not state.is_loopback(dev):
        slot = RouteSlot(IPV6, state.table_for(dev, names.TABLE_LOCAL), CONNECTED_METRIC[IPV6])
        route = RouteValue(names.MULTICAST, names.PROTOCOL_KERNEL, hops=(Hop(dev),))
        make(state, [(Key(Kind.ROUTE, slot, ALL_MULTICAST), route)])


def _local(family: int, table: int, prefix: bytes, value: RouteValue) -> MadeRoute:
    return Key(Kind.ROUTE, RouteSlot(family, table, 0), prefix), value


def _last_of(network: bytes) -> bytes:
    """The highest address of a network."""
    width, length = len(network) - 1, network[-1]
    return (int.from_bytes(network[:-1], "big") | ((1 << (width * 8 - length)) - 1)).to_bytes(width, "big")


def make(state: LinuxState, made: Sequence[MadeRoute]) -> None:
    """Routes of the kernel's own come, behind what stands there."""
    for key, route in made:
        standing = state.standing(key)
        if route not in standing:
            state.put(key, [*standing, route])
            state.notify(key, route, KERNEL, flag="" if standing else "excl")


def _unmake(state: LinuxState, key: Key, route: RouteValue) -> None:
    if route in state.standing(key):
        state.take(key, route)
