"""Which entries are for an address: those with a prefix, a network or a VIP that holds it.

Pure. By their objects where these are known, and by what is written where an entry comes to none just now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from routed.core.desired import ObjectSet, Resolution
from routed.core.kinds import KINDS
from routed.model.entries import AddressEntry, Entry, HeldVipEntry, RouteEntry, RuleEntry, ServiceEntry, VipEntry
from routed.model.net import family_of, is_inside, network_of
from routed.model.objects import Key, Member


def find_holding(resolution: Resolution, address: bytes) -> list[Key] | None:
    """The objects of an entry that are for a packed address; None where the entry has nothing to do with it."""
    held = [Key(group.kind, group.slot, member) for group in resolution.sets for member in _find(group, address)]
    if held or not _is_written_for(resolution.entry, address):
        return held or None
    return []


def _find(group: ObjectSet, address: bytes) -> Iterator[Member]:
    row = KINDS[group.kind]
    if row.are_prefixes:  # there may be a million
        yield from (prefix for prefix in list_widening(address) if prefix in group.members)
        return
    for member in sorted(group.members):
        if any(is_inside(address, prefix) for prefix in row.list_prefixes(group.slot, member)):
            yield member


@lru_cache(maxsize=2)  # every entry asks for that of the one address
def list_widening(address: bytes) -> tuple[bytes, ...]:
    """Every prefix that holds an address, the narrowest first."""
    return tuple(network_of(address, length) for length in range(len(address) * 8, -1, -1))


def _is_written_for(entry: Entry, address: bytes) -> bool:
    is_for = WRITTEN.get(type(entry))
    return is_for is not None and is_for(entry, address)


def _is_route_for(entry: RouteEntry, address: bytes) -> bool:
    prefixes = entry.prefixes.get(family_of(address), frozenset())
    return any(prefix in prefixes for prefix in list_widening(address))


def _is_vip_for(entry: VipEntry, address: bytes) -> bool:
    return is_inside(address, entry.prefix)


def _is_address_for(entry: AddressEntry, address: bytes) -> bool:
    return is_inside(address, network_of(entry.address, entry.prefixlen))


def _is_rule_for(entry: RuleEntry, address: bytes) -> bool:
    return any(prefix and is_inside(address, prefix) for prefix in (entry.rule.source, entry.rule.destination))


def _is_service_for(entry: ServiceEntry, address: bytes) -> bool:
    return address in {*(listen.address for listen in entry.listens), *(server.address for server in entry.servers)}


# Is what is written in an entry for an address?
WRITTEN: Final[dict[type[Entry], Callable[[Any, bytes], bool]]] = {
    AddressEntry: _is_address_for,
    HeldVipEntry: _is_address_for,
    RouteEntry: _is_route_for,
    RuleEntry: _is_rule_for,
    ServiceEntry: _is_service_for,
    VipEntry: _is_vip_for,
}
