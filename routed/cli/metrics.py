"""``routed metrics``: the state and what was counted, as Prometheus reads it."""

from __future__ import annotations

import errno
import os
import sys
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.terminal import complain, say_json
from routed.model.metrics import MetricsDocument

MODE: Final = 0o644  # the collector is another user


def run(options: Namespace) -> Exit:
    """Ask the daemon; print its answer, or put it into a file."""
    if options.json and options.output:
        complain("--output is for text: write the document of --json by > FILE")
        return Exit.USAGE
    try:
        document = cast(MetricsDocument, call(options.runtime_dir, "GetMetrics"))
    except ClientError as error:
        complain(str(error))
        return error.code
    if options.json:
        say_json(document)
        return Exit.DONE
    from routed.audit import exposition  # who wants the document needs no library

    if not exposition.load_library():
        complain(exposition.MISSING)
        return Exit.FAILED
    # the textfile collector of node_exporter reads the older form alone
    form = options.format or ("text" if options.output else "openmetrics")
    text, _ = exposition.write(document, exposition.OPENMETRICS if form == "openmetrics" else "")
    if options.output:
        replace(Path(options.output), text)
    elif not options.quiet:
        sys.stdout.write(text.decode())
    return Exit.DONE


def replace(path: Path, content: bytes) -> None:
    """Put the file there whole: who reads it meanwhile reads the former one. Raises OSError.

    A link is replaced by the file; a device, or a link to one such as /dev/stdout, is left alone.
    """
    if not _may_be_replaced(path):
        raise OSError(errno.EINVAL, "this is no file that could be replaced", str(path))
    beside = path.with_name(f".{path.name}.{os.getpid()}")  # a name that the collector does not read
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, MODE)  # whatever the umask is
            file.write(content)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def _may_be_replaced(path: Path) -> bool:
    """/dev/stdout is a link to one in /proc, which may be a plain file just now."""
    if path.is_symlink() and path.readlink().is_relative_to("/proc"):
        return False
    return not path.exists() or path.is_file()
