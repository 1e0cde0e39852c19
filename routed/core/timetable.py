"""The timetable: everything that is due at a moment, by name. Nobody else keeps a timer.

Whoever wants to be woken puts a moment here under his name; there is one moment for each name, so the table never
grows. The engine asks when the next one is. Moments are seconds of one monotonic clock, which is passed in.

Here must never live: what is done when something is due (``engine``, ``service``), or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Deadline(StrEnum):
    """What can be due. Of several at once the first one here is done first."""

    # the engine does these itself
    HOLD = "hold"  # a hold ends
    ANNOUNCE = "announce"  # neighbours of a VIP are told
    KEYS = "keys"  # single objects are looked at, of which events told
    QUESTION = "question"  # the host is asked again what events do not tell
    EFFECT = "effect"  # it is asked whether ours decides, since others did something
    DUMP = "dump"  # whole dumps are looked at
    LOOK_AGAIN = "look-again"  # time alone makes a fact, or an entry, another one
    POLL = "poll"  # what tells of no changes is read again
    RESYNC = "resync"  # the regular comparison
    # these it hands on, to the service
    FLOOD = "flood"  # records that were left out are summed up
    WAITING = "waiting"  # it is said which entries wait
    STATUS = "status"  # the sentence for the service manager
    READY = "ready"  # that could not be told
    KEEP = "keep"  # state that could not be kept on disk
    SETTLED = "settled"  # what was asked for before others' eyes is done by now
    PROBE = "probe"  # a check is asked
    HEALTHS = "healths"  # what checks found is kept
    READ_AGAIN = "read-again"  # files are read that took too long
    TRIAL = "trial"  # a deployment on trial that nobody confirmed ends


HANDED_ON: Final = frozenset(
    {
        Deadline.FLOOD,
        Deadline.WAITING,
        Deadline.STATUS,
        Deadline.READY,
        Deadline.KEEP,
        Deadline.TRIAL,
        Deadline.READ_AGAIN,
        Deadline.SETTLED,
        Deadline.PROBE,
        Deadline.HEALTHS,
    }
)
# Of these, those that only tell what is so.
SENTENCES: Final = frozenset({Deadline.FLOOD, Deadline.WAITING, Deadline.STATUS, Deadline.READY})
# These wait for a retry, however long they are due.
_REGULAR: Final = frozenset({Deadline.LOOK_AGAIN, Deadline.POLL, Deadline.RESYNC})


@dataclass(slots=True)
class Timetable:
    """At most one moment for each name."""

    retry_at: float = 0.0  # after a failed pass: nothing regular is done before; 0 where none failed
    on_sooner: Callable[[float], None] = lambda _: None  # told of each moment that ``bring_forward`` puts
    _moments: dict[Deadline, float] = field(default_factory=dict)

    def set(self, name: Deadline, moment: float | None) -> None:
        """It is due then, whatever was said before; None: never."""
        if moment is None:
            self._moments.pop(name, None)
        else:
            self._moments[name] = moment

    def bring_forward(self, name: Deadline, moment: float) -> None:
        """It is due then, unless it is due sooner. May be called by whoever the engine does not wait for."""
        before = self._moments.get(name)
        if before is None or moment < before:
            self._moments[name] = moment
            self.on_sooner(moment)

    def cancel(self, name: Deadline) -> None:
        """It is due no more."""
        self._moments.pop(name, None)

    def find(self, name: Deadline) -> float | None:
        """When it is due, None for never."""
        moment = self._moments.get(name)
        return max(moment, self.retry_at) if moment is not None and name in _REGULAR else moment

    def find_next(self) -> float | None:
        """When the next one is due, None for never."""
        retry_at = self.retry_at
        due: float | None = None
        for name, moment in self._moments.items():
            if moment < retry_at and name in _REGULAR:
                moment = retry_at  # noqa: PLW2901  it is due no sooner
            if due is None or moment < due:
                due = moment
        return due

    def take(self, name: Deadline, now: float) -> bool:
        """Is it due? Then it is so no more."""
        moment = self.find(name)
        if moment is None or moment > now:
            return False
        del self._moments[name]
        return True

    def is_due(self, now: float, among: Container[Deadline]) -> bool:
        """Is any of these due?"""
        for name, moment in self._moments.items():
            if moment <= now and name in among and (now >= self.retry_at or name not in _REGULAR):
                return True
        return False

    def take_due(self, now: float, among: Container[Deadline]) -> Deadline | None:
        """The first of these that is due, which it is no more; None where none is."""
        if not self.is_due(now, among):
            return None  # nearly always
        return next((name for name in Deadline if name in among and self.take(name, now)), None)
