from __future__ import annotations

import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from routed.audit import journal_sink, sinks
from routed.audit.notices import note_overrun
from routed.audit.sinks import LogFormat, leads_to_journal, open_sink, write_json_to, write_text_to

MOMENT = datetime(2026, 11, 21, 12, 0, 0, 250000, UTC)


def test_text_is_one_line_with_time_and_priority() -> None:
    stream = io.StringIO()
    write_text_to(stream, lambda: MOMENT)(note_overrun(3))
    assert stream.getvalue() == (
        "2026-11-21T12:00:00.250+00:00 warning the kernel could not deliver all events; everything is read again\n"
    )


def test_json_is_one_document_a_line_with_every_field() -> None:
    stream = io.StringIO()
    write_json_to(stream, lambda: MOMENT)(note_overrun(3))
    (line,) = stream.getvalue().splitlines()
    document = json.loads(line)
    assert document == {
        "time": "2026-11-21T12:00:00.250+00:00",
        "message": note_overrun(3).message,
        "priority": 4,
        "fields": note_overrun(3).fields,
    }


def test_a_sink_whose_reader_has_gone_does_not_raise() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", buffering=1)
    write_text_to(stream)(note_overrun(1))
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_stderr_leads_to_the_journal_when_device_and_inode_say_so(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        assert leads_to_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not leads_to_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not leads_to_journal(stream, {})
    assert not leads_to_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


def test_auto_writes_text_where_there_is_no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    stream = io.StringIO()
    open_sink(LogFormat.AUTO, stream)(note_overrun(1))
    assert stream.getvalue().endswith("everything is read again\n")


def test_auto_opens_the_journal_where_stderr_leads_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "stream").open("w", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert open_sink(LogFormat.AUTO, stream) is journal_sink.write_to_journal


def test_the_journal_gets_every_field_and_none_of_the_libraries_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    # There is no journal in a test: what is handed to sd_journal_sendv is looked at instead.
    monkeypatch.setattr(journal_sink, "sendv", lambda *fields: sent.extend(os.fsencode(field) for field in fields))
    journal_sink.write_to_journal(note_overrun(3))
    got: dict[str, Any] = dict(field.decode().split("=", 1) for field in sent)
    assert (
        got
        == {
            "MESSAGE": note_overrun(3).message,
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "routed",
            "CODE_FILE": "routed",
        }
        | note_overrun(3).fields
    )


def test_priorities_have_the_names_of_syslog() -> None:
    assert sinks.PRIORITY_NAMES[3:7] == ("err", "warning", "notice", "info")
