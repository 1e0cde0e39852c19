"""Comparing: which dumps a pass needs, and what they say against the desired side.

A dump whose fingerprint is that of the last one that showed no drift is not decoded at all.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any, NamedTuple

from routed.core.desired import scope_of
from routed.core.diff import Comparer, compare_keys
from routed.core.dirt import Dirt
from routed.core.kinds import KINDS
from routed.core.order import Arrives
from routed.daemon.dataplane import Dataplanes
from routed.daemon.host import Host
from routed.model.change import Cause, Drift, Nature, Want
from routed.model.entries import Enforce
from routed.model.objects import AlikeRoutes, Chunk, Key, Kind, Member, Scope, Slot, SlotKey, Standing
from routed.model.owner import Owner, Stamps
from routed.model.reasons import Look, Reason, Unreadable
from routed.model.text import mark_of


class Shown(NamedTuple):
    """What one dump showed."""

    drifts: tuple[Drift, ...] = ()
    notes: tuple[Drift, ...] = ()
    absent: Mapping[Slot, frozenset[Member]] = MappingProxyType({})
    stays: tuple[Drift, ...] = ()
    former: AbstractSet[Any] = frozenset()
    is_unchanged: bool = False  # as its fingerprint says


@dataclass(slots=True)
class Comparison:
    """What a pass found."""

    drifts: list[Drift] = field(default_factory=list)
    notes: list[Drift] = field(default_factory=list)
    stays: list[Drift] = field(default_factory=list)  # ours, where what shall stand is not known yet
    scopes: set[Scope] = field(default_factory=set)  # everything in these was looked at
    absent: dict[SlotKey, frozenset[Member]] = field(default_factory=dict)  # of what the kernel makes itself
    unread: dict[Scope, Reason] = field(default_factory=dict)  # what these show is not known; why
    unchanged: set[Scope] = field(default_factory=set)  # of these, the ones told by their fingerprint
    former: set[Any] = field(default_factory=set)  # marks of before that something still carries

    def count(self, nature: Nature) -> int:
        """How many objects are in drift of this nature."""
        return sum(len(drift.members) for drift in self.drifts if drift.nature is nature)

    def take(self, scope: Scope, shown: Shown | Reason) -> None:
        """What the dump of a scope showed, or why it could not be read."""
        if not isinstance(shown, Shown):
            self.scopes.discard(scope)
            self.unread[scope] = shown
            return
        self.drifts += shown.drifts
        self.notes += shown.notes
        self.stays += shown.stays
        self.absent |= {(scope.kind, slot): members for slot, members in shown.absent.items()}
        self.former |= shown.former
        if shown.is_unchanged:
            self.unchanged.add(scope)


def find_scopes(dataplanes: Dataplanes, dirt: Dirt, host: Host) -> list[Scope]:
    """The dumps that a pass needs, in the order of kinds.

    A full pass also reads everything that is ours, wherever it is: an entry that went away leaves objects in tables
    that no entry names any more.
    """
    if not dirt.needs_dump:
        return []
    scopes = set(dirt.scopes)
    if dirt.everything:
        scopes |= find_all_scopes(dataplanes, host, dataplanes.by_kind)
    return sorted(scopes, key=lambda scope: (KINDS[scope.kind].rank, scope.protocol, scope.family, scope.table))


def find_all_scopes(dataplanes: Dataplanes, host: Host, kinds: Iterable[Kind]) -> set[Scope]:
    """The dumps that show all of these kinds that is wanted or ours."""
    found: set[Scope] = set()
    for kind in kinds:
        found.update(scope_of(kind, slot) for slot in host.wanted.desired.wants.get(kind, ()))
        found.update(dataplanes.by_kind[kind].find_owned(kind, KINDS[kind].families, host.wanted.marks))
        if KINDS[kind].is_part:  # what was taken from others and is gone, nothing shows
            found.update(scope_of(kind, key.slot) for key in host.ledger.displaced if key.kind is kind)
    return found


def observe(
    dataplanes: Dataplanes, host: Host, dirt: Dirt, *, is_afterwards: bool = False
) -> Generator[None, None, Comparison]:
    """Compare all that is dirty. Yields where the loop may breathe.

    ``is_afterwards``: was done what a plan asked for, so that nothing more comes by it?
    """
    scopes = find_scopes(dataplanes, dirt, host)
    found = Comparison(scopes=set(scopes))
    for scope in scopes:
        arrives = _arrives_not if is_afterwards else partial(_arrives, host, scope.kind)
        found.take(scope, (yield from _observe_scope(dataplanes, host, scope, found.scopes, arrives)))
    if overtaken := host.under_way.overtaken:
        found.drifts = list(_leave_out_keys(found.drifts, overtaken))
        found.stays = list(_leave_out_keys(found.stays, overtaken))
    touched = {key: standing for key, standing in dirt.keys.items() if scope_of(key.kind, key.slot) not in found.scopes}
    stamps = dataplanes.stamps(host.wanted.marks)
    differences = compare_keys(touched, host.wanted.desired.wants, stamps)
    found.former |= find_former(differences.drifts, host, stamps)
    found.drifts += _leave_out_marks(dataplanes, differences.drifts)
    found.stays += differences.former
    return found


def _observe_scope(
    dataplanes: Dataplanes, host: Host, scope: Scope, scopes: set[Scope], arrives: Arrives
) -> Generator[None, None, Shown | Reason]:
    """What one dump shows and no other of these ``scopes`` shows anyway, or why it could not be read."""
    dataplane = dataplanes.by_kind[scope.kind]
    try:
        dump = yield from dataplane.read_dump(scope)
    except OSError as error:
        has_moved, is_polled = error.errno == errno.EBUSY, dataplane.poll_interval is not None
        if not has_moved and not is_polled:
            raise
        why: Reason = Look.RESTLESS if has_moved else Unreadable(error.strerror or str(error))
        if not is_polled:  # else the next poll is soon enough
            host.schedule.dirt.add_scopes([scope], Cause(None, why))
        return why
    if dump.fingerprint == host.world.verified.get(scope):
        yield from dump.discard()
        return Shown(is_unchanged=True)
    wants = host.wanted.desired.wants[scope.kind]
    covered = [slot for slot in wants if scope_of(scope.kind, slot) == scope]
    elsewhere = {other for other in scopes if not other.protocol} if scope.protocol else set()
    made_by_kernel = KINDS[scope.kind].made_by_kernel
    expected = {slot: made_by_kernel[slot] for slot in made_by_kernel if scope_of(scope.kind, slot) == scope}
    stamps = dataplanes.stamps(host.wanted.marks)
    comparer = Comparer(scope.kind, wants, covered, stamps[scope.kind], expected=expected, arrives=arrives)
    if KINDS[scope.kind].is_part:
        given_back = host.wanted.desired.find_given_back(host.ledger.displaced, scope.kind)
        comparer.given_back = {slot: some for slot, some in given_back.items() if scope_of(scope.kind, slot) == scope}
        comparer.taken = host.wanted.desired.find_removed(scope.kind)
    for chunk in dump.chunks():
        comparer.feed(_leave_out(scope.kind, chunk, elsewhere) if elsewhere else chunk)
        yield None
    differences = comparer.finish()
    host.ledger.forget_displaced(differences.kept)
    drifts = _leave_out_marks(dataplanes, differences.drifts)
    former = find_former((*differences.drifts, *differences.notes), host, stamps)
    if drifts or differences.notes or differences.former or former:
        host.world.forget_dumps([scope])
    else:
        host.world.note_verified(scope, dump.fingerprint)
    return Shown(drifts, differences.notes, differences.absent, differences.former, former)


def _arrives(host: Host, kind: Kind, slot: Slot, member: Member, want: Want) -> bool:
    """Will a missing object be put in this pass? Then what has to come behind it is put anew behind it."""
    entry = want.entry
    is_due = entry.enforce is Enforce.REPAIR or (
        entry.enforce is Enforce.ONCE and entry.name in host.wanted.new_entries
    )
    return is_due and not host.ledger.holds.is_about(Key(kind, slot, member), entry.name)


def _arrives_not(_slot: Slot, _member: Member, _want: Want) -> bool:
    return False


def find_former(drifts: Iterable[Drift], host: Host, stamps: Stamps) -> set[Any]:
    """The marks of before among what stands in the way of these wants, or under none."""
    if not host.wanted.former_protocols:
        return set()
    return {
        mark_of(drift.kind, value)
        for drift in drifts
        for value in drift.standing
        if stamps[drift.kind](value) is Owner.FORMER
    }


def _leave_out_marks(dataplanes: Dataplanes, drifts: tuple[Drift, ...]) -> tuple[Drift, ...]:
    """Leave out what differs in its mark alone, and cannot be marked anew: it works, and stays whose it is."""
    return tuple(one for one in drifts if not dataplanes.by_kind[one.kind].must_keep_mark(one))


def _leave_out_keys(drifts: list[Drift], keys: set[Key]) -> Iterator[Drift]:
    for drift in drifts:
        gone = {key.member for key in keys if (key.kind, key.slot) == (drift.kind, drift.slot)}
        if gone.isdisjoint(drift.members):
            yield drift
        elif rest := tuple(member for member in drift.members if member not in gone):
            yield drift._replace(members=rest)


def _leave_out(kind: Kind, chunk: Chunk, scopes: set[Scope]) -> Chunk:
    """A chunk without what another dump of this pass shows anyway."""
    if isinstance(chunk, AlikeRoutes):
        return [] if scope_of(kind, chunk.slot) in scopes else chunk
    kept: list[Standing] = []
    for slot, standings in groupby(chunk, key=lambda standing: standing.slot):
        if scope_of(kind, slot) not in scopes:
            kept += standings
    return kept
