"""The journal: records with their fields, by systemd's own library.

The only module of this floor that imports ``systemd``, and itself imported only when records go to the journal.
"""

from __future__ import annotations

from contextlib import suppress

from systemd import journal

from routed.audit.records import Record

IDENTIFIER = "routed"  # SYSLOG_IDENTIFIER


def write_to_journal(record: Record) -> None:
    """Send one record. Says nothing where there is no journal, as sd_journal_send(3) does."""
    fields = {name: value for name, value in record.fields.items() if name != "MESSAGE_ID"}
    with suppress(OSError):
        # CODE_FILE empty: otherwise the library walks the stack to name this very line in every record.
        journal.send(
            record.message,
            MESSAGE_ID=record.fields["MESSAGE_ID"],
            CODE_FILE="routed",
            PRIORITY=str(record.priority),
            SYSLOG_IDENTIFIER=IDENTIFIER,
            **fields,
        )
