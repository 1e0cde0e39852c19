"""Gathers what the doctor examines. Nothing is changed; of packets there is at most a question by ARP for each address.

Here must never live: what any of it means (``core.doctor``).
"""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import routed
from routed.core.doctor.addresses import list_addresses
from routed.core.doctor.firewall import list_needed
from routed.core.doctor.patient import Patient
from routed.core.doctor.programs import IPVS_PROGRAMS
from routed.core.doctor.routing import KERNELS_TABLES, find_table
from routed.core.doctor.sysctls import list_needs
from routed.core.effect import StandingRule
from routed.core.routing_sysctls import find_unanswered
from routed.daemon import direct
from routed.daemon.firewalls import ToolError, read_filters, run
from routed.daemon.host import Host
from routed.daemon.host_files import HostFiles
from routed.daemon.reconcile import Reconciler
from routed.daemon.revisions import Revisions
from routed.daemon.status import describe_absent, vocabulary_of
from routed.daemon.storage import StateError
from routed.kernel.dump import finish
from routed.model.diagnosis import (
    ClockState,
    Hidden,
    Obstacle,
    Region,
    RivalProgram,
    StorageState,
    StrangeRoutes,
    UnitState,
)
from routed.model.documents import StatusDocument
from routed.model.entries import Intent
from routed.model.net import FAMILIES, IPV4, family_of
from routed.model.objects import AddressMember, AlikeRoutes, Key, Kind, RuleMember, Scope, Standing
from routed.model.owner import Owner
from routed.model.sysctls import Sysctl
from routed.model.text import format_object

NETWORKD, MANAGER = "systemd-network", "NetworkManager"  # in /proc/PID/comm, which has at most 15 characters
PROGRAMS: Final = IPVS_PROGRAMS | {NETWORKD, MANAGER}
MOST_ASKED: Final = 64  # addresses of which neighbours are asked
WAIT: Final = 0.5  # seconds for a neighbour to answer
_TIME_ERROR: Final = 5  # of adjtimex(2): the clock is not synchronised
_TIMEX: Final = 512  # bytes, more than struct timex has
_UNIT: Final = "routed.service"
_PROPERTIES: Final = (
    "LoadState", "CapabilityBoundingSet", "RestrictAddressFamilies", "PrivateNetwork", "PrivateTmp", "ProtectHome",
)  # fmt: skip
_SILENT: Final = frozenset({"dummy", "ipip", "tun", "wireguard", "vrf"})  # kinds of link without ARP


class Bedside(NamedTuple):
    """Where to look."""

    state_dir: Path
    root: Path = Path("/")  # of files of settings
    proc: Path = Path("/proc")


def gather(intent: Intent, bedside: Bedside, marks: frozenset[int], daemon: StatusDocument | None) -> Patient:
    """Everything about this host. ``daemon`` is what it says of itself; None where it does not run. Raises OSError."""
    pid = daemon["pid"] if daemon else None
    hidden: list[Hidden] = []
    displaced = _load_displaced(bedside.state_dir, hidden)
    former = marks - intent.settings.numbers
    with direct.open_reconciler(intent, former, displaced, bedside.state_dir, may_write=False) as reconciler:
        host = finish(reconciler.propose(intent)).host
        patient = _read_routing(reconciler, host, Patient(intent=intent))
    programs = list(_list_programs(bedside.proc))
    files, running = HostFiles(bedside.root), {program.comm for program in programs}
    links = patient.facts.links.values()
    patient = replace(
        patient,
        networkd=files.read_networkd(links, is_running=NETWORKD in running),
        manager=files.read_manager(links, is_running=MANAGER in running),
        journal=files.read_journal(),
        programs=programs,
        is_daemon_running=daemon is not None,
        unsaved=daemon["unsaved"] if daemon else "",
        storage=_read_storage(bedside.state_dir),
        clock=_read_clock(bedside.state_dir),
        unit=_read_unit(bedside, pid, hidden),
    )
    patient = replace(patient, sysctls=_read_sysctls(patient, bedside.proc / "sys"))
    if any(list_needed(patient)):
        ruleset, more = read_filters()
        patient = replace(patient, ruleset=ruleset)
        hidden += more
    patient = replace(patient, neighbours=_ask_neighbours(patient, hidden), proxies=_read_proxies(patient, hidden))
    return replace(patient, hidden=tuple(dict.fromkeys([*hidden, *files.hidden])))


