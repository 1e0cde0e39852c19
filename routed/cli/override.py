"""``routed override``: say for a time that a check is up or down, whatever it finds."""

from __future__ import annotations

from argparse import Namespace

from routed.audit.figures import format_span
from routed.cli.exits import Exit
from routed.cli.order import give_order


def run(options: Namespace) -> Exit:
    """Have the daemon take ``options.check`` for up or down."""
    seconds = getattr(options, "for")  # a word of Python
    check = options.check if "/" in options.check else f"check/{options.check}"
    parameters = {"check": check, "up": options.verdict == "up", "seconds": seconds, "reason": options.reason}
    return give_order(
        options, "Override", parameters, f"{check} counts as {options.verdict} for {format_span(seconds)}"
    )
