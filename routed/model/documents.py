"""The JSON documents that commands print and the control socket answers with.

Keys of objects are those of ``ip -j``; the rest is entry, state, reason, origin. A key that is here stays; new ones may
come. Moments are ISO 8601 with the offset of UTC.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from routed.model.why_documents import ThenDocument, WayChangeDocument


class ProblemDocument(TypedDict):
    """One error in a file."""

    file: str
    line: int
    column: int
    message: str
    source_line: str
    hint: str


class ObjectDocument(TypedDict):
    """One object of an entry, or a group that shares its state."""

    kind: str  # link, address, route, rule, service, server, timeout
    object: str  # the key as ``ip`` writes it
    state: str
    reason: str
    since: str
    count: int  # how many objects of the entry share this state; 1 for a single one
    ip: dict[str, Any]  # the keys of ``ip -j``
    traffic: NotRequired[dict[str, int]]  # of a service or a server: what IPVS counts, as ``model.ipvs.Traffic`` has it


class EntryDocument(TypedDict):
    """One entry of the files. Its state is the worst of its objects'."""

    entry: str
    state: str  # in-sync, withheld, waiting, drift, shadowed, conflict, held, paused, degraded, failed, unknown
    reason: str
    since: str
    origin: str
    enforce: str
    total: int  # objects wanted
    objects: list[ObjectDocument]  # every object of a small entry, only the exceptions of a large one; see SMALL, WHOLE
    former: NotRequired[list[str]]  # while it waits: what of it is still there as it was before, as ``ip`` writes it
    held: NotRequired[list[str]]  # its members that stay until the operator lets them go


class TargetDocument(TypedDict):
    """One target of a check."""

    target: str  # address and port, or the path of a file
    state: str  # up, down, unknown
    since: str
    last: str  # what the last question found
    asked: str  # when that was answered
    seconds: float  # that it took
    loss: NotRequired[float]  # share of the questions of the last window without an answer, where that is measured
    rtt: NotRequired[float]  # median time of the other answers, in seconds


class CheckDocument(TypedDict):
    """One ``[[check]]``."""

    check: str  # check/NAME
    type: str
    state: str  # up, down, unknown, failed
    since: str
    reason: str
    counts_as: str  # where it is failed: up or down, as it was before; empty where nothing was known
    origin: str
    late: float  # seconds after its moment that the last question was asked
    targets: list[TargetDocument]  # none where it is not asked
    share: NotRequired[int]  # of an agent that answers: percent of the written weight that counts


class PauseDocument(TypedDict):
    """An entry that is not enforced for a while; without a name it is everything."""

    entry: str
    since: str
    until: str
    reason: str  # the operator's own words
    author: str  # who said so
    spared: list[str]  # entries that are enforced again although everything is paused
    drained: NotRequired[bool]  # it is a server, which gets no new connections; all else is enforced


class FilesDocument(TypedDict):
    """The files on disk against what is enforced."""

    state: str  # "in force", "changed, not in force", "invalid"
    problems: list[ProblemDocument]


class SysctlDocument(TypedDict):
    """A sysctl that stands otherwise than services take it."""

    sysctl: str  # its name, as sysctl(8) reads it
    value: int
    wanted: int
    entry: str  # the first that takes it; empty where the file says so
    reason: str  # what is lost
    command: str  # that cures it


class FollowingDocument(TypedDict):
    """Whether it is seen what others ask of IPVS."""

    link: str  # that shows it; empty where none does
    reason: str  # why not; empty where one does


class ServedDocument(TypedDict):
    """Whether metrics are served at the address of the files."""

    address: str  # with its port
    reason: str  # why not; empty where they are


class StatusDocument(TypedDict):
    """What ``routed status --json`` prints."""

    schema: str  # routed.status/1
    version: str
    pid: int
    since: str
    config: str
    protocol: int
    protocols: list[int]  # further ones, of single entries
    former_protocols: list[int]  # what carries these numbers is ours too, until nothing does
    revision: int
    files: FilesDocument
    state: str  # one sentence, the same as in systemctl status
    unsaved: str  # why a restart would not know what is in force now; empty where it would
    repairs: int
    overruns: int
    last_resync: str
    entries: list[EntryDocument]
    leftovers: list[ObjectDocument]  # ours, wanted by no entry, and held; of many ``object`` is who wanted them before
    counts: NotRequired[dict[str, int]]  # objects of all entries by state
    deployment: NotRequired[str]  # how what is in force came into force: "in force", "pending", "rolled back" …
    coming: NotRequired[int]  # the revision whose files are about to be enforced; entries are judged by the former ones
    trial: NotRequired[TrialDocument]
    pauses: NotRequired[list[PauseDocument]]
    absent: NotRequired[list[AbsenceDocument]]
    checks: NotRequired[list[CheckDocument]]
    sysctls: NotRequired[list[SysctlDocument]]
    following: NotRequired[FollowingDocument]  # with --follow-netlink, while services are wanted
    metrics: NotRequired[ServedDocument]  # where the files name an address for them


