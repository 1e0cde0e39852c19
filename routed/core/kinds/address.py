"""Addresses: of the host, and those of VIPs that it holds."""

from __future__ import annotations

from collections.abc import Iterable

from routed.core.kinds.cures import add_or_delete, operate, wanted_of
from routed.model.change import Cause, Drift, Nature, Operation, Verb, Want
from routed.model.events import KERNEL
from routed.model.net import IPV4, host_prefix, network_of
from routed.model.objects import AddressMember, AddressSlot, AddressValue
from routed.model.owner import Stamp
from routed.model.reasons import Reason, Sign


def judge_address(_slot: AddressSlot, want: Want, standing: tuple[AddressValue, ...], stamp: Stamp) -> Nature | None:
    """One address stands under a key, never more."""
    if not standing:
        return Nature.MISSING
    if standing[0] == want.value:
        return Nature.IN_FRONT if want.is_in_front else None
    return Nature.DIFFERENT if stamp(standing[0]).is_ours else Nature.FOREIGN


def cure_address(drift: Drift, _stamp: Stamp) -> list[Operation]:
    """Lifetimes, metric and protocol can be replaced in place; the rest and the place among others cannot."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return add_or_delete(drift)
    (before,) = drift.standing
    wanted: AddressValue = wanted_of(drift)
    in_place = before._replace(
        protocol=wanted.protocol, metric=wanted.metric, deprecated=wanted.deprecated, dynamic=wanted.dynamic
    )
    is_in_place = in_place == wanted and not (drift.want and drift.want.is_in_front)
    verb = Verb.REPLACE if is_in_place else Verb.CHANGE
    return [operate(verb, drift, before)]


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
