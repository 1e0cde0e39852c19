"""Remarks: what the parts of the program say by ``logging``, as records like all others.

So that each line has the form of ``--log-format``, and a warning is one to the journal as well. Here must never live: a
remark itself, or anything that a record of its own tells better.
"""

from __future__ import annotations

import logging
from traceback import format_exception
from typing import Final

from routed.audit.catalogue import ERR, NOTICE, WARNING, Message
from routed.audit.records import Record, make_record
from routed.audit.sinks import Sink

_PRIORITIES: Final = ((logging.ERROR, ERR), (logging.WARNING, WARNING))  # from this level on; below it is a notice


class Remarks(logging.Handler):
    """Writes to a sink what is logged."""

    def __init__(self, sink: Sink) -> None:
        """``sink`` may be called in any thread."""
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, and never raise."""
        try:
            self._sink(note_remark(record))
        except Exception:  # noqa: BLE001  what was to be logged must not end whoever logged it
            self.handleError(record)


def note_remark(told: logging.LogRecord) -> Record:
    """A remark; of an error the last line of its traceback as well, and all of it in a field."""
    text, trace = told.getMessage(), ""
    if told.exc_info and told.exc_info[1] is not None:
        lines = format_exception(told.exc_info[1])
        text, trace = f"{text}: {lines[-1].strip()}", "".join(lines)
    record = make_record(Message.REMARK, {"remark": text}, {"ROUTED_REASON": trace})
    priority = next((priority for level, priority in _PRIORITIES if told.levelno >= level), NOTICE)
    return record._replace(priority=priority)