class MemberDocument(TypedDict):
    """One member, as the member document has it."""

    name: str
    addresses: list[str]
    prefixes: list[str]
    ready: bool
    terminating: bool
    uid: NotRequired[str]
    port: NotRequired[int]
    weight: NotRequired[int]
    labels: NotRequired[dict[str, str]]


class BrokenDocument(TypedDict):
    """What a source tells of a member that cannot be taken."""

    name: str
    why: str


class MemberSourceDocument(TypedDict):
    """One ``[[source]]``, and its members."""

    source: str
    type: str
    origin: str
    state: str  # loading, live, stale or cached
    since: str
    reason: str  # why it says nothing, or why members stay
    revision: str  # of the source, in its own words
    members: list[MemberDocument]
    own: list[str]  # those that this host is
    held: list[str]  # those that stay though the source does not tell of them, until the operator lets them go
    held_since: NotRequired[str]  # since when, where there are any
    going: list[str]  # those that stay for a while yet
    broken: list[BrokenDocument]
    registered: NotRequired[bool]  # is this host a member itself? Where the file wants that
    unregistered: NotRequired[str]  # why not


class MemberSourcesDocument(TypedDict):
    """Every source that an entry uses."""

    schema: str  # routed.member-sources/1
    sources: list[MemberSourceDocument]


class StepDocument(TypedDict):
    """One operation of a plan."""

    symbol: str  # + add, ~ change, - delete, ! repair of somebody else's change, = our mark and nothing else
    verb: str
    kind: str
    entry: str
    origin: str
    reason: str
    object: str
    count: int
    before: str
    after: str
    ip: dict[str, Any]


class KernelStepDocument(TypedDict):
    """Something that the kernel does by itself when what a plan assumes happens."""

    symbol: str  # x it goes, * it comes or changes
    kind: str
    entry: str  # whose it is; empty where no entry wants it
    object: str
    count: int
    before: str
    after: str
    ip: dict[str, Any]


class StateChangeDocument(TypedDict):
    """An entry that comes into another state."""

    entry: str
    origin: str
    before: str  # empty where it is in force only then
    after: str  # empty where it is in force no more
    reason: str  # of the state that it comes into


class RefusalDocument(TypedDict):
    """Something that a plan leaves alone on purpose."""

    entry: str
    origin: str
    kind: str
    object: str
    count: int
    reason: str
    by_guard: bool
    standing: str


class WaitingDocument(TypedDict):
    """An entry that cannot be in the kernel yet."""

    entry: str
    origin: str
    reason: str
    former: NotRequired[list[str]]  # what of it is still there as it was before, as ``ip`` writes it


class HeldDocument(TypedDict):
    """An entry whose members stay though their source does not tell of them, until the operator lets them go."""

    entry: str
    origin: str
    reason: str
    since: str
    members: list[str]  # those who stay


class PlanDocument(TypedDict):
    """What Plan answers, and ``routed plan`` makes without the daemon."""

    schema: str  # routed.plan/1
    steps: list[StepDocument]
    refusals: list[RefusalDocument]
    waiting: list[WaitingDocument]
    notes: list[RefusalDocument]  # in order as far as routed is concerned, but worth a word
    held: NotRequired[list[HeldDocument]]  # entries of members who stay until the operator lets them go, …
    held_steps: NotRequired[list[StepDocument]]  # … and what becomes of the objects then
    shadowed: NotRequired[list[FailureDocument]]  # what stands, or would, and something that is not ours decides
    assumed: NotRequired[list[str]]  # what the plan takes for so: check:wan1=down. Only then are there …
    case: NotRequired[str]  # … the same in words, …
    kernel: NotRequired[list[KernelStepDocument]]  # … what the kernel does by itself before, …
    afterwards: NotRequired[list[KernelStepDocument]]  # … what it does by itself when these steps are done, …
    refused: NotRequired[list[FailureDocument]]  # … what the kernel would say no to, …
    changes: NotRequired[list[StateChangeDocument]]  # … and which entries come into another state
    then: NotRequired[ThenDocument]  # what decides about packets then; only where it was asked, and never printed
    config: NotRequired[str]  # the main file that the daemon read; only in its answer, as is …
    digest: NotRequired[str]  # … the digest of all the files that it read
    absent: NotRequired[list[AbsenceDocument]]


class PrintedPlanDocument(PlanDocument):
    """What ``routed plan --json`` prints."""

    ways: NotRequired[list[WayChangeDocument]]  # how packets go now and then; only where it was asked


class AbsenceDocument(TypedDict):
    """What the kernel makes itself, and what of it is not there. Nobody puts that back unasked."""

    family: str  # IPv4, IPv6
    missing: str  # as ``ip`` shows it
    command: str  # that brings it back


