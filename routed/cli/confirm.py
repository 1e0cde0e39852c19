"""``routed confirm``: keep what is in force on trial."""

from __future__ import annotations

from argparse import Namespace

from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.terminal import complain, say, say_json


def run(options: Namespace) -> Exit:
    """Tell the daemon that it is to last."""
    try:
        answer = call(options.runtime_dir, "Confirm")
    except ClientError as error:
        complain(str(error))
        return error.code
    if options.json:
        say_json(answer)
    elif not options.quiet:
        say("It is confirmed.")
    return Exit.DONE
