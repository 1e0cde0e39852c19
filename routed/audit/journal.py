"""The journal, read by systemd's own library: importing this module without it raises ImportError.

Imported only where there is a journal to read. What a record means stands in ``history``; ``journal_sink`` writes.
"""

from __future__ import annotations

import select
from collections.abc import Iterator, Mapping
from itertools import islice

from systemd import journal

from routed.audit.history import Query, find_record
from routed.audit.printable import make_printable
from routed.audit.records import IDENTIFIER
from routed.model.documents import name_whole

UNIT = "routed.service"
ENTRY = "ROUTED_ENTRY"


def read_journal(query: Query) -> list[dict[str, str]]:
    """The records of routed that a query asks for, oldest first, with their journal fields.

    Raises OSError, and ValueError for a cursor that is none.
    """
    with journal.Reader(path=query.directory or None, converters=_AS_WRITTEN) as reader:
        _add_matches(reader, _find_entries(reader, query))
        if query.lines is None or query.after:
            return list(islice(_read_forward(reader, query), query.lines))
        return list(islice(_read_backward(reader, query), query.lines))[::-1]


# Fields as journalctl's JSON has them: text, and the time in microseconds since 1970.
_AS_WRITTEN = {"MESSAGE_ID": bytes.decode, "PRIORITY": bytes.decode, "_BOOT_ID": bytes.decode, "_PID": bytes.decode} | {
    "__REALTIME_TIMESTAMP": str
}


def follow_journal(query: Query) -> Iterator[dict[str, str]]:
    """The records after the one with the cursor ``query.after``, or since ``query.since``, and those to come.

    Raises OSError, and ValueError for a cursor that is none.
    """
    with journal.Reader(path=query.directory or None, converters=_AS_WRITTEN) as reader:
        _add_matches(reader, ())  # parts may come that nobody has named yet
        news = select.poll()  # its own wait would keep signals waiting too
        news.register(reader.fileno(), reader.get_events())  # before the first reading, sd_journal_get_fd(3)
        _seek(reader, query)
        while True:
            yield from (record for record in _read_on(reader, query) if _is_of(record, query))
            news.poll(reader.get_timeout_ms())
            reader.process()


def _is_of(record: Mapping[str, str], query: Query) -> bool:
    entry, names = record.get(ENTRY, ""), [make_printable(name) for name in query.entries]
    return not names or entry in names or (query.with_parts and name_whole(entry) in names)


def _find_entries(reader: journal.Reader, query: Query) -> tuple[str, ...]:
    """Those that are asked for, and those of their parts that the journal has a record of."""
    if not query.entries or not query.with_parts:
        return query.entries
    wholes = {make_printable(name) for name in query.entries}
    names = {name for name in reader.query_unique(ENTRY) if isinstance(name, str)}
    return (*query.entries, *sorted(name for name in names if "[" in name and name_whole(name) in wholes))


def _add_matches(reader: journal.Reader, entries: tuple[str, ...]) -> None:
    """Ours are the unit's records, and those that root wrote under our name; anybody may take the name alone."""
    for origin in ({"_SYSTEMD_UNIT": UNIT}, {"_UID": "0"}):
        reader.add_match(SYSLOG_IDENTIFIER=IDENTIFIER, **origin)
        for entry in entries:  # one of them: matches of one field are alternatives
            reader.add_match(ROUTED_ENTRY=make_printable(entry))  # as records have it
        reader.add_disjunction()


def _read_forward(reader: journal.Reader, query: Query) -> Iterator[dict[str, str]]:
    _seek(reader, query)
    yield from _read_on(reader, query)


def _seek(reader: journal.Reader, query: Query) -> None:
    if query.after:
        reader.seek_cursor(query.after)
    elif query.since:
        reader.seek_realtime(query.since)
    else:
        reader.seek_head()


def _read_on(reader: journal.Reader, query: Query) -> Iterator[dict[str, str]]:
    while fields := reader.get_next():
        if fields["__CURSOR"] != query.after and query.is_in_time(int(fields["__REALTIME_TIMESTAMP"])):
            yield from find_record(fields)


def _read_backward(reader: journal.Reader, query: Query) -> Iterator[dict[str, str]]:
    reader.seek_tail()
    while fields := reader.get_previous():
        if not query.is_in_time(int(fields["__REALTIME_TIMESTAMP"])):
            return
        yield from find_record(fields)
