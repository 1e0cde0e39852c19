"""Metrics: the state, and what was counted, as the document that Prometheus is told.

One row for each metric. It is imported when somebody asks for the first time. Labels are words of ours and names of the
files; what members and processes call themselves is in none, and of very many entries only the first are named.

Here must never live: the counting (``tally``), or how a document is written (``audit.exposition``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from routed import __version__
from routed.audit.labels import label_actor, label_cause
from routed.core.deployment import Deployment, Phase
from routed.core.desired import ObjectSet
from routed.core.holds import Why
from routed.core.troubles import State, Troubled
from routed.daemon.host import Host
from routed.daemon.status import count_leftovers, list_wrong
from routed.daemon.tally import BOUNDS, Tally
from routed.model.change import Nature
from routed.model.checks import CheckState
from routed.model.documents import CheckDocument, name_whole
from routed.model.facts import Freshness
from routed.model.ipvs import ServerValue
from routed.model.members import Roster
from routed.model.metrics import FamilyDocument, MetricsDocument, SampleDocument
from routed.model.objects import Kind

if TYPE_CHECKING:  # it imports this when it is asked
    from routed.daemon.service import Service

MOST: Final = 256  # entries that are named where they are not in sync, and services; the counts are of all

Labels: TypeAlias = Mapping[str, str]
Samples: TypeAlias = Iterable[tuple[str, Labels, float]]  # what is added to the name, labels, value
NONE: Final[Labels] = {}


class ServiceView(NamedTuple):
    """What the metrics are made from. Moments are seconds since 1970."""

    version: str
    host: Host
    tally: Tally
    deployment: Deployment
    has_valid_files: bool  # on disk
    is_up_to_date: bool  # are these what is in force?
    is_kept: bool  # would a restart know what is in force?
    overruns: int
    began: float
    last_verified: float  # when the last full comparison was over; 0: none yet
    checks: Sequence[CheckDocument]
    rosters: Sequence[tuple[str, Freshness, Roster]]  # of each source, by its name


def look_at(service: Service) -> ServiceView:
    """What there is to see of a running daemon now."""
    checked, on_disk = service.last_resync, service.deployer.reading.intent
    return ServiceView(
        version=__version__,
        host=service.host,
        tally=service.tally,
        deployment=service.keeper.deployment,
        has_valid_files=on_disk is not None,
        is_up_to_date=service.is_on_disk,
        is_kept=not service.keeper.unsaved,
        overruns=service.kernel.overruns,
        began=service.began_at,
        last_verified=time.time() - time.monotonic() + checked if checked else 0.0,
        checks=service.checking.describe(lambda _: ""),
        rosters=service.memberships.list_rosters() if service.memberships else [],
    )


class StateCounts(NamedTuple):
    """What a walk over the entries counts."""

    entries: Counter[State]
    objects: Counter[tuple[Kind, State]]
    wrong: Counter[tuple[str, State]]  # objects by the name of a table


def count(host: Host) -> StateCounts:
    """Every entry and object by state. What an entry waits for without knowing it is no object here."""
    resolutions = host.wanted.desired.resolutions
    objects: Counter[tuple[Kind, State]] = Counter()
    for kind, number in _count_by_kind(chain.from_iterable(one.sets for one in resolutions.values())).items():
        objects[kind, State.IN_SYNC] = number
    entries = Counter({State.IN_SYNC: len(resolutions)})
    wrong: Counter[tuple[str, State]] = Counter()
    for resolution, troubled, worst in list_wrong(host):
        entries[State.IN_SYNC] -= 1
        entries[worst.state] += 1
        for one in troubled:
            objects[one.kind, one.trouble.state] += len(one.members)
        lacking = _count_by_kind(troubled)
        for kind, total in _count_by_kind(resolution.sets).items():
            objects[kind, State.IN_SYNC] -= min(total, lacking[kind])  # what stands as it was before is not among them
        if worst.state is not State.IN_SYNC:
            wrong[name_whole(resolution.entry.name), worst.state] += 1
    return StateCounts(entries, objects, wrong)


def _count_by_kind(groups: Iterable[ObjectSet | Troubled]) -> Counter[Kind]:
    counts: Counter[Kind] = Counter()
    for group in groups:
        counts[group.kind] += len(group.members)
    return counts


def describe_metrics(seen: ServiceView) -> MetricsDocument:
    """Every metric, in the order of the table."""
    counted = count(seen.host)
    return MetricsDocument(schema="routed.metrics/1", families=[_describe(row, seen, counted) for row in FAMILIES])


class MetricRow(NamedTuple):
    """One metric: its name without what the type adds, its type and meaning, and where its numbers come from."""

    name: str
    type: str
    help: str
    find: Callable[[ServiceView, StateCounts], Samples]


def _describe(row: MetricRow, seen: ServiceView, counted: StateCounts) -> FamilyDocument:
    samples = [
        SampleDocument(name=f"{row.name}{suffix}", labels=dict(labels), value=value)
        for suffix, labels, value in row.find(seen, counted)
    ]
    return FamilyDocument(name=row.name, type=row.type, help=row.help, samples=samples)


def _find_pass_seconds(seen: ServiceView, _: StateCounts) -> Iterator[tuple[str, Labels, float]]:
    for is_full, histogram in seen.tally.passes.items():
        scope = {"scope": "everything" if is_full else "some"}
        sums = list(accumulate(histogram.counts))
        for bound, number in zip((*map(str, BOUNDS), "+Inf"), sums, strict=True):
            yield "_bucket", {**scope, "le": bound}, number
        yield "_count", scope, sums[-1]
        yield "_sum", scope, histogram.seconds


def _find_repairs(seen: ServiceView, _: StateCounts) -> Samples:
    labelled: Counter[tuple[str, str]] = Counter()
    for (sort, port), number in seen.tally.causes.items():
        labelled[label_cause(sort), label_actor(port)] += number
    return [("_total", {"cause": cause, "actor": actor}, number) for (cause, actor), number in labelled.items()]


def _find_holds(seen: ServiceView, _: StateCounts) -> Samples:
    holds = Counter(hold.why for hold in seen.host.ledger.holds.active.values())
    names = {Why.FIGHT: "fight"}  # its value is the word of a state
    return [("", {"why": names.get(why, why)}, holds[why]) for why in Why]


def _find_checks(seen: ServiceView, _: StateCounts) -> Samples:
    states = Counter(one["state"] for one in seen.checks)
    return [("", {"state": state}, states[state]) for state in CheckState]


def _find_up(seen: ServiceView, _: StateCounts) -> Samples:
    """Of the checks of the files; of those of servers ``routed_service_servers`` tells, whose names may be others'."""
    named = [one for one in seen.checks if one["check"] == name_whole(one["check"])]
    told = ((one["check"], one["counts_as"] or one["state"]) for one in named)
    return [("", {"check": name}, float(word == "up")) for name, word in told if word in {"up", "down"}]


