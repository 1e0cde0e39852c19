"""Folding: the entries that members make of one table, as one row of ``routed status``.

Here must never live: what an entry is (``daemon.status`` says that), or how a row is shown (``status``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from routed.audit.figures import format_count
from routed.model.documents import EntryDocument, name_whole

IN_SYNC: Final = "in-sync"
DRAINING: Final = "draining"  # of no entry any more
# From good to bad; what a daemon of a newer version may say is as bad as it gets.
SEVERITY: Final = (
    IN_SYNC, DRAINING, "waiting", "withheld", "paused", "drift", "held", "shadowed", "conflict", "degraded", "failed",
    "unknown",
)  # fmt: skip


class StatusRow(NamedTuple):
    """One entry, or one table with what its members make of it."""

    name: str
    state: str
    since: str
    in_sync: int
    total: int
    note: str


def make_rows(entries: Iterable[EntryDocument], *, is_folded: bool) -> Iterator[StatusRow]:
    """A row for each, or for each with its parts."""
    listed = list(entries)
    if not is_folded:
        yield from map(make_row, listed)
        return
    names = {entry["entry"] for entry in listed}
    parts: dict[str, list[EntryDocument]] = {}
    for entry in listed:
        if (whole := name_whole(entry["entry"])) != entry["entry"] and whole in names:
            parts.setdefault(whole, []).append(entry)
    hidden = {entry["entry"] for some in parts.values() for entry in some}
    for entry in listed:
        if entry["entry"] not in hidden:
            yield _fold(entry, parts[entry["entry"]]) if entry["entry"] in parts else make_row(entry)


def make_row(entry: EntryDocument) -> StatusRow:
    """The row of one entry."""
    wrong = sum(thing["count"] for thing in entry["objects"] if thing["state"] not in {IN_SYNC, DRAINING})
    in_sync = max(0, entry["total"] - wrong)
    return StatusRow(entry["entry"], entry["state"], entry["since"], in_sync, entry["total"], entry["reason"])


def _fold(whole: EntryDocument, parts: list[EntryDocument]) -> StatusRow:
    rows = [make_row(one) for one in parts]
    worst = max((make_row(whole), *rows), key=lambda row: _judge(row.state))
    told = [format_count(len({_name_member(row) for row in rows}), "member")]
    for state in sorted({row.state for row in rows}, key=_judge):
        some = [row for row in rows if row.state == state]
        why = "" if state == IN_SYNC else _explain(some)
        told.append(f"{len(some)} {state.replace('in-sync', 'in sync')}{why}")
    note = ", ".join(told) + (f"; {whole['reason']}" if whole["reason"] else "")
    in_sync, total = sum(row.in_sync for row in rows), sum(row.total for row in rows)
    return StatusRow(whole["entry"], worst.state, worst.since, in_sync, total, note)


def _judge(state: str) -> int:
    return SEVERITY.index(state) if state in SEVERITY else len(SEVERITY)


def _name_member(row: StatusRow) -> str:
    """``node2`` of ``route/pods[node2]``, and of ``route/pods[node2+2]``."""
    return row.name.partition("[")[2].removesuffix("]").partition("+")[0]


def _explain(rows: list[StatusRow]) -> str:
    """The first of these and its reason."""
    first = rows[0]
    more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
    return f" ({_name_member(first)}{': ' if first.note else ''}{first.note}{more})"
