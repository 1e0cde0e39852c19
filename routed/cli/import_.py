"""``routed import``: what stands in the kernel, as the file that would make it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from routed.audit.printable import escape_in_quotes
from routed.cli.exits import Exit
from routed.cli.plan import find_marks
from routed.cli.terminal import complain
from routed.intent.importing.statements import Leftover, fold
from routed.intent.names import find_name_files, read_names
from routed.model.entries import Settings, Source


def run(options: Namespace) -> Exit:
    """Print the file on stdout, and on stderr what it does not say."""
    sources = [Source(str(path), path.read_bytes(), "names") for path in find_name_files(Path("/"))]
    text, left_out = _import_kernel(options, sources)
    sys.stdout.write(escape_in_quotes(text))
    if not options.quiet:
        for line in fold(left_out, is_verbose=bool(options.verbose)):
            complain(f"left out: {line}")
    return Exit.DONE


def _import_kernel(options: Namespace, sources: list[Source]) -> tuple[str, list[Leftover]]:
    from routed.daemon import direct
    from routed.intent.export import Naming, export
    from routed.kernel.codec.unspoken import name_unspoken

    found = direct.observe_all()
    known = read_names(sources)
    ours = find_marks(options) or frozenset({Settings().protocol})
    protocols = _turn(known.protocols) | dict.fromkeys(ours, "routed")
    naming = Naming(_turn(known.tables), protocols, sources, name_unspoken)
    exported = export(found.objects, found.facts, naming, ours)
    unread = [Leftover(name, f"it cannot be read: {why}") for name, why in found.unread.items()]
    return exported.text, [*unread, *exported.left_out]


def _turn(numbers: Mapping[str, int]) -> dict[int, str]:
    return {number: name for name, number in numbers.items()}
