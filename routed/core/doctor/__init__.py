"""The doctor: what works on a host against what the files want.

Each examination is a pure function of the patient, and a row of one table. Here must never live: reading anything of a
host (``daemon.doctor``), or words for a person (``audit.diagnoses``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from routed.core.doctor.addresses import examine_addresses, examine_proxies
from routed.core.doctor.firewall import examine_firewall
from routed.core.doctor.host import examine_clock, examine_journal, examine_storage, examine_unit
from routed.core.doctor.managers import examine_manager, examine_networkd
from routed.core.doctor.patient import Patient
from routed.core.doctor.programs import examine_programs, examine_protocol
from routed.core.doctor.routing import (
    examine_dead_rules,
    examine_effect,
    examine_priorities,
    examine_strangers,
    examine_tables,
)
from routed.core.doctor.sysctls import examine_sysctls
from routed.model.diagnosis import Ailment, Diagnosis, Severity

Examination = Callable[[Patient], Iterator[Diagnosis]]


def examine_gaps(patient: Patient) -> Iterator[Diagnosis]:
    """What could not be looked at: nobody may take it for fine."""
    if not patient.is_daemon_running:
        yield Diagnosis(Ailment.NO_DAEMON)
    for hidden in patient.hidden:
        yield Diagnosis(Ailment.NOT_SEEN, "", hidden._asdict())


EXAMINATIONS: Final[tuple[Examination, ...]] = (
    examine_effect,
    examine_firewall,
    examine_addresses,
    examine_proxies,
    examine_sysctls,
    examine_networkd,
    examine_manager,
    examine_programs,
    examine_protocol,
    examine_strangers,
    examine_priorities,
    examine_tables,
    examine_dead_rules,
    examine_storage,
    examine_clock,
    examine_journal,
    examine_unit,
    examine_gaps,
)
_ORDER: Final = (Severity.ERROR, Severity.WARNING, Severity.NOTE, Severity.UNSEEN)


def examine(patient: Patient) -> list[Diagnosis]:
    """All that is found, the worst first."""
    found = [one for examination in EXAMINATIONS for one in examination(patient)]
    return sorted(found, key=lambda one: _ORDER.index(one.severity))
