"""Packet filters that drop what services, tunnels, forwarding rules and checks are for.

Only where all packets of a kind are dropped, whoever sends them, is it told: to let some in is what a filter is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from routed.core.doctor.patient import Patient
from routed.core.filters import find_drop
from routed.model import names
from routed.model.checks import CheckType
from routed.model.diagnosis import Ailment, Diagnosis, Hidden, Obstacle, Region
from routed.model.entries import HeldVipEntry, TunnelEntry, VipEntry
from routed.model.filters import ELSEWHERE, Dropped, FilteredPacket, Ruleset
from routed.model.ipvs import MASQ, TCP, UDP, ServerMember, ServerSlot, ServiceMember
from routed.model.net import IPV4, is_inside, is_loopback
from routed.model.objects import Kind, RuleMember

MOST: Final = 1024  # kinds of packets that are followed: each passes all rules of its chains
_FAMILY: Final = {4: "ip", 16: "ip6"}  # by the length of an address
_ICMP: Final = {4: 1, 16: 58}
_IPIP: Final = 4
# The kind of packet that each type of check sends.
_ASKED_BY: Final[Mapping[CheckType, int]] = {
    CheckType.TCP: TCP, CheckType.TLS: TCP, CheckType.HTTP: TCP, CheckType.HTTPS: TCP, CheckType.UDP: UDP,
    CheckType.DNS: UDP,
}  # fmt: skip
_FRESH: Final = {"state": "new", "status": "none"}


class Traversal(NamedTuple):
    """Packets that an entry is for, and through which hooks they pass."""

    entry: str
    hooks: tuple[str, ...]
    packet: FilteredPacket
    role: str  # service, server, tunnel, forwarding, check
    protocols: tuple[int, ...] = ()  # where any of these would do: packets of none pass


def examine_firewall(patient: Patient) -> Iterator[Diagnosis]:
    """Each kind of packet that is dropped, by which chain."""
    if patient.ruleset is None:
        return
    for number, one in enumerate(list_needed(patient)):
        if number == MOST:
            hidden = Hidden(Region.FIREWALL, Obstacle.MANY, str(MOST))
            yield Diagnosis(Ailment.NOT_SEEN, "", hidden._asdict())
            return
        for hook in one.hooks:
            dropped = _find_drop(patient.ruleset, hook, one)
            if dropped is not None:
                details: dict[str, Any] = {
                    "hook": hook,
                    "packet": one.packet,
                    "dropped": dropped,
                    "role": one.role,
                    "front_end": patient.ruleset.front_end,
                }
                yield Diagnosis(Ailment.FIREWALL, one.entry, details)
                break


def _find_drop(ruleset: Ruleset, hook: str, one: Traversal) -> Dropped | None:
    """What drops all of it: most filters let pings pass, whatever else they drop."""
    kinds: list[FilteredPacket] = [{**one.packet, "protocol": protocol} for protocol in one.protocols]
    found = [find_drop(ruleset, hook, packet) for packet in kinds or [one.packet]]
    return found[0] if all(found) else None


def list_needed(patient: Patient) -> Iterator[Traversal]:
    """All packets that somebody has to let through."""
    yield from _list_of_services(patient)
    yield from _list_of_servers(patient)
    for entry in patient.list_entries(TunnelEntry):
        yield Traversal(entry.name, _IN, {"family": "ip", "protocol": _IPIP, "iif": ELSEWHERE, **_FRESH}, "tunnel")
    for entry, group in patient.list_wanted(Kind.RULE):
        for rule in group.members:
            assert isinstance(rule, RuleMember)
            if rule.iif and rule.iif != "lo" and rule.action == names.TO_TABLE:
                packet = {"family": "ip" if group.slot.family == IPV4 else "ip6", "iif": rule.iif, **_FRESH}
                protocols = (rule.ipproto,) if rule.ipproto else (TCP, UDP)
                yield Traversal(entry.name, ("forward",), packet, "forwarding", protocols)
    yield from _list_of_checks(patient)


_IN: Final = ("prerouting", "input")


def _list_of_services(patient: Patient) -> Iterator[Traversal]:
    """What clients send to a service; IPVS takes it behind the filter of ``input``."""
    for entry, group in patient.list_wanted(Kind.SERVICE):
        for member in group.members:
            assert isinstance(member, ServiceMember)
            if member.address and _is_reached(patient, member.address):
                packet = {
                    "family": _FAMILY[len(member.address)],
                    "daddr": member.address,
                    "protocol": member.ipproto,
                    "dport": member.port,
                    "iif": ELSEWHERE,
                    **_FRESH,
                }
                yield Traversal(entry.name, _IN, packet, "service")


def _is_reached(patient: Patient, address: bytes) -> bool:
    """May somebody else ask there? A VIP that is only routed serves this host alone."""
    held = any(fact.address == address for fact in patient.facts.addresses.values())
    return held or any(
        (isinstance(one, HeldVipEntry) and one.address == address)
        or (isinstance(one, VipEntry) and one.is_local and is_inside(address, one.prefix))
        for one in patient.list_entries(HeldVipEntry, VipEntry)
    )


def _list_of_servers(patient: Patient) -> Iterator[Traversal]:
    """What goes to servers elsewhere, and what they answer, which comes back through this host."""
    held = {fact.address for fact in patient.facts.addresses.values()}
    for entry, group in patient.list_wanted(Kind.SERVER):
        for member in group.members:
            assert isinstance(group.slot, ServerSlot)
            assert isinstance(member, ServerMember)
            if group.value is None or group.value.forward != MASQ or member.address in held:
                continue
            if is_loopback(member.address):
                continue
            known = {"family": _FAMILY[len(member.address)], "protocol": group.slot.service.ipproto, "status": "none"}
            yield Traversal(entry.name, ("output",), {**known, "daddr": member.address, "dport": member.port}, "server")
            answer = {**known, "saddr": member.address, "sport": member.port, "iif": ELSEWHERE}
            yield Traversal(entry.name, ("forward",), answer, "answer")


def _list_of_checks(patient: Patient) -> Iterator[Traversal]:
    asked = {name for entry in patient.intent.entries for name in entry.asked}
    for check in patient.intent.checks:
        for target in check.targets if check.name in asked else ():
            if not target.address or is_loopback(target.address):
                continue
            width = len(target.address)
            protocol = _ICMP[width] if check.type is CheckType.ICMP else _ASKED_BY.get(check.type)
            if protocol is not None and not (
                check.type is CheckType.ICMP and check.via
            ):  # such a packet passes no hook
                port = {"dport": target.port} if target.port else {}
                known = {"family": _FAMILY[width], "protocol": protocol, "daddr": target.address}
                yield Traversal(f"check/{check.name}", ("output",), {**known, **port, **_FRESH}, "check")