def _load_displaced(state_dir: Path, hidden: list[Hidden]) -> dict[Key, object]:
    if direct.find_hidden(state_dir) is not None:
        hidden.append(Hidden(Region.STATE, Obstacle.RIGHTS))
        return {}
    try:
        return Revisions(state_dir / direct.REVISIONS).load_displaced()
    except StateError as error:
        hidden.append(Hidden(Region.STATE, Obstacle.ERROR, str(error)))
        return {}


def _read_routing(reconciler: Reconciler, host: Host, patient: Patient) -> Patient:
    """What the kernel holds, as far as the files are concerned with it."""
    desired = host.wanted.desired
    facts = host.world.facts.put(addresses=finish(reconciler.kernel.read_addresses()))  # the files may ask for none
    stamps = reconciler.dataplanes.stamps(host.wanted.marks)
    rules: dict[int, list[StandingRule]] = {}
    for family in FAMILIES:
        standings = _dump(reconciler, Scope(Kind.RULE, family))
        found = [StandingRule(one.member, stamps[Kind.RULE](one.value)) for one in standings]  # type: ignore[arg-type]
        rules[family] = sorted(found, key=lambda rule: rule.member.priority)
    patient = replace(
        patient,
        facts=facts,
        desired=desired,
        vocabulary=vocabulary_of(host),
        rules=rules,
        defaults=reconciler.kernel.read_default_routes(),
        shadowed=[
            (key, want.entry.name, trouble.reason)
            for key, trouble in host.ledger.shadowed.items()
            if (want := desired.get(key)) is not None
        ],
        absent=describe_absent(host),
    )
    filled = {(family, table) for family in FAMILIES for table in KERNELS_TABLES}
    strangers: list[StrangeRoutes] = []
    for family, table in _find_tables(patient):
        counts: defaultdict[int, int] = defaultdict(int)
        first: dict[int, str] = {}
        for one in _dump(reconciler, Scope(Kind.ROUTE, family, table)):
            filled.add((family, table))
            if stamps[Kind.ROUTE](one.value) is Owner.FOREIGN:
                protocol = one.value.protocol
                counts[protocol] += 1
                if protocol not in first:
                    key = Key(Kind.ROUTE, one.slot, one.member)
                    first[protocol] = format_object(key, one.value, patient.vocabulary)
        if _is_filled_by_us(patient, family, table):
            strangers += [StrangeRoutes(family, table, one, count, first[one]) for one, count in counts.items()]
    return replace(patient, filled=frozenset(filled), strangers=strangers)


def _find_tables(patient: Patient) -> set[tuple[int, int]]:
    """Those that the files fill, or look up, but for the kernel's own."""
    places = {find_table(group) for _, group in patient.list_wanted(Kind.ROUTE)}
    for _, group in patient.list_wanted(Kind.RULE):
        for rule in group.members:
            assert isinstance(rule, RuleMember)
            places.add((group.slot.family, rule.table))
    return {place for place in places if place[1] not in KERNELS_TABLES and place[1]}


def _is_filled_by_us(patient: Patient, family: int, table: int) -> bool:
    return any(find_table(group) == (family, table) for _, group in patient.list_wanted(Kind.ROUTE))


def _dump(reconciler: Reconciler, scope: Scope) -> Iterator[Standing]:
    dump = finish(reconciler.dataplanes.by_kind[scope.kind].read_dump(scope))
    for chunk in dump.chunks():
        yield from chunk.spread() if isinstance(chunk, AlikeRoutes) else chunk


def _read_sysctls(patient: Patient, root: Path) -> Mapping[Sysctl, int]:
    found = {}
    for name in {name for need in list_needs(patient) for name in need.names}:
        with suppress(OSError, ValueError):  # such as one of a module that is not loaded
            found[name] = int(root.joinpath(*name).read_bytes())
    return found


def _list_programs(proc: Path) -> Iterator[RivalProgram]:
    """Those of this network namespace; of which one a process is, not every user may know."""
    own = _read_namespace(proc / "self")
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        with suppress(OSError):
            comm = (folder / "comm").read_text(errors="replace").strip()
            is_alive = comm in PROGRAMS and (folder / "cmdline").read_bytes()  # one that has ended has none
            if is_alive and _read_namespace(folder) in {own, 0}:
                yield RivalProgram(comm, int(folder.name), _read_unit_of(folder))


def _read_namespace(folder: Path) -> int:
    try:
        return (folder / "ns/net").stat().st_ino
    except OSError:
        return 0


