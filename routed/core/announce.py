"""Telling the neighbours that a VIP is here: which, when and how often. Seconds of one monotonic clock.

A VIP is announced when it comes to its link, and when its link comes into use: then a switch or a host may still
believe it elsewhere. How the packets look stands in the kernel floor.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from routed.core.desired import Desired
from routed.core.entries import ENTRIES
from routed.core.kinds import KINDS
from routed.core.timetable import Deadline, Timetable
from routed.model.change import Outcome, Verb
from routed.model.entries import Entry, HeldVipEntry
from routed.model.facts import Facts
from routed.model.names import BARE
from routed.model.net import family_of
from routed.model.objects import AddressMember, AddressSlot, Key, Kind, Member
from routed.model.reasons import CameTo, InUse, Reason

ETHERNET: Final = 6  # bytes of a hardware address


class Burst(NamedTuple):
    """The announcements of one VIP that are still to be sent, or the last one that was."""

    entry: HeldVipEntry
    why: Reason
    left: int  # 0: all were sent
    due: float  # of the next one; also the earliest moment for another burst


@dataclass(slots=True)
class Announcements:
    """What is to be announced. However often a VIP or a link comes and goes, an interval lies between two packets."""

    bursts: dict[AddressMember, Burst] = field(default_factory=dict)
    timetable: Timetable = field(default_factory=Timetable)

    def note(
        self, outcomes: Iterable[Outcome], regained: Collection[int], desired: Desired, facts: Facts, now: float
    ) -> None:
        """After a pass: VIPs that were put, and those on links (ifindexes) that came into use."""
        for outcome in outcomes:
            operation = outcome.operation
            entry = operation.entry
            if entry is None or operation.verb is Verb.DELETE or not KINDS[operation.kind].is_announced:
                continue
            if ENTRIES[type(entry)].is_announced:
                for member in outcome.done:
                    assert isinstance(member, AddressMember)
                    self._begin(member, entry, CameTo(facts.name_of(member.dev)), facts, now)
        if not regained:
            return
        for name, resolution in desired.resolutions.items():
            if ENTRIES[type(resolution.entry)].is_announced:
                for key in desired.keys_of(name):
                    want = desired.get(key)
                    if want is not None and want.entry.name == name and KINDS[key.kind].is_announced:
                        self._begin_again(key.member, want.entry, regained, facts, now)

    def find_next(self) -> float | None:
        """When the next one is due, None for never."""
        return min((burst.due for burst in self.bursts.values() if burst.left), default=None)

    def take_due(self, desired: Desired, now: float) -> list[tuple[AddressMember, Burst]]:
        """The VIPs to announce now, each with its burst before this one."""
        due = [(member, burst) for member, burst in self.bursts.items() if burst.due <= now]
        taken = []
        for member, burst in due:
            key = Key(Kind.ADDRESS, AddressSlot(family_of(member.address)), member)
            if burst.left and desired.get(key):
                self.bursts[member] = burst._replace(left=burst.left - 1, due=now + burst.entry.interval)
                taken.append((member, burst))
            else:  # it goes no further, and after its interval it keeps nothing else from beginning
                del self.bursts[member]
        self.timetable.set(Deadline.ANNOUNCE, self.find_next())
        return taken

    def _begin_again(self, member: Member, entry: Entry, regained: Container[int], facts: Facts, now: float) -> None:
        assert isinstance(member, AddressMember)
        if member.dev in regained and member in facts.addresses:
            self._begin(member, entry, InUse(facts.name_of(member.dev)), facts, now)

    def _begin(self, member: AddressMember, entry: Entry, why: Reason, facts: Facts, now: float) -> None:
        assert isinstance(entry, HeldVipEntry)
        if entry.announcements and _has_neighbours(member.dev, facts):
            former = self.bursts.get(member)
            due = max(now, former.due) if former else now
            self.bursts[member] = Burst(entry, why, entry.announcements, due)
            self.timetable.bring_forward(Deadline.ANNOUNCE, due)


def _has_neighbours(dev: int, facts: Facts) -> bool:
    """Is this a link with hardware addresses, and with somebody at its other end?"""
    link = facts.links.get(dev)
    return link is not None and len(link.mac) == ETHERNET and any(link.mac) and link.kind not in BARE
