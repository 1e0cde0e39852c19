"""Services of IPVS: what a ``[[service]]`` comes to by the addresses of this host, and by what the checks say.

A server whose requirements are not met gets no new connections, and goes after a while; one of which nothing is known
yet is left as it is. Where no server is up, the file says what then. Here must never live: how a check is asked, or
what the kernel is told (``kernel.ipvs``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import NamedTuple

from routed.core.agents import find_share_of
from routed.core.desired import Desired, ObjectSet, Resolution, Waiting
from routed.core.for_each import need_members, note_members
from routed.core.holds import Subject
from routed.core.kinds.ipvs import passes_over_drained
from routed.core.membership import find_roster
from routed.core.needs import Needs
from routed.core.references import find_link, is_own_address, list_address_reads
from routed.core.requirements import START_WITHIN, find_unmet, list_requirement_reads
from routed.core.slow_start import find_risen, find_weight
from routed.core.sources import DRAIN
from routed.model.checks import find_ruling, key_of
from routed.model.entries import LOCAL, Listen, OnConflict, OnFail, Requirement, ServerSpec, ServiceEntry, WhenAllDown
from routed.model.facts import FactKey, Facts, Freshness
from routed.model.ipvs import (
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
)
from routed.model.members import MEMBERS
from routed.model.members import key_of as key_of_source
from routed.model.net import ADDRESS_LENGTH, FAMILIES, family_of, format_endpoint
from routed.model.objects import Key, Kind, Value
from routed.model.reasons import NoAddress, NoHostAddress, NotTold, Reason, ServerOut, TooFewServers, join_reasons


def need_for_service(entry: ServiceEntry) -> Needs:
    """The addresses of the host, where it is at its own; what the operator drains of it; what its agents say."""
    members = need_members(entry)
    return Needs(
        has_addresses=members.has_addresses or any(listen.own for listen in entry.listens),
        has_parts=True,
        facts=members.facts | {key_of(server.agent) for server in entry.servers if server.agent},
    )


def name_server(spec: ServerSpec) -> str:
    """What stands in the brackets of ``service/api[10.0.0.11:6443]``; without a port where the file has none."""
    return format_endpoint(spec.address, spec.port)


def has_server(entry: ServiceEntry, slot: ServerSlot, member: ServerMember) -> bool:
    """Is this server written? What its checks say decides about it then."""
    written = (*entry.servers, *([entry.sorry] if entry.sorry else ()))
    return any((one.address, one.port or slot.service.port) == member for one in written)


class _ServerFate(NamedTuple):
    """What becomes of one server."""

    spec: ServerSpec
    weight: int | None  # None: it is left as it is
    is_there: bool = True
    why: Reason | None = None  # it is not as written
    again: float | None = None  # when that changes though no fact does
    is_said: bool = False  # the operator says so, which counts more than anything else
    is_only_said: bool = False  # he alone: its checks have nothing against it


def resolve_service(entry: ServiceEntry, facts: Facts, protocol: int) -> Resolution:
    """Its services, and the servers of each."""
    places, waiting, reads = _find_places(entry, facts)
    fates = _judge_all(entry, facts)
    reads |= {FactKey(DRAIN, entry.name)} | {
        read for spec in entry.servers for read in list_requirement_reads(spec.requires, facts)
    }
    reads |= {key_of(spec.agent) for spec in entry.servers if spec.agent}
    again = min((fate.again for fate in fates if fate.again is not None), default=None)
    out = join_reasons(ServerOut(f.spec.address, f.spec.port, f.why) for f in fates if f.why is not None)
    if entry.follows and not fates:
        source = facts.find(key_of_source(entry.follows))
        if source.state is Freshness.LOADING:
            waiting.append(Waiting(NotTold(MEMBERS, entry.follows, find_roster(source).failure)))
        else:
            out = TooFewServers(0, entry.min_healthy, 0, None)
    degraded = None
    healthy = sum(fate.why is None and fate.spec.value.weight > 0 for fate in fates)
    if out is not None and healthy < entry.min_healthy:
        spared = sum(fate.is_only_said and fate.spec.value.weight > 0 for fate in fates)
        if entry.when_all_down is WhenAllDown.REMOVE and healthy + spared < entry.min_healthy:
            found = Resolution(entry, reads=frozenset(reads), withheld=out, again=again)
            return note_members(found, entry.lacking, facts)
        if entry.sorry is not None:
            fates = [*(fate._replace(weight=0) for fate in fates), _ServerFate(entry.sorry, entry.sorry.value.weight)]
            degraded, out = out, None
        elif entry.when_all_down is WhenAllDown.KEEP:
            fates = [fate if fate.is_said else _ServerFate(fate.spec, fate.spec.value.weight) for fate in fates]
            degraded, out = out, None
    waiting += [
        Waiting(NotTold(key.what, key.which))
        for key in dict.fromkeys(
            key for fate in fates if fate.weight is None for key in _list_awaited(fate.spec, facts)
        )
    ]
    sets: list[ObjectSet] = []
    withdrawn: list[tuple[Key, Reason]] = []
    taken: list[tuple[Key, Value]] = []
    notes: list[tuple[Key, Reason]] = []
    for place in places:
        servers = _place_servers(place, fates)
        sets += _make_sets(entry, place, servers, protocol)
        withdrawn += _list_withdrawn(place, servers)
        taken += _list_taken(entry, place, servers)
        notes += _list_notes(place, servers)
    found = Resolution(entry, tuple(sets), tuple(waiting), frozenset(reads), out, degraded, again=again)
    return note_members(
        found._replace(withdrawn=tuple(withdrawn), taken=tuple(taken), notes=tuple(notes)), entry.lacking, facts
    )


def _judge_all(entry: ServiceEntry, facts: Facts) -> list[_ServerFate]:
    """What becomes of each server. There may be thousands, and of most nobody says anything."""
    drained, risen = facts.drained.get(entry.name, {}), facts.risen.get(entry.name, {})
    fates: list[_ServerFate] = []
    for spec in entry.servers:
        if not (drained or risen or spec.requires or spec.agent):
            fates.append(_ServerFate(spec, spec.value.weight))
            continue
        name = name_server(spec)
        fate = _ask_agent(entry, _judge_server(entry, spec, facts, drained.get(name)), facts)
        fates.append(_begin_slowly(entry, fate, risen.get(name), facts.moment))
    return fates


_At = tuple[int, ServiceMember]  # the family of a service, and the service


def _place_servers(place: _At, fates: Iterable[_ServerFate]) -> dict[ServerMember, _ServerFate]:
    """The servers of one service, each once: who stands in for all may be one of them."""
    port = place[1].port
    return {ServerMember(fate.spec.address, fate.spec.port or port): fate for fate in fates}


def _list_withdrawn(place: _At, servers: Mapping[ServerMember, _ServerFate]) -> Iterator[tuple[Key, Reason]]:
    """Those that a check takes away, and why."""
    slot = ServerSlot(*place)
    for member, fate in servers.items():
        if not fate.is_there and fate.why is not None:
            yield Key(Kind.SERVER, slot, member), ServerOut(fate.spec.address, fate.spec.port, fate.why)


def _list_taken(
    entry: ServiceEntry, place: _At, servers: Mapping[ServerMember, _ServerFate]
) -> Iterator[tuple[Key, Value]]:
    """Those that go though the service may be somebody else's, as he has them then."""
    slot = ServerSlot(*place)
    for member, fate in servers.items():
        theirs = None if fate.is_there else _as_theirs(entry, fate.spec.value)
        if theirs is not None:
            yield Key(Kind.SERVER, slot, member), theirs


