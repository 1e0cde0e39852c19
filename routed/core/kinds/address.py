"""Addresses: of the host, and those of VIPs that it holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from routed.core.kinds.cures import add_or_delete, is_as_wanted, operate, take_away, wanted_of
from routed.core.kinds.lines import Line
from routed.model.change import Cause, Drift, Nature, Operation, Verb, Want
from routed.model.events import KERNEL
from routed.model.names import IFA_OPTIMISTIC
from routed.model.net import IPV4, IPV6, host_prefix, network_of
from routed.model.objects import AddressMember, AddressSlot, AddressValue
from routed.model.owner import Stamp
from routed.model.reasons import Flaw, Reason, Sign


def judge_address(_slot: AddressSlot, want: Want, standing: tuple[AddressValue, ...], stamp: Stamp) -> Nature | None:
    """One address stands under a key, never more."""
    if not standing:
        return Nature.MISSING
    if is_as_wanted(standing[0], want):
        return Nature.IN_FRONT if want.is_in_front else None
    return Nature.DIFFERENT if stamp(standing[0]).is_ours else Nature.FOREIGN


def cure_address(drift: Drift, _stamp: Stamp) -> list[Operation]:
    """Lifetimes, metric and protocol can be replaced in place; the rest and the place among others cannot."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return add_or_delete(drift)
    (before,) = drift.standing
    if drift.nature is Nature.OUT_OF_ORDER:
        is_first = bool(drift.others) and drift.others[0].member == drift.members[0]
        # the first one goes before any is put, since the others may go with it
        return [*([take_away(drift, before)] if is_first else []), operate(Verb.CHANGE, drift, before)]
    is_in_front = drift.want is not None and drift.want.is_in_front
    verb = Verb.CHANGE if is_in_front else choose_verb_for_address(before, wanted_of(drift))
    operation = operate(verb, drift, before)
    if verb is Verb.REPLACE:  # one that stands would keep the flag, and never be preferred as a source
        operation = operation._replace(value=_without_optimism(operation.value))
    return [operation._replace(reason=Flaw.DUPLICATE) if before.has_failed else operation]


def _without_optimism(value: AddressValue) -> AddressValue:
    return value._replace(flags=value.flags & ~IFA_OPTIMISTIC)


def choose_verb_for_address(before: AddressValue, wanted: AddressValue) -> Verb:
    """By which one address takes the place of the other."""
    wanted = _without_optimism(wanted)
    in_place = before._replace(
        protocol=wanted.protocol, metric=wanted.metric, deprecated=wanted.deprecated, dynamic=wanted.dynamic
    )
    return Verb.REPLACE if in_place == wanted else Verb.CHANGE


def find_links_of_addresses(members: Iterable[AddressMember], _values: Iterable[AddressValue]) -> set[int]:
    """An address belongs to a link, which is part of its key."""
    return {member.dev for member in members}


def blame_kernel_for_address(slot: AddressSlot, value: AddressValue, reason: Reason) -> Cause:
    """An IPv4 address goes by itself when its lifetime is over; of an IPv6 one nobody can tell."""
    if slot.family != IPV4:
        return Cause(None, Sign.UNTOLD)
    return Cause(KERNEL, Sign.EXPIRED if value.dynamic else reason)


def place_of_address(_slot: AddressSlot, member: AddressMember) -> bytes:
    """The kernel routes to the network of an address, and to the address itself, which lies in it."""
    return network_of(member.address, member.prefixlen)


def list_routes_of_address(_slot: AddressSlot, member: AddressMember) -> tuple[bytes, ...]:
    """The prefixes of the routes that the kernel makes for an address."""
    return network_of(member.address, member.prefixlen), host_prefix(member.address)


def _network_on_link(member: AddressMember) -> tuple[int, bytes]:
    return member.dev, network_of(member.address, member.prefixlen)


def _address_of(member: AddressMember) -> bytes:
    return member.address


def _is_ipv6(slot: AddressSlot) -> bool:
    return slot.family == IPV6


def _has_primary(slot: AddressSlot) -> bool:
    return slot.family == IPV4


# Of the addresses of one network the host speaks from the first. A new IPv4 one goes behind the others, as a secondary
# that goes with the first one unless promote_secondaries is 1 (__inet_insert_ifa and __inet_del_ifa in
# net/ipv4/devinet.c), an IPv6 one in front of them (ipv6_link_dev_addr in net/ipv6/addrconf.c).
ADDRESSES_IN_LINE: Final = Line(
    of=_network_on_link, is_newest_first=_is_ipv6, falls_with_first=_has_primary, address=_address_of
)


def list_prefixes_of_address(_slot: AddressSlot, member: AddressMember) -> tuple[bytes, ...]:
    """The network that it is in."""
    return (network_of(member.address, member.prefixlen),)
