"""``routed import``: what stands in the kernel, as the file that would make it."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from routed.audit.printable import escape_in_quotes
from routed.cli.exits import Exit
from routed.cli.terminal import complain
from routed.daemon import direct
from routed.intent.export import export
from routed.intent.names import find_name_files, read_names
from routed.model.entries import Source


def run(options: Namespace) -> Exit:
    """Print the file on stdout, and on stderr what it cannot express."""
    found = direct.observe_all()
    exported = export(found.objects, found.facts, _read_table_names())
    sys.stdout.write(escape_in_quotes(exported.text))
    if not options.quiet:
        unread = (f"{name}, which cannot be read: {why}" for name, why in found.unread.items())
        for line in (*unread, *exported.left_out):
            complain(f"left out: {line}")
    return Exit.DONE


def _read_table_names() -> dict[int, str]:
    sources = [Source(str(path), path.read_bytes(), "names") for path in find_name_files(Path("/"))]
    return {number: name for name, number in read_names(sources).tables.items()}
