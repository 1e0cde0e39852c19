"""``routed drain``: a server of a service gets no new connections for a time. What is connected goes on."""

from __future__ import annotations

from argparse import Namespace

from routed.audit.figures import format_span
from routed.cli.exits import Exit
from routed.cli.order import give_order


def run(options: Namespace) -> Exit:
    """Have the daemon drain ``options.server``, as ``service/api[10.0.0.11:6443]``."""
    seconds = getattr(options, "for")  # a word of Python
    server = options.server if "/" in options.server.partition("[")[0] else f"service/{options.server}"
    parameters = {"server": server, "seconds": seconds, "reason": options.reason}
    return give_order(options, "Drain", parameters, f"{server} gets no new connections for {format_span(seconds)}")