def _read_unit_of(folder: Path) -> str:
    last = (folder / "cgroup").read_text(errors="replace").strip().rpartition("/")[2]
    return last if last.endswith(".service") else ""


def _read_storage(state_dir: Path) -> StorageState:
    there = next(folder for folder in (state_dir.absolute(), *state_dir.absolute().parents) if folder.exists())
    mount = next(folder for folder in (there, *there.parents) if folder.is_mount() or folder == folder.parent)
    state = os.statvfs(there)
    free_files = state.f_ffree if state.f_files else 1_000_000  # such as btrfs, which counts none
    return StorageState(
        str(state_dir),
        str(mount),
        bool(state.f_flag & os.ST_RDONLY),
        state.f_bfree * state.f_frsize,
        state.f_blocks * state.f_frsize,
        free_files,
    )


def _read_clock(state_dir: Path) -> ClockState:
    built = Path(routed.__file__).stat().st_mtime
    newest, number = 0.0, 0
    with suppress(OSError, StateError):
        for one in Revisions(state_dir / direct.REVISIONS, lambda _: None).list_all():
            if one.origin.saved > newest:
                newest, number = one.origin.saved, one.number
    return ClockState(time.time(), built, newest, number, _is_synchronised())


def _is_synchronised() -> bool | None:
    """By adjtimex(2), which changes nothing where no mode is asked for."""
    answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX))
    return None if answer < 0 else answer != _TIME_ERROR


def _read_unit(bedside: Bedside, pid: int | None, hidden: list[Hidden]) -> UnitState | None:
    properties: Mapping[str, str] = {}
    if (bedside.root / "run/systemd/system").is_dir():  # sd_booted(3)
        try:
            said = run("systemctl", "show", _UNIT, *(f"--property={name}" for name in _PROPERTIES), patience=5.0)
            properties = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        except ToolError as error:
            hidden.append(Hidden(Region.UNIT, error.obstacle, error.detail))
    if properties.get("LoadState") != "loaded":
        properties = {}
    capabilities = None
    if pid:
        try:
            status = (bedside.proc / str(pid) / "status").read_text(errors="replace")
            capabilities = next(int(line[7:], 16) for line in status.splitlines() if line.startswith("CapEff:"))
        except (OSError, ValueError, StopIteration):
            hidden.append(Hidden(Region.CAPABILITIES, Obstacle.RIGHTS))
    return UnitState(properties, pid or 0, capabilities)


def _ask_neighbours(patient: Patient, hidden: list[Hidden]) -> Mapping[AddressMember, str]:
    """Who else answers by ARP for addresses that the files want here. The kernel itself asks for those of IPv6."""
    asked = [member for _, member in list_addresses(patient) if _may_be_asked(patient, member)][:MOST_ASKED]
    if not asked:
        return {}
    from routed.daemon.neighbours import ask_all  # noqa: PLC0415  only files with addresses pay for the loop

    try:
        own = frozenset(link.mac for link in patient.facts.links.values() if link.mac)
        return ask_all([(one, patient.facts.name_of(one.dev)) for one in asked], WAIT, own)
    except PermissionError:
        hidden.append(Hidden(Region.NEIGHBOURS, Obstacle.RIGHTS))
    except OSError as error:
        hidden.append(Hidden(Region.NEIGHBOURS, Obstacle.ERROR, error.strerror or str(error)))
    return {}


def _read_proxies(patient: Patient, hidden: list[Hidden]) -> frozenset[tuple[str, str]] | None:
    """Asked only where a VIP takes one."""
    if not any(find_unanswered(patient.intent.entries, patient.facts)):
        return None
    try:
        listed = json.loads(run("ip", "-6", "-j", "neigh", "show", "proxy", patience=5.0))
        return frozenset((one["dev"], one["dst"]) for one in listed)
    except ToolError as error:
        hidden.append(Hidden(Region.PROXIES, error.obstacle, error.detail))
    except (ValueError, LookupError, TypeError) as error:
        hidden.append(Hidden(Region.PROXIES, Obstacle.ERROR, str(error)))
    return None


def _may_be_asked(patient: Patient, member: AddressMember) -> bool:
    link = patient.facts.links.get(member.dev)
    is_heard = link is not None and link.is_up and link.has_carrier and link.name != "lo" and link.kind not in _SILENT
    return is_heard and family_of(member.address) == IPV4 and member in patient.facts.addresses
