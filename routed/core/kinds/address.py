"""Addresses: of the host, and those of VIPs that it holds."""

from __future__ import annotations

from collections.abc import Iterable

from routed.core.kinds.cures import Ours, add_or_delete, operate, wanted_of
from routed.model.change import Cause, Drift, Nature, Operation, Verb, Want
from routed.model.events import KERNEL
from routed.model.net import IPV4
from routed.model.objects import AddressMember, AddressSlot, AddressValue
from routed.model.reasons import Reason, Sign


def judge_address(_slot: AddressSlot, want: Want, standing: tuple[AddressValue, ...], ours: Ours) -> Nature | None:
    """One address stands under a key, never more."""
    if not standing:
        return Nature.MISSING
    if standing[0] == want.value:
        return Nature.IN_FRONT if want.is_in_front else None
    return Nature.DIFFERENT if standing[0].protocol in ours else Nature.FOREIGN


def cure_address(drift: Drift, _ours: Ours) -> list[Operation]:
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


def is_mark_alone(drift: Drift) -> bool:
    """Does an IPv4 address stand as wanted, but under another protocol?

    Before Linux 6.4 it keeps the one that it was made with, whatever a replace says ("net: ipv4: Allow changing IPv4
    address protocol", March 2023).
    """
    if drift.slot.family != IPV4 or not drift.want or not drift.standing:
        return False
    wanted = drift.want.value
    return (
        wanted is not None
        and not drift.want.is_in_front
        and drift.standing[0]._replace(protocol=wanted.protocol) == wanted
    )


def find_links_of_addresses(members: Iterable[AddressMember], _values: Iterable[AddressValue]) -> set[int]:
    """An address belongs to a link, which is part of its key."""
    return {member.dev for member in members}


def blame_kernel_for_address(slot: AddressSlot, value: AddressValue, reason: Reason) -> Cause:
    """An IPv4 address goes by itself when its lifetime is over; of an IPv6 one nobody can tell."""
    if slot.family != IPV4:
        return Cause(None, Sign.UNTOLD)
    return Cause(KERNEL, Sign.EXPIRED if value.dynamic else reason)