def _list_notes(place: _At, servers: Mapping[ServerMember, _ServerFate]) -> Iterator[tuple[Key, Reason]]:
    """Those that stay without new connections, and why."""
    slot = ServerSlot(*place)
    for member, fate in servers.items():
        if fate.is_there and fate.why is not None:
            yield Key(Kind.SERVER, slot, member), fate.why


def _find_places(entry: ServiceEntry, facts: Facts) -> tuple[list[_At], list[Waiting], set[FactKey]]:
    """The services by family, what is waited for, and the facts read."""
    found: dict[tuple[int, ServiceMember], None] = {}
    waiting: list[Waiting] = []
    reads: set[FactKey] = set()
    for listen in entry.listens:
        if listen.fwmark:
            found[listen.family, ServiceMember(fwmark=listen.fwmark)] = None
        elif not listen.own:
            found[family_of(listen.address), ServiceMember(listen.ipproto, listen.address, listen.port)] = None
        else:
            reads |= _list_own_reads(listen, facts)
            own = list(_list_own(listen, entry, facts))
            waiting += [] if own else [Waiting(_say_why_none(listen, facts))]
            found |= {(family_of(one), ServiceMember(listen.ipproto, one, listen.port)): None for one in own}
    return list(found), waiting, reads


def _list_own(listen: Listen, entry: ServiceEntry, facts: Facts) -> Iterator[bytes]:
    """The addresses of this host that are meant, of the families of the servers."""
    families = {family_of(spec.address) for spec in entry.servers} or set(FAMILIES)
    link = None if listen.own == LOCAL else find_link(listen.own, facts).link
    for fact in facts.addresses.values():
        is_meant = listen.own == LOCAL or (link is not None and fact.dev == link.ifindex)
        if is_meant and family_of(fact.address) in families and is_own_address(fact, facts):
            yield fact.address


