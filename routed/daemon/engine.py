"""The engine: which pass is due, its steps, what may interrupt it, and what follows when it fails.

It owns no loop, no thread and no clock. Whoever drives it (the asyncio loop, ``apply --direct``, a test) calls ``hear``
when events wait, ``advance`` until nothing is left to do, and again at ``find_due``. So there is one order of steps,
and one recovery: an exception of any kind ends the pass that it came from and nothing else. What that pass was to look
at stays dirty, what is not known since is told (``World.unread``), and all is read again after a pause that grows.
Plans are made when no pass is to be done, and thrown away where one comes due.

What is due and is no pass, such as the sentence for the service manager, is handed on as a step (``core.timetable``).
Here must never live: what a pass does (``reconcile``), or what a person is told of it (``service``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from routed.core.desired import scope_of
from routed.core.dirt import Dirt
from routed.core.reasons import find_failure
from routed.core.schedule import PASSES
from routed.core.timetable import HANDED_ON, Deadline
from routed.daemon.carry_out import SINGLE
from routed.daemon.errand import Errand
from routed.daemon.reconcile import Proposal, Reconciler
from routed.daemon.report import BREATH, Aborted, Due, PassStep, Recovered, Report, Resumed, Step, Told
from routed.daemon.under_way import hearing
from routed.model.assumption import NOTHING_ASSUMED, Assumptions
from routed.model.change import Cause
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey
from routed.model.reasons import Look

INTERLUDES: Final = 4  # short passes that may follow each other between two steps of a long one
ROUNDS: Final = 16  # passes that may follow each other at once before others get their turn
FIRST_PAUSE: Final = 1.0  # seconds until everything is read again after a pass failed …
LONGEST_PAUSE: Final = 30.0  # … twice as long after each one that fails again, up to this
ATTEMPTS: Final = 4  # at a plan; what comes due amid the last of them waits for its end


@dataclass(slots=True, eq=False)
class Request:
    """A full pass that somebody waits for. ``prepare`` is called right before it, when no other is under way."""

    dirt: Dirt
    prepare: Callable[[], None] = lambda: None
    is_initial: bool = True  # are other files put in force?
    is_forced: bool = False
    on_over: Callable[[], None] = lambda: None
    reports: list[Report] = field(default_factory=list)
    error: Exception | None = None  # that ended it before its time
    is_over: bool = False


@dataclass(slots=True, eq=False)
class Inquiry:
    """A plan that somebody waits for: what would putting these files in force do, if this were so?"""

    intent: Intent
    assumed: Assumptions = NOTHING_ASSUMED
    told: Mapping[FactKey, Fact] = field(default_factory=dict)  # what is known already of what these files ask for
    on_over: Callable[[], None] = lambda: None
    proposal: Proposal | None = None
    error: Exception | None = None  # why there is none
    is_over: bool = False
    attempts: int = 0


class Engine:
    """The passes of one reconciler, one at a time."""

    def __init__(self, reconciler: Reconciler) -> None:
        self.reconciler = reconciler
        self.timetable = reconciler.host.timetable
        self.steps = 0  # since the start
        self.began = 0.0  # the passes, or the plan, under way
        self._passes: Iterator[PassStep | Recovered] | None = None  # under way
        self._dirt = Dirt()  # of the pass under way
        self._errand: Errand[Any] | None = None  # that was handed out last
        self._requests: deque[Request] = deque()
        self._request: Request | None = None  # that the passes under way answer
        self._inquiries: deque[Inquiry] = deque()
        self._proposal: Generator[None, None, Proposal] | None = None  # under way, for the first of them
        self._is_initial = False  # were the files that a failed pass put in force not looked at since?
        self._failures = 0  # in a row
        self._not_before = 0.0  # what is due by itself waits until then
        self._is_resting = False

    @property
    def is_busy(self) -> bool:
        """Is a pass, or a plan, under way?"""
        return self._passes is not None or self._proposal is not None

    @property
    def is_out(self) -> bool:
        """Is an errand of the pass under way still to be done? The sockets of requests are its own until then."""
        return self._errand is not None and not self._errand.is_done

    def ask(self, request: Request) -> Request:
        """Have a pass done after the one under way, before anything that is due by itself."""
        self._requests.append(request)
        return request

    def inquire(self, inquiry: Inquiry) -> Inquiry:
        """Have a plan made, when nothing else is to be done. It is made anew where a pass comes due amid it."""
        self._inquiries.append(inquiry)
        return inquiry

    def deliver(self, told: Mapping[FactKey, Fact]) -> None:
        """What a source of facts has to tell, whenever it likes. Its readers are looked at when ``advance`` is next."""
        self.reconciler.deliver(told)

    def rest(self) -> None:
        """From now on make no plan, and begin no pass but those that are asked for."""
        self._is_resting = True
        self._give_up_proposal()

    def hear(self) -> list[Step]:
        """Take in every event that waits. Amid a pass, single objects of which they tell are put right at once."""
        heard: list[Step] = []
        try:
            if self._passes is None and self._proposal is None:
                if self.reconciler.host.under_way.ahead:
                    return heard  # the pass that knows of it comes before its echo
                if not (self._requests or self._inquiries or self._is_resting):
                    self.reconciler.react(self._not_before)
            self.reconciler.listen()
            if self.is_busy and not self.is_out:
                heard.extend(self._step_in())
        except Exception as error:  # noqa: BLE001  told, and looked at again, whatever it is
            if not self.is_busy:
                self.reconciler.host.under_way.take_ahead()  # no pass asks for it now, and what is told must be heard
            heard.append(self._note_failure(error))
        return heard

    def find_due(self) -> float | None:
        """When ``advance`` has something to do: a moment of the clock (now or earlier is at once), None for never."""
        now = self.reconciler.clock()
        if self._passes is not None or self._requests or self._may_propose:
            return now
        due = self.reconciler.host.schedule.find_due(now)
        return None if due is None else max(due, self._not_before)

    def advance(self) -> Step | None:
        """The next step of the pass under way, or of what is due. None where there is nothing to do now."""
        while True:
            try:
                if due := self._find_handed_on():
                    return due
                if self._passes is None:
                    told = None if self._is_urgent else self._begin()
                    if self._passes is None:
                        return told or self._propose()
                step = next(self._passes, _END)
            except Exception as error:  # noqa: BLE001  told, and looked at again, whatever it is
                return self._fail(error)
            if step is not _END:
                self.steps += 1
                return self._hand_out(step)
            self._end()

    def run(self) -> Iterator[Step]:
        """Every step until nothing is left to do now, for who has nothing else to do meanwhile."""
        while (step := self.advance()) is not None:
            yield step

    @property
    def _may_propose(self) -> bool:
        return bool(self._inquiries) and not self._is_resting

    @property
    def _is_urgent(self) -> bool:
        """Is a plan under way that was given up too often?"""
        return self._proposal is not None and self._inquiries[0].attempts >= ATTEMPTS

    def _find_handed_on(self) -> Due | None:
        """What is due and is no pass, amid a pass too: a long one keeps nobody waiting."""
        if self._is_resting or not (name := self.timetable.take_due(self.reconciler.clock(), HANDED_ON)):
            return None
        self.steps += 1
        return Due(name)

    def _propose(self) -> Step | None:
        """A step of the plan under way, or of the next one. One that fails says nothing of what the host holds."""
        if not self._may_propose:
            return None
        inquiry = self._inquiries[0]
        try:
            if self._proposal is None:
                inquiry.attempts += 1
                self.began = self.reconciler.clock()
                self.reconciler.host.under_way.begin()
                self._proposal = self.reconciler.propose(inquiry.intent, inquiry.assumed, inquiry.told)
            next(self._proposal)
        except StopIteration as end:
            inquiry.proposal = end.value
        except Exception as error:  # noqa: BLE001  told to whoever asked, whatever it is
            inquiry.error = error
        else:
            self.steps += 1
            return BREATH
        self._proposal = None
        self._inquiries.popleft()
        inquiry.is_over = True
        inquiry.on_over()
        return BREATH

    def _give_up_proposal(self) -> None:
        if self._proposal is not None:
            self._proposal.close()
            self._proposal = None

    def _step_in(self) -> Iterator[Report]:
        """Put right what events told of single objects, in between two steps of a pass that takes long.

        See ``under_way``.
        """
        host, kernel = self.reconciler.host, self.reconciler.kernel
        for _ in range(INTERLUDES):
            is_asking = host.under_way.is_asking
            dirt = host.schedule.take_keys(self.reconciler.clock(), SINGLE, is_asking=is_asking)
            if not dirt:
                return
            keys = dirt.keys.keys()
            try:
                with hearing(kernel, wanted=True):
                    yield from (step for step in self.reconciler.reconcile(dirt) if isinstance(step, Report))
            except Exception:
                self._keep(dirt)
                raise
            host.under_way.overtake(keys)

    def _hand_out(self, step: Any) -> Step:
        if step is None:
            return BREATH
        if isinstance(step, Errand):
            self._errand = step
        elif isinstance(step, Report) and self._request is not None:
            self._request.reports.append(step)
        return step  # type: ignore[no-any-return]

    def _begin(self) -> Step | None:
        """Begin what was asked for or is due; of what takes no pass, say what was done."""
        host, now = self.reconciler.host, self.reconciler.clock()
        if urgent := self._take_urgent(now):
            self._passes = self._settle(urgent, is_forced=False)
            return None
        if host.under_way.ahead:
            self._look_after_reflex()
        if self._requests:
            self._answer(self._requests.popleft(), now)
            return None
        if self._is_resting or now < self._not_before:
            return None
        if self.timetable.take(Deadline.HOLD, now):
            resumed = Resumed(tuple(map(str, host.ledger.holds.find_ended_pauses(now))))
            host.make_dirty(host.schedule.dirt, host.ledger.holds.take_ended(now), Cause(None, Look.RETRY))
            if resumed.subjects:
                return resumed
        if self.timetable.take(Deadline.ANNOUNCE, now) and (announced := self.reconciler.announce()):
            return Told(tuple(announced))
        if self.timetable.take(Deadline.POLL, now):
            self.reconciler.poll()
        host.schedule.arm(now)
        if self.timetable.is_due(now, PASSES):
            self._passes = self._settle(host.schedule.take(now), is_forced=False)
        return None

    def _take_urgent(self, now: float) -> Dirt:
        """What comes before all else: what a reflex did, of which no other pass could tell, and what was stolen."""
        schedule = self.reconciler.host.schedule
        if self.reconciler.host.under_way.ahead:
            return schedule.take_keys(now, SINGLE)
        if self._requests or self._is_resting or now < self._not_before:
            return Dirt()
        return schedule.take_stolen(now, SINGLE)

    def _answer(self, request: Request, now: float) -> None:
        host, self._request = self.reconciler.host, request
        request.dirt.absorb(host.take_dirt())
        self._dirt = request.dirt
        if request.is_initial:
            self._is_initial = True
            host.world.note_enforcing(now)
        request.prepare()
        self._passes = self._settle(request.dirt, is_forced=request.is_forced)

    def _settle(self, dirt: Dirt, *, is_forced: bool) -> Iterator[PassStep | Recovered]:
        """Passes until nothing is dirty: what one pass adds, the next one may stand on.

        A storm that has begun meanwhile is waited for, unless somebody waits for the files to be in force.
        """
        self._give_up_proposal()  # what it was made from will be no more
        host, is_initial = self.reconciler.host, self._is_initial
        self.began = self.reconciler.clock()
        for _ in range(ROUNDS):
            self._dirt = dirt
            host.under_way.begin()
            if not self.reconciler.kernel.hears_echo:  # a pass that failed could not even ask for it again
                self.reconciler.kernel.hear_echo(wanted=True)
            yield from self.reconciler.reconcile(dirt, is_initial=is_initial, is_forced=is_forced)
            if dirt.everything:
                yield from self._note_success()
            self.reconciler.listen()
            schedule, now = host.schedule, self.reconciler.clock()
            is_storm = schedule.find_end_of_storm(now) > now and not is_initial
            if not schedule.dirt or is_storm or self.timetable.retry_at > now:
                return
            dirt = host.take_dirt()
        host.schedule.dirt.absorb(dirt)

    def _end(self) -> None:
        """The passes under way are over."""
        self._passes = self._errand = None
        self._look_after_reflex()
        self._dirt = Dirt()
        if not self._is_initial:
            self.reconciler.host.world.note_enforced()
        request, self._request = self._request, None
        if request is not None:
            request.is_over = True
            request.on_over()

    def _fail(self, error: Exception) -> Aborted:
        """What was under way ended before its time: nothing that it was to look at is lost."""
        dirt, is_beginning = self._dirt, self._passes is None and self._request is None
        failed = self._note_failure(error, is_full=bool(dirt.everything))
        self._keep(dirt)
        if is_beginning:
            self._not_before = self.reconciler.clock() + FIRST_PAUSE
        if self._request is not None:
            self._request.error = error
        self._end()
        return failed

    def _keep(self, dirt: Dirt) -> None:
        """What a failed pass was to look at, with its reasons. All is read again; a key alone would be due at once."""
        dirt.keys.clear()
        self.reconciler.host.schedule.dirt.absorb(dirt)

    def _note_failure(self, error: Exception, *, is_full: bool = False) -> Aborted:
        """From here on nobody knows what the kernel holds, until it was all read again.

        The pause before that grows with each full pass that fails. A single object that fails does not move it, or
        events without end would put it off for ever.
        """
        host, now = self.reconciler.host, self.reconciler.clock()
        timetable = self.timetable
        if is_full or not timetable.retry_at:
            timetable.retry_at = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**self._failures)
            self._failures += 1
        host.look_at_everything(Cause(None, Look.FAILED))
        return Aborted(error, is_first=host.world.note_failed_pass(find_failure(error), now))

    def _look_after_reflex(self) -> None:
        """What a reflex put and no pass asked for is looked at: it may be wrong."""
        if ahead := self.reconciler.host.under_way.take_ahead():
            scope = scope_of(ahead.loss.kind, ahead.loss.slot)
            self.reconciler.host.schedule.dirt.add_scopes([scope], Cause(ahead.loss.port, Look.AGAIN))

    def _note_success(self) -> Iterator[Recovered]:
        """Everything was read, and what it asked for was done or has a reason of its own."""
        self._is_initial = False
        self._failures = 0
        host = self.reconciler.host
        if host.schedule.dirt.everything is None:  # else an interruption of this pass failed
            self.timetable.retry_at = 0.0
            trouble = host.world.note_all_read()
            if trouble is not None:
                yield Recovered(trouble.reason)


_END: Final = object()
