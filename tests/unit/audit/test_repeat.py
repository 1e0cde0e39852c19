from __future__ import annotations

from typing import Any

from routed.audit import notices
from routed.audit.catalogue import Message
from routed.audit.records import Context, Record, make_record, record_outcomes
from routed.audit.repeat import Repeat

A, B = "route/a", "route/b"


def conflict(entry: str = A, reason: str = "refuse", key: str = "10.0.0.0/8") -> Record:
    fields = {"ROUTED_ENTRY": entry, "ROUTED_OBJECT": key, "ROUTED_REASON": reason}
    return make_record(Message.CONFLICT, {"subject": entry, "reason": reason}, fields)


def test_a_lasting_state_is_said_once() -> None:
    repeat = Repeat()
    assert repeat.filter([conflict()]) == [conflict()]
    assert repeat.filter([conflict(), conflict()]) == []


def test_it_is_said_again_when_the_reason_changes() -> None:
    repeat = Repeat()
    repeat.filter([conflict()])
    assert repeat.filter([conflict(reason="another")]) == [conflict(reason="another")]


def test_one_subject_does_not_silence_another() -> None:
    repeat = Repeat()
    assert len(repeat.filter([conflict(), conflict(B), conflict(key="10.1.0.0/16")])) == 3


def test_it_is_said_again_after_it_was_resolved() -> None:
    repeat = Repeat()
    repeat.filter([conflict(), conflict(B)])
    repeat.resolve(A)
    assert repeat.filter([conflict(), conflict(B)]) == [conflict()]


def test_a_repair_resolves_what_was_said_of_the_same_object(story: Any) -> None:
    repeat = Repeat()
    (repair,) = record_outcomes([story.outcome()], Context(story.vocabulary))
    said = conflict("route/storage-lan", key="10.30.0.0/16 table storage")
    beside = conflict("route/storage-lan", key="10.31.0.0/16 table storage")
    repeat.filter([said, beside])
    assert repeat.filter([repair, said, beside]) == [repair, said]


def test_what_happened_is_told_every_time(story: Any) -> None:
    repairs = record_outcomes([story.outcome()], Context(story.vocabulary))
    repeat = Repeat()
    assert repeat.filter(repairs) + repeat.filter(repairs) == repairs * 2


def test_files_that_came_into_force_make_the_next_rejection_news() -> None:
    repeat = Repeat()
    rejected, loaded = notices.note_config_rejected("f", ["one"]), notices.note_config_loaded("f", 1, 1, 1)
    assert repeat.filter([rejected, rejected, loaded, rejected]) == [rejected, loaded, rejected]
