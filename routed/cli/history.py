"""``routed history``: what the journal remembers of an entry, or of everything, newest last.

``blame`` reads the journal by the same functions.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Final

from routed.audit.catalogue import ERR, WARNING
from routed.audit.history import Query
from routed.audit.printable import dump_json, make_printable
from routed.audit.records import IDENTIFIER
from routed.cli.exits import Exit
from routed.cli.moments import format_moment
from routed.cli.terminal import DIM, RED, YELLOW, complain, paint, say, say_json, wants_color
from routed.model.documents import HistoryDocument
from routed.model.entries import FORMS

FOLDERS: Final = (Path("/var/log/journal"), Path("/run/log/journal"))  # systemd-journald.service(8)
FEW: Final = 50  # lines, where nothing says how many or since when

COLORS: Final = {ERR: RED, WARNING: YELLOW}


class NoJournalError(Exception):
    """The journal cannot be read, or not from there. ``str`` says why and what to do; ``code`` is the exit code."""

    def __init__(self, code: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def run(options: Namespace) -> Exit:
    """Print the records."""
    is_bounded = options.since is not None or options.lines is not None
    began = time.time()
    query = Query(
        entries=find_names(options.entry),
        with_parts=True,
        since=options.since or 0.0,
        after=options.after_cursor or "",
        lines=options.lines if is_bounded else FEW,
        directory=options.directory or "",
    )
    try:
        records = read(query)
    except NoJournalError as error:
        complain(str(error))
        return error.code
    if options.follow:
        return _follow(options, query, records, began)
    if options.json:
        say_json(HistoryDocument(schema="routed.history/1", records=records))
    elif records and not options.quiet:
        say("\n".join(render(records, is_colored=wants_color(options, sys.stdout))))
    if not records and not options.json:
        complain(f"the journal has no record of {options.entry or 'routed'} from this time")
    return Exit.DONE


def _follow(options: Namespace, query: Query, records: list[dict[str, str]], began: float) -> Exit:
    """Print these, and what comes after them, for as long as anybody wants it. With --json a document a line."""
    from routed.audit.journal import follow_journal  # as above

    last = records[-1]["__CURSOR"] if records else query.after
    is_colored = wants_color(options, sys.stdout)
    for record in chain(records, follow_journal(query._replace(after=last, since=0.0 if last else began))):
        if options.json:
            say(dump_json(HistoryDocument(schema="routed.history/1", records=[record])))
        elif not options.quiet:
            say(render_record(record, is_colored=is_colored))
        sys.stdout.flush()
    return Exit.DONE


def read(query: Query) -> list[dict[str, str]]:
    """The records that a query asks for, oldest first. Raises NoJournalError and OSError."""
    check_access(query.directory)
    try:
        from routed.audit.journal import read_journal  # systemd's library only where there is a journal
    except ImportError as error:
        raise NoJournalError(Exit.FAILED, _describe_missing_library(query)) from error
    try:
        return read_journal(query)
    except ValueError as error:
        if not query.after:
            raise
        raise NoJournalError(Exit.USAGE, f'"{query.after}" is not the __CURSOR of a record') from error


def _describe_missing_library(query: Query) -> str:
    place = ("-D", query.directory) if query.directory else ()
    matches = (f"SYSLOG_IDENTIFIER={IDENTIFIER}", *(f"ROUTED_ENTRY={entry}" for entry in query.entries))
    return (
        "reading the journal needs systemd-python, which is not installed here: pip install 'routed[systemd]' compiles"
        " it, with gcc, pkg-config and the headers of Python and of libsystemd; or read the records by "
        + shlex.join(("journalctl", *place, *matches))
    )


def find_names(entry: str) -> tuple[str, ...]:
    """The entries that a name means: ``route/storage-lan``, or ``storage-lan`` for every kind that has one."""
    if not entry:
        return ()
    tables = sorted({form.table for form in FORMS.values()} - {""})
    return (entry,) if "/" in entry else tuple(f"{table}/{entry}" for table in tables)


def check_access(directory: str) -> None:
    """See that there is a journal, and that we may read it: the library would show an empty one.

    Raises NoJournalError.
    """
    folders = (Path(directory),) if directory else FOLDERS
    files = [file for folder in folders for file in folder.rglob("*.journal*")]
    readable = [file for file in files if os.access(file, os.R_OK)]
    if not files and not any(folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK) for folder in folders):
        where = " or ".join(str(folder) for folder in folders)
        raise NoJournalError(
            Exit.FAILED,
            f"there is no journal in {where}; where routed does not run under systemd, its records are on its stderr",
        )
    if not any(file.name.startswith("system") for file in readable) and not (directory and readable):
        raise NoJournalError(
            Exit.NOT_PERMITTED,
            "reading the system's journal is not permitted: run this as root, or as a member of the group"
            " systemd-journal (usermod -aG systemd-journal USER, then log in again)",
        )


def render(records: list[dict[str, str]], *, is_colored: bool) -> Iterator[str]:
    """A line for each record: when, and the sentence."""
    for record in records:
        yield render_record(record, is_colored=is_colored)


def render_record(record: Mapping[str, str], *, is_colored: bool) -> str:
    """One line. The sentence is somebody's text again by the time that it comes out of a file."""
    when = paint(format_moment(int(record["__REALTIME_TIMESTAMP"])), DIM, is_colored=is_colored)
    priority = record.get("PRIORITY", "")
    color = COLORS.get(int(priority), "") if priority.isdecimal() else ""
    return f"{when}  {paint(make_printable(record.get('MESSAGE', '')), color, is_colored=is_colored)}"
