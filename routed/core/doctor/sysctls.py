"""Sysctls that stand otherwise than the files take: of services, and of routes, rules and VIPs."""

from __future__ import annotations

from collections.abc import Iterator

from routed.core.doctor.patient import Patient
from routed.core.routing_sysctls import RoutingView, find_routing_needs
from routed.core.sysctls import find_lacks, find_needs
from routed.model.diagnosis import Ailment, Diagnosis
from routed.model.entries import ServiceEntry
from routed.model.net import FAMILIES
from routed.model.objects import Kind
from routed.model.sysctls import SysctlNeed


def list_needs(patient: Patient) -> tuple[SysctlNeed, ...]:
    """All that the files take. Those of services are the ones of ``routed status``."""
    said = dict(patient.intent.settings.ipvs.sysctl)
    has_services = any(patient.list_entries(ServiceEntry))
    view = RoutingView(
        entries=patient.intent.entries,
        routes=[one for one in patient.list_wanted(Kind.ROUTE) if one[1].value is not None],
        wanted_rules=list(patient.list_wanted(Kind.RULE)),
        facts=patient.facts,
        defaults=patient.defaults,
        rules={family: list(patient.list_rules(family)) for family in FAMILIES},
        checks=[check for check in patient.intent.checks if check.name in _find_asked(patient)],
        is_managed=patient.networkd is not None or patient.manager is not None,
    )
    services = find_needs(patient.intent.entries, patient.facts, said) if has_services else ()
    return (*services, *find_routing_needs(view))


def _find_asked(patient: Patient) -> frozenset[str]:
    return frozenset(name for entry in patient.intent.entries for name in entry.asked)


def examine_sysctls(patient: Patient) -> Iterator[Diagnosis]:
    """Each that stands otherwise, once."""
    told = set()
    for lack in find_lacks(list_needs(patient), patient.sysctls.get):
        if (lack.name, lack.wanted) not in told:
            told.add((lack.name, lack.wanted))
            yield Diagnosis(Ailment.SYSCTL, lack.need.entry, {"lack": lack})
