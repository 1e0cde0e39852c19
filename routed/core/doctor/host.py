"""The host itself: the disk, the clock, the journal, and what the service unit may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from routed.core.doctor.patient import Patient
from routed.model.checks import CheckType
from routed.model.diagnosis import Ailment, Diagnosis
from routed.model.entries import HeldVipEntry

LEAST_FREE: Final = 16 << 20  # bytes; a revision has all files, and is written whole before another one goes
LEAST_FREE_FILES: Final = 64
PATIENCE: Final = 1.0  # seconds by which a clock may lag behind what was written a moment ago
VOLATILE: Final = frozenset({"volatile", "none"})
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13  # linux/capability.h
_CAPABILITIES: Final = {CAP_NET_ADMIN: "CAP_NET_ADMIN", CAP_NET_RAW: "CAP_NET_RAW"}
_PACKETS: Final = frozenset({CheckType.ICMP, CheckType.ARP})


def examine_storage(patient: Patient) -> Iterator[Diagnosis]:
    """Where it is kept what is in force."""
    if patient.unsaved:
        yield Diagnosis(Ailment.STATE_UNSAVED, "", {"why": patient.unsaved})
    state = patient.storage
    if state is None:
        return
    if state.is_read_only:
        yield Diagnosis(Ailment.STATE_READ_ONLY, "", state._asdict())
    elif state.free < LEAST_FREE or state.free_files < LEAST_FREE_FILES:
        yield Diagnosis(Ailment.STATE_FULL, "", state._asdict())


def examine_clock(patient: Patient) -> Iterator[Diagnosis]:
    """A clock that is behind what was made before it, or that nobody sets."""
    state = patient.clock
    if state is None:
        return
    latest = max(state.built, state.newest)
    if state.now < latest - PATIENCE:
        details = {"now": state.now, "latest": latest, "number": state.newest_number if latest == state.newest else 0}
        yield Diagnosis(Ailment.CLOCK_BEHIND, "", details)
    elif state.is_synchronised is False:
        yield Diagnosis(Ailment.CLOCK_FREE, "", {})


def examine_journal(patient: Patient) -> Iterator[Diagnosis]:
    """A journal that forgets at the next boot who changed what."""
    state = patient.journal
    if state is None:
        return
    is_volatile = state.storage in VOLATILE or (state.storage == "auto" and not state.has_folder)
    if is_volatile:
        yield Diagnosis(Ailment.JOURNAL_VOLATILE, "", state._asdict())


def find_capabilities(patient: Patient) -> dict[int, str]:
    """Which the daemon takes, and for which entry."""
    needed = {CAP_NET_ADMIN: ""}
    for entry in patient.list_entries(HeldVipEntry):
        if entry.announcements:
            needed.setdefault(CAP_NET_RAW, entry.name)
    asked = {name for entry in patient.intent.entries for name in entry.asked}
    for check in patient.intent.checks:
        if check.name in asked and check.type in _PACKETS:
            needed.setdefault(CAP_NET_RAW, f"check/{check.name}")
    return needed


def examine_unit(patient: Patient) -> Iterator[Diagnosis]:
    """Rights that the unit takes from the daemon, and the files need."""
    unit = patient.unit
    if unit is None:
        return
    needed = find_capabilities(patient)
    bound = unit.properties.get("CapabilityBoundingSet")
    for number, entry in needed.items():
        name = _CAPABILITIES[number]
        if bound is not None and name.lower() not in bound.split():
            yield Diagnosis(Ailment.UNIT, entry, {"key": "CapabilityBoundingSet", "value": name})
        elif unit.capabilities is not None and not unit.capabilities & 1 << number:
            yield Diagnosis(Ailment.CAPABILITY, entry, {"name": name, "pid": unit.pid})
    for family, number in _FAMILIES.items():
        if number in needed and _forbids(unit.properties.get("RestrictAddressFamilies", ""), family):
            yield Diagnosis(Ailment.UNIT, needed[number], {"key": "RestrictAddressFamilies", "value": family})
    if unit.properties.get("PrivateNetwork") == "yes":
        yield Diagnosis(Ailment.UNIT, "", {"key": "PrivateNetwork", "value": "no"})
    for key, (values, folders, cure) in _HIDDEN.items():
        is_hidden = any(one.path.startswith(folders) for one in patient.intent.sources)
        if is_hidden and unit.properties.get(key) in values:
            yield Diagnosis(Ailment.UNIT, "", {"key": key, "value": cure})


# Settings that hide folders from the daemon, in which files of ours may lie: the values that do, and one that does not.
_HIDDEN: Final[Mapping[str, tuple[frozenset[str], tuple[str, ...], str]]] = {
    "ProtectHome": (frozenset({"yes", "tmpfs"}), ("/home/", "/root/", "/run/user/"), "read-only"),
    "PrivateTmp": (frozenset({"yes", "disconnected"}), ("/tmp/", "/var/tmp/"), "no"),  # noqa: S108  they are looked for
}


# Families of sockets, and the capability of those who need them.
_FAMILIES: Final = {"AF_UNIX": CAP_NET_ADMIN, "AF_NETLINK": CAP_NET_ADMIN, "AF_PACKET": CAP_NET_RAW}


def _forbids(families: str, family: str) -> bool:
    """Does this value of RestrictAddressFamilies= keep a process from sockets of a family? Empty, it keeps none."""
    listed = families.removeprefix("~").split()
    return bool(listed) and (family in listed) is families.startswith("~")
