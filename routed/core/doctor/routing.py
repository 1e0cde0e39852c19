"""Routing: what others have in our tables, what nobody reaches, what can never match, what is decided elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import count
from typing import Final

from routed.core.desired import ObjectSet
from routed.core.doctor.patient import Patient
from routed.core.rules import RULE_ERRORS, covers
from routed.model import names
from routed.model.diagnosis import Ailment, Diagnosis
from routed.model.entries import Entry, RouteEntry, RuleEntry
from routed.model.net import DEFAULT, FAMILIES, format_address, network_of
from routed.model.objects import Key, Kind, RouteSlot, RuleMember, RuleSlot, Slot
from routed.model.owner import Owner
from routed.model.reasons import Reason
from routed.model.text import format_key

KERNELS_TABLES: Final = frozenset({names.TABLE_DEFAULT, names.TABLE_MAIN, names.TABLE_LOCAL})


def find_table(group: ObjectSet) -> tuple[int, int]:
    """The family and the table of routes."""
    return _find_place(group.slot)


def _find_place(slot: Slot) -> tuple[int, int]:
    assert isinstance(slot, RouteSlot)
    return slot.family, slot.table


def examine_strangers(patient: Patient) -> Iterator[Diagnosis]:
    """Others who write into tables that the files fill."""
    for one in patient.strangers:
        place = one.family, one.table
        entry = next((entry.name for entry, group in patient.list_wanted(Kind.ROUTE) if find_table(group) == place), "")
        details = {
            "strange": one,
            "table": patient.vocabulary.table(one.table),
            "protocol": patient.vocabulary.protocol(one.protocol),
        }
        yield Diagnosis(Ailment.FOREIGN_ROUTES, entry, details)


def examine_priorities(patient: Patient) -> Iterator[Diagnosis]:
    """Rules of others at a priority of ours: which of them comes first depends on who was there first."""
    beside: defaultdict[tuple[int, int], list[RuleMember]] = defaultdict(list)
    for family, rules in patient.rules.items():
        for one in rules:
            if one.owner is Owner.FOREIGN:
                beside[family, one.member.priority].append(one.member)
    for entry, family, rule in _list_our_rules(patient):
        for other in beside.get((family, rule.priority), ()):
            if other != rule:
                yield Diagnosis(Ailment.FOREIGN_RULE, entry.name, _describe_rule(patient, family, other))


def examine_tables(patient: Patient) -> Iterator[Diagnosis]:
    """Tables that no rule looks up, and rules that look up a table without a route."""
    told = set()
    taken = {family: set(_list_priorities(patient, family)) for family in FAMILIES}
    for entry, group in patient.list_wanted(Kind.ROUTE):
        place = family, table = find_table(group)
        if table in KERNELS_TABLES or place in told or not patient.rules.get(family):
            continue
        told.add(place)
        if not any(_leads(rule, table) for rule in patient.list_rules(family)) and not _leads_soon(patient, *place):
            details = _describe_table(patient, entry, family, table)
            priority = next(
                one for one in count(_FIRST if details["source"] else _BEHIND_MAIN) if one not in taken[family]
            )
            taken[family].add(priority)
            yield Diagnosis(Ailment.UNUSED_TABLE, entry.name, details | {"priority": priority})
    filled = set(_list_filled(patient))
    for entry, family, rule in _list_our_rules(patient):
        is_plain = rule.action == names.TO_TABLE and not rule.l3mdev
        if is_plain and (family, rule.table) not in filled:
            details = _describe_rule(patient, family, rule) | {"table": patient.vocabulary.table(rule.table)}
            yield Diagnosis(Ailment.EMPTY_TABLE, entry.name, details | {"origin": entry.origin})


_FIRST: Final = 1000  # the priority of a rule that says for whom it is; the first from here that is free
_BEHIND_MAIN: Final = 32800  # of one that is for all that the kernel's own rules have no way for


def _list_priorities(patient: Patient, family: int) -> Iterator[int]:
    yield from (rule.priority for rule in patient.list_rules(family))
    yield from (entry.rule.priority for entry in patient.list_entries(RuleEntry) if family in entry.families)


def _leads(rule: RuleMember, table: int) -> bool:
    return rule.l3mdev or (rule.action == names.TO_TABLE and rule.table == table)


def _leads_soon(patient: Patient, family: int, table: int) -> bool:
    """Is a rule wanted that leads there, even if it waits?"""
    return any(_leads(entry.rule, table) and family in entry.families for entry in patient.list_entries(RuleEntry))


def _list_filled(patient: Patient) -> Iterator[tuple[int, int]]:
    """The families and tables that have a route, or are going to."""
    yield from patient.filled
    yield from (find_table(group) for _, group in patient.list_wanted(Kind.ROUTE))
    for entry in patient.list_entries(RouteEntry):
        yield from ((family, entry.table) for family, prefixes in entry.prefixes.items() if prefixes)


def _describe_table(patient: Patient, entry: Entry, family: int, table: int) -> dict[str, object]:
    """With the one address of the link by which its routes go, if there is one: it is for packets from there.

    Without one it can be for what table main has no way for, and that is nothing where main has a default route.
    """
    devs = {
        hop.dev
        for _, group in patient.list_wanted(Kind.ROUTE)
        if find_table(group) == (family, table) and group.value is not None
        for one in group.value.aliases
        for hop in one.hops
    }
    addresses = [
        fact.address
        for fact in patient.facts.addresses.values()
        if {fact.dev} == devs and len(fact.address) == len(DEFAULT[family]) - 1 and fact.scope == names.UNIVERSE
    ]
    source = format_address(addresses[0]) if len(addresses) == 1 else ""
    name = patient.vocabulary.table(table)
    details = {"table": name, "number": table, "family": family, "source": source, "origin": entry.origin}
    return details | {"is_main_full": _has_way_for_all(patient, family)}


def _has_way_for_all(patient: Patient, family: int) -> bool:
    """Does table main have an answer for every packet, or is it going to?"""
    place, whole = (family, names.TABLE_MAIN), DEFAULT[family]
    return any((_find_place(one.slot), one.member) == (place, whole) for one in patient.defaults) or any(
        find_table(group) == place and whole in group.members for _, group in patient.list_wanted(Kind.ROUTE)
    )


def examine_dead_rules(patient: Patient) -> Iterator[Diagnosis]:
    """Rules of ours behind one that has an answer for each of their packets."""
    full = {
        find_table(group)
        for _, group in patient.list_wanted(Kind.ROUTE)
        if group.value is not None and group.value.type != names.THROW and _has_default(group)
    }
    final = {family: _Covering(_list_final(patient, family, full)) for family in FAMILIES}
    for entry, family, rule in _list_our_rules(patient):
        other = final[family].find(rule)
        if other is not None:
            details = {"origin": entry.origin, "other": _name_rule(patient, family, other)}
            yield Diagnosis(Ailment.DEAD_RULE, entry.name, _describe_rule(patient, family, rule) | details)


class _Covering:
    """Rules by what a rule that they cover must have: so that thousands need not be compared each with each."""

    def __init__(self, rules: Iterable[RuleMember]) -> None:
        self._rules: defaultdict[tuple[bytes, int], list[RuleMember]] = defaultdict(list)
        self._inverted: list[RuleMember] = []
        for rule in rules:
            (self._inverted if rule.inverted else self._rules[rule.source, _mark_of(rule)]).append(rule)

    def find(self, rule: RuleMember) -> RuleMember | None:
        """One of a lower priority that is for every packet of this one."""
        width = len(rule.source) - 1
        within = (network_of(rule.source[:-1], length) for length in range(rule.source[-1] + 1)) if width > 0 else ()
        sources = [b"", *within]
        marks = dict.fromkeys((_ANY_MARK, _SOME_MARKS, _mark_of(rule)))
        some = (self._rules.get((source, mark), ()) for source in sources for mark in marks)
        candidates = (one for rules in (*some, self._inverted) for one in rules)
        return next((one for one in candidates if one.priority < rule.priority and covers(one, rule)), None)


_ANY_MARK, _SOME_MARKS = -1, -2
_WHOLE: Final = 0xFFFFFFFF


def _mark_of(rule: RuleMember) -> int:
    if not rule.fwmask:
        return _ANY_MARK
    return rule.fwmark if rule.fwmask == _WHOLE else _SOME_MARKS


def _has_default(group: ObjectSet) -> bool:
    return DEFAULT[group.slot.family] in group.members


def _list_final(patient: Patient, family: int, full: Collection[tuple[int, int]]) -> Iterator[RuleMember]:
    """Rules with which every packet of theirs ends; of routes only what we put there counts: that is what files say."""
    for rule in patient.list_rules(family):
        leads = rule.action == names.TO_TABLE and rule.suppress_prefixlength < 0
        if rule.action in RULE_ERRORS or (leads and (family, rule.table) in full):
            yield rule


def examine_effect(patient: Patient) -> Iterator[Diagnosis]:
    """What stands, and something that is not ours decides."""
    by_reason: dict[Reason | None, list[tuple[Key, str]]] = {}
    for key, entry, reason in patient.shadowed:
        by_reason.setdefault(reason, []).append((key, entry))
    for reason, some in by_reason.items():
        key, entry = some[0]
        named = {"object": format_key(key, patient.vocabulary), "others": len(some) - 1}
        yield Diagnosis(Ailment.SHADOWED, entry, {**named, "reason": reason, "family": key.slot.family})
    for one in patient.absent:
        yield Diagnosis(Ailment.KERNEL_RULES, "", dict(one))


def _list_our_rules(patient: Patient) -> Iterator[tuple[Entry, int, RuleMember]]:
    for entry, group in patient.list_wanted(Kind.RULE):
        for rule in group.members:
            assert isinstance(rule, RuleMember)
            yield entry, group.slot.family, rule


def _describe_rule(patient: Patient, family: int, rule: RuleMember) -> dict[str, object]:
    return {"rule": _name_rule(patient, family, rule), "family": family, "member": rule}


def _name_rule(patient: Patient, family: int, rule: RuleMember) -> str:
    return format_key(Key(Kind.RULE, RuleSlot(family), rule), patient.vocabulary)
