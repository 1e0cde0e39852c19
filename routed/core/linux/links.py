"""Links: what goes with one that is set down, loses its carrier or is deleted, and what comes back with it.

Sources: fib_netdev_event in net/ipv4/fib_frontend.c, fib_sync_down_dev in net/ipv4/fib_semantics.c, addrconf_notify,
addrconf_ifdown and addrconf_permanent_addr in net/ipv6/addrconf.c, fib6_ifdown in net/ipv6/route.c, nh_netdev_event in
net/ipv4/nexthop.c.
"""

from __future__ import annotations

from typing import Final

from routed.core.linux.addresses import (
    is_dead,
    is_own,
    list_all_secondaries,
    list_made,
    make,
    make_multicast,
    take_address,
)
from routed.core.linux.lookup import is_free_of_link
from routed.core.linux.neighbours import flush_neighbours
from routed.core.linux.nexthops import flush_nexthops
from routed.core.linux.routes import take_legs
from routed.core.linux.state import LinuxState
from routed.model import names
from routed.model.events import KERNEL
from routed.model.facts import Link
from routed.model.net import IPV4, IPV6, parse_address
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Key,
    Kind,
    Value,
)

LINK_LOCAL: Final = parse_address("fe80::")
PROTOCOL_LINK_LOCAL: Final = 3  # IFAPROT_KERNEL_LL
EUI48: Final = 6  # bytes


def add_link(state: LinuxState, name: str, *, is_up: bool = True, ifindex: int = 0, kind: str = "") -> int:
    """A new link; returns its ifindex."""
    ifindex = ifindex or max(state.links, default=0) + 1
    state.put_link(Link(ifindex, name, is_up, has_carrier=is_up, kind=kind))
    return ifindex


def set_up(state: LinuxState, ifindex: int) -> None:
    """``ip link set up``, and a carrier: what the kernel made for its addresses comes back, nothing else does."""
    before = state.links[ifindex]
    state.put_link(before._replace(is_up=True, has_carrier=True))
    known = set(list_made(state, ifindex, IPV6))
    if not (before.is_up and before.has_carrier):
        _make_link_local(state, ifindex)
    made = list_made(state, ifindex, IPV6)
    if not before.is_up:
        make(state, [*list_made(state, ifindex, IPV4), *made])
    elif not before.has_carrier:  # its addresses of IPv6 waited for that, but not their networks
        make(state, [one for one in made if one not in known or is_own(one[0].member)])


def set_down(state: LinuxState, ifindex: int) -> None:
    """``ip link set down``: IPv4 routes go without a word, IPv6 routes and addresses with one."""
    state.put_link(state.links[ifindex]._replace(is_up=False, has_carrier=False))
    _drop(state, ifindex)


def lose_carrier(state: LinuxState, ifindex: int) -> None:
    """Everything stays, but what goes by a nexthop object; ``ignore_routes_with_linkdown`` makes it be passed over."""
    state.put_link(state.links[ifindex]._replace(has_carrier=False))
    flush_nexthops(state, ifindex)


def remove_link(state: LinuxState, ifindex: int) -> None:
    """``ip link delete``: as down, the addresses go with a word, and then the link."""
    link = state.links[ifindex]
    state.links[ifindex] = link._replace(is_up=False, has_carrier=False)
    _drop(state, ifindex)
    for key, value in state.addresses_of(ifindex, IPV6):
        state.take(key, value)
    secondaries = list_all_secondaries(state, ifindex)
    for key, _ in state.addresses_of(ifindex, IPV4):
        # a secondary one whose network has gone leaves the routes that prefer it: fib_del_ifaddr, "prim == NULL"
        take_address(state, key, is_source_forgotten=key not in secondaries)
    for key, value in list(state.routes_over(ifindex)):
        if key.slot.family == IPV6:  # its legs are routes of their own
            take_legs(state, key, value, tuple(hop for hop in value.hops if hop.dev == ifindex), KERNEL)
        else:
            state.take(key, value, is_told=False)
    for port in [one for one in state.links.values() if one.master == ifindex]:
        state.put_link(port._replace(master=0))
    state.links[ifindex] = link
    state.take_link(ifindex)


def _drop(state: LinuxState, ifindex: int) -> None:
    """What does not outlive a link that is down."""
    flush_nexthops(state, ifindex)
    flush_neighbours(state, ifindex)
    for key, value in list(state.routes_over(ifindex)):
        if not is_free_of_link(key.slot.family, value) and all(is_dead(state, hop) for hop in value.hops):
            state.take(key, value, is_told=key.slot.family == IPV6)
    keeps = state.sysctls_of(ifindex).keeps_addresses
    for key, value in state.addresses_of(ifindex, IPV6):
        if not (keeps and value.scope not in {names.LINK, names.HOST} and not value.dynamic):
            state.take(key, value)  # a route that prefers it stays as it is: rt6_remove_prefsrc is not called


def _make_link_local(state: LinuxState, ifindex: int) -> None:
    """A link that becomes ready gets its link-local address, and a place for multicast: addrconf_dev_config."""
    link, sysctls = state.links[ifindex], state.sysctls_of(ifindex)
    if state.is_loopback(ifindex) or not link.has_ipv6 or not sysctls.makes_link_local:
        return
    make_multicast(state, ifindex)
    known = [value for _, value in state.addresses_of(ifindex, IPV6) if value.scope == names.LINK]
    if len(link.mac) == EUI48 and not known:
        address = LINK_LOCAL[:8] + bytes((link.mac[0] ^ 2,)) + link.mac[1:3] + b"\xff\xfe" + link.mac[3:]
        value: Value = AddressValue(PROTOCOL_LINK_LOCAL, names.LINK)
        key = Key(Kind.ADDRESS, AddressSlot(IPV6), AddressMember(ifindex, address, 64))
        state.put(key, [value])
        state.notify(key, value, KERNEL)
