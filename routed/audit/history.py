"""History: what the journal remembers, and who is to blame for it.

Pure: journal fields in, rows out. How the journal is read stands in ``journal``, how rows are shown in the commands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from routed.audit.catalogue import Message

MICROSECONDS: Final = 1_000_000
_KEPT: Final = frozenset({"MESSAGE", "MESSAGE_ID", "PRIORITY", "INTERFACE", "_BOOT_ID", "_PID"})
_PREFIXES: Final = ("ROUTED_", "__CURSOR", "__REALTIME")


class Query(NamedTuple):
    """Which records are asked for."""

    entries: tuple[str, ...] = ()  # of one of these entries; none for everything
    since: float = 0.0  # seconds since 1970
    after: str = ""  # a cursor: only what came later
    lines: int | None = None  # the newest so many; after a cursor the first so many
    directory: str = ""  # of journal files; empty for the journal of this host
    with_parts: bool = False  # of the parts of these entries as well: route/pods[node2] of route/pods

    def is_in_time(self, microseconds: int) -> bool:
        """Is a record young enough?"""
        return microseconds >= self.since * MICROSECONDS


def find_record(fields: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The fields of a record that are ours or tell when it was written, as text; nothing if it is no audit record."""
    if "ROUTED_EVENT" in fields:
        yield {
            name: _to_text(value) for name, value in fields.items() if name in _KEPT or name.startswith(_PREFIXES)
        }  # fmt: skip


def _to_text(value: Any) -> str:
    if isinstance(value, list):  # the same field more than once
        value = value[0]
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


# Records of something that was changed; all others tell of a state, or of the daemon itself.
_CHANGES: Final = frozenset(
    {
        Message.REPAIRED,
        Message.ADDED,
        Message.CHANGED,
        Message.REMOVED,
        Message.ADOPTED,
        Message.DISPLACED,
        Message.PUT_BACK,
        Message.WEIGHED,
    }
)


@dataclass(slots=True)
class Culprit:
    """Somebody, or something, that had to do with an entry."""

    who: str
    count: int = 0  # objects that were changed because of it
    events: Counter[str] = field(default_factory=Counter)  # what became of them, by ROUTED_EVENT
    last: int = 0  # microseconds since 1970
    example: str = ""  # the last command line


def assign_blame(records: Iterable[Mapping[str, str]]) -> list[Culprit]:
    """Everybody who is behind these records, the most frequent first. The counts add up to what was changed."""
    culprits: dict[str, Culprit] = {}
    for record in records:
        event = record.get("ROUTED_REPEATED", record["ROUTED_EVENT"])
        is_seen_only = event == Message.CONFLICT and "ROUTED_ACTOR_PORT" in record  # of an entry that is observed
        if event not in _CHANGES and not is_seen_only:
            continue
        who = name_culprit(record)
        culprit = culprits.setdefault(who, Culprit(who))
        count = count_objects(record)
        culprit.count += count
        culprit.events[event] += count
        culprit.last = max(culprit.last, int(record.get("__REALTIME_TIMESTAMP", 0)))
        culprit.example = record.get("ROUTED_ACTOR_CMDLINE", culprit.example)
    return sorted(culprits.values(), key=lambda culprit: (-culprit.count, -culprit.last))


def count_objects(record: Mapping[str, str]) -> int:
    """How many objects a record tells of that no record before it told of."""
    return int(record.get("ROUTED_COUNT", "1")) - int(record.get("ROUTED_TOLD", "0"))


def name_culprit(record: Mapping[str, str]) -> str:
    """Who, in words that are the same for every command of one program, user and unit."""
    comm = record.get("ROUTED_ACTOR_COMM")
    if comm:
        uid, login = record.get("ROUTED_ACTOR_UID", ""), record.get("ROUTED_ACTOR_LOGINUID", "")
        about = (
            f"uid {uid}" if uid else "",
            f"login uid {login}" if login not in {"", uid} else "",
            record.get("ROUTED_ACTOR_UNIT", ""),
        )
        told = ", ".join(part for part in about if part)
        return f"{comm} ({told})" if told else comm
    if "ROUTED_ACTOR_PORT" in record:
        return "a process that is not known"
    if "ROUTED_CAUSES" in record:
        return "several at once"
    cause = record.get("ROUTED_CAUSE", "")
    if cause.startswith("kernel: "):
        return f"the kernel ({cause.removeprefix('kernel: ')})"
    event = record.get("ROUTED_REPEATED", record["ROUTED_EVENT"])
    if event == Message.WEIGHED:
        return "the agents of its servers"
    return f"not known ({cause})" if event == Message.REPAIRED else "routed, as the files say"
