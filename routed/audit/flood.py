"""Flood: what goes on and on is told a few times, then counted, and no count is lost.

A pass sums up what it did by itself; this is about passes that follow each other. journald drops what a service writes
too fast (RateLimitBurst= in journald.conf(5)); what is left out here is counted, by entry and by whoever is behind it.
The clock is passed in, in seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from routed.audit.catalogue import Message
from routed.audit.figures import format_count, format_span
from routed.audit.history import count_objects, name_culprit
from routed.audit.records import MOST_GROUPS, Record, make_record

INTERVAL: Final = 10.0  # seconds
FEW: Final = 20  # records of one sort within the interval that are written
MOST: Final = 500  # of all sorts


class Sort(NamedTuple):
    """What records have in common that are counted together."""

    event: str
    entry: str
    who: str


@dataclass(slots=True)
class LeftOut:
    """The records of one sort that were not written."""

    objects: int
    fields: Mapping[str, str]  # of the last one


@dataclass(slots=True)
class Flood:
    """Lets the first records of each sort through and counts the others, in intervals that begin with a record."""

    interval: float = INTERVAL
    few: int = FEW
    began: float | None = None
    written: Counter[Sort] = field(default_factory=Counter)
    left_out: dict[Sort, LeftOut] = field(default_factory=dict)

    def filter(self, records: Iterable[Record], now: float) -> list[Record]:
        """The records to be written, in their order; summaries of the interval before come first."""
        summaries = self.take(now) if self.began is not None and now >= self.began + self.interval else []
        return summaries + [record for record in records if self._is_written(record, now)]

    def find_due(self) -> float | None:
        """When ``take`` will have something to say; None where nothing was left out."""
        return self.began + self.interval if self.began is not None and self.left_out else None

    def take(self, now: float) -> list[Record]:
        """End the interval: a summary for each sort of which something was left out, and one for the rest of many."""
        length = now - self.began if self.began is not None else 0.0
        every = sorted(self.left_out.items(), key=lambda item: -item[1].objects)
        self.began = None
        self.written.clear()
        self.left_out = {}
        summaries = [_summarise(sort, left_out, length) for sort, left_out in every[:MOST_GROUPS]]
        rest = every[MOST_GROUPS:]
        return [*summaries, _summarise_rest(rest, length)] if rest else summaries

    def _is_written(self, record: Record, now: float) -> bool:
        fields = record.fields
        if not (fields.get("ROUTED_ENTRY") or fields.get("ROUTED_OBJECT")):
            return True  # about the daemon itself: rare, and never to be missed
        if self.began is None:
            self.began = now
        sort = Sort(fields["ROUTED_EVENT"], fields.get("ROUTED_ENTRY", ""), name_culprit(fields))
        if self.written[sort] < self.few and self.written.total() < MOST:
            self.written[sort] += 1
            return True
        before = self.left_out[sort].objects if sort in self.left_out else 0
        self.left_out[sort] = LeftOut(before + count_objects(fields), fields)
        return False


# What all records of one sort share; the pid and the command line are of one record alone.
_SHARED: Final = (
    "ROUTED_ENTRY",
    "ROUTED_ORIGIN",
    "ROUTED_CAUSE",
    "ROUTED_ACTOR_COMM",
    "ROUTED_ACTOR_UNIT",
    "ROUTED_ACTOR_UID",
    "ROUTED_ACTOR_LOGINUID",
)


def _summarise(sort: Sort, left_out: LeftOut, length: float) -> Record:
    return make_record(
        Message.REPEATED,
        _words(sort.entry or "objects of no entry", sort.event, left_out.objects, length, sort.who),
        {name: left_out.fields.get(name, "") for name in (*_SHARED, *_find_unnamed(left_out.fields))}
        | {"ROUTED_REPEATED": sort.event, "ROUTED_COUNT": str(left_out.objects)},
    )


def _find_unnamed(fields: Mapping[str, str]) -> tuple[str, ...]:
    return () if "ROUTED_ACTOR_COMM" in fields else ("ROUTED_ACTOR_PORT",)  # all that is known of him


def _summarise_rest(rest: list[tuple[Sort, LeftOut]], length: float) -> Record:
    total = sum(left_out.objects for _, left_out in rest)
    entries = len({sort.entry for sort, _ in rest})
    events: Counter[str] = Counter()
    for sort, left_out in rest:
        events[sort.event] += left_out.objects
    counted = ", ".join(f"{count} {event}" for event, count in events.most_common())
    return make_record(
        Message.REPEATED,
        _words(format_count(entries, "more entry"), "changed", total, length, counted),
        {"ROUTED_CAUSES": counted, "ROUTED_COUNT": str(total)},
    )


def _words(subject: str, event: str, count: int, length: float, who: str) -> dict[str, str]:
    times = format_count(count, "more time")
    return {"subject": subject, "event": event, "times": times, "length": format_span(max(1.0, length)), "who": who}
