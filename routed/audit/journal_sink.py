"""Records on their way to the journal, by systemd's own library where it is installed, else by its socket.

Imported only where there is a journal to write to. Reading one is ``journal``'s.
"""

from __future__ import annotations

from contextlib import suppress

from routed.audit.records import IDENTIFIER, Record

try:
    from systemd.journal import sendv
except ImportError:
    from routed.audit.systemd_sockets import sendv


def write_to_journal(record: Record) -> None:
    """Send one record. Says nothing where there is no journal, as sd_journal_send(3) does, nor where it takes none."""
    fields = {
        "MESSAGE": record.message,
        "PRIORITY": str(record.priority),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "CODE_FILE": "routed",
        **record.fields,
    }
    with suppress(OSError, ValueError):  # the latter is raised for text that cannot be encoded
        sendv(*(f"{name}={value}" for name, value in fields.items()))
