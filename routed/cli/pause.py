"""``routed pause``: stop enforcing an entry, or everything, for a time. What drifts meanwhile is still seen."""

from __future__ import annotations

from argparse import Namespace

from routed.audit.figures import format_span
from routed.cli.exits import Exit
from routed.cli.order import give_order


def run(options: Namespace) -> Exit:
    """Have the daemon pause ``options.entry``; none is everything."""
    seconds = getattr(options, "for")  # a word of Python
    parameters = {"entry": options.entry, "seconds": seconds, "reason": options.reason}
    subject = options.entry or "everything"
    return give_order(options, "Pause", parameters, f"{subject} is paused for {format_span(seconds)}")
