"""Membership: what becomes of a snapshot of a source, and of a source that says nothing.

Whoever comes is a member at once. Who goes stays as long as the file says, and where too many would go at once nobody
does until the operator says so. An error is never an empty list. Pure: the moment is passed in. Here must never live:
how a source is asked (``members``), or what follows from a member (``for_each``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import floor
from typing import Final

from routed.model.entries import Entry
from routed.model.facts import Fact, Facts
from routed.model.members import (
    NOBODY_PRESENT,
    NOTHING_CLAIMED,
    Broken,
    Member,
    MemberSource,
    Present,
    Roster,
    Snapshot,
    key_of,
)
from routed.model.net import contains, is_inside, is_loopback
from routed.model.reasons import ManyGone, Reason, Standstill
from routed.model.shared import Shared

NOBODY: Final = Roster()
AT_ONCE: Final = 60.0  # seconds; who goes within so long of each other goes at once


def admit(member: Member, source: MemberSource) -> tuple[Member, Broken | None]:
    """The member without what the file does not allow it to tell, and what that was."""
    addresses = tuple(one for one in member.addresses if _may_be(one, source.addresses_within))
    prefixes = tuple(
        one for one in member.prefixes if one[-1] and any(contains(wide, one) for wide in source.prefixes_within)
    )
    outside = (*(one for one in member.addresses if one not in addresses),
               *(one for one in member.prefixes if one not in prefixes))  # fmt: skip
    if not outside:
        return member, None
    return member._replace(addresses=addresses, prefixes=prefixes), Broken(member.name, outside=outside)


def _may_be(address: bytes, within: Iterable[bytes]) -> bool:
    """Is it in one of these, and can it be that of one host?"""
    is_of_none = is_loopback(address) or not any(address) or is_multicast(address) or address == b"\xff" * len(address)
    return not is_of_none and any(is_inside(address, wide) for wide in within)


def is_multicast(address: bytes) -> bool:
    """224.0.0.0/4, ff00::/8."""
    return address[0] >> 4 == 0xE if len(address) == 4 else address[0] == 0xFF


def take(before: Roster, snapshot: Snapshot, source: MemberSource, now: float) -> Roster:
    """Who is a member after this snapshot. What it costs goes by what it names."""
    told: dict[str, Member] = {}
    broken = {one.name: one for one in snapshot.broken}
    for member in snapshot.members:
        known = before.present.get(member.name)
        if known is not None and known.member == member:  # most are as they were, and there may be thousands
            told[member.name] = known.member
            continue
        told[member.name], refused = admit(member, source)
        if refused:
            broken[member.name] = refused
    if not snapshot.is_complete:
        gone = snapshot.gone or ()
        broken = {one.name: one for one in before.broken if one.name not in told and one.name not in gone} | broken
    after = _come(before, told)._replace(broken=tuple(broken[name] for name in sorted(broken)))
    present = after.present
    if snapshot.is_complete:
        missing = [name for name in before.present if name not in told and name not in broken]
        return _lose(before, after, missing, source, now, is_empty=not (told or broken))
    if snapshot.gone is None:
        held = before.held.difference(told, broken)
        lost = tuple(moment for moment in before.lost if moment > now - AT_ONCE)
        return _hold(after, held, before.why, before.held_since)._replace(lost=lost)
    named = (*snapshot.gone, *before.held, *before.leaving)
    absent = [one for one in dict.fromkeys(named) if one in present and one not in told and one not in broken]
    return _lose(before, after, absent, source, now, is_empty=len(absent) == len(present) and not broken)


def _come(before: Roster, told: Mapping[str, Member]) -> Roster:
    """With whoever is new at the end. Another one under a name that was known is new."""
    latest = before.latest or max((one.since for one in before.present.values()), default=0)
    known = {name: before.present.get(name) for name in told}
    others = [(one.member, told[name]) for name, one in known.items() if one and one.member != told[name]]
    claims = _claim(before.claims, others)
    changes: dict[str, Present] = {}
    for name, member in told.items():
        former = known[name]
        if former is not None and former.member.uid == member.uid:
            if former.until is not None or former.member != member:
                is_late = _claims_what_another_has(former.member, member, claims)
                latest += is_late
                changes[name] = Present(member, latest if is_late else former.since)
        else:
            latest += 1
            changes[name] = Present(member, latest)
    return _make(before, changes, (), latest)


def _claims_what_another_has(was: Member, member: Member, claims: Mapping[bytes, int]) -> bool:
    """Then all that it claims is claimed anew: the older claim wins, however old the members are."""
    return any(claims[one] > 1 for one in _list_claims(member) - _list_claims(was))


def _list_claims(member: Member | None) -> frozenset[bytes]:
    return frozenset((*member.prefixes, *member.addresses)) if member else frozenset()


def _claim(claims: Shared[bytes, int], changes: Iterable[tuple[Member | None, Member | None]]) -> Shared[bytes, int]:
    """How many tell each address and prefix after these changed from the one to the other."""
    counts: dict[bytes, int] = {}
    for was, member in changes:
        old, new = _list_claims(was), _list_claims(member)
        for one in old ^ new:
            counts[one] = counts.get(one, claims.get(one) or 0) + (1 if one in new else -1)
    told = {one: count for one, count in counts.items() if count}
    return claims.put(told, counts.keys() - told.keys())


def _make(before: Roster, changes: Mapping[str, Present], gone: Iterable[str], latest: int = 0) -> Roster:
    """The same members with these instead, and without those. Of what holds for all of them nothing is said."""
    gone = frozenset(gone)
    leaving = frozenset(name for name, one in changes.items() if one.until is not None)
    kept = (before.leaving - gone).difference(changes) | leaving
    present = Shared.of(before.present).put(changes, gone)
    moved = [(before.present.get(name), present.get(name)) for name in {*changes, *gone}]
    claims = _claim(before.claims, [(was and was.member, now and now.member) for was, now in moved])
    return Roster(present, leaving=kept, latest=max(before.latest, latest), claims=claims)


def _lose(
    before: Roster, after: Roster, missing: Sequence[str], source: MemberSource, now: float, *, is_empty: bool
) -> Roster:
    """Without those of whom the source tells no more, as far as the file lets them go."""
    unexpected = [name for name in missing if before.present[name].until is None]
    lost = tuple(moment for moment in before.lost if moment > now - AT_ONCE)
    count = len(lost) + len(before.present) - len(before.leaving)
    why = _find_objection(len(unexpected), count, len(lost), source, is_empty=is_empty)
    held = frozenset(unexpected) if why else frozenset()
    lost += () if why else (now,) * len(unexpected)
    left = _go(after, (name for name in missing if name not in held), now + source.gone_after, now)
    since = before.held_since if before.held else now
    return _hold(left, held, why, since)._replace(broken=after.broken, lost=lost)


def _hold(roster: Roster, held: frozenset[str], why: Reason | None, since: float | None) -> Roster:
    """With these held, for this reason; with nobody where there are none."""
    return roster._replace(held=held, why=why if held else None, held_since=since if held else None)


def _find_objection(gone: int, count: int, lost: int, source: MemberSource, *, is_empty: bool) -> Reason | None:
    """Why so many must not go before the operator says so; None where they may. ``lost`` went a moment ago."""
    if not gone:
        return None
    if is_empty:
        return Standstill.EMPTY if source.holds_empty else None
    if source.max_loss is None or lost + gone <= max(1, floor(source.max_loss * count)):
        return None
    return ManyGone(lost + gone, count)


def _go(roster: Roster, names: Iterable[str], until: float, now: float) -> Roster:
    """These go when their time is over, which is this moment where none was set."""
    changes, gone = {}, []
    for name in names:
        known = roster.present[name]
        leaving = known if known.until is not None else known._replace(until=until)
        if leaving.until is not None and leaving.until <= now:
            gone.append(name)
        elif leaving is not known:
            changes[name] = leaving
    made = _make(roster, changes, gone)
    return roster._replace(present=made.present, leaving=made.leaving, claims=made.claims)


def let_go(roster: Roster, source: MemberSource, now: float) -> Roster:
    """Without those who are held, or with them as long as the file says: the operator lets them go."""
    return _hold(_go(roster, roster.held, now + source.gone_after, now), frozenset(), None, None)


def expire(roster: Roster, now: float) -> Roster:
    """Without those whose time is over."""
    over = [name for name in roster.leaving if (until := roster.present[name].until) is not None and until <= now]
    return _go(roster, over, now, now) if over else roster


def forget(roster: Roster) -> Roster:
    """Without anybody: for too long the source says nothing."""
    return _hold(roster, frozenset(), None, None)._replace(
        present=NOBODY_PRESENT, leaving=frozenset(), claims=NOTHING_CLAIMED
    )


def find_next(roster: Roster) -> float | None:
    """When the time of a member is over; None: never."""
    moments = (roster.present[name].until for name in roster.leaving)
    return min((until for until in moments if until is not None), default=None)


def list_by_age(roster: Roster) -> list[Present]:
    """The members that count now, in the order in which they came."""
    return sorted(roster.present.values(), key=lambda one: one.since)


def make_snapshot(roster: Roster) -> Snapshot:
    """The members that count now, for the next start: in the order in which they came."""
    return Snapshot(tuple(one.member for one in list_by_age(roster)))


def make_change(before: Mapping[str, Present], after: Shared[str, Present]) -> Snapshot:
    """What makes the second of the first, in the order in which members came."""
    differing = list(after.find_differing(before))
    present = sorted((one.after for one in differing if one.after), key=lambda one: one.since)
    reborn = {one.key for one in differing if one.before and one.after and one.before.since != one.after.since}
    gone = sorted(one.key for one in differing if one.after is None or one.key in reborn)
    return Snapshot(tuple(one.member for one in present), is_complete=False, gone=tuple(gone))


def restore(snapshot: Snapshot, source: MemberSource) -> Roster:
    """Who was a member before the start."""
    admitted = [admit(member, source)[0] for member in snapshot.members]
    return _make(NOBODY, {one.name: Present(one, number) for number, one in enumerate(admitted, 1)}, (), len(admitted))


def find_roster(fact: Fact) -> Roster:
    """Who is a member by what is told; nobody while nothing is."""
    return fact.value if isinstance(fact.value, Roster) else NOBODY


def find_followed(entry: Entry, facts: Facts) -> Roster:
    """Who is a member of the source that an entry follows; nobody where it follows none."""
    return find_roster(facts.find(key_of(entry.follows))) if entry.follows else NOBODY
