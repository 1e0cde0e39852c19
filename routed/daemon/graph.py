"""The picture of a host: as the daemon keeps it, or as a plan finds it where nobody keeps it.

Reads a host between two passes, and asks the kernel nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from routed.audit.graph import make_graph_document
from routed.core.graph import draw
from routed.core.troubles import State, Trouble, Troubled
from routed.daemon.aftermath import find_troubles_of_plan
from routed.daemon.host import Host
from routed.daemon.reconcile import Proposal
from routed.daemon.status import describe_absent, find_leftovers, look_over, vocabulary_of
from routed.model.graph_document import GraphDocument


def describe_graph(host: Host, source: str, notes: Iterable[str], *, is_folded: bool) -> GraphDocument:
    """Everything that is wanted of this host, and how it stands."""
    graph = draw(look_over(host), find_leftovers(host), host.world.facts, host.world.absent, is_folded=is_folded)
    lacking = (f"the kernel's own {one['family']} rules are missing: {one['missing']}" for one in describe_absent(host))
    return make_graph_document(graph, vocabulary_of(host), source, [*notes, *lacking])


def describe_kept_graph(host: Host, revision: int, phase: str, *, is_on_disk: bool, is_folded: bool) -> GraphDocument:
    """The same of a host that a daemon keeps: which revision that is, and are the files on disk those in force?"""
    notes = [f"as routed keeps it: {f'revision {revision}' if revision else 'not kept on disk'}, {phase}"]
    notes += [] if is_on_disk else ["the files on disk are others, or invalid: they are not in force"]
    return describe_graph(host, "daemon", notes, is_folded=is_folded)


def describe_proposed_graph(proposal: Proposal, notes: Iterable[str], *, is_folded: bool) -> GraphDocument:
    """The same of what the files want, and what differs from it: what a pass would do something about is drift."""
    host = proposal.host
    host.ledger.note_troubles([*_find_troubles(proposal)], set(), (), frozenset())
    return describe_graph(host, "plan", notes, is_folded=is_folded)


def _find_troubles(proposal: Proposal) -> Iterator[Troubled]:
    yield from find_troubles_of_plan(proposal.host, proposal.plan, proposal.moment, proposal.moment)
    for one in proposal.plan.operations:
        name = one.entry.name if one.entry else ""
        standing = (
            (one.value,) if one.before is None and one.takes_away else () if one.before is None else (one.before,)
        )
        trouble = Trouble(State.DRIFT, one.reason, proposal.moment, standing, name)
        yield Troubled(one.kind, one.slot, one.members, trouble)
