"""For each: what the members of a source make of a table with ``for_each``, and of the servers of a service.

What is found of a member is kept while it is as it was, and what is other is found without looking at the rest. Here
must never live: who is a member (``membership``), or what one member fills (``filling``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from routed.core.desired import Resolution, Waiting
from routed.core.filling import MAKE, Each, Made, Neighbourhood, find_neighbourhood
from routed.core.membership import find_followed, find_roster
from routed.core.needs import NOTHING_NEEDED, Needs
from routed.model.entries import (
    EachEntry,
    Entry,
    ServerSpec,
    ServiceEntry,
)
from routed.model.facts import Facts, Freshness
from routed.model.members import MEMBERS, NOBODY_PRESENT, Member, Present, Roster, key_of
from routed.model.reasons import (
    More,
    NotTold,
    Reason,
    SameServer,
    join_reasons,
)
from routed.model.servers import SERVICE, fill_required, put_servers, requires_service
from routed.model.shared import Shared

MOST_TOLD: Final = 5  # reasons why members make no more


NOTHING_MADE: Final[Shared[str, Made]] = Shared()


class Expansion(NamedTuple):
    """What the members of a source make of one table, and from what that was found."""

    each: Each
    neighbourhood: Neighbourhood
    present: Shared[str, Present] = NOBODY_PRESENT
    made: Shared[str, Made] = NOTHING_MADE  # by the name of the member
    short: Shared[str, Made] = NOTHING_MADE  # of these, who make less than they might

    def list_made(self) -> list[Made]:
        """All of it, in the order in which the members came."""
        return sorted(self.made.values(), key=_find_age)

    @property
    def lacking(self) -> tuple[Reason, ...]:
        """Why there is no more."""
        return _cut([reason for one in sorted(self.short.values(), key=_find_age) for reason in one.lacking])


def _find_age(made: Made) -> tuple[int, str]:
    return made.since, made.member.name


def _cut(lacking: Sequence[Reason]) -> tuple[Reason, ...]:
    """Some of these, and how many more there are."""
    rest = sum(one.rest if isinstance(one, More) else 1 for one in lacking[MOST_TOLD:])
    return (*lacking[:MOST_TOLD], More(rest)) if rest > 0 else tuple(lacking)


def expand(each: Each, roster: Roster, around: Neighbourhood, before: Expansion | None = None) -> Expansion:
    """What all members make. Of a member that is as it was ``before`` nothing is made again, nor looked at."""
    if before is None or (before.each, before.neighbourhood) != (each, around):
        before = Expansion(each, around)
    present = Shared.of(roster.present)
    made: dict[str, Made] = {}
    gone: list[str] = []
    for name, old, new in present.find_differing(before.present):
        if new is None:
            gone.append(name)
        elif old is None or (old.member, old.since) != (new.member, new.since):
            made[name] = MAKE[type(each)](each, new.member, around)._replace(since=new.since)
    if present is before.present:
        return before
    short = {name: one for name, one in made.items() if one.lacking}
    well = [*gone, *(name for name in made if name not in short)]
    return Expansion(each, around, present, before.made.put(made, gone), before.short.put(short, well))


class Unfolded(NamedTuple):
    """What members make of the tables of the files, beside which everything is as it is written."""

    forms: Mapping[str, Entry] = {}  # of the entries that members make others of, by their names
    expansions: Mapping[str, Expansion] = {}  # likewise
    surroundings: tuple[object, object, Neighbourhood] | None = None  # what is written, the addresses, and these

    def list_entries(self, written: Iterable[Entry]) -> Iterator[Entry]:
        """These entries as they are now, each table with ``for_each`` followed by what its members make of it."""
        for entry in written:
            yield self.forms.get(entry.name, entry)
            if entry.follows:
                yield from self.list_parts(entry.name)

    def list_parts(self, name: str) -> Iterator[Entry]:
        """The entries that members make of a table."""
        for made in self.expansions[name].list_made() if name in self.expansions else ():
            yield from made.entries


AS_WRITTEN: Final = Unfolded()


def unfold(written: Sequence[Entry], facts: Facts, before: Unfolded = AS_WRITTEN) -> Unfolded:
    """What the members make of these entries. What is as it was ``before`` is taken from there."""
    following = [entry for entry in written if entry.follows]
    if not following:
        return AS_WRITTEN
    known = before.surroundings
    if known is None or known[0] is not written or known[1] is not facts.addresses:
        known = written, facts.addresses, find_neighbourhood(written, facts)
    expansions: dict[str, Expansion] = {}
    forms: dict[str, Entry] = {}
    for entry in following:
        row, roster = FOLLOWS[type(entry)], find_followed(entry, facts)
        former = before.expansions.get(entry.name)
        found = expansions[entry.name] = expand(row.find(entry), roster, known[2], former)
        is_same = found is former and known is before.surroundings
        forms[entry.name] = before.forms[entry.name] if is_same else row.put(entry, found)
    told = [entry for entry in following if facts.find(key_of(entry.follows)).state is not Freshness.LOADING]
    services: Any = {entry.name: forms[entry.name] for entry in told if entry.name.startswith(SERVICE)}
    asking = [entry for entry in written if requires_service(entry)] if services else []
    forms |= {entry.name: fill_required(forms.get(entry.name, entry), services) for entry in asking}
    return Unfolded(forms, expansions, known)


class Moved(NamedTuple):
    """An entry that members make another one of."""

    before: Entry | None  # None: nobody made it
    after: Entry | None
    is_reborn: bool = False  # its member is another one under the same name: others may have what the former claimed


def find_moved(written: Iterable[Entry], before: Unfolded, after: Unfolded) -> Iterator[Moved]:
    """What is otherwise now, in the order in which members came."""
    if before is after:
        return
    plain = {entry.name: entry for entry in written}
    for name in {**after.forms, **before.forms}:
        old, new = before.forms.get(name, plain[name]), after.forms.get(name, plain[name])
        if old is not new and old != new:
            yield Moved(old, new)
    for name, expansion in after.expansions.items():
        former = before.expansions[name].made if name in before.expansions else NOTHING_MADE
        differing = expansion.made.find_differing(former)
        for _, was, made in sorted(differing, key=lambda one: _find_age(one.after or one.before or _NOBODY)):
            yield from _find_moved(was or _NOBODY, made or _NOBODY)


def _find_moved(was: Made, made: Made) -> Iterator[Moved]:
    former, now = ({entry.name: entry for entry in one.entries} for one in (was, made))
    for name, entry in now.items():
        is_reborn = was.since != made.since and name in former
        if is_reborn or former.get(name) != entry:
            yield Moved(former.get(name), entry, is_reborn)
    yield from (Moved(entry, None) for name, entry in former.items() if name not in now)


_NOBODY: Final = Made(Member(""))


class FollowRow(NamedTuple):
    """How one kind of entry follows the members of a source."""

    find: Callable[[Any], Each]  # what stands in it for each of them
    put: Callable[[Any, Expansion], Entry]  # (entry, what they make) → the entry as it is then


def _put_lacking(entry: EachEntry, found: Expansion) -> Entry:
    return replace(entry, lacking=found.lacking) if found.lacking else entry


def _put_servers(entry: ServiceEntry, found: Expansion) -> Entry:
    """A server that several members tell is that of the one who came first."""
    owners: dict[tuple[bytes, int], tuple[str, ServerSpec]] = {}
    lacking = list(found.lacking)
    for made in found.list_made():
        name = made.member.name
        for server in made.servers:
            other, _ = owners.setdefault((server.address, server.port), (name, server))
            if other != name:
                lacking.append(SameServer(name, server.address, server.port, other))
    return replace(put_servers(entry, [server for _, server in owners.values()]), lacking=_cut(lacking))


FOLLOWS: Final[dict[type[Entry], FollowRow]] = {
    EachEntry: FollowRow(lambda entry: entry, _put_lacking),
    ServiceEntry: FollowRow(lambda entry: entry.each, _put_servers),
}


def list_seen(expansions: Iterable[Expansion], facts: Facts) -> tuple[object, ...]:
    """The facts from which these are found. While each is the same value nothing has to be found again."""
    return (facts.addresses, *(facts.find(key_of(one.each.source)).value for one in expansions))


def resolve_each(entry: EachEntry, facts: Facts, _protocol: int) -> Resolution:
    """Nothing by itself; what its members make are entries of their own."""
    return note_members(Resolution(entry), entry.lacking, facts)


def note_members(found: Resolution, lacking: Iterable[Reason], facts: Facts) -> Resolution:
    """With what the source says of who is a member, and why members make no more. Itself where it has none."""
    entry = found.entry
    if not entry.follows:
        return found
    roster = find_followed(entry, facts)
    return found._replace(
        waiting=(*found.waiting, *map(Waiting, lacking)),
        reads=found.reads | {key_of(entry.follows)},
        held=roster.why,
        note=join_reasons(one for one in (found.note, roster.failure) if one),
    )


def need_members(entry: Entry) -> Needs:
    """The members, and which of them this host is."""
    return Needs(has_addresses=True, facts=frozenset({key_of(entry.follows)})) if entry.follows else NOTHING_NEEDED


def find_unsettled(expansions: Iterable[Expansion], facts: Facts) -> Reason | None:
    """Why it is not known yet who is no member; None where it is."""
    sources = {one.each.source for one in expansions}
    told = {source: facts.find(key_of(source)) for source in sorted(sources)}
    unsettled = ((source, fact) for source, fact in told.items() if fact.state in UNSETTLED)
    return join_reasons(NotTold(MEMBERS, source, find_roster(fact).failure) for source, fact in unsettled)


UNSETTLED: Final = frozenset({Freshness.LOADING, Freshness.CACHED})


def name_each(name: str) -> str:
    """The table that an entry of this name is of: ``route/pods`` of ``route/pods[node2]``."""
    return name.partition("[")[0]


def find_source(entry: Entry, expansions: Mapping[str, Expansion]) -> str:
    """The source whose member made this entry."""
    found = expansions.get(name_each(entry.name))
    return found.each.source if found else ""