def _say_why_none(listen: Listen, facts: Facts) -> Reason:
    if listen.own == LOCAL:
        return NoHostAddress.NONE_AT_ALL
    link, why = find_link(listen.own, facts)
    return why or NoAddress(link.name if link else "", listen.own.removeprefix("@"))


def _list_own_reads(listen: Listen, facts: Facts) -> set[FactKey]:
    if listen.own != LOCAL:
        return list_address_reads(listen.own.removeprefix("@"), facts)
    return {FactKey("address", "")}


def _judge_server(entry: ServiceEntry, spec: ServerSpec, facts: Facts, said: Reason | None) -> _ServerFate:
    """By what the operator or the checks say. Nobody knows yet: as it is, for a few seconds."""
    told = [facts.find(key_of(name)) for one in spec.requires for name in one.checks]
    patience = max((fact.since for fact in told if fact.state is Freshness.LOADING), default=None)
    why = join_reasons(one for one in (find_unmet(requirement, facts) for requirement in spec.requires) if one)
    if said is not None:
        is_there = passes_over_drained(entry.scheduler, entry.flags)
        return _ServerFate(spec, 0, is_there=is_there, why=said, is_said=True, is_only_said=why is None)
    if why is None:
        if patience is not None and facts.moment < patience + START_WITHIN:
            return _ServerFate(spec, None, again=patience + START_WITHIN)
        return _ServerFate(spec, spec.value.weight)
    if entry.on_fail is OnFail.REMOVE or not passes_over_drained(entry.scheduler, entry.flags):
        return _ServerFate(spec, 0, is_there=False, why=why)
    until = _find_fall(spec.requires, facts) + entry.remove_after
    if facts.moment >= until:
        return _ServerFate(spec, 0, is_there=False, why=why)
    return _ServerFate(spec, 0, why=why, again=until)


def _list_awaited(spec: ServerSpec, facts: Facts) -> Iterator[FactKey]:
    """Of what nothing is told yet, though it decides about this server."""
    names = [name for one in spec.requires for name in one.checks]
    keys = map(key_of, [*names, spec.agent] if spec.agent else names)
    return (key for key in keys if facts.find(key).state is Freshness.LOADING)


_NOT_OF_NOW = frozenset({Freshness.LOADING, Freshness.CACHED})  # the weight that stands is newer than what is kept


def _ask_agent(entry: ServiceEntry, fate: _ServerFate, facts: Facts) -> _ServerFate:
    """The share of its weight that a server takes by its own word, where nothing else keeps it out."""
    if not (fate.spec.agent and fate.weight):
        return fate
    told = facts.find(key_of(fate.spec.agent))
    patience = told.since + START_WITHIN
    if told.state in _NOT_OF_NOW and facts.moment < patience:
        return fate._replace(weight=None, again=patience)
    ruling = find_ruling(told)
    if ruling is None:
        return fate
    if not ruling.is_up:
        return fate._replace(weight=0, is_there=passes_over_drained(entry.scheduler, entry.flags), why=ruling.why)
    return fate._replace(weight=find_share_of(fate.weight, ruling.share))


