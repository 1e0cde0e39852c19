"""``routed run``: the daemon, in the foreground, as the unit starts it.

The process that reads the files is started before anything else is imported, and asked as soon as it can be; unless it
is kept what they mean (``daemon.compiled``).
"""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from routed.cli.arguments import GROUP_VARIABLE
from routed.cli.exits import Exit
from routed.daemon.child import COMPILED, start_reader
from routed.daemon.lean import import_without_openssl

if TYPE_CHECKING:
    import subprocess

    from routed.daemon.reading import Reader

EXIT_OF: Final = {
    "refused": Exit.REFUSED,
    "failed": Exit.FAILED,
    "not-permitted": Exit.NOT_PERMITTED,
    "invalid": Exit.INVALID,
}


def run(options: Namespace) -> int:
    """Run until a signal says stop."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # somebody waits to write a file that is being read here
    reader, complaint = begin_to_read(options.config, Path(options.state_dir))
    from routed.audit.sinks import LogFormat
    from routed.daemon import run as daemon

    try:
        daemon.run(
            Path(options.config),
            Path(options.state_dir),
            Path(options.runtime_dir),
            reader=reader,
            complaint=complaint,
            log_format=LogFormat(options.log_format),
            is_watching=not options.no_watch,
            is_following=options.follow_processes,
            follows_netlink=options.follow_netlink,
            group=options.group or os.environ.get(GROUP_VARIABLE, ""),
        )
    except daemon.CannotStartError as error:
        print(f"routed: {error}" if error.reason != "invalid" else error, file=sys.stderr)
        return EXIT_OF[error.reason]
    return Exit.DONE


def begin_to_read(config: str, state_dir: Path) -> tuple[Reader, str]:
    """Who gives the files, and a sentence about what was kept of them and is worth nothing.

    Where it is kept what these very files mean, they need no process that reads them.
    """
    path = state_dir / COMPILED
    process = None if path.exists() else start()
    import_without_openssl()
    found, complaint = None, ""
    if process is None:
        from routed.daemon.compiled import DamagedError, find_compiled

        try:
            found = find_compiled(config, path)
        except DamagedError as error:
            complaint = str(error)
        process = None if found else start()
    from routed.daemon.reading import Reader
    from routed.model.handover import HandoverError

    reader = Reader(process)
    try:
        reader.ask_for_start(config, str(path), found)
    except HandoverError as error:
        complaint = str(error)
    return reader, complaint and f"{path} is damaged, so the files were read instead: {complaint}"


def start() -> subprocess.Popen[bytes] | None:
    """Start the process; where that fails the reader tries it again, and says why it cannot."""
    with suppress(OSError):
        return start_reader()
    return None
