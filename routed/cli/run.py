"""``routed run``: the daemon, in the foreground, as the unit starts it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from routed.audit.sinks import LogFormat
from routed.daemon import run as daemon


def run(options: Namespace) -> int:
    """Run until a signal says stop. Returns the daemon's own exit code."""
    return daemon.run(
        Path(options.config),
        Path(options.state_dir),
        Path(options.runtime_dir),
        log_format=LogFormat(options.log_format),
        is_watching=not options.no_watch,
    )
