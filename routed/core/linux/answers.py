"""What the kernel says of the host, worked out from its state: as ``daemon.ports.HostKernel`` asks it.

Here must never live: what is asked, or what an answer means. What it leaves out: which source IPv6 prefers by RFC 6724
beyond the longest match, neighbours, and exceptions of routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from routed.core.linux.lookup import is_leg_usable, look_up
from routed.core.linux.routes import LINK_LOCAL
from routed.core.linux.state import LinuxState
from routed.model import names
from routed.model.facts import GatewayLink, Way
from routed.model.lookup import Flow, Question
from routed.model.net import ADDRESS_LENGTH, IPV4, IPV6, family_of, is_inside, network_of
from routed.model.objects import AddressMember, AddressValue, Hop, Kind, RouteSlot, Standing

ZEROS: Final = {
    family: tuple(bytes(width) + bytes((length,)) for length in range(width * 8 + 1))
    for family, width in ADDRESS_LENGTH.items()
}

LegInUse = tuple[Standing, Hop]


def locate_gateways(
    state: LinuxState, wanted: Iterable[bytes], own: Mapping[bytes, int], before: Mapping[bytes, int]
) -> dict[bytes, GatewayLink]:
    """The link of each gateway by table main; what that does not reach is absent, as is a link-local one."""
    located: dict[bytes, GatewayLink] = {}
    for gateway in wanted:
        if gateway in own:
            located[gateway] = GatewayLink(own[gateway], is_onlink=True)
        elif (held := _find_on(state, gateway, before.get(gateway, 0))) is not None:
            located[gateway] = held
        elif not is_inside(gateway, LINK_LOCAL) and (where := _locate(state, gateway)) is not None:
            located[gateway] = where
    return located


def _locate(state: LinuxState, gateway: bytes) -> GatewayLink | None:
    answer = _find_way(state, Question(gateway))
    if answer is None:
        return None
    route, hop = answer
    assert isinstance(route.slot, RouteSlot)
    if route.slot.table == names.TABLE_MAIN:
        return GatewayLink(hop.dev, not hop.gateway)
    found = (_find_on(state, gateway, dev) for dev in state.links)
    return next((one for one in found if one is not None), None)


def _find_on(state: LinuxState, gateway: bytes, dev: int) -> GatewayLink | None:
    """Where table main has it on-link, if only this link counts."""
    link = state.links.get(dev)
    if link is None or not link.is_up:
        return None
    answer = _find_way(state, Question(gateway, Flow(oif=link.name)))
    if answer is None:
        return None
    route, hop = answer
    assert isinstance(route.slot, RouteSlot)
    return GatewayLink(dev, True) if route.slot.table == names.TABLE_MAIN and not hop.gateway else None


def _find_way(state: LinuxState, question: Question) -> LegInUse | None:
    """The route by which packets of this host go there, and the first leg of it that can be used."""
    winner = look_up(state, question, {}).winner
    family = family_of(question.destination)
    if winner is None or winner.value.type not in {names.UNICAST, names.LOCAL}:
        return None
    for hop in winner.value.hops:
        if is_leg_usable(state, family, winner.value, hop) and question.flow.oif in {"", state.links[hop.dev].name}:
            return winner, hop
    return None


def look_up_ways(state: LinuxState, addresses: Iterable[bytes]) -> dict[bytes, Way]:
    """How packets of this host to each address go: link, gateway, source, and the route that is used."""
    found: dict[bytes, Way] = {}
    for address in addresses:
        if (answer := _find_way(state, Question(address))) is not None:
            winner, hop = answer
            is_local = winner.value.type == names.LOCAL
            source = winner.value.src or (address if is_local else _choose_source(state, hop, address))
            found[address] = Way(hop.dev, hop.gateway, source, winner.value.type, winner)
    return found


def _choose_source(state: LinuxState, hop: Hop, address: bytes) -> bytes:
    """inet_select_addr in net/ipv4/devinet.c, and the longest match of RFC 6724 for IPv6."""
    family, towards = family_of(address), hop.gateway or address
    here = list(_list_sources(state, hop.dev, family))
    if family == IPV4:
        for member, _ in here:
            if is_inside(towards, _network(member)):
                return member.address
        if here:
            return here[0][0].address
        others = (one for dev in state.links for one in _list_sources(state, dev, family))
        return next((member.address for member, _ in others), b"")
    fit = [one for one in here if (one[1].scope == names.LINK) is is_inside(address, LINK_LOCAL)] or here
    fit = [one for one in fit if not one[1].deprecated] or fit
    return max((member.address for member, _ in fit), key=lambda own: _count_alike(own, address), default=b"")


def _list_sources(state: LinuxState, dev: int, family: int) -> Iterator[tuple[AddressMember, AddressValue]]:
    for key, value in state.addresses_of(dev, family):
        assert isinstance(key.member, AddressMember)
        if family == IPV6 or value.scope < names.LINK:
            yield key.member, value


def _network(member: AddressMember) -> bytes:
    return network_of(member.address, member.prefixlen)


def _count_alike(one: bytes, other: bytes) -> int:
    """The number of leading bits that two addresses have in common."""
    differing = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return len(one) * 8 - differing.bit_length()


def read_default_routes(state: LinuxState) -> tuple[Standing, ...]:
    """The routes to destination zero, of any length: of table main for IPv4, of all tables for IPv6."""
    return tuple(
        Standing(slot, prefix, state.show(value))
        for slot, members in state.objects[Kind.ROUTE].items()
        if isinstance(slot, RouteSlot) and (slot.family == IPV6 or slot.table == names.TABLE_MAIN)
        for prefix in ZEROS[slot.family]
        for value in members.get(prefix, ())
    )


def read_kernel_routes(state: LinuxState) -> tuple[Standing, ...]:
    """The routes that the kernel made itself, of both families, in all tables."""
    return tuple(one for one in state.stand(Kind.ROUTE) if one.value.protocol == names.PROTOCOL_KERNEL)
