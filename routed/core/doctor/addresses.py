"""Addresses that somebody else has as well: twice on this host, or another host."""

from __future__ import annotations

from collections.abc import Iterator

from routed.core.doctor.patient import Patient
from routed.core.routing_sysctls import find_unanswered
from routed.model.diagnosis import Ailment, Diagnosis
from routed.model.entries import Entry
from routed.model.net import format_address, is_loopback
from routed.model.objects import AddressMember, Kind


def examine_addresses(patient: Patient) -> Iterator[Diagnosis]:
    """Each address of the files that stands on another link too, that failed, or for which another host answers."""
    facts = patient.facts
    for entry, member in list_addresses(patient):
        link, address = facts.name_of(member.dev), format_address(member.address)
        details = {"address": address, "prefixlen": member.prefixlen, "link": link}
        fact = facts.addresses.get(member)
        for other in facts.addresses.values():
            if other.address == member.address and other.dev != member.dev and not is_loopback(member.address):
                more = {"other": facts.name_of(other.dev), "other_length": other.prefixlen}
                yield Diagnosis(Ailment.TWICE_HERE, entry.name, details | more)
        if mac := patient.neighbours.get(member):
            yield Diagnosis(Ailment.ELSEWHERE, entry.name, details | {"mac": mac})
        elif fact is not None and fact.has_failed_dad:
            yield Diagnosis(Ailment.FAILED_DAD, entry.name, details)


def list_addresses(patient: Patient) -> Iterator[tuple[Entry, AddressMember]]:
    """The addresses that the files want on this host."""
    for entry, group in patient.list_wanted(Kind.ADDRESS):
        for member in group.members:
            assert isinstance(member, AddressMember)
            yield entry, member


def examine_proxies(patient: Patient) -> Iterator[Diagnosis]:
    """VIPs for which this host has to answer in place of somebody, and does not."""
    for entry, dev in find_unanswered(patient.intent.entries, patient.facts):
        link, address = patient.facts.name_of(dev), format_address(entry.prefix[:-1])
        if patient.proxies is not None and (link, address) not in patient.proxies:
            yield Diagnosis(Ailment.NO_PROXY, entry.name, {"address": address, "link": link})
