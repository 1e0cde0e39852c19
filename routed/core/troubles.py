"""What is not in sync: which objects, of which entry, why, and since when.

Few objects are kept each by itself. More than ``GROUP`` of one entry and slot that share state and reason are kept as
one group, whose members are packed: it knows exactly which they are, and costs no object for each of them. So every
count is the truth. Here must never live: what a trouble means for the next pass, which is a hold (``core.holds``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from routed.core.desired import Resolution, scope_of
from routed.core.holds import GROUP
from routed.core.kinds import KINDS
from routed.model.objects import Key, Kind, Member, Scope, Slot, Value
from routed.model.prefixes import Packed, PrefixSet
from routed.model.reasons import Reason


class State(StrEnum):
    """The state of an object or an entry, from good to bad."""

    IN_SYNC = "in-sync"
    DRAINING = "draining"  # no entry wants it, and it stays until nothing is connected, as it is to
    WAITING = "waiting"
    WITHHELD = "withheld"  # what the entry requires is not so
    PAUSED = "paused"
    DRIFT = "drift"  # seen, and left alone because the entry says observe or once
    HELD = "held"
    SHADOWED = "shadowed"  # it stands, and something that is not ours decides in its place
    CONFLICT = "conflict"
    DEGRADED = "degraded"  # what it requires is not so, and neither is what every alternative requires
    FAILED = "failed"
    UNKNOWN = "unknown"  # what the kernel holds could not be read


class Trouble(NamedTuple):
    """Why an object is not in sync."""

    state: State
    reason: Reason | None  # None of what is in sync and has nothing to say
    since: float
    standing: tuple[Value, ...] = ()  # what is there instead; not kept of a group
    entry: str = ""  # whose object it is; empty for what nobody wants


class Troubled(NamedTuple):
    """Objects in one slot, at least one, that share a trouble."""

    kind: Kind
    slot: Slot
    members: Collection[Member]
    trouble: Trouble


class Looked(NamedTuple):
    """One entry, and how it stands."""

    resolution: Resolution
    wrong: Sequence[Troubled] = ()  # its objects that are not in sync
    overall: Trouble | None = None  # the worst that is said of the entry itself


class Alike(NamedTuple):
    """What the members of a group share."""

    kind: Kind
    slot: Slot
    entry: str
    state: State
    reason: Reason | None


class Group(NamedTuple):
    """More than ``GROUP`` objects that are alike."""

    members: AbstractSet[Member]
    trouble: Trouble


@dataclass(slots=True)
class Troubles:
    """Every object that is not in sync. What is absent is in sync."""

    single: dict[Key, Trouble] = field(default_factory=dict)
    groups: dict[Alike, Group] = field(default_factory=dict)
    _counts: Counter[Alike] = field(default_factory=Counter)  # of the single ones

    def __len__(self) -> int:
        return len(self.single) + sum(len(group.members) for group in self.groups.values())

    def __bool__(self) -> bool:
        return bool(self.single or self.groups)

    def __iter__(self) -> Iterator[Troubled]:
        """The single ones first, then the groups."""
        for (kind, slot, member), trouble in self.single.items():
            yield Troubled(kind, slot, (member,), trouble)
        for alike, group in self.groups.items():
            yield Troubled(alike.kind, alike.slot, group.members, group.trouble)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, Key) and self.get(key) is not None

    def get(self, key: Key) -> Trouble | None:
        """The trouble of an object, None when it is in sync."""
        if key in self.single:
            return self.single[key]
        for alike, group in self.groups.items():
            if alike[:2] == key[:2] and key.member in group.members:
                return group.trouble
        return None

    def has(self, entry: str, state: State) -> bool:
        """Is any object of this entry in this state?"""
        return any((alike.entry, alike.state) == (entry, state) for alike in (*self._counts, *self.groups))

    def has_any(self, entry: str) -> bool:
        """Is any object of this entry in trouble?"""
        return any(alike.entry == entry for alike in (*self._counts, *self.groups))

    def find_scopes(self) -> set[Scope]:
        """The dumps that show these objects."""
        return {scope_of(alike.kind, alike.slot) for alike in (*self._counts, *self.groups)}

    def update(
        self,
        found: Iterable[Troubled],
        scopes: Collection[Scope] = (),
        keys: Iterable[Key] = (),
        left_out: AbstractSet[Key] = frozenset(),
    ) -> list[Troubled]:
        """Take in what a pass found. It looked at these keys, and at all in these scopes but for what was left out.

        Of two findings on one object the later counts. A trouble that was there before keeps its beginning, a group
        that of its oldest. Returns the objects that are in no trouble any more, with the one that they had.
        """
        before = self._take(scopes, keys, left_out)
        few: dict[Key, Trouble] = {}
        for one in found:
            if len(one.members) > GROUP:
                members = self._put_many(one, before)
                few = {key: t for key, t in few.items() if key[:2] != one[:2] or key.member not in members}
            else:
                few.update((Key(one.kind, one.slot, member), one.trouble) for member in one.members)
        self._put_few(few, before)
        return list(self._find_over(before))

    def _take(self, scopes: Collection[Scope], keys: Iterable[Key], left_out: AbstractSet[Key]) -> Troubles:
        """Take out everything that was looked at."""
        if not self.single and not self.groups:
            return Troubles()
        taken: dict[Alike, Group] = {}
        if scopes:
            for alike, group in [one for one in self.groups.items() if scope_of(one[0].kind, one[0].slot) in scopes]:
                stays = [key.member for key in left_out if key[:2] == alike[:2] and key.member in group.members]
                taken[alike] = group._replace(members=_without(group.members, stays))
                self._keep(alike, group._replace(members=frozenset(stays)))
            inside = [key for key in self.single if scope_of(key.kind, key.slot) in scopes and key not in left_out]
            keys = [*inside, *keys]
        return Troubles(self._drop(keys), taken)

    def _drop(self, keys: Iterable[Key]) -> dict[Key, Trouble]:
        """Take these objects out. Returns those that were there."""
        dropped: dict[Key, Trouble] = {}
        others: defaultdict[tuple[Kind, Slot], list[Member]] = defaultdict(list)
        for key in keys:
            trouble = self.single.pop(key, None)
            if trouble is None:
                others[key.kind, key.slot].append(key.member)
                continue
            dropped[key] = trouble
            alike = _alike(key.kind, key.slot, trouble)
            self._counts[alike] -= 1
            if not self._counts[alike]:
                del self._counts[alike]
        for alike, group in list(self.groups.items()):
            inside = [member for member in others.get((alike.kind, alike.slot), ()) if member in group.members]
            if inside:
                dropped |= {Key(alike.kind, alike.slot, member): group.trouble for member in inside}
                self._keep(alike, group._replace(members=_without(group.members, inside)))
        return dropped

    def _put_few(self, few: dict[Key, Trouble], before: Troubles) -> None:
        dropped = self._drop(few)
        by_likeness: defaultdict[Alike, dict[Key, Trouble]] = defaultdict(dict)
        for key, trouble in few.items():
            former, alike = dropped.get(key) or before.get(key), _alike(key.kind, key.slot, trouble)
            is_same = former is not None and _alike(key.kind, key.slot, former) == alike
            by_likeness[alike][key] = trouble._replace(since=former.since) if former and is_same else trouble
        for alike, troubles in by_likeness.items():
            self.single |= troubles
            self._counts[alike] += len(troubles)
            if self._counts[alike] > GROUP or alike in self.groups:
                self._fold(alike, troubles)

    def _put_many(self, one: Troubled, before: Troubles) -> AbstractSet[Member]:
        """Put them into their group. Returns them, without what was in it before."""
        alike = _alike(one.kind, one.slot, one.trouble)
        former = before.groups.get(alike)
        found = members = _pack(one.kind, one.members, former.members if former else frozenset())
        self._drop([key for key in self.single if key[:2] == alike[:2] and key.member in members])
        for other, group in [(other, group) for other, group in self.groups.items() if other[:2] == alike[:2]]:
            self._keep(other, group._replace(members=_less(group.members, members)))
        beginnings = [former.trouble.since] if former else []
        beginnings += [t.since for key, t in before.single.items() if _alike(key.kind, key.slot, t) == alike]
        trouble = one.trouble._replace(since=min(beginnings, default=one.trouble.since), standing=())
        rest = self.groups.pop(alike, None)
        if rest is not None:
            members = _with(members, list(rest.members))
            trouble = trouble._replace(since=min(trouble.since, rest.trouble.since))
        self.groups[alike] = Group(members, trouble)
        if self._counts[alike]:
            self._fold(alike, self.single)
        return found

    def _fold(self, alike: Alike, among: dict[Key, Trouble]) -> None:
        """Put those of these single ones that are alike into their group, or all there are into a new one."""
        group = self.groups.get(alike)
        chosen = among if group else self.single
        each = {key: t for key, t in chosen.items() if _alike(key.kind, key.slot, t) == alike}
        self._drop(each)
        members = [key.member for key in each]
        oldest = min((*each.values(), *([group.trouble] if group else ())), key=lambda trouble: trouble.since)
        self.groups[alike] = Group(
            _with(group.members, members) if group else _pack(alike.kind, members), oldest._replace(standing=())
        )

    def _keep(self, alike: Alike, group: Group) -> None:
        """What remains of a group: a smaller one, or each by itself."""
        if len(group.members) > GROUP:
            self.groups[alike] = group
            return
        self.groups.pop(alike, None)
        self.single.update(dict.fromkeys(_keys_of(alike, group.members), group.trouble))
        if group.members:
            self._counts[alike] += len(group.members)

    def _find_over(self, before: Troubles) -> Iterator[Troubled]:
        for key, trouble in before.single.items():
            if key not in self:
                yield Troubled(key.kind, key.slot, (key.member,), trouble)
        for alike, (members, trouble) in before.groups.items():
            rest = members
            for other, group in self.groups.items():
                if other[:2] == alike[:2] and rest:
                    rest = frozenset() if group.members is rest else _less(rest, group.members)
            over = [key.member for key in _keys_of(alike, rest) if key not in self.single] if self.single else rest
            if over:
                yield Troubled(alike.kind, alike.slot, over, trouble)


def _alike(kind: Kind, slot: Slot, trouble: Trouble) -> Alike:
    return Alike(kind, slot, trouble.entry, trouble.state, trouble.reason)


def _keys_of(alike: Alike, members: Iterable[Member]) -> Iterator[Key]:
    return (Key(alike.kind, alike.slot, member) for member in members)


def _pack(kind: Kind, members: Collection[Any], former: AbstractSet[Member] = frozenset()) -> AbstractSet[Member]:
    """Prefixes packed, anything else as a set; ``former`` itself where it is the same."""
    if isinstance(members, Packed) and isinstance(former, PrefixSet) and former.pack() == members.packed:
        return former
    return PrefixSet.of(members) if KINDS[kind].are_prefixes else frozenset(members)


def _with(members: AbstractSet[Member], more: Collection[Member]) -> AbstractSet[Member]:
    return members.including(more) if isinstance(members, PrefixSet) else members | frozenset(more)


def _less(members: AbstractSet[Member], others: AbstractSet[Member]) -> AbstractSet[Member]:
    """What is in the first only, however many there are in both."""
    return PrefixSet.of(members - others) if isinstance(members, PrefixSet) else members - others


def _without(members: AbstractSet[Member], some: Collection[Member]) -> AbstractSet[Member]:
    return members.without(some) if isinstance(members, PrefixSet) else members - frozenset(some)
