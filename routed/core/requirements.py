"""Requirements: what becomes of an entry when a check says up or down.

Unmet, the entry is withheld: it comes to no objects, and the ordinary plan takes those that stand away. A route may
stay under another metric, or stay as it is where every alternative is down as well; a leg is left out of its route. Not
known yet, it waits, and what stands is left alone; ``core.entries`` says so of every fact. A check whose own way is
gone, so that no question can be put, is down at once, unless somebody says that it is up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from routed.core.needs import Needs
from routed.core.paths import may_have_source
from routed.core.references import find_link, find_link_towards, is_reference, list_gateway_reads, list_reads
from routed.model.checks import Ruling, find_ruling, key_of
from routed.model.entries import Entry, HopSpec, Requirement, WhenDown
from routed.model.facts import FactKey, Facts, Link
from routed.model.reasons import (
    Lack,
    LinkDown,
    NoAddress,
    NoCarrier,
    NoLink,
    OffNetwork,
    Reason,
    Required,
    TooFewServers,
    Unusable,
    join_reasons,
)

START_WITHIN: Final = 5.0  # seconds that what is rather kept waits for the first word of its checks


def need_for_requirements(entry: Entry) -> Needs:
    """What decides whether the entry is in force."""
    asked = tuple(_list_asked(entry))
    ways = tuple(one for required in asked for one in _list_single(required))
    return Needs(
        gateways=frozenset(one.via for one in ways if one.via and not one.dev),
        has_addresses=any(one.src or one.via for one in ways),
        facts=frozenset(key_of(name) for one in asked for name in one.checks),
    )


class InForce(NamedTuple):
    """What of an entry is in force."""

    variant: Entry | None  # None: nothing of it
    reads: frozenset[FactKey]
    withheld: Reason | None = None  # why nothing is
    degraded: Reason | None = None  # why it is in force though what it requires is not so
    note: Reason | None = None  # why it is another one than the file says


def decide(entry: Entry, facts: Facts) -> InForce:
    """By what the checks say that it requires."""
    reads = list_requirement_reads(_list_asked(entry), facts)
    unmet = _join_unmet(entry.requires, facts)
    variant, without = _leave_out_legs(entry, facts)
    if unmet is None and variant is not None:
        return InForce(variant, reads, note=without)
    why, when_down = unmet or without, entry.when_down or WhenDown()
    if when_down.down_metric is not None:
        return InForce(replace(entry, metric=when_down.down_metric), reads, note=why)  # type: ignore[call-arg]
    are_all_down = all(_join_unmet(other, facts) is not None for other in when_down.alternatives)
    if when_down.keeps and when_down.is_preferred and are_all_down:
        return InForce(entry, reads, degraded=why)
    return InForce(None, reads, withheld=why)


def _list_asked(entry: Entry) -> Iterator[Requirement]:
    yield from entry.conditions
    for other in entry.when_down.alternatives if entry.when_down else ():
        yield from other


def _list_single(requirement: Requirement) -> Iterator[Requirement]:
    """It alone, or what the servers of its service require."""
    if not (requirement.servers or requirement.is_empty):
        yield requirement
    for requires in requirement.servers:
        for one in requires:
            yield from _list_single(one)


def _join_unmet(requires: Iterable[Requirement], facts: Facts) -> Reason | None:
    return join_reasons(why for one in requires if (why := find_unmet(one, facts)))


def _leave_out_legs(entry: Entry, facts: Facts) -> tuple[Entry | None, Reason | None]:
    """The entry without the hops whose own requirements are not met, and why; None where no hop is left."""
    hops: tuple[HopSpec, ...] = getattr(entry, "hops", ())
    out = {hop: why for hop in hops if hop.requires and (why := _join_unmet(hop.requires, facts))}
    if not out:
        return entry, None
    left = tuple(hop for hop in hops if hop not in out)
    return replace(entry, hops=left) if left else None, join_reasons(out.values())  # type: ignore[call-arg]


def find_unmet(requirement: Requirement, facts: Facts) -> Reason | None:
    """Why a requirement is known not to be met, None where it is, or nobody knows."""
    if requirement.servers or requirement.is_empty:
        return _find_unmet_service(requirement, facts)
    ruling = find_ruling(facts.find(key_of(requirement.check)))
    lost = None if ruling and ruling.is_said else _find_lost_way(requirement, ruling, facts)
    if lost is not None:
        return None if requirement.is_inverted else Required(requirement.check, is_up=False, why=lost)
    if ruling is None or ruling.is_up is not requirement.is_inverted:
        return None
    return Required(requirement.check, ruling.is_up, ruling.why)


def _find_unmet_service(requirement: Requirement, facts: Facts) -> Reason | None:
    """A service is up while enough of its servers are."""
    whys = [_join_unmet(requires, facts) for requires in requirement.servers]
    is_up, up = _find_health(requirement, whys, facts)
    if is_up is not requirement.is_inverted:
        return None
    if is_up:
        return Required(requirement.check, is_up=True, why=None)
    first = next((why for why in whys if why is not None), None)
    return Required(requirement.check, is_up=False, why=TooFewServers(up, requirement.need, len(whys), first))


def _find_health(requirement: Requirement, whys: Iterable[Reason | None], facts: Facts) -> tuple[bool | None, int]:
    """Is a service up by what is known of its servers (None: that is not enough to tell), and how many of them are."""
    unknown = [
        why is None and any(find_ruling(facts.find(key_of(name))) is None for one in requires for name in one.checks)
        for why, requires in zip(whys, requirement.servers, strict=True)
    ]
    up = sum(why is None for why in whys) - sum(unknown)
    return (True if up >= requirement.need else False if up + sum(unknown) < requirement.need else None), up


def _find_lost_way(requirement: Requirement, ruling: Ruling | None, facts: Facts) -> Reason | None:
    link: Link | None = None
    if requirement.dev:
        link, why = find_link(requirement.dev, facts)
        if link is None:
            return why or NoLink(requirement.dev)
        if not link.is_up:
            return LinkDown(link.name)
        if not link.has_carrier:
            return NoCarrier(link.name)
    if requirement.src and not any(held.address == requirement.src for held in facts.addresses.values()):
        return Unusable(requirement.src, "src", Lack.ABSENT)
    if not requirement.via:
        return None
    link = link or find_link_towards(requirement.via, facts)
    if link is None:  # where the gateway never was on any link, nobody could ask yet, and that is no answer
        return OffNetwork(requirement.via) if ruling is not None else None
    if requirement.src or may_have_source(requirement.via, facts):
        return None
    return NoAddress(link.name, requirement.dev[1:] if is_reference(requirement.dev) else "")


def list_requirement_reads(requires: Iterable[Requirement], facts: Facts) -> frozenset[FactKey]:
    """The facts that tell whether these are met."""
    return frozenset(read for requirement in requires for read in _list_reads(requirement, facts))


def list_awaited(entry: Entry, facts: Facts, *, has_parts: bool) -> frozenset[FactKey]:
    """The facts without which nobody knows whether the entry is in force; or, where parts wait by themselves, its rest.

    What is known of some servers of a service may be enough.
    """
    asked = entry.requires if has_parts else _list_asked(entry)
    return list_requirement_reads((one for one in asked if not _is_decided(one, facts)), facts)


def _is_decided(requirement: Requirement, facts: Facts) -> bool:
    whys = [_join_unmet(requires, facts) for requires in requirement.servers]
    return bool(whys) and _find_health(requirement, whys, facts)[0] is not None


def _list_reads(requirement: Requirement, facts: Facts) -> set[FactKey]:
    if requirement.servers or requirement.is_empty:
        return {read for requires in requirement.servers for one in requires for read in _list_reads(one, facts)}
    reads = {key_of(requirement.check)}
    if requirement.dev:
        reads |= list_reads(requirement.dev, facts)
        link = find_link(requirement.dev, facts).link
        if is_reference(requirement.dev) and link is not None:
            reads.add(FactKey("link", link.ifindex))
    if requirement.src:
        reads.add(FactKey("address", requirement.src))
    elif requirement.via:
        reads.add(FactKey("address", ""))
    if requirement.via and not requirement.dev:
        reads |= list_gateway_reads(requirement.via, facts)
    return reads