class TrialDocument(TypedDict):
    """What is in force until somebody confirms it or its time is over."""

    until: str  # ISO 8601
    seconds: float  # that are left
    base: int  # the revision that comes back then


class FailureDocument(TypedDict):
    """What is wrong with one object: the kernel's own words, or what decides in its place."""

    entry: str
    origin: str
    object: str
    reason: str


class ApplyDocument(TypedDict):
    """What ``routed apply --json`` prints, and Reload answers: the verified result."""

    schema: str  # routed.apply/1
    revision: int
    changed: int  # objects that were added, changed or removed
    in_sync: int
    problems: list[ProblemDocument]  # the files are invalid; nothing was changed
    failures: list[FailureDocument]
    refusals: list[RefusalDocument]
    waiting: list[WaitingDocument]
    held: NotRequired[list[HeldDocument]]  # entries of members who stay until the operator lets them go
    shadowed: NotRequired[list[FailureDocument]]  # what stands, and something that is not ours decides
    notices: NotRequired[list[str]]
    unknown: NotRequired[str]  # why the pass did not come to its end, so that what the kernel holds is not known
    unsaved: NotRequired[str]  # why a restart would not know that these files are in force
    counts: NotRequired[dict[str, int]]  # objects of all entries by state; the lists above may be cut
    leftovers: NotRequired[int]  # objects of ours that no entry wants and that are still there
    deployment: NotRequired[str]  # how what is in force came into force; a daemon that does not tell knows no trials
    trial: NotRequired[TrialDocument]


class ProgressDocument(TypedDict):
    """How far an apply is that takes long."""

    done: int  # objects that the kernel has answered for …
    total: int  # … of so many that it is asked for


class RevisionDocument(TypedDict):
    """One revision that is kept."""

    revision: int
    saved: str  # ISO 8601; empty where it was not told
    by: str  # who asked for it
    comment: str
    verified: bool  # a full pass over it came to its end, and nothing failed
    confirmed: bool  # it was no trial, or somebody confirmed it
    in_force: bool
    files: int
    digest: str


class RevisionsDocument(TypedDict):
    """What ``routed revisions --json`` prints."""

    schema: str  # routed.revisions/1
    revisions: list[RevisionDocument]  # the newest first


class SourceDocument(TypedDict):
    """One file of a revision."""

    path: str
    role: str
    text: str


class SourcesDocument(TypedDict):
    """The files of a revision, which only those who may change something get."""

    schema: str  # routed.sources/1
    revision: int
    sources: list[SourceDocument]


class ComparisonDocument(TypedDict):
    """What ``routed diff --json`` prints: what becomes of the objects from one side to the other."""

    schema: str  # routed.diff/1
    before: int | str  # a revision, or the path of a main file
    after: int | str
    steps: list[StepDocument]
    waiting: list[WaitingDocument]  # what waits on the second side, and not on the first


class TextComparisonDocument(TypedDict):
    """What ``routed diff --text --json`` prints."""

    schema: str  # routed.diff-text/1
    before: int | str
    after: int | str
    lines: list[str]  # of a unified diff


class CandidateDocument(TypedDict):
    """One interface of the host, and why it won or lost."""

    ifname: str
    ifindex: int
    chosen: bool
    reason: str


class SelectDocument(TypedDict):
    """What ``routed select --json`` prints."""

    schema: str  # routed.select/1
    expression: str
    ifname: str  # of the chosen interface, empty for none
    reason: str
    ambiguous: bool
    candidates: list[CandidateDocument]


class OutcomeDocument(TypedDict):
    """One audit record, as the stream of outcomes and the JSON lines carry it."""

    time: str
    message: str
    priority: int
    fields: dict[str, str]  # ROUTED_EVENT, ROUTED_ENTRY …


class HistoryDocument(TypedDict):
    """What ``routed history --json`` prints."""

    schema: str  # routed.history/1
    records: list[dict[str, str]]  # journal fields as text, oldest first


class CulpritDocument(TypedDict):
    """Somebody, or something, that had to do with an entry."""

    who: str
    count: int  # objects that were changed because of it
    last: str  # microseconds since 1970, as in the journal
    events: dict[str, int]  # what became of them, by ROUTED_EVENT
    cmdline: str  # of the last command; empty where there was none


class BlameDocument(TypedDict):
    """What ``routed blame --json`` prints."""

    schema: str  # routed.blame/1
    entry: str
    culprits: list[CulpritDocument]  # the most frequent first
    records: list[dict[str, str]]  # journal fields as text, oldest first


def name_whole(entry: str) -> str:
    """The table that an entry is of: ``route/pods`` of ``route/pods[node2]``."""
    return entry.partition("[")[0]


def is_asked(entry: str, asked: str) -> bool:
    """Is it the entry that is asked for, or a part of that? Its kind may be left out."""
    return asked in {name for one in (entry, name_whole(entry)) for name in (one, one.partition("/")[2])}
