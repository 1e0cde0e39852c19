"""The story without a loop: look, plan or apply once, and go.

For ``routed plan``, ``routed select`` and ``routed import``, which change nothing, and for ``apply --direct`` on a host
whose daemon does not run. Here must never live: the loader; the intent comes from whoever asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from routed.audit.documents import make_plan_document
from routed.core import between
from routed.core.deployment import Given, Input, advance
from routed.core.dirt import Dirt
from routed.core.kinds import KINDS
from routed.core.select import Judgement, choose
from routed.daemon.dataplane import find_dataplanes
from routed.daemon.engine import Engine, Request
from routed.daemon.host import NOTHING_TOLD, Host
from routed.daemon.ledger import Ledger
from routed.daemon.ownership import Ownership
from routed.daemon.pauses import PausesFile, take_up
from routed.daemon.peers import find_ssh_sessions
from routed.daemon.reconcile import Proposal, Reconciler
from routed.daemon.record import RecordFile, read_boot
from routed.daemon.results import describe_result, find_unresolved, has_failed
from routed.daemon.revisions import Revisions
from routed.daemon.status import vocabulary_of
from routed.daemon.storage import StateError
from routed.daemon.wanted import Wanted
from routed.kernel.dump import finish
from routed.kernel.kernel import Kernel
from routed.model.assumption import NOTHING_ASSUMED, Assumptions
from routed.model.change import Cause
from routed.model.documents import ApplyDocument, StepDocument, WaitingDocument
from routed.model.entries import Intent, Selector, Settings
from routed.model.facts import Fact, FactKey, Facts
from routed.model.objects import AlikeRoutes, Key, Kind, Scope, Standing, Value
from routed.model.reasons import Look

REVISIONS: Final = "revisions"  # the folder of them in the state folder


@contextmanager
def open_reconciler(
    intent: Intent, former: frozenset[int], displaced: dict[Key, Value], state_dir: Path, *, may_write: bool
) -> Iterator[Reconciler]:
    """A reconciler that has read the facts for these files, which are not in force yet.

    What carries a ``former`` protocol number is ours too; ``displaced`` is what our objects took the place of.
    """
    with Kernel() as kernel:
        kernel.open_events()
        host = Host(Wanted(intent, former_protocols=former), ledger=Ledger(displaced=displaced))
        reconciler = Reconciler(
            kernel,
            find_dataplanes(kernel, state_dir, may_write=may_write),
            host,
            time.monotonic,
            find_ssh_sessions=find_ssh_sessions,
        )
        reconciler.begin()
        if intent.member_sources:
            reconciler.deliver(_ask_sources(intent, state_dir, may_keep=may_write))
        host.world.expect_no_answers()
        yield reconciler


def _ask_sources(intent: Intent, state_dir: Path, *, may_keep: bool) -> dict[FactKey, Fact]:
    from routed.daemon.memberships import ask_once  # noqa: PLC0415  only files with sources pay for it

    return ask_once(intent, state_dir / "members", may_keep=may_keep)


def propose(
    intent: Intent,
    state_dir: Path,
    marks: frozenset[int] = frozenset(),
    assumed: Assumptions = NOTHING_ASSUMED,
    present: Intent | None = None,
    told: Mapping[FactKey, Fact] = NOTHING_TOLD,
) -> Proposal:
    """What ``apply_once`` would do for this intent, where these protocol numbers mark what is ours until now.

    Where anything is assumed ``present`` is what is in force before it; ``told`` is what a daemon knows.

    Of the state only what this user may read is known: see ``find_hidden``. Raises StateError and OSError.
    """
    is_hidden = find_hidden(state_dir) is not None
    displaced = {} if is_hidden else _open_revisions(state_dir).load_displaced()
    former = marks - intent.settings.numbers
    with open_reconciler(present or intent, former, displaced, state_dir, may_write=False) as reconciler:
        if not is_hidden:
            _pause_again(reconciler, state_dir)
        if intent is not (present or intent) and intent.member_sources:
            told = {**told, **_ask_sources(intent, state_dir, may_keep=False)}
        return finish(reconciler.propose(intent, assumed, told))


def compare(before: Intent, after: Intent, state_dir: Path) -> tuple[list[StepDocument], list[WaitingDocument]]:
    """What becomes of the objects from one intent to the other on this host as it is, and what then waits that did not.

    Raises OSError.
    """
    old, new = _resolve(before, state_dir), _resolve(after, state_dir)
    waited = {(wait.entry.name, wait.reason) for wait in find_unresolved(old)}
    waiting = [wait for wait in find_unresolved(new) if (wait.entry.name, wait.reason) not in waited]
    plan = between.compare(old.wanted.desired, new.wanted.desired)
    document = make_plan_document(plan, waiting, vocabulary_of(new))
    return document["steps"], document["waiting"]


def _resolve(intent: Intent, state_dir: Path) -> Host:
    """A host as these files would have it."""
    with open_reconciler(intent, frozenset(), {}, state_dir, may_write=False) as reconciler:
        return finish(reconciler.propose(intent)).host


def foresee(intent: Intent, state_dir: Path, marks: frozenset[int]) -> Host:
    """The host as it is known for these files without a daemon. Nothing is compared, and nothing is changed.

    Of checks and members it is not known how they are. Raises StateError and OSError.
    """
    former = marks - intent.settings.numbers
    with open_reconciler(intent, former, {}, state_dir, may_write=False) as reconciler:
        if find_hidden(state_dir) is None:
            _pause_again(reconciler, state_dir)
        for _ in reconciler.host.enforce_in_slices(intent, reconciler.clock(), {}):
            pass
        return reconciler.host


def _pause_again(reconciler: Reconciler, state_dir: Path) -> None:
    """What somebody has his hands on is left alone without a daemon too."""
    boot, booted = read_boot()
    take_up(PausesFile(state_dir).load(boot), reconciler.host.ledger.holds, time.monotonic(), booted)


def find_hidden(state_dir: Path) -> Path | None:
    """A folder of the state that this user may not read, None where there is none."""
    for folder in (state_dir, state_dir / REVISIONS):
        try:
            next(folder.iterdir(), None)
        except PermissionError:
            return folder
        except OSError:  # such as: there is no state yet
            continue
    return None


def apply_once(
    intent: Intent, state_dir: Path, runtime_dir: Path, notices: Iterable[str] = (), *, force: bool = False
) -> ApplyDocument:
    """Put it in force once, without a daemon. Raises AlreadyRunningError, StateError and OSError."""
    revisions = _open_revisions(state_dir)
    with (
        own_alone(intent.settings, state_dir, runtime_dir) as ownership,
        open_reconciler(
            intent, ownership.marks.former, revisions.load_displaced(), state_dir, may_write=True
        ) as reconciler,
    ):
        ownership.keep()
        record = RecordFile(state_dir / REVISIONS)
        recorded = record.load()
        revision = revisions.save(intent.sources, intent.digest, is_trial=recorded.is_trial)
        record.save(advance(recorded, Input.ASKED, Given(intent.digest, revision, written=intent.written)).after)
        _pause_again(reconciler, state_dir)
        reconciler.save_displaced = revisions.save_displaced

        def enforce() -> None:
            reconciler.host.enforce(intent, time.monotonic())

        engine = Engine(reconciler)
        request = engine.ask(Request(Dirt(everything=Cause(None, Look.DIRECT)), enforce, is_forced=force))
        for _ in engine.run():  # neighbours are told once: nobody is here to repeat it
            pass
        ownership.forget(reconciler.host.wanted.marks.numbers)
        ownership.keep()
        if request.error is None and not any(has_failed(reconciler.host, report) for report in request.reports[-1:]):
            with suppress(StateError):  # it is in force all the same
                revisions.mark_verified(revision)
        return describe_result(reconciler.host, request, revision, [*notices, *map(str, ownership.rivals)])


def _open_revisions(state_dir: Path) -> Revisions:
    return Revisions(state_dir / REVISIONS)


def own_alone(settings: Settings, state_dir: Path, runtime_dir: Path) -> Ownership:
    """The ownership under the protocol numbers of these files, where no daemon works with this state folder.

    Raises AlreadyRunningError, and OSError.
    """
    ownership = Ownership(settings.protocol, state_dir, runtime_dir, further=settings.protocols)
    daemons = [rival for rival in ownership.rivals if ownership.kept and rival.protocol == ownership.kept.protocol]
    if daemons:
        ownership.close()
        raise daemons[0]
    return ownership


def judge_links(intent: Intent, asked: Selector) -> Judgement:
    """Which link ``asked`` means now, whatever was chosen before. Raises OSError."""
    with Kernel() as kernel:
        kernel.open_events()
        reconciler = Reconciler(
            kernel, find_dataplanes(kernel), Host(Wanted(replace(intent, selectors=(asked,)))), time.monotonic
        )
        reconciler.begin()
        return choose(asked, reconciler.host.world.facts)


class Everything(NamedTuple):
    """What stands on this host."""

    objects: list[tuple[Kind, Standing]]
    facts: Facts
    unread: dict[str, str]  # dataplane → why it could not be read


def observe_all() -> Everything:
    """All that the file has words for, but what the kernel keeps for itself in table local. Raises OSError.

    A dataplane that has to be polled may be out of order by itself.
    """
    with Kernel() as kernel:
        found = Everything([], Facts(links=finish(kernel.read_links()), addresses=finish(kernel.read_addresses())), {})
        dataplanes = find_dataplanes(kernel).by_kind
        for kind, family in ((kind, family) for kind, row in KINDS.items() for family in row.families):
            if not (KINDS[kind].is_written or KINDS[kind].is_part):
                continue
            try:
                dump = finish(dataplanes[kind].read_dump(Scope(kind, family)))
            except OSError as error:
                if dataplanes[kind].poll_interval is None:
                    raise
                found.unread[dataplanes[kind].name] = error.strerror or str(error)
                continue
            for chunk in dump.chunks():
                standings = chunk.spread() if isinstance(chunk, AlikeRoutes) else chunk
                found.objects.extend((kind, standing) for standing in standings)
        return found
