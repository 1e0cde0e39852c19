"""``routed confirm``: keep what is in force on trial."""

from __future__ import annotations

from argparse import Namespace

from routed.cli.exits import Exit
from routed.cli.order import give_order


def run(options: Namespace) -> Exit:
    """Tell the daemon that it is to last."""
    return give_order(options, "Confirm", {}, "It is confirmed.")
