"""``routed resume``: enforce again what was paused."""

from __future__ import annotations

from argparse import Namespace

from routed.cli.exits import Exit
from routed.cli.order import give_order


def run(options: Namespace) -> Exit:
    """Have the daemon end the pause of ``options.entry``; none is the pause of everything."""
    subject = options.entry or "everything"
    return give_order(options, "Resume", {"entry": options.entry}, f"{subject} is enforced again")
