"""Services of IPVS, their servers and its timeouts: what is wrong, how it is put right, and how a server leaves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from routed.core.kinds.cures import Drainage, add_or_delete, is_as_wanted, operate
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.ipvs import (
    SCHEDULER_1,
    TIMEOUTS,
    UDP,
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    TimeoutMember,
    TimeoutSlot,
    TimeoutValue,
)
from routed.model.net import host_prefix
from routed.model.objects import Key, Kind
from routed.model.owner import Stamp
from routed.model.reasons import Flaw


def judge_ipvs(
    _slot: ServiceSlot | ServerSlot | TimeoutSlot,
    want: Want,
    standing: tuple[ServiceValue | ServerValue | TimeoutValue, ...],
    stamp: Stamp,
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


def cure_timeout(drift: Drift, stamp: Stamp) -> list[Operation]:
    """Set in place. None can be taken away: before ours, the kernel had its own where nobody had put another one."""
    if drift.nature is not Nature.SURPLUS:
        return cure_ipvs(drift, stamp)
    members: Iterable[Any] = drift.members
    return [_give_back(drift, member) for member in members]


def _give_back(drift: Drift, member: TimeoutMember) -> Operation:
    kernels, (before,) = TimeoutValue(0, TIMEOUTS[member.word]), drift.standing
    return Operation(
        Verb.REPLACE, drift.kind, drift.slot, (member,), kernels, None, Flaw.PUT_BACK, before, Nature.SURPLUS
    )


_HASHING: Final = frozenset({"sh", "mh", "dh"})


def passes_over_drained(scheduler: str, flags: int) -> bool:
    """Does a scheduler find another server for a client whose own one has weight 0? Else that client is refused.

    Source: ip_vs_sh_schedule, ip_vs_mh_schedule and ip_vs_dh_schedule in net/netfilter/ipvs; tried on Linux 6.1.
    """
    return scheduler not in _HASHING or bool(flags & SCHEDULER_1)


def _begin(value: ServerValue) -> ServerValue | None:
    return value._replace(weight=0) if value.weight else None


def _may_drain(slot: ServerSlot, service: ServiceValue | None) -> bool:
    """UDP knows of no connections. Of a service that nothing is known of, nobody is refused."""
    passes_over = service is None or passes_over_drained(service.scheduler, service.flags)
    return slot.service.ipproto != UDP and passes_over


def _find_place(service: ServiceMember) -> bytes:
    return host_prefix(service.address) if service.address else b""


SERVERS_DRAIN: Final = Drainage(_begin, _may_drain, _find_place)


def list_prefixes_of_ipvs(_slot: object, member: ServiceMember | ServerMember) -> tuple[bytes, ...]:
    """Where the service, or the server, is."""
    return (host_prefix(member.address),) if member.address else ()
