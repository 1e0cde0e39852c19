"""``routed rollback``: put a former revision in force, and leave the files on disk alone."""

from __future__ import annotations

from argparse import Namespace

from routed.cli.apply import ask_daemon
from routed.cli.exits import Exit


def run(options: Namespace) -> Exit:
    """Have the daemon do it, and show what came of it."""
    return ask_daemon(options, "RollBack", {"revision": options.revision, "confirm": options.confirm})
