"""The daemon's voice: what goes on and on is told at a bounded rate, and counted."""

from __future__ import annotations

import asyncio

import pytest

from routed.audit import notices
from routed.audit.catalogue import Message
from routed.audit.records import Record, make_record
from routed.core.timetable import Timetable
from routed.daemon.voice import Voice
from routed.kernel.witness import Witness
from routed.model.checks import CheckType, Ruling
from routed.model.reasons import Finding, Probed


def weighed(entry: str, weight: int) -> Record:
    words = {"subject": f"{entry}: server", "difference": f"weight {weight}"}
    return make_record(Message.WEIGHED, words, {"ROUTED_ENTRY": entry, "ROUTED_OBJECT": "server"})


def test_weights_that_agents_change_are_told_once_a_minute_for_each_service(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Record] = []
    now = [0.0]
    monkeypatch.setattr("routed.daemon.voice.time.monotonic", lambda: now[0])
    speaker = Voice(told.append, Witness(), Timetable())
    for second in range(0, 600, 5):
        now[0] = float(second)
        speaker.say(weighed("service/a", second), weighed("service/b", second))
        speaker.sum_up()
    asyncio.run(speaker.finish())
    events = [one.fields["ROUTED_EVENT"] for one in told]
    assert events.count(Message.WEIGHED) == 20
    counted = [int(one.fields["ROUTED_COUNT"]) for one in told if one.fields["ROUTED_EVENT"] == Message.REPEATED]
    assert sum(counted) + 20 == 240
    assert "the agents of its servers" in told[-1].message


@pytest.mark.parametrize(
    ("ruling", "sentence"),
    [
        (Ruling(True, share=30), "check/a is up"),
        (Ruling(False, Probed(CheckType.AGENT, Finding.SAYS, "drain"), share=0), "check/a is down: agent: says drain"),
        (
            Ruling(True, Probed(CheckType.AGENT, Finding.REFUSED)),
            "check/a says nothing, so the written weight counts: agent: connection refused",
        ),
    ],
)
def test_each_turn_of_an_agent_has_its_sentence(ruling: Ruling, sentence: str) -> None:
    assert notices.note_check_turned("check/a", "f:1", ruling).message == sentence
