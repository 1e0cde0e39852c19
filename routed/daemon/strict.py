"""What ``check --strict`` and ``plan --strict`` look at: this host, for what the files name and it does not have.

It reads what a plan reads. Here must never live which of it counts (``core.strict``), or how it is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from routed.core.strict import find_impossible, list_names, list_open_tables
from routed.daemon import direct
from routed.model.entries import Entry, Intent
from routed.model.objects import RouteSlot
from routed.model.reasons import Reason


class Verdicts(NamedTuple):
    """What can never come true here, and which links there are."""

    found: tuple[tuple[Entry, Reason], ...]
    links: tuple[str, ...]


def judge(intent: Intent, state_dir: Path) -> Verdicts:
    """Compare the files with this host. Raises StateError and OSError."""
    host = direct.propose(intent, state_dir).host
    facts, tables = host.world.facts, list_open_tables(intent.entries)
    if tables:
        slots = (standing.slot for _, standing in direct.observe_all().objects)
        tables -= {slot.table for slot in slots if isinstance(slot, RouteSlot)}
    found = find_impossible(host.wanted.desired.resolutions, facts, intent.settings.protocol, tables)
    return Verdicts(tuple(found), tuple(list_names(facts)))
