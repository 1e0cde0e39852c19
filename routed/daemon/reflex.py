"""The reflex: an object that went and needs no thought is put back before anything else is done.

It is the same decision as that of the pass which follows, asked of the same state: nothing else waits to be looked at,
the object is wanted just as it was, its entry says to repair it, and nobody holds or pauses it. What it did it leaves
for that pass (``under_way.Ahead``), which plans it, asks for it no more, verifies it and tells of it as it always does.
So all that it saves is time: after hours at rest nothing of a program is in a cache, and the pass is long. Each call
that it does not need costs a microsecond or two.

Of who did it, it takes first what vanishes first, and the rest when the object stands again.

Here must never live: bytes (``kernel.reflex``), or anything that is done only because of a reflex.
"""

from __future__ import annotations

from typing import Final

from routed.core.desired import Desired
from routed.core.hear import may_open_a_way
from routed.core.holds import Holds
from routed.core.kinds import KINDS
from routed.core.schedule import Schedule
from routed.core.timetable import SENTENCES, Deadline
from routed.daemon.host import Host
from routed.daemon.ports import HostKernel
from routed.model.entries import Enforce
from routed.model.events import KERNEL, Loss, ObjectEvent
from routed.model.objects import Key, Kind, Member, Value

_FIRST: Final = frozenset(Deadline) - SENTENCES  # what is due of these is done before any pass that this may be part of


def react(kernel: HostKernel, host: Host, now: float) -> None:
    """Put back what went, if that is all that is to be done now.

    To be called when no pass is under way, and none has to ask for what was put back before.
    """
    loss = kernel.find_loss(is_simple)
    if loss is None or loss.port == kernel.port:
        return
    schedule = host.schedule
    if schedule.dirt or schedule.timetable.retry_at or schedule.timetable.is_due(now, _FIRST):
        return
    if not _needs_no_thought(loss, host.wanted.desired, host.ledger.holds) or _is_news_elsewhere(loss, schedule):
        return
    if loss.port == KERNEL:
        host.under_way.put_ahead(loss, kernel.put_back(loss))
        return
    kernel.glance(loss.port)
    host.under_way.put_ahead(loss, kernel.put_back(loss))
    kernel.identify(loss.port)


def is_simple(kind: Kind, member: Member, value: Value) -> bool:
    """Is such an object one that can have gone for itself only, and that cannot cut off who is logged in?"""
    row = KINDS[kind]
    return not (row.has_bases and any(row.find_bases(value))) and not row.drops(member, value)


def _needs_no_thought(loss: Loss, desired: Desired, holds: Holds) -> bool:
    key = Key(loss.kind, loss.slot, loss.member)
    want = desired.get(key)
    if want is None or want.value != loss.value or want.is_in_front or want.entry.enforce is not Enforce.REPAIR:
        return False
    return not (holds.active and holds.is_about(key, want.entry.name))


def _is_news_elsewhere(loss: Loss, schedule: Schedule) -> bool:
    """Is something asked of the host because this went? Then it shall see that it is gone."""
    if not (schedule.watched or schedule.behind or schedule.is_reach_awaited):
        return False
    event = ObjectEvent(loss.kind, loss.slot, (loss.member,), loss.value, True, False, False, loss.port)
    if not schedule.behind.isdisjoint(event.members):
        return True
    return may_open_a_way(event, schedule.watched, is_reach_awaited=schedule.is_reach_awaited)
