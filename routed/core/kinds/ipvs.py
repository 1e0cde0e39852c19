"""Services of IPVS, and their servers."""

from __future__ import annotations

from routed.core.kinds.cures import add_or_delete, is_as_wanted, operate
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.ipvs import ServerSlot, ServerValue, ServiceSlot, ServiceValue
from routed.model.objects import Key, Kind
from routed.model.owner import Stamp


def judge_ipvs(
    _slot: ServiceSlot | ServerSlot, want: Want, standing: tuple[ServiceValue | ServerValue, ...], stamp: Stamp
) -> Nature | None:
    """One object stands under a key, never more."""
    if not standing:
        return Nature.MISSING
    if is_as_wanted(standing[0], want):
        return None
    return Nature.DIFFERENT if stamp(standing[0]).is_ours else Nature.FOREIGN


def cure_ipvs(drift: Drift, _stamp: Stamp) -> list[Operation]:
    """Everything but the key can be set in place, and what is connected stays (ip_vs_edit_service, ip_vs_edit_dest)."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return add_or_delete(drift)
    (before,) = drift.standing
    return [operate(Verb.REPLACE, drift, before)]


def find_service(slot: ServerSlot) -> Key:
    """The service of these servers."""
    return Key(Kind.SERVICE, ServiceSlot(slot.family), slot.service)
