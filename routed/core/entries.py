"""The table of entries: how each kind of entry becomes objects, and what has to be known of the host for that.

Here belongs what is asked of every entry. How one of them is resolved stands in ``resolve`` and ``vip``.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final, NamedTuple

from routed.core.desired import Resolution, Waiting
from routed.core.for_each import need_members, resolve_each
from routed.core.membership import find_roster
from routed.core.needs import (
    NOTHING_NEEDED,
    Needs,
    join_needs,
    need_behind,
    need_for_nexthop,
    need_for_route,
    need_for_rule,
    need_for_selectors,
    need_for_tunnel,
    need_nothing,
    need_own_address,
    need_way,
)
from routed.core.neighbours import resolve_neighbour
from routed.core.nexthops import resolve_nexthop
from routed.core.requirements import START_WITHIN, decide, list_awaited, need_for_requirements
from routed.core.resolve import (
    resolve_address,
    resolve_held_vip,
    resolve_link,
    resolve_route,
    resolve_rule,
    resolve_timeouts,
    resolve_tunnel,
)
from routed.core.services import has_server, list_risen, name_server, need_for_service, resolve_service
from routed.core.vip import resolve_vip
from routed.model.checks import find_failure
from routed.model.entries import (
    AddressEntry,
    EachEntry,
    Entry,
    HeldVipEntry,
    Intent,
    LinkEntry,
    NeighbourEntry,
    NexthopEntry,
    RouteEntry,
    RuleEntry,
    ServiceEntry,
    TimeoutsEntry,
    TunnelEntry,
    VipEntry,
)
from routed.model.facts import FactKey, Facts, Freshness
from routed.model.reasons import NotTold, Outdated, join_reasons
from routed.model.shared import SharedSet


class EntryRow(NamedTuple):
    """What the core must know of a kind of entry."""

    resolve: Callable[[Any, Facts, int], Resolution]  # (entry, facts, our protocol) → objects, or what they wait for
    find_needs: Callable[[Any], Needs] = need_nothing  # what it asks of the host beyond links
    is_announced: bool = False  # are the neighbours told when its addresses come?
    waits_for_itself: bool = (
        False  # does it say itself what of it waits for checks of its parts, and is the rest there?
    )
    find_patience: Callable[[Any], float | None] = lambda _entry: None  # seconds that a part which left it may drain
    # (entry, what it came to, what it comes to) → the names of parts that begin their work, and do it slowly
    list_risen: Callable[[Any, Resolution, Resolution], Iterable[str]] = lambda *_: ()
    list_parts: Callable[[Any], Iterable[str]] = lambda _entry: ()  # that the operator may drain, by their names
    has_part: Callable[[Any, Any, Any], bool] = lambda *_: False  # (entry, slot, member): is it written, wanted or not?


ENTRIES: Final[dict[type[Entry], EntryRow]] = {
    AddressEntry: EntryRow(resolve_address, need_behind),
    EachEntry: EntryRow(resolve_each, need_members),
    HeldVipEntry: EntryRow(resolve_held_vip, need_own_address, is_announced=True),
    LinkEntry: EntryRow(resolve_link),
    NeighbourEntry: EntryRow(resolve_neighbour),
    NexthopEntry: EntryRow(resolve_nexthop, need_for_nexthop),
    RouteEntry: EntryRow(resolve_route, need_for_route),
    RuleEntry: EntryRow(resolve_rule, need_for_rule),
    ServiceEntry: EntryRow(
        resolve_service,
        need_for_service,
        waits_for_itself=True,
        find_patience=attrgetter("drain"),
        list_risen=list_risen,
        list_parts=lambda entry: map(name_server, entry.servers),
        has_part=has_server,
    ),
    TimeoutsEntry: EntryRow(resolve_timeouts),
    TunnelEntry: EntryRow(resolve_tunnel, need_for_tunnel),
    VipEntry: EntryRow(resolve_vip, need_way),
}


def resolve(entry: Entry, facts: Facts, protocol: int) -> Resolution:
    """The objects of ``entry`` on a host of these facts, marked with our ``protocol`` unless it says another one.

    While something that it read is not known yet the entry waits, and what stands of it is left alone.
    """
    row, protocol = ENTRIES[type(entry)], entry.protocol or protocol
    if not entry.conditions:
        found = row.resolve(entry, facts, protocol)
        return _judge_freshness(found, facts, frozenset() if row.waits_for_itself else None) if facts.told else found
    variant, reads, withheld, degraded, note = decide(entry, facts)
    if variant is None:
        return Resolution(entry, reads=reads, withheld=withheld)
    found = row.resolve(variant, facts, protocol)
    notes = join_reasons(one for one in (found.note, note) if one is not None)
    degraded, own = degraded or found.degraded, found.reads
    found = found._replace(entry=entry, reads=found.reads | reads, degraded=degraded, note=notes)
    awaited = list_awaited(entry, facts, has_parts=row.waits_for_itself)
    return _judge_freshness(found, facts, awaited if row.waits_for_itself else awaited | own)


def _judge_freshness(found: Resolution, facts: Facts, awaited: Container[FactKey] | None = None) -> Resolution:
    """``awaited`` are the facts without which all of it waits; None: each that was read."""
    read = {key: facts.told[key] for key in sorted(found.reads & facts.told.keys())}
    loading = {
        key: fact
        for key, fact in read.items()
        if fact.state is Freshness.LOADING and (awaited is None or key in awaited)
    }
    patience = max((fact.since for fact in loading.values()), default=0.0) + START_WITHIN
    if found.entry.when_down and found.entry.when_down.keeps and facts.moment >= patience:
        loading = {}  # nobody knows for so long that it counts as up: the file says that the entry is rather kept
    if loading:
        waiting = [
            Waiting(NotTold(key.what, key.which, find_failure(fact) or find_roster(fact).failure))
            for key, fact in loading.items()
        ]
        sets = tuple(group._replace(value=None, also=()) for group in found.sets)
        again = min(patience, found.again or patience) if found.entry.when_down else found.again
        return found._replace(sets=sets, waiting=(*found.waiting, *waiting), again=again)
    kept = {key: fact.state for key, fact in read.items() if fact.state not in {Freshness.LIVE, Freshness.LOADING}}
    old = [Outdated(key.what, key.which, state) for key, state in kept.items()]
    return found._replace(note=join_reasons([*([found.note] if found.note else []), *old])) if old else found


def note_risen(facts: Facts, before: Resolution, after: Resolution) -> Facts:
    """The facts, with the moment for what begins its work slowly; themselves where nothing does."""
    entry = after.entry
    names = list(ENTRIES[type(entry)].list_risen(entry, before, after))
    if not names:
        return facts
    risen = facts.risen.get(entry.name, {}) | dict.fromkeys(names, facts.moment)
    return facts.put(risen={**facts.risen, entry.name: risen})


def list_parts(entry: Entry) -> list[str]:
    """What of an entry the operator may drain: ``service/api[10.0.0.11:6443]``."""
    return [f"{entry.name}[{part}]" for part in ENTRIES[type(entry)].list_parts(entry)]


def find_needs(intent: Intent) -> Needs:
    """Everything that the entries and selectors of these files have to know."""
    settings = Needs(has_addresses=intent.settings.metrics is not None)  # its address may come
    return join_needs([*_list_needs(intent.entries), need_for_selectors(intent.selectors), settings])


def follow_needs(before: Needs, find_intent: Callable[[], Intent], count: int, moved: Iterable[Entry]) -> Needs:
    """The same after members made some entries otherwise: ``moved`` are those that are no more, and those that are new.

    ``count`` is how many entries there are; all of them are only asked for where that cannot be told from these.
    Gateways are many, and most of them stay. One that nobody asks for any more is known for a while yet: until there
    are twice as many as there are entries.
    """
    some = join_needs(list(_list_needs(moved)))
    has_parts = some.has_parts and not before.has_parts
    rest = replace(
        some, gateways=frozenset(), has_addresses=False, has_parts=has_parts, facts=some.facts - before.facts
    )
    if rest != NOTHING_NEEDED or len(before.gateways) > 2 * count:
        return find_needs(find_intent())
    if all(one in before.gateways for one in some.gateways) and (before.has_addresses or not some.has_addresses):
        return before
    return replace(
        before,
        gateways=SharedSet.of(before.gateways).add(one for one in some.gateways if one not in before.gateways),
        has_addresses=before.has_addresses or some.has_addresses,
    )


def _list_needs(entries: Iterable[Entry]) -> Iterator[Needs]:
    for entry in entries:
        yield ENTRIES[type(entry)].find_needs(entry)
        if entry.conditions:
            yield need_for_requirements(entry)
