"""Health: what the answers to a check come to. One state machine for every type, with the time as an argument.

A verdict changes after ``fall`` bad or ``rise`` good answers in a row; while it is in doubt the next question comes
sooner. The first answer of all decides at once. What this host could not even ask changes nothing. A target that
answers is down as well while too many answers are missing or late, and up again when clearly fewer are (``quality``).
Here must never live: how anything is asked (``probes``), and what a verdict does (``requirements``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from routed.core.agents import choose_words, judge_agent
from routed.core.quality import Sample, find_fault, is_good_again, keep, measure
from routed.model.checks import MEASURED, Check, CheckState, CheckType, Ruling, Target
from routed.model.reasons import IMPOSSIBLE, Finding, Probed, Reason, TooFew

FLAPPING: Final = 600.0  # seconds in which falls count together, and the longest hold
OFTEN: Final = 3  # so many falls within that are flapping


class Health(NamedTuple):
    """What is known of one target."""

    verdict: CheckState = CheckState.UNKNOWN
    since: float = 0.0  # of the clock: when it came to this verdict
    doubts: int = 0  # answers in a row that say otherwise
    bad: int = 0  # bad answers in a row
    last: Probed | None = None
    why: Reason | None = None  # it is down: the answer that made it so, or the last of another kind since
    asked: float | None = None  # when the last answer came
    falls: tuple[float, ...] = ()  # when it went down, of the last ``FLAPPING`` seconds
    held_until: float = 0.0  # not up again before
    samples: tuple[Sample, ...] = ()  # of the last window, where that is measured
    is_poor: bool = False  # it is down although it answers: too much is lost or late
    words: str = ""  # of an agent: what it said that counts; empty: nothing

    @property
    def is_flapping(self) -> bool:
        """Did it go down often of late?"""
        return len(self.falls) >= OFTEN


def note(health: Health, found: Probed, check: Check, now: float, seconds: float = 0.0) -> Health:
    """After one more answer, which took so many seconds."""
    if is_no_answer(found):
        return health._replace(last=found, asked=now)
    is_good = found.finding is Finding.GOOD
    bad = 0 if is_good else health.bad + 1
    found = Probed(found.check, found.finding, found.detail, max(1, bad))
    health = health._replace(last=found, asked=now, bad=bad)
    if check.type in MEASURED:
        sample = Sample(now, seconds if is_good else None)
        health = health._replace(samples=keep(health.samples, sample, check.window))
    health = _count(_weigh(health, check, now), found, check, now)
    return _listen(health, found, check) if check.type is CheckType.AGENT else health


def _listen(health: Health, found: Probed, check: Check) -> Health:
    """An answer that is missing changes nothing, until so many are that it is down."""
    if health.verdict is not CheckState.UP:
        return health._replace(words="")
    if found.finding is not Finding.GOOD:
        return health
    return health._replace(words=choose_words(health.words, found.detail, check.step))


def _weigh(health: Health, check: Check, now: float) -> Health:
    """Down where it answers, and too poorly since it came up. What does not answer at all is counted, not weighed."""
    if health.verdict is not CheckState.UP or health.bad >= check.fall or (check.loss is None and check.rtt is None):
        return health
    fault = find_fault(measure(one for one in health.samples if one.moment >= health.since), check)
    return health if fault is None else _turn(health, CheckState.DOWN, check, now)._replace(why=fault, is_poor=True)


def _count(health: Health, found: Probed, check: Check, now: float) -> Health:
    is_good = found.finding is Finding.GOOD
    new = CheckState.UP if is_good else CheckState.DOWN
    if health.is_poor and _stays_poor(health, check, is_good=is_good):
        return health._replace(doubts=0)
    if new is health.verdict:
        why = None if is_good else _explain_anew(health.why, found)
        return health._replace(doubts=0, why=why, is_poor=False)
    doubts = health.doubts + 1
    needed = {CheckState.UNKNOWN: 1, CheckState.UP: check.fall, CheckState.DOWN: check.rise}[health.verdict]
    if doubts < needed or (is_good and now < health.held_until):
        return health._replace(doubts=doubts)
    return _turn(health, new, check, now)


def _stays_poor(health: Health, check: Check, *, is_good: bool) -> bool:
    """A missing answer is nothing new, unless none comes any more; a good one is not enough by itself."""
    return not is_good_again(measure(health.samples), check) if is_good else health.bad < check.fall


def _turn(health: Health, new: CheckState, check: Check, now: float) -> Health:
    turned = health._replace(verdict=new, since=now, doubts=0, is_poor=False)
    if new is CheckState.UP:
        return turned._replace(why=None)
    falls = (*(fall for fall in health.falls if fall > now - FLAPPING), now)
    doublings = max(0, len(falls) - OFTEN + 1)
    hold = min(check.hold * 2.0**doublings, max(FLAPPING, check.hold))
    return turned._replace(why=turned.last, falls=falls[-16:], held_until=now + hold)


def _explain_anew(why: Reason | None, found: Probed) -> Reason:
    """The reason of what is down still: as it was, unless it is another kind of answer now."""
    is_same = isinstance(why, Probed) and (why.finding, why.detail) == (found.finding, found.detail)
    return why if why is not None and is_same else found


def find_pause(health: Health, check: Check, now: float) -> float:
    """Seconds from an answer to the next question."""
    is_in_doubt = health.doubts > 0 and now >= health.held_until
    return check.fast if is_in_doubt else check.every


def find_impossible(check: Check, healths: Mapping[Target, Health], before: Probed | None = None) -> Probed | None:
    """Why the check cannot be made here at all; None where at least one target could be asked, or was not yet.

    Where this host was too short of something to find out, it is as ``before``.
    """
    lasts = [healths.get(target, Health()).last for target in check.targets]
    if not lasts or not all(map(is_no_answer, lasts)):
        return None
    return before if any(last is not None and last.finding is Finding.LOCAL for last in lasts) else lasts[0]


def is_no_answer(found: Probed | None) -> bool:
    """Does it say nothing of who is asked, but of this host alone?"""
    return found is not None and (found.finding is Finding.LOCAL or found.finding in IMPOSSIBLE)


def judge(check: Check, healths: Mapping[Target, Health]) -> Ruling | None:
    """What all targets come to; None while nobody knows. Since when, says who keeps the ruling before.

    Those of which nothing is known may still turn out either way.
    """
    each = [healths.get(target, Health()) for target in check.targets]
    if check.type is CheckType.AGENT:
        (one,) = each
        return None if one.verdict is CheckState.UNKNOWN else judge_agent(one.words, one.why)
    up = sum(health.verdict is CheckState.UP for health in each)
    unknown = sum(health.verdict is CheckState.UNKNOWN for health in each)
    if up >= check.need:
        return Ruling(is_up=True)
    if up + unknown >= check.need:
        return None
    why = next(health.why for health in each if health.verdict is CheckState.DOWN)
    return Ruling(is_up=False, why=why if len(each) == 1 else TooFew(up, check.need, len(each), why))
