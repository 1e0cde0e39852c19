"""Sinks: where records go. The journal when there is one, otherwise lines on stderr.

A sink takes one record and never raises: a log that cannot be written must not keep routes from being repaired.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TextIO

from routed.audit.documents import make_outcome_document
from routed.audit.printable import dump_json
from routed.audit.records import Record

Sink = Callable[[Record], None]
Now = Callable[[], datetime]

PRIORITY_NAMES: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")  # syslog(3)


class LogFormat(StrEnum):
    """The forms of ``--log-format``."""

    AUTO = "auto"  # the journal when stderr leads there, otherwise text
    JOURNAL = "journal"
    TEXT = "text"
    JSON = "json"


def open_sink(log_format: LogFormat, stream: TextIO | None = None) -> Sink:
    """The sink of a format. ``stream`` is stderr unless told; the journal takes no stream."""
    stream = sys.stderr if stream is None else stream
    if log_format is LogFormat.AUTO:
        log_format = LogFormat.JOURNAL if leads_to_journal(stream, os.environ) else LogFormat.TEXT
    if log_format is LogFormat.JOURNAL:
        from routed.audit.journal_sink import write_to_journal  # noqa: PLC0415  # systemd's library only where it is used

        return write_to_journal
    return write_json_to(stream) if log_format is LogFormat.JSON else write_text_to(stream)


def leads_to_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Is the stream connected to the journal? $JOURNAL_STREAM then holds its device and inode (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def write_text_to(stream: TextIO, now: Now = lambda: datetime.now(UTC)) -> Sink:
    """One line a record, for a person: the time, the priority, the sentence."""

    def write(record: Record) -> None:
        _write_line(
            stream, f"{now().isoformat(timespec='milliseconds')} {PRIORITY_NAMES[record.priority]:7} {record.message}"
        )

    return write


def write_json_to(stream: TextIO, now: Now = lambda: datetime.now(UTC)) -> Sink:
    """One JSON document a line, as ``model.documents.OutcomeDocument`` has it."""

    def write(record: Record) -> None:
        _write_line(stream, dump_json(make_outcome_document(record, now())))

    return write


def _write_line(stream: TextIO, line: str) -> None:
    with suppress(OSError, ValueError):  # the reader has gone, the disk is full, the stream was closed
        stream.write(line + "\n")
        stream.flush()
