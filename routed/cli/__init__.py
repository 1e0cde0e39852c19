"""The command line: ``main`` reads the arguments and imports the one module of the verb.

Here live the commands, one module each, and what several of them share: arguments, exit codes, the terminal, the client
of the control socket. Here must never live a decision about routes; and nothing that a quick command does not need is
imported before the verb is known.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from routed.cli.arguments import parse
from routed.cli.exits import CommandError, Exit
from routed.cli.pager import paging
from routed.cli.terminal import complain


def main(argv: Sequence[str]) -> int:
    """Run the command that ``argv`` (without the program's name) asks for. Returns its exit code, never raises."""
    _open_what_is_closed()
    try:
        options = parse(argv)
        if options.verb != "run":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        module = import_module(f"routed.cli.{VERB_MODULES.get(options.verb, options.verb)}")
        with paging(options):
            code = int(module.run(options))
        sys.stdout.flush()
    except SystemExit as error:  # argparse: usage errors, --help, --version
        return error.code if isinstance(error.code, int) else Exit.USAGE
    except BrokenPipeError:
        # The reader of our output has had enough. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except CommandError as error:  # such as an answer that lacks what the command was about to show
        complain(str(error))
        return error.code
    except PermissionError as error:
        complain(_describe(error))
        return Exit.NOT_PERMITTED
    except OSError as error:
        complain(_describe(error))
        return Exit.FAILED
    return code


def _open_what_is_closed() -> None:
    """Whoever closed stdout or stderr (``>&-``) wants nothing of it; and no socket is to take its number."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


VERB_MODULES = {"import": "import_"}  # a word of Python


def _describe(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what
