"""Objects that are left alone for a while: they failed, somebody fights for them, or the operator paused them.

A hold is on one object, or on a whole entry when very many of its objects share the trouble. The clock is passed in, in
seconds; jitter too, as a number from 0 to 1, so that a test says what chance says elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from routed.core.reasons import choose_cause, is_loss
from routed.core.timetable import Deadline, Timetable
from routed.model.change import Cause, Drift, Nature
from routed.model.objects import Key
from routed.model.reasons import Fought, Paused, Reason
from routed.model.text import differs_in_mark

FIRST_RETRY: Final = 0.1
LAST_RETRY: Final = 60.0
FIGHT_WINDOW: Final = 60.0
FIGHT_HOLDS: Final = (60.0, 120.0, 240.0, 480.0, 960.0, 1800.0)
GROUP: Final = 64  # more objects than this in one trouble are held as their entry

Subject = Key | str  # one object, or every object of the entry of this name


class Why(StrEnum):
    """What a hold is for."""

    FAILED = "failed"  # the kernel said no; tried again with growing distance
    WAITING = "waiting"  # the kernel said no for want of a link, gateway or address; tried again when one changes
    FIGHT = "held"  # another process undoes every repair
    YIELDED = "yielded"  # another process marks as its own, again and again, what is as wanted
    PAUSED = "paused"  # the operator's word


class Hold(NamedTuple):
    """One hold."""

    why: Why
    until: float
    reason: Reason
    since: float
    attempts: int = 1
    cause: Cause | None = None  # of what failed: why it is not there


def is_mark_alone(drift: Drift) -> bool:
    """Does what stands do its work, under another mark?"""
    wanted = drift.want.value if drift.want else None
    return (
        drift.nature is Nature.FOREIGN
        and wanted is not None
        and len(drift.standing) == 1
        and differs_in_mark(drift.kind, drift.standing[0], wanted)
    )


def _list_wholes(entry: str) -> tuple[str, ...]:
    """The table of which this entry is a part: ``route/pods`` of ``route/pods[node2]``."""
    whole, bracket, _ = entry.partition("[")
    return (whole,) if bracket else ()


@dataclass(slots=True)
class Holds:
    """All holds, and the count of repairs against other processes."""

    active: dict[Subject, Hold] = field(default_factory=dict)
    repairs: dict[Subject, deque[float]] = field(default_factory=dict)
    adoptions: dict[Subject, deque[float]] = field(default_factory=dict)  # of what was as wanted but for its mark
    fights: dict[Subject, int] = field(default_factory=dict)  # how often each was held before
    spared: set[str] = field(default_factory=set)  # entries that were resumed out of the pause of everything
    timetable: Timetable = field(default_factory=Timetable)

    def copy(self) -> Holds:
        """The same, to be changed by itself."""
        repairs = {subject: deque(times, times.maxlen) for subject, times in self.repairs.items()}
        adoptions = {subject: deque(times, times.maxlen) for subject, times in self.adoptions.items()}
        return Holds(dict(self.active), repairs, adoptions, dict(self.fights), set(self.spared))

    def find(self, key: Key, entry: str, now: float) -> Hold | None:
        """The hold that keeps an object from being touched at this moment."""
        subjects: tuple[Subject, ...] = (key, entry, *_list_wholes(entry), "")
        for subject in subjects:
            hold = self.active.get(subject)
            if hold is not None and hold.until > now and not (subject == "" and entry in self.spared):
                return hold
        return None

    def is_about(self, key: Key, entry: str) -> bool:
        """Is there a hold on an object, also one whose time is over and that nothing has let go yet?"""
        return bool(self.active) and (
            key in self.active
            or any(name in self.active for name in (entry, *_list_wholes(entry)))
            or ("" in self.active and entry not in self.spared)
        )

    def find_pause(self, entry: str) -> Hold | None:
        """The pause of an entry: its own, or that of everything."""
        wholes = (entry, *_list_wholes(entry))
        for subject in (*wholes, "") if entry not in self.spared else wholes:
            hold = self.active.get(subject)
            if hold is not None and hold.why is Why.PAUSED:
                return hold
        return None

    def list_pauses(self) -> dict[str, Hold]:
        """Every pause, by the entry's name; the empty one is everything."""
        return {str(subject): hold for subject, hold in self.active.items() if hold.why is Why.PAUSED}

    def list_drained(self, now: float) -> dict[str, dict[str, Paused]]:
        """The servers that the operator drains, by the names of their entry and of the part."""
        found: dict[str, dict[str, Paused]] = {}
        for subject, hold in self.list_pauses().items():
            if isinstance(hold.reason, Paused) and hold.reason.is_drain and hold.until > now:
                entry, _, part = subject.removesuffix("]").partition("[")
                found.setdefault(entry, {})[part] = hold.reason
        return found

    def keeps_back(self, key: Key, drift: Drift, cause: Cause, now: float) -> bool:
        """Is an object left alone that differs in this way, and is looked at for this cause?

        A fight is over what the rival does. What the kernel dropped he did not, and nobody fights over a mark.
        """
        hold = self.find(key, drift.entry_name, now)
        if hold is None:
            return False
        if hold.why is Why.YIELDED:
            return is_mark_alone(drift)
        if hold.why is Why.FIGHT:
            return not (is_mark_alone(drift) or (drift.nature is Nature.MISSING and is_loss(cause)))
        return True

    def note_failure(
        self,
        subject: Subject,
        reason: Reason,
        now: float,
        *,
        is_waiting: bool = False,
        jitter: float = 0.0,
        cause: Cause | None = None,
    ) -> Hold:
        """The kernel said no: try again later, after twice the time of the last attempt."""
        former = self.active.get(subject)
        attempts = former.attempts + 1 if former and former.why in {Why.FAILED, Why.WAITING} else 1
        delay = min(LAST_RETRY, FIRST_RETRY * 2.0 ** (attempts - 1)) * (1 + jitter / 10)
        since = former.since if former and former.reason == reason else now
        if cause and former and former.cause:
            cause = choose_cause(former.cause, cause, Nature.MISSING)
        hold = Hold(Why.WAITING if is_waiting else Why.FAILED, now + delay, reason, since, attempts, cause)
        self._hold(subject, hold)
        return hold

    def note_success(self, subject: Subject) -> None:
        """The kernel said yes: forget former failures."""
        hold = self.active.get(subject)
        if hold is not None and hold.why in {Why.FAILED, Why.WAITING}:
            del self.active[subject]

    def end_fight(self, subject: Subject, now: float) -> None:
        """It was touched all the same: the reason of its hold was over. A rival who is there still begins anew."""
        hold = self.active.get(subject)
        if hold is not None and hold.why is Why.FIGHT:
            del self.active[subject]
            self.repairs.setdefault(subject, deque()).append(now)

    def note_adoption(self, subject: Subject, rival: Cause, limit: int, now: float) -> Hold | None:
        """What another process marked as its own is marked as ours again.

        Returns a hold when that happened ``limit`` times within the window: it does its work under either mark.
        """
        times = self.adoptions.setdefault(subject, deque(maxlen=limit))
        times.append(now)
        if len(times) < limit or now - times[0] > FIGHT_WINDOW:
            return None
        reason = Fought(limit, round(now - times[0]), rival.port, rival.process)
        hold = Hold(Why.YIELDED, now + FIGHT_WINDOW, reason, now)
        self._hold(subject, hold)
        times.clear()
        return hold

    def note_repair(self, subject: Subject, rival: Cause, limit: int, now: float) -> Hold | None:
        """We undid another process's change. Returns a hold when that happened ``limit`` times within the window."""
        times = self.repairs.setdefault(subject, deque(maxlen=limit))
        times.append(now)
        if len(times) < limit or now - times[0] > FIGHT_WINDOW:
            return None
        round_number = self.fights.get(subject, 0)
        length = FIGHT_HOLDS[min(round_number, len(FIGHT_HOLDS) - 1)]
        reason = Fought(limit, round(now - times[0]), rival.port, rival.process)
        hold = Hold(Why.FIGHT, now + length, reason, now, round_number + 1)
        self._hold(subject, hold)
        self.fights[subject] = round_number + 1
        self.repairs[subject] = deque(maxlen=limit)
        return hold

    def pause(
        self,
        subject: str,
        words: str,
        until: float,
        now: float,
        author: str = "",
        *,
        ruling: bool | None = None,
        is_drain: bool = False,
    ) -> None:
        """The operator's pause, in his words; the empty subject is everything. Of a check: what it counts as.

        A drain is one of a server, ``service/api[10.0.0.11:6443]``, which gets no new connections.
        """
        self._hold(subject, Hold(Why.PAUSED, until, Paused(words, author, ruling, is_drain), now))
        if subject:
            self.spared.discard(subject)
        else:
            self.spared.clear()

    def resume(self, subject: str) -> bool:
        """End a pause early. An entry is resumed out of the pause of everything too. False when there was none."""
        if self.find_pause(subject) is None:
            return False
        hold = self.active.get(subject)
        if hold is not None and hold.why is Why.PAUSED:
            del self.active[subject]
        self._end_pause(subject)
        return True

    def spare(self, entries: Iterable[str]) -> None:
        """These were resumed out of the pause of everything before we last stopped."""
        self.spared.update(entries)

    def _end_pause(self, subject: str) -> None:
        if not subject:
            self.spared.clear()
        elif "" in self.active:
            self.spared.add(subject)

    def release(self, whys: Iterable[Why]) -> None:
        """Let go of every hold of these reasons: waiting ones when the host changed, all but pauses on a reload."""
        wanted = frozenset(whys)
        self.active = {subject: hold for subject, hold in self.active.items() if hold.why not in wanted}
        self._arm()
        if Why.FIGHT in wanted:
            self.repairs.clear()
            self.adoptions.clear()
            self.fights.clear()

    def let_go(self, subjects: Iterable[Subject]) -> None:
        """What these failed at, or waited for, may be otherwise by now: they are tried again, counting anew."""
        for subject in subjects:
            self.active.pop(subject, None)
        self._arm()

    def find_ended_pauses(self, now: float) -> list[Subject]:
        """Pauses whose time is over and that ``take_ended`` will forget."""
        return [subject for subject, hold in self.active.items() if hold.why is Why.PAUSED and hold.until <= now]

    def take_ended(self, now: float) -> list[Subject]:
        """Every subject whose time to be tried again has come, each once. A pause that ended is forgotten."""
        ended = [subject for subject, hold in self.active.items() if 0.0 < hold.until <= now]
        for subject in ended:
            why = self.active[subject].why
            if why in {Why.PAUSED, Why.FIGHT, Why.YIELDED}:
                del self.active[subject]
                if why is Why.PAUSED and not subject:
                    self.spared.clear()
            else:
                self.active[subject] = self.active[subject]._replace(until=0.0)
            if why is Why.FIGHT and subject in self.repairs:
                self.repairs[subject].append(now)  # the next try counts: a rival who waits for it is still the same
        self._arm()
        return ended

    def forget_old_repairs(self, now: float) -> list[Subject]:
        """Drop counts that no longer matter: who fights again after a quiet minute begins anew.

        Returns over what nobody fights any more.
        """
        self.repairs = self._keep_young(self.repairs, now)
        self.adoptions = self._keep_young(self.adoptions, now)
        over = [subject for subject in self.fights if subject not in self.repairs]
        for subject in over:
            del self.fights[subject]
        return over

    def _keep_young(self, counts: dict[Subject, deque[float]], now: float) -> dict[Subject, deque[float]]:
        return {
            subject: times
            for subject, times in counts.items()
            if subject in self.active or (times and now - times[-1] <= FIGHT_WINDOW)
        }

    def _hold(self, subject: Subject, hold: Hold) -> None:
        self.active[subject] = hold
        self.timetable.bring_forward(Deadline.HOLD, hold.until)

    def _arm(self) -> None:
        """The next hold that ends. One that was let go before its time may still stand there, and does no harm."""
        ends = (hold.until for hold in self.active.values() if hold.until > 0.0)
        self.timetable.set(Deadline.HOLD, min(ends, default=None))
