"""``routed run``: the daemon, in the foreground, as the unit starts it.

The process that reads the files is started before anything else is imported, and asked as soon as it can be.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Final

from routed.cli.arguments import GROUP_VARIABLE
from routed.cli.exits import Exit
from routed.daemon.child import start_reader

EXIT_OF: Final = {
    "refused": Exit.REFUSED,
    "failed": Exit.FAILED,
    "not-permitted": Exit.NOT_PERMITTED,
    "invalid": Exit.INVALID,
}


def run(options: Namespace) -> int:
    """Run until a signal says stop."""
    try:
        process = start_reader()
    except OSError:  # the reader tries again, and says why it cannot
        process = None
    from routed.daemon.reading import Reader

    reader = Reader(process)
    reader.ask_for_start(options.config)
    from routed.audit.sinks import LogFormat
    from routed.daemon import run as daemon

    try:
        daemon.run(
            Path(options.config),
            Path(options.state_dir),
            Path(options.runtime_dir),
            reader=reader,
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