def _find_source_states(seen: ServiceView, _: StateCounts) -> Samples:
    return [
        ("", {"source": name, "state": state}, float(state is now))
        for name, now, _ in seen.rosters
        for state in Freshness
    ]


def _find_servers(seen: ServiceView, _: StateCounts) -> Samples:
    servers: dict[str, Counter[str]] = {}
    for name, resolution in seen.host.wanted.desired.resolutions.items():
        for group in resolution.sets:
            if isinstance(group.value, ServerValue):
                numbers = servers.setdefault(name_whole(name), Counter())
                numbers["in" if group.value.weight else "out"] += len(group.members)
    return [
        ("", {"service": name, "state": state}, numbers[state])
        for name, numbers in islice(servers.items(), MOST)
        for state in ("in", "out")
    ]


def _find_phase(seen: ServiceView, _: StateCounts) -> Samples:
    return [("", {"phase": phase.replace(" ", "-")}, float(phase is seen.deployment.phase)) for phase in Phase]


FAMILIES: Final = (
    MetricRow("routed", "info", "The version that runs.", lambda seen, _: [("_info", {"version": seen.version}, 1)]),
    MetricRow(
        "routed_start_time_seconds", "gauge", "When it started, since 1970.", lambda seen, _: [("", NONE, seen.began)]
    ),
    MetricRow(
        "routed_entries",
        "gauge",
        "Entries by state; each part of a table with members is one.",
        lambda _, counted: [("", {"state": state}, counted.entries[state]) for state in State],
    ),
    MetricRow(
        "routed_objects",
        "gauge",
        "Objects that the entries come to, by kind and state.",
        lambda _, counted: [
            ("", {"kind": kind, "state": state}, number) for (kind, state), number in sorted(counted.objects.items())
        ],
    ),
    MetricRow(
        "routed_entry_not_in_sync",
        "gauge",
        f"How many of a table are not in sync, by state: 1 of an entry without members. At most {MOST} are named.",
        lambda _, counted: [
            ("", {"entry": entry, "state": state}, number)
            for (entry, state), number in islice(counted.wrong.items(), MOST)
        ],
    ),
    MetricRow(
        "routed_leftovers",
        "gauge",
        "Objects of ours that no entry wants and that are still there.",
        lambda seen, _: [("", NONE, count_leftovers(seen.host))],
    ),
    MetricRow("routed_holds", "gauge", "Objects and entries that are left alone for a while, by why.", _find_holds),
    MetricRow(
        "routed_drifts",
        "counter",
        "Objects that were found otherwise than the files say, and had to be changed, by how they differed.",
        lambda seen, _: [
            ("_total", {"nature": nature.replace(" ", "-")}, seen.tally.drifts[nature]) for nature in Nature
        ],
    ),
    MetricRow(
        "routed_repairs", "counter", "Objects that were put right, by cause and by who changed them.", _find_repairs
    ),
    MetricRow(
        "routed_changes",
        "counter",
        "Objects that were added, changed or removed for any reason.",
        lambda seen, _: [("_total", NONE, seen.tally.changes)],
    ),
    MetricRow("routed_pass_seconds", "histogram", "How long passes took, by what they looked at.", _find_pass_seconds),
    MetricRow(
        "routed_pass_failures",
        "counter",
        "Passes that ended before their time; everything is read again after each.",
        lambda seen, _: [("_total", NONE, seen.tally.failures)],
    ),
    MetricRow(
        "routed_event_overruns",
        "counter",
        "Times that the kernel could not deliver all events; everything is read again after each.",
        lambda seen, _: [("_total", NONE, seen.overruns)],
    ),
    MetricRow(
        "routed_last_verified_timestamp_seconds",
        "gauge",
        "When the last full comparison with the kernel was over, since 1970; 0 before the first.",
        lambda seen, _: [("", NONE, seen.last_verified)],
    ),
    MetricRow(
        "routed_revision",
        "gauge",
        "The revision in force; 0 where it could not be kept.",
        lambda seen, _: [("", NONE, seen.deployment.revision)],
    ),
    MetricRow("routed_deployment", "gauge", "1 for how what is in force came into force.", _find_phase),
    MetricRow(
        "routed_files_in_force",
        "gauge",
        "1 where the files on disk are what is in force.",
        lambda seen, _: [("", NONE, float(seen.is_up_to_date))],
    ),
    MetricRow(
        "routed_files_valid",
        "gauge",
        "1 where the files on disk are valid.",
        lambda seen, _: [("", NONE, float(seen.has_valid_files))],
    ),
    MetricRow(
        "routed_state_kept",
        "gauge",
        "1 where a restart would know what is in force.",
        lambda seen, _: [("", NONE, float(seen.is_kept))],
    ),
    MetricRow("routed_checks", "gauge", "Checks by state, with those of servers.", _find_checks),
    MetricRow("routed_check_up", "gauge", "1 for a check that counts as up, 0 as down.", _find_up),
    MetricRow("routed_source_state", "gauge", "1 for how a source of members is.", _find_source_states),
    MetricRow(
        "routed_source_members",
        "gauge",
        "Members of a source, and those of them that stay though it does not tell of them.",
        lambda seen, _: [
            ("", {"source": name, "held": word}, number)
            for name, _, roster in seen.rosters
            for word, number in (("no", len(roster.present) - len(roster.held)), ("yes", len(roster.held)))
        ],
    ),
    MetricRow(
        "routed_service_servers",
        "gauge",
        "Servers of a service that get new connections (in), and that get none (out).",
        _find_servers,
    ),
)
