"""Draining: a server that no entry wants any more gets no new connections, and goes when it has none.

It is no queue: what leaves is found anew in each pass, as what is ours and wanted by no entry. Only when that began is
remembered, so that a restart keeps the deadline; a server that comes back into the files is simply wanted again. Where
a whole service leaves, it stays until its servers have gone, and so does the way to its address: the packets of what is
connected come by it.

Here must never live: how connections are counted, where a deadline is kept, or what weight 0 is (``kinds.ipvs``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from routed.core.desired import scope_of
from routed.core.entries import ENTRIES
from routed.core.kinds import KINDS
from routed.model.change import Drift, Nature, Operation, Refusal, Verb, Want
from routed.model.drain import NOTHING_LEAVES, Drain, Leaving, Stay
from routed.model.entries import DEFAULT_DRAIN, Entry
from routed.model.ipvs import Traffic
from routed.model.objects import Key, Kind, Member, Scope, Slot, Value
from routed.model.reasons import Draining

# Seconds from weight 0 until the count of connections is believed: whoever had begun to connect has by then.
GRACE: Final = 1.0

Counted = Mapping[Any, Traffic]  # by member
Count = Callable[[Any], tuple[Traffic, Counted]]  # slot → of the whole, and of each that stands in it; raises OSError


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known when it is decided who may go."""

    booted: float  # CLOCK_BOOTTIME now
    unix: float  # the same moment as Unix time
    is_full: bool  # does the pass look at everything?
    drains: Mapping[Key, Drain]  # those that were begun
    counted: Mapping[Slot, Counted]  # what is connected; what could not be asked is not there
    find_want: Callable[[Key], Want | None]  # who wants this now
    find_patience: Callable[[Key], float | None]  # how long what stands in this may drain, as the last entry said
    is_withdrawn: Callable[[Kind, Slot, tuple[Member, ...]], bool]  # does its entry not want it just now?
    displaced: Mapping[Key, object] = field(default_factory=dict)  # what ours took the place of
    scopes: frozenset[Scope] = frozenset()  # everything in these was looked at
    unread: frozenset[Scope] = frozenset()  # what these show is not known

    def knows(self, key: Key) -> bool:
        """Was it looked at whether this stands? A full pass looks at everything that is ours."""
        scope = scope_of(key.kind, key.slot)
        return scope in self.scopes or (self.is_full and scope not in self.unread)


def list_places(drifts: Iterable[Drift]) -> list[Slot]:
    """The slots of what may drain, each once: of these it has to be counted what is connected."""
    return list(dict.fromkeys(key.slot for key, _ in _list_parts(drifts)))


def find_leaving(drifts: Iterable[Drift], outlook: Outlook) -> Leaving:
    """What of that which no entry wants stays for now, and what stays with it."""
    given = [drift for drift in drifts if drift.nature is Nature.SURPLUS]
    wholes = {
        Key(drift.kind, drift.slot, member): drift.standing[0]
        for drift in given
        if KINDS[drift.kind].has_parts
        for member in drift.members
    }
    stays: dict[Key, Stay] = {}
    over: dict[Key, bool] = {}
    drains = {key: drain for key, drain in outlook.drains.items() if not outlook.knows(key)}
    parts = dict(_list_parts(given))
    for key, value in parts.items():
        if _goes_at_once(key, wholes, outlook):
            continue
        begun = _begin(key, value)
        drain = _find_drain(key, outlook, is_begun=begun is None)
        if isinstance(drain, bool):
            over[key] = drain
        elif drain is not None:
            drains[key] = drain
            stays[key] = Stay(Draining(drain.ends), begun, is_new=key not in outlook.drains)
    taken = (key for key in outlook.drains.keys() - parts.keys() - drains.keys() if _leaves_as_whole(key, outlook))
    over |= dict.fromkeys(taken, True)  # by somebody else
    if not (drains or over):
        return NOTHING_LEAVES
    last = [] if outlook.is_full else _list_last(over, drains, outlook)
    for key in last:  # a whole goes after the way to it: these stay until a pass sees both
        del over[key]
        drains[key] = outlook.drains[key]
        stays[key] = Stay(Draining(drains[key].ends))
    for key, some in _list_bound(drains, given, wholes, outlook).items():
        is_new = any(one not in outlook.drains for one in some)
        stays[key] = Stay(Draining(max(drains[one].ends for one in some)), is_new=is_new)
    for key, some in _list_bound(list(over), given, wholes, outlook).items():
        if key not in stays:
            over[key] = all(over[one] for one in some)
    return Leaving(stays, over, drains, is_held_up=bool(last))


def begin_drains(staying: Iterable[Refusal], leaving: Leaving) -> Iterator[Operation]:
    """What is asked of the kernel for those of these that drain from now on."""
    for drift, reason, _ in staying:
        alike: defaultdict[Value, list[Member]] = defaultdict(list)
        for member in drift.members:
            value = leaving.stays[Key(drift.kind, drift.slot, member)].value
            if value is not None:
                alike[value].append(member)
        for value, members in alike.items():
            before, nature = drift.standing[0], Nature.SURPLUS
            yield Operation(Verb.REPLACE, drift.kind, drift.slot, tuple(members), value, None, reason, before, nature)


