"""The desired side: the objects that all entries come to, indexed by the kernel's key.

An index, not a list: the diff asks it for what it sees. Sets share one :class:`Want` for all their members, and what a
prefix file lists stays packed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from routed.core.kinds import KINDS
from routed.model.change import Want
from routed.model.entries import Entry
from routed.model.facts import FactKey
from routed.model.objects import Key, Kind, Member, Scope, Slot, Value
from routed.model.prefixes import PrefixSet
from routed.model.reasons import Reason

MOST_PUT: Final = 256  # sets, of which it is known that they are new


class ObjectSet(NamedTuple):
    """Objects of one entry that share everything but their member. ``value`` is None while it cannot be known yet."""

    kind: Kind
    slot: Slot
    members: AbstractSet[Member]  # those of a prefix file are a PrefixSet
    value: Value | None
    also: tuple[Value, ...] = ()  # other contents that are as good, if they stand there already
    is_in_front: bool = False  # what stands has to be put anew, behind what has to come first
    theirs: Value | None = None  # what somebody else has there just as it is written: taken for now, and given back


class Waiting(NamedTuple):
    """Why an entry, or a part of it, cannot be in the kernel yet."""

    reason: Reason


class Resolution(NamedTuple):
    """What one entry comes to under the present facts."""

    entry: Entry
    sets: tuple[ObjectSet, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    reads: frozenset[FactKey] = frozenset()
    note: Reason | None = None  # how it stands though nothing waits: which way the condition of a VIP was decided
    degraded: Reason | None = None  # why it stands all the same: every alternative is down as well
    withheld: Reason | None = None  # why the file itself keeps it out of force now: what it requires is not so
    again: float | None = None  # when to look again though no fact changes; None: never
    withdrawn: tuple[tuple[Key, Reason], ...] = ()  # what a check takes away of what it comes to otherwise
    # what of that goes even where somebody else made it, just as it is written: his content; it is given back
    taken: tuple[tuple[Key, Value], ...] = ()
    notes: tuple[tuple[Key, Reason], ...] = ()  # why single objects are just now to be otherwise than they are written
    held: Reason | None = None  # why what should go by the word of others stays until the operator lets it

    def is_as(self, other: Resolution) -> bool:
        """Does it come to the same, whatever was read for that?"""
        return self._replace(reads=other.reads, again=other.again) == other

    def count_objects(self) -> int:
        """How many objects it comes to."""
        return sum(len(group.members) for group in self.sets)

    @property
    def is_notable(self) -> bool:
        """Is there more to say of it than that its objects are to stand? Of most there is not."""
        return bool(
            self.waiting or self.withheld or self.held or self.degraded or any(one.value is None for one in self.sets)
        )


class Crowd(NamedTuple):
    """The members that came from one prefix file."""

    prefixes: PrefixSet
    want: Want


@dataclass(slots=True)
class Members:
    """Who wants what in one slot. A crowd costs no object for each of its members."""

    single: dict[Member, Want] = field(default_factory=dict)
    crowds: list[Crowd] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.single) + sum(len(crowd.prefixes) for crowd in self.crowds)

    def copy(self) -> Members:
        """The same, to be changed by itself."""
        return Members(dict(self.single), list(self.crowds))

    def get(self, member: Member) -> Want | None:
        """Who wants this one, if anybody."""
        want = self.single.get(member)
        if want is None:
            for crowd in self.crowds:
                if member in crowd.prefixes:
                    return crowd.want
        return want

    def share_out(self, members: Sequence[Member]) -> list[tuple[Want | None, Sequence[Member]]]:
        """These members by who wants them; of many in a crowd it costs some 0.1 µs for each."""
        if len(members) == 1:
            return [(self.get(members[0]), members)]
        shares: dict[int, tuple[Want | None, list[Member]]] = {}
        rest: list[Any] = []  # prefixes, where there is a crowd
        for member in members:
            want = self.single.get(member)
            if want is None:
                rest.append(member)
            else:
                shares.setdefault(id(want), (want, []))[1].append(member)
        found: list[tuple[Want | None, Sequence[Member]]] = list(shares.values())
        for crowd in self.crowds:
            here = crowd.prefixes.locate(rest)
            if here:
                found.append((crowd.want, tuple(here)))
                rest = [member for member in rest if member not in here]
        return [*found, (None, rest)] if rest else found

    def __getitem__(self, member: Member) -> Want:
        want = self.get(member)
        if want is None:
            raise KeyError(member)
        return want

    def __contains__(self, member: Member) -> bool:
        return self.get(member) is not None

    def items(self) -> Iterator[tuple[Member, Want]]:
        """Every member with its want."""
        yield from self.single.items()
        for crowd in self.crowds:
            yield from ((prefix, crowd.want) for prefix in crowd.prefixes)

    def add(self, members: AbstractSet[Member], want: Want) -> Want | None:
        """Want these, too. What is wanted already stays as it is; returns the want of one such member, or None."""
        if isinstance(members, PrefixSet):
            taken: AbstractSet[Member] = members & self.single.keys()
            for crowd in self.crowds:
                taken |= members & crowd.prefixes
            free = PrefixSet.of(members - taken) if taken else members
            if free:
                self.crowds.append(Crowd(free, want))
        else:
            taken = members & self.single.keys()
            for crowd in self.crowds:
                taken |= crowd.prefixes & members
            self.single.update(dict.fromkeys(members - taken if taken else members, want))
        return self[next(iter(taken))] if taken else None

    def drop(self, members: AbstractSet[Member], entry: str) -> None:
        """Forget that this entry wants these."""
        if isinstance(members, PrefixSet):
            self.crowds = [crowd for crowd in self.crowds if crowd.want.entry.name != entry]
        else:
            for member in members:
                want = self.single.get(member)
                if want is not None and want.entry.name == entry:
                    del self.single[member]


@dataclass(slots=True)
class Desired:
    """All resolutions and the index over them. Entries come and go by ``put`` and ``drop``."""

    resolutions: dict[str, Resolution] = field(default_factory=dict)
    wants: defaultdict[Kind, dict[Slot, Members]] = field(default_factory=lambda: defaultdict(dict))
    clashes: dict[str, str] = field(default_factory=dict)  # entry name → whose key it wanted too
    changes: int = 0  # how often something was put or dropped
    again: dict[str, float] = field(default_factory=dict)  # entry name → when to look again, where it is to be
    lines: dict[tuple[Kind, Slot, Hashable], int] = field(default_factory=dict)  # how many are wanted in each
    total: int = 0  # objects of all resolutions, whoever has what several want
    notable: set[str] = field(default_factory=set)  # entries of which there is more to say than their objects
    taking: set[str] = field(default_factory=set)  # entries that take from others what these made just as it is written
    _readers: dict[FactKey, set[str]] = field(default_factory=dict)  # the entries that read each fact
    _turns: dict[str, int] = field(default_factory=dict)  # in which order the entries came
    _latest: int = 0  # the last of these
    _put: list[ObjectSet] | None = None  # since it was asked for; None: too many
    _by_link: dict[int, set[Scope]] | None = None  # made when it is asked for: a host may have thousands of links
    _by_base: dict[Key, set[Scope]] | None = None  # likewise

    def copy(self) -> Desired:
        """The same, to be changed by itself. Of what a prefix file lists nothing is copied."""
        wants: defaultdict[Kind, dict[Slot, Members]] = defaultdict(dict)
        for kind, slots in self.wants.items():
            wants[kind] = {slot: there.copy() for slot, there in slots.items()}
        return Desired(
            dict(self.resolutions), wants, dict(self.clashes), self.changes, dict(self.again), dict(self.lines),
            self.total, set(self.notable), set(self.taking),
            {fact: set(names) for fact, names in self._readers.items()}, dict(self._turns), self._latest,
        )  # fmt: skip

    def get(self, key: Key) -> Want | None:
        """Who wants the object of this key, if anybody."""
        members = self.wants[key.kind].get(key.slot)
        return None if members is None else members.get(key.member)

    def share_out(
        self, kind: Kind, slot: Slot, members: Sequence[Member]
    ) -> list[tuple[Want | None, Sequence[Member]]]:
        """These members, at least one, by who wants them; None for those whom nobody wants."""
        wanted = self.wants[kind].get(slot)
        return [(None, members)] if wanted is None else wanted.share_out(members)

    def put(self, resolution: Resolution) -> None:
        """Index a resolution, in place of the former one of its entry."""
        entry = resolution.entry
        self.drop(entry.name)
        self.follow(resolution)
        if self._put is not None:
            self._put.extend(resolution.sets)
            if len(self._put) > MOST_PUT:
                self._put = None
        for group in resolution.sets:
            if (owner := self._find_other_whole(group, entry.name)) is not None:
                self.clashes[entry.name] = owner
                continue
            members = self.wants[group.kind].setdefault(group.slot, Members())
            former = members.add(group.members, Want(entry, group.value, group.also, group.is_in_front, group.theirs))
            if former is not None:
                self.clashes[entry.name] = former.entry.name
            self._count_in_lines(group, 1)

    def take_put(self) -> list[ObjectSet] | None:
        """What was put since this was asked last; None where that is a lot."""
        put, self._put = self._put, []
        return put

    def find_removed(self, kind: Kind) -> defaultdict[Slot, dict[Member, Value]]:
        """What entries say is to be gone for now, even where somebody else made it just so: his content."""
        found: defaultdict[Slot, dict[Member, Value]] = defaultdict(dict)
        for name in self.taking:
            for key, theirs in self.resolutions[name].taken:
                find_whole = KINDS[key.kind].find_whole
                whole = self.get(find_whole(key.slot)) if key.kind is kind and find_whole else None
                if whole is not None and whole.entry.name == name:
                    found[key.slot][key.member] = theirs
        return found

    def find_given_back(self, displaced: Mapping[Key, Value], kind: Kind) -> dict[Slot, set[Member]]:
        """What was taken from somebody else, and no entry says so any more."""
        taken = self.find_removed(kind)
        found: defaultdict[Slot, set[Member]] = defaultdict(set)
        for key in displaced:
            if key.kind is kind and self.get(key) is None and key.member not in taken.get(key.slot, ()):
                found[key.slot].add(key.member)
        return found

    def settle(self) -> None:
        """Who wanted what another one has may have it by now."""
        for name in list(self.clashes):
            self.put(self.resolutions[name])

    def _find_other_whole(self, group: ObjectSet, name: str) -> str | None:
        """The other entry that has what these are to stand in: nothing of two entries is mixed there."""
        find_whole = KINDS[group.kind].find_whole
        whole = self.get(find_whole(group.slot)) if find_whole is not None else None
        return None if whole is None or whole.entry.name == name else whole.entry.name

    def follow(self, resolution: Resolution) -> None:
        """Note a resolution that comes to the same objects as the former one of its entry."""
        name = resolution.entry.name
        self._forget(self.resolutions.get(name))
        self.resolutions[name] = resolution
        self._turns.setdefault(name, self._latest + 1)
        self._latest = max(self._latest, self._turns[name])
        for fact in resolution.reads:
            self._readers.setdefault(fact, set()).add(name)
        self.total += resolution.count_objects()
        if resolution.is_notable:
            self.notable.add(name)
        if resolution.taken:
            self.taking.add(name)
        if resolution.again is not None:
            self.again[name] = resolution.again

    def _forget(self, former: Resolution | None) -> None:
        """What is known of it by other things than its name."""
        if former is None:
            return
        name = former.entry.name
        self.again.pop(name, None)
        self.notable.discard(name)
        self.taking.discard(name)
        self.notable = self.notable or set()  # one that was large is slow to walk, even when it is empty
        self.total -= former.count_objects()
        for fact in former.reads:
            readers = self._readers[fact]
            readers.discard(name)
            if not readers:
                del self._readers[fact]

    def list_readers(self, facts: Iterable[FactKey], names: Iterable[str] = ()) -> list[str]:
        """The entries that read one of these facts, and these, in the order in which they came."""
        found = {name for fact in facts for name in self._readers.get(fact, ())}
        found.update(name for name in names if name in self.resolutions)
        return sorted(found, key=self._turns.__getitem__)

    def list_notable(self) -> list[Resolution]:
        """Those of which there is more to say than their objects, in the order in which their entries came."""
        return [self.resolutions[name] for name in sorted(self.notable, key=self._turns.__getitem__)]

    def drop(self, name: str) -> None:
        """Forget the objects of an entry."""
        former = self.resolutions.pop(name, None)
        self._forget(former)
        self._turns.pop(name, None)
        self.changes += 1
        self._by_link = self._by_base = None
        self.clashes.pop(name, None)
        for group in former.sets if former else ():
            members = self.wants[group.kind].get(group.slot, Members())
            members.drop(group.members, name)
            self._count_in_lines(group, -1)
            if not members:
                self.wants[group.kind].pop(group.slot, None)

    def stands_in_line(self, kind: Kind, slot: Slot, members: Iterable[Member]) -> bool:
        """May something else decide for one of these by coming first: another that is wanted, or anybody's?"""
        line = KINDS[kind].line
        if line is None:
            return False
        least = 0 if line.can_be_overruled else 1
        return any(self.lines.get((kind, slot, line.of(member)), 0) > least for member in members)

    def is_place_wanted(self, kind: Kind, slot: Slot, place: Hashable) -> bool:
        """Is something wanted that decides for the same as what had this place in its line?"""
        line, members = KINDS[kind].line, self.wants[kind].get(slot)
        if line is None or members is None:
            return False
        return any(line.place(member) == place for member in members.single)

    def _count_in_lines(self, group: ObjectSet, step: int) -> None:
        line = KINDS[group.kind].line
        for member in group.members if line else ():
            assert line is not None
            where = group.kind, group.slot, line.of(member)
            count = self.lines.get(where, 0) + step
            if count:
                self.lines[where] = count
            else:
                del self.lines[where]

    def scopes(self) -> set[Scope]:
        """The dumps that show every place where something is wanted."""
        return {scope_of(kind, slot) for kind, slots in self.wants.items() for slot in slots}

    def scopes_on(self, dev: int) -> set[Scope]:
        """The dumps that show what a change of this link, or of its addresses, may have swept away in silence."""
        if self._by_link is None:
            self._by_link = {}
            for group in self._list_sets():
                bases = (self._find_set(base) for base in self._list_bases(group))
                for link in links_of(group).union(*(links_of(base) for base in bases if base)):
                    self._by_link.setdefault(link, set()).add(scope_of(group.kind, group.slot))
        return self._by_link.get(dev, set())

    def list_kinds(self) -> set[Kind]:
        """The kinds of which something is wanted."""
        return {kind for kind, slots in self.wants.items() if slots}

    def scopes_standing_on(self, kind: Kind, slot: Slot, members: Iterable[Member]) -> set[Scope]:
        """The dumps that show what may have gone with these objects, in silence."""
        if KINDS[kind].why_absent is None:
            return set()
        if self._by_base is None:
            self._by_base = {}
            for group in self._list_sets():
                for base in self._list_bases(group):
                    self._by_base.setdefault(base, set()).add(scope_of(group.kind, group.slot))
        return set().union(*(self._by_base.get(Key(kind, slot, member), ()) for member in members))

    def _list_sets(self) -> Iterator[ObjectSet]:
        return (group for resolution in self.resolutions.values() for group in resolution.sets)

    def _list_bases(self, group: ObjectSet) -> Iterator[Key]:
        """What the objects of a set stand on, and what that stands on."""
        for value in [value for value in (group.value, *group.also) if value is not None]:
            for base in KINDS[group.kind].find_bases(value):
                yield base
                below = self._find_set(base)
                yield from self._list_bases(below) if below else ()

    def _find_set(self, key: Key) -> ObjectSet | None:
        """One wanted object as a set."""
        want = self.get(key)
        return None if want is None else ObjectSet(key.kind, key.slot, frozenset({key.member}), want.value, want.also)

    def scopes_reading(self, fact: FactKey) -> set[Scope]:
        """The dumps that show the objects of every entry that read this fact."""
        return {
            scope_of(group.kind, group.slot)
            for name in self._readers.get(fact, ())
            for group in self.resolutions[name].sets
        }

    def count(self) -> int:
        """How many objects are wanted."""
        return sum(len(members) for slots in self.wants.values() for members in slots.values())

    def find_taken(self, group: ObjectSet, name: str) -> Sequence[Member]:
        """Those objects of a set of this entry that another entry wanted first."""
        wanted = self.wants[group.kind].get(group.slot, Members())
        return [member for member in group.members if (w := wanted.get(member)) is None or w.entry.name != name]

    def keys_of(self, name: str) -> Iterator[Key]:
        """Every key of an entry."""
        resolution = self.resolutions.get(name)
        for group in resolution.sets if resolution else ():
            for member in group.members:
                yield Key(group.kind, group.slot, member)


def scope_of(kind: Kind, slot: Slot) -> Scope:
    """The dump in which objects of this slot are seen."""
    return KINDS[kind].scope(kind, slot)


def links_of(group: ObjectSet) -> set[int]:
    """The ifindexes that the objects of a set stand on; none while its content waits."""
    values = [value for value in (group.value, *group.also) if value is not None]
    return KINDS[group.kind].find_links(group.members, values)
