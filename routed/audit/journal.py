"""The journal: records with their fields, written and read by systemd's own library.

The only module of this floor that imports ``systemd``, and itself imported only where there is a journal to write to or
to read. What a record means stands in ``history``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from systemd import journal

from routed.audit.history import Query, find_record
from routed.audit.printable import make_printable
from routed.audit.records import Record

IDENTIFIER = "routed"  # SYSLOG_IDENTIFIER
UNIT = "routed.service"


def write_to_journal(record: Record) -> None:
    """Send one record. Says nothing where there is no journal, as sd_journal_send(3) does, nor where it takes none."""
    fields = {name: value for name, value in record.fields.items() if name != "MESSAGE_ID"}
    with suppress(OSError, ValueError):  # the latter is what the library raises for text that cannot be encoded
        # CODE_FILE empty: otherwise the library walks the stack to name this very line in every record.
        journal.send(
            record.message,
            MESSAGE_ID=record.fields["MESSAGE_ID"],
            CODE_FILE="routed",
            PRIORITY=str(record.priority),
            SYSLOG_IDENTIFIER=IDENTIFIER,
            **fields,
        )


def read_journal(query: Query) -> list[dict[str, str]]:
    """The records of routed that a query asks for, oldest first, with their journal fields.

    Raises OSError, and ValueError for a cursor that is none.
    """
    with journal.Reader(path=query.directory or None, converters=_AS_WRITTEN) as reader:
        _add_matches(reader, query.entries)
        if query.lines is None or query.after:
            return list(islice(_read_forward(reader, query), query.lines))
        return list(islice(_read_backward(reader, query), query.lines))[::-1]


# Fields as journalctl's JSON has them: text, and the time in microseconds since 1970.
_AS_WRITTEN = {"MESSAGE_ID": bytes.decode, "PRIORITY": bytes.decode, "_BOOT_ID": bytes.decode, "_PID": bytes.decode} | {
    "__REALTIME_TIMESTAMP": str
}


def _add_matches(reader: journal.Reader, entries: tuple[str, ...]) -> None:
    """Ours are the unit's records, and those that root wrote under our name; anybody may take the name alone."""
    for origin in ({"_SYSTEMD_UNIT": UNIT}, {"_UID": "0"}):
        reader.add_match(SYSLOG_IDENTIFIER=IDENTIFIER, **origin)
        for entry in entries:  # one of them: matches of one field are alternatives
            reader.add_match(ROUTED_ENTRY=make_printable(entry))  # as records have it
        reader.add_disjunction()


def _read_forward(reader: journal.Reader, query: Query) -> Iterator[dict[str, str]]:
    if query.after:
        reader.seek_cursor(query.after)
    elif query.since:
        reader.seek_realtime(query.since)
    else:
        reader.seek_head()
    while fields := reader.get_next():
        if fields["__CURSOR"] != query.after and query.is_in_time(int(fields["__REALTIME_TIMESTAMP"])):
            yield from find_record(fields)


def _read_backward(reader: journal.Reader, query: Query) -> Iterator[dict[str, str]]:
    reader.seek_tail()
    while fields := reader.get_previous():
        if not query.is_in_time(int(fields["__REALTIME_TIMESTAMP"])):
            return
        yield from find_record(fields)