def _begin_slowly(entry: ServiceEntry, fate: _ServerFate, since: float | None, now: float) -> _ServerFate:
    """One that came a while ago has a part of its weight."""
    if since is None or not fate.weight:
        return fate
    weight, again = find_weight(fate.weight, since, entry.slow_start, now)
    return fate._replace(weight=weight, again=min(again or inf, fate.again or inf) if again or fate.again else None)


def list_vips(desired: Desired, subject: Subject) -> set[bytes]:
    """The addresses of all services, where the subject is one of them or in one: what others have to leave alone."""
    services = desired.wants.get(Kind.SERVICE, {})
    kind = subject.kind if isinstance(subject, Key) else None
    entries = {want.entry.name for members in services.values() for _, want in members.items()} if services else set()
    if kind not in {Kind.SERVICE, Kind.SERVER} and subject not in entries:
        return set()
    found = (member for members in services.values() for member, _ in members.items())
    return {member.address for member in found if isinstance(member, ServiceMember) and member.address}


def list_risen(entry: ServiceEntry, before: Resolution, after: Resolution) -> list[str]:
    """The names of the servers that begin slowly."""
    return [name_server(spec) for spec in find_risen(entry, before, after)]


def _find_fall(requires: Iterable[Requirement], facts: Facts) -> float:
    """Since when the server is out: of the checks that say so the first; now, where only a link says it yet."""
    unmet = [one for one in requires if find_unmet(one, facts)]
    rulings = ((find_ruling(facts.find(key_of(name))), one.is_inverted) for one in unmet for name in one.checks)
    return min((it.since for it, unwanted in rulings if it and it.is_up is unwanted), default=facts.moment)


def _make_sets(
    entry: ServiceEntry, place: _At, servers: Mapping[ServerMember, _ServerFate], protocol: int
) -> Iterator[ObjectSet]:
    """The service itself, and its servers, those together that are alike."""
    family, member = place
    width = ADDRESS_LENGTH[family] * 8
    value = ServiceValue(
        protocol,
        entry.scheduler,
        entry.flags,
        entry.timeout,
        width if entry.prefixlen is None else min(entry.prefixlen, width),
        entry.engine,
        entry.is_shared,
    )
    yield ObjectSet(Kind.SERVICE, ServiceSlot(family), frozenset({member}), value, _as_good(entry, value))
    written: defaultdict[tuple[ServerValue, int | None], set[ServerMember]] = defaultdict(set)
    for one, fate in servers.items():
        if fate.is_there:
            written[fate.spec.value, fate.weight].add(one)
    alike: defaultdict[tuple[ServerValue | None, ServerValue | None], set[ServerMember]] = defaultdict(set)
    for (former, weight), some in written.items():
        server = None if weight is None else former._replace(protocol=protocol, weight=weight)
        is_plain = weight is None or weight == former.weight
        alike[server, None if is_plain else _as_theirs(entry, former)] |= some
    for (server, theirs), members in alike.items():
        also = () if server is None else _as_good(entry, server)
        yield ObjectSet(Kind.SERVER, ServerSlot(family, member), frozenset(members), server, also, theirs=theirs)


def _as_theirs(entry: ServiceEntry, written: ServerValue) -> ServerValue | None:
    """A server as somebody else made it, just as it is written; None where all that is there becomes ours."""
    return None if entry.on_conflict is OnConflict.REPLACE else written._replace(protocol=0)


def _as_good(entry: ServiceEntry, value: ServiceValue | ServerValue) -> tuple[ServiceValue | ServerValue, ...]:
    """What somebody else put there just so does its work: it stays theirs, unless the file takes it over."""
    if entry.on_conflict is OnConflict.REPLACE:
        return ()
    theirs = value._replace(protocol=0)
    return (theirs._replace(is_shared=False),) if isinstance(theirs, ServiceValue) else (theirs,)
