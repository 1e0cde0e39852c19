"""The table of entries: how each kind of entry becomes objects, and what has to be known of the host for that.

Here belongs what is asked of every entry. How one of them is resolved stands in ``resolve`` and ``vip``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from routed.core.desired import Resolution, Waiting
from routed.core.needs import (
    Needs,
    join_needs,
    need_behind,
    need_for_route,
    need_for_rule,
    need_for_selectors,
    need_nothing,
    need_own_address,
    need_way,
)
from routed.core.requirements import START_WITHIN, decide, need_for_requirements
from routed.core.resolve import resolve_address, resolve_held_vip, resolve_link, resolve_route, resolve_rule
from routed.core.services import need_for_service, resolve_service
from routed.core.vip import resolve_vip
from routed.model.checks import find_failure
from routed.model.entries import (
    AddressEntry,
    Entry,
    HeldVipEntry,
    Intent,
    LinkEntry,
    RouteEntry,
    RuleEntry,
    ServiceEntry,
    VipEntry,
)
from routed.model.facts import Facts, Freshness
from routed.model.reasons import NotTold, Outdated, join_reasons


class EntryRow(NamedTuple):
    """What the core must know of a kind of entry."""

    resolve: Callable[[Any, Facts, int], Resolution]  # (entry, facts, our protocol) → objects, or what they wait for
    find_needs: Callable[[Any], Needs] = need_nothing  # what it asks of the host beyond links
    is_announced: bool = False  # are the neighbours told when its addresses come?
    waits_for_itself: bool = False  # does it say itself what of it waits for checks, and is the rest there meanwhile?


ENTRIES: Final[dict[type[Entry], EntryRow]] = {
    AddressEntry: EntryRow(resolve_address, need_behind),
    HeldVipEntry: EntryRow(resolve_held_vip, need_own_address, is_announced=True),
    LinkEntry: EntryRow(resolve_link),
    RouteEntry: EntryRow(resolve_route, need_for_route),
    RuleEntry: EntryRow(resolve_rule, need_for_rule),
    ServiceEntry: EntryRow(resolve_service, need_for_service, waits_for_itself=True),
    VipEntry: EntryRow(resolve_vip, need_way),
}


def resolve(entry: Entry, facts: Facts, protocol: int) -> Resolution:
    """The objects of ``entry`` on a host of these facts, marked with our ``protocol``.

    While something that it read is not known yet the entry waits, and what stands of it is left alone.
    """
    row = ENTRIES[type(entry)]
    if not entry.conditions:
        found = row.resolve(entry, facts, protocol)
        return _judge_freshness(found, facts) if facts.told else found
    variant, reads, withheld, degraded, note = decide(entry, facts)
    if variant is None:
        return Resolution(entry, reads=reads, withheld=withheld)
    found = row.resolve(variant, facts, protocol)
    notes = join_reasons(one for one in (found.note, note) if one is not None)
    degraded = degraded or found.degraded
    found = found._replace(entry=entry, reads=found.reads | reads, degraded=degraded, note=notes)
    return found if row.waits_for_itself else _judge_freshness(found, facts)


def _judge_freshness(found: Resolution, facts: Facts) -> Resolution:
    read = {key: facts.told[key] for key in sorted(found.reads & facts.told.keys())}
    loading = {key: fact for key, fact in read.items() if fact.state is Freshness.LOADING}
    patience = max((fact.since for fact in loading.values()), default=0.0) + START_WITHIN
    if found.entry.when_down and found.entry.when_down.keeps and facts.moment >= patience:
        loading = {}  # nobody knows for so long that it counts as up: the file says that the entry is rather kept
    if loading:
        waiting = [Waiting(NotTold(key.what, key.which, find_failure(fact))) for key, fact in loading.items()]
        sets = tuple(group._replace(value=None, also=()) for group in found.sets)
        again = min(patience, found.again or patience) if found.entry.when_down else found.again
        return found._replace(sets=sets, waiting=(*found.waiting, *waiting), again=again)
    kept = {key: fact.state for key, fact in read.items() if fact.state not in {Freshness.LIVE, Freshness.LOADING}}
    old = [Outdated(key.what, key.which, state) for key, state in kept.items()]
    return found._replace(note=join_reasons([*([found.note] if found.note else []), *old])) if old else found


def find_needs(intent: Intent) -> Needs:
    """Everything that the entries and selectors of these files have to know."""
    parts = [ENTRIES[type(entry)].find_needs(entry) for entry in intent.entries]
    required = [need_for_requirements(entry) for entry in intent.entries if entry.conditions]
    return join_needs([*parts, *required, need_for_selectors(intent.selectors)])
