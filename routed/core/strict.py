"""Strict: what the files name, and this host does not have: it can never come true here, but by somebody's hand.

For whoever checks files before they go to this host. For the daemon it is only something to wait for. What the files
themselves make, a link or an address, is no such thing, for it comes. Pure: facts in, reasons out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from routed.core.desired import Resolution
from routed.core.entries import ENTRIES
from routed.core.prospects import is_absent, is_error
from routed.core.references import is_reference
from routed.model.entries import AddressEntry, Entry, LinkEntry, RouteEntry, RuleEntry
from routed.model.facts import Facts
from routed.model.names import TABLES
from routed.model.net import is_inside, network_of
from routed.model.reasons import NoLink, NoRoutes, OffNetwork, Reason, Unusable

CONDITIONAL: Final = (RouteEntry, RuleEntry, AddressEntry)  # what they stand on is looked at whatever their checks say


class Brought(NamedTuple):
    """What the files themselves bring."""

    links: frozenset[str]
    addresses: frozenset[bytes]
    networks: frozenset[bytes]
    tables: frozenset[int]

    @classmethod
    def by(cls, entries: Collection[Entry]) -> Brought:
        """What these entries bring."""
        held = [entry for entry in entries if isinstance(entry, AddressEntry)]
        return cls(
            frozenset(entry.link for entry in entries if isinstance(entry, LinkEntry)),
            frozenset(entry.address for entry in held),
            frozenset(network_of(entry.address, entry.prefixlen) for entry in held),
            frozenset(entry.table for entry in entries if isinstance(entry, RouteEntry)),
        )


def list_open_tables(entries: Collection[Entry]) -> frozenset[int]:
    """The tables that rules look in and no route of the files is in; those of the kernel are always there."""
    asked = {entry.rule.table for entry in entries if isinstance(entry, RuleEntry) and not entry.rule.l3mdev}
    return frozenset(asked - {0} - TABLES.keys() - Brought.by(entries).tables)


def find_impossible(
    resolutions: Mapping[str, Resolution], facts: Facts, protocol: int, empty_tables: Collection[int]
) -> Iterator[tuple[Entry, Reason]]:
    """Every entry that names what is not here, with the reasons. ``empty_tables`` have no route at all."""
    made = Brought.by([resolution.entry for resolution in resolutions.values()])
    for resolution in resolutions.values():
        entry = resolution.entry
        if entry.conditions and isinstance(entry, CONDITIONAL):
            resolution = ENTRIES[type(entry)].resolve(  # noqa: PLW2901  the same, unconditionally
                entry, facts, entry.protocol or protocol
            )
        reasons = [one.reason for one in resolution.waiting if is_error(one.reason) or is_absent(one.reason)]
        if isinstance(entry, RuleEntry):
            reasons += _judge_rule(entry, facts, empty_tables)
        for reason in dict.fromkeys(reasons):
            if not _is_made(reason, made):
                yield entry, reason


def _judge_rule(entry: RuleEntry, facts: Facts, empty_tables: Collection[int]) -> Iterator[Reason]:
    """The kernel takes a rule about a link that is not there, and one into a table with nothing in it."""
    for word in (entry.rule.iif, entry.rule.oif):
        if word and not is_reference(word) and facts.link_named(word) is None:
            yield NoLink(word)
    if entry.rule.table in empty_tables:
        yield NoRoutes(entry.rule.table)


def _is_made(reason: Reason, made: Brought) -> bool:
    if isinstance(reason, NoLink):
        return reason.link in made.links
    if isinstance(reason, OffNetwork):
        return any(is_inside(reason.gateway, network) for network in made.networks)
    return isinstance(reason, Unusable) and reason.address in made.addresses


def list_names(facts: Facts) -> Iterable[str]:
    """The links that there are, for whoever misspelt one."""
    return (name for link in facts.links.values() for name in (link.name, *link.altnames))
