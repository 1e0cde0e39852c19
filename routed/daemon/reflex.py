"""The reflex: an object that went and needs no thought is put back before anything else is done.

It is the same decision as that of the pass which follows, asked of the same state: nothing else waits to be looked at,
the object is wanted just as it was, its entry says to repair it, and nobody holds or pauses it. What it did it leaves
for that pass (``under_way.Ahead``), which plans it, asks for it no more, verifies it and tells of it as it always does.
So all that it saves is time: after hours at rest nothing of a program is in a cache, and the pass is long.

Here must never live: bytes (``kernel.reflex``), or anything that is done only because of a reflex.
"""

from __future__ import annotations

from routed.core.desired import Desired
from routed.core.hear import may_open_a_way
from routed.core.holds import Holds
from routed.core.kinds import KINDS
from routed.core.schedule import Schedule
from routed.daemon.host import Host
from routed.daemon.ports import HostKernel
from routed.model.entries import Enforce
from routed.model.events import KERNEL, Loss, ObjectEvent
from routed.model.objects import Key


def react(kernel: HostKernel, host: Host, now: float) -> None:
    """Put back what went, if that is all that is to be done now. To be called when no pass is under way or due."""
    loss = None if host.under_way.ahead else kernel.find_loss()
    if loss is None or loss.port == kernel.port:
        return
    if not _needs_no_thought(loss, host.wanted.desired, host.ledger.holds) or _is_due(host.schedule, now):
        return
    if _is_news_elsewhere(loss, host.schedule):
        return
    if loss.port != KERNEL:
        kernel.glance(loss.port)
    host.under_way.put_ahead(loss, kernel.put_back(loss))


def _needs_no_thought(loss: Loss, desired: Desired, holds: Holds) -> bool:
    want = desired.get(Key(loss.kind, loss.slot, loss.member))
    if want is None or want.value != loss.value or want.is_in_front or want.entry.enforce is not Enforce.REPAIR:
        return False
    if holds.active and holds.is_about(Key(loss.kind, loss.slot, loss.member), want.entry.name):
        return False
    row = KINDS[loss.kind]
    if row.has_bases and any(row.find_bases(loss.value)):  # it may have gone with what it stands on
        return False
    return not row.drops(loss.member, loss.value)  # what drops packets may cut off who is logged in


def _is_due(schedule: Schedule, now: float) -> bool:
    """Is anything else to be looked at, or due?"""
    if schedule.dirt or schedule.timetable.retry_at:
        return True
    due = schedule.timetable.find_next()
    return due is not None and due <= now


def _is_news_elsewhere(loss: Loss, schedule: Schedule) -> bool:
    """Is something asked of the host because this went? Then it shall see that it is gone."""
    if not (schedule.watched or schedule.behind or schedule.is_reach_awaited):
        return False
    event = ObjectEvent(loss.kind, loss.slot, (loss.member,), loss.value, True, False, False, loss.port)
    if not schedule.behind.isdisjoint(event.members):
        return True
    return may_open_a_way(event, schedule.watched, is_reach_awaited=schedule.is_reach_awaited)
