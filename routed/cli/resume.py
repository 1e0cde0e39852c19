"""``routed resume``: enforce again what was paused."""

from __future__ import annotations

from argparse import Namespace

from routed.audit.printable import make_printable
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.terminal import complain, say, say_json


def run(options: Namespace) -> Exit:
    """Have the daemon end the pause of ``options.entry``; none is the pause of everything."""
    try:
        answer = call(options.runtime_dir, "Resume", {"entry": options.entry})
    except ClientError as error:
        complain(str(error))
        return error.code
    if options.json:
        say_json(answer)
    elif not options.quiet:
        say(make_printable(f"{options.entry or 'everything'} is enforced again"))
    return Exit.DONE
