"""What commands share that tell the daemon to do something and have one sentence to say of it.

Here must never live: a command, or how the daemon is spoken to (``client``).
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from routed.audit.printable import make_printable
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.terminal import complain, say, say_json


def give_order(options: Namespace, method: str, parameters: dict[str, Any], sentence: str) -> Exit:
    """Call a method that answers with nothing. ``sentence`` is what is true afterwards."""
    try:
        answer = call(options.runtime_dir, method, parameters)
    except ClientError as error:
        complain(str(error))
        return error.code
    if options.json:
        say_json(answer)
    elif not options.quiet:
        say(make_printable(sentence))
    return Exit.DONE
