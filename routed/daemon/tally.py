"""The tally: what passes came to, in numbers that only grow.

It is kept on the way of each repair, so it adds numbers up and does nothing else. Which words they get stands in
``metrics``, which is imported when somebody asks. Here must never live: what can be counted when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from routed.daemon.report import Report
from routed.model.change import Cause, Nature
from routed.model.reasons import AddressChange, LinkChange, Plain

# Upper bounds in seconds. A repaired route takes a fifth of a millisecond, a first pass over a million routes some ten.
BOUNDS: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

CauseSort: TypeAlias = (
    Enum | type
)  # of a cause: a reason that has nothing to say, what turned, or the type of any other


@dataclass(slots=True)
class Histogram:
    """How many took how long."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))  # the last: longer than any bound
    seconds: float = 0.0  # of all together

    def note(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


@dataclass(slots=True)
class Tally:
    """Since the start."""

    passes: dict[bool, Histogram] = field(
        default_factory=lambda: {True: Histogram(), False: Histogram()}
    )  # is it full?
    failures: int = 0  # passes that ended before their time
    changes: int = 0  # objects that were changed in any way
    repairs: int = 0  # objects that were put right, but for surplus
    causes: Counter[tuple[CauseSort, int | None]] = field(
        default_factory=Counter
    )  # of repairs; and a port id, see ``note``
    drifts: Counter[Nature] = field(default_factory=Counter)  # objects that were found otherwise than the files say

    def note(self, report: Report) -> None:
        """What one pass came to. Of processes it is not counted which they are: their port id counts as 1."""
        self.passes[report.dirt.everything is not None].note(report.elapsed)
        for outcome in report.outcomes:
            done, operation = len(outcome.done), outcome.operation
            self.changes += done
            if report.is_initial:
                continue
            self.drifts[operation.nature] += len(operation.members)
            if operation.nature is not Nature.SURPLUS:
                self.repairs += done
                port = outcome.cause.port
                self.causes[find_sort(outcome.cause), min(port, 1) if port is not None else None] += done


def find_sort(cause: Cause) -> CauseSort:
    """Of what sort a cause is, whatever it says beside that."""
    reason = cause.reason
    if isinstance(reason, Plain):
        return reason
    return reason.turn if isinstance(reason, (LinkChange, AddressChange)) else type(reason)