def find_next(drains: Mapping[Key, Drain], booted: float) -> float | None:
    """In how many seconds one of these may be over without that anything is connected or closed."""
    moments = (moment for one in drains.values() for moment in (one.since + GRACE, one.until) if moment > booted)
    return min((moment - booted for moment in moments), default=None)


def list_patience(entries: Iterable[tuple[Entry, Iterable[Key]]]) -> dict[Key, float]:
    """How long what stands in an object may drain, by its key; of entries and all that they want."""
    found = ((ENTRIES[type(entry)].find_patience(entry), keys) for entry, keys in entries)
    return {key: one for one, keys in found if one is not None for key in keys if KINDS[key.kind].has_parts}


def whole_of(kind: Kind, slot: Slot) -> Key | None:
    """In what an object stands that may drain; None of any other."""
    row = KINDS[kind]
    return row.find_whole(slot) if row.drain and row.find_whole else None


def _list_parts(drifts: Iterable[Drift]) -> Iterator[tuple[Key, Value]]:
    """What leaves and may drain, and its content."""
    for drift in drifts:
        if drift.nature is Nature.SURPLUS and KINDS[drift.kind].drain:
            yield from ((Key(drift.kind, drift.slot, member), drift.standing[0]) for member in drift.members)


def _begin(key: Key, value: Value) -> Value | None:
    drain = KINDS[key.kind].drain
    assert drain is not None
    return drain.begin(value)


def _goes_at_once(key: Key, wholes: Mapping[Key, Value], outlook: Outlook) -> bool:
    """Would weight 0 do no good, or does something else say when it goes?"""
    whole, drain = whole_of(key.kind, key.slot), KINDS[key.kind].drain
    assert whole is not None
    assert drain is not None
    want = outlook.find_want(whole)
    return (
        not drain.may(key.slot, want.value if want else wholes.get(whole))
        or (want is not None and ENTRIES[type(want.entry)].has_part(want.entry, key.slot, key.member))
        or key in outlook.displaced  # somebody else has the place again
        or outlook.is_withdrawn(key.kind, key.slot, (key.member,))
    )


def _find_drain(key: Key, outlook: Outlook, *, is_begun: bool) -> Drain | bool | None:
    """Its drain; or that it is over, with whether nothing is connected; None where it needs none."""
    traffic = (outlook.counted.get(key.slot) or {}).get(key.member)
    drain = outlook.drains.get(key)
    if drain is not None and is_begun:
        if outlook.booted >= drain.until:
            return False
        is_empty = traffic is not None and not (traffic.active or traffic.persistent)
        return True if is_empty and outlook.booted >= drain.since + GRACE else drain
    if drain is not None and outlook.booted < drain.until:
        return drain
    patience = _find_patience(key, outlook)
    if not patience or (traffic is not None and not any((traffic.active, traffic.inactive, traffic.persistent))):
        return None
    return Drain(outlook.booted, outlook.booted + patience, round(outlook.unix + patience))


def _find_patience(key: Key, outlook: Outlook) -> float:
    whole = whole_of(key.kind, key.slot)
    assert whole is not None
    want = outlook.find_want(whole)
    said = ENTRIES[type(want.entry)].find_patience(want.entry) if want else outlook.find_patience(whole)
    return DEFAULT_DRAIN if said is None else said


def _list_last(over: Iterable[Key], drains: Iterable[Key], outlook: Outlook) -> list[Key]:
    """The last that drained of what leaves as a whole."""
    lasting = {whole_of(key.kind, key.slot) for key in drains}
    return [key for key in over if whole_of(key.kind, key.slot) not in lasting and _leaves_as_whole(key, outlook)]


def _leaves_as_whole(key: Key, outlook: Outlook) -> bool:
    """Does no entry want that in which it stands?"""
    whole = whole_of(key.kind, key.slot)
    return whole is not None and outlook.find_want(whole) is None


def _list_bound(
    parts: Iterable[Key], drifts: Iterable[Drift], wholes: Mapping[Key, Value], outlook: Outlook
) -> dict[Key, list[Key]]:
    """What leaves with these: that in which they stand, and, where that leaves as a whole, each way to it."""
    bound: defaultdict[Key, list[Key]] = defaultdict(list)
    places: defaultdict[bytes, list[Key]] = defaultdict(list)
    for key in parts:
        whole, drain = whole_of(key.kind, key.slot), KINDS[key.kind].drain
        assert whole is not None
        assert drain is not None
        if whole in wholes:
            bound[whole].append(key)
        if (place := drain.find_place(whole.member)) and outlook.find_want(whole) is None:
            places[place].append(key)
    for drift in drifts if places else ():
        for member in drift.members:
            for place in _list_ways(drift, member):
                if place in places and not outlook.is_withdrawn(drift.kind, drift.slot, (member,)):
                    bound[Key(drift.kind, drift.slot, member)] += places[place]
    return bound


def _list_ways(drift: Drift, member: Member) -> list[bytes]:
    """The prefixes to which an object is a way."""
    row = KINDS[drift.kind]
    return [row.find_place(drift.slot, member), *row.list_made(drift.slot, member)]
