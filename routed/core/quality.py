"""Quality: how many questions of the last while got no answer, and how long the others took.

A line that answers may still be of no use. Here must never live what a verdict is (``health``), nor a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from routed.model.checks import KEPT, Check
from routed.model.reasons import Lossy, Reason, Slow, join_reasons

LEAST: Final = 10  # answers below which nothing is said
BETTER_LOSS: Final = 0.25  # so far below its limit it is good again
BETTER_RTT: Final = 0.75


class Sample(NamedTuple):
    """What became of one question."""

    moment: float  # of the clock
    seconds: float | None  # that the answer took; None: there was none


class Quality(NamedTuple):
    """What the samples of a while come to."""

    asked: int = 0
    lost: int = 0
    rtt: float | None = None  # the median, in seconds; None without an answer

    @property
    def loss(self) -> float:
        """The share without an answer, 0 to 1."""
        return self.lost / self.asked if self.asked else 0.0


def keep(samples: tuple[Sample, ...], new: Sample, window: float) -> tuple[Sample, ...]:
    """With one more, without those that are too old."""
    return (*(one for one in samples[1 - KEPT :] if one.moment > new.moment - window), new)


def measure(samples: Iterable[Sample]) -> Quality:
    """Put them together."""
    each = list(samples)
    times = sorted(one.seconds for one in each if one.seconds is not None)
    return Quality(len(each), len(each) - len(times), times[len(times) // 2] if times else None)


def find_fault(quality: Quality, check: Check) -> Reason | None:
    """Why it is not good enough; None where it is, or too little is known."""
    if quality.asked < LEAST:
        return None
    faults: list[Reason] = []
    if check.loss is not None and quality.loss > check.loss:
        faults.append(Lossy(quality.loss, check.loss, check.window))
    if check.rtt is not None and quality.rtt is not None and quality.rtt > check.rtt:
        faults.append(Slow(quality.rtt, check.rtt, check.window))
    return join_reasons(faults)


def is_good_again(quality: Quality, check: Check) -> bool:
    """Is it well below what made it bad?"""
    if quality.asked < LEAST or quality.rtt is None:
        return False
    is_whole = check.loss is None or quality.loss <= check.loss * BETTER_LOSS
    return is_whole and (check.rtt is None or quality.rtt <= check.rtt * BETTER_RTT)
