"""``routed import``: what stands in the kernel, or in the files of other programs, as the file that would make it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from routed.audit.printable import escape_in_quotes
from routed.cli.exits import CommandError, Exit
from routed.cli.plan import find_own_marks
from routed.cli.terminal import complain
from routed.intent.importing.statements import Leftover, fold
from routed.intent.names import find_name_files, read_names
from routed.model.entries import Settings, Source
from routed.model.objects import Kind, Standing
from routed.model.owner import Marks

if TYPE_CHECKING:  # few imports are of files
    from routed.intent.importing.formats import Text

STDIN: Final = "-"


def run(options: Namespace) -> Exit:
    """Print the file on stdout, and on stderr what it does not say."""
    sources = [Source(str(path), path.read_bytes(), "names") for path in find_name_files(Path("/"))]
    paths = getattr(options, "from")  # a word of Python
    text, left_out = _import_files(options, paths, sources) if paths else _import_kernel(options, sources)
    sys.stdout.write(escape_in_quotes(text))
    if not options.quiet:
        for line in fold(left_out, is_verbose=bool(options.verbose)):
            complain(f"left out: {line}")
    return Exit.DONE


def _import_kernel(
    options: Namespace, sources: list[Source], saved: Iterable[Standing] | None = None
) -> tuple[str, list[Leftover]]:
    """What stands in the kernel, or stood there when it was ``saved``."""
    from routed.daemon import direct
    from routed.intent.export import Naming, export
    from routed.kernel.codec.unspoken import name_unspoken

    found = direct.observe_all()
    objects = found.objects if saved is None else [(Kind.ROUTE, route) for route in saved]
    known = read_names(sources)
    marks = find_own_marks(options) or Marks(Settings().protocol)
    ours = marks.numbers
    protocols = _turn(known.protocols) | dict.fromkeys(ours - marks.further, "routed")
    naming = Naming(_turn(known.tables), protocols, sources, name_unspoken)
    exported = export(objects, found.facts, naming, ours.union(options.protocol), marks.further)
    unread = [Leftover(f"{name}, which cannot be read", why) for name, why in found.unread.items()]
    return exported.text, [*unread, *exported.left_out]


def _turn(numbers: Mapping[str, int]) -> dict[int, str]:
    return {number: name for name, number in numbers.items()}


def _import_files(options: Namespace, paths: Iterable[str], sources: list[Source]) -> tuple[str, list[Leftover]]:
    """What the files say. Raises CommandError and OSError."""
    from routed.intent.importing.formats import read_texts
    from routed.intent.importing.netplan import NoYamlError
    from routed.intent.importing.writing import write
    from routed.kernel.codec import MalformedMessage
    from routed.kernel.saved import is_saved, read_saved

    contents = [one for path in paths for one in _read_path(path)]
    saved = [(path, content) for path, content in contents if is_saved(content)]
    try:
        if saved and len(contents) == 1:
            return _import_kernel(options, sources, read_saved(saved[0][1]))
        findings = read_texts((_as_text(*one) for one in contents if one not in saved), options.format)
    except NoYamlError as error:
        raise CommandError(str(error), Exit.FAILED) from None
    except MalformedMessage as error:
        raise CommandError(f"{saved[0][0]} is damaged: {error}", Exit.FAILED) from None
    written = write(findings.statements, sources)
    alone = [Leftover(path, "what ip route save wrote is imported alone") for path, _ in saved]
    return written.text, [*alone, *findings.leftovers, *written.leftovers]


def _as_text(path: str, content: bytes) -> Text:
    from routed.intent.importing.formats import Text

    return Text(path, content.decode("utf-8", "surrogateescape"))


def _read_path(path: str) -> Iterator[tuple[str, bytes]]:
    """A file, or each file in a folder and below it, in the order of their names. Raises OSError."""
    if path == STDIN:
        yield "stdin", sys.stdin.buffer.read()
    elif Path(path).is_dir():
        for one in sorted(Path(path).rglob("*")):
            if one.is_file() and not one.name.startswith("."):
                yield str(one), one.read_bytes()
    else:
        yield path, Path(path).read_bytes()
