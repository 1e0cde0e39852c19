"""The story without a loop: look, plan or apply once, and go.

For ``routed plan`` and ``routed import``, which change nothing, and for ``apply --direct`` on a host whose daemon does
not run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from routed.core.desired import Desired
from routed.core.schedule import Dirt
from routed.daemon import lock, peers
from routed.daemon.host import Host
from routed.daemon.reconcile import Reconciler
from routed.daemon.report import Report
from routed.daemon.results import describe_result
from routed.daemon.revisions import Revisions
from routed.intent.load import load
from routed.kernel.kernel import Kernel
from routed.model.change import Cause, Plan
from routed.model.documents import ApplyDocument
from routed.model.entries import Intent
from routed.model.facts import Facts
from routed.model.net import FAMILIES
from routed.model.objects import Kind, Scope, Standing


@contextmanager
def open_reconciler(intent: Intent) -> Iterator[Reconciler]:
    """A reconciler for one pass over this network namespace."""
    with Kernel() as kernel:
        kernel.open_events()
        reconciler = Reconciler(kernel, Host(intent), time.monotonic, find_ssh_peers=peers.find_ssh_peers)
        reconciler.begin()
        reconciler.host.enforce(intent, time.monotonic())
        yield reconciler


def propose(config: Path) -> tuple[Plan, Desired, Facts, Intent]:
    """What would be done to the kernel for these files. Raises IntentError and OSError."""
    intent = load(config).intent
    with open_reconciler(intent) as reconciler:
        plan = Plan()
        for step in reconciler.propose():
            plan = plan if step is None else step
        return plan, reconciler.host.desired, reconciler.host.facts, intent


def apply_once(config: Path, state_dir: Path, *, force: bool = False) -> ApplyDocument:
    """Put the files in force once, without a daemon. Raises IntentError, AlreadyRunning, StateError and OSError."""
    loaded = load(config)
    intent = loaded.intent
    with lock.acquire(intent.settings.protocol), open_reconciler(intent) as reconciler:
        revisions = Revisions(state_dir / "revisions")
        reconciler.host.displaced = revisions.load_displaced()
        revision = revisions.save(intent.sources, intent.digest)
        reconciler.save_displaced = revisions.save_displaced
        dirt = Dirt(everything=Cause(None, "apply --direct"))
        steps = reconciler.settle(dirt, is_initial=True, is_forced=force)
        reports: list[Report] = [step for step in steps if step is not None]
        return describe_result(reconciler.host, reports, revision, [str(notice) for notice in loaded.notices])


def observe_all() -> tuple[list[tuple[Kind, Standing]], Facts]:
    """Everything that stands in the kernel, but what it keeps for itself in table local. Raises OSError."""
    with Kernel() as kernel:
        facts = Facts(links=kernel.read_links(), addresses=kernel.read_addresses())
        found = [
            (kind, standing)
            for kind in Kind
            for family in FAMILIES
            for chunk in kernel.dump(Scope(kind, family))
            for standing in chunk
        ]
        return found, facts
