"""Other programs that work on what the files want."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from routed.core.doctor.patient import Patient
from routed.model import names
from routed.model.diagnosis import Ailment, Diagnosis
from routed.model.entries import Origin, ServiceEntry

# Programs that make services of IPVS, and remove such as they do not know, by /proc/PID/comm (at most 15 characters).
IPVS_PROGRAMS: Final = frozenset({"keepalived", "kube-proxy", "kube-router", "lvscare", "gorb", "ldirectord"})


def examine_protocol(patient: Patient) -> Iterator[Diagnosis]:
    """A protocol number that another daemon takes for its own: each would remove what the other one made."""
    number = patient.intent.settings.protocol
    name = names.TAKEN_PROTOCOLS.get(number, "")
    if name and number not in names.PROTOCOLS_OF_PEOPLE:
        main = next((one.path for one in patient.intent.sources if one.role == "main"), "")
        yield Diagnosis(Ailment.TAKEN_PROTOCOL, "", {"number": number, "name": name, "origin": Origin(main, 1)})


def examine_programs(patient: Patient) -> Iterator[Diagnosis]:
    """Those that keep services of IPVS, where the files have some."""
    service = next((entry.name for entry in patient.list_entries(ServiceEntry)), "")
    for program in patient.programs if service else ():
        if program.comm in IPVS_PROGRAMS:
            yield Diagnosis(Ailment.IPVS_RIVAL, service, program._asdict())
