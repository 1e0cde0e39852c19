"""``routed pause``: stop enforcing an entry, or everything, for a time. What drifts meanwhile is still seen."""

from __future__ import annotations

from argparse import Namespace

from routed.audit.figures import format_span
from routed.audit.printable import make_printable
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.terminal import complain, say, say_json


def run(options: Namespace) -> Exit:
    """Have the daemon pause ``options.entry``; none is everything."""
    seconds = getattr(options, "for")  # a word of Python
    parameters = {"entry": options.entry, "seconds": seconds, "reason": options.reason}
    try:
        answer = call(options.runtime_dir, "Pause", parameters)
    except ClientError as error:
        complain(str(error))
        return error.code
    if options.json:
        say_json(answer)
    elif not options.quiet:
        say(make_printable(f"{options.entry or 'everything'} is paused for {format_span(seconds)}"))
    return Exit.DONE
