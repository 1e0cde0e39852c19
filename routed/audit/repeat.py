"""Repeat: what lasts is said once, not on every pass that finds it again.

Only the memory of what was said belongs here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from routed.audit.catalogue import CATALOGUE, Message
from routed.audit.records import Record


class Topic(NamedTuple):
    """Of what a record speaks. No object: the whole entry; no entry: the host or the files."""

    entry: str
    object: str


@dataclass(slots=True)
class Repeat:
    """Lets a record of a lasting state through when it is news: the first time, and when its reason changes."""

    said: dict[tuple[Message, Topic], str] = field(default_factory=dict)

    def filter(self, records: Iterable[Record]) -> list[Record]:
        """The records that are news, in their order. A record of something done makes its subject news again."""
        return [record for record in records if self._is_news(record)]

    def resolve(self, entry: str, object_: str = "") -> None:
        """What was said of an object, or with no object of a whole entry, no longer holds: it would be news again."""
        for known in [
            known
            for known in self.said
            if known[1].entry == entry and (not object_ or known[1].object == object_)
        ]:  # fmt: skip
            del self.said[known]

    def _is_news(self, record: Record) -> bool:
        message = Message(record.fields["ROUTED_EVENT"])
        subject = Topic(record.fields.get("ROUTED_ENTRY", ""), record.fields.get("ROUTED_OBJECT", ""))
        if not CATALOGUE[message].is_state:
            if subject.entry or subject.object:
                self.resolve(*subject)
            for ended in ENDS.get(message, ()):
                self.said.pop((ended, subject), None)
            return True
        reason = record.fields.get("ROUTED_REASON", "")
        if self.said.get((message, subject)) == reason:
            return False
        is_known = not subject.object and bool(subject.entry) and self._was_said_of_one(message, subject.entry, reason)
        self.said[message, subject] = reason
        return not is_known

    def _was_said_of_one(self, message: Message, entry: str, reason: str) -> bool:
        """Was it said of a single object of the entry before it was found of several at once?"""
        return any(
            known is message and topic.entry == entry and said == reason for (known, topic), said in self.said.items()
        )


# Messages that make lasting states of the same subject over, where the subject is the host or the files.
ENDS: dict[Message, tuple[Message, ...]] = {
    Message.CONFIG_LOADED: (Message.CONFIG_REJECTED, Message.FILES_CHANGED),
    Message.STATE_KEPT: (Message.STATE_LOST,),
    Message.FOLLOWING: (Message.NOT_FOLLOWING,),
    Message.METRICS_SERVED: (Message.METRICS_NOT_SERVED,),
    Message.RECOVERED: (Message.NETLINK_FAILED, Message.DEFECT),
}
