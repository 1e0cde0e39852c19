"""Following: requests of others to IPVS, looked at as soon as they are done. The option ``--follow-netlink``.

IPVS tells of no change, so that without this one is found by a poll, and nobody knows who made it. The tap shows a
request before the kernel has carried it out. So what it is about is looked at at once, and twice more when the kernel
has done it: a look that came too early shows no difference.

It is made when services are wanted, and again with each full pass while it is lost. Here must never live: what a
request says (``kernel.ipvs.tap``), or what it makes dirty (``core.hear``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from routed.audit import notices
from routed.audit.records import Record
from routed.core.dirt import Dirt
from routed.core.hear import hear_request
from routed.core.timetable import Deadline
from routed.daemon.ipvs import SeldomIpvs
from routed.daemon.reconcile import Reconciler
from routed.model.documents import FollowingDocument
from routed.model.events import KERNEL, RequestEvent, Touched
from routed.model.objects import Kind
from routed.model.reasons import Deed

if TYPE_CHECKING:  # imported when there are services
    from routed.kernel.ipvs.tap import Tap

# Seconds after which a request is looked at again. By the first it is carried out, the module of a scheduler loaded for
# it included; by the second also where who asked was not given a processor meanwhile.
SETTLED: Final = (0.1, 1.0)
MOST: Final = 256  # requests that are looked at again; where there are more, the last counts for all


def _make_tap(protocol: int) -> Tap:
    from routed.kernel.ipvs.tap import Tap  # noqa: PLC0415  likewise

    return Tap(protocol)


class Following:
    """Hears of requests on the current asyncio loop, and has the engine look where they lead."""

    def __init__(
        self,
        reconciler: Reconciler,
        pump: Callable[[], None],
        say: Callable[[Record], None],
        make: Callable[[int], Tap] = _make_tap,
    ) -> None:
        """``pump`` begins what is due. ``make`` makes the tap of a protocol number."""
        ipvs = reconciler.dataplanes.by_kind[Kind.SERVER]
        assert isinstance(ipvs, SeldomIpvs)
        self._ipvs = ipvs
        self._reconciler = reconciler
        self._host = reconciler.host
        self._pump = pump
        self._say = say
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._tap: Tap | None = None
        self._protocol = 0  # of the tap
        self._opening: asyncio.Task[None] | None = None
        self._is_resting = False
        self._why_not = ""  # nothing is seen though it should
        # What may not be done yet, and when it was asked for; for each time in SETTLED.
        reconciler.hear_others = self._recall
        self._recent: tuple[deque[tuple[float, RequestEvent]], ...] = tuple(deque() for _ in SETTLED)

    def follow(self) -> None:
        """Hear, or not, as the files in force ask for it."""
        desired, protocol = self._host.wanted.desired, self._host.wanted.intent.settings.protocol
        is_wanted = any(map(desired.wants.get, self._ipvs.kinds))
        if self._tap and not (is_wanted and protocol == self._protocol):
            self._close()
        if not is_wanted:
            self._why_not = ""
        if is_wanted and not (self._tap or self._opening):
            self._opening = self._loop.create_task(self._open(protocol))

    async def stop(self) -> None:
        """Hear no more."""
        if self._opening:
            await self._opening
        self._close()

    def describe(self) -> FollowingDocument | None:
        """Is it seen what others ask for, and if not, why? None where nobody wants to know."""
        if self._tap is None and not self._why_not:
            return None
        return FollowingDocument(link=self._tap.link if self._tap else "", reason=self._why_not)

    def settle(self) -> None:
        """What was asked for a while ago is done: look at it once more."""
        now, settled = self._reconciler.clock(), []
        for recent, after in zip(self._recent, SETTLED, strict=True):
            while recent and recent[0][0] + after <= now:
                settled.append(recent.popleft()[1])
        if settled:
            self._suspect(settled)
            self._pump()
        if self._is_resting and self._tap and not self._recent[0]:
            self._is_resting = False
            self._loop.add_reader(self._tap, self._read)
        self._remind()

    async def _open(self, protocol: int) -> None:
        """In a thread: the kernel may have to load the module of the link."""
        try:
            tap = await asyncio.to_thread(self._make, protocol)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be had
            self._fail((error.strerror if isinstance(error, OSError) else None) or str(error))
        else:
            self._tap, self._protocol, self._why_not = tap, protocol, ""
            self._ipvs.follow_family(self._follow_family)
            self._loop.add_reader(tap, self._read)
            self._say(notices.note_following(tap.link))
        finally:
            self._opening = None

    def _fail(self, reason: str) -> None:
        self._why_not = reason
        self._say(notices.note_not_following(reason, self._find_interval()))

    def _follow_family(self, family: int) -> None:
        if self._tap:
            with suppress(OSError):  # it was closed meanwhile
                self._tap.follow(family)

    def _close(self) -> None:
        tap, self._tap, self._is_resting = self._tap, None, False
        if tap:
            self._loop.remove_reader(tap)
            tap.close()
        for recent in self._recent:
            recent.clear()

    def _read(self) -> None:
        if self._hear():
            self._pump()

    def _recall(self) -> Dirt:
        """What was asked for and may be done just now: a poll may find that before the next look of our own."""
        self._hear()
        recalled, desired, identify = Dirt(), self._host.wanted.desired, self._reconciler.kernel.identify
        for _, event in self._recent[-1]:
            hear_request(recalled, event, desired, identify)
        return recalled

    def _hear(self) -> bool:
        """Take in what was asked for. Is there anything to look at?"""
        if self._tap is None or self._is_resting:
            return False
        try:
            events = self._tap.read()
        except OSError as error:
            self._close()
            self._fail(error.strerror or str(error))
            return False
        get, now = self._host.wanted.desired.get, self._reconciler.clock()
        ours = [event for event in events if event.under is None or get(event.under)]
        if not ours:
            return False
        if max(map(len, self._recent)) + len(ours) > MOST:
            ours = [RequestEvent(tuple(map(Touched, self._ipvs.kinds)), None, Deed.CHANGED, KERNEL)]
            for recent in self._recent:
                recent.clear()
        for recent in self._recent:
            recent.extend((now, event) for event in ours)
        if any(event.under is None for event in ours):
            self._rest()
        self._suspect(ours)
        self._remind()
        return True

    def _rest(self) -> None:
        """Read nothing until what was asked for is settled: who asks without end must not keep us from all else."""
        if self._tap:
            self._loop.remove_reader(self._tap)
            self._is_resting = True

    def _find_interval(self) -> float:
        return self._host.wanted.intent.settings.polls.get(self._ipvs.name, self._ipvs.poll_interval)

    def _remind(self) -> None:
        for recent, after in zip(self._recent, SETTLED, strict=True):
            if recent:
                self._host.timetable.bring_forward(Deadline.SETTLED, recent[0][0] + after)

    def _suspect(self, events: Sequence[RequestEvent]) -> None:
        """Have it looked at where these lead."""
        for event in events:
            if event.under is not None:  # where that is not known, /proc tells, and the next full pass what it hides
                self._ipvs.suspect(event.under)
        self._host.hear_requests(events, self._reconciler.kernel.identify, self._reconciler.clock())
