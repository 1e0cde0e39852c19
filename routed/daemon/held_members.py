"""Held members: whose entries stay since too many would go at once, and what goes when the operator says so.

Few answers need it, so it is imported where members are held. Here must never live: who is held, and until when
(``core.membership``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from routed.audit.documents import make_plan_document
from routed.audit.reasons import describe_reason
from routed.core import between
from routed.core.desired import Resolution
from routed.core.dirt import Dirt
from routed.core.membership import find_followed, find_roster, let_go
from routed.daemon.host import Host
from routed.daemon.status import Moment, vocabulary_of
from routed.model.documents import HeldDocument, StepDocument
from routed.model.members import key_of


def describe_held(host: Host, held: Iterable[Resolution], moment: Moment) -> Iterator[HeldDocument]:
    """Each of these entries, why its members stay, who they are, and since when."""
    for one in held:
        entry, roster = one.entry, find_followed(one.entry, host.world.facts)
        yield HeldDocument(
            entry=entry.name,
            origin=str(entry.origin),
            reason=describe_reason(one.held),
            since=moment(roster.held_since or 0.0),
            members=sorted(roster.held),
        )


def find_steps(host: Host, now: float) -> list[StepDocument]:
    """What becomes of the objects when those go who are held. Nothing changes by it."""
    plan = between.compare(host.wanted.desired, _let_go(host, now).wanted.desired)
    steps = make_plan_document(plan, (), vocabulary_of(host))["steps"]
    return sorted(steps, key=lambda step: (step["entry"], step["object"]))


def _let_go(host: Host, now: float) -> Host:
    """The host as it is when those have gone who are held."""
    other, told = host.copy(), {}
    for source in host.wanted.intent.member_sources:
        fact = host.world.facts.find(key_of(source.name))
        if (roster := find_roster(fact)).held:
            told[key_of(source.name)] = fact._replace(value=let_go(roster, source._replace(gone_after=0.0), now))
    other.world.deliver(told, now)
    dirt = Dirt()
    other.follow_members(dirt, now)
    other.resolve_changed(dirt)
    return other
