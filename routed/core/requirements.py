"""Requirements: what becomes of an entry when a check says up or down.

Unmet, the entry is withheld: it comes to no objects, and the ordinary plan takes those that stand away. Not known yet,
it waits, and what stands is left alone; ``core.entries`` says so of every fact. A check whose own way is gone, its link
or its source, is down at once: no question is needed for that.
"""

from __future__ import annotations

from routed.core.desired import Resolution
from routed.core.needs import Needs
from routed.core.references import find_link, is_reference, list_reads
from routed.model.checks import find_ruling, key_of
from routed.model.entries import Entry, Requirement
from routed.model.facts import FactKey, Facts
from routed.model.reasons import Lack, LinkDown, NoCarrier, NoLink, Reason, Required, Unusable, join_reasons


def need_for_requirements(entry: Entry) -> Needs:
    """What decides whether the entry is in force."""
    facts = frozenset(key_of(one.check) for one in entry.requires)
    return Needs(facts=facts, has_addresses=any(one.src for one in entry.requires))


def withhold(found: Resolution, facts: Facts) -> Resolution:
    """What the entry comes to, where it requires anything."""
    reads = found.reads.union(*(_list_reads(one, facts) for one in found.entry.requires))
    unmet = join_reasons(why for one in found.entry.requires if (why := find_unmet(one, facts)))
    if unmet is None:
        return found._replace(reads=reads)
    return Resolution(found.entry, (), (), reads, withheld=unmet)


def find_unmet(requirement: Requirement, facts: Facts) -> Reason | None:
    """Why a requirement is known not to be met, None where it is, or nobody knows."""
    lost = _find_lost_way(requirement, facts)
    ruling = find_ruling(facts.find(key_of(requirement.check)))
    if lost is not None:
        return None if requirement.is_inverted else Required(requirement.check, is_up=False, why=lost)
    if ruling is None or ruling.is_up is not requirement.is_inverted:
        return None
    return Required(requirement.check, ruling.is_up, ruling.why)


def is_decided(requirement: Requirement, facts: Facts) -> bool:
    """Is the check known to be up or down?"""
    return (
        _find_lost_way(requirement, facts) is not None or find_ruling(facts.find(key_of(requirement.check))) is not None
    )


def _find_lost_way(requirement: Requirement, facts: Facts) -> Reason | None:
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
    return None


def _list_reads(requirement: Requirement, facts: Facts) -> set[FactKey]:
    reads = {key_of(requirement.check)}
    if requirement.dev:
        reads |= list_reads(requirement.dev, facts)
        link = find_link(requirement.dev, facts).link
        if is_reference(requirement.dev) and link is not None:
            reads.add(FactKey("link", link.ifindex))
    if requirement.src:
        reads.add(FactKey("address", requirement.src))
    return reads
