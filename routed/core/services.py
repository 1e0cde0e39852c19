"""Services of IPVS: what a ``[[service]]`` comes to by the addresses of this host, and by what the checks say.

A server whose requirements are not met gets no new connections, and goes after a while; one of which nothing is known
yet is left as it is. Where no server is up, the file says what then. Here must never live: how a check is asked, or
what the kernel is told (``kernel.ipvs``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from routed.core.desired import ObjectSet, Resolution, Waiting
from routed.core.needs import Needs
from routed.core.references import find_link, is_own_address, list_address_reads
from routed.core.requirements import START_WITHIN, find_unmet, list_requirement_reads
from routed.model.checks import find_ruling, key_of
from routed.model.entries import LOCAL, Listen, OnConflict, OnFail, Requirement, ServerSpec, ServiceEntry, WhenAllDown
from routed.model.facts import FactKey, Facts, Freshness
from routed.model.ipvs import (
    SCHEDULER_1,
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
)
from routed.model.net import ADDRESS_LENGTH, FAMILIES, family_of
from routed.model.objects import Kind
from routed.model.reasons import NoAddress, NoHostAddress, NotTold, Reason, ServerOut, join_reasons


def need_for_service(entry: ServiceEntry) -> Needs:
    """The addresses of the host, where the service is at its own."""
    return Needs(has_addresses=any(listen.own for listen in entry.listens))


_HASHING: Final = frozenset({"sh", "mh", "dh"})


class _ServerFate(NamedTuple):
    """What becomes of one server."""

    spec: ServerSpec
    weight: int | None  # None: it is left as it is
    is_there: bool = True
    why: Reason | None = None  # it is not as written
    again: float | None = None  # when that changes though no fact does


def resolve_service(entry: ServiceEntry, facts: Facts, protocol: int) -> Resolution:
    """Its services, and the servers of each."""
    places, waiting, reads = _find_places(entry, facts)
    fates = [_judge_server(entry, spec, facts) for spec in entry.servers]
    reads |= {read for spec in entry.servers for read in list_requirement_reads(spec.requires, facts)}
    again = min((fate.again for fate in fates if fate.again is not None), default=None)
    out = join_reasons(ServerOut(f.spec.address, f.spec.port, f.why) for f in fates if f.why is not None)
    degraded = None
    if out is not None and sum(fate.why is None for fate in fates) < entry.min_healthy:
        if entry.when_all_down is WhenAllDown.REMOVE:
            return Resolution(entry, reads=frozenset(reads), withheld=out, again=again)
        if entry.sorry is not None:
            fates = [*_drain_all(fates, entry.sorry), _ServerFate(entry.sorry, entry.sorry.value.weight)]
            degraded, out = out, None
        elif entry.when_all_down is WhenAllDown.KEEP:
            fates = [_ServerFate(fate.spec, fate.spec.value.weight) for fate in fates]
            degraded, out = out, None
    waiting += [
        Waiting(NotTold(key.what, key.which))
        for key in dict.fromkeys(
            key_of(name) for fate in fates if fate.weight is None for one in fate.spec.requires for name in one.checks
        )
    ]
    sets: list[ObjectSet] = []
    for member in places:
        sets += _make_sets(entry, member, fates, protocol)
    return Resolution(entry, tuple(sets), tuple(waiting), frozenset(reads), out, degraded, again=again)


def _drain_all(fates: Iterable[_ServerFate], sorry: ServerSpec) -> Iterator[_ServerFate]:
    """All but the one that stands in for them, should it be one of them."""
    return (fate._replace(weight=0) for fate in fates if fate.spec[:2] != sorry[:2])


def _find_places(
    entry: ServiceEntry, facts: Facts
) -> tuple[list[tuple[int, ServiceMember]], list[Waiting], set[FactKey]]:
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


def _judge_server(entry: ServiceEntry, spec: ServerSpec, facts: Facts) -> _ServerFate:
    """By what the checks say. Nobody knows yet: as it is, for a few seconds."""
    told = [facts.find(key_of(name)) for one in spec.requires for name in one.checks]
    patience = max((fact.since for fact in told if fact.state is Freshness.LOADING), default=None)
    why = join_reasons(one for one in (find_unmet(requirement, facts) for requirement in spec.requires) if one)
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


def passes_over_drained(scheduler: str, flags: int) -> bool:
    """Does a scheduler find another server for a client whose own one has weight 0? Else that client is refused.

    Source: ip_vs_sh_schedule, ip_vs_mh_schedule and ip_vs_dh_schedule in net/netfilter/ipvs; tried on Linux 6.1.
    """
    return scheduler not in _HASHING or bool(flags & SCHEDULER_1)


def _find_fall(requires: Iterable[Requirement], facts: Facts) -> float:
    """Since when the server is out: of the requirements that are not met, the first."""
    unmet = (one for one in requires if find_unmet(one, facts))
    rulings = (find_ruling(facts.find(key_of(name))) for one in unmet for name in one.checks)
    return min((ruling.since if ruling else facts.moment for ruling in rulings), default=facts.moment)


def _make_sets(
    entry: ServiceEntry, place: tuple[int, ServiceMember], fates: Iterable[_ServerFate], protocol: int
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
    alike: defaultdict[ServerValue | None, set[ServerMember]] = defaultdict(set)
    for fate in fates:
        if fate.is_there:
            server = None if fate.weight is None else fate.spec.value._replace(protocol=protocol, weight=fate.weight)
            alike[server].add(ServerMember(fate.spec.address, fate.spec.port or member.port))
    for server, members in alike.items():
        also = () if server is None else _as_good(entry, server)
        yield ObjectSet(Kind.SERVER, ServerSlot(family, member), frozenset(members), server, also)


def _as_good(entry: ServiceEntry, value: ServiceValue | ServerValue) -> tuple[ServiceValue | ServerValue, ...]:
    """What somebody else put there just so does its work: it stays theirs, unless the file takes it over."""
    if entry.on_conflict is OnConflict.REPLACE:
        return ()
    theirs = value._replace(protocol=0)
    return (theirs._replace(is_shared=False),) if isinstance(theirs, ServiceValue) else (theirs,)
